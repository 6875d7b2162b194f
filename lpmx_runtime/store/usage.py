"""What takes space in a store, and what is shared."""
from __future__ import annotations

import os
import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import StoreError
from .entries import OBJECT, read_entries

if TYPE_CHECKING:
    from .layout import Store


class ImageUse(NamedTuple):
    """Bytes of the files of an image's layers; `shared` ones are in other images, too."""

    name: str
    size: int
    shared: int


class ContainerUse(NamedTuple):
    """Bytes on the disk of what a container changed."""

    name: str
    size: int


class SiteUse(NamedTuple):
    """What a store below has: the number of images, and the bytes of all layers' files."""

    path: str
    images: int
    layers: int


class Usage(NamedTuple):
    """`layers` are the bytes of all layers' files, each counted once; `unused` those of
    them that no image has. Of images those count that are recorded here, and of their layers
    those that are here; `sites` have the others."""

    images: list[ImageUse]
    containers: list[ContainerUse]
    layers: int
    unused: int
    sites: list[SiteUse]


def usage(store: "Store") -> Usage:
    """Where the store's bytes are."""
    sizes = {diff_id: layer_size(store, diff_id) for diff_id in store.layers.list()}
    images = store.images.own()
    users = Counter(diff_id for layers in {image.digest: set(image.diff_ids)
                                           for image in images}.values() for diff_id in layers)
    return Usage(
        [ImageUse(image.familiar,
                  sum(sizes.get(diff_id, 0) for diff_id in set(image.diff_ids)),
                  sum(sizes.get(diff_id, 0) for diff_id in set(image.diff_ids)
                      if users[diff_id] > 1)) for image in images],
        [ContainerUse(directory.name, _on_disk(directory))
         for directory in sorted(store.containers.iterdir()) if directory.is_dir()],
        sum(sizes.values()),
        sum(size for diff_id, size in sizes.items() if not users[diff_id]),
        [_of_site(site) for site in store.below])


def _of_site(site: "Store") -> SiteUse:
    """What of a site's store is open to us."""
    try:
        listed = site.layers.list()
    except PermissionError:
        listed = []
    size = 0
    for diff_id in listed:
        try:
            size += layer_size(site, diff_id)
        except StoreError:
            continue
    return SiteUse(str(site.path), len(site.images.open_to_us()), size)


def layer_size(store: "Store", diff_id: str) -> int:
    """The bytes of all files in a layer, each file counted once."""
    total, groups = 0, set()
    for entry in read_entries(store.layers.entries(diff_id)):
        if entry.kind != OBJECT or not stat.S_ISREG(entry.mode) or entry.link_group in groups:
            continue
        if entry.link_group:
            groups.add(entry.link_group)
        total += entry.size
    return total


def _on_disk(directory: Path) -> int:
    """What a container takes; programs may be changing it."""
    total, seen = 0, set()
    todo = [os.fsencode(directory)]
    while todo:
        try:
            with os.scandir(todo.pop()) as names:
                for name in names:
                    about = name.stat(follow_symlinks=False)
                    if about.st_ino not in seen:
                        seen.add(about.st_ino)
                        total += about.st_blocks * 512
                    if name.is_dir(follow_symlinks=False):
                        todo.append(name.path)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
    return total
