"""Grafts: one more tree, for what the merged view shows elsewhere than its layer has it.

The core finds a lower object at its merged path in the tree of its layer. Two
things lie elsewhere: a file that a layer put below a directory which the layers
under it have as a link (`lib/x`, shown as `usr/lib/x`), and a hard link to a
file of a lower layer. Such objects are put at their merged paths into a tree of
the chain's own, as hard links, so that they take no space. It is the last layer
of the view.
"""
from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Callable, ContextManager, NamedTuple, Optional, Sequence

from .files import copy_file, make_directory, publish, sync_directory

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINK = (errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.EXDEV)


class Graft(NamedTuple):
    """An object whose merged path is `path`; layer number `layer` has it at
    `source`, which is None for a directory that no layer has."""

    path: bytes
    layer: int
    source: Optional[bytes]
    mode: int


def make_grafts(place: str, grafts: Sequence[Graft], trees: Sequence[Path],
                staging: Callable[[], ContextManager[Path]], own: Sequence[bool]) -> None:
    """Have the tree of `grafts` at `place`/tree, made from the layers' `trees`; `own` are those
    of this store: nothing of another one is touched, and be it a file's number of links.

    Written aside and renamed into place. Where two processes do this at once,
    the second finds the same tree there and drops its own.
    """
    with staging() as aside:
        made = aside / "grafts"
        tree = made / "tree"
        for directory in (made, tree):
            make_directory(directory)
        for graft in grafts:
            _make(os.fsencode(tree), graft, os.fsencode(trees[graft.layer]), own[graft.layer])
        _close_directories(os.fsencode(tree))
        sync_directory(tree)
        publish(made, place)


def _make(tree: bytes, graft: Graft, layer: bytes, own: bool) -> None:
    """Both paths are of the index and the layer's entry list: the parts of neither
    lead through a link, because only directories have names below them there."""
    target = os.path.join(tree, graft.path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if graft.source is None or stat.S_ISDIR(graft.mode):
        os.makedirs(target, exist_ok=True)
        return
    source = os.path.join(layer, graft.source)
    try:
        if not own:
            raise PermissionError(errno.EACCES, "another store's")
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        # Another user's layer, or a file system without hard links.
        if stat.S_ISLNK(graft.mode):
            os.symlink(os.readlink(source), target)
        else:
            copy_file(source, target)


def _close_directories(tree: bytes) -> None:
    """Nobody writes here any more, as in a layer's tree."""
    for directory, _, _ in os.walk(tree, topdown=False):
        os.chmod(directory, 0o555)
