"""What a container changed, as the tar of an OCI layer.

An upper is in the format of native/include/lpmx_abi.h, "on-disk conventions": a
whiteout becomes an empty file ".wh.NAME", an opaque directory gets a
".wh..wh..opq" (OCI layer spec, "Whiteouts"), and owners, modes and device
numbers come from the record that an object carries. Members are in the order of
their names' bytes, each directory before what is in it and its whiteouts before
all else, so that the same upper always gives the same tar.
"""
from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Collection, Iterator, NamedTuple, Optional, Union

from . import tarwriter

_WHITEOUT, _OPAQUE = b".wh.", b".wh..wh..opq"
_RECORD, _OVERLAY_OPAQUE, _OVERLAY_WHITEOUT = (
    "user.containers.override_stat", "user.overlay.opaque", "user.overlay.whiteout")
_INODE = "user.lpmx.inode"
_RESERVED = ("user.overlay.", "user.containers.", "user.lpmx.")
_CHUNK = 1 << 20

_STAT = re.compile(rb"(\d+):(\d+):([0-7]+)(?::(block|char)[-:](\d+)[-:](\d+))?\Z")


class _Shown(NamedTuple):
    """What the view shows of an object."""

    kind: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    major: int = 0
    minor: int = 0


def read_changes(upper: Path, *, without: Collection[bytes] = ()) -> Iterator[bytes]:
    """The pieces of the tar. Nothing may change the upper meanwhile.

    `without` are paths ("usr/bin/env") that are left out with all below them,
    such as the points where binds appear. Sockets are left out as well: they
    mean nothing without the process that made them.
    """
    links: dict[tuple[int, int], bytes] = {}
    skipped = frozenset(without)
    todo: list[bytes] = [b""]
    root = os.fsencode(upper)
    while todo:
        path = todo.pop()
        host = os.path.join(root, path) if path else root
        status = os.lstat(host)
        if not stat.S_ISDIR(status.st_mode):
            yield from _member(host, path, status, links)
            continue
        if path:
            yield _header(path + b"/", host, _shown(host, status), status)
        hidden, names = _listed(host)
        prefix = path + b"/" if path else b""
        if _attribute(host, _OVERLAY_OPAQUE) == b"y":
            yield tarwriter.header(prefix + _OPAQUE, tarwriter.FILE, 0o600)
        for name in hidden:
            if prefix + name not in skipped:
                yield tarwriter.header(prefix + _WHITEOUT + name, tarwriter.FILE, 0o600)
        todo += [prefix + name for name in reversed(names) if prefix + name not in skipped]
    yield tarwriter.END


def _listed(host: bytes) -> tuple[list[bytes], list[bytes]]:
    """The names that a directory hides, and those it has."""
    hidden: list[bytes] = []
    names: list[bytes] = []
    for name in sorted(os.listdir(host)):
        (hidden if _is_whiteout(os.path.join(host, name)) else names).append(name)
    return hidden, names


def _is_whiteout(host: bytes) -> bool:
    status = os.lstat(host)
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    return (stat.S_ISREG(status.st_mode) and status.st_size == 0
            and _attribute(host, _OVERLAY_WHITEOUT) is not None)


def _member(host: bytes, path: bytes, status: os.stat_result,
            links: dict[tuple[int, int], bytes]) -> Iterator[bytes]:
    """What is no directory: its header and its content."""
    if stat.S_ISSOCK(status.st_mode):
        return
    shown = _shown(host, status)
    if status.st_nlink > 1:
        first = links.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            yield _header(path, host, shown._replace(kind=tarwriter.LINK), status, target=first)
            return
    if shown.kind == tarwriter.SYMLINK:
        yield _header(path, host, shown, status, target=os.readlink(host))
    elif shown.kind != tarwriter.FILE:
        yield _header(path, host, shown, status)
    else:
        yield _header(path, host, shown, status, size=status.st_size)
        yield from _content(host, status.st_size)


def _content(host: bytes, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes, as the header said, and the padding."""
    left = size
    with open(host, "rb", buffering=0) as file:
        while left:
            piece = file.read(min(left, _CHUNK))
            if not piece:
                break
            left -= len(piece)
            yield piece
    yield bytes(left) + tarwriter.padding(size)


def _header(path: bytes, host: bytes, shown: _Shown, status: os.stat_result, *, size: int = 0,
            target: bytes = b"") -> bytes:
    xattrs = {} if shown.kind in (tarwriter.SYMLINK, tarwriter.LINK) else _attributes(host)
    return tarwriter.header(path, shown.kind, shown.mode, uid=shown.uid, gid=shown.gid,
                            mtime=status.st_mtime_ns // 10 ** 9, size=size, target=target,
                            major=shown.major, minor=shown.minor, xattrs=xattrs)


def _shown(host: bytes, status: os.stat_result) -> _Shown:
    """What the view shows of the object: what is real, but for what its record says."""
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return _Shown(tarwriter.SYMLINK, 0o777)
    if stat.S_ISFIFO(status.st_mode):
        return _Shown(tarwriter.FIFO, mode)
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        kind = tarwriter.CHARACTER if stat.S_ISCHR(status.st_mode) else tarwriter.BLOCK_DEVICE
        return _Shown(kind, mode, 0, 0, os.major(status.st_rdev), os.minor(status.st_rdev))
    kind = tarwriter.DIRECTORY if stat.S_ISDIR(status.st_mode) else tarwriter.FILE
    # The sticky bit is how an object says that it has a record, of one kind or another.
    record = _attribute(host, _RECORD) if mode & stat.S_ISVTX else None
    match = _STAT.match(record) if record else None
    if match is None:
        if mode & stat.S_ISVTX and _attribute(host, _INODE) is not None:
            mode &= ~stat.S_ISVTX
        return _Shown(kind, mode)
    uid, gid, mode = int(match[1]), int(match[2]), int(match[3], 8) & 0o7777
    if match[4] is None:
        return _Shown(kind, mode, uid, gid)
    kind = tarwriter.BLOCK_DEVICE if match[4] == b"block" else tarwriter.CHARACTER
    return _Shown(kind, mode, uid, gid, int(match[5]), int(match[6]))


def _attribute(host: bytes, name: str) -> Optional[bytes]:
    try:
        return os.getxattr(host, name, follow_symlinks=False)
    except OSError:
        return None


def _attributes(host: bytes) -> dict[bytes, bytes]:
    """The attributes of an object that are its own, and not ours."""
    try:
        names: list[Union[str, bytes]] = sorted(os.listxattr(host, follow_symlinks=False))
    except OSError:
        return {}
    found = {}
    for name in map(os.fsdecode, names):
        if name.startswith(("user.", "security.capability")) and not name.startswith(_RESERVED):
            value = _attribute(host, name)
            if value is not None:
                found[os.fsencode(name)] = value
    return found
