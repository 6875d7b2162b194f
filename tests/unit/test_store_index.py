"""The index says what applying the layers one after the other would give."""
from __future__ import annotations

import io
import os
import random
import shutil
import stat
import struct
import subprocess
import threading
import zlib
from pathlib import Path
from typing import Callable, Iterator, Optional, Union

import pytest
from support import layers
from support.layers import directory, file, link, opaque, symlink, tar, whiteout

from lpmx_runtime import _native
from lpmx_runtime.errors import LayerDamaged, StoreDamaged, UnsupportedImage
from lpmx_runtime.store import Store
from lpmx_runtime.store.index import LAYER_LIMIT, chain_id
from lpmx_runtime.store.index_format import (BARE, ENTRY, HEADER, LD_PRELOAD, MERGED, NEAR_COUNT, NEAR_SIZE, NO_LD_PRELOAD,
                                              SUMMED, cookie, fnv)
from lpmx_runtime.store.index_reader import IndexReader


class Chain:
    """Layers stored one over the other, their index, and the trees of a view."""

    def __init__(self, store: Store, tars: list[bytes]) -> None:
        self.diff_ids = [store.layers.add(io.BytesIO(data)) for data in tars]
        self.path = store.indexes.ensure(self.diff_ids)
        self.trees = store.indexes.trees(self.diff_ids)
        self.index = IndexReader(self.path)
        assert _native.index_check(self.path) is None
        assert self.index.fault() is None
        assert chain_id(self.diff_ids) == self.index.chain_id
        assert len(self.trees) == max(1, self.index.layer_count) or not self.diff_ids

    def listing(self) -> dict[bytes, tuple]:
        """Every path with its type, and content or target: found where the core would look."""
        found = {}
        for entry in self.index:
            mode = entry.row.mode
            real = os.fsencode(self.trees[entry.row.layer]) + entry.path
            if entry.row.flags & BARE:
                assert [] == [name for name in os.listxattr(real, follow_symlinks=False)
                              if name.startswith("user.")]
            if stat.S_ISLNK(mode):
                assert os.readlink(real) == entry.target
                found[entry.path] = ("link", entry.target)
            elif stat.S_ISDIR(mode):
                assert stat.S_ISDIR(os.lstat(real).st_mode)
                found[entry.path] = ("directory", stat.S_IMODE(mode))
            else:
                with open(real, "rb") as content:
                    found[entry.path] = ("file", stat.S_IMODE(mode), content.read())
        return found

    def names(self) -> set[bytes]:
        return {entry.path for entry in self.index}

    def read(self, path: bytes) -> bytes:
        return self.listing()[path][-1]

    def attributed(self) -> set[bytes]:
        """What is not said to be without attributes."""
        self.listing()
        return {entry.path for entry in self.index if not entry.row.flags & BARE}

    def group(self, path: bytes) -> int:
        entry = self.index.find(path)
        assert entry is not None
        return entry.row.link_group


@pytest.fixture
def chain(store: Path) -> Callable[..., Chain]:
    opened = Store.open(store)
    return lambda *tars: Chain(opened, list(tars))


# -- one layer


def test_everything_of_an_entry(chain: Callable[..., Chain]) -> None:
    """Type, mode, owner, size, time, target, device numbers: as the tar says."""
    index = chain(tar(
        directory(b"d", 0o2775, uid=1, gid=2, mtime=1_000_000_000),
        file(b"d/f", b"12345", mode=0o4755, uid=3_000_000_000, gid=4, mtime=-7),
        symlink(b"s", b"d/f"), layers.device(b"c", b"3", 259, 70000, 0o620))).index

    folder, inner, target, device = (index.find(path) for path in (b"/d", b"/d/f", b"/s", b"/c"))

    assert folder and inner and target and device
    assert (stat.S_IFDIR | 0o2775, 1, 2, 4096, 10 ** 18) == \
        (folder.row.mode, folder.row.uid, folder.row.gid, folder.row.size, folder.row.mtime_ns)
    assert (stat.S_IFREG | 0o4755, 3_000_000_000, 4, 5, -7 * 10 ** 9) == \
        (inner.row.mode, inner.row.uid, inner.row.gid, inner.row.size, inner.row.mtime_ns)
    assert (stat.S_IFLNK | 0o777, b"d/f", 3) == (target.row.mode, target.target, target.row.size)
    assert (stat.S_IFCHR | 0o620, 259, 70000) == \
        (device.row.mode, device.row.rdev_major, device.row.rdev_minor)


def test_listing_is_in_the_order_of_cookies(chain: Callable[..., Chain]) -> None:
    """The core resumes a listing at a cookie; names that share one are in byte order."""
    names = [b"f%d" % number for number in range(2000)]
    index = chain(tar(*(file(name) for name in names))).index

    root = index.find(b"")
    assert root is not None
    listed = [child.name for child in index.children(root)]

    assert sorted(names) == sorted(listed)
    assert listed == sorted(names, key=lambda name: (cookie(name), name))


def test_what_every_start_looks_for_lies_together(chain: Callable[..., Chain]) -> None:
    """Its entries come first, and so do their paths; a directory before what is in it, as ever."""
    linked = [b"usr/lib/x86_64-linux-gnu/" + name for name in (b"ld-linux-x86-64.so.2", b"libc.so.6", b"libtinfo.so.6")]
    others = [b"srv/%d" % number for number in range(500)] + [b"usr/lib/x86_64-linux-gnu/libother%d.so" % n for n in range(500)]
    index = chain(tar(symlink(b"lib64", b"usr/lib64"), symlink(b"usr/lib64/ld-linux-x86-64.so.2", b"/usr/" + linked[0]),
                      *(file(name) for name in (*others, *linked, b"usr/bin/env", b"etc/ld.so.cache")))).index
    looked_for = [b"/" + name for name in (b"usr", b"lib64", b"usr/bin", b"usr/lib/x86_64-linux-gnu", *linked,
                                           b"usr/lib64/ld-linux-x86-64.so.2", b"etc/ld.so.cache", b"usr/bin/env")]

    numbers = {entry.path: number for number, entry in enumerate(index)}
    last = max(numbers[path] for path in looked_for)

    assert index.fault() is None
    assert last < min(numbers[b"/" + path] for path in others)
    assert all(entry.row.parent <= number for number, entry in enumerate(index))
    assert [entry.row.path for entry in index] == sorted(entry.row.path for entry in index)
    assert b"usr/lib64" == index.entry(numbers[b"/lib64"]).target


def test_what_every_start_looks_for_is_in_the_first_64_kilobytes(chain: Callable[..., Chain]) -> None:
    """With a table of its own, as much as there is room for: the common programs before the others."""
    common = [b"bash", b"cat", b"ls", b"python3", b"sh", b"true"]
    others = [b"tool-with-a-name-that-is-rather-long-%d" % number for number in range(2000)]
    one = chain(tar(symlink(b"bin", b"usr/bin"), *(file(b"usr/bin/" + name) for name in (*others, *common))))
    index, data = one.index, one.path.read_bytes()
    near = [index.entry(number) for number in range(index.near_count)]

    assert 300 < len(near) <= NEAR_COUNT
    assert {b"/bin", *(b"/usr/bin/" + name for name in common)} < {entry.path for entry in near}
    for entry in near:
        assert max(data.find(entry.path + b"\0"), data.find(struct.pack("<Q", entry.row.hash)) + ENTRY.size) <= NEAR_SIZE
    # the same by either table, and what is not near only by the one of all
    assert index.fault() is None
    assert index.number(b"/usr/bin/ls", near=True) == index.number(b"/usr/bin/ls") is not None
    assert sum(index.find(b"/usr/bin/" + name) is not None for name in others) == len(others)


@pytest.mark.parametrize("layers,there", [
    ([[file(b"etc/hosts")]], False),
    ([[file(b"etc/ld.so.preload", b"/lib/x.so")]], True),
    ([[file(b"etc/hosts")], [file(b"etc/ld.so.preload")]], True),
    ([[file(b"etc/ld.so.preload")], [file(b"etc/.wh.ld.so.preload")]], False),
    ([], False),
])
def test_that_there_are_no_libraries_for_all_is_said(chain: Callable[..., Chain], layers: list[list[bytes]],
                                                     there: bool) -> None:
    """ld.so looks for the list of them in each start."""
    index = chain(*(tar(*members) for members in layers)).index

    assert there == (index.find(LD_PRELOAD) is not None)
    assert (0 if there else NO_LD_PRELOAD) == index.flags


def test_absent_paths_are_not_found(chain: Callable[..., Chain]) -> None:
    """Neither near misses nor paths written otherwise."""
    index = chain(tar(directory(b"usr/bin"), file(b"usr/bin/env"))).index

    assert index.find(b"/usr/bin/env")
    assert not any(index.find(path) for path in (b"/usr/bin/en", b"/usr/bin/env/", b"usr/bin/env",
                                                 b"/", b"/usr/bin/envx", b"/usr//bin"))


def test_hash_continues_from_parent_to_child() -> None:
    """What the core counts on when it walks a path."""
    assert 0xcbf29ce484222325 == fnv(b"")
    assert 0xaf63dc4c8601ec8c == fnv(b"a")
    assert fnv(b"/usr/bin") == fnv(b"/bin", fnv(b"/usr"))


def test_empty_chain_has_a_root(chain: Callable[..., Chain]) -> None:
    """An image may have no layers."""
    assert {b""} == chain().names()


def test_names_that_are_not_utf8(chain: Callable[..., Chain]) -> None:
    """Bytes, here as everywhere."""
    assert b"/caf\xe9/\xff" in chain(tar(file(b"caf\xe9/\xff"))).names()


# -- what has no attributes


def noted(member: bytes, *names: bytes) -> bytes:
    """The member with attributes, which is more than a helper for files can make."""
    return layers.extended({b"SCHILY.xattr." + name: b"x" for name in names}) + member


def test_what_a_layer_says_no_attributes_of_is_bare(chain: Callable[..., Chain]) -> None:
    """Whatever kind it is; what it says any of is not, and be it one that nobody can store."""
    lists = (b"system.posix_acl_access", b"system.posix_acl_default")
    one = chain(tar(
        directory(b"d"), file(b"d/f"), symlink(b"s", b"d"), layers.device(b"c", b"3", 1, 3),
        layers.device(b"p", b"6", 0, 0), file(b"user", xattrs={b"user.x": b"y"}),
        file(b"listed", xattrs={lists[0]: b"y"}), file(b"able", xattrs={b"security.capability": b"y"}),
        file(b"reserved", xattrs={b"user.overlay.opaque": b"y"}), noted(directory(b"n"), b"user.x"),
        file(b"n/f"), noted(directory(b"default"), *lists), noted(symlink(b"l", b"d"), b"trusted.x")))

    assert {b"/user", b"/listed", b"/able", b"/reserved", b"/n", b"/default", b"/l"} == one.attributed()


def test_all_names_of_a_file_have_its_attributes(chain: Callable[..., Chain]) -> None:
    """Those that a layer above gives it, and those found through a link, too."""
    one = chain(tar(file(b"usr/lib/a", xattrs={b"user.x": b"y"}), link(b"b", b"usr/lib/a"), file(b"f"),
                    link(b"g", b"f"), symlink(b"lib", b"usr/lib")),
                tar(link(b"c", b"usr/lib/a"), link(b"h", b"f"), file(b"lib/own", xattrs={b"user.x": b"y"}),
                    file(b"lib/bare")))

    assert {b"/usr/lib/a", b"/b", b"/c", b"/usr/lib/own"} == one.attributed()


def test_a_merged_directory_has_the_attributes_of_its_uppermost_layer(
        chain: Callable[..., Chain]) -> None:
    """Of those that say anything of it; what is hidden has no say."""
    low = tar(*(noted(directory(name), b"user.x") for name in (b"over", b"under", b"opaque", b"gone")),
              directory(b"later"))
    high = tar(directory(b"over"), file(b"under/f"), directory(b"opaque"), opaque(b"opaque"),
               whiteout(b"gone"), file(b"gone/f"), noted(directory(b"later"), b"user.x"))

    assert {b"/under", b"/later"} == chain(low, high).attributed()


def test_the_last_member_of_a_name_says_its_attributes(chain: Callable[..., Chain]) -> None:
    """As it says all else."""
    one = chain(tar(file(b"a", xattrs={b"user.x": b"y"}), file(b"a"), file(b"b"),
                    file(b"b", xattrs={b"user.x": b"y"}), noted(directory(b"c"), b"user.x"),
                    directory(b"c"), directory(b"d"), noted(directory(b"d"), b"user.x")))

    assert {b"/b", b"/d"} == one.attributed()


def test_flags_that_nobody_knows_yet_are_passed_over(chain: Callable[..., Chain]) -> None:
    """A later version may say more of an entry without being another format."""
    one = chain(tar(directory(b"d"), file(b"d/f", b"x"), symlink(b"s", b"d")))
    before = one.listing()
    data = bytearray(one.path.read_bytes())
    for number in range(len(one.index)):
        at = HEADER.unpack_from(data)[10] + number * ENTRY.size
        row = list(ENTRY.unpack_from(data, at))
        row[6] |= 0xfffc
        ENTRY.pack_into(data, at, *row)
    struct.pack_into("<Q", data, 24, zlib.crc32(data[SUMMED:]))
    one.path.write_bytes(data)

    assert _native.index_check(one.path) is None
    one.index = IndexReader(one.path)
    assert one.index.fault() is None
    assert before == one.listing()


# -- layers over each other


def test_whiteout_hides_what_is_below(chain: Callable[..., Chain]) -> None:
    """A file, and a directory with all in it; what the layer itself has stays."""
    merged = chain(tar(file(b"a/x"), file(b"a/y"), file(b"b/c/d"), file(b"e")),
                   tar(whiteout(b"a/x"), whiteout(b"b"), file(b"b/new"), whiteout(b"absent")))

    assert {b"", b"/a", b"/a/y", b"/b", b"/b/new", b"/e"} == merged.names()


def test_opaque_directory_shows_only_its_layer_and_those_above(chain: Callable[..., Chain]) -> None:
    """Whether the marker comes before the directory or after it."""
    for members in ([opaque(b"d"), directory(b"d"), file(b"d/new")],
                    [directory(b"d"), file(b"d/new"), opaque(b"d")]):
        merged = chain(tar(file(b"d/old"), file(b"d/s/t")), tar(*members), tar(file(b"d/top")))

        assert {b"", b"/d", b"/d/new", b"/d/top"} == merged.names()


def test_directory_over_a_directory_merges(chain: Callable[..., Chain]) -> None:
    """The upper one's mode counts, and it is marked."""
    merged = chain(tar(directory(b"d", 0o755), file(b"d/low")),
                   tar(directory(b"d", 0o700), file(b"d/high")))

    entry = merged.index.find(b"/d")
    assert entry and (stat.S_IFDIR | 0o700, MERGED | BARE, 1) == \
        (entry.row.mode, entry.row.flags, entry.row.layer)
    assert {b"", b"/d", b"/d/low", b"/d/high"} == merged.names()


def test_directory_that_a_layer_does_not_list_keeps_its_metadata(
        chain: Callable[..., Chain]) -> None:
    """umoci insert adds files without their directories."""
    merged = chain(tar(directory(b"d", 0o700, uid=5, mtime=1_000_000_000), file(b"d/low")),
                   tar(file(b"d/high")))

    entry = merged.index.find(b"/d")
    assert entry and (stat.S_IFDIR | 0o700, 5, 10 ** 18, 0) == \
        (entry.row.mode, entry.row.uid, entry.row.mtime_ns, entry.row.layer)


@pytest.mark.parametrize("below,above,names", [
    ([file(b"x/in")], [file(b"x", b"f")], {b"", b"/x"}),
    ([file(b"x")], [directory(b"x"), file(b"x/new")], {b"", b"/x", b"/x/new"}),
    ([file(b"x")], [file(b"x/new")], {b"", b"/x", b"/x/new"}),
    ([symlink(b"x", b"y"), file(b"y/z")], [directory(b"x"), file(b"x/new")],
     {b"", b"/x", b"/x/new", b"/y", b"/y/z"}),
    ([file(b"x/in")], [symlink(b"x", b"y")], {b"", b"/x"}),
])
def test_another_type_hides_what_is_below(chain: Callable[..., Chain], below: list[bytes],
                                          above: list[bytes], names: set[bytes]) -> None:
    """A file over a directory, a directory over a link, and so on."""
    assert names == chain(tar(*below), tar(*above)).names()


def test_buildah_turns_a_file_into_a_directory_with_an_opaque_marker(
        chain: Callable[..., Chain]) -> None:
    """etc/motd/ and etc/motd/.wh..wh..opq, without a whiteout of the file."""
    merged = chain(tar(file(b"etc/motd", b"old")),
                   tar(directory(b"etc/motd"), opaque(b"etc/motd"), file(b"etc/motd/new")))

    assert {b"", b"/etc", b"/etc/motd", b"/etc/motd/new"} == merged.names()


def test_hard_link_across_layers(chain: Callable[..., Chain]) -> None:
    """A layer's link to a file that only a lower layer has: content, metadata, one group."""
    merged = chain(tar(file(b"bin/one", b"program", mode=0o4755, uid=7)),
                   tar(link(b"two", b"bin/one"), link(b"deep/three", b"bin/one")))

    assert b"program" == merged.read(b"/two") == merged.read(b"/deep/three")
    assert 0 != merged.group(b"/bin/one") == merged.group(b"/two") == merged.group(b"/deep/three")
    entry = merged.index.find(b"/two")
    assert entry and (stat.S_IFREG | 0o4755, 7, 2) == \
        (entry.row.mode, entry.row.uid, entry.row.layer)
    assert (merged.trees[2] / "two").samefile(merged.trees[0] / "bin/one")


def test_hard_link_across_layers_outlives_its_target(chain: Callable[..., Chain]) -> None:
    """A layer may link to a lower file and delete the file's old name: a rename."""
    merged = chain(tar(file(b"old", b"content")), tar(whiteout(b"old"), link(b"new", b"old")),
                   tar(link(b"newest", b"new"), whiteout(b"new")))

    assert {b"", b"/newest"} == merged.names()
    assert b"content" == merged.read(b"/newest")
    assert 0 == merged.group(b"/newest")


def test_group_of_which_one_name_is_left_is_none(chain: Callable[..., Chain]) -> None:
    """A file with one visible name has a link count of one."""
    merged = chain(tar(file(b"a", b"x"), link(b"b", b"a"), file(b"c", b"y"), link(b"d", b"c")),
                   tar(whiteout(b"b")))

    assert 0 == merged.group(b"/a")
    assert 0 != merged.group(b"/c") == merged.group(b"/d")


def test_number_of_a_files_names(chain: Callable[..., Chain]) -> None:
    """Those that are left, over all layers; none is said for a file of one name."""
    merged = chain(tar(file(b"a", b"x"), link(b"b", b"a"), link(b"c", b"a"), file(b"d"),
                       layers.device(b"e", b"3", 1, 3), link(b"f", b"e")),
                   tar(whiteout(b"b"), link(b"g", b"c")))

    found = {entry.path: entry.row.rdev_major for entry in merged.index}

    assert {b"": 0, b"/a": 3, b"/c": 3, b"/g": 3, b"/d": 0, b"/e": 1, b"/f": 1} == found


def test_hard_link_to_nothing_is_damage(chain: Callable[..., Chain]) -> None:
    """The message names the layer, the link and its target."""
    with pytest.raises(LayerDamaged, match='at "l": it is a hard link to "gone", which is no file'):
        chain(tar(file(b"a")), tar(link(b"l", b"gone")))
    with pytest.raises(LayerDamaged, match='it is a hard link to "gone", which is no file'):
        chain(tar(link(b"l", b"gone")))


def test_member_below_a_link_of_a_lower_layer_lands_behind_it(chain: Callable[..., Chain]) -> None:
    """`lib` is a link to `usr/lib` below; a layer's lib/x appears as usr/lib/x."""
    merged = chain(tar(directory(b"usr/lib", 0o711), file(b"usr/lib/a"), symlink(b"lib", b"usr/lib")),
                   tar(file(b"lib/x", b"new"), symlink(b"lib/s", b"x"), file(b"lib/sub/y", b"deep")))

    assert {b"", b"/usr", b"/usr/lib", b"/lib", b"/usr/lib/a", b"/usr/lib/x", b"/usr/lib/s",
            b"/usr/lib/sub", b"/usr/lib/sub/y"} == merged.names()
    assert (b"new", b"x", b"deep") == tuple(
        merged.read(path) for path in (b"/usr/lib/x", b"/usr/lib/s", b"/usr/lib/sub/y"))
    entry = merged.index.find(b"/usr/lib")
    assert entry and stat.S_IFDIR | 0o711 == entry.row.mode
    assert 3 == len(merged.trees) == merged.index.layer_count


def test_link_of_a_lower_layer_that_leads_outside(chain: Callable[..., Chain]) -> None:
    """Followed inside the view: ".." ends at the root, an absolute target begins there."""
    merged = chain(tar(symlink(b"up", b"../../../tmp"), symlink(b"abs", b"/var/x")),
                   tar(file(b"up/f", b"1"), file(b"abs/g", b"2")))

    assert {b"", b"/up", b"/abs", b"/tmp", b"/tmp/f", b"/var", b"/var/x", b"/var/x/g"} == \
        merged.names()


def test_links_that_lead_ever_deeper(chain: Callable[..., Chain]) -> None:
    """Paths that the kernel would not take are refused, not written."""
    step = b"/".join([b"d" * 200] * 10)
    names = [b"l%d" % n for n in range(4)]
    tars = [tar(symlink(b"l0", b"x"), file(b"x/f"))]
    for below, name in zip(names, names[1:]):
        long = layers.extended({b"linkpath": below + b"/" + step})
        tars.append(tar(long + symlink(name, b"-"), layers.extended({b"path": name + b"/f"})
                        + file(b"-")))

    with pytest.raises(LayerDamaged, match="symbolic links lead to a path of 4|6"):
        chain(*tars)


def test_whiteout_below_a_link_of_a_lower_layer(chain: Callable[..., Chain]) -> None:
    """lib/.wh.x hides usr/lib/x."""
    merged = chain(tar(file(b"usr/lib/x"), file(b"usr/lib/y"), symlink(b"lib", b"usr/lib")),
                   tar(whiteout(b"lib/x")))

    assert {b"", b"/usr", b"/usr/lib", b"/usr/lib/y", b"/lib"} == merged.names()


def test_grafts_are_read_only_and_take_no_space(chain: Callable[..., Chain]) -> None:
    """They are hard links to the layer's files in a tree that nobody writes."""
    merged = chain(tar(file(b"usr/lib/a"), symlink(b"lib", b"usr/lib")), tar(file(b"lib/x", b"new")))
    grafts = merged.trees[-1]

    assert (grafts / "usr/lib/x").samefile(merged.trees[1] / "lib/x")
    assert all(stat.S_IMODE(place.stat().st_mode) == 0o555
               for place in (grafts, grafts / "usr", grafts / "usr/lib"))


def test_more_layers_than_we_handle(store: Path) -> None:
    """Says how many would do."""
    opened = Store.open(store)
    one = opened.layers.add(io.BytesIO(tar(file(b"f"))))
    assert _native.index_check(opened.indexes.ensure([one] * LAYER_LIMIT)) is None

    with pytest.raises(UnsupportedImage, match="cannot index an image of 256 layers: 255 are"):
        opened.indexes.ensure([one] * (LAYER_LIMIT + 1))


# -- the file


@pytest.fixture
def one(chain: Callable[..., Chain]) -> Chain:
    return chain(tar(directory(b"d"), file(b"d/f", b"x"), symlink(b"s", b"d/f")))


def test_index_is_made_once(one: Chain, store: Path) -> None:
    """It never changes; whoever needs it finds it."""
    before = one.path.stat()

    assert one.path == Store.open(store).indexes.ensure(one.diff_ids)
    assert (before.st_ino, before.st_mtime_ns) == \
        (one.path.stat().st_ino, one.path.stat().st_mtime_ns)


@pytest.mark.parametrize("damage", [
    lambda data: data[:-8], lambda data: b"", lambda data: data[:50], lambda data: data + b"\0",
    lambda data: data[:8] + b"\x63" + data[9:], lambda data: data[:-9] + b"x" + data[-8:],
    lambda data: data[:4096] + bytes(4096) + data[8192:]])
def test_index_that_is_cut_or_of_another_version_is_made_again(
        one: Chain, store: Path, damage: Callable[[bytes], bytes]) -> None:
    """As after a loss of power, or after an update."""
    whole = one.path.read_bytes()
    one.path.write_bytes(damage(whole))

    Store.open(store).indexes.ensure(one.diff_ids)

    assert whole == one.path.read_bytes()


def test_index_is_made_again_whichever_byte_is_wrong(one: Chain, store: Path) -> None:
    """Every byte of the head, and some of the tables; and at every length it could be cut to."""
    whole = one.path.read_bytes()
    indexes = Store.open(store).indexes
    chance = random.Random(3)
    places = [*range(HEADER.size), *chance.sample(range(HEADER.size, len(whole)), 100)]
    for place in places:
        data = bytearray(whole)
        data[place] ^= chance.randrange(1, 256)
        one.path.write_bytes(data)
        assert whole == indexes.ensure(one.diff_ids).read_bytes(), place
    for length in [*range(HEADER.size + 1), *chance.sample(range(len(whole)), 100)]:
        one.path.write_bytes(whole[:length])
        assert whole == indexes.ensure(one.diff_ids).read_bytes(), length


@pytest.mark.parametrize("damage,cause", [
    (lambda data: data[:200], "its size is wrong"),
    (lambda data: b"", "it is no index"),
    (lambda data: b"ELF" + data[3:], "it is no index"),
    (lambda data: data[:8] + b"\x01" + data[9:], "it has version 1, and we read version 2"),
    (lambda data: data[:-3] + b"x" + data[-2:], "its checksum is wrong"),
])
def test_damage_is_said_by_both_readers(one: Chain, damage: Callable[[bytes], bytes],
                                        cause: str) -> None:
    """Python's for `lpmx check`, the core's for every program."""
    one.path.write_bytes(damage(one.path.read_bytes()))

    with pytest.raises(StoreDamaged, match=cause):
        IndexReader(one.path)
    assert _native.index_check(one.path) is not None


def test_any_flipped_byte_is_noticed(one: Chain) -> None:
    """By the checksum."""
    whole = one.path.read_bytes()
    for place in [*range(HEADER.size), *random.Random(1).sample(range(HEADER.size, len(whole)), 200)]:
        data = bytearray(whole)
        data[place] ^= 0x41
        one.path.write_bytes(data)

        assert _native.index_check(one.path) is not None, place


def test_missing_index_is_said(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(StoreDamaged, match="cannot read the index .*: it is missing") as caught:
        IndexReader(tmp_path / "none")

    assert caught.value.hint


def test_threads_build_the_same_index(store: Path) -> None:
    """Grafts and all; both end with the same files."""
    opened = Store.open(store)
    diff_ids = [opened.layers.add(io.BytesIO(data)) for data in (
        tar(*(file(b"usr/lib/f%d" % n) for n in range(300)), symlink(b"lib", b"usr/lib")),
        tar(*(file(b"lib/g%d" % n, b"%d" % n) for n in range(300))))]
    faults: list[BaseException] = []

    def build() -> None:
        try:
            opened.indexes.ensure(diff_ids)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == faults
    assert b"299" == (opened.indexes.trees(diff_ids)[-1] / "usr/lib/g299").read_bytes()
    assert [] == os.listdir(store / "tmp")


def test_chain_id_is_the_specifications() -> None:
    """ChainID(L0|L1) = Digest(ChainID(L0) + " " + DiffID(L1))."""
    import hashlib

    first, second = "sha256:" + "a" * 64, "sha256:" + "b" * 64

    assert first == chain_id([first])
    assert "sha256:" + hashlib.sha256(f"{first} {second}".encode()).hexdigest() == \
        chain_id([first, second])


# -- against a slow reference


Model = dict[bytes, Union[bytes, "tuple[str, bytes]", None]]


class Reference:
    """A file system that is a table of whole paths; layers are applied member by member.

    None is a directory, ("link", target) a symbolic link, bytes are a file.
    """

    def __init__(self) -> None:
        self.paths: Model = {b"": None}

    def remove(self, path: bytes) -> None:
        for known in list(self.paths):
            if known == path or known.startswith(path + b"/"):
                del self.paths[known]

    def empty(self, path: bytes) -> None:
        for known in list(self.paths):
            if known.startswith(path + b"/"):
                del self.paths[known]

    def put(self, path: bytes, value: Union[bytes, "tuple[str, bytes]", None]) -> None:
        above = path.rpartition(b"/")[0]
        if above not in self.paths or self.paths[above] is not None:
            self.put(above, None)
        if not (value is None and path in self.paths and self.paths[path] is None):
            self.remove(path)
            self.paths[path] = value


class RandomLayer:
    """Members that make sense together: nothing lies below what is no directory."""

    def __init__(self, random: random.Random, below: Reference, links: bool) -> None:
        self.members: list[bytes] = []
        self.after = Reference()
        self.after.paths = dict(below.paths)
        self._random = random
        self._below = below
        self._own: Model = {b"": None}
        hides = [self._hide() for _ in range(random.randint(1, 4))]
        adds = [member for _ in range(random.randint(1, 10)) for member in self._add(links)]
        # Below what this layer itself replaces by a file or a link, nothing is left to hide.
        markers = [marker for where, marker in filter(None, hides)
                   if all(self._own.get(parent) is None for parent in self._parents(where + b"/x"))]
        # The markers of what is below may stand anywhere.
        self.members = markers + adds if random.random() < .5 else adds + markers

    def _path(self) -> bytes:
        return b"/" + b"/".join(self._random.choice([b"a", b"b", b"c", b"d"])
                                for _ in range(self._random.randint(1, 4)))

    def _directory(self, path: bytes) -> bool:
        """Whether `path`, as seen below, leads through plain directories only."""
        while path:
            path = path.rpartition(b"/")[0]
            if self._below.paths.get(path, None) is not None:
                return False
        return True

    def _hide(self) -> Optional[tuple[bytes, bytes]]:
        """A directory, and a marker in it."""
        path = self._path()
        if not self._directory(path):
            return None
        if self._random.random() < .3:
            if self._below.paths.get(path, None) is not None:
                return None
            self.after.empty(path)
            return path, opaque(path[1:])
        self.after.remove(path)
        return path.rpartition(b"/")[0], whiteout(path[1:])

    def _add(self, links: bool) -> list[bytes]:
        path = self._path()
        above = path
        while above:
            above = above.rpartition(b"/")[0]
            if self._own.get(above, None) is not None:
                return []  # below a file or a link of this layer
            if above not in self._own and self.after.paths.get(above, None) is not None:
                return []  # below a lower one, which is tested by name above
        kind = self._random.choice(["file", "directory", "link", "hard"])
        if kind == "directory":
            if path in self._own:
                return []
            member, value = directory(path[1:]), None
        elif path in self._own:
            return []
        elif kind == "file":
            value = b"%x" % self._random.getrandbits(64)
            member = file(path[1:], value)
        elif kind == "link":
            target = self._path()[1:] if links else b"nowhere"
            member, value = symlink(path[1:], target), ("link", target)
        else:
            lower = [known for known, value in self._below.paths.items()
                     if isinstance(value, bytes) and known not in self._own
                     and not path.startswith(known + b"/")
                     and not any(own == known or known.startswith(own + b"/")
                                 for own, what in self._own.items() if own and what is not None)]
            if not lower:
                return []
            target = self._random.choice(lower)
            found = self._below.paths[target]
            assert isinstance(found, bytes)
            member, value = link(path[1:], target[1:]), found
        for parent in self._parents(path):
            self._own.setdefault(parent, None)
        self._own[path] = value
        self.after.put(path, value)
        return [member]

    @staticmethod
    def _parents(path: bytes) -> Iterator[bytes]:
        while path:
            path = path.rpartition(b"/")[0]
            yield path


def simple(listing: dict[bytes, tuple]) -> Model:
    kinds = {"directory": lambda value: None, "file": lambda value: value[-1],
             "link": lambda value: ("link", value[1])}
    return {path: kinds[value[0]](value) for path, value in listing.items()}


@pytest.mark.parametrize("seed", range(60))
def test_random_stacks_of_layers_against_a_slow_reference(chain: Callable[..., Chain],
                                                          seed: int) -> None:
    """Whiteouts, opaque directories, links of both kinds, implied parents, in up to 7 layers."""
    chance = random.Random(seed)
    state, tars = Reference(), []
    for _ in range(chance.randint(2, 7)):
        layer = RandomLayer(chance, state, links=True)
        state = layer.after
        tars.append(tar(*layer.members))

    assert state.paths == simple(chain(*tars).listing())


# -- against umoci


def layout(place: Path, tars: list[bytes]) -> str:
    """An OCI layout with these layers, as umoci names its image."""
    import hashlib
    import json

    blobs = place / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, kind: str) -> dict[str, object]:
        value = hashlib.sha256(data).hexdigest()
        (blobs / value).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{value}",
                "size": len(data)}

    config = blob(json.dumps({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layers.diff_id(data) for data in tars]},
    }).encode(), "config.v1+json")
    manifest = blob(json.dumps({
        "schemaVersion": 2, "config": config,
        "layers": [blob(data, "layer.v1.tar") for data in tars]}).encode(), "manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "it"}
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return f"{place}:it"


def on_disk(top: Path) -> dict[bytes, tuple]:
    """What `Chain.listing` tells, of a real directory."""
    found = {}
    start = os.fsencode(top)
    for directory_name, names, others in os.walk(start):
        for name in [b""] * (directory_name == start) + names + others:
            path = os.path.join(directory_name, name) if name else directory_name
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                about: tuple = ("link", os.readlink(path))
            elif stat.S_ISDIR(mode):
                about = ("directory", stat.S_IMODE(mode))
            else:
                with open(path, "rb") as content:
                    about = ("file", stat.S_IMODE(mode), content.read())
            found[path[len(start):]] = about
    return found


KINDS = ["file", "file", "directory", "link", "whiteout", "opaque"]


def wild_layer(chance: random.Random, kinds: list[str] = KINDS) -> list[bytes]:
    """Members that may lie below links, files and nothing at all of the layers below."""
    own: dict[bytes, bool] = {b"": True}
    members = []

    def path() -> bytes:
        return b"/".join(chance.choice([b"a", b"b", b"c"]) for _ in range(chance.randint(1, 3)))

    def parents(name: bytes) -> Iterator[bytes]:
        while name:
            name = name.rpartition(b"/")[0]
            yield name

    for number in range(chance.randint(1, 8)):
        name = path()
        if not all(own.get(parent, True) for parent in parents(name)) or name in own:
            continue
        kind = chance.choice(kinds)
        if kind == "whiteout":
            members.append(whiteout(name))
            continue
        if kind == "opaque":
            members.append(opaque(name))
        elif kind == "file":
            members.append(file(name, b"%d" % number + name, mode=chance.choice([0o644, 0o755])))
        elif kind == "link":
            members.append(symlink(name, chance.choice([path(), b"/" + path(), b"../" + path()])))
        else:
            members.append(directory(name, chance.choice([0o755, 0o711])))
        for parent in parents(name):
            own[parent] = True
        own[name] = kind in ("directory", "opaque")
    # As tools walk a tree; it matters where two names of a layer mean one place.
    return sorted(members)


def test_random_stacks_of_layers_against_umoci(chain: Callable[..., Chain], tmp_path: Path) -> None:
    """Also members behind links of lower layers: what umoci unpacks is what the index lists."""
    if shutil.which("umoci") is None:
        pytest.skip("umoci is not installed")
    compared = grafted = 0
    for seed in range(80):
        chance = random.Random(seed)
        tars = [tar(directory(b".", 0o755), *wild_layer(chance, kinds))
                for kinds in [["directory", "link", "link"], *[KINDS] * chance.randint(1, 3)]]
        image = layout(tmp_path / f"layout{seed}", tars)
        bundle = tmp_path / f"bundle{seed}"
        done = subprocess.run(["umoci", "unpack", "--rootless", "--image", image, bundle],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            # umoci refuses a member below a file of a lower layer, and links in circles.
            assert "not a directory" in done.stdout or "too many" in done.stdout, done.stdout
            continue
        compared += 1
        ours = chain(*tars)
        assert (seed, on_disk(bundle / "rootfs")) == (seed, ours.listing())
        grafted += len(ours.trees) > len(tars)

    assert compared > 40 and grafted > 5


def test_index_of_a_part_of_a_layer(store: Path, tmp_path: Path) -> None:
    """For whoever makes a layer: what is hidden is not there, and the rest is."""
    opened = Store.open(store)
    layer = opened.layers.add(io.BytesIO(tar(directory(b"d"), file(b"d/a"), directory(b"e"),
                                             file(b"e/b"))))

    opened.indexes.write_without(layer, {b"e", b"e/b"}, tmp_path / "part")

    part = IndexReader(tmp_path / "part")
    assert [b"/d", b"/d/a"] == sorted(entry.path for entry in part if entry.path)
    assert _native.index_check(tmp_path / "part") is None
