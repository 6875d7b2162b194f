"""All that can be seen of a tree of files, in a view or in a directory, to be compared."""
from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any, Dict, Tuple

Facts = Dict[str, Tuple[object, ...]]


def of_view(view: Any) -> Facts:
    """All that a view shows: type, mode, owner, and content, target or device; which names
    are one file; attributes."""
    return facts(view.listdir, view.lstat, view.readlink, view.read,
                 lambda path: {name: view.getxattr(path, name) for name in view.listxattr(path)})


def of_directory(top: Path) -> Facts:
    """The same of a directory."""
    def attributes(path: str) -> Dict[str, bytes]:
        return {name: os.getxattr(f"{top}{path}", name, follow_symlinks=False)
                for name in os.listxattr(f"{top}{path}", follow_symlinks=False)}

    return facts(lambda path: os.listdir(f"{top}{path}"), lambda path: os.lstat(f"{top}{path}"),
                 lambda path: os.readlink(f"{top}{path}"),
                 lambda path: Path(f"{top}{path}").read_bytes(), attributes)


def facts(listdir: Any, lstat: Any, readlink: Any, read: Any, attributes: Any) -> Facts:
    found: Facts = {}
    first: Dict[int, str] = {}
    todo = [""]
    while todo:
        above = todo.pop()
        for name in sorted(listdir(above or "/")):
            path = f"{above}/{name}"
            about = lstat(path)
            mode, more = about.st_mode, []  # type: int, List[object]
            if stat.S_ISDIR(mode):
                todo.append(path)
            else:
                more.append(about.st_mtime_ns // 10 ** 9)
                if about.st_nlink > 1:
                    more.append(first.setdefault(about.st_ino, path))
            if stat.S_ISREG(mode):
                more += [about.st_size, hashlib.sha256(read(path)).hexdigest()]
            elif stat.S_ISLNK(mode):
                more.append(readlink(path))
            elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                more.append(about.st_rdev)
            if not stat.S_ISLNK(mode):
                more.append(attributes(path))
            found[path] = (oct(mode), about.st_uid, about.st_gid, *more)
    return found
