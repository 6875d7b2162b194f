"""Access control lists of the place that a store is in are none of the view's."""
from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Iterator, List

import pytest
from lpmx_runtime import _native
from lpmx_runtime._native import View
from lpmx_runtime.store.files import remove_tree

from .bare import Bare
from .cases import ACCESS, DEFAULT, acl
from .layers import Layer, directory, regular

FGETXATTR, FLISTXATTR = 193, 196


@pytest.fixture
def view() -> Iterator[View]:
    """Of a container whose store is where a group shares all that is made."""
    layer: Layer = {"": directory(), "proc": directory(0o555), "d": directory(),
                    "d/f": regular(b"f"), "d/g": regular(b"g", 0o640, uid=5), "d/gone": regular(b"")}
    place = Path(tempfile.mkdtemp(prefix="lpmx-shared-", dir=os.environ.get(
        "LPMX_TEST_SCRATCH", "/var/tmp")))
    os.setxattr(place, DEFAULT, acl(7, 5, 5, mask=7, users={7: 7}, groups={8: 7}))
    with Bare([layer], place) as bare:
        _native.control_ensure(bare.file, alone=True)
        assert "system.posix_acl_access" in os.listxattr(bare.trees[0] / "d")
        with bare.view() as view:
            yield view
    remove_tree(place)


def _lists(view: View, path: str) -> List[str]:
    """What an object has, by its name and by a descriptor."""
    found = [name for name in view.listxattr(path) if name.startswith("system.")]
    fd, data = view.open(path, os.O_RDONLY), bytearray(4096)
    size = view.call(FLISTXATTR, fd, data, len(data))
    found += [name.decode() for name in bytes(data[:size]).split(b"\0") if name.startswith(b"system.")]
    found += [name for name in (ACCESS, DEFAULT)
              if view.call(FGETXATTR, fd, name.encode(), data, len(data)) >= 0]
    os.close(fd)
    return found


def test_nothing_in_the_view_has_the_lists_of_its_place(view: View) -> None:
    """Not what is in a layer, what is copied up, what is new."""
    before = os.umask(0o027)
    try:
        view.chmod("/d/f", 0o604)
        view.unlink("/d/gone")
        view.write("/d/gone", b"again", 0o666)
        view.write("/new", b"new", 0o666)
        view.mkdir("/own", 0o777)
        view.write("/own/below", b"below", 0o666)
    finally:
        os.umask(before)

    paths = ["/", "/d", "/d/f", "/d/g", "/d/gone", "/new", "/own", "/own/below"]
    assert {path: [] for path in paths} == {path: _lists(view, path) for path in paths}
    assert [0o755, 0o755, 0o604, 0o640, 0o640, 0o640, 0o750, 0o640] == [
        stat.S_IMODE(view.lstat(path).st_mode) for path in paths]
