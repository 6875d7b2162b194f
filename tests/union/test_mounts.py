"""All of a view's union is one mount, whichever file systems its parts are in; binds are others."""
from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path
from typing import Iterator, List, NamedTuple

import pytest
from lpmx_runtime._native import AT_FDCWD, View, control_create
from lpmx_runtime.store.files import remove_tree

from .bare import Bare
from .layers import Layer, directory, regular

NOFOLLOW, EMPTY_PATH = 0x100, 0x1000
BTIME, MNT_ID, MNT_ID_UNIQUE, MOUNT_ROOT, READ_ONLY = 0x800, 0x1000, 0x4000, 0x2000, 1
STATX, STATFS, HANDLE = 332, 137, 303


class Told(NamedTuple):
    device: int
    mount: int
    born: int
    root: bool      # of a mount


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory in memory, if there is any, and so in another file system than the layers."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/var/tmp"
    found = Path(tempfile.mkdtemp(prefix="lpmx-elsewhere-", dir=place))
    yield found
    remove_tree(found)


@pytest.fixture
def view(elsewhere: Path) -> Iterator[View]:
    """Layers here, the upper elsewhere, and something of the machine bound for reading."""
    layer: Layer = {"": directory(), "proc": directory(0o555), "lower": directory(),
                    "lower/file": regular(b"x"), "both": directory(), "both/file": regular(b"y"),
                    "bound": directory()}
    with Bare([layer], Path("/var/tmp")) as bare:
        for part in ("upper", "work", "bound", "bound/below"):
            (elsewhere / part).mkdir()
        control_create(elsewhere / "control")
        places = {"upper": elsewhere / "upper", "work": elsewhere / "work",
                  "control": elsewhere / "control"}
        fields = [(key, places.get(key, value)) for key, value in bare.fields()]
        fields.append(("bind", f"ro\0/bound\0{elsewhere}/bound"))
        text = "lpmx-view 1\0" + "".join(f"{key}\0{value}\0" for key, value in fields)
        bare.file.write_bytes(os.fsencode(text))
        with bare.view() as view:
            view.make_bind_points()
            view.chmod("/both/file", 0o600)
            view.mkdir("/upper")
            yield view


def _told(view: View, path: str, mask: int = 0x7ff | BTIME | MNT_ID, *, fd: int = AT_FDCWD) -> Told:
    data = bytearray(256)
    flags = NOFOLLOW if fd == AT_FDCWD else EMPTY_PATH
    assert 0 == view.call(STATX, fd, path.encode(), flags, mask, data)
    attributes, = struct.unpack_from("<Q", data, 8)
    born, = struct.unpack_from("<q", data, 0x50)
    major, minor, mount = struct.unpack_from("<IIQ", data, 0x88)
    return Told(os.makedev(major, minor), mount, born, bool(attributes & MOUNT_ROOT))


PATHS = ["/", "/lower", "/lower/file", "/both", "/both/file", "/upper"]


@pytest.mark.parametrize("mask", [MNT_ID, 0x7ff, 0x7ff | BTIME, MNT_ID_UNIQUE])
def test_the_union_is_one_mount(view: View, mask: int) -> None:
    """By name and by descriptor: who goes through a tree on one file system goes all through."""
    found: List[Told] = [_told(view, path, mask) for path in PATHS]
    for path in PATHS:
        fd = view.open(path, os.O_RDONLY)
        found.append(_told(view, "", mask, fd=fd))
        os.close(fd)

    assert 1 == len({(told.device, told.mount) for told in found})


def test_handles_are_of_the_same_mount(view: View) -> None:
    """name_to_handle_at tells it, too."""
    mounts = set()
    for path in PATHS:
        handle, mount = bytearray(struct.pack("<I", 128) + bytes(132)), bytearray(4)
        assert 0 == view.call(HANDLE, AT_FDCWD, path.encode(), handle, mount, 0x200)
        mounts.add(bytes(mount))

    assert {struct.pack("<i", _told(view, "/").mount)} == mounts


def test_a_root_and_what_is_bound_are_where_something_is_mounted(view: View) -> None:
    """And nothing else is."""
    assert [True] + [False] * 5 == [_told(view, path).root for path in PATHS]
    assert [True, False] == [_told(view, path).root for path in ("/bound", "/bound/below")]


def test_a_file_of_a_layer_has_a_time_of_birth(view: View) -> None:
    """That of the file in the layer; a program that asks for none is told none."""
    node = view.resolve("/lower/file")

    assert 0 < _told(view, "/lower/file").born <= os.stat(node.host).st_ctime
    assert 0 == _told(view, "/lower/file", 0x7ff).born


def test_what_is_bound_for_reading_says_so(view: View) -> None:
    """statfs tells, as of a mount that is read-only."""
    flags = []
    for path in ("/lower", "/upper", "/bound", "/bound/below"):
        data = bytearray(120)
        assert 0 == view.call(STATFS, path.encode(), data)
        flags.append(struct.unpack_from("<q", data, 80)[0] & READ_ONLY)

    assert [0, 0, READ_ONLY, READ_ONLY] == flags
