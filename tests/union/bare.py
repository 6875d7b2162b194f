"""A container for tests that need no other world: layers in a store, and a view file.

For whoever runs the tests; nothing here needs root.
"""
from __future__ import annotations

import io
import os
import tempfile
import traceback
from pathlib import Path
from typing import Callable, List, Optional, Sequence

from lpmx_runtime import _native
from lpmx_runtime.store import Store
from lpmx_runtime.store.files import remove_tree

from .layers import Layer, as_tar


class Bare:
    """A fresh upper over the layers."""

    def __init__(self, layers: Sequence[Layer], place: Optional[Path] = None) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="lpmx-bare-", dir=place or os.environ.get(
            "LPMX_TEST_SCRATCH", "/var/tmp")))
        self.store = Store.open(self.root / "store")
        self.diff_ids = [self.store.layers.add(io.BytesIO(as_tar(layer))) for layer in layers]
        self.index = self.store.indexes.ensure(self.diff_ids)
        self.trees = self.store.indexes.trees(self.diff_ids)
        self.upper, self.work = self.root / "upper", self.root / "work"
        self.control, self.file = self.root / "control", self.root / "view"
        self.upper.mkdir()
        self.work.mkdir()
        _native.control_create(self.control)
        self.write_view()
        with self.view() as view:
            view.make_bind_points()

    def fields(self) -> List[tuple]:
        return [("kind", "container"), ("name", "bare"), ("directory", self.root),
                ("loader", _native.loader_path()), ("upper", self.upper), ("work", self.work),
                ("control", self.control), ("uid", 0), ("gid", 0),
                *[("layer", tree) for tree in self.trees], ("index", self.index),
                ("bind", "rw\0/proc\0/proc")]

    def write_view(self) -> None:
        text = "lpmx-view 1\0" + "".join(f"{key}\0{value}\0" for key, value in self.fields())
        self.file.write_bytes(os.fsencode(text))

    def view(self) -> _native.View:
        return _native.View(self.file)

    def __enter__(self) -> "Bare":
        return self

    def __exit__(self, *unused: object) -> None:
        remove_tree(self.root)

    def work_left(self) -> List[str]:
        """What lies in the work directory, but for what belongs there: records of links, and
        what programs called their sockets."""
        return sorted(set(os.listdir(self.work)) - {"objects", "names"})


def start(function: Callable[[], None]) -> int:
    """Run `function` in a child process, which fails if it raises."""
    child = os.fork()
    if not child:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def together(count: int, function: Callable[[int], None]) -> None:
    """Run `function` with each number below `count`, in as many processes at once."""
    ready_out, ready_in = os.pipe()
    go_out, go_in = os.pipe()

    def run(number: int) -> None:
        os.close(go_in)
        os.write(ready_in, b".")
        os.read(go_out, 1)      # ends when the parent closes its end
        function(number)

    children = [start(lambda number=number: run(number)) for number in range(count)]
    for _ in children:
        os.read(ready_out, 1)
    for fd in (go_in, go_out, ready_in, ready_out):
        os.close(fd)
    failed = [child for child in children if os.waitpid(child, 0)[1]]
    assert [] == failed
