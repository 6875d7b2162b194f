"""An image in a directory, for tests of what is found in one."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Optional, Sequence

from lpmx_jupyter import kernels
from lpmx_runtime import _native
from lpmx_runtime.container import Bind, ViewSpec

PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class Tree:
    """Files of an image, and a view of them."""

    def __init__(self, root: Path, binds: Sequence[Bind] = ()) -> None:
        self.root = root / "tree"
        self._binds = binds
        self._view_file = root / "view"
        self.root.mkdir()

    def program(self, path: str) -> None:
        self.file(path, "#!/bin/sh\n").chmod(0o755)

    def file(self, path: str, text: str = "") -> Path:
        at = self.root / path.lstrip("/")
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)
        return at

    def link(self, path: str, target: str) -> None:
        at = self.root / path.lstrip("/")
        at.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, at)

    def spec(self, folder: str, argv: Sequence[str], language: str = "python", **values: Any) -> None:
        self.file(f"{folder}/kernel.json", json.dumps(
            {"argv": list(argv), "display_name": values.pop("title", "Kernel"), "language": language,
             **values}))

    def view(self) -> _native.View:
        self._view_file.write_bytes(ViewSpec(kind="container", name="tree", layers=[self.root],
                                             binds=self._binds, loader=_native.loader_path()).encode())
        return _native.View(self._view_file)

    def kernels(self, variables: Optional[dict[str, str]] = None) -> list[kernels.Kernel]:
        with self.view() as view:
            return kernels.find(view, variables or PATH)
