"""The tables of an index, filled from a merged tree (format: native/include/lpmx_abi.h)."""
from __future__ import annotations

import itertools
import stat
import sys
import zlib
from array import array
from typing import Iterable, Iterator, Sequence

from ..errors import LayerDamaged
from .grafts import Graft
from .index_format import (BARE, ENTRY, HEADER, LD_PRELOAD, MAGIC, MASK, MERGED, NEAR_COUNT, NEAR_SIZE, NO_LD_PRELOAD,
                           PRIME, SUMMED, VERSION, cookie, fnv)
from .index_order import FIRST, OTHERS, ranking
from .merge import Directory, MergedTree, Node

PATH_LIMIT = 4095  # what the kernel takes
_DIRECTORY_SIZE = 4096


class Table:
    """The columns of the index, filled from a merged tree.

    Directories are visited breadth first and their children numbered in the
    order of the children's table, so that a listing reads consecutive entries; but for
    those that many programs look for, which are then put first (index_order.py).
    """

    def __init__(self, tree: MergedTree) -> None:
        self.grafts: list[Graft] = []
        self._layer_count = tree.layer_count
        self._cookies: dict[bytes, int] = {}
        self._groups: dict[int, list[int]] = {}
        # of each entry: its path and, of a link, its target
        self._strings: list[bytes] = [b"\0"]
        self._ranks = [FIRST]
        # One list a field of struct lpmx_index_entry, in its order.
        self._columns: list[list[int]] = [[] for _ in range(19)]
        self._visit(tree)
        self._children: Sequence[int] = range(1, len(self._ranks))
        self._put_in_order()

    def file(self, chain: bytes) -> Iterator[bytes]:
        """The bytes of the index file, in pieces."""
        hashes = self._columns[0]
        count, near = len(hashes), self._nearest()
        near_slots = _words(slot and slot | hashes[slot - 1] >> 48 << 16 for slot in self._slots(near))
        near_strings = _padded(b"".join(self._strings[:near]))
        slots = _words(self._slots(count))
        children = _padded(_words(self._children))
        strings = _padded(b"".join(self._strings[near:]))
        self._place_strings(near, len(near_strings) + ENTRY.size * count + len(slots) + len(children))
        entries = b"".join(map(ENTRY.pack, *self._columns))
        sections = [near_slots, near_strings, entries, slots, children, strings]
        near_at, strings_at, entries_at, slots_at, children_at, _, end = itertools.accumulate(
            map(len, sections), initial=HEADER.size)
        flags = 0 if fnv(LD_PRELOAD) in hashes else NO_LD_PRELOAD
        head = HEADER.pack(MAGIC, VERSION, HEADER.size, end, 0, count, len(slots) // 4, count - 1,
                           self._layer_count, slots_at, entries_at, children_at, strings_at, end - strings_at,
                           near, len(near_slots) // 4, near_at, flags, 0, chain)
        checksum = zlib.crc32(head[SUMMED:])
        for section in sections:
            checksum = zlib.crc32(section, checksum)
        yield head[:SUMMED - 8] + checksum.to_bytes(8, "little") + head[SUMMED:]
        yield from sections

    def _visit(self, tree: MergedTree) -> None:
        (hashes, _, _, lengths, name_offsets, layers, flags, modes, uids, gids,
         target_lengths, sizes, times, majors, minors, parents, firsts, counts,
         groups) = self._columns
        graft_layer = self._layer_count
        numbers = itertools.count(1)
        order = [(tree.root, b"", fnv(b""))]   # directories, to be listed in turn
        directory_numbers = [0]
        self._append_root(tree.root)
        groups.append(0)
        strings, ranks = self._strings, self._ranks
        for (directory, above, above_hash), parent in zip(order, directory_numbers):
            children = directory.children
            firsts[parent] = len(hashes) - 1
            counts[parent] = len(children)
            # "/" first, for all names of the directory
            start = (above_hash ^ 47) * PRIME & MASK
            prefix = above + b"/"
            rank = ranking(above)
            offset = len(prefix)
            if offset > PATH_LIMIT:
                raise LayerDamaged("cannot merge the layers of the image: symbolic links lead to "
                                   f"a path of {offset} bytes",
                                   hint="the image was made by a tool that is broken")
            for _, name, node in self._sorted(children):
                number = next(numbers)
                value = start
                for byte in name:
                    value = (value ^ byte) * PRIME & MASK
                path = prefix + name
                _, mode, uid, gid, size, mtime, major, minor, _ = node.record
                hashes.append(value)
                target = node.target
                strings.append(path + b"\0" + target + b"\0" if target else path + b"\0")
                ranks.append(rank(name) if rank else OTHERS)
                target_lengths.append(len(target))
                lengths.append(len(path))
                name_offsets.append(offset)
                if node.path is not None and len(node.path) == len(path) - 1 \
                        and path.endswith(node.path):
                    layers.append(node.layer)
                else:
                    layers.append(graft_layer)
                    self.grafts.append(Graft(path[1:], node.layer, node.path, mode))
                modes.append(mode)
                uids.append(uid)
                gids.append(gid)
                times.append(mtime)
                majors.append(major)
                minors.append(minor)
                parents.append(parent)
                firsts.append(0)
                counts.append(0)
                groups.append(0)
                if isinstance(node, Directory):
                    flags.append((MERGED if node.merged else 0) | (BARE if node.bare else 0))
                    sizes.append(_DIRECTORY_SIZE)
                    order.append((node, path, value))
                    directory_numbers.append(number)
                else:
                    flags.append(BARE if node.bare else 0)
                    sizes.append(size)
                    if node.group:
                        self._groups.setdefault(node.group, []).append(number)
        if self.grafts:
            self._layer_count += 1
        self._number_groups()

    def _append_root(self, root: Directory) -> None:
        """The first row, but for its children, its group and where its path is."""
        _, mode, uid, gid, _, mtime, _, _, _ = root.record
        flags = (MERGED if root.merged else 0) | (BARE if root.bare else 0)
        row = (0, 0, root.layer, flags, mode, uid, gid, 0, _DIRECTORY_SIZE, mtime, 0, 0, 0, 0, 0)
        self._columns[0].append(fnv(b""))
        for column, field in zip(self._columns[3:], row):
            column.append(field)

    def _put_in_order(self) -> None:
        """By rank; what has the same stays as it was visited."""
        ranks = self._ranks
        order = sorted(range(len(ranks)), key=ranks.__getitem__)
        place = [0] * len(order)
        for number, old in enumerate(order):
            place[old] = number
        self._columns = [[column[old] for old in order if column] for column in self._columns]
        self._columns[15] = [place[parent] for parent in self._columns[15]]
        self._strings = [self._strings[old] for old in order]
        self._children = place[1:]

    def _place_strings(self, near: int, others_at: int) -> None:
        """Where they begin, in the order of the entries: first those of the near ones."""
        paths, targets = self._columns[1:3] = [], []
        at = 0
        for number, (text, length, target_length) in enumerate(
                zip(self._strings, self._columns[3], self._columns[10])):
            if number == near:
                at = others_at
            paths.append(at)
            targets.append(at + length + 1 if target_length else 0)
            at += len(text)

    def _nearest(self) -> int:
        """How many entries there is room for where each start reads."""
        count, most = 0, min(NEAR_COUNT, len(self._strings))
        room = NEAR_SIZE - HEADER.size - 4 * _slot_count(most) - 7
        for text in self._strings[:most]:
            room -= ENTRY.size + len(text)
            if room < 0:
                break
            count += 1
        return count

    def _sorted(self, children: dict[bytes, Node]) -> list[tuple[int, bytes, Node]]:
        """The children in the order of a listing: by cookie, then by name."""
        cookies = self._cookies
        listed = []
        for name, node in children.items():
            value = cookies.get(name)
            if value is None:
                value = cookies[name] = cookie(name)
            listed.append((value, name, node))
        listed.sort()  # names differ, so nodes are never compared
        return listed

    def _number_groups(self) -> None:
        """Give the names of one file the same number, where more than one is left.

        How many they are goes where a device has its major number.
        """
        majors, modes, groups = self._columns[13], self._columns[7], self._columns[18]
        count = 0
        for numbers in self._groups.values():
            if len(numbers) > 1:
                count += 1
                for number in numbers:
                    groups[number] = count
                    if not stat.S_ISCHR(modes[number]) and not stat.S_ISBLK(modes[number]):
                        majors[number] = len(numbers)

    def _slots(self, count: int) -> list[int]:
        """The hash table of the first entries: at most half full, linear probing."""
        size = _slot_count(count)
        mask = size - 1
        slots = [0] * size
        for number, value in enumerate(self._columns[0][:count], 1):
            at = value & mask
            while slots[at]:
                at = (at + 1) & mask
            slots[at] = number
        return slots


def _slot_count(count: int) -> int:
    return 1 << max(1, (2 * count - 1).bit_length())


def _padded(section: bytes) -> bytes:
    return section + bytes(-len(section) % 8)


def _words(numbers: Iterable[int]) -> bytes:
    """`numbers` as little-endian 32-bit words."""
    words = array("I", numbers)
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()
