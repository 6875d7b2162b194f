"""Directories of very many names: what they cost, and that no name is lost or given twice."""
from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Iterator, List

import pytest
from lpmx_runtime._native import View

from .bare import Bare
from .layers import WHITEOUT, Layer, directory, regular
from .operations import Operation
from .scenario import answers_of, changed_layers, compared
from .worlds import Bench, scratch

NR_GETDENTS = 217


def _image() -> List[Layer]:
    """Three layers with 80 000 names in one directory, some in two of them, some hidden."""
    base: Layer = {"": directory(), "proc": directory(0o555), "tmp": directory(0o1777),
                   "d": directory()}
    second: Layer = {"d": directory()}
    third: Layer = {"d": directory()}
    for number in range(50_000):
        base[f"d/stay{number}"] = regular()
    for number in range(4000):
        base[f"d/go{number}"] = regular()
    for number in range(2000):
        base[f"d/hidden{number}"] = regular()
        second[f"d/hidden{number}"] = WHITEOUT
    for number in range(40_000, 70_000):
        second[f"d/stay{number}"] = regular()
    for number in range(70_000, 80_000):
        third[f"d/stay{number}"] = regular()
    return [base, second, third]


#: As many more are made, and some removed; and it is read in parts of every size.
OPERATIONS: List[Operation] = [
    ("longlist", "/d", 32768), ("longseek", "/d", 4096), ("longmake", "/d", "stay", 80_000, 100_000),
    ("longremove", "/d", "stay", 0, 2000), ("longlist", "/d", 32768), ("longseek", "/d", 32768),
    ("longchange", "/d", 8192, "stay", "go"), ("longlist", "/d", 1024)]


@pytest.mark.root
@pytest.mark.timeout(600)
def test_a_hundred_thousand_names_are_listed_as_in_a_plain_directory() -> None:
    """Each once, by any way, from any position, while others come and go."""
    with Bench(_image(), ["plain", "overlay", "python", "trap", "preload"], scratch()) as bench:
        answers = answers_of(bench, OPERATIONS)
        assert [] == compared(OPERATIONS, answers, bench.most_links)
        assert answers["plain"][-1].startswith(b"ok 98002 twice=0 ")    # with "." and ".."
        assert [] == changed_layers(bench)


def _with_upper(count: int) -> Bare:
    """A container with as many names in a directory of the upper that a layer has, too."""
    bare = Bare([{"": directory(), "proc": directory(0o555), "d": directory(),
                  "d/lower": regular()}])
    with bare.view() as view:
        view.write("/d/new", b"")
    for number in range(count):
        (bare.upper / "d" / f"name{number}").touch()
    return bare


def _parts(view: View, fd: int, room: int = 32768) -> Iterator[List[bytes]]:
    """The names that are given in each part of a listing."""
    data = bytearray(room)
    while True:
        size, at = view.call(NR_GETDENTS, fd, data, room), 0
        assert size >= 0
        names = []
        while at < size:
            length, = struct.unpack_from("<H", data, at + 16)
            names.append(bytes(data[at + 19:at + length]).split(b"\0", 1)[0])
            at += length
        if not names:
            return
        yield names


def _rest(view: View, fd: int) -> Counter:
    """How many names begin with each word, from where the stream is."""
    return Counter(name.rstrip(b"0123456789") for names in _parts(view, fd, 4096) for name in names)


LIST = """
import os, sys
from lpmx_runtime._native import View
with View(sys.argv[1]) as view:
    fd = view.open("/d", os.O_RDONLY | os.O_DIRECTORY)
    data = bytearray(4096)
    os.getpriority(os.PRIO_PROCESS, 0)
    while view.call(217, fd, data, len(data)) > 0:
        pass
    os.getpriority(os.PRIO_PROCESS, 0)
"""


def _calls(bare: Bare, log: Path) -> int:
    """How many calls of the kernel it takes to list it all, in parts of a page."""
    subprocess.run(["strace", "-f", "-o", str(log), sys.executable, "-c", LIST, str(bare.file)],
                   check=True, cwd="/")
    names = [line.split(None, 1)[1].partition("(")[0] for line in log.read_text().splitlines()]
    start, end = (at for at, name in enumerate(names) if name == "getpriority")
    return end - start - 1


@pytest.mark.unconfined
def test_a_listing_costs_what_its_names_cost(tmp_path: Path) -> None:
    """Four times as many names take four times as many calls of the kernel, not sixteen."""
    with _with_upper(4000) as few, _with_upper(16_000) as many:
        assert _calls(many, tmp_path / "many") < 5 * _calls(few, tmp_path / "few")


def test_listings_that_are_not_ended_keep_little() -> None:
    """What is kept between the parts of a listing is freed, or used again."""
    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[0])

    with _with_upper(20_000) as bare, bare.view() as view:
        before = pages()
        for _ in range(50):
            fd = view.open("/d", os.O_RDONLY | os.O_DIRECTORY)
            assert next(_parts(view, fd))
            os.close(fd)
        begun = pages() - before
        for _ in range(8):
            fd = view.open("/d", os.O_RDONLY | os.O_DIRECTORY)
            assert 20_004 == sum(map(len, _parts(view, fd)))
            os.close(fd)
        assert begun < 2 * 1024     # 8 MiB
        assert pages() - before < 2 * 1024


def test_a_listing_from_the_start_shows_what_is_there_then() -> None:
    """Nothing that was kept is shown after a rewind, or under a number used again."""
    with _with_upper(2000) as bare, bare.view() as view:
        fd = view.open("/d", os.O_RDONLY | os.O_DIRECTORY)
        assert next(_parts(view, fd, 4096))
        at = os.lseek(fd, 0, os.SEEK_CUR)
        for number in range(2000):
            (bare.upper / "d" / f"name{number}").unlink()
        for number in range(1000):
            view.write(f"/d/other{number}", b"")
        os.lseek(fd, 0, os.SEEK_SET)
        assert {b".": 1, b"..": 1, b"lower": 1, b"new": 1, b"other": 1000} == _rest(view, fd)
        os.close(fd)

        for number in range(1000):
            view.unlink(f"/d/other{number}")
            view.write(f"/d/third{number}", b"")
        assert fd == view.open("/d", os.O_RDONLY | os.O_DIRECTORY)
        os.lseek(fd, at, os.SEEK_SET)
        rest = _rest(view, fd)
        assert 0 == rest[b"name"] == rest[b"other"]
        assert 0 < rest[b"third"]
        os.close(fd)


#: Two names whose hashes are alike where listings look (LPMX_COOKIE).
ALIKE = [b"8f2758-name", b"b98111-name"]


@pytest.mark.parametrize("lower", [0, 1, 2], ids=["made", "one of a layer", "of a layer"])
def test_two_names_with_one_cookie_are_both_given(lower: int) -> None:
    """Wherever a part of the listing ends, and from wherever it goes on."""
    others = [b"name%d" % number for number in range(40)]
    image: Layer = {"": directory(), "proc": directory(0o555), "d": directory()}
    for name in (*ALIKE[:lower], *others):
        image[f"d/{name.decode()}"] = regular()
    expected = Counter([b".", b"..", *ALIKE, *others])
    with Bare([image]) as bare, bare.view() as view:
        for name in ALIKE[lower:]:
            view.write(f"/d/{name.decode()}", b"")
        for room in range(32, 400, 8):
            fd = view.open("/d", os.O_RDONLY | os.O_DIRECTORY)
            assert expected == Counter(sum(_parts(view, fd, room), [])), room
            os.close(fd)

        fd = view.open("/d", os.O_RDONLY | os.O_DIRECTORY)
        data = bytearray(8192)
        size, at, names, places = view.call(NR_GETDENTS, fd, data, len(data)), 0, [], []
        while at < size:
            place, length = struct.unpack_from("<qH", data, at + 8)
            names.append(bytes(data[at + 19:at + length]).split(b"\0", 1)[0])
            places.append(place)
            at += length
        for number, place in enumerate(places):
            os.lseek(fd, place, os.SEEK_SET)
            assert names[number + 1:] == sum(_parts(view, fd), []), names[number]
        os.close(fd)
