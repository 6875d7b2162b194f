"""lpmx cp: files into containers and out of them, by Docker's rules."""
from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Iterator, List

import pytest
from support import layers
from support.layers import directory, file, symlink
from support.made import make_image

from lpmx_runtime.container import Bind, Container, Options
from lpmx_runtime.errors import CopyFailed
from lpmx_runtime.image.copy import copy
from lpmx_runtime.store import Store

BASE = layers.tar(directory(b"etc"), file(b"etc/motd", b"hello\n", mtime=5, uid=3, gid=4),
                  directory(b"d"), file(b"d/f", b"f"), directory(b"d/e"), file(b"d/e/g", b"g"),
                  file(b"suid", b"#!", mode=0o4755), symlink(b"to-motd", b"etc/motd"),
                  symlink(b"to-d", b"d"), symlink(b"out", b"/d"))


@pytest.fixture
def container(opened: Store) -> Iterator[Container]:
    made = Container.create(opened, make_image(opened, "base:1", BASE), name="c",
                            options=Options(contain=True))
    yield made


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A tree of this machine: file, dir/{a,sub/b,link}."""
    top = tmp_path / "here"
    (top / "dir/sub").mkdir(parents=True)
    (top / "file").write_text("file\n")
    (top / "dir/a").write_text("a\n")
    (top / "dir/sub/b").write_text("b\n")
    os.link(top / "dir/a", top / "dir/hard")
    (top / "dir/link").symlink_to("a")
    (top / "file").chmod(0o750)
    os.utime(top / "file", ns=(10 ** 9, 7 * 10 ** 9))
    return top


def names(view: Any, top: str) -> List[str]:
    found, todo = [], [top]
    while todo:
        path = todo.pop()
        found.append(path)
        if stat.S_ISDIR(view.lstat(path).st_mode):
            todo += [f"{path}/{name}" for name in view.listdir(path)]
    return sorted(found)


@pytest.mark.parametrize("source, target, expected", [
    ("file", "c:/", "/file"), ("file", "c:/new", "/new"), ("file", "c:etc/motd", "/etc/motd"),
    ("file", "c:/d", "/d/file"), ("file", "c:/d/", "/d/file"), ("file", "c:/to-d", "/d/file"),
    ("dir", "c:/d", "/d/dir/a"), ("dir/", "c:/d", "/d/dir/a"), ("dir", "c:/new", "/new/a"),
    ("dir/.", "c:/d", "/d/a"), ("dir/.", "c:/new", "/new/a"), ("dir", "c:/new/", "/new/a"),
])
def test_where_a_copy_goes(container: Container, opened: Store, here: Path, source: str,
                           target: str, expected: str) -> None:
    """A name that is there, one that is not, slashes, a link to a directory."""
    copy(opened, f"{here}/{source}", target)

    with container.view() as view:
        assert (b"a\n" if "dir" in source else b"file\n") == view.read(expected)
        assert (0, 0) == (view.stat(expected).st_uid, view.stat(expected).st_gid)


def test_all_of_a_directory_is_copied(container: Container, opened: Store, here: Path) -> None:
    """Links of both kinds, modes, times; what was there stays."""
    copy(opened, f"{here}/dir/.", "c:/d")
    copy(opened, f"{here}/file", "c:/d/f")

    with container.view() as view:
        assert ["/d", "/d/a", "/d/e", "/d/e/g", "/d/f", "/d/hard", "/d/link", "/d/sub",
                "/d/sub/b"] == names(view, "/d")
        assert "a" == view.readlink("/d/link")
        assert view.stat("/d/a").st_ino == view.stat("/d/hard").st_ino
        status = view.stat("/d/f")
        assert (0o750, 7 * 10 ** 9) == (stat.S_IMODE(status.st_mode), status.st_mtime_ns)


def test_out_of_a_container_and_back(container: Container, opened: Store, tmp_path: Path) -> None:
    """The same tree, with its owners if they are to be kept."""
    copy(opened, "c:/d", str(tmp_path / "d"))
    assert "g" == (tmp_path / "d/e/g").read_text()

    copy(opened, "c:/etc/motd", "c:/d/kept", archive=True)
    copy(opened, "c:/etc/motd", "c:/d/given")

    with container.view() as view:
        assert (3, 4) == (view.stat("/d/kept").st_uid, view.stat("/d/kept").st_gid)
        assert 0 == view.stat("/d/given").st_uid


def test_links_at_the_source(container: Container, opened: Store, tmp_path: Path) -> None:
    """Are copied as links unless they are to be followed."""
    copy(opened, "c:/to-motd", str(tmp_path / "link"))
    copy(opened, "c:/to-motd", str(tmp_path / "content"), follow=True)

    assert "etc/motd" == os.readlink(tmp_path / "link")
    assert "hello\n" == (tmp_path / "content").read_text()


def test_what_must_not_come_out(container: Container, opened: Store, tmp_path: Path) -> None:
    """A set-user-ID bit would be of whoever copies; a device is told."""
    with container.view() as view:
        view.mknod("/d/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))

    copy(opened, "c:/suid", str(tmp_path / "suid"))
    left_out = copy(opened, "c:/d", str(tmp_path))

    assert 0o755 == stat.S_IMODE((tmp_path / "suid").stat().st_mode)
    assert ["d/null"] == left_out
    assert (tmp_path / "d/e/g").exists()


def test_streams(container: Container, lpmx: Any, tmp_path: Path) -> None:
    """A tar from one container into another place, with owners; GNU tar reads and writes them."""
    packed = lpmx("cp", "c:/d", "-", text=False, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert ["d", "d/e", "d/e/g", "d/f"] == sorted(tar.getnames())
    (tmp_path / "x").write_text("x")
    tar_of_x = subprocess.run(["tar", "-C", tmp_path, "--owner=5", "--group=6", "-cf", "-", "x"],
                              check=True, stdout=subprocess.PIPE).stdout

    lpmx("cp", "-", "c:/etc", input=packed, text=False, check=True)
    lpmx("cp", "-", "c:/etc", input=tar_of_x, text=False, check=True)

    with container.view() as view:
        assert b"g" == view.read("/etc/d/e/g")
        assert (5, 6) == (view.stat("/etc/x").st_uid, view.stat("/etc/x").st_gid)


def test_programs_see_what_is_copied(loaded: Any, lpmx: Any, tmp_path: Path) -> None:
    """In a container in which something runs; and what they wrote comes out."""
    (tmp_path / "script").write_text("#!/bin/sh\necho from a copy | tee /written\n")
    (tmp_path / "script").chmod(0o755)
    name = lpmx("create", loaded("tiny"), store=loaded.path, check=True).stdout.strip()

    lpmx("cp", tmp_path / "script", f"{name}:/bin/script", store=loaded.path, check=True)
    said = lpmx("exec", name, "/bin/script", store=loaded.path, check=True).stdout
    lpmx("cp", f"{name}:written", tmp_path / "out", store=loaded.path, check=True)
    lpmx("rm", name, store=loaded.path, check=True)

    assert "from a copy\n" == said == (tmp_path / "out").read_text()


def test_hostile_tar_stays_inside(container: Container, opened: Store, tmp_path: Path) -> None:
    """No name climbs out, and no link of the tar is followed."""
    for tar in (layers.tar(file(b"../x", b"")),
                layers.tar(symlink(b"l", b"/etc"), file(b"l/motd", b"evil")),
                layers.tar(file(b"motd", b""), file(b"motd/x", b""))):
        with pytest.raises(CopyFailed, match="cannot be made"):
            copy(opened, "-", "c:/d", stdin=io.BytesIO(tar))

    with container.view() as view:
        assert b"hello\n" == view.read("/etc/motd")


@pytest.mark.parametrize("source, target, cause", [
    ("file", "c:/nowhere/x", 'there is no directory "/nowhere"'),
    ("file", "c:/new/", "is no directory"), ("file/", "c:/x", "not a directory"),
    ("dir", "c:/etc/motd", "is there and no directory"), ("missing", "c:/", "cannot be read"),
    ("c:/missing", "x", "cannot be read"), ("file", "c:", "there is no path"),
    ("file", "x", "neither side is in a container"), ("file", "nobody:/x", 'container "nobody"'),
    ("c:/d", "file", "is there and no directory"), ("-", "c:/etc/motd", "is no directory"),
    ("dir/.", "c:/clash", "it is there and no directory"),
])
def test_bad_input_is_told(container: Container, here: Path, lpmx: Any, source: str, target: str,
                           cause: str) -> None:
    """With the thing, the cause and the next step."""
    with container.view() as view:
        view.mkdir("/clash")
        view.write("/clash/sub", b"a file")

    result = lpmx("cp", source, target, cwd=here, input="")

    assert 1 == result.returncode
    assert cause in result.stderr
    assert "\nhint: " in result.stderr


def test_read_only_bind_is_told(opened: Store, container: Container, here: Path) -> None:
    """Nothing is left behind."""
    bound = Container.create(opened, opened.images.find("base:1"), name="b", options=Options(
        contain=True, binds=(Bind(str(here), "/mnt", True),)))

    with pytest.raises(CopyFailed, match="read-only file system"):
        copy(opened, f"{here}/file", "b:/mnt/new")

    assert ["dir", "file"] == sorted(os.listdir(here))
    assert bound.name == "b"
