"""A copy-up keeps everything: holes, attributes of every size, what others write meanwhile."""
from __future__ import annotations

import errno
import os
import signal
import threading
from pathlib import Path
from typing import Iterator

import pytest

from .bare import Bare, start
from .layers import Layer, directory, regular

ROOM = 1 << 40


class Live(Bare):
    """A container whose lower layer is a live directory."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        super().__init__([{"": directory(), "proc": directory(0o555)}], tree.parent)

    def fields(self) -> list:
        return [field if field[0] != "layer" else ("layer", self.tree)
                for field in super().fields() if field[0] != "index"]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    tree = tmp_path / "tree"
    (tree / "proc").mkdir(parents=True)
    with Live(tree) as bare:
        yield bare


def _blocks(path: Path) -> int:
    return os.stat(path).st_blocks * 512


def test_a_sparse_file_of_a_terabyte_stays_sparse(live: Live) -> None:
    """What has no blocks in the layer has none in the copy, and its bytes are where they were."""
    file = live.tree / "sparse"
    with open(file, "wb") as out:
        for at in (0, 1 << 30, ROOM - 5):
            out.seek(at)
            out.write(b"here!")
        out.truncate(ROOM)

    with live.view() as view:
        view.chmod("/sparse", 0o600)
        fd = view.open("/sparse", os.O_RDONLY)
        st = view.stat("/sparse")

    assert ROOM == st.st_size
    assert [b"here!"] * 3 == [os.pread(fd, 5, at) for at in (0, 1 << 30, ROOM - 5)]
    assert _blocks(live.upper / "sparse") <= _blocks(file)
    os.close(fd)


def test_attributes_of_every_size_are_kept(live: Live) -> None:
    """Many, long ones, and an empty one; of files and of directories."""
    kept = {f"user.{n:04}": b"%d" % n for n in range(60)}
    kept.update({"user.empty": b"", "user.bytes": bytes(range(256)) * 3})
    for name in ("file", "directory"):
        place = live.tree / name
        place.mkdir() if name == "directory" else place.write_text("x")
        for key, value in kept.items():
            os.setxattr(place, key, value)
        os.utime(place, ns=(1, 1_234_567_891))

    with live.view() as view:
        for name in ("/file", "/directory"):
            view.chmod(name, 0o700)
            assert kept == {key: view.getxattr(name, key) for key in view.listxattr(name)
                            if key.startswith("user.")}
            assert 1_234_567_891 == view.stat(name).st_mtime_ns


def test_a_list_of_names_longer_than_a_page(live: Live) -> None:
    """Where the file system takes that much, so does the copy."""
    place = live.tree / "file"
    place.write_text("x")
    made = []
    for number in range(200):
        try:
            os.setxattr(place, f"user.{'n' * 40}{number}", b"v")
        except OSError as error:
            assert error.errno in (errno.ENOSPC, errno.E2BIG)
            break
        made.append(f"user.{'n' * 40}{number}")
    # the copy has two more, which are ours
    for name in made[-8:]:
        os.removexattr(place, name)
    del made[-8:]

    with live.view() as view:
        view.chmod("/file", 0o600)
        assert sorted(made) == sorted(n for n in view.listxattr("/file") if n[:7] == "user.nn")


def test_a_file_that_grows_meanwhile_is_copied_up_to_some_moment(live: Live) -> None:
    """The copy of a log that others write is a beginning of it, without a gap."""
    file = live.tree / "log"
    line = b"0123456789abcde\n"
    file.write_bytes(line * 100_000)
    done = threading.Event()

    def grow() -> None:
        with open(file, "ab", buffering=0) as out:
            while not done.is_set():
                out.write(line)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with live.view() as view:
            for _ in range(10):
                view.chmod("/log", 0o600)
                data = view.read("/log")
                assert len(data) >= 100_000 * 16 and data == line * (len(data) // 16)
                os.unlink(live.upper / "log")
    finally:
        done.set()
        writer.join()


def test_a_file_that_is_replaced_meanwhile_is_one_of_the_two(live: Live) -> None:
    """An editor puts a new file in the place of the old one: the copy is one of them, whole."""
    file = live.tree / "file"
    texts = [b"short\n", b"much longer\n" * 5000]
    file.write_bytes(texts[0])
    done = threading.Event()

    def replace() -> None:
        turn = 0
        while not done.is_set():
            aside = live.tree / "aside"
            aside.write_bytes(texts[turn % 2])
            os.replace(aside, file)
            turn += 1

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        with live.view() as view:
            for _ in range(100):
                view.chmod("/file", 0o600)
                assert view.read("/file") in texts
                os.unlink(live.upper / "file")
    finally:
        done.set()
        writer.join()


def test_signals_do_not_interrupt_a_copy(live: Live) -> None:
    """A timer that fires all the time: the copy is whole, and no EINTR is seen."""
    block = os.urandom(1 << 20)
    (live.tree / "large").write_bytes(block * 24)

    def work() -> None:
        signal.signal(signal.SIGALRM, lambda *unused: None)
        signal.siginterrupt(signal.SIGALRM, True)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        with live.view() as view:
            fd = view.open("/large", os.O_RDWR)
            signal.setitimer(signal.ITIMER_REAL, 0)
            for n in range(24):
                assert block == os.pread(fd, 1 << 20, n << 20)

    assert 0 == os.waitpid(start(work), 0)[1]
    assert [] == live.work_left()


def test_whatever_the_umask_a_copy_is_made(tmp_path: Path) -> None:
    """A program that forbids everything to what it makes still changes what is there."""
    layer: Layer = {"": directory(), "proc": directory(0o555), "d": directory(),
                    "d/f": regular(b"f", xattrs={"user.n": b"v"})}
    with Bare([layer], tmp_path) as bare:
        def work() -> None:
            os.umask(0o777)
            with bare.view() as view:
                view.chmod("/d/f", 0o640)
                os.close(view.open("/d/f", os.O_WRONLY | os.O_TRUNC))
                assert b"v" == view.getxattr("/d/f", "user.n")
                assert 0o640 == view.stat("/d/f").st_mode & 0o777

        assert 0 == os.waitpid(start(work), 0)[1]
