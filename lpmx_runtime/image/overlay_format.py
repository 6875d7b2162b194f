"""How file systems keep changes as the kernel's overlayfs and fuse-overlayfs do.

A character device 0/0 stands for what is deleted, an attribute of a directory says that nothing
below it shows; layers have files of special names for both (OCI layer spec, "Whiteouts").
"""
from __future__ import annotations

from typing import Mapping

from ..errors import ArchiveDamaged
from . import tarwriter

_WHITEOUT, _OPAQUE = b".wh.", b".wh..wh..opq"
_OPAQUES = (b"trusted.overlay.opaque", b"user.overlay.opaque", b"user.fuseoverlayfs.opaque")
_ELSEWHERE = (b"trusted.overlay.redirect", b"user.overlay.redirect", b"trusted.overlay.metacopy",
              b"user.overlay.metacopy")
_OVERRIDES = (b"user.containers.override_stat", b"user.fuseoverlayfs.override_stat")
_OWN = (b"trusted.", b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers.", b"system.")


def whiteout(prefix: bytes, name: bytes) -> bytes:
    """The member that hides `name` below `prefix`, which ends with a slash or is empty."""
    return tarwriter.header(prefix + _WHITEOUT + name, tarwriter.FILE, 0o600)


def opaque(prefix: bytes, attributes: Mapping[bytes, bytes]) -> bytes:
    """The member that hides all below the directory `prefix`, if its attributes say so."""
    if any(attributes.get(name) == b"y" for name in _OPAQUES):
        return tarwriter.header(prefix + _OPAQUE, tarwriter.FILE, 0o600)
    return b""


def files_own(attributes: Mapping[bytes, bytes]) -> "dict[bytes, bytes]":
    """The attributes that are the file's, and not the format's."""
    return {name: value for name, value in attributes.items() if not name.startswith(_OWN)}


def check_here(path: bytes, attributes: Mapping[bytes, bytes], failing: str) -> None:
    """Raise `ArchiveDamaged` where the content of `path` is in another place."""
    if any(name in attributes for name in _ELSEWHERE):
        shown = path.decode("utf-8", "backslashreplace")[:200]
        raise ArchiveDamaged(f'{failing}: "/{shown}" of its overlay was renamed in a way '
                             "that refers to another place, which cannot be taken over",
                             hint='have Apptainer build a new image of it first')


def override(attributes: Mapping[bytes, bytes],
             said: "tuple[int, int, int]") -> "tuple[int, int, int]":
    """Mode and owner, as fuse-overlayfs keeps what it cannot give the file itself; else as
    they are `said`."""
    for name in _OVERRIDES:
        parts = attributes.get(name, b"").split(b":")
        try:
            return int(parts[2], 8) & 0o7777, int(parts[0]), int(parts[1])
        except (ValueError, IndexError):
            continue
    return said
