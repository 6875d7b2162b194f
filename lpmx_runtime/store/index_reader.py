"""The index file as Python reads it: look-ups for tests and `lpmx verify`.

Contained programs read it through native/core/index.c. Nothing here depends on how one
is built.
"""
from __future__ import annotations

import zlib
from pathlib import Path
from typing import Iterator, NamedTuple, Optional

from ..errors import StoreDamaged
from .index_format import ENTRY, HEADER, LD_PRELOAD, MAGIC, NO_LD_PRELOAD, SUMMED, VERSION, cookie, fnv


class Row(NamedTuple):
    """One entry as it is in the file; `IndexedEntry` has its strings."""

    hash: int
    path: int
    target: int
    path_length: int
    name_offset: int
    layer: int
    flags: int
    mode: int
    uid: int
    gid: int
    target_length: int
    size: int
    mtime_ns: int
    rdev_major: int
    rdev_minor: int
    parent: int
    first_child: int
    child_count: int
    link_group: int


class IndexedEntry(NamedTuple):
    """What the index says about `path`, which starts with "/"; the root's is empty."""

    path: bytes
    target: bytes
    row: Row

    @property
    def name(self) -> bytes:
        return self.path[self.row.name_offset:]


class IndexReader:
    """An index read whole into memory. `StoreDamaged` says why one cannot be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise self._damaged("it is missing") from None
        if len(data) < HEADER.size or data[:8] != MAGIC:
            raise self._damaged("it is no index")
        (_, version, header_size, file_size, checksum, self.entry_count, self.slot_count,
         self.child_count, self.layer_count, self._slots, self._entries, self._children,
         self._strings, strings_size, self.near_count, self.near_slot_count, self._near_slots,
         self.flags, _, chain) = HEADER.unpack_from(data)
        if version != VERSION:
            raise self._damaged(f"it has version {version}, and we read version {VERSION}")
        if file_size != len(data) or header_size != HEADER.size:
            raise self._damaged("its size is wrong")
        if zlib.crc32(memoryview(data)[SUMMED:]) != checksum:
            raise self._damaged("its checksum is wrong")
        for offset, size in ((self._slots, 4 * self.slot_count),
                             (self._entries, ENTRY.size * self.entry_count),
                             (self._children, 4 * self.child_count),
                             (self._strings, strings_size),
                             (self._near_slots, 4 * self.near_slot_count)):
            if offset % 8 or offset < header_size or offset + size > file_size:
                raise self._damaged("a table lies outside the file")
        if not 1 <= self.near_count <= self.entry_count or any(
                slots & (slots - 1) or 2 * count > slots
                for count, slots in ((self.entry_count, self.slot_count),
                                     (self.near_count, self.near_slot_count))):
            raise self._damaged("its counts are wrong")
        self.chain_id = "sha256:" + chain.hex()
        self._data = data

    def __len__(self) -> int:
        return int(self.entry_count)

    def __iter__(self) -> Iterator[IndexedEntry]:
        """All entries; a directory comes before what is in it."""
        return (self.entry(number) for number in range(self.entry_count))

    def entry(self, number: int) -> IndexedEntry:
        if number >= self.entry_count:
            raise self._damaged("an entry is missing")
        row = Row(*ENTRY.unpack_from(self._data, self._entries + number * ENTRY.size))
        return IndexedEntry(self._text(row.path, row.path_length),
                            self._text(row.target, row.target_length), row)

    def find(self, path: bytes) -> Optional[IndexedEntry]:
        """The entry of `path`, found through the hash table as the core finds it."""
        number = self.number(path)
        return None if number is None else self.entry(number)

    def number(self, path: bytes, *, near: bool = False) -> Optional[int]:
        """The place of the entry of `path`, by the table of all or of those that are `near`."""
        slots, count = (self._near_slots, self.near_slot_count) if near else (self._slots, self.slot_count)
        value, mask = fnv(path), count - 1
        at = value & mask
        for _ in range(count):
            slot = self._word(slots, at)
            if not slot:
                return None
            tag, place = (slot >> 16, (slot & 0xffff) - 1) if near else (value >> 48, slot - 1)
            if tag == value >> 48:
                entry = self.entry(place)
                if entry.row.hash == value and entry.path == path:
                    return place
            at = (at + 1) & mask
        return None

    def children(self, directory: IndexedEntry) -> list[IndexedEntry]:
        """What is in `directory`, in the order of a listing."""
        first = directory.row.first_child
        if first + directory.row.child_count > self.child_count:
            raise self._damaged("a listing lies outside its table")
        return [self.entry(self._word(self._children, first + place))
                for place in range(directory.row.child_count)]

    def fault(self) -> Optional[str]:
        """What is inconsistent in the tables, None if nothing is."""
        seen = 0
        for number, entry in enumerate(self):
            row = entry.row
            if self.number(entry.path) != number:
                return f"{_show(entry.path)} is not found by its hash"
            if number < self.near_count and self.number(entry.path, near=True) != number:
                return f"{_show(entry.path)} is not where it is looked for first"
            if row.layer >= self.layer_count and number:
                return f"{_show(entry.path)} is in a layer that there is not"
            order = []
            for child in self.children(entry):
                if child.row.parent != number \
                        or child.path != entry.path + b"/" + child.name or not child.name:
                    return f"{_show(child.path)} is listed in {_show(entry.path)}"
                order.append((cookie(child.name), child.name))
            if order != sorted(set(order)):
                return f"the listing of {_show(entry.path)} is out of order"
            seen += len(order)
        if self.flags & NO_LD_PRELOAD and self.number(LD_PRELOAD) is not None:
            return f"{_show(LD_PRELOAD)} is said not to be there"
        if seen != self.entry_count - 1:
            return "an entry is in no listing"
        return None

    def _text(self, offset: int, length: int) -> bytes:
        start = self._strings + offset
        return self._data[start:start + length]

    def _word(self, section: int, number: int) -> int:
        at = section + 4 * number
        return int.from_bytes(self._data[at:at + 4], "little")

    def _damaged(self, cause: str) -> StoreDamaged:
        return StoreDamaged(f'cannot read the index "{self._path}": {cause}',
                            hint="remove the file; it is made again when it is needed")


def _show(path: bytes) -> str:
    return '"' + (path.decode("utf-8", "backslashreplace") or "/")[:200] + '"'
