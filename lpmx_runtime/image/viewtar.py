"""Members of a tar as a view shows them: owner, mode, device, attributes, holes, links.

Everything is asked of the core, which alone knows what an object of an upper or a
layer stands for.
"""
from __future__ import annotations

import errno
import os
import stat
from typing import Hashable, Iterator, Optional

from .._native import Stat, View
from . import tarwriter

_CHUNK = 1 << 20
#: Holes are kept where that saves so much, in whole blocks of so many bytes.
_BLOCK = 64 * 1024
_EXTENTS_LIMIT = 50_000   # readers hold the map in memory
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ELOOP)

_KINDS = {stat.S_IFREG: tarwriter.FILE, stat.S_IFDIR: tarwriter.DIRECTORY,
          stat.S_IFLNK: tarwriter.SYMLINK, stat.S_IFIFO: tarwriter.FIFO,
          stat.S_IFCHR: tarwriter.CHARACTER, stat.S_IFBLK: tarwriter.BLOCK_DEVICE}


def look(view: View, path: bytes) -> Optional[Stat]:
    """What `path` (without a leading slash) is in the view; None if it is not there."""
    try:
        return view.lstat(b"/" + path)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


class Members:
    """The members of one tar. Names that are one file become hard links of the first.

    `latest` is the time, in seconds, that no file is said to be younger than.
    """

    def __init__(self, view: View, latest: Optional[int] = None) -> None:
        self._view = view
        self._latest = latest
        self._first: dict[Hashable, bytes] = {}

    def add(self, path: bytes, status: Stat, *, name: Optional[bytes] = None,
            same: Optional[Hashable] = None) -> Iterator[bytes]:
        """The pieces of the member for `path`, called `name`; `same` is equal for names
        of one file. Nothing for a socket, which means nothing without its process, nor
        for what is gone since it was looked at."""
        name = path if name is None else name
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        if same is not None and kind != tarwriter.DIRECTORY:
            first = self._first.setdefault(same, name)
            if first != name:
                yield self._header(name, tarwriter.LINK, status, target=first)
                return
        if kind == tarwriter.FILE:
            yield from self._file(path, name)
            return
        try:
            target = os.fsencode(self._view.readlink(b"/" + path)) \
                if kind == tarwriter.SYMLINK else b""
            attributes = {} if target else self._attributes(path)
        except OSError as error:
            if error.errno in (*_GONE, errno.EINVAL):
                return
            raise
        yield self._header(name + (b"/" if kind == tarwriter.DIRECTORY else b""), kind, status,
                           target=target, attributes=attributes)

    def _file(self, path: bytes, name: bytes) -> Iterator[bytes]:
        try:
            fd = self._view.open(b"/" + path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in _GONE:
                return
            raise
        try:
            status = self._view.fstat(fd)
            attributes = self._attributes(path)
            extents = data_extents(fd, status.st_size)
            if extents is None:
                yield self._header(name, tarwriter.FILE, status, size=status.st_size,
                                   attributes=attributes)
                yield from _content(fd, 0, status.st_size)
                yield tarwriter.padding(status.st_size)
                return
            mapped = tarwriter.sparse_map(extents)
            stored = len(mapped) + sum(length for _, length in extents)
            yield self._header(name, tarwriter.FILE, status, size=stored, attributes=attributes,
                               real_size=status.st_size)
            yield mapped
            for offset, length in extents:
                yield from _content(fd, offset, length)
            yield tarwriter.padding(stored)
        finally:
            os.close(fd)

    def _attributes(self, path: bytes) -> dict[bytes, bytes]:
        """The extended attributes that the view shows."""
        try:
            names = self._view.listxattr(b"/" + path)
        except OSError as error:
            if error.errno in (*_GONE, errno.ENOTSUP, errno.EPERM):
                return {}
            raise
        found = {}
        for name in sorted(names):
            if name.startswith(("user.", "security.capability")):
                try:
                    found[os.fsencode(name)] = self._view.getxattr(b"/" + path, name)
                except OSError as error:
                    if error.errno not in (*_GONE, errno.ENODATA, errno.ENOTSUP):
                        raise
        return found

    def _header(self, name: bytes, kind: bytes, status: Stat, *, size: int = 0,
                target: bytes = b"", attributes: Optional[dict[bytes, bytes]] = None,
                real_size: Optional[int] = None) -> bytes:
        mtime = status.st_mtime_ns // 10 ** 9
        device = kind in (tarwriter.CHARACTER, tarwriter.BLOCK_DEVICE)
        return tarwriter.header(
            name, kind, stat.S_IMODE(status.st_mode), uid=status.st_uid, gid=status.st_gid,
            mtime=mtime if self._latest is None else min(mtime, self._latest), size=size,
            target=target, major=os.major(status.st_rdev) if device else 0,
            minor=os.minor(status.st_rdev) if device else 0, xattrs=attributes,
            real_size=real_size)


def data_extents(fd: int, size: int) -> Optional[list[tuple[int, int]]]:
    """Where the file has data, by offset and length; None unless its holes are worth it.

    The file system only says whether to look: blocks of zeros are taken for holes
    whether they are on the disk or not, so that the same content gives the same tar.
    """
    if os.fstat(fd).st_blocks * 512 + _BLOCK > size:
        return None
    found: list[tuple[int, int]] = []
    for start, end in _data(fd, size):
        at = start - start % _BLOCK
        while at < end:
            piece = os.pread(fd, min(_BLOCK, size - at), at)
            if piece.strip(b"\0"):
                if found and found[-1][0] + found[-1][1] == at:
                    found[-1] = (found[-1][0], found[-1][1] + len(piece))
                elif not found or found[-1][0] + found[-1][1] < at:
                    found.append((at, len(piece)))
            at += _BLOCK
        if len(found) > _EXTENTS_LIMIT:
            return None
    return found


def _data(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of the file that the file system does not know for holes."""
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
            at = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            start, at = at, size
        yield start, min(at, size)


def _content(fd: int, offset: int, length: int) -> Iterator[bytes]:
    """Exactly `length` bytes, as the header said, zeros for what a file has lost since."""
    while length:
        piece = os.pread(fd, min(length, _CHUNK), offset)
        if not piece:
            piece = bytes(min(length, _CHUNK))
        offset += len(piece)
        length -= len(piece)
        yield piece
