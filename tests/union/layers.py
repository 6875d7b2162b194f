"""Layers of a scenario, written down once and made real in three forms.

A layer is a mapping from a path ("usr/bin/env") to what is there. It becomes a tar
with OCI whiteouts for the store, a directory that overlayfs takes as a lower, or a
change of a plain directory. Only root can make the last two.
"""
from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Mapping, Sequence

#: When everything in the layers was last changed, unless it says otherwise.
LONG_AGO = 1_000_000_000


@dataclass(frozen=True)
class Thing:
    """One object, or the absence of one (`kind`: "whiteout", or "opaque" for a
    directory that hides what lower layers have in it)."""

    kind: str
    content: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = LONG_AGO
    target: str = ""
    device: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


Layer = Dict[str, Thing]


def directory(mode: int = 0o755, **rest: object) -> Thing:
    return Thing("directory", mode=mode, **rest)  # type: ignore[arg-type]


def opaque(mode: int = 0o755, **rest: object) -> Thing:
    return Thing("opaque", mode=mode, **rest)  # type: ignore[arg-type]


def regular(content: bytes = b"", mode: int = 0o644, **rest: object) -> Thing:
    return Thing("regular", content, mode, **rest)  # type: ignore[arg-type]


def link(target: str) -> Thing:
    return Thing("symlink", target=target, mode=0o777)


def same_as(path: str) -> Thing:
    """A hard link to `path` of the same layer."""
    return Thing("hardlink", target=path)


def fifo(mode: int = 0o644) -> Thing:
    return Thing("fifo", mode=mode)


def device(major: int, minor: int, mode: int = 0o600) -> Thing:
    return Thing("device", mode=mode, device=os.makedev(major, minor))


WHITEOUT = Thing("whiteout")


# ---- as a tar -----------------------------------------------------------------------


def as_tar(layer: Layer) -> bytes:
    """The layer as an image's tar has it (OCI image spec, "Whiteouts")."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, thing in layer.items():
            head, name = os.path.split(path)
            if thing.kind == "whiteout":
                tar.addfile(tarfile.TarInfo(os.path.join(head, ".wh." + name)))
                continue
            member = tarfile.TarInfo(path)
            member.mode, member.uid, member.gid, member.mtime = (
                thing.mode, thing.uid, thing.gid, thing.mtime)
            member.pax_headers = {"SCHILY.xattr." + key: value.decode()
                                  for key, value in thing.xattrs.items()}
            data = None
            if thing.kind in ("directory", "opaque"):
                member.type = tarfile.DIRTYPE
            elif thing.kind == "symlink":
                member.type, member.linkname = tarfile.SYMTYPE, thing.target
            elif thing.kind == "hardlink":
                member.type, member.linkname = tarfile.LNKTYPE, thing.target
            elif thing.kind == "fifo":
                member.type = tarfile.FIFOTYPE
            elif thing.kind == "device":
                member.type = tarfile.CHRTYPE
                member.devmajor, member.devminor = os.major(thing.device), os.minor(thing.device)
            else:
                member.size = len(thing.content)
                data = io.BytesIO(thing.content)
            tar.addfile(member, data)
            if thing.kind == "opaque":
                tar.addfile(tarfile.TarInfo(os.path.join(path, ".wh..wh..opq")))
    return out.getvalue()


# ---- as directories -----------------------------------------------------------------


def as_lower(layer: Layer, root: Path) -> None:
    """The layer as a lower directory of overlayfs mounted with "userxattr"."""
    root.mkdir(parents=True)
    for path, thing in layer.items():
        place = root / path
        if thing.kind == "whiteout":
            os.mknod(place, stat.S_IFCHR, 0)
            continue
        _make(place, thing, root)
        if thing.kind == "opaque":
            os.setxattr(place, "user.overlay.opaque", b"y")
    _date(layer, root)


def as_change(layers: Sequence[Layer], root: Path) -> None:
    """All layers applied to one plain directory, one after the other."""
    root.mkdir(parents=True)
    for layer in layers:
        for path, thing in layer.items():
            place = root / path
            there = os.path.lexists(place)
            if thing.kind == "whiteout":
                _remove(place)
                continue
            if thing.kind == "opaque" and there:
                _remove(place)
                there = False
            if there and not (thing.kind == "directory" and place.is_dir()
                              and not place.is_symlink()):
                _remove(place)
                there = False
            if there:
                os.chown(place, thing.uid, thing.gid)
                os.chmod(place, thing.mode)
            else:
                _make(place, thing, root)
    for layer in layers:
        _date(layer, root)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink()


def _make(place: Path, thing: Thing, root: Path) -> None:
    if thing.kind in ("directory", "opaque"):
        if place != root:
            place.mkdir()
    elif thing.kind == "symlink":
        place.symlink_to(thing.target)
    elif thing.kind == "hardlink":
        os.link(root / thing.target, place)
        return
    elif thing.kind == "fifo":
        os.mkfifo(place)
    elif thing.kind == "device":
        os.mknod(place, stat.S_IFCHR | 0o600, thing.device)
    else:
        place.write_bytes(thing.content)
    os.chown(place, thing.uid, thing.gid, follow_symlinks=False)
    if thing.kind != "symlink":
        os.chmod(place, thing.mode)
        for key, value in thing.xattrs.items():
            os.setxattr(place, key, value)
    os.utime(place, (thing.mtime, thing.mtime), follow_symlinks=False)


def _date(layer: Layer, root: Path) -> None:
    """Directories, whose times change while they are filled."""
    for path, thing in reversed(list(layer.items())):
        place = root / path
        if thing.kind in ("directory", "opaque") and place.is_dir() and not place.is_symlink():
            os.utime(place, (thing.mtime, thing.mtime))
