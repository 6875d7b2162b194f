"""A squashfs file system made of a tar, without a tool of the host.

The format is that of version 4.0 (squashfs.py has where it is described). Data goes to the
file as it comes, compressed by several threads; what is said of the objects is kept in
memory and written at the end. Ends of files that fill no block share blocks ("fragments").
Of extended attributes it has those that the format knows: user, trusted, and security, of which
file capabilities are one.
"""
from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO, Callable, Deque, Mapping, NamedTuple, Optional

import zstandard

from ..store import tar

BLOCK = 128 << 10
_SUPERBLOCK = struct.Struct("<4s4I6H8Q")
_METADATA = 8192
_METADATA_WHOLE, _BLOCK_WHOLE = 0x8000, 1 << 24
_NONE = 0xFFFFFFFF
_NO_TABLE = (1 << 64) - 1
_NO_XATTRS = 1 << 9
_NAME_MAX = 256
_IDS_MAX = 0xFFFF
_MAJOR_MAX, _MINOR_MAX = 0xFFF, 0xFFFFF
_PADDING = 4096
_HALF = 1 << 32
_COMPRESSIONS = {"gzip": 1, "zstd": 6}

_DIRECTORY, _FILE, _SYMLINK, _BLOCK_DEVICE, _CHARACTER, _FIFO = range(1, 7)
_EXTENDED = 7
_PREFIXES = (b"user.", b"trusted.", b"security.")
_VALUE_MAX = 65536
_KINDS = {tar.FILE: _FILE, tar.SYMLINK: _SYMLINK, tar.BLOCK_DEVICE: _BLOCK_DEVICE,
          tar.CHARACTER: _CHARACTER, tar.FIFO: _FIFO}


class Unwritable(ValueError):
    """The tar has something that the file system cannot hold; the text says what."""


@dataclass
class _Node:
    """One object. `words` are the sizes of a file's blocks, as they are stored; `place` is
    where its inode is: the block of metadata, and the offset in it."""

    kind: int
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    target: bytes = b""
    device: int = 0
    size: int = 0
    start: Optional[int] = None
    words: "list[int]" = field(default_factory=list)
    fragment: int = _NONE
    offset: int = 0
    links: int = 1
    xattrs: int = _NONE
    number: int = 0
    place: "Optional[tuple[int, int]]" = None
    children: "dict[bytes, _Node]" = field(default_factory=dict)


class _Job(NamedTuple):
    """A block on its way to the file: whose it is, or of which fragment; None for zeros."""

    packed: "Optional[Future[bytes]]"
    plain: bytes
    node: Optional[_Node]


def write_squashfs(file: BinaryIO, stream: BinaryIO, *, compression: str = "gzip",
                   mtime: int = 0) -> int:
    """Write the file system of the tar `stream` to `file` from where that is; its size in bytes.

    `compression` is "gzip" or "zstd", `mtime` (seconds since 1970) when it is said to be made.
    Raises `Unwritable` for a tar that cannot be one, and `TarError` for none.
    """
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
        writer = _Writer(file, compression, threads)
        reader = tar.TarReader(tar.Source(stream))
        for member in reader:
            writer.take(member, reader)
        return writer.finish(mtime)


class _Writer:
    def __init__(self, file: BinaryIO, compression: str, threads: ThreadPoolExecutor) -> None:
        self._file = file
        self._begin = file.tell()
        self._compression = _COMPRESSIONS[compression]
        self._pack = _zlib if compression == "gzip" else _zstandard
        self._threads = threads
        self._jobs: Deque[_Job] = deque()
        self._root = _Node(_DIRECTORY)
        self._tail = bytearray()
        self._fragments: list[bytes] = []
        self._ids: dict[int, int] = {}
        self._xattrs = _Attributes(self._pack)
        self._at = _SUPERBLOCK.size
        file.write(bytes(_SUPERBLOCK.size))

    # -- members ----------------------------------------------------------------------

    def take(self, member: tar.Member, reader: tar.TarReader) -> None:
        """Take one member of the tar in."""
        parts = [part for part in member.name.split(b"/") if part not in (b"", b".")]
        if b".." in parts or any(len(part) > _NAME_MAX for part in parts):
            raise Unwritable(f"the name {member.name!r}")
        node = self._root if not parts else None
        above = self._directory(parts[:-1])
        if member.kind == tar.DIRECTORY:
            node = node or self._child_directory(above, parts[-1])
        elif node is not None:
            raise Unwritable("a root that is no directory")
        elif member.kind == tar.LINK:
            node = self._found(member.target)
            node.links += 1
            above.children[parts[-1]] = node
            return
        else:
            if member.kind in (tar.BLOCK_DEVICE, tar.CHARACTER) and (
                    member.major > _MAJOR_MAX or member.minor > _MINOR_MAX):
                raise Unwritable(f"the device {member.major}:{member.minor}")
            node = above.children[parts[-1]] = _Node(
                _KINDS[member.kind], target=member.target, size=member.size,
                device=member.major << 8 | member.minor & 0xFF | (member.minor & ~0xFF) << 12)
        node.mode, node.uid, node.gid = member.mode & 0o7777, member.uid, member.gid
        node.mtime = max(0, min(member.mtime_ns // 10 ** 9, _NONE))
        node.xattrs = self._xattrs.number(member.xattrs)
        if node.kind == _FILE:
            self._content(node, member, reader)

    def _directory(self, parts: "list[bytes]") -> _Node:
        node = self._root
        for part in parts:
            node = self._child_directory(node, part)
        return node

    @staticmethod
    def _child_directory(above: _Node, name: bytes) -> _Node:
        node = above.children.get(name)
        if node is None or node.kind != _DIRECTORY:
            node = above.children[name] = _Node(_DIRECTORY)
        return node

    def _found(self, name: bytes) -> _Node:
        node = self._root
        for part in name.split(b"/"):
            if part not in (b"", b"."):
                found = node.children.get(part)
                if found is None:
                    raise Unwritable(f"a link to {name!r}, which is not there")
                node = found
        if node.kind == _DIRECTORY:
            raise Unwritable(f"a link to the directory {name!r}")
        return node

    def _content(self, node: _Node, member: tar.Member, reader: tar.TarReader) -> None:
        buffer = bytearray()
        at = 0
        for offset, piece in reader.content(member):
            at = self._zeros(node, buffer, at, offset)
            at += len(piece)
            buffer += piece
            self._blocks(node, buffer)
        self._zeros(node, buffer, at, member.size)
        if buffer:
            self._end(node, bytes(buffer))

    def _zeros(self, node: _Node, buffer: bytearray, at: int, to: int) -> int:
        """A hole: whole blocks of it take nothing."""
        while at < to:
            count = min(to - at, BLOCK - len(buffer))
            buffer += bytes(count)
            at += count
            self._blocks(node, buffer)
        return at

    def _blocks(self, node: _Node, buffer: bytearray) -> None:
        while len(buffer) >= BLOCK:
            self._submit(bytes(buffer[:BLOCK]), node)
            del buffer[:BLOCK]

    def _end(self, node: _Node, data: bytes) -> None:
        if len(self._tail) + len(data) > BLOCK:
            self._flush_tail()
        node.fragment, node.offset = len(self._fragments) + self._waiting(), len(self._tail)
        self._tail += data

    def _waiting(self) -> int:
        """Fragments that are on their way to the file."""
        return sum(job.node is None for job in self._jobs)

    def _flush_tail(self) -> None:
        if self._tail:
            self._submit(bytes(self._tail), None)
            self._tail.clear()

    # -- data -------------------------------------------------------------------------

    def _submit(self, block: bytes, node: Optional[_Node]) -> None:
        if node is not None and not block.strip(b"\0"):
            self._jobs.append(_Job(None, b"", node))
        else:
            self._jobs.append(_Job(self._threads.submit(self._pack, block), block, node))
        while len(self._jobs) > 32:
            self._store(self._jobs.popleft())

    def _store(self, job: _Job) -> None:
        start, word = self._at, 0
        if job.packed is not None:
            packed = job.packed.result()
            if len(packed) < len(job.plain):
                word = len(packed)
            else:
                packed, word = job.plain, len(job.plain) | _BLOCK_WHOLE
            self._file.write(packed)
            self._at += len(packed)
        if job.node is None:
            self._fragments.append(struct.pack("<QII", start, word, 0))
            return
        if job.node.start is None:
            job.node.start = start
        job.node.words.append(word)

    # -- tables -----------------------------------------------------------------------

    def finish(self, mtime: int) -> int:
        """Write all but the data, and the head; the size of it all."""
        self._flush_tail()
        while self._jobs:
            self._store(self._jobs.popleft())
        inodes, listings = _Metadata(self._pack), _Metadata(self._pack)
        count = self._write_tree(inodes, listings)
        inode_table = self._put(inodes.finish())
        directory_table = self._put(listings.finish())
        fragment_table = self._table(self._fragments) if self._fragments else _NO_TABLE
        id_table = self._table([struct.pack("<I", number) for number in self._ids])
        xattr_table = self._put_attributes()
        used = self._at
        self._put(bytes(-used % _PADDING))
        assert self._root.place is not None
        head = _SUPERBLOCK.pack(
            b"hsqs", count, max(0, min(mtime, _NONE)), BLOCK, len(self._fragments),
            self._compression, BLOCK.bit_length() - 1,
            _NO_XATTRS if xattr_table == _NO_TABLE else 0, len(self._ids), 4, 0,
            self._root.place[0] << 16 | self._root.place[1], used, id_table, xattr_table,
            inode_table, directory_table, fragment_table, _NO_TABLE)
        self._file.seek(self._begin)
        self._file.write(head)
        self._file.seek(self._begin + self._at)
        return self._at

    def _put(self, data: bytes) -> int:
        place = self._at
        self._file.write(data)
        self._at += len(data)
        return place

    def _table(self, entries: "list[bytes]", head: bytes = b"") -> int:
        """A table in blocks of metadata, and behind `head` the list of their places, which is
        what is pointed to."""
        data, places = b"".join(entries), []
        for at in range(0, len(data), _METADATA):
            places.append(self._put(_metadata_block(data[at:at + _METADATA], self._pack)))
        return self._put(head + struct.pack(f"<{len(places)}Q", *places))

    def _put_attributes(self) -> int:
        """Names and values, the table of who has which, and its head, with which all ends."""
        if not self._xattrs.entries:
            return _NO_TABLE
        start = self._put(self._xattrs.finish())
        return self._table(self._xattrs.entries,
                           struct.pack("<QII", start, len(self._xattrs.entries), 0))

    def _write_tree(self, inodes: "_Metadata", listings: "_Metadata") -> int:
        """Write all inodes, those in a directory before its own; how many there are."""
        count = 0
        order = _children_first(self._root)
        for node in order:
            if not node.number:
                count += 1
                node.number = count
        parents: dict[int, int] = {self._root.number: count + 1}
        for node in order:
            for child in node.children.values():
                if child.kind == _DIRECTORY:
                    parents[child.number] = node.number
        for node in order:
            if node.place is None:
                listing = self._listing(node, listings) if node.kind == _DIRECTORY else None
                node.place = inodes.place
                inodes.write(self._inode(node, listing, parents.get(node.number, 0)))
        return count

    def _listing(self, node: _Node, listings: "_Metadata") -> "tuple[tuple[int, int], int]":
        """Write the names of a directory; where that is, and how long."""
        place, size = listings.place, 0
        names = sorted(node.children.items(), key=lambda item: item[0])
        at = 0
        while at < len(names):
            first = names[at][1]
            assert first.place is not None
            run = []
            for name, child in names[at:at + 256]:
                assert child.place is not None
                if child.place[0] != first.place[0] or abs(child.number - first.number) > 32767:
                    break
                run.append(struct.pack("<HhHH", child.place[1], child.number - first.number,
                                       child.kind, len(name) - 1) + name)
            data = struct.pack("<3I", len(run) - 1, first.place[0], first.number) + b"".join(run)
            listings.write(data)
            size += len(data)
            at += len(run)
        return place, size

    def _inode(self, node: _Node, listing: "Optional[tuple[tuple[int, int], int]]",
               parent: int) -> bytes:
        kind, body = self._body(node, listing, parent)
        return struct.pack("<4H2I", kind, node.mode, self._id(node.uid), self._id(node.gid),
                           node.mtime, node.number) + body

    def _body(self, node: _Node, listing: "Optional[tuple[tuple[int, int], int]]",
              parent: int) -> "tuple[int, bytes]":
        if listing is not None:
            (block, offset), size = listing
            links = 2 + sum(child.kind == _DIRECTORY for child in node.children.values())
            if size + 3 < 1 << 16 and node.xattrs == _NONE:
                return _DIRECTORY, struct.pack("<2I2HI", block, links, size + 3, offset, parent)
            return _DIRECTORY + _EXTENDED, struct.pack("<4I2HI", links, size + 3, block, parent, 0,
                                                       offset, node.xattrs)
        if node.kind == _FILE:
            words = struct.pack(f"<{len(node.words)}I", *node.words)
            start = node.start or 0
            if (node.links == 1 and node.xattrs == _NONE and start < _HALF and node.size < _HALF
                    and all(node.words)):
                return _FILE, struct.pack("<4I", start, node.fragment, node.offset,
                                          node.size) + words
            sparse = sum(BLOCK for word in node.words if not word)
            return _FILE + _EXTENDED, struct.pack("<3Q4I", start, node.size, sparse, node.links,
                                                  node.fragment, node.offset, node.xattrs) + words
        if node.kind == _SYMLINK:
            body = struct.pack("<2I", node.links, len(node.target)) + node.target
        elif node.kind == _FIFO:
            body = struct.pack("<I", node.links)
        else:
            body = struct.pack("<2I", node.links, node.device)
        if node.xattrs == _NONE:
            return node.kind, body
        return node.kind + _EXTENDED, body + struct.pack("<I", node.xattrs)

    def _id(self, number: int) -> int:
        place = self._ids.setdefault(number, len(self._ids))
        if place >= _IDS_MAX or not 0 <= number <= _NONE:
            raise Unwritable("more owners, or others, than a file system of this kind can have")
        return place


def _children_first(root: _Node) -> "list[_Node]":
    """Every object, a directory after all that is in it."""
    found: list[_Node] = []
    stack = [(root, iter(_in_order(root)))]
    while stack:
        node, rest = stack[-1]
        child = next(rest, None)
        if child is None:
            found.append(node)
            stack.pop()
        elif child.kind == _DIRECTORY:
            stack.append((child, iter(_in_order(child))))
        else:
            found.append(child)
    return found


def _in_order(node: _Node) -> "list[_Node]":
    return [child for _, child in sorted(node.children.items(), key=lambda item: item[0])]


class _Metadata:
    """A stream in compressed blocks."""

    def __init__(self, pack: "Callable[[bytes], bytes]") -> None:
        self._pack = pack
        self._done: list[bytes] = []
        self._at = 0
        self._open = bytearray()

    @property
    def place(self) -> "tuple[int, int]":
        """Where the next byte goes: the block, from the stream's beginning, and the offset."""
        return self._at, len(self._open)

    def write(self, data: bytes) -> None:
        self._open += data
        while len(self._open) >= _METADATA:
            self._close(_METADATA)

    def finish(self) -> bytes:
        if self._open:
            self._close(len(self._open))
        return b"".join(self._done)

    def _close(self, size: int) -> None:
        block = _metadata_block(bytes(self._open[:size]), self._pack)
        del self._open[:size]
        self._done.append(block)
        self._at += len(block)


class _Attributes:
    """The sets of extended attributes that objects have, each of them once."""

    def __init__(self, pack: "Callable[[bytes], bytes]") -> None:
        self._stream = _Metadata(pack)
        self._numbers: dict[bytes, int] = {}
        self.entries: list[bytes] = []

    def number(self, xattrs: Mapping[bytes, bytes]) -> int:
        """That of the set, of what can be kept of it; _NONE for an empty one."""
        parts = [part for part in (_attribute(*item) for item in sorted(xattrs.items())) if part]
        data = b"".join(parts)
        if not data:
            return _NONE
        if data not in self._numbers:
            block, offset = self._stream.place
            self._numbers[data] = len(self.entries)
            self.entries.append(struct.pack("<QII", block << 16 | offset, len(parts), len(data)))
            self._stream.write(data)
        return self._numbers[data]

    def finish(self) -> bytes:
        """All names and values."""
        return self._stream.finish()


def _attribute(name: bytes, value: bytes) -> bytes:
    """One attribute as it is stored; nothing for one of a kind that the format does not have,
    such as access control lists, which mksquashfs leaves out, too."""
    for kind, prefix in enumerate(_PREFIXES):
        if name.startswith(prefix):
            if len(value) > _VALUE_MAX:
                raise Unwritable(f"the attribute {name!r}, which has {len(value)} bytes")
            short = name[len(prefix):]
            return struct.pack("<2H", kind, len(short)) + short + struct.pack(
                "<I", len(value)) + value
    return b""


def _metadata_block(data: bytes, pack: "Callable[[bytes], bytes]") -> bytes:
    packed = pack(data)
    if len(packed) < len(data):
        return struct.pack("<H", len(packed)) + packed
    return struct.pack("<H", len(data) | _METADATA_WHOLE) + data


def _zlib(data: bytes) -> bytes:
    return zlib.compress(data, 6)


def _zstandard(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=9).compress(data)
