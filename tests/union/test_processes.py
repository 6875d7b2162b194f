"""Many processes in one container at once: they agree, and nobody's work is lost."""
from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Iterator

import pytest
from lpmx_runtime import _native
from lpmx_runtime._native import View

from .bare import Bare, together
from .layers import Layer, directory, regular, same_as

MANY = 64
TEXT = b"from the image\n" * 20_000


@pytest.fixture
def bare() -> Iterator[Bare]:
    layer: Layer = {
        "": directory(), "proc": directory(0o555), "etc": directory(), "tmp": directory(0o1777),
        "etc/log": regular(b"first\n"), "etc/big": regular(TEXT), "d": directory(),
        "d/gone": regular(b"gone"), "d/keep": regular(b"keep"), "many": directory(),
        "name0": regular(b"many names"),
    }
    for number in range(1, 8):
        layer[f"name{number}"] = same_as("name0")
    for number in range(200):
        layer[f"many/lower{number}"] = regular(b"x")
    with Bare([layer]) as bare:
        yield bare


def _error(view: View, function: str, *args: object) -> int:
    try:
        getattr(view, function)(*args)
    except OSError as error:
        return error.errno
    return 0


def test_one_of_many_creates_a_file_exclusively(bare: Bare) -> None:
    """O_EXCL has one winner, also where a whiteout is: lock files lock."""
    with bare.view() as view:
        view.unlink("/d/gone")
    wins = bare.root / "wins"
    wins.mkdir()

    def run(number: int) -> None:
        with bare.view() as view:
            for name in ("/d/gone", "/d/new"):
                try:
                    fd = view.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                except OSError as error:
                    assert errno.EEXIST == error.errno
                    continue
                os.write(fd, b"%d" % number)
                os.close(fd)
                (wins / f"{os.path.basename(name)}.{number}").touch()

    together(MANY, run)

    with bare.view() as view:
        for name in ("gone", "new"):
            winners = [p.name for p in wins.iterdir() if p.name.startswith(name + ".")]
            assert [f"{name}.{view.read('/d/' + name).decode()}"] == winners


@pytest.mark.parametrize("make", ["mkdir", "symlink", "link"])
def test_one_of_many_makes_a_name_over_a_whiteout(bare: Bare, make: str) -> None:
    """So it is for directories and links."""
    with bare.view() as view:
        view.unlink("/d/gone")
    wins = bare.root / "wins"
    wins.mkdir()

    def run(number: int) -> None:
        with bare.view() as view:
            args = {"mkdir": ("/d/gone",), "symlink": (str(number), "/d/gone"),
                    "link": ("/d/keep", "/d/gone")}[make]
            if not _error(view, make, *args):
                (wins / str(number)).touch()

    together(16, run)

    assert 1 == len(list(wins.iterdir()))
    assert [] == bare.work_left()


def test_all_that_was_appended_by_many_is_there(bare: Bare) -> None:
    """Whoever comes to a lower file at the same time gets the same copy of it."""

    def run(number: int) -> None:
        with bare.view() as view:
            for turn in range(5):
                fd = view.open("/etc/log", os.O_WRONLY | os.O_APPEND)
                os.write(fd, b"%d %d\n" % (number, turn))
                os.close(fd)

    together(MANY, run)

    with bare.view() as view:
        lines = view.read("/etc/log").splitlines()
    wanted = [b"first"] + [b"%d %d" % (n, t) for n in range(MANY) for t in range(5)]
    assert sorted(wanted) == sorted(lines)
    assert [] == bare.work_left()


def test_a_file_created_in_a_directory_that_is_being_removed_is_not_lost(bare: Bare) -> None:
    """Either the directory stays or the file is refused."""
    with bare.view() as view:
        view.unlink("/d/gone")
        view.unlink("/d/keep")

    def run(number: int) -> None:
        with bare.view() as view:
            for turn in range(60):
                if number % 2:
                    _error(view, "rmdir", "/d")
                    _error(view, "mkdir", "/d")
                    continue
                name = f"/d/{number}-{turn}"
                if not _error(view, "write", name, b"mine"):
                    assert b"mine" == _patiently(view, name)
                    while _error(view, "unlink", name):
                        pass

    together(16, run)

    assert [] == bare.work_left()


def _patiently(view: View, name: str) -> bytes:
    """A removal that found the directory full puts it back: for a moment it is away."""
    for _ in range(10_000):
        try:
            return view.read(name)
        except FileNotFoundError:
            pass
    return b"lost"


def test_names_of_one_file_stay_one_file(bare: Bare) -> None:
    """Eight processes copy up eight names of a file; it is one copy."""

    def run(number: int) -> None:
        with bare.view() as view:
            fd = view.open(f"/name{number}", os.O_WRONLY | os.O_APPEND)
            os.write(fd, b"%d" % number)
            os.close(fd)

    together(8, run)

    with bare.view() as view:
        stats = [view.stat(f"/name{number}") for number in range(8)]
        content = view.read("/name3")
    assert 1 == len({s.st_ino for s in stats})
    assert {8} == {s.st_nlink for s in stats}
    assert sorted(b"many names01234567") == sorted(content)


def test_readers_see_a_whole_file_while_it_is_copied_and_replaced(bare: Bare) -> None:
    """At every moment a file is the old one or the new one."""

    def run(number: int) -> None:
        with bare.view() as view:
            for turn in range(40):
                if number % 4 == 1:
                    view.write(f"/etc/new{number}", TEXT + b"%d\n" % turn)
                    view.rename(f"/etc/new{number}", "/etc/big")
                elif number % 4 == 2:
                    view.chmod("/etc/big", 0o600 + turn % 64)
                else:
                    data = view.read("/etc/big")
                    assert TEXT == data[:len(TEXT)]
                    assert len(data) - len(TEXT) in (0, 2, 3)

    together(16, run)

    assert [] == bare.work_left()


def test_files_that_are_moved_about_are_neither_lost_nor_doubled(bare: Bare) -> None:
    """Renames among many processes keep each file."""

    def run(number: int) -> None:
        with bare.view() as view:
            for turn in range(40):
                view.write(f"/tmp/{number}", b"%d" % number)
                view.rename(f"/tmp/{number}", f"/d/{number}")
                view.rename(f"/d/{number}", f"/many/lower{number}")
                assert b"%d" % number == view.read(f"/many/lower{number}")
                if turn % 2:
                    view.unlink(f"/many/lower{number}")

    together(32, run)

    with bare.view() as view:
        wanted = {f"lower{number}" for number in range(32, 200)}
        assert sorted(wanted) == sorted(view.listdir("/many"))
        assert ["gone", "keep"] == sorted(view.listdir("/d"))


def test_listing_gives_what_stays_exactly_once_while_others_come_and_go(bare: Bare) -> None:
    """A name that is there all the time is neither missed nor told twice."""

    def run(number: int) -> None:
        with bare.view() as view:
            for turn in range(30):
                if number % 2:
                    for n in range(8):
                        name = f"/many/{number}-{turn}-{n}"
                        view.write(name, b"")
                        view.unlink(name)
                    view.chmod(f"/many/lower{(number * 13 + turn) % 200}", 0o600)
                else:
                    names = [n for n in view.listdir("/many") if n.startswith("lower")]
                    assert 200 == len(names) == len(set(names))

    together(16, run)


def test_directories_change_places_while_they_are_read(bare: Bare) -> None:
    """Whoever exchanges two directories leaves both whole."""
    with bare.view() as view:
        view.mkdir("/other")
        view.write("/other/a", b"a")

    def run(number: int) -> None:
        with bare.view() as view:
            for _ in range(20):
                if number == 0:
                    view.rename("/many", "/other", 2)
                else:
                    assert len(view.listdir("/many")) in (1, 200)

    together(8, run)


@pytest.mark.unconfined  # the filter kills who calls chroot
def test_what_proc_tells_of_a_program_below_a_root_of_its_own(tmp_path: Path) -> None:
    """It is executed there, and /proc leads others to what it has, from their own root; to
    another container's program it leads nobody."""
    subprocess.run(["gcc", "-static", "-o", str(tmp_path / "tool"),
                    str(Path(__file__).with_name("rooted.c"))], check=True)
    program = regular((tmp_path / "tool").read_bytes(), 0o755)
    layer: Layer = {"": directory(), "proc": directory(0o555), "bin": directory(),
                    "bin/tool": program, "r": directory(), "r/bin": directory(),
                    "r/bin/tool": program, "r/here": regular(b"below")}
    with Bare([layer]) as bare, Bare([layer]) as other, \
            bare.view() as view, other.view() as outside, \
            subprocess.Popen(["/bin/tool", "/r"], executable=str(_native.loader_path()), cwd="/",
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             env={"LPMX_VIEW": str(bare.file), "LPMX_PROGRAM": "/bin/tool",
                                  "LPMX_CWD": "/"}) as process:
        assert process.stdin and process.stdout
        assert "/ 0 -1\n" == process.stdout.readline()
        proc = f"/proc/{process.pid}/"
        assert ["/r/bin/tool", "/r", "/r"] == [view.readlink(proc + name)
                                               for name in ("exe", "cwd", "root")]
        assert b"below" == view.read(proc + "root/here") == view.read(proc + "cwd/here")
        assert program.content == view.read(proc + "exe")
        assert "/r/bin/tool" != outside.readlink(proc + "exe")
        process.stdin.close()
        assert 0 == process.wait()


@pytest.mark.unconfined  # the filter kills who calls chroot
def test_what_a_vfork_child_becomes_its_parent_does_not(tmp_path: Path) -> None:
    """It shares the parent's memory: ids and root are its own all the same."""
    subprocess.run(["gcc", "-pthread", "-static", "-o", str(tmp_path / "tool"),
                    str(Path(__file__).with_name("vforked.c"))], check=True)
    program = regular((tmp_path / "tool").read_bytes(), 0o755)
    layer: Layer = {"": directory(), "proc": directory(0o555), "tool": program,
                    "r": directory(), "r/tool": program, "r/below": regular(b"")}
    with Bare([layer]) as bare:
        done = subprocess.run(["/tool"], executable=str(_native.loader_path()), cwd="/", text=True,
                              stdout=subprocess.PIPE, timeout=60,
                              env={"LPMX_VIEW": str(bare.file), "LPMX_PROGRAM": "/tool",
                                   "LPMX_CWD": "/"})

    expected = []
    for number in range(20):
        if number % 3 != 2:
            expected.append(f"child: {10 + number}:{20 + number}, below")
        if number % 5 == 0:
            expected.append("copy: 0:0, at the root")
        expected.append("parent: 0:0, at the root")
    assert [*expected, "other thread: well"] == done.stdout.splitlines()
