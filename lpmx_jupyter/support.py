"""Support layers: ipykernel and what it needs, for an image's own Python.

A support layer is an image of the store with one layer, which has wheels unpacked and
compiled for one version of CPython, one libc and one machine; its tag says which:

    localhost/lpmx-kernel:cp311-glibc2.17-x86_64

"glibc2.17" is the oldest that its libraries can do with, so all images with that
Python and that glibc or a newer one share it. As an image it travels with `lpmx bundle`
and `save`, is found in a site's store, and goes with `lpmx rmi`. The kernel sees its
files, read-only, at PLACE; wheels.py makes it.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, Optional, Sequence

from lpmx_runtime.container import Bind
from lpmx_runtime.store import Image, Store

from .pythons import Python, dotted

REPOSITORY = "localhost/lpmx-kernel"
PLACE = "/.lpmx/kernel"
#: Of the image's config: names and versions of the packages that are in it.
PACKAGES_LABEL = "io.lpmx.kernel.packages"

#: The first ipykernel whose connections can be encrypted, by CurveZMQ.
_ENCRYPTS = (7, 3)

_TAG = re.compile(r"cp(3)(\d+)-(glibc|musl)(\d+(?:\.\d+)+)-([a-z0-9_]+)\Z")


class Layer(NamedTuple):
    """A support layer that is in the store, or in one below it."""

    image: Image
    version: tuple[int, int]
    libc: str
    libc_version: tuple[int, ...]
    machine: str

    def fits(self, python: Python) -> bool:
        """Whether that Python can load it."""
        return (self.version, self.libc, self.machine) == (
            python.version, python.libc, python.machine) and self.libc_version <= python.libc_version

    @property
    def packages(self) -> dict[str, str]:
        """Names and versions."""
        labels = (self.image.config.get("config") or {}).get("Labels") or {}
        pairs = (word.partition("==") for word in str(labels.get(PACKAGES_LABEL, "")).split())
        return {name: version for name, _, version in pairs}

    @property
    def has_debugger(self) -> bool:
        """Whether JupyterLab's debugger works with it."""
        return "debugpy" in self.packages

    @property
    def encrypts(self) -> bool:
        """Whether its connections can be encrypted."""
        return encrypts(self.packages.get("ipykernel", ""))

    def tree(self, store: Store) -> Path:
        """The directory that its packages are in."""
        return store.indexes.trees(self.image.diff_ids)[0]

    def bind(self, store: Store) -> Bind:
        """What a view needs for a kernel to find it."""
        return Bind(str(self.tree(store)), PLACE, True)


def name(python: Python, libc_version: tuple[int, ...]) -> str:
    """What the support layer for `python` is called that needs that libc."""
    return (f"{REPOSITORY}:cp{python.version[0]}{python.version[1]}-{python.libc}"
            f"{dotted(libc_version)}-{python.machine}")


def encrypts(version: str) -> bool:
    """Whether that version of ipykernel can encrypt its connections."""
    return tuple(map(int, re.findall(r"\d+", version)[:2])) >= _ENCRYPTS


def layer_of(image: Image) -> Optional[Layer]:
    """The support layer that `image` is; None if it is another image."""
    repository, _, tag = image.name.rpartition(":")
    match = _TAG.match(tag) if repository == REPOSITORY else None
    if match is None or len(image.diff_ids) != 1:
        return None
    return Layer(image, (int(match[1]), int(match[2])), match[3],
                 tuple(int(part) for part in match[4].split(".")), match[5])


def layers(store: Store) -> list[Layer]:
    """All support layers of the store and of those below it."""
    return [layer for layer in map(layer_of, store.images.list()) if layer is not None]


def best(found: Sequence[Layer], python: Python) -> Optional[Layer]:
    """That of these layers which `python` runs with: of several, the one made last. One that
    this machine or its site made goes before one that was loaded: a file may be anybody's."""
    fitting = [layer for layer in found if layer.fits(python)]
    return max(fitting, key=lambda layer: (layer.image.origin == "built" or
                                               layer.image.place is not None,
                                               layer.image.added), default=None)
