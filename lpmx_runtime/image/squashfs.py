"""A squashfs file system as a tar, read without mounting it and without a tool of the host.

The format is that of version 4.0, the only one that Linux since 2.6.29 reads
(Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h of the kernel). Whatever is
read from the file may be wrong: sizes are bounded by what the format allows, names lead nowhere,
and a directory is in one place.
"""
from __future__ import annotations

import lzma
import struct
import sys
import zlib
from array import array
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import chain
from typing import Callable, Iterator, NamedTuple, Sequence

import zstandard

from ..errors import ArchiveDamaged
from . import lz4, lzo, overlay_format, tarwriter
from .part import read_at

MAGIC = b"hsqs"

_SUPERBLOCK = struct.Struct("<4s4I6H8Q")
_INODE = struct.Struct("<4H2I")
_DIRECTORY_HEADER = struct.Struct("<3I")
_DIRECTORY_ENTRY = struct.Struct("<HhHH")
_FRAGMENT = struct.Struct("<QII")
_XATTR_HEADER = struct.Struct("<QII")
_XATTR_ID = struct.Struct("<QII")

_METADATA = 8192
_METADATA_WHOLE, _BLOCK_WHOLE = 0x8000, 1 << 24
_NONE = 0xFFFFFFFF
_BLOCK_MAX = 1 << 20
_NO_TABLE = (1 << 64) - 1
_PREFIXES = {0: b"user.", 1: b"trusted.", 2: b"security."}
_ELSEWHERE = 0x100  # of an attribute's kind: the value is found by a reference
_NAME_MAX, _TARGET_MAX, _VALUE_MAX = 256, 65536, 65536
# Of all attributes of an object: what a tar can say of a member (store/tar.py).
_ATTRIBUTES_MAX = 1 << 20
_DEPTH_MAX = 4096
_SOCKET = b"socket"
_BLOCKS_MAX = 1 << 25
_KEPT = 64  # blocks of metadata, and of fragments, that are kept


class _Inode(NamedTuple):
    """What is known of one object; `at` tells inodes apart."""

    at: int
    kind: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    links: int
    size: int = 0
    blocks: Sequence[int] = ()
    start: int = 0
    fragment: int = _NONE
    offset: int = 0
    target: bytes = b""
    device: int = 0
    xattrs: int = _NONE


@dataclass
class _Kept:
    """What was read last, by place."""

    read: "Callable[[int], tuple[bytes, int]]"
    found: "OrderedDict[int, tuple[bytes, int]]" = field(default_factory=OrderedDict)

    def __call__(self, at: int) -> "tuple[bytes, int]":
        if at in self.found:
            self.found.move_to_end(at)
            return self.found[at]
        result = self.found[at] = self.read(at)
        if len(self.found) > _KEPT:
            self.found.popitem(last=False)
        return result


class Squashfs:
    """The file system that begins at `offset` of the open file `fd` and has `size` bytes there.

    `failing` begins messages. Raises `ArchiveDamaged` wherever the file makes no sense.
    """

    def __init__(self, fd: int, offset: int, size: int, failing: str) -> None:
        self._fd, self._offset, self._size, self._failing = fd, offset, size, failing
        head = self._read(0, _SUPERBLOCK.size)
        (magic, _, _, self._block, self._fragments, compressor, _, _, self._ids, major, minor,
         self._root, used, self._id_table, self._xattr_table, self._inode_table,
         self._directory_table, self._fragment_table, _) = _SUPERBLOCK.unpack(head)
        if magic != MAGIC:
            raise self._damaged("it is no squashfs file system")
        if (major, minor) != (4, 0):
            raise self._damaged(f"its squashfs file system has version {major}.{minor}, "
                                "and 4.0 can be read")
        if used > size:
            raise self._damaged("its squashfs file system is cut short")
        if self._block > _BLOCK_MAX or self._block < 4096 or self._block & (self._block - 1):
            raise self._damaged(f"its squashfs file system has blocks of {self._block} bytes")
        if compressor not in _DECOMPRESSORS:
            raise self._damaged(f"its squashfs file system is compressed with method {compressor}, "
                                "which nobody knows")
        self._decompress = _DECOMPRESSORS[compressor]
        self._metadata = _Kept(self._read_metadata)
        self._whole_fragments = _Kept(self._read_fragment)

    # -- the tar

    def tar(self, *, changes: bool = False) -> Iterator[bytes]:
        """The pieces of a tar of all of it, with owners, devices, links and attributes.

        `changes`: it holds what an overlay changes, in overlayfs' way, which becomes that of
        layers.
        """
        seen: dict[int, bytes] = {}
        for path, inode in self._walk():
            first = seen.get(inode.at)
            if first is not None:
                yield tarwriter.header(path, tarwriter.LINK, inode.mode, uid=inode.uid,
                                       gid=inode.gid, mtime=inode.mtime, target=first)
                continue
            if changes and inode.kind == tarwriter.CHARACTER and not inode.device:
                above, _, name = path.rpartition(b"/")
                yield overlay_format.whiteout(above + b"/", name)
                continue
            if inode.links > 1 and inode.kind != tarwriter.DIRECTORY:
                seen[inode.at] = path
            xattrs = self._attributes(inode.xattrs)
            if not changes:
                yield from self._member(path, inode, xattrs)
                continue
            overlay_format.check_here(path[2:], xattrs, self._failing)
            mode, uid, gid = overlay_format.override(xattrs, (inode.mode, inode.uid, inode.gid))
            yield from self._member(path, inode._replace(mode=mode, uid=uid, gid=gid),
                                    overlay_format.files_own(xattrs))
            if inode.kind == tarwriter.DIRECTORY and inode.at != self._root:
                yield overlay_format.opaque(path, xattrs)
        yield tarwriter.END

    def _member(self, path: bytes, inode: _Inode,
                xattrs: "dict[bytes, bytes]") -> Iterator[bytes]:
        if inode.kind != tarwriter.FILE:
            yield tarwriter.header(path, inode.kind, inode.mode, uid=inode.uid, gid=inode.gid,
                                   mtime=inode.mtime, target=inode.target,
                                   major=inode.device >> 8 & 0xFFF,
                                   minor=inode.device & 0xFF | inode.device >> 12 & 0xFFF00,
                                   xattrs=xattrs)
            return
        extents = self._extents(inode)
        length = sum(size for _, size in extents)
        has_holes = length < inode.size
        holes = tarwriter.sparse_map(extents) if has_holes else b""
        length += len(holes)
        yield tarwriter.header(path, inode.kind, inode.mode, uid=inode.uid, gid=inode.gid,
                               mtime=inode.mtime, size=length, xattrs=xattrs,
                               real_size=inode.size if has_holes else None)
        yield holes
        yield from self._content(inode)
        yield tarwriter.padding(length)

    def _extents(self, inode: _Inode) -> "list[tuple[int, int]]":
        """The parts of a file that are no holes."""
        found: list[tuple[int, int]] = []
        ends = len(inode.blocks) * self._block
        parts = ((n * self._block, min(self._block, inode.size - n * self._block))
                 for n, block in enumerate(inode.blocks) if block)
        tail = [(ends, inode.size - ends)] if inode.fragment != _NONE else []
        for start, size in chain(parts, tail):
            if found and sum(found[-1]) == start:
                found[-1] = (found[-1][0], found[-1][1] + size)
            else:
                found.append((start, size))
        return found

    def _content(self, inode: _Inode) -> Iterator[bytes]:
        at = inode.start
        for n, word in enumerate(inode.blocks):
            if not word:
                continue
            wanted = min(self._block, inode.size - n * self._block)
            data, at = self._data(at, word)
            if len(data) != wanted:
                raise self._damaged(f"a block of a file has {len(data)} bytes, not {wanted}")
            yield data
        if inode.fragment != _NONE:
            size = inode.size - len(inode.blocks) * self._block
            data, _ = self._whole_fragments(inode.fragment)
            part = data[inode.offset:inode.offset + size]
            if len(part) != size:
                raise self._damaged("the end of a file is cut short")
            yield part

    # -- directories

    def _walk(self) -> "Iterator[tuple[bytes, _Inode]]":
        root = self._inode(self._root)
        if root.kind != tarwriter.DIRECTORY:
            raise self._damaged("its root is no directory")
        yield b"./", root
        known = {root.at}
        stack = [(b"./", self._names(root))]
        while stack:
            prefix, names = stack[-1]
            entry = next(names, None)
            if entry is None:
                stack.pop()
                continue
            name, reference = entry
            inode = self._inode(reference)
            if inode.kind == _SOCKET:
                continue  # a tar has none, and who listened there is gone
            if inode.kind != tarwriter.DIRECTORY:
                yield prefix + name, inode
                continue
            if inode.at in known or len(stack) > _DEPTH_MAX:
                raise self._damaged("one of its directories is in two places, or inside itself")
            yield prefix + name + b"/", inode
            known.add(inode.at)
            stack.append((prefix + name + b"/", self._names(inode)))

    def _names(self, inode: _Inode) -> "Iterator[tuple[bytes, int]]":
        """The names in a directory, each with a reference to its inode."""
        left = inode.size - 3  # of "." and "..", which are not there
        reader = self._reader(self._directory_table, inode.start, inode.offset)
        last = b""
        while left > 0:
            count, start, _ = _DIRECTORY_HEADER.unpack(reader(_DIRECTORY_HEADER.size))
            left -= _DIRECTORY_HEADER.size
            if count >= 256:
                raise self._damaged("one of its directories is damaged")
            for _ in range(count + 1):
                offset, _, _, size = _DIRECTORY_ENTRY.unpack(reader(_DIRECTORY_ENTRY.size))
                if size >= _NAME_MAX:
                    raise self._damaged("a name in it is too long")
                name = reader(size + 1)
                left -= _DIRECTORY_ENTRY.size + size + 1
                if name in (b".", b"..") or b"/" in name or b"\0" in name:
                    raise self._damaged(f"a name in it is {name!r}")
                if name <= last:
                    raise self._damaged("the names in one of its directories are not in order")
                last = name
                yield name, start << 16 | offset

    # -- inodes

    def _inode(self, reference: int) -> _Inode:
        reader = self._reader(self._inode_table, reference >> 16, reference & 0xFFFF)
        kind, mode, uid, gid, mtime, _ = _INODE.unpack(reader(_INODE.size))
        extended = kind > 7
        kinds = (tarwriter.DIRECTORY, tarwriter.FILE, tarwriter.SYMLINK, tarwriter.BLOCK_DEVICE,
                 tarwriter.CHARACTER, tarwriter.FIFO, _SOCKET)
        if not 1 <= kind <= 14:
            raise self._damaged(f"one of its inodes is of kind {kind}")
        inode = _Inode(reference, kinds[(kind - 1) % 7], mode & 0o7777, self._id(uid),
                       self._id(gid), mtime, 1)
        if inode.kind == tarwriter.DIRECTORY:
            if extended:
                links, size, start, _, _, offset, xattrs = struct.unpack("<4I2HI", reader(24))
            else:
                start, links, size, offset, _ = struct.unpack("<2I2HI", reader(16))
                xattrs = _NONE
            return inode._replace(links=links, size=size, start=start, offset=offset,
                                  xattrs=xattrs)
        if inode.kind == tarwriter.FILE:
            return self._file(inode, reader, extended)
        links, = struct.unpack("<I", reader(4))
        inode = inode._replace(links=links)
        if inode.kind == tarwriter.SYMLINK:
            size, = struct.unpack("<I", reader(4))
            if not 0 < size <= _TARGET_MAX:
                raise self._damaged(f"a link in it has {size} bytes")
            inode = inode._replace(target=reader(size))
        elif inode.kind in (tarwriter.BLOCK_DEVICE, tarwriter.CHARACTER):
            inode = inode._replace(device=struct.unpack("<I", reader(4))[0])
        return inode._replace(xattrs=struct.unpack("<I", reader(4))[0]) if extended else inode

    def _file(self, inode: _Inode, reader: "Callable[[int], bytes]", extended: bool) -> _Inode:
        if extended:
            start, size, _, links, fragment, offset, xattrs = struct.unpack("<3Q4I", reader(40))
        else:
            start, fragment, offset, size = struct.unpack("<4I", reader(16))
            links, xattrs = 1, _NONE
        count = size // self._block if fragment != _NONE else -(-size // self._block)
        # a word for each, which must be in the file: a lie that is smaller ends there
        if count > _BLOCKS_MAX:
            raise self._damaged(f"a file in it is said to have {size} bytes")
        if fragment != _NONE and not size % self._block:
            raise self._damaged("a file in it has an end and no bytes there")
        words = array("I", reader(4 * count))
        if sys.byteorder == "big":
            words.byteswap()
        # what is said of blocks that are not there would fill the memory before they are missed
        if start + sum(max(1, word & ~_BLOCK_WHOLE) for word in words if word) > self._size:
            raise self._damaged("a file in it has more bytes than are there")
        return inode._replace(links=links, size=size, start=start, fragment=fragment,
                              offset=offset, xattrs=xattrs, blocks=words)

    def _id(self, number: int) -> int:
        if number >= self._ids:
            raise self._damaged("an owner in it is not in its table")
        return int(struct.unpack("<I", self._entry(self._id_table, number, 4))[0])

    def _attributes(self, number: int) -> "dict[bytes, bytes]":
        if number == _NONE or self._xattr_table == _NO_TABLE:
            return {}
        start, count, _ = _XATTR_HEADER.unpack(self._read(self._xattr_table, _XATTR_HEADER.size))
        if number >= count:
            raise self._damaged("attributes in it are not in their table")
        place, names, _ = _XATTR_ID.unpack(self._entry(
            self._xattr_table + _XATTR_HEADER.size, number, _XATTR_ID.size))
        reader = self._reader(start, place >> 16, place & 0xFFFF)
        found: dict[bytes, bytes] = {}
        total = 0
        if names > 65536:
            raise self._damaged("a file in it has too many attributes")
        for _ in range(names):
            kind, size = struct.unpack("<2H", reader(4))
            name = reader(size)
            value = self._value(reader)
            if kind & _ELSEWHERE:
                if len(value) != 8:
                    raise self._damaged("the value of an attribute in it is nowhere")
                reference, = struct.unpack("<Q", value)
                value = self._value(self._reader(start, reference >> 16, reference & 0xFFFF))
            total += size + len(value)
            if total > _ATTRIBUTES_MAX:   # they may all refer to one value
                raise self._damaged("a file in it has too many attributes")
            prefix = _PREFIXES.get(kind & 0xFF)
            if prefix is None or not name or b"\0" in name or b"=" in name:
                raise self._damaged("an attribute in it has no name")
            if not tarwriter.can_name(name):
                raise self._damaged(f"the name of an attribute in it, {name!r}, is no UTF-8, "
                                    "and so cannot be in a layer")
            found[prefix + name] = value
        return found

    def _value(self, reader: "Callable[[int], bytes]") -> bytes:
        size, = struct.unpack("<I", reader(4))
        if size > _VALUE_MAX:
            raise self._damaged(f"an attribute in it has {size} bytes")
        return reader(size)

    # -- tables and blocks

    def _entry(self, table: int, number: int, size: int) -> bytes:
        """Entry `number` of a table in blocks of metadata, whose places are listed at `table`."""
        each = _METADATA // size
        block, = struct.unpack("<Q", self._read(table + 8 * (number // each), 8))
        data, _ = self._metadata(block)
        at = number % each * size
        if len(data) < at + size:
            raise self._damaged("one of its tables is cut short")
        return data[at:at + size]

    def _reader(self, table: int, block: int, offset: int) -> "Callable[[int], bytes]":
        """What reads on from byte `offset` of the block of metadata at `table` + `block`."""
        data, after = self._metadata(table + block)
        at = offset

        def read(size: int) -> bytes:
            nonlocal data, after, at
            result = bytearray(data[at:at + size])
            at += len(result)
            while len(result) < size:
                data, after = self._metadata(after)
                part = data[:size - len(result)]
                if not part:
                    raise self._damaged("its metadata is cut short")
                result += part
                at = len(part)
            return bytes(result)
        return read

    def _read_metadata(self, at: int) -> "tuple[bytes, int]":
        word, = struct.unpack("<H", self._read(at, 2))
        size = word & ~_METADATA_WHOLE
        data = self._read(at + 2, size)
        if not word & _METADATA_WHOLE:
            data = self._expand(data, _METADATA)
        if not data or len(data) > _METADATA:
            raise self._damaged("a block of its metadata is damaged")
        return data, at + 2 + size

    def _read_fragment(self, number: int) -> "tuple[bytes, int]":
        if number >= self._fragments:
            raise self._damaged("the end of a file is not in its table")
        start, word, _ = _FRAGMENT.unpack(self._entry(self._fragment_table, number, _FRAGMENT.size))
        return self._data(start, word)

    def _data(self, at: int, word: int) -> "tuple[bytes, int]":
        """A block of files' data, by its place and the word that tells its size."""
        size = word & ~_BLOCK_WHOLE
        if size > self._block:
            raise self._damaged(f"a block in it has {size} bytes")
        data = self._read(at, size)
        return (data if word & _BLOCK_WHOLE else self._expand(data, self._block)), at + size

    def _expand(self, data: bytes, limit: int) -> bytes:
        try:
            return self._decompress(data, limit)
        except (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, ValueError) as error:
            raise self._damaged(f"a block in it cannot be decompressed ({error})") from None

    def _read(self, at: int, size: int) -> bytes:
        if at + size > self._size:
            raise self._damaged("it is cut short, or points outside itself")
        data = read_at(self._fd, self._offset + at, size)
        if len(data) < size:
            raise self._damaged("it is cut short")
        return data

    def _damaged(self, cause: str) -> ArchiveDamaged:
        return ArchiveDamaged(f"{self._failing}: {cause}", hint="make or copy the file again")


# -- compression


def _zlib(data: bytes, limit: int) -> bytes:
    return zlib.decompressobj().decompress(data, limit + 1)


def _lzma(data: bytes, limit: int) -> bytes:
    # the dictionary is no larger than a block, but the header may say otherwise
    return lzma.LZMADecompressor(memlimit=64 << 20).decompress(data, limit + 1)


def _zstandard(data: bytes, limit: int) -> bytes:
    return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(
        data, max_output_size=limit + 1)


#: By the number in the superblock.
_DECOMPRESSORS: "dict[int, Callable[[bytes, int], bytes]]" = {
    1: _zlib, 2: _lzma, 3: lzo.decompress, 4: _lzma, 5: lz4.decompress, 6: _zstandard,
}
