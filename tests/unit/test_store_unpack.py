"""A layer's tar becomes a tree that is ours, whatever the tar says."""
from __future__ import annotations

import io
import os
import random
import stat
import subprocess
from pathlib import Path
from typing import Iterator, Optional

import pytest
from support import layers
from support.layers import directory, file, link, symlink

from lpmx_runtime.errors import LayerDamaged, UnsafeMember
from lpmx_runtime.store import tar
from lpmx_runtime.store.entries import (
    IMPLIED,
    LOWER_LINK,
    OBJECT,
    OPAQUE,
    WHITEOUT,
    Attributes,
    Entry,
)
from lpmx_runtime.store.files import remove_tree
from lpmx_runtime.store.unpack import unpack


class Unpacked:
    """A tree, what was listed about it, and what lies beside it."""

    def __init__(self, top: Path) -> None:
        self.outside = top
        self.tree = top / "tree"
        self.entries: dict[bytes, Entry] = {}
        self.attributes: Attributes = {}
        self.hidden: set[tuple[bytes, int]] = set()

    def unpack(self, *members: bytes, shared: bool = False, end: bytes = layers.END) -> "Unpacked":
        self.tree.mkdir()
        (self.outside / "untouched").write_text("outside")
        fd = os.open(self.tree, os.O_RDONLY)
        try:
            listed, self.attributes, _ = unpack(
                tar.Source(io.BytesIO(layers.tar(*members, end=end))), fd, "the layer",
                shared=shared)
        finally:
            os.close(fd)
        self.hidden = {(e.path, e.kind) for e in listed if e.kind in (WHITEOUT, OPAQUE)}
        self.entries = {e.path: e for e in listed if e.kind not in (WHITEOUT, OPAQUE)}
        return self

    def mode(self, path: str) -> int:
        return stat.S_IMODE((self.tree / path).lstat().st_mode)

    def names(self) -> set[str]:
        return {str(path.relative_to(self.tree)) for path in self.tree.rglob("*")}


@pytest.fixture
def unpacked(tmp_path: Path) -> Iterator[Unpacked]:
    yield Unpacked(tmp_path)
    remove_tree(tmp_path / "tree")  # read-only, and deeper than others can remove
    assert not (tmp_path / "tree").exists()


def only_inside(unpacked: Unpacked) -> bool:
    return {"tree", "untouched"} == set(os.listdir(unpacked.outside)) \
        and "outside" == (unpacked.outside / "untouched").read_text()


# -- objects


def test_tree_has_names_content_links_and_times(unpacked: Unpacked) -> None:
    """What an ordinary user can store is stored."""
    unpacked.unpack(directory(b"etc"), file(b"etc/motd", b"hello", mtime=1_600_000_000),
                    symlink(b"etc/link", b"../anywhere"), link(b"etc/same", b"etc/motd"),
                    directory(b"later", mtime=1_500_000_000))

    assert {"etc", "etc/motd", "etc/link", "etc/same", "later"} == unpacked.names()
    assert "hello" == (unpacked.tree / "etc/same").read_text()
    assert (unpacked.tree / "etc/same").samefile(unpacked.tree / "etc/motd")
    assert "../anywhere" == os.readlink(unpacked.tree / "etc/link")
    assert 1_600_000_000 == (unpacked.tree / "etc/motd").stat().st_mtime
    assert 1_500_000_000 == (unpacked.tree / "later").stat().st_mtime


def test_time_of_a_directory_survives_what_is_put_into_it(unpacked: Unpacked) -> None:
    """Times are set when nothing is added any more."""
    unpacked.unpack(directory(b"d", mtime=1_000_000_000), file(b"d/f", b"x"))

    assert 1_000_000_000 == (unpacked.tree / "d").stat().st_mtime


def test_sparse_files_stay_sparse(unpacked: Unpacked, tmp_path: Path) -> None:
    """Holes take no space in the store."""
    path = tmp_path / "sparse"
    with open(path, "wb") as out:
        out.seek(64 << 20)
        out.write(b"end")
    data = subprocess.run(["tar", "cS", "--format=posix", "-C", str(tmp_path), "sparse"],
                          check=True, stdout=subprocess.PIPE).stdout
    path.unlink()

    unpacked.unpack(data, end=b"")

    about = (unpacked.tree / "sparse").stat()
    assert (64 << 20) + 3 == about.st_size == unpacked.entries[b"sparse"].size
    assert about.st_blocks * 512 < 1 << 20


def test_names_that_are_not_utf8(unpacked: Unpacked) -> None:
    """Names are bytes, on disk as in the tar."""
    unpacked.unpack(file(b"caf\xe9", b"x"), symlink(b"l\xff", b"caf\xe9"))

    assert {b"caf\xe9", b"l\xff"} == set(os.listdir(os.fsencode(unpacked.tree)))
    assert b"caf\xe9" == unpacked.entries[b"l\xff"].target


def test_the_last_of_a_name_counts(unpacked: Unpacked) -> None:
    """A tar to which something was appended holds a name more than once."""
    unpacked.unpack(file(b"f", b"old"), file(b"f", b"new"), directory(b"d"), file(b"d/inner"),
                    symlink(b"d", b"f"), symlink(b"s", b"f"), directory(b"s"), file(b"s/x"))

    assert {"f", "d", "s", "s/x"} == unpacked.names()
    assert "new" == (unpacked.tree / "f").read_text()
    assert (unpacked.tree / "d").is_symlink() and not (unpacked.tree / "s").is_symlink()
    assert {b"", b"f", b"d", b"s", b"s/x"} == set(unpacked.entries)


def test_directory_named_again_keeps_what_is_in_it(unpacked: Unpacked) -> None:
    """A second member of a directory changes its metadata only."""
    unpacked.unpack(directory(b"d", 0o755), file(b"d/f"), directory(b"d", 0o700, uid=5))

    assert {"d", "d/f"} == unpacked.names()
    assert (stat.S_IFDIR | 0o700, 5) == (unpacked.entries[b"d"].mode, unpacked.entries[b"d"].uid)


def test_parents_that_no_member_names_are_implied(unpacked: Unpacked) -> None:
    """umoci insert writes no entries for directories above."""
    unpacked.unpack(file(b"opt/app/f"))

    assert {b"": IMPLIED, b"opt": IMPLIED, b"opt/app": IMPLIED, b"opt/app/f": OBJECT} == \
        {path: entry.kind for path, entry in unpacked.entries.items()}


def test_root_member_describes_the_root(unpacked: Unpacked) -> None:
    """Tars made in a directory begin with "./"."""
    unpacked.unpack(directory(b".", 0o711, uid=3, mtime=1_000_000_000), file(b"./f"))

    root = unpacked.entries[b""]
    assert (stat.S_IFDIR | 0o711, 3, 10 ** 18) == (root.mode, root.uid, root.mtime_ns)
    assert b"f" in unpacked.entries


def test_hard_links_are_a_group(unpacked: Unpacked) -> None:
    """All names of one file have the same number, files of one name have none."""
    unpacked.unpack(file(b"a", b"x"), link(b"b", b"a"), link(b"c", b"./b"), file(b"d"),
                    symlink(b"s", b"a"), link(b"t", b"s"))

    groups = {path: entry.link_group for path, entry in unpacked.entries.items()}

    assert 0 != groups[b"a"] == groups[b"b"] == groups[b"c"]
    assert 0 != groups[b"s"] == groups[b"t"] != groups[b"a"]
    assert 0 == groups[b"d"] == groups[b""]
    assert os.readlink(unpacked.tree / "t") == "a"


def test_hard_link_to_a_file_of_a_lower_layer_is_noted(unpacked: Unpacked) -> None:
    """This layer's tree cannot show it; the index can."""
    unpacked.unpack(link(b"new", b"usr/bin/old"), link(b"newer", b"new"))

    assert (LOWER_LINK, b"usr/bin/old") == (unpacked.entries[b"new"].kind,
                                            unpacked.entries[b"new"].target)
    assert (LOWER_LINK, b"usr/bin/old") == (unpacked.entries[b"newer"].kind,
                                            unpacked.entries[b"newer"].target)
    assert set() == unpacked.names()


def test_hard_link_to_itself_changes_nothing(unpacked: Unpacked) -> None:
    """Seen in tars of directories that were named twice."""
    unpacked.unpack(file(b"a", b"x"), link(b"a", b"./a"))

    assert "x" == (unpacked.tree / "a").read_text()


# -- what an ordinary user cannot store


def test_devices_and_fifos_are_empty_files_on_disk(unpacked: Unpacked) -> None:
    """Their type and numbers are in the entry list."""
    unpacked.unpack(layers.device(b"null", b"3", 1, 3), layers.device(b"sda", b"4", 8, 0, 0o660),
                    layers.device(b"pipe", b"6", 0, 0, 0o600))

    null, sda, pipe = (unpacked.entries[name] for name in (b"null", b"sda", b"pipe"))
    assert (stat.S_IFCHR | 0o666, 1, 3) == (null.mode, null.rdev_major, null.rdev_minor)
    assert (stat.S_IFBLK | 0o660, 8, 0) == (sda.mode, sda.rdev_major, sda.rdev_minor)
    assert stat.S_IFIFO | 0o600 == pipe.mode
    for name in ("null", "sda", "pipe"):
        about = (unpacked.tree / name).lstat()
        assert (stat.S_IFREG | 0o1600, 0) == (about.st_mode, about.st_size)


@pytest.mark.parametrize("mode,uid,on_disk", [
    (0o644, 0, 0o1644),         # the sticky bit: look it up
    (0o755, 0, 0o1755),
    (0o600, 0, 0o1600),
    (0o644, 7, 0o1644),
    (0o444, 0, 0o1644),         # the owner must be able to open it
    (0o000, 0, 0o1600),
    (0o4755, 0, 0o1755),        # never a set-user-ID file of our own
    (0o2755, 0, 0o1755),
    (0o1644, 0, 0o1644),
    (0o666, 0, 0o1644),         # nobody else writes in the store
])
def test_modes_of_files_on_disk(unpacked: Unpacked, mode: int, uid: int, on_disk: int) -> None:
    """The tree shows what cannot harm; the list has the truth."""
    unpacked.unpack(file(b"f", b"x", mode=mode, uid=uid))

    assert on_disk == unpacked.mode("f")
    assert (stat.S_IFREG | mode, uid) == (unpacked.entries[b"f"].mode, unpacked.entries[b"f"].uid)


@pytest.mark.parametrize("mode,on_disk", [
    (0o755, 0o555), (0o000, 0o500), (0o1777, 0o555), (0o700, 0o500), (0o2775, 0o555)])
def test_directories_are_not_writable_on_disk(unpacked: Unpacked, mode: int, on_disk: int) -> None:
    """A layer's tree is read-only, and its owner can always enter it."""
    unpacked.unpack(directory(b"d", mode), file(b"d/f", b"x"))

    assert on_disk == unpacked.mode("d")
    assert 0o555 == stat.S_IMODE(unpacked.tree.stat().st_mode)
    assert stat.S_IFDIR | mode == unpacked.entries[b"d"].mode
    assert "x" == (unpacked.tree / "d/f").read_text()


def test_group_of_a_shared_store_reads_what_the_owner_reads(unpacked: Unpacked) -> None:
    """It is the sticky bit again that says the truth is elsewhere."""
    unpacked.unpack(directory(b"root", 0o700), file(b"root/key", b"k", mode=0o600),
                    file(b"root/run", mode=0o700), file(b"plain"), file(b"open", mode=0o640),
                    layers.device(b"null", b"3", 1, 3), shared=True)

    assert [0o550, 0o1640, 0o1750, 0o1644, 0o1640, 0o1640] == \
        [unpacked.mode(name) for name in ("root", "root/key", "root/run", "plain", "open", "null")]


def test_attributes_are_listed_and_stored_where_they_can_be(unpacked: Unpacked) -> None:
    """user.* goes to the file, capabilities under a name of ours; ours are not to be forged."""
    capability = b"\x01\0\0\x02\0\x20\0\0" + bytes(12)
    unpacked.unpack(file(b"f", b"x", xattrs={
        b"user.colour": b"blue", b"security.capability": capability,
        b"user.overlay.opaque": b"y", b"user.containers.override_stat": b"0:0:04755"}))

    assert ["user.colour", "user.lpmx.root.security.capability"] == \
        sorted(os.listxattr(unpacked.tree / "f"))
    assert {b"user.colour", b"security.capability", b"user.overlay.opaque",
            b"user.containers.override_stat"} == set(unpacked.attributes[b"f"])
    assert capability == unpacked.attributes[b"f"][b"security.capability"]


# -- whiteouts


def test_whiteouts_are_listed_and_not_stored(unpacked: Unpacked) -> None:
    """A name with the prefix never lies in a tree."""
    unpacked.unpack(layers.whiteout(b"etc/motd"), layers.opaque(b"usr/share"), directory(b"etc"))

    assert {(b"etc/motd", WHITEOUT), (b"usr/share", OPAQUE)} == unpacked.hidden
    assert {"etc"} == unpacked.names()


def test_opaque_marker_after_its_directory(unpacked: Unpacked) -> None:
    """buildah writes the marker after the directory, umoci before it: both mean the same."""
    unpacked.unpack(directory(b"d"), file(b"d/new"), layers.opaque(b"d"))

    assert {(b"d", OPAQUE)} == unpacked.hidden
    assert {"d", "d/new"} == unpacked.names()


def test_opaque_root(unpacked: Unpacked) -> None:
    """A layer may hide everything below it."""
    unpacked.unpack(layers.opaque(b""), file(b"f"))

    assert {(b"", OPAQUE)} == unpacked.hidden


def test_whiteout_does_not_touch_what_its_own_layer_has(unpacked: Unpacked) -> None:
    """It is about the layers below, wherever it stands in the tar."""
    unpacked.unpack(file(b"f", b"kept"), layers.whiteout(b"f"))

    assert "kept" == (unpacked.tree / "f").read_text()
    assert {(b"f", WHITEOUT)} == unpacked.hidden


def test_markers_below_what_is_no_directory_are_moot(unpacked: Unpacked) -> None:
    """The layer's own file or link there hides everything anyway."""
    unpacked.unpack(file(b"f"), symlink(b"a", b"b"), symlink(b"b", b"a"), layers.whiteout(b"f/x"),
                    layers.opaque(b"f"), layers.whiteout(b"a/x"), layers.opaque(b"b"))

    assert set() == unpacked.hidden


def test_members_of_old_storage_drivers_are_passed_over(unpacked: Unpacked) -> None:
    """aufs left directories of its own in images."""
    unpacked.unpack(directory(b".wh..wh.plnk"), file(b".wh..wh.plnk/95.28"),
                    file(b"d/.wh..wh.aufs"), link(b"f", b".wh..wh.plnk/95.28"))

    assert set() == {name for name in unpacked.names() if "wh" in name}
    assert set() == unpacked.hidden


# -- members that mean harm


@pytest.mark.parametrize("name", [b"../f", b"d/../../f", b"/../f", b"a/b/../../../f"])
def test_member_that_climbs_out_is_refused(unpacked: Unpacked, name: bytes) -> None:
    """The message names it, and nothing is outside."""
    with pytest.raises(UnsafeMember, match="it would land outside the layer") as caught:
        unpacked.unpack(file(name, b"evil"))

    assert f'"{name.decode()}"' in str(caught.value)
    assert only_inside(unpacked)


def test_absolute_names_are_inside(unpacked: Unpacked) -> None:
    """As every unpacker takes them."""
    unpacked.unpack(file(b"/etc/passwd", b"inner"))

    assert "inner" == (unpacked.tree / "etc/passwd").read_text()


@pytest.mark.parametrize("target", [b"/", b"..", b"../..", b"/tmp", b"../../../../../../tmp",
                                    b"../untouched"])
def test_link_that_points_outside_leads_inside(unpacked: Unpacked, target: bytes) -> None:
    """A member below a symbolic link is put where the link leads within the layer."""
    unpacked.unpack(symlink(b"l", target), file(b"l/evil", b"x", mode=0o755))

    assert only_inside(unpacked)
    assert not Path("/tmp/evil").exists()
    assert 1 == sum(name.endswith("evil") for name in unpacked.names())
    assert (unpacked.tree / "l").is_symlink()


def test_link_for_a_directory_is_followed_within_the_layer(unpacked: Unpacked) -> None:
    """`lib` -> `usr/lib`, then lib/x: as umoci and containerd do."""
    unpacked.unpack(directory(b"usr/lib"), symlink(b"lib", b"usr/lib"), file(b"lib/x", b"x"),
                    symlink(b"abs", b"/usr/lib"), file(b"abs/y", b"y"))

    assert {b"usr/lib/x", b"usr/lib/y"} < set(unpacked.entries)


def test_link_replaced_between_two_members(unpacked: Unpacked) -> None:
    """What a name meant before does not count any more."""
    unpacked.unpack(directory(b"one"), directory(b"two"), symlink(b"l", b"one"), file(b"l/a"),
                    symlink(b"l", b"two"), file(b"l/b"))

    assert {"one", "two", "l", "one/a", "two/b"} == unpacked.names()


def test_links_in_a_circle_are_refused(unpacked: Unpacked) -> None:
    """No member can be below them."""
    with pytest.raises(UnsafeMember, match="symbolic links lead in circles"):
        unpacked.unpack(symlink(b"a", b"b"), symlink(b"b", b"a"), file(b"a/f"))


def test_hard_link_out_of_the_layer_is_refused(unpacked: Unpacked) -> None:
    """Its target is taken as a member's name is."""
    with pytest.raises(UnsafeMember, match="outside the layer"):
        unpacked.unpack(link(b"l", b"../untouched"))

    assert only_inside(unpacked)


def test_hard_link_through_a_link_stays_inside(unpacked: Unpacked) -> None:
    """A link to the host's /etc and then a hard link "into" it."""
    unpacked.unpack(symlink(b"e", b"/etc"), link(b"l", b"e/passwd"))

    assert (LOWER_LINK, b"etc/passwd") == (unpacked.entries[b"l"].kind,
                                           unpacked.entries[b"l"].target)
    assert {"e"} == unpacked.names()


def test_file_over_a_link_replaces_the_link(unpacked: Unpacked) -> None:
    """It is not written through it."""
    unpacked.unpack(symlink(b"l", b"../untouched"), file(b"l", b"evil"))

    assert only_inside(unpacked)
    assert "evil" == (unpacked.tree / "l").read_text()


@pytest.mark.parametrize("member,cause", [
    (link(b"l", b"d"), "it is a hard link to a directory"),
    (link(b"l", b"/"), "it is a hard link to the layer's root"),
    (file(b"d/e/f") + link(b"d", b"d/e/f"), "in the directory that it would replace"),
    (symlink(b"l", b""), "a symbolic link without a usable target"),
    (layers.whiteout(b".."), "it hides no name that can exist"),
    (symlink(b"./", b"x"), "it would take the place of the layer's root"),
    (layers.extended({b"path": b"n" * 256}) + file(b"x"), "its name is too long"),
    (layers.extended({b"path": b"n/" * 2100 + b"x"}) + file(b"x"), "its path is too long"),
    (layers.extended({b"path": b"a\0b"}) + file(b"x"), "its name has a NUL in it"),
    (layers.extended({b"linkpath": b"t" * 5000}) + symlink(b"l", b"x"), "without a usable target"),
])
def test_members_that_cannot_be(unpacked: Unpacked, member: bytes, cause: str) -> None:
    """Each says why."""
    with pytest.raises(UnsafeMember, match=cause):
        unpacked.unpack(directory(b"d"), member)


def test_member_below_a_file_is_damage(unpacked: Unpacked) -> None:
    """The message names both."""
    with pytest.raises(LayerDamaged, match='"f/g" lies in "f", which is no directory'):
        unpacked.unpack(file(b"f"), file(b"f/g"))


def test_truncated_layer_is_damage(unpacked: Unpacked) -> None:
    """The cause is the tar reader's."""
    with pytest.raises(LayerDamaged, match='cannot unpack the layer: its tar is cut short in "f"'):
        unpacked.unpack(layers.header(b"f", size=5000) + b"x" * 600, end=b"")


def test_deep_trees_need_few_descriptors(unpacked: Unpacked) -> None:
    """A path of a thousand directories."""
    deep = b"/".join([b"d"] * 1000)
    unpacked.unpack(layers.extended({b"path": deep + b"/f"}) + file(b"x", b"deep"))

    assert b"f" == os.path.basename(max(unpacked.entries, key=len))
    fd = os.open(unpacked.tree, os.O_RDONLY)
    for _ in range(1000):
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    with open(os.open("f", os.O_RDONLY, dir_fd=fd)) as found:
        os.close(fd)
        assert "deep" == found.read()


def reference(data: bytes, place: Path) -> Optional[dict[str, tuple[str, bytes]]]:
    """What GNU tar makes of it."""
    place.mkdir()
    subprocess.run(["tar", "x", "-C", str(place)], input=data, check=True)
    return tree_of(place)


def tree_of(top: Path) -> dict[str, tuple[str, bytes]]:
    found = {}
    for path in top.rglob("*"):
        kind = stat.filemode(path.lstat().st_mode)[0]
        content = os.readlink(os.fsencode(path)) if kind == "l" else \
            path.read_bytes() if kind == "-" else b""
        found[str(path.relative_to(top))] = (kind, content)
    return found


@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_a_real_tree_is_unpacked_as_gnu_tar_does(unpacked: Unpacked, tmp_path: Path,
                                                 form: str) -> None:
    """Python's own standard library, archived by GNU tar."""
    import json

    package = Path(json.__file__).parent.parent
    names = ["json", "email", "encodings"]
    data = subprocess.run(["tar", "c", f"--format={form}", "-C", str(package), *names], check=True,
                          stdout=subprocess.PIPE).stdout
    expected = reference(data, tmp_path / "expected")

    unpacked.unpack(data, end=b"")

    assert expected == tree_of(unpacked.tree)


# -- damage of every kind


def damaged(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A tar of `seeds` with a few things overwritten, cut out, or put in from another one;
    most headers have a right checksum, so that what they say is looked at."""
    words = [b"../", b"/", b"\0", b".wh.", b".wh..wh..opq", b"\xff\xff\xff\xff", b"\x80\0\0\0",
             b"99999999999", b"77777777777", b"-1", b"a", b"l", b"\n", b"=", b" "]
    fields = [0, 1, 100, 108, 116, 124, 136, 156, 157, 257, 329, 345, 386, 482, 483]
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 6)):
        block = chance.randrange(len(data) // 512 or 1) * 512
        at = block + chance.choice([*fields, chance.randrange(512)])
        how = chance.random()
        if how < .7:
            word = chance.choice([*words, bytes([chance.randrange(256)])])
            data[at:at + len(word)] = word
        elif how < .8:
            del data[block:block + 512]
        elif how < .95:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) // 512) * 512
            data[block:block] = other[start:start + 512 * chance.randint(1, 4)]
        else:
            del data[at:]
    for block in range(0, len(data) - 511, 512):
        if data[block + 257:block + 262] == b"ustar" and chance.random() < .9:
            data[block:block + 512] = layers.sign(bytes(data[block:block + 512]))
    return bytes(data)


def test_damage_of_any_kind_is_said_and_stays_inside(tmp_path: Path) -> None:
    """Two errors at most come out of it, in bounded time and memory, and nothing is outside."""
    (tmp_path / "sparse").write_bytes(b"x")
    os.truncate(tmp_path / "sparse", 1 << 20)
    seeds = [subprocess.run(["tar", "cS", "--format=posix", f"--sparse-version={version}", "-C",
                             str(tmp_path), "sparse"], check=True, stdout=subprocess.PIPE).stdout
             for version in ("0.0", "0.1", "1.0")]
    seeds += [subprocess.run(["tar", "cS", "--format=gnu", "-C", str(tmp_path), "sparse"],
                             check=True, stdout=subprocess.PIPE).stdout]
    seeds += [layers.tar(
        directory(b"a"), file(b"a/b", b"x" * 700, xattrs={b"user.x": b"y"}), symlink(b"l", b"a"),
        file(b"l/c"), layers.whiteout(b"a/q"), layers.opaque(b"a"), link(b"h", b"a/b"),
        layers.device(b"d", b"3", 1, 3), layers.gnu_long(b"z" * 300), file(b"q"))] * 4
    said = {"nothing": 0, "LayerDamaged": 0, "UnsafeMember": 0}
    for seed in range(400):
        one = Unpacked(tmp_path / str(seed))
        one.outside.mkdir()
        try:
            one.unpack(damaged(random.Random(seed), seeds), end=b"")
            said["nothing"] += 1
        except (LayerDamaged, UnsafeMember) as error:
            assert error.hint is not None
            said[type(error).__name__] += 1
        assert only_inside(one)
        remove_tree(one.outside)

    assert min(said.values()) > 20
