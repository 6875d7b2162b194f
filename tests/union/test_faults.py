"""A file system that is full, read-only, or ends in the middle: errors, and nothing is lost."""
from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Dict, Iterator

import pytest
from lpmx_runtime._native import View

from .bare import Bare, start
from .layers import directory, regular
from .worlds import identity

pytestmark = pytest.mark.root

BIG = os.urandom(1 << 20)


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    """An upper and a work directory on a file system of two MiB; layers elsewhere."""
    layer = {"": directory(), "proc": directory(0o555), "big": regular(BIG, mtime=1_000_000_000),
             "d": directory(), "tmp": directory(0o1777)}
    layer.update({f"d/f{n}": regular(b"%d" % n) for n in range(50)})
    uid, gid = identity()
    place = Path(f"/var/tmp/lpmx-small-{os.getpid()}")
    place.mkdir()
    os.chown(place, uid, gid)
    bare = None
    try:
        with Bare([layer], place) as bare:
            mount = bare.root / "small"
            mount.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=200,mode=755",
                            "small", str(mount)], check=True)
            try:
                bare.upper, bare.work = mount / "upper", mount / "work"
                bare.upper.mkdir()
                bare.work.mkdir()
                bare.write_view()
                for path, directories, files in os.walk(bare.root):
                    for name in [".", *directories, *files]:
                        os.chown(os.path.join(path, name), uid, gid, follow_symlinks=False)
                yield bare
            finally:
                subprocess.run(["umount", "-l", str(mount)], check=True)
    finally:
        subprocess.run(["rm", "-rf", str(place)], check=True)


def _as_user(function: object) -> None:
    def run() -> None:
        uid, gid = identity()
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        function()  # type: ignore[operator]

    assert 0 == os.waitpid(start(run), 0)[1]


def _fails(view: View, function: str, *args: object) -> int:
    try:
        getattr(view, function)(*args)
    except OSError as error:
        return error.errno
    return 0


def _fill(view: View, leave: int = 0) -> None:
    """Leave `leave` bytes, or none, on the upper's file system."""
    with open(view.open("/tmp/filler", os.O_WRONLY | os.O_CREAT), "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError as error:
            assert errno.ENOSPC == error.errno
    if leave:
        view.truncate("/tmp/filler", max(0, view.stat("/tmp/filler").st_size - leave))


@pytest.mark.parametrize("leave", [0, 4096, 300_000, 900_000])
def test_no_room_for_a_copy_leaves_the_file_as_it_was(small: Bare, leave: int) -> None:
    """ENOSPC in the middle of a copy-up: the error, the old file, and no piece of the copy."""
    def work() -> None:
        with small.view() as view:
            _fill(view, leave)
            for function, args in (("chmod", ("/big", 0o600)), ("open", ("/big", os.O_RDWR)),
                                   ("utime", ("/big", 1, 1)), ("rename", ("/big", "/d/big")),
                                   ("link", ("/big", "/d/big")), ("truncate", ("/big", 5))):
                if function != "truncate":
                    assert errno.ENOSPC == _fails(view, function, *args), function
                assert BIG == view.read("/big") or function == "truncate"
            assert [] == small.work_left()
            assert not view.exists("/d/big")

    _as_user(work)


def test_no_room_for_whiteouts_removes_nothing(small: Bare) -> None:
    """What cannot be hidden is not said to be removed; what was, is."""
    def work() -> None:
        with small.view() as view:
            made = 0
            while not _fails(view, "mkdir", f"/tmp/{made}"):
                made += 1
            results: Dict[str, int] = {f"f{n}": _fails(view, "unlink", f"/d/f{n}") for n in range(50)}
            assert set(results.values()) <= {0, errno.ENOSPC}
            left = set(view.listdir("/d"))
            assert {name for name, result in results.items() if result} == left
            assert [] == small.work_left()

    _as_user(work)


def test_no_room_for_a_directory_leaves_it_where_it_was(small: Bare) -> None:
    """A lower directory that cannot be copied whole is not moved, and misses nothing."""
    def work() -> None:
        with small.view() as view:
            made = 0
            while made < 170 and not _fails(view, "mkdir", f"/tmp/{made}"):
                made += 1
            assert errno.ENOSPC == _fails(view, "rename", "/d", "/e")
            assert 50 == len(view.listdir("/d"))
            assert not view.exists("/e")
            for number in range(made):
                view.rmdir(f"/tmp/{number}")
            assert 0 == _fails(view, "rename", "/d", "/e")
            assert 50 == len(view.listdir("/e"))
            assert not view.exists("/d")

    _as_user(work)


def test_an_upper_that_cannot_be_written(small: Bare) -> None:
    """EROFS for every change, and everything can still be read."""
    mount = small.upper.parent
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)

    def work() -> None:
        with small.view() as view:
            for function, args in (("chmod", ("/big", 0o600)), ("open", ("/big", os.O_RDWR)),
                                   ("unlink", ("/big",)), ("rename", ("/big", "/d/big")),
                                   ("mkdir", ("/new",)), ("write", ("/new", b"")),
                                   ("rename", ("/d", "/e")), ("symlink", ("a", "/new")),
                                   ("rmdir", ("/tmp",)), ("setxattr", ("/big", "user.a", b"1"))):
                assert errno.EROFS == _fails(view, function, *args), function
            assert BIG == view.read("/big")
            assert 50 == len(view.listdir("/d"))

    _as_user(work)


def test_a_view_without_an_upper_is_read_only(small: Bare) -> None:
    """A view of layers alone says EROFS, as a read-only mount does."""
    text = small.file.read_bytes()
    for key in (b"upper", b"work", b"control"):
        at = text.index(b"\0" + key + b"\0")
        end = text.index(b"\0", at + len(key) + 2)
        text = text[:at] + text[end:]
    small.file.write_bytes(text)

    def work() -> None:
        with small.view() as view:
            for function, args in (("chmod", ("/big", 0o600)), ("open", ("/big", os.O_RDWR)),
                                   ("unlink", ("/big",)), ("mkdir", ("/new",)),
                                   ("rename", ("/d", "/e")), ("rename", ("/d", "/tmp"))):
                assert errno.EROFS == _fails(view, function, *args), function
            assert BIG == view.read("/big")
            assert not view.access("/big", os.W_OK)

    _as_user(work)
