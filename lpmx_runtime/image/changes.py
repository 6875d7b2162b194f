"""What a container changed, as the tar of an OCI layer.

Which names an upper has and which it hides is read from the disk, where it is in the
format of native/include/lpmx_abi.h, "on-disk conventions": a whiteout becomes an empty
file ".wh.NAME", an opaque directory gets a ".wh..wh..opq" (OCI layer spec, "Whiteouts").
What an object is, the view says. Members are in the order of their names' bytes, each
directory before what is in it and its whiteouts before all else, so that the same upper
always gives the same tar.

Programs may go on changing the upper meanwhile. What is gone between two looks is left
out, a file that grows or shrinks is as long as when it was opened, and a file that is
replaced by a rename is the old one or the new one.
"""
from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Collection, Iterable, Iterator, NamedTuple, Optional

from .._native import View
from ..errors import CommitFailed
from . import tarwriter
from .viewtar import Members, look

OBJECT, WHITEOUT, OPAQUE = "object", "whiteout", "opaque"

_WHITEOUT, _OPAQUE = b".wh.", b".wh..wh..opq"
_OVERLAY_OPAQUE, _OVERLAY_WHITEOUT = "user.overlay.opaque", "user.overlay.whiteout"


class Change(NamedTuple):
    """One thing that an upper says of `path` ("usr/bin/env", the root's is empty): there
    is an object; the name is hidden; the directory is opaque."""

    path: bytes
    kind: str
    status: os.stat_result   # on the disk


def read_changes(view: View, upper: Path, *, lower: Optional[View] = None,
                 without: Collection[bytes] = (), latest: Optional[int] = None,
                 failing: str = "cannot make a layer") -> Iterator[bytes]:
    """The pieces of the tar. `view` shows the upper, with nothing bound in it.

    `without` are paths that are left out with all below them. The root directory is a
    member only if it is not as `lower` shows it. `latest` is the time that no file is
    said to be younger than. Raises `CommitFailed` for a name that layers cannot have.
    """
    members = Members(view, latest)
    for change in walk(upper, without):
        above, _, name = change.path.rpartition(b"/")
        if change.kind == WHITEOUT:
            yield tarwriter.header((above + b"/" if above else b"") + _WHITEOUT + name,
                                   tarwriter.FILE, 0o600)
        elif change.kind == OPAQUE:
            yield tarwriter.header((change.path + b"/" if change.path else b"") + _OPAQUE,
                                   tarwriter.FILE, 0o600)
        elif not change.path:
            if lower is not None and not _same(lower, view, b""):
                yield from _root(members, view)
        else:
            if name.startswith(_WHITEOUT):
                shown = change.path.decode("utf-8", "backslashreplace")
                raise CommitFailed(f'{failing}: the name of "/{shown}" is one by which layers '
                                   "say that another is deleted",
                                   hint="rename or remove it first")
            status = look(view, change.path)
            if status is not None:
                yield from members.add(change.path, status, same=_identity(change.status))
    yield tarwriter.END


def _root(members: Members, view: View) -> Iterator[bytes]:
    status = look(view, b"")
    if status is not None:
        yield from members.add(b"", status, name=b".")


def _identity(status: os.stat_result) -> Optional[tuple[int, int]]:
    """What names of one file share."""
    return (status.st_dev, status.st_ino) if status.st_nlink > 1 else None


def _same(lower: View, view: View, path: bytes) -> bool:
    """Whether both show a directory of the same mode and owner."""
    before, after = look(lower, path), look(view, path)
    return (before is not None and after is not None
            and (before.st_mode, before.st_uid, before.st_gid)
            == (after.st_mode, after.st_uid, after.st_gid))


def walk(upper: Path, without: Collection[bytes] = ()) -> Iterator[Change]:
    """All that the upper says: first the root directory, then by path."""
    skipped = frozenset(without)
    todo: list[bytes] = [b""]
    root = os.fsencode(upper)
    while todo:
        path = todo.pop()
        host = os.path.join(root, path) if path else root
        try:
            status = os.lstat(host)
            is_directory = stat.S_ISDIR(status.st_mode)
            hidden, names = _listed(host) if is_directory else ([], [])
        except (FileNotFoundError, NotADirectoryError):
            continue
        yield Change(path, OBJECT, status)
        if not is_directory:
            continue
        prefix = path + b"/" if path else b""
        if _attribute(host, _OVERLAY_OPAQUE) == b"y":
            yield Change(path, OPAQUE, status)
        for name in hidden:
            if prefix + name not in skipped:
                yield Change(prefix + name, WHITEOUT, status)
        todo += [prefix + name for name in reversed(names) if prefix + name not in skipped]


def _listed(host: bytes) -> tuple[list[bytes], list[bytes]]:
    """The names that a directory hides, and those it has."""
    hidden: list[bytes] = []
    names: list[bytes] = []
    for name in sorted(os.listdir(host)):
        try:
            (hidden if _is_whiteout(os.path.join(host, name)) else names).append(name)
        except FileNotFoundError:
            pass
    return hidden, names


def _is_whiteout(host: bytes) -> bool:
    status = os.lstat(host)
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    return (stat.S_ISREG(status.st_mode) and status.st_size == 0
            and _attribute(host, _OVERLAY_WHITEOUT) is not None)


def _attribute(host: bytes, name: str) -> Optional[bytes]:
    try:
        return os.getxattr(host, name, follow_symlinks=False)
    except OSError:
        return None


def places_of_binds(upper: Path, view: View, lower: View,
                    places: Iterable[bytes]) -> frozenset[bytes]:
    """What is in the upper only because something is bound at `places`: the empty file or
    directory there, and the directories above that have nothing else to say.

    They were made for whoever started the container, with names of that person's, and
    no program of the container had a hand in them.
    """
    root = os.fsencode(upper)
    found: set[bytes] = set()
    for place in sorted(places, key=lambda path: -path.count(b"/")):
        if look(lower, place) is not None or not os.path.lexists(os.path.join(root, place)):
            continue
        found.add(place)
        above = place.rpartition(b"/")[0]
        while above and _says_nothing(root, above, view, lower, found):
            found.add(above)
            above = above.rpartition(b"/")[0]
    return frozenset(found)


def _says_nothing(root: bytes, path: bytes, view: View, lower: View, known: set[bytes]) -> bool:
    """Whether the upper's directory `path` has only what is `known`, and is new or as it was."""
    host = os.path.join(root, path)
    try:
        names = os.listdir(host)
    except OSError:
        return False
    return (all(path + b"/" + name in known for name in names)
            and _attribute(host, _OVERLAY_OPAQUE) != b"y"
            and (look(lower, path) is None or _same(lower, view, path)))
