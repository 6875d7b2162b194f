"""Processes killed at any instant: what was there is there, old or new, and no rubbish stays."""
from __future__ import annotations

import hashlib
import itertools
import os
import random
import signal
import time
from typing import Dict, Iterator, Tuple

import pytest
from lpmx_runtime import _native
from lpmx_runtime._native import View
from lpmx_runtime.container import record

from .bare import Bare, start
from .layers import Layer, directory, link, regular, same_as

BIG = bytes(range(256)) * 2000


def _image() -> Layer:
    layer: Layer = {"": directory(), "proc": directory(0o555), "tmp": directory(0o1777),
                    "d": directory(), "e": directory(), "dir": directory(), "dir/sub": directory()}
    for number in range(12):
        layer[f"d/f{number}"] = regular(BIG + b"%d" % number, 0o640, uid=5)
        layer[f"dir/sub/g{number}"] = regular(b"g%d" % number)
    layer["d/link"] = link("f0")
    layer["d/same"] = same_as("d/f1")
    return layer


@pytest.fixture
def bare() -> Iterator[Bare]:
    with Bare([_image()]) as bare:
        yield bare


def _tree(view: View, path: str = "") -> Dict[str, Tuple]:
    """What is where: type, mode, owner and content."""
    found: Dict[str, Tuple] = {}
    for name in view.listdir(path or "/"):
        below = f"{path}/{name}"
        if below == "/proc":
            continue
        st = view.lstat(below)
        kind = st.st_mode & 0o170000
        told: Tuple = (oct(st.st_mode), st.st_uid, st.st_gid)
        if kind == 0o100000:
            told += (hashlib.sha256(view.read(below)).hexdigest(),)
        elif kind == 0o120000:
            told += (view.readlink(below),)
        elif kind == 0o040000:
            found.update(_tree(view, below))
        found[below] = told
    return found


def _killed(bare: Bare, work: object, random_: random.Random) -> None:
    """Let `work` run in a process for a while, and kill that."""
    child = start(work)  # type: ignore[arg-type]
    time.sleep(random_.uniform(0.002, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _in_order(bare: Bare) -> Dict[str, Tuple]:
    """The tree; the same with a page made anew, and nothing is left in the work directory."""
    with bare.view() as view:
        before = _tree(view)
    os.unlink(bare.control)
    assert _native.control_ensure(bare.file, alone=True)
    with bare.view() as view:
        after = _tree(view)
    assert before == after
    assert [] == bare.work_left()
    return after


def test_a_file_copied_up_is_old_or_new(bare: Bare) -> None:
    """Whoever is killed while a file is copied up leaves the whole file."""
    random_ = random.Random(1)
    with bare.view() as view:
        at_first = _tree(view)

    def work() -> None:
        with bare.view() as view:
            for number in itertools.count():
                view.chmod(f"/d/f{number % 12}", 0o640)
                view.utime(f"/d/f{number % 12}", 10**18, 10**18)

    for _ in range(25):
        _killed(bare, work, random_)
        assert at_first == _in_order(bare)
        for name in os.listdir(bare.upper / "d") if (bare.upper / "d").exists() else []:
            os.unlink(bare.upper / "d" / name)


def test_a_name_renamed_to_and_fro_is_somewhere(bare: Bare) -> None:
    """Whoever is killed in a rename leaves the file under one of its names, whole."""
    random_ = random.Random(2)
    whole = hashlib.sha256(BIG + b"3").hexdigest()

    def work() -> None:
        with bare.view() as view:
            for _ in itertools.count():
                for source, target in (("/d/f3", "/e/f3"), ("/e/f3", "/d/f4"), ("/d/f4", "/d/f3")):
                    try:
                        view.rename(source, target)
                    except FileNotFoundError:
                        pass

    for _ in range(25):
        _killed(bare, work, random_)
        tree = _in_order(bare)
        assert whole in [tree[name][3] for name in ("/d/f3", "/e/f3", "/d/f4") if name in tree]
        assert hashlib.sha256(BIG + b"5").hexdigest() == tree["/d/f5"][3]


def test_a_directory_renamed_to_and_fro_is_whole_somewhere(bare: Bare) -> None:
    """The same for a directory of the image with all that is in it."""
    random_ = random.Random(3)
    names = ["/dir", "/e/dir", "/moved"]
    wanted = {f"/sub/g{number}" for number in range(12)} | {"/sub", ""}

    def work() -> None:
        with bare.view() as view:
            view.makedirs("/moved")
            for source, target in itertools.cycle([(names[0], names[1]), (names[1], names[2]),
                                                   (names[2], names[0])]):
                try:
                    view.rename(source, target)
                except FileNotFoundError:
                    pass

    for _ in range(25):
        _killed(bare, work, random_)
        tree = _in_order(bare)
        found = [{path[len(name):] for path in tree
                  if path == name or path.startswith(name + "/")} for name in names]
        assert wanted in found
        assert all(paths in (wanted, {""}, set()) for paths in found)


def test_what_was_removed_stays_removed(bare: Bare) -> None:
    """A removal that was reported is not undone by what comes after it."""
    random_ = random.Random(4)
    log = bare.root / "log"

    def work() -> None:
        with bare.view() as view, open(log, "ab", buffering=0) as file:
            for number in random.Random(time.time()).sample(range(12), 12):
                try:
                    view.unlink(f"/dir/sub/g{number}")
                except FileNotFoundError:
                    pass
                file.write(b"- g%d\n" % number)
                time.sleep(0.003)
                view.write(f"/dir/sub/new{number}", b"new")
                file.write(b"+ new%d\n" % number)

    for _ in range(20):
        log.write_bytes(b"")
        _killed(bare, work, random_)
        tree = _in_order(bare)
        for line in log.read_text().splitlines():
            sign, name = line.split()
            assert (f"/dir/sub/{name}" in tree) == (sign == "+")
        for number in range(12):
            with bare.view() as view:
                view.write(f"/dir/sub/g{number}", b"g%d" % number)


def test_a_page_of_another_boot_is_not_believed(bare: Bare) -> None:
    """The upper may have come through a power loss better than the page: it is read again."""
    with bare.view() as view:
        view.write("/tmp/kept", b"kept")
        view.unlink("/d/f0")
    page = bytearray(bare.control.read_bytes())
    page[32:72] = b"another boot".ljust(40, b"\0")
    for sets in (slice(512, record.LIVE_OFFSET), slice(record.TOUCHED_OFFSET, record.TOUCHED_OFFSET + 2 * record.TOUCHED_SIZE)):
        page[sets] = bytes(sets.stop - sets.start)
    bare.control.write_bytes(page)

    assert _native.control_ensure(bare.file, alone=False)

    with bare.view() as view:
        assert b"kept" == view.read("/tmp/kept")
        assert not view.exists("/d/f0")
    assert not _native.control_ensure(bare.file, alone=False)
