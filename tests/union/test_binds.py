"""What is below a bind answers as it does on the host, however deep it is and whatever is on the way."""
from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import Callable, Iterator, List, Tuple

import pytest
from lpmx_runtime._native import AT_FDCWD, View, control_create
from lpmx_runtime.store.files import remove_tree

from .bare import Bare
from .layers import Layer, directory

OPENAT, MKDIRAT, NEWFSTATAT, UNLINKAT, READLINKAT, FACCESSAT = 257, 258, 262, 263, 267, 269
NOFOLLOW, REMOVEDIR = 0x100, 0x200
NEW = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK

PATHS = [
    "a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/file", "a/b/c/d/absent", "a/b/absent/c/d", "absent/b/c",
    "a/b/c/d/file/x", "a/b/c/d/file/x/y", "a/b/c/d/file/", "a/b/c/d/", "a/b/c/d/absent/", "a/b/./c/d/file",
    "a/b/c/../c/d/file", "a/b/absent/../c", "a/b//c/d/file", "a/b/c/d/..",
    "a/b/up", "a/b/up/", "a/b/up/b/c/d/file", "a/b/up/absent", "a/b/up/absent/x", "a/b/here/d/file", "a/b/here/d/absent",
    "a/b/here/d/file/x", "a/b/c/d/link", "a/b/c/d/dangling", "a/b/c/d/dangling/x", "a/b/c/d/loop", "a/b/c/d/loop/x",
    "a/b/closed/file", "a/b/closed/absent", "a/b/closed/absent/x", "a/b/c/d/fifo", "a/b/c/d/fifo/x",
    "a/b/c/d/" + "n" * 255, "a/b/c/d/" + "n" * 256, "a/b/c/" + "n" * 256 + "/x",
]
#: Name, number and arguments behind the path.
CALLS: List[Tuple[str, int, Tuple[object, ...]]] = [
    ("stat", NEWFSTATAT, (bytearray(144), 0)), ("lstat", NEWFSTATAT, (bytearray(144), NOFOLLOW)),
    ("access", FACCESSAT, (os.R_OK,)), ("readlink", READLINKAT, (bytearray(100), 100)),
    ("open", OPENAT, (os.O_RDONLY | os.O_NONBLOCK, 0)), ("list", OPENAT, (os.O_RDONLY | os.O_DIRECTORY, 0)),
    ("nofollow", OPENAT, (os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, 0)), ("by path", OPENAT, (os.O_PATH, 0)),
    ("create", OPENAT, (NEW, 0o600)), ("only new", OPENAT, (NEW | os.O_EXCL, 0o600)),
    ("mkdir", MKDIRAT, (0o755,)), ("unlink", UNLINKAT, (0,)), ("rmdir", UNLINKAT, (REMOVEDIR,)),
]


def grow(top: Path) -> Path:
    """A tree with all that can be on the way."""
    (top / "a/b/c/d").mkdir(parents=True)
    (top / "a/b/c/d/file").write_text("here\n")
    (top / "a/b/up").symlink_to("../../a")
    (top / "a/b/here").symlink_to("c")
    (top / "a/b/c/d/link").symlink_to("file")
    (top / "a/b/c/d/dangling").symlink_to("nowhere/at/all")
    (top / "a/b/c/d/loop").symlink_to("loop")
    (top / "a/b/closed").mkdir()
    (top / "a/b/closed/file").touch()
    (top / "a/b/closed").chmod(0o000)
    os.mkfifo(top / "a/b/c/d/fifo")
    return top


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for closed in tmp_path.glob("*/a/b/closed"):
        closed.chmod(0o755)


@pytest.fixture
def bound(here: Path) -> Iterator[Callable[..., View]]:
    """A view with these binds, each a place and what is to be there."""
    made: List[Bare] = []

    def make(*binds: Tuple[str, Path]) -> View:
        layer: Layer = {"": directory(), "proc": directory(0o555), "bound": directory()}
        bare = Bare([layer], Path("/var/tmp"))
        made.append(bare)
        for part in ("upper2", "work2"):
            (bare.root / part).mkdir()
        control_create(bare.root / "control2")
        own = {"upper": bare.root / "upper2", "work": bare.root / "work2", "control": bare.root / "control2"}
        fields = [(key, own.get(key, value)) for key, value in bare.fields()]
        fields += [("bind", f"rw\0{place}\0{source}") for place, source in binds]
        bare.file.write_bytes(os.fsencode("lpmx-view 1\0" + "".join(f"{key}\0{value}\0" for key, value in fields)))
        view = bare.view()
        view.make_bind_points()
        return view

    yield make
    for bare in made:
        remove_tree(bare.root)


def _outcome(result: int, opens: bool) -> object:
    if result < 0:
        return errno.errorcode[-result]
    if not opens:
        return result
    mode = os.fstat(result).st_mode
    os.close(result)
    return mode


def _on_host(number: int, path: str, arguments: Tuple[object, ...]) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [(ctypes.c_char * len(word)).from_buffer(word) if isinstance(word, bytearray) else word for word in arguments]
    result = libc.syscall(number, AT_FDCWD, path.encode(), *words)
    return -ctypes.get_errno() if result < 0 else int(result)


@pytest.mark.parametrize("way", ["as it is", "by a link"])
def test_every_path_answers_as_on_the_host(bound: Callable[..., View], here: Path, way: str) -> None:
    """Links, files and gaps on the way, in every position, for calls that look and calls that change."""
    theirs, ours = grow(here / "theirs"), grow(here / "ours")
    (here / "link").symlink_to(".")
    view = bound(("/bound", here / "link" / "ours" if way == "by a link" else ours))
    expected, found = {}, {}

    for name, number, arguments in CALLS:
        for path in PATHS:
            bare = _outcome(_on_host(number, f"{theirs}/{path}", arguments), number == OPENAT)
            seen = bytes(arguments[0]) if isinstance(arguments[0], bytearray) else b""
            contained = _outcome(view.call(number, AT_FDCWD, f"/bound/{path}".encode(), *arguments), number == OPENAT)
            if name == "readlink" and bare == contained:
                assert seen == bytes(arguments[0])  # type: ignore[call-overload]
            expected[name, path], found[name, path] = bare, contained

    assert expected == found
    assert [str(path.relative_to(theirs)) for path in sorted(theirs.rglob("*"))] \
        == [str(path.relative_to(ours)) for path in sorted(ours.rglob("*"))]


def test_what_is_bound_further_down_is_found(bound: Callable[..., View], here: Path) -> None:
    """Not what lies below it; and beside it all is as it was."""
    ours, other = grow(here / "ours"), here / "other"
    (other / "x/y/z").mkdir(parents=True)
    view = bound(("/bound", ours), ("/bound/a/b/c", other))

    assert ["x"] == view.listdir("/bound/a/b/c")
    assert view.exists("/bound/a/b/c/x/y/z") and not view.exists("/bound/a/b/c/d/file")
    assert view.exists("/bound/a/b/here/x/y/z") and not view.exists("/bound/a/b/here/d")
    assert ["c", "closed", "here", "up"] == sorted(view.listdir("/bound/a/b"))


def test_a_link_that_comes_is_followed(bound: Callable[..., View], here: Path) -> None:
    """Nothing of a directory is kept that may be another one by the next call."""
    ours = grow(here / "ours")
    (ours / "a/other/d").mkdir(parents=True)
    (ours / "a/other/d/file").write_text("elsewhere\n")
    view = bound(("/bound", ours))

    assert b"here\n" == view.read("/bound/a/b/c/d/file")
    (ours / "a/b/c").rename(ours / "a/b/was")
    assert not view.exists("/bound/a/b/c/d/file")
    (ours / "a/b/c").symlink_to("../other")
    assert b"elsewhere\n" == view.read("/bound/a/b/c/d/file")
