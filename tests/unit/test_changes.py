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
from support.made import BASE, change_view
from support.views import Layered

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
    """Something of everything, and more than a commit is asked about."""
    change_view(view)
    view.mknod("/zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    view.write("/several", b"several")
    view.link("/several", "/dir/several")
    view.link("/several", "/several2")
    view.write("/kept/more", b"more")
    view.rename("/one", "/moved")
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
    assert found["zero"].ischr() and (1, 5) == (found["zero"].devmajor, found["zero"].devminor)
    assert found["several"].islnk() and "dir/several" == found["several"].linkname
    assert "gr\0en" == found["tagged"].pax_headers["SCHILY.xattr.user.colour"]


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
