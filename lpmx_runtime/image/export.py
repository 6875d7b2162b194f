"""All files of a container or an image as one tar, without layers, as `docker export` writes it."""
from __future__ import annotations

import os
import stat
from typing import Iterator, Mapping, Optional

from .. import settings
from .._native import Stat, View
from ..container import Container
from ..errors import CommitFailed
from ..store import Image, Store
from . import tarwriter
from .opened import opened_container, opened_image
from .viewtar import Members, look


def export_container(container: Container) -> Iterator[bytes]:
    """The pieces of the tar. What is bound in the container is not in it.

    Programs may run in it; what that means for the files, `commit` says.
    """
    yield from members_of_container(container)
    yield tarwriter.END


def members_of_container(container: Container) -> Iterator[bytes]:
    """The same without a tar's end."""
    failing = f'cannot export container "{container.name}"'
    if container.record["live"]:
        raise CommitFailed(f"{failing}: it is a copy of this machine",
                           hint='"lpmx cp" copies files out of it')
    with opened_container(container, failing=failing) as opened:
        yield from _whole(opened.view, {path: look(opened.lower, path) for path in opened.places})


def export_image(store: Store, image: Image) -> Iterator[bytes]:
    """The pieces of the tar."""
    yield from members_of_image(store, image)
    yield tarwriter.END


def members_of_image(store: Store, image: Image) -> Iterator[bytes]:
    """The same without a tar's end."""
    if image.live:
        raise CommitFailed('cannot export image "host": it is this machine itself',
                           hint="use tar")
    with store.keeping(), opened_image(store, image) as view:
        yield from _whole(view, {})


def _whole(view: View, instead: Mapping[bytes, Optional[Stat]]) -> Iterator[bytes]:
    """All members, by the bytes of their names, each directory before what is in it.
    `instead` says what some directories are to be taken for, None for nothing."""
    members = Members(view, settings.source_date_epoch())
    todo = _names(view, b"")
    while todo:
        path = todo.pop()
        status = instead[path] if path in instead else look(view, path)
        if status is None:
            continue
        yield from members.add(path, status,
                               same=(status.st_dev, status.st_ino) if status.st_nlink > 1 else None)
        if stat.S_ISDIR(status.st_mode):
            todo += _names(view, path)


def _names(view: View, path: bytes) -> list[bytes]:
    """What is in a directory, the last first; nothing if it is gone."""
    try:
        names = view.listdir(b"/" + path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    prefix = path + b"/" if path else b""
    return sorted((prefix + os.fsencode(name) for name in names), reverse=True)
