"""What a container changed, path by path, as `docker diff` tells it."""
from __future__ import annotations

import os
import stat
from typing import Iterator, NamedTuple

from .._native import Stat, View
from ..container import Container
from .changes import OBJECT, OPAQUE, WHITEOUT, walk
from .opened import Opened, opened_container
from .viewtar import look

ADDED, CHANGED, DELETED = "A", "C", "D"
_CHUNK = 1 << 20


class Difference(NamedTuple):
    """`kind` is "A" for what is new, "C" for what is changed, "D" for what is gone."""

    kind: str
    path: str


def differences(container: Container, *, content: bool = False) -> list[Difference]:
    """All differences between the container and its image, by path.

    A directory is changed, too, when something in it is. Of a directory that is gone,
    nothing below is listed. A time alone is a change; with `content` it is not, and
    files whose bytes are the same are compared byte by byte.
    """
    with opened_container(container, failing=f'cannot compare container "{container.name}"') \
            as opened:
        found: dict[bytes, str] = {}
        for path, kind in _changes(opened, content):
            found[path] = kind
            above = path.rpartition(b"/")[0]
            while above and above not in found:
                found[above] = CHANGED
                above = above.rpartition(b"/")[0]
    return [Difference(kind, "/" + os.fsdecode(path)) for path, kind in sorted(found.items())]


def _changes(opened: Opened, content: bool) -> Iterator[tuple[bytes, str]]:
    hiding: set[bytes] = set()   # directories below which the image does not show
    for change in walk(opened.upper, opened.places):
        path = change.path
        if change.kind == OBJECT and path.rpartition(b"/")[0] in hiding and path:
            if stat.S_ISDIR(change.status.st_mode):
                hiding.add(path)
                yield from _gone_below(opened, path)
        if change.kind == OPAQUE:
            hiding.add(path)
            yield from _gone_below(opened, path)
        elif change.kind == WHITEOUT:
            if look(opened.lower, path) is not None:
                yield path, DELETED
        elif path:
            before, after = look(opened.lower, path), look(opened.view, path)
            if before is None and after is not None:
                yield path, ADDED
            elif before is not None and after is not None and _differ(
                    opened, path, before, after, content):
                yield path, CHANGED


def _gone_below(opened: Opened, path: bytes) -> Iterator[tuple[bytes, str]]:
    """What the image has in a directory and the container no longer has."""
    before = look(opened.lower, path)
    if before is None or not stat.S_ISDIR(before.st_mode):
        return
    for name in opened.lower.listdir(b"/" + path):
        below = path + b"/" + os.fsencode(name)
        if look(opened.view, below) is None:
            yield below, DELETED


def _differ(opened: Opened, path: bytes, before: Stat, after: Stat, content: bool) -> bool:
    facts = [(each.st_mode, each.st_uid, each.st_gid) for each in (before, after)]
    if facts[0] != facts[1]:
        return True
    kind = stat.S_IFMT(after.st_mode)
    if kind in (stat.S_IFCHR, stat.S_IFBLK) and before.st_rdev != after.st_rdev:
        return True
    if kind == stat.S_IFLNK:
        name = b"/" + path
        return opened.lower.readlink(name) != opened.view.readlink(name)
    if kind == stat.S_IFREG:
        if before.st_size != after.st_size:
            return True
        if content:
            return not _equal(opened, path)
    return not content and before.st_mtime_ns != after.st_mtime_ns


def _equal(opened: Opened, path: bytes) -> bool:
    """Whether the file has the same bytes in both, and the same attributes."""
    name = b"/" + path
    with _reading(opened.lower, name) as one, _reading(opened.view, name) as other:
        while True:
            piece = one.read(_CHUNK)
            if piece != other.read(_CHUNK):
                return False
            if not piece:
                return True


def _reading(view: View, name: bytes):  # type: ignore[no-untyped-def]
    return open(view.open(name, os.O_RDONLY | os.O_NOFOLLOW), "rb")
