"""What is remembered of symlinks, fifos and sockets, which can carry no attribute of ours."""
from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest
from lpmx_runtime import _native
from lpmx_runtime._native import View

from .bare import Bare, start
from .layers import Layer, Thing, directory, fifo, link, regular, same_as

NR_BIND, NR_GETDENTS, NR_SETRESUID = 49, 217, 117
KINDS = ["symlink", "fifo", "socket"]


@pytest.fixture
def bare() -> Iterator[Bare]:
    layer: Layer = {"": directory(), "proc": directory(0o555), "d": directory(), "e": directory(),
                    "d/link": Thing("symlink", target="file", mode=0o777, uid=5, gid=6),
                    "d/same": same_as("d/link"), "d/other": link("file"), "d/file": regular(b"f"),
                    "d/pipe": fifo(0o640), "setgid": directory(0o2775, gid=50)}
    with Bare([layer]) as bare:
        yield bare


def _make(view: View, kind: str, path: str) -> None:
    if kind == "symlink":
        view.symlink("target", path)
    elif kind == "fifo":
        view.mknod(path, stat.S_IFIFO | 0o640)
    else:
        with socket.socket(socket.AF_UNIX) as sock:
            address = struct.pack("<H", socket.AF_UNIX) + path.encode()
            assert 0 == view.call(NR_BIND, sock.fileno(), address, len(address))


def _owner(view: View, path: str) -> Tuple[int, int]:
    told = view.lstat(path)
    return told.st_uid, told.st_gid


def _records(bare: Bare) -> List[str]:
    place = bare.work / "objects"
    return sorted(os.listdir(place)) if place.exists() else []


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_a_device_that_is_refused_changes_nothing(bare: Bare, kind: int) -> None:
    """Who is not root makes none, and the directory is neither copied up nor marked."""
    with bare.view() as view:
        view.chmod("/d", 0o777)
        marked = os.listxattr(bare.upper / "d")
        assert 0 == view.call(NR_SETRESUID, 1000, 1000, 1000)

        with pytest.raises(PermissionError):
            view.mknod("/d/device", kind | 0o600, os.makedev(1, 3))

    assert marked == os.listxattr(bare.upper / "d")


@pytest.mark.parametrize("kind", KINDS)
def test_an_owner_stays_with_the_object(bare: Bare, kind: str) -> None:
    """Over rename, hard link, sessions and a new control page, until its last name goes."""
    with bare.view() as view:
        _make(view, kind, "/e/x")
        before = view.lstat("/e/x")
        assert (0, 0) == (before.st_uid, before.st_gid)
        view.chown("/e/x", 33, 34, follow_symlinks=False)
        view.rename("/e/x", "/d/y")
        view.link("/d/y", "/e/z")
        view.unlink("/d/y")
        after = view.lstat("/e/z")
        assert (33, 34) == (after.st_uid, after.st_gid)
        assert (before.st_mode, before.st_ino) == (after.st_mode, after.st_ino)
    os.unlink(bare.control)
    assert _native.control_ensure(bare.file, alone=True)
    with bare.view() as view:
        assert (33, 34) == _owner(view, "/e/z")
        view.chown("/e/z", 0, -1, follow_symlinks=False)
        assert (0, 34) == _owner(view, "/e/z")
        assert 1 == len(_records(bare))
        view.unlink("/e/z")
        assert [] == _records(bare)
        _make(view, kind, "/e/z")           # perhaps with the same inode
        assert (0, 0) == _owner(view, "/e/z")


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_goes_with_what_is_replaced(bare: Bare, kind: str) -> None:
    """By a rename onto it, and where a whiteout takes its name."""
    with bare.view() as view:
        for path in ("/e/x", "/e/y"):
            _make(view, kind, path)
            view.chown(path, 7, 7, follow_symlinks=False)
        view.rename("/e/x", "/e/y")
        assert 1 == len(_records(bare))
        view.rename("/e/y", "/d/file")
        view.unlink("/d/file")
        assert [] == _records(bare)


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_of_a_dead_object_is_nobody_elses(bare: Bare, kind: str) -> None:
    """Whoever was killed between removal and record leaves it; the inode's next user is another."""
    with bare.view() as view:
        _make(view, kind, "/e/x")
        view.chown("/e/x", 7, 7, follow_symlinks=False)
        number = os.lstat(bare.upper / "e/x").st_ino
        for _ in range(50):
            os.unlink(bare.upper / "e/x")
            _make(view, kind, "/e/x")
            assert (0, 0) == _owner(view, "/e/x")
            if os.lstat(bare.upper / "e/x").st_ino == number:
                break


def test_a_copied_up_link_keeps_owner_inode_and_names(bare: Bare) -> None:
    """As stat and the listing tell, before and after it is renamed or linked."""
    with bare.view() as view:
        before = view.lstat("/d/link")
        assert (5, 6, 2) == (before.st_uid, before.st_gid, before.st_nlink)
        assert before.st_ino == view.lstat("/d/same").st_ino
        other = view.lstat("/d/other").st_ino
        pipe = view.lstat("/d/pipe").st_ino
        view.rename("/d/link", "/e/link")
        view.link("/d/other", "/e/other")
        view.rename("/d/pipe", "/e/pipe")
        for path in ("/e/link", "/d/same"):
            told = view.lstat(path)
            assert (5, 6, before.st_ino) == (told.st_uid, told.st_gid, told.st_ino)
            assert "file" == view.readlink(path)
        assert {other} == {view.lstat(path).st_ino for path in ("/d/other", "/e/other")}
        assert pipe == view.lstat("/e/pipe").st_ino
        assert {"link": before.st_ino, "other": other, "pipe": pipe} == _listed(view, "/e")


def _listed(view: View, path: str) -> dict:
    fd = view.open(path, os.O_RDONLY | os.O_DIRECTORY)
    data = bytearray(8192)
    length = view.call(NR_GETDENTS, fd, data, len(data))
    os.close(fd)
    found, at = {}, 0
    while at < length:
        inode, _, size = struct.unpack_from("<QqH", data, at)
        name = bytes(data[at + 19:at + size]).split(b"\0", 1)[0].decode()
        if name not in (".", ".."):
            found[name] = inode
        at += size
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_group_id_directory_hands_its_group_down(bare: Bare, kind: str) -> None:
    """To links, fifos and sockets as to files."""
    with bare.view() as view:
        _make(view, kind, "/setgid/x")
        assert (0, 50) == _owner(view, "/setgid/x")


def test_a_fifo_has_any_mode(bare: Bare) -> None:
    """Also one that would lock its owner out, for the root of the view it does not."""
    with bare.view() as view:
        view.mknod("/e/pipe", stat.S_IFIFO | 0o4000)
        assert stat.S_IFIFO | 0o4000 == view.lstat("/e/pipe").st_mode
        fd = view.open("/e/pipe", os.O_RDWR)
        assert stat.S_IFIFO | 0o4000 == view.fstat(fd).st_mode
        os.close(fd)
        view.chmod("/e/pipe", 0o1622)
        assert stat.S_IFIFO | 0o1622 == view.lstat("/e/pipe").st_mode


def test_containers_without_records_look_for_none(bare: Bare) -> None:
    """The directory is made with the first record; what root makes for itself needs none."""
    with bare.view() as view:
        for kind in KINDS:
            _make(view, kind, f"/e/{kind}")
        view.chown("/e/symlink", 0, 0, follow_symlinks=False)
        view.unlink("/e/fifo")
    assert [] == os.listdir(bare.work)


def test_what_killed_processes_left_goes_and_records_stay(bare: Bare) -> None:
    """Before the first process of a container starts."""
    with bare.view() as view:
        view.symlink("x", "/e/x")
        view.chown("/e/x", 1, 2, follow_symlinks=False)
    Path(bare.work / "12-34-5").write_text("left")
    _native.control_ensure(bare.file, alone=True)
    assert ["objects"] == os.listdir(bare.work)
    with bare.view() as view:
        assert (1, 2) == _owner(view, "/e/x")


def test_whatever_the_umask_records_and_long_names_of_sockets_are_kept(bare: Bare) -> None:
    """Who forbids everything to what it makes is not the last to remember anything."""
    name = "/e/" + 90 * "n"

    def work() -> None:
        os.umask(0o777)
        with bare.view() as view:
            view.symlink("target", "/e/x")
            view.chown("/e/x", 33, 34, follow_symlinks=False)
            _make(view, "socket", name)

    for _ in range(2):
        assert 0 == os.waitpid(start(work), 0)[1]
        with bare.view() as view:
            assert (33, 34) == _owner(view, "/e/x")
            assert stat.S_ISSOCK(view.lstat(name).st_mode)
            view.unlink("/e/x")
            view.unlink(name)
    assert {0o700} == {stat.S_IMODE(os.stat(bare.work / each).st_mode) for each in ("names", "objects")}
