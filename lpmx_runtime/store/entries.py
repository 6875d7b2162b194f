"""A layer's entry list: all that the layer says, also what its tree cannot show.

The tree holds names and content. Owners, device numbers, modes, whiteouts,
opaque markers and the attributes that a file system may refuse are here, in
the file `entries` beside the tree; the index is built from it alone.

    header | records | paths | targets | attributes

Paths ("usr/bin/env", the root's is empty) and targets are joined by NUL, in
the order of the records, which is the order of the paths' bytes: a directory
comes before what is in it. Attributes are JSON: path, then name, then value,
both of these in base 64.
"""
from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import AbstractSet, Dict, Iterator, NamedTuple, Tuple, cast

from ..errors import StoreDamaged
from .files import write_file

VERSION = 1
_MAGIC = b"LPMXENT\0"
_HEADER = struct.Struct("<8sIIQQQII")  # ..., sizes of paths, targets, attributes; CRC-32; 0
_RECORD = struct.Struct("<B3xIIIQqIII")

# What a record is about.
OBJECT = 0       # something in the tree
IMPLIED = 1      # a directory of the tree that no member names
WHITEOUT = 2     # the path is hidden in the layers below
OPAQUE = 3       # what the layers below have in this directory is hidden
LOWER_LINK = 4   # a hard link to `target`, a path that only a layer below has


class Entry(NamedTuple):
    """One record with its strings. `mode` has the type; `link_group` is 0, or
    the same number for all names that the layer has for one file."""

    path: bytes
    target: bytes
    kind: int
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    rdev_major: int = 0
    rdev_minor: int = 0
    link_group: int = 0


Attributes = Dict[bytes, Dict[bytes, bytes]]


def write_entries(path: Path, entries: list[Entry], attributes: Attributes) -> None:
    """Store `entries`, in any order, as the file `path`."""
    entries = sorted(entries)
    records = b"".join([_RECORD.pack(*entry[2:]) for entry in entries])
    paths = b"\0".join([entry.path for entry in entries])
    targets = b"\0".join([entry.target for entry in entries])
    extra = json.dumps({_encode(name): {_encode(k): _encode(v) for k, v in values.items()}
                        for name, values in attributes.items()}).encode()
    crc = zlib.crc32(extra, zlib.crc32(targets, zlib.crc32(paths, zlib.crc32(records))))
    header = _HEADER.pack(_MAGIC, VERSION, len(entries), len(paths), len(targets), len(extra),
                          crc, 0)
    write_file(path, (header, records, paths, targets, extra))


# An `Entry` without its first two fields.
Record = Tuple[int, int, int, int, int, int, int, int, int]
RawEntry = Tuple[bytes, bytes, Record]


def read_raw(path: Path) -> Iterator[RawEntry]:
    """(path, target, record) of each entry: the form that the index, which reads
    them all, is built from."""
    return _raw(*_sections(path)[:3])


def read_raw_and_attributed(path: Path) -> Tuple[Iterator[RawEntry], AbstractSet[bytes]]:
    """The same, and the paths of which the layer says attributes."""
    *raw, data = _sections(path)
    return _raw(*raw), _attributes(path, data).keys()


def _raw(records: bytes, paths: bytes, targets: bytes) -> Iterator[RawEntry]:
    found = zip(paths.split(b"\0"), targets.split(b"\0"), _RECORD.iter_unpack(records))
    return cast("Iterator[RawEntry]", found)


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries in the order of their paths."""
    return (Entry(name, target, *record) for name, target, record in read_raw(path))


def read_attributes(path: Path) -> Attributes:
    """The extended attributes of the layer's members, stored in the tree or not."""
    return _attributes(path, _sections(path)[3])


def _attributes(path: Path, data: bytes) -> Attributes:
    try:
        return {_decode(name): {_decode(k): _decode(v) for k, v in values.items()}
                for name, values in json.loads(data).items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise _damaged(path, "its attributes make no sense") from None


def _sections(path: Path) -> tuple[bytes, bytes, bytes, bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _damaged(path, "it is missing") from None
    if len(data) < _HEADER.size or data[:8] != _MAGIC:
        raise _damaged(path, "it is no entry list")
    _, version, count, paths, targets, extra, crc, _ = _HEADER.unpack_from(data)
    if version != VERSION:
        raise _damaged(path, f"it has version {version}, and we read version {VERSION}")
    if zlib.crc32(memoryview(data)[_HEADER.size:]) != crc:
        raise _damaged(path, "its checksum is wrong")
    first = _HEADER.size + count * _RECORD.size
    second, third = first + paths, first + paths + targets
    if third + extra != len(data):
        raise _damaged(path, "its parts do not fit together")
    return data[_HEADER.size:first], data[first:second], data[second:third], data[third:]


def _damaged(path: Path, cause: str) -> StoreDamaged:
    return StoreDamaged(f'cannot read a layer\'s entry list "{path}": {cause}',
                        hint="remove the image with \"lpmx rmi\" and pull it again")


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text)
