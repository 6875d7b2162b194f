"""An image as the native core shows it, before any container changes it."""
from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from lpmx_runtime import _native
from lpmx_runtime.store import Image, Store

from .views import Layered


@contextlib.contextmanager
def image_view(store: Store, image: Image, directory: Path) -> Iterator[_native.View]:
    """A view of the layers of `image` and nothing else; `directory` is for its upper."""
    with Layered(store, directory, image.diff_ids) as layered:
        yield layered.view


def listing(view: _native.View) -> Tuple[Dict[str, str], List[List[str]]]:
    """Each path of the view with type, permissions, size and link target or content's hash,
    as `trees.listing` has it for a directory; and the names that are one file."""
    found: Dict[str, str] = {}
    files: Dict[int, List[str]] = {}
    todo = [""]
    while todo:
        above = todo.pop()
        for name in view.listdir(above or "/"):
            path = f"{above}/{name}"
            about = view.lstat(path)
            kind = stat.filemode(about.st_mode)
            if stat.S_ISLNK(about.st_mode):
                kind = "l -> " + view.readlink(path)
            elif stat.S_ISREG(about.st_mode):
                kind += f" {about.st_size} {hashlib.sha256(view.read(path)).hexdigest()}"
                if about.st_nlink > 1:
                    files.setdefault(about.st_ino, []).append(path)
            found[path] = kind
            if stat.S_ISDIR(about.st_mode):
                todo.append(path)
    return found, links(files)


def links(files: Dict[int, List[str]]) -> List[List[str]]:
    """Groups of names that are one file; files with one name are left out."""
    return sorted(sorted(names) for names in files.values() if len(names) > 1)


def link_groups(top: Path) -> List[List[str]]:
    """The names below `top` that are one file, as `listing` has them for a view."""
    files: Dict[int, List[str]] = {}
    for directory, _, names in os.walk(top):
        for name in names:
            path = os.path.join(directory, name)
            about = os.lstat(path)
            if stat.S_ISREG(about.st_mode) and about.st_nlink > 1:
                files.setdefault(about.st_ino, []).append(path[len(str(top)):])
    return links(files)
