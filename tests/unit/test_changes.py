"""What a container changed becomes a layer that says the same.

The oracle is the view itself: an image with the changes as its top layer shows
what the container with its upper showed.
"""
from __future__ import annotations

import io
import os
import socket
import stat
import tarfile
from pathlib import Path
from typing import Iterator, Optional

import pytest
from lpmx_runtime import _native
from lpmx_runtime.container.spec import Bind, ViewSpec
from lpmx_runtime.image.changes import OBJECT, WHITEOUT, read_changes, walk
from lpmx_runtime.image.tarwriter import Stream
from lpmx_runtime.store import Store
from support import layers
from support.layers import directory, file, link, symlink
from support.views import Layered

BASE = layers.tar(
    directory(b"etc"), file(b"etc/motd", b"hello\n", mtime=5), file(b"etc/passwd", b"root\n", mtime=5),
    directory(b"old"), file(b"old/a", b"a"), directory(b"old/sub"), file(b"old/sub/b", b"b"),
    directory(b"tmp", mode=0o1777), file(b"suid", b"#!", mode=0o4755), file(b"mail", b"", gid=8),
    file(b"one", b"linked"), link(b"two", b"one"), symlink(b"way", b"etc/motd"), directory(b"kept"),
    file(b"kept/deep", b"deep"))


@pytest.fixture
def opened(store: Path) -> Store:
    return Store.open(store)


@pytest.fixture
def base(opened: Store) -> str:
    return opened.layers.add(io.BytesIO(BASE))


@pytest.fixture
def container(opened: Store, base: str, tmp_path: Path) -> Iterator[Layered]:
    with Layered(opened, tmp_path / "container", [base]) as made:
        yield made


def change(view: _native.View) -> None:
    """Something of everything."""
    view.write("/new", b"new\n", 0o640)
    view.write("/etc/motd", b"changed\n")
    view.unlink("/etc/passwd")
    view.unlink("/old/a")
    view.unlink("/old/sub/b")
    view.rmdir("/old/sub")
    view.rmdir("/old")
    view.mkdir("/old", 0o750)                  # opaque: what was in it stays gone
    view.write("/old/only", b"only")
    view.unlink("/way")
    view.symlink("/new", "/way")
    view.mkdir("/dir", 0o2775)
    view.chown("/dir", 5, 6)
    view.write("/owned", b"x")
    view.chown("/owned", 33, 33)
    view.chmod("/owned", 0o4711)
    view.chmod("/mail", 0o2660)                # of the base, now ours
    view.mknod("/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    view.mknod("/disk", stat.S_IFBLK | 0o660, os.makedev(8, 1))
    view.mknod("/pipe", stat.S_IFIFO | 0o600)
    view.write("/many", b"many")
    view.link("/many", "/dir/many")
    view.link("/many", "/many2")
    view.write("/kept/more", b"more")
    view.write("/locked", b"secret", 0o600)
    view.chmod("/locked", 0)
    view.rename("/one", "/moved")
    view.write("/tagged", b"")
    view.setxattr("/tagged", "user.colour", b"green")
    view.write("/name\n with \u00e9 and \udcff", b"")
    view.truncate("/new", 0)


def members(pieces: list[bytes]) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces)), errors="surrogateescape") as tar:
        return {member.name: member for member in tar}


def test_changes_as_a_layer_show_the_same(opened: Store, base: str, container: Layered,
                                          tmp_path: Path) -> None:
    """Names, content, modes, owners, devices, links, whiteouts, opaque directories."""
    change(container.view)
    expected = container.shown()

    layer = opened.layers.add(Stream(read_changes(container.view, container.upper)))
    with Layered(opened, tmp_path / "result", [base, layer]) as result:
        found = result.shown()

    assert set(expected) == set(found)
    assert expected == found


def test_changes_of_an_untouched_container_are_none(container: Layered) -> None:
    """Not even the root directory."""
    assert {} == members(list(read_changes(container.view, container.upper)))


def test_whiteouts_and_opaque_directories_as_oci_has_them(container: Layered) -> None:
    """Whiteouts come before other members of their directory, each directory before its own."""
    container.view.unlink("/etc/passwd")
    container.view.write("/etc/a", b"")
    for path in ("/old/a", "/old/sub/b"):
        container.view.unlink(path)
    for path in ("/old/sub", "/old"):
        container.view.rmdir(path)
    container.view.mkdir("/old")

    assert ["etc", "etc/.wh.passwd", "etc/a", "old", "old/.wh..wh..opq"] == \
        list(members(list(read_changes(container.view, container.upper))))


def test_whiteout_in_the_form_without_devices(tmp_path: Path) -> None:
    """An upper on a file system that refuses devices (lpmx_abi.h, on-disk conventions)."""
    upper = tmp_path / "upper"
    (upper / "dir").mkdir(parents=True)
    (upper / "dir" / "gone").touch()
    (upper / "dir" / "empty").touch()
    try:
        os.setxattr(upper / "dir" / "gone", "user.overlay.whiteout", b"")
        os.setxattr(upper / "dir", "user.overlay.opaque", b"x")
    except OSError as error:
        pytest.skip(f"needs a file system with user attributes: {error}")

    assert [(b"", OBJECT), (b"dir", OBJECT), (b"dir/gone", WHITEOUT), (b"dir/empty", OBJECT)] == \
        [(change.path, change.kind) for change in walk(upper)]


def test_changes_are_reproducible(container: Layered) -> None:
    """The same upper gives the same bytes."""
    change(container.view)

    assert b"".join(read_changes(container.view, container.upper)) == b"".join(read_changes(container.view, container.upper))


def test_paths_can_be_left_out(container: Layered) -> None:
    """With all below them."""
    container.view.makedirs("/mount/below")
    container.view.write("/mount/below/x", b"")
    container.view.write("/other", b"")
    container.view.unlink("/etc/motd")

    found = members(list(read_changes(container.view, container.upper, without=[b"mount", b"etc/motd"])))

    assert ["etc", "other"] == list(found)


def test_sockets_are_left_out(container: Layered) -> None:
    """They mean nothing without the process that made them."""
    end: Optional[socket.socket] = socket.socket(socket.AF_UNIX)
    here = os.open(container.upper, os.O_RDONLY)
    try:
        end.bind(f"/proc/self/fd/{here}/socket")
    finally:
        os.close(here)
        end.close()

    assert {} == members(list(read_changes(container.view, container.upper)))


def test_other_tools_read_the_changes(container: Layered) -> None:
    """Python's own reader gets owners, modes and devices."""
    change(container.view)
    found = members(list(read_changes(container.view, container.upper)))

    assert (0o4711, 33, 33) == (found["owned"].mode, found["owned"].uid, found["owned"].gid)
    assert found["null"].ischr() and (1, 3) == (found["null"].devmajor, found["null"].devminor)
    assert found["many"].islnk() and "dir/many" == found["many"].linkname
    assert "green" == found["tagged"].pax_headers["SCHILY.xattr.user.colour"]


def test_binds_need_no_points_in_the_upper(opened: Store, base: str, tmp_path: Path) -> None:
    """A file that covers another leaves nothing in the upper."""
    root = tmp_path / "covered"
    for name in ("upper", "work"):
        (root / name).mkdir(parents=True)
    (root / "cover").write_text("covered\n")
    spec = ViewSpec(kind="container", name="test", loader=_native.loader_path(), directory=root,
                    index=opened.indexes.ensure([base]), layers=list(opened.indexes.trees([base])),
                    upper=root / "upper", work=root / "work", uid=0, gid=0,
                    binds=[Bind(str(root / "cover"), "/etc/motd", True),
                           Bind(str(root / "cover"), "/etc/absent", True)])
    (root / "view").write_bytes(spec.encode())

    with _native.View(root / "view") as view:
        assert b"covered\n" == view.read("/etc/motd") == view.read("/etc/absent")

    assert [b""] == [change.path for change in walk(root / "upper")]
