"""What is in a directory tree, as a value that can be compared."""
from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Dict, Iterator


def walk(top: Path) -> Iterator[os.DirEntry[bytes]]:
    """Everything below `top`, sorted by name, directories before what is in them."""
    with os.scandir(os.fsencode(top)) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from walk(Path(os.fsdecode(entry.path)))


def digest(top: Path) -> str:
    """One hash over names, types, modes, owners, sizes, times, links, attributes and content."""
    total = hashlib.sha256()
    start = len(os.fsencode(top)) + 1
    for entry in walk(top):
        about = entry.stat(follow_symlinks=False)
        total.update(b"%s\0%o %d %d %d %d %d\0" % (
            entry.path[start:], about.st_mode, about.st_uid, about.st_gid, about.st_nlink,
            about.st_size if not entry.is_dir(follow_symlinks=False) else 0, about.st_mtime_ns))
        for name in sorted(os.listxattr(entry.path, follow_symlinks=False)):
            value = os.getxattr(entry.path, name, follow_symlinks=False)
            total.update(b"%s=%d %s\0" % (name.encode(), len(value), value))
        if stat.S_ISLNK(about.st_mode):
            total.update(os.readlink(entry.path) + b"\0")
        elif stat.S_ISREG(about.st_mode):
            with open(entry.path, "rb") as file:
                while block := file.read(1 << 20):
                    total.update(block)
    return total.hexdigest()


def listing(top: Path) -> Dict[str, str]:
    """Each path below `top` with its type, permissions, size and link target or content hash."""
    found = {}
    for entry in walk(top):
        about = entry.stat(follow_symlinks=False)
        kind = stat.filemode(about.st_mode)
        if stat.S_ISLNK(about.st_mode):
            kind = "l -> " + os.fsdecode(os.readlink(entry.path))
        elif stat.S_ISREG(about.st_mode):
            with open(entry.path, "rb") as file:
                kind += f" {about.st_size} {hashlib.sha256(file.read()).hexdigest()}"
        found[os.fsdecode(entry.path)[len(str(top)):]] = kind
    return found
