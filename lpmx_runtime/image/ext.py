"""An ext2, ext3 or ext4 file system, read without mounting it.

The format is that of Documentation/filesystems/ext4 of the kernel. Whatever is read from the
file may be wrong: places are inside it, what is read is bounded by its size, as each block
belongs to one object, and a directory is in one place.
"""
from __future__ import annotations

import struct
from typing import Iterator, NamedTuple

from ..errors import ArchiveDamaged
from . import tarwriter
from .part import read_at

_SUPERBLOCK_AT, _SUPERBLOCK_SIZE = 1024, 1024
_MAGIC = 0xEF53
_ROOT = 2
_EXTENTS, _INLINE = 0x80000, 0x10000000
# Features without which a file system can be read as here: file types in directories, a
# journal to be replayed (which is refused below), extents, large block numbers, groups in
# others' places, checksums.
_KNOWN = 0x2 | 0x4 | 0x40 | 0x80 | 0x200 | 0x2000
_UNFINISHED = 0x4
_64BIT = 0x80
_EXTENT_MAGIC, _EXTENT_DEPTH = 0xF30A, 5
_ATTRIBUTES_MAGIC = 0xEA020000
_PREFIXES = {1: b"user.", 2: b"system.posix_acl_access", 3: b"system.posix_acl_default",
             4: b"trusted.", 6: b"security."}
_RUNS_MAX = 1 << 20
_TARGET_MAX = 4096
_VALUE_MAX = 1 << 16


class Inode(NamedTuple):
    """What is known of one object; `raw` is all of it, as it lies there."""

    number: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    links: int
    flags: int
    raw: bytes


class Ext:
    """The file system that begins at `offset` of the open file `fd` and has `size` bytes.

    `failing` begins messages. Raises `ArchiveDamaged` wherever the file makes no sense.
    """

    def __init__(self, fd: int, offset: int, size: int, failing: str) -> None:
        self._fd, self._offset, self._size, self._failing = fd, offset, size, failing
        # Every block belongs to one object. The lists of a file's blocks are read twice, for
        # where its holes are, and for its content.
        self._left = 2 * size
        head = self._read(_SUPERBLOCK_AT, _SUPERBLOCK_SIZE)
        magic, = struct.unpack_from("<H", head, 56)
        if magic != _MAGIC:
            raise self._damaged("it is no ext3 file system")
        self._inodes, = struct.unpack_from("<I", head, 0)
        first, shift = struct.unpack_from("<II", head, 20)
        self._per_group, = struct.unpack_from("<I", head, 40)
        revision, = struct.unpack_from("<I", head, 76)
        self._inode_size, = struct.unpack_from("<H", head, 88) if revision else (128,)
        incompatible, = struct.unpack_from("<I", head, 96)
        if shift > 6 or self._inode_size < 128 or self._inode_size & self._inode_size - 1 \
                or not self._per_group:
            raise self._damaged("its head is damaged")
        if incompatible & ~_KNOWN:
            raise self._damaged(f"it needs what is not known here ({incompatible & ~_KNOWN:#x})")
        if incompatible & _UNFINISHED:
            raise self._damaged("it was not unmounted, and its journal not replayed")
        self._block = 1024 << shift
        if self._inode_size > self._block:
            raise self._damaged("its head is damaged")
        described, = struct.unpack_from("<H", head, 254)
        self._described = max(64, described) if incompatible & _64BIT else 32
        self._groups_at = (first + 1) * self._block

    # -- objects

    def root(self) -> Inode:
        return self.inode(_ROOT)

    def names(self, directory: Inode) -> "Iterator[tuple[bytes, int]]":
        """What is in a directory, without "." and "..", and the numbers of the inodes."""
        for data in self._blocks(directory):
            at = 0
            while at + 8 <= len(data):
                number, length, size = struct.unpack_from("<IHB", data, at)
                if length < 8 or length % 4 or at + length > len(data) or size > length - 8:
                    raise self._damaged("a directory in it is damaged")
                name = data[at + 8:at + 8 + size]
                at += length
                if number and name not in (b".", b".."):
                    if not name or b"/" in name or b"\0" in name:
                        raise self._damaged(f"a name in it is {name!r}")
                    yield name, number

    def extents(self, inode: Inode) -> "list[tuple[int, int]]":
        """The parts of a file that are no holes, as offsets and lengths."""
        found: list[tuple[int, int]] = []
        for logical, _, count in self._runs(inode):
            start = logical * self._block
            length = min(count * self._block, inode.size - start)
            if length <= 0:
                break
            if found and sum(found[-1]) == start:
                found[-1] = (found[-1][0], found[-1][1] + length)
            else:
                found.append((start, length))
        return found

    def content(self, inode: Inode) -> Iterator[bytes]:
        """The bytes of those parts."""
        for logical, physical, count in self._runs(inode):
            left = min(count * self._block, inode.size - logical * self._block)
            self._take(left)
            at = physical * self._block
            while left > 0:
                piece = self._read(at, min(left, 1 << 20))
                yield piece
                at, left = at + len(piece), left - len(piece)

    def target(self, inode: Inode) -> bytes:
        """Where a symbolic link leads."""
        if not 0 < inode.size < _TARGET_MAX:
            raise self._damaged(f"a link in it has {inode.size} bytes")
        if inode.size < 60 and not inode.flags & _EXTENTS:
            return inode.raw[40:40 + inode.size]
        return b"".join(self.content(inode))[:inode.size]

    @staticmethod
    def device(inode: Inode) -> "tuple[int, int]":
        """Major and minor number."""
        old, new = struct.unpack_from("<II", inode.raw, 40)
        if old:
            return old >> 8 & 0xFF, old & 0xFF
        return new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00

    def attributes(self, inode: Inode) -> "dict[bytes, bytes]":
        """The extended attributes."""
        found: dict[bytes, bytes] = {}
        if len(inode.raw) > 132:
            more, = struct.unpack_from("<H", inode.raw, 128)
            body = inode.raw[128 + more:] if more <= len(inode.raw) - 128 else b""
            if len(body) >= 4 and struct.unpack_from("<I", body)[0] == _ATTRIBUTES_MAGIC:
                self._attributes(body[4:], body[4:], found)
        block = struct.unpack_from("<I", inode.raw, 104)[0] \
            | struct.unpack_from("<H", inode.raw, 118)[0] << 32
        if block:
            data = self._read(block * self._block, self._block)
            if struct.unpack_from("<I", data)[0] != _ATTRIBUTES_MAGIC:
                raise self._damaged("attributes in it are damaged")
            self._attributes(data[32:], data, found)
        return found

    def _attributes(self, entries: bytes, values: bytes, found: "dict[bytes, bytes]") -> None:
        at = 0
        while at + 16 <= len(entries) and entries[at:at + 4] != bytes(4):
            length, kind, place, elsewhere, size = struct.unpack_from("<BBHII", entries, at)
            name = entries[at + 16:at + 16 + length]
            at += 16 + (length + 3 & ~3)
            if elsewhere or size > _VALUE_MAX or place + size > len(values):
                raise self._damaged("an attribute in it is damaged")
            if kind in _PREFIXES and b"\0" not in name and b"=" not in name:
                if not tarwriter.can_name(name):
                    raise self._damaged(f"the name of an attribute in it, {name!r}, is no UTF-8, "
                                        "and so cannot be in a layer")
                found[_PREFIXES[kind] + name] = values[place:place + size]

    # -- inodes and blocks

    def inode(self, number: int) -> Inode:
        """The object of that number."""
        if not 0 < number <= self._inodes:
            raise self._damaged("a name in it leads nowhere")
        group, place = divmod(number - 1, self._per_group)
        described = self._read(self._groups_at + group * self._described, self._described)
        table, = struct.unpack_from("<I", described, 8)
        if self._described >= 64:
            table |= struct.unpack_from("<I", described, 40)[0] << 32
        raw = self._read(table * self._block + place * self._inode_size, self._inode_size)
        mode, uid, low, _, _, mtime, _, gid, links, _, flags = struct.unpack_from("<HHIIIIIHHII", raw)
        high, = struct.unpack_from("<I", raw, 108)
        uid_high, gid_high = struct.unpack_from("<HH", raw, 120)
        if flags & _INLINE:
            raise self._damaged("it keeps files inside its inodes, which is not known here")
        return Inode(number, mode, uid | uid_high << 16, gid | gid_high << 16, low | high << 32,
                     mtime, links, flags, raw)

    def _blocks(self, inode: Inode) -> Iterator[bytes]:
        for _, physical, count in self._runs(inode):
            for number in range(count):
                self._take(self._block)
                yield self._read((physical + number) * self._block, self._block)

    def _runs(self, inode: Inode) -> "Iterator[tuple[int, int, int]]":
        """Where the blocks of a file are: which first one, at which place, and how many."""
        last, runs = 0, 0
        blocks = -(-inode.size // self._block)
        found = (self._extent_runs(inode.raw[40:100], 0) if inode.flags & _EXTENTS
                 else self._mapped_runs(inode.raw[40:100]))
        for logical, physical, count in found:
            runs += 1
            if logical < last or runs > _RUNS_MAX:
                raise self._damaged("the blocks of a file in it are not in order")
            if logical >= blocks:
                return   # kept for what may come
            count = min(count, blocks - logical)
            last = logical + count
            yield logical, physical, count

    def _extent_runs(self, node: bytes, level: int) -> "Iterator[tuple[int, int, int]]":
        magic, count, _, depth = struct.unpack_from("<4H", node)
        if magic != _EXTENT_MAGIC or 12 + 12 * count > len(node) or level > _EXTENT_DEPTH:
            raise self._damaged("the blocks of a file in it are nowhere")
        for number in range(count):
            at = 12 + 12 * number
            if depth:
                _, low, high = struct.unpack_from("<IIH", node, at)
                yield from self._extent_runs(
                    self._list_block(low | high << 32), level + 1)
                continue
            logical, length, high, low = struct.unpack_from("<IHHI", node, at)
            if length <= 0x8000:   # longer ones are not written yet: holes
                yield logical, low | high << 32, length

    def _mapped_runs(self, words: bytes) -> "Iterator[tuple[int, int, int]]":
        """Of the older form: twelve blocks, then lists, lists of lists, and so on."""
        each = self._block // 4
        logical = 0
        run = (0, 0, 0)
        for logical, physical in self._mapped(struct.unpack("<15I", words), each):
            if physical == run[1] + run[2] and logical == run[0] + run[2] and run[2]:
                run = (run[0], run[1], run[2] + 1)
                continue
            if run[2]:
                yield run
            run = (logical, physical, 1)
        if run[2]:
            yield run

    def _mapped(self, words: "tuple[int, ...]", each: int) -> "Iterator[tuple[int, int]]":
        for number in range(12):
            if words[number]:
                yield number, words[number]
        first = 12
        for level in range(1, 4):
            if words[11 + level]:
                yield from self._list(words[11 + level], level, first, each)
            first += each ** level

    def _list(self, block: int, level: int, first: int, each: int) -> "Iterator[tuple[int, int]]":
        for number, place in enumerate(struct.unpack(f"<{each}I", self._list_block(block))):
            if place and level > 1:
                yield from self._list(place, level - 1, first + number * each ** (level - 1), each)
            elif place:
                yield first + number, place

    def _list_block(self, number: int) -> bytes:
        """A block that says where others are."""
        self._take(self._block)
        return self._read(number * self._block, self._block)

    def _take(self, count: int) -> None:
        """Count bytes that belong to one object only."""
        self._left -= count
        if self._left < 0:
            raise self._damaged("blocks in it belong to several files")

    def _read(self, at: int, size: int) -> bytes:
        if at + size > self._size:
            raise self._damaged("it points outside itself")
        data = read_at(self._fd, self._offset + at, size)
        if len(data) < size:
            raise self._damaged("it is cut short")
        return data

    def _damaged(self, cause: str) -> ArchiveDamaged:
        return ArchiveDamaged(f"{self._failing}: the file system of its overlay: {cause}",
                              hint="make or copy the file again")


