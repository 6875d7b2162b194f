"""The tar reader takes what real tools write and refuses what makes no sense."""
from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from typing import Iterator

import pytest
from support import layers

from lpmx_runtime.oci.digest import Digester
from lpmx_runtime.store.tar import Member, Source, TarError, TarReader


class Trickle(io.RawIOBase):
    """A stream that cannot seek and gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int = 7) -> None:
        self._data, self._at, self._step = data, 0, step

    def read(self, size: int = -1) -> bytes:
        piece = self._data[self._at:self._at + self._step]
        self._at += len(piece)
        return piece


def members(data: bytes, step: int = 100_000) -> list[tuple[Member, bytes]]:
    """Every member with its content, holes filled."""
    found = []
    reader = TarReader(Source(Trickle(data, step)))
    for member in reader:
        content = bytearray(member.size if member.kind == "file" else 0)
        if member.kind == "file" and member.stored:
            for offset, piece in reader.content(member):
                content[offset:offset + len(piece)] = piece
        found.append((member, bytes(content)))
    return found


def one(data: bytes) -> Member:
    (member, _), = members(data)
    return member


def fault(data: bytes) -> str:
    with pytest.raises(TarError) as caught:
        members(data)
    return str(caught.value)


# -- what every tar has


@pytest.mark.parametrize("step", [1, 7, 511, 513, 1 << 20])
def test_content_is_the_same_however_the_stream_is_cut(step: int) -> None:
    """Pieces of one byte or of all bytes make no difference."""
    data = layers.tar(layers.file(b"a", b"x" * 1000), layers.directory(b"d"),
                      layers.file(b"d/b", b"y" * 512), layers.file(b"empty"))

    found = members(data, step)

    assert [(b"a", b"x" * 1000), (b"d/", b""), (b"d/b", b"y" * 512), (b"empty", b"")] == \
        [(member.name, content) for member, content in found]


def test_content_that_nobody_takes_is_passed_over() -> None:
    """A reader may look at names alone."""
    data = layers.tar(layers.file(b"a", b"x" * 3000), layers.file(b"b", b"y"))

    assert [b"a", b"b"] == [member.name for member in TarReader(Source(io.BytesIO(data)))]


def test_content_taken_in_part_is_passed_over() -> None:
    """The next member is found wherever the reading of this one stopped."""
    reader = TarReader(Source(Trickle(layers.tar(layers.file(b"a", b"x" * 3000),
                                                 layers.file(b"b", b"y")), 100)))
    walk: Iterator[Member] = iter(reader)
    next(reader.content(next(walk)))

    assert b"b" == next(walk).name


def test_digest_covers_what_follows_the_end_mark() -> None:
    """A diff ID is of all bytes, the record padding of old tapes included."""
    data = layers.tar(layers.file(b"a", b"x")) + bytes(10240)
    digester = Digester()
    source = Source(io.BytesIO(data), digester=digester)

    list(TarReader(source))
    source.drain()

    assert layers.diff_id(data) == digester.actual
    assert len(data) == source.count


def test_progress_is_told_every_byte() -> None:
    """The calls of on_bytes add up to the stream."""
    told: list[int] = []
    data = layers.tar(layers.file(b"a", b"x" * 5000))
    source = Source(Trickle(data, 700), told.append)

    list(TarReader(source))
    source.drain()

    assert len(data) == sum(told)


# -- endings


def test_tar_without_end_blocks_is_complete() -> None:
    """umoci insert writes no end blocks."""
    assert b"a" == one(layers.tar(layers.file(b"a", b"x" * 512), end=b"")).name


def test_last_member_without_padding_is_complete() -> None:
    """umoci insert leaves the last member unpadded."""
    data = layers.header(b"a", size=5) + b"hello"

    (member, content), = members(data)

    assert (b"a", b"hello") == (member.name, content)


def test_one_end_block_is_enough() -> None:
    """Some writers stop after the first block of zeros."""
    assert b"a" == one(layers.tar(layers.file(b"a"), end=bytes(512))).name


def test_empty_stream_has_no_members() -> None:
    """An empty layer may be no bytes at all, or only an end mark."""
    assert [] == members(b"")
    assert [] == members(layers.END)


@pytest.mark.parametrize("cut", [1, 100, 511])
def test_cut_header_is_damage(cut: int) -> None:
    """A tar that ends inside a header is not one that ends early."""
    data = layers.file(b"a", b"x" * 512)

    assert "ends in the middle of a header" in fault(data + layers.header(b"b")[:cut])


def test_cut_content_is_damage_and_names_the_member() -> None:
    """Missing content is counted."""
    data = layers.header(b"etc/motd", size=1000) + b"x" * 400

    assert 'cut short in "etc/motd", at least 600 bytes are missing' in fault(data)


def test_cut_content_that_is_passed_over_is_damage_too() -> None:
    """Skipping notices the end as reading does."""
    data = layers.header(b"a", size=1000) + b"x" * 400
    reader = TarReader(Source(io.BytesIO(data)))

    with pytest.raises(TarError, match="cut short"):
        list(reader)


def test_members_after_the_end_mark_are_damage() -> None:
    """Two files glued together are not quietly half read."""
    assert "goes on after an end mark" in fault(
        layers.tar(layers.file(b"a"), end=bytes(512)) + layers.file(b"b"))


# -- headers


def test_wrong_checksum_is_damage() -> None:
    """A flipped bit in a header is noticed."""
    data = bytearray(layers.file(b"a"))
    data[3] ^= 1

    assert "wrong checksum" in fault(bytes(data))


def test_signed_checksums_of_old_writers_are_taken() -> None:
    """Some summed bytes above 127 as negative numbers."""
    block = bytearray(layers.header(b"caf\xe9"))
    total = sum(block[:148]) + 8 * 32 + sum(block[156:])
    block[148:156] = b"%06o\0 " % (total - 256)

    assert b"caf\xe9" == one(bytes(block)).name


def test_names_are_the_bytes_they_are() -> None:
    """No encoding is guessed."""
    assert b"caf\xe9/\xff\xfe" == one(layers.file(b"caf\xe9/\xff\xfe")).name


def test_prefix_of_ustar_is_joined() -> None:
    """Names up to 256 bytes come in two parts."""
    assert b"p" * 150 + b"/" + b"n" * 90 == \
        one(layers.header(b"n" * 90, prefix=b"p" * 150)).name


def test_prefix_field_of_gnu_is_no_name() -> None:
    """GNU keeps times there."""
    assert b"n" == one(layers.header(b"n", prefix=b"14000000000", magic=b"ustar  \0")).name


def test_gnu_long_names_and_targets() -> None:
    """Type L and K headers replace the next member's name and target, and only its."""
    name, target = b"d/" + b"n" * 300, b"t" * 400
    data = layers.tar(layers.gnu_long(name), layers.gnu_long(target, b"K"),
                      layers.symlink(b"short", b"cut"), layers.file(b"next"))

    found = [member for member, _ in members(data)]

    assert [(name, target), (b"next", b"")] == [(m.name, m.target) for m in found]


def test_pax_records_override_the_header() -> None:
    """Name, target, owner, size, time and attributes come from the extended header."""
    data = (layers.extended({b"path": b"long/" + b"\xc3\xa9" * 200, b"uid": b"3000000",
                             b"gid": b"4000000", b"mtime": b"1700000000.123456789",
                             b"size": b"3", b"SCHILY.xattr.user.a": b"x\ny=z\0"})
            + layers.header(b"short") + layers.padded(b"abc"))

    (member, content), = members(data)

    assert (b"long/" + b"\xc3\xa9" * 200, 3000000, 4000000) == (member.name, member.uid, member.gid)
    assert (1700000000123456789, b"abc") == (member.mtime_ns, content)
    assert {b"user.a": b"x\ny=z\0"} == member.xattrs


def test_times_before_1970_keep_their_nanoseconds() -> None:
    """A negative time is not rounded towards zero."""
    data = layers.extended({b"mtime": b"-1.5"}) + layers.header(b"a")

    assert -1_500_000_000 == one(data).mtime_ns


def test_global_records_hold_for_all_that_follow() -> None:
    """Type g; an own record goes before."""
    data = (layers.extended({b"uid": b"7"}, b"g") + layers.header(b"a")
            + layers.extended({b"uid": b"8"}) + layers.header(b"b") + layers.header(b"c"))

    assert [7, 8, 7] == [member.uid for member, _ in members(data)]


def test_numbers_in_base_256() -> None:
    """Owners and times too large for octal, and negative ones."""
    member = one(layers.header(b"a", uid=3_000_000_000, mtime=-5))

    assert (3_000_000_000, -5_000_000_000) == (member.uid, member.mtime_ns)


@pytest.mark.parametrize("field,text", [
    (slice(124, 136), b"0000000000x\0"), (slice(100, 108), b"12 4567\0")])
def test_a_number_that_is_none_is_damage(field: slice, text: bytes) -> None:
    """Anything but digits in a numeric field."""
    block = bytearray(layers.header(b"a"))
    block[field] = text

    assert "number that is none" in fault(layers.sign(block))


@pytest.mark.parametrize("text", [b"12 path=a", b"abc\n", b"999999 path=a\n", b"6 path\n", b"\xff",
                                  b"6 a=b\n1", b"6 a=b\n" + b"1" * 30, b"6 a=b\n0 a=b\n"])
def test_damaged_extended_header(text: bytes) -> None:
    """Records that contradict their own length."""
    data = layers.header(b"x", kind=b"x", size=len(text)) + layers.padded(text)

    fault(data + layers.header(b"a"))


def test_extended_header_of_gigabytes_is_refused_before_it_is_read() -> None:
    """Nobody can make us hold it in memory."""
    assert "larger than any tool writes" in fault(layers.header(b"x", kind=b"x", size=8 << 30))


@pytest.mark.parametrize("problem,data", [
    ("a size that no file can have", layers.header(b"a", size=2 ** 63)),
    ("an owner that Linux has no number for", layers.header(b"a", uid=-1)),
    ("an owner that Linux has no number for", layers.header(b"a", gid=2 ** 32 - 1)),
])
def test_numbers_that_linux_does_not_have(problem: str, data: bytes) -> None:
    """They are named with the member."""
    assert f'"a" has {problem}' in fault(data)


@pytest.mark.parametrize("kind", [b"0", b"x", b"L", b"V", b"1"])
def test_negative_size_is_damage(kind: bytes) -> None:
    """Nobody makes us go backwards, and read the same header for ever."""
    assert "negative size" in fault(layers.file(b"a") + layers.header(b"b", kind=kind, size=-512))


@pytest.mark.parametrize("size", [b"99999999999999999999", b"9223372036854775808"])
def test_sparse_file_larger_than_any_can_be(size: bytes) -> None:
    """The real size of a sparse file is only stated."""
    data = layers.extended({b"GNU.sparse.map": b"0,1", b"GNU.sparse.size": size}) \
        + layers.file(b"a", b"x")

    assert "damaged" in fault(data)


def test_unknown_type_is_said() -> None:
    """What we cannot represent is not dropped."""
    assert "unknown type b'M'" in fault(layers.header(b"a", kind=b"M"))


def test_directory_written_as_file_with_a_slash() -> None:
    """How tar wrote directories before it had a type for them."""
    assert "directory" == one(layers.header(b"d/", kind=b"\0")).kind


def test_name_cut_off_behind_a_slash_is_no_directory() -> None:
    """Writers put the first 100 bytes of a long name into the header, whatever they end with."""
    name = b"a" * 99 + b"/file"
    data = layers.extended({b"path": name}) + layers.file(name[:100], b"content")

    assert [(name, "file", b"content")] == \
        [(member.name, member.kind, content) for member, content in members(data)]


def test_content_of_what_turns_out_to_be_a_directory_is_passed_over() -> None:
    """Such a member still has the content that its header states."""
    data = layers.header(b"d/", size=700) + bytes(b"x" * 1024) + layers.header(b"b")

    assert [(b"d/", 0), (b"b", 0)] == [(member.name, member.size) for member, _ in members(data)]


def test_link_with_a_size_has_no_content() -> None:
    """Some writers state the size of a hard link's file."""
    data = layers.header(b"l", kind=b"1", target=b"a", size=700) + layers.header(b"b")

    assert [b"l", b"b"] == [member.name for member, _ in members(data)]


def test_devices_have_numbers() -> None:
    """Major and minor of a device; a FIFO has none."""
    found = [member for member, _ in members(layers.tar(
        layers.device(b"c", b"3", 1, 3), layers.device(b"b", b"4", 259, 70000),
        layers.device(b"p", b"6", 0, 0)))]

    assert [("character", 1, 3), ("block", 259, 70000), ("fifo", 0, 0)] == \
        [(member.kind, member.major, member.minor) for member in found]


# -- by GNU tar itself


HOLES = [(0, b"start"), (1 << 20, b"middle" * 1000), (5 << 20, b"end")]


def sparse_file(path: Path, pieces: list[tuple[int, bytes]], size: int) -> bytes:
    with open(path, "wb") as file:
        for offset, piece in pieces:
            file.seek(offset)
            file.write(piece)
        file.truncate(size)
    return path.read_bytes()


@pytest.mark.parametrize("form", [
    ["--format=gnu"],
    ["--format=posix", "--sparse-version=0.0"],
    ["--format=posix", "--sparse-version=0.1"],
    ["--format=posix", "--sparse-version=1.0"],
])
@pytest.mark.parametrize("pieces,size", [
    (HOLES, (5 << 20) + 3),
    (HOLES, 20 << 20),                                        # ends in a hole
    ([(place << 16, b"%d" % place) for place in range(100)], 100 << 16),  # a map of many blocks
    ([], 1 << 20),                                            # nothing but a hole
    ([(3 << 16, b"late")], 1 << 20),
])
def test_sparse_files_in_every_form_of_gnu_tar(tmp_path: Path, form: list[str],
                                               pieces: list[tuple[int, bytes]],
                                               size: int) -> None:
    """Real sparse files, archived by the real tool: the same content, and holes left out."""
    content = sparse_file(tmp_path / "sparse", pieces, size)
    (tmp_path / "after").write_bytes(b"the next one")
    data = subprocess.run(["tar", "cS", *form, "-C", str(tmp_path), "sparse", "after"], check=True,
                          stdout=subprocess.PIPE).stdout
    assert len(data) < size

    (sparse, found), (after, text) = members(data)

    assert (b"sparse", size, content) == (sparse.name, sparse.size, found)
    assert sparse.extents is not None
    assert (b"after", b"the next one") == (after.name, text)


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_every_format_of_gnu_tar(tmp_path: Path, form: str) -> None:
    """Names at the formats' limits, links, attributes of files."""
    tree = tmp_path / "tree"
    long = "d" * 60 + "/" + "e" * 30
    (tree / long).mkdir(parents=True)
    (tree / long / "f").write_bytes(b"content")
    (tree / "s").symlink_to("d" * 90)
    os.link(tree / long / "f", tree / "zz")
    data = subprocess.run(["tar", "c", f"--format={form}", "--sort=name", "-C", str(tree), "."],
                          check=True, stdout=subprocess.PIPE).stdout

    found = {m.name: (m.kind, m.target, content) for m, content in members(data)}

    inner = f"./{long}/f".encode()
    assert {b"./": ("directory", b"", b""), b"./" + b"d" * 60 + b"/": ("directory", b"", b""),
            f"./{long}/".encode(): ("directory", b"", b""), inner: ("file", b"", b"content"),
            b"./s": ("symlink", b"d" * 90, b""), b"./zz": ("link", inner, b"")} == found


@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_names_and_targets_of_any_length_by_gnu_tar(tmp_path: Path, form: str) -> None:
    """Beyond the limits of the header, in either extension."""
    tree = tmp_path / "tree"
    long = "/".join("d" * 200 for _ in range(5))
    (tree / long).mkdir(parents=True)
    (tree / long / "f").symlink_to("t/" * 1000)
    data = subprocess.run(["tar", "c", f"--format={form}", "-C", str(tree), "."], check=True,
                          stdout=subprocess.PIPE).stdout

    last = members(data)[-1][0]

    assert (f"./{long}/f".encode(), b"t/" * 1000) == (last.name, last.target)


def test_attributes_by_gnu_tar(tmp_path: Path) -> None:
    """--xattrs writes them as PAX records."""
    path = tmp_path / "f"
    path.write_bytes(b"x")
    os.setxattr(path, "user.colour", b"\0blue\n=")
    data = subprocess.run(["tar", "c", "--xattrs", "--format=posix", "-C", str(tmp_path), "f"],
                          check=True, stdout=subprocess.PIPE).stdout

    assert {b"user.colour": b"\0blue\n="} == one(data).xattrs


@pytest.mark.parametrize("numbers", [b"2\n0\n5\n3\n5\n", b"1\n0\n999\n", b"1\n-1\n5\n", b"x\n"])
def test_inline_sparse_map_that_contradicts_itself(numbers: bytes) -> None:
    """Overlapping, too long, negative, not a number."""
    content = layers.padded(numbers) + b"x" * 512
    data = (layers.extended({b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0",
                             b"GNU.sparse.name": b"a", b"GNU.sparse.realsize": b"512"})
            + layers.header(b"a", size=len(content)) + content)

    fault(data)
