"""Tars made by us: PAX headers of single members, and pieces as a stream to read.

Times are whole seconds, as other builders of images write them.
"""
from __future__ import annotations

import io
import tarfile
from typing import Iterable, Mapping, Optional, Sequence

BLOCK = 512

FILE, LINK, SYMLINK = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE
CHARACTER, BLOCK_DEVICE = tarfile.CHRTYPE, tarfile.BLKTYPE
DIRECTORY, FIFO = tarfile.DIRTYPE, tarfile.FIFOTYPE

#: What a tar ends with.
END = bytes(2 * BLOCK)


def header(path: bytes, kind: bytes, mode: int, *, uid: int = 0, gid: int = 0, mtime: int = 0,
           size: int = 0, target: bytes = b"", major: int = 0, minor: int = 0,
           xattrs: Optional[Mapping[bytes, bytes]] = None,
           real_size: Optional[int] = None) -> bytes:
    """The header blocks of one member; `size` bytes and `padding(size)` follow.

    With `real_size` it is a file of that size with holes: what follows is its
    `sparse_map` and then the data (GNU tar manual, "PAX Format, Version 1.0").
    """
    info = tarfile.TarInfo(_text(path))
    info.type, info.mode, info.uid, info.gid = kind, mode, uid, gid
    info.mtime, info.size = mtime, size
    info.linkname = _text(target)
    info.devmajor, info.devminor = major, minor
    info.pax_headers = {"SCHILY.xattr." + _text(name): _text(value)
                        for name, value in (xattrs or {}).items()}
    if real_size is not None:
        above, _, last = info.name.rpartition("/")
        info.pax_headers.update({"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                                 "GNU.sparse.name": info.name,
                                 "GNU.sparse.realsize": str(real_size)})
        # what a reader that knows no holes unpacks it as
        info.name = f"{above}/GNUSparseFile.0/{last}".lstrip("/")
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def sparse_map(extents: Sequence[tuple[int, int]]) -> bytes:
    """What comes before the data of a file with holes: the offset and length of each part."""
    text = "".join(f"{number}\n" for number in
                   (len(extents), *(number for extent in extents for number in extent))).encode()
    return text + padding(len(text))


def can_name(name: bytes) -> bool:
    """Whether an extended attribute of a member can be called so: PAX has names in UTF-8."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def padding(size: int) -> bytes:
    """What fills up the last block of a content of `size` bytes."""
    return bytes(-size % BLOCK)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


class Stream(io.RawIOBase):
    """The pieces that an iterator gives, as a file to read from."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found: list[memoryview] = []
        while size:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = memoryview(piece)
                continue
            taken = self._rest if size < 0 else self._rest[:size]
            self._rest = self._rest[len(taken):]
            found.append(taken)
            if size > 0:
                size -= len(taken)
        return b"".join(found)
