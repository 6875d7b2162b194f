"""Views of layers, opened for calls from the test's own process: no program is started."""
from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Sequence

from lpmx_runtime import _native
from lpmx_runtime.container.spec import ViewSpec
from lpmx_runtime.store import Store


class Layered:
    """A view of a chain of layers with a fresh upper below `root`; nothing is bound in it."""

    def __init__(self, store: Store, root: Path, diff_ids: Sequence[str]) -> None:
        self.upper = root / "upper"
        for name in ("upper", "work"):
            (root / name).mkdir(parents=True)
        _native.control_create(root / "control")
        spec = ViewSpec(kind="container", name="test", loader=_native.loader_path(),
                        directory=root, index=store.indexes.ensure(diff_ids),
                        layers=list(store.indexes.trees(diff_ids)), upper=self.upper,
                        work=root / "work", control=root / "control", uid=0, gid=0)
        (root / "view").write_bytes(spec.encode())
        self.view = _native.View(root / "view")

    def __enter__(self) -> "Layered":
        return self

    def __exit__(self, *unused: object) -> None:
        self.view.close()

    def shown(self) -> dict[str, tuple]:
        return shown(self.view)


def shown(view: _native.View, without: Sequence[str] = ()) -> dict[str, tuple]:
    """All that the view shows, by path: mode and owner, and content, target or device; but for
    what is at the paths `without`, or below them.

    Names of one file have the first of them as a last fact.
    """
    found: dict[str, tuple] = {}
    names: dict[int, str] = {}
    todo = [""]
    while todo:
        path = todo.pop()
        for name in sorted(view.listdir(path or "/")):
            below = f"{path}/{name}"
            if below in without:
                continue
            status = view.lstat(below)
            facts: list[object] = [oct(status.st_mode), status.st_uid, status.st_gid]
            if stat.S_ISREG(status.st_mode):
                facts += [status.st_size, hashlib.sha256(view.read(below)).hexdigest(),
                          status.st_mtime_ns // 10 ** 9,
                          {key: view.getxattr(below, key) for key in view.listxattr(below)}]
            elif stat.S_ISLNK(status.st_mode):
                facts.append(view.readlink(below))
            elif stat.S_ISDIR(status.st_mode):
                todo.append(below)
            else:
                facts.append(status.st_rdev)
            if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
                facts += [status.st_nlink, names.setdefault(status.st_ino, below)]
            found[below] = tuple(facts)
    return found
