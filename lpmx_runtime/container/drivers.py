"""The host's driver libraries, shown in a container.

    /.lpmx/gpu          a link for each library, by the name that programs ask for; it
                        comes first in LD_LIBRARY_PATH
    /.lpmx/gpu0 gpu1    the directories that they are in, whole: a driver looks for its
                        other parts beside itself

Only what the image can load is shown. NVIDIA's libraries must be as new as the kernel's
module, so they always come from the host; those of others do not depend on it so closely,
and an image that has its own keeps them.
"""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Iterator

from .record import GPU
from .spec import Bind

if TYPE_CHECKING:
    from .._native import View

PLACE = "/.lpmx/gpu"
_PROGRAMS = ("nvidia-smi", "nvidia-debugdump", "nvidia-cuda-mps-control",
             "nvidia-cuda-mps-server")


def wanted() -> bool:
    """Whether this machine has anything that could be a GPU; to find out costs next to nothing."""
    return any(name.startswith(("nvidia", "dri", "kfd", "dxg")) for name in os.listdir("/dev"))


def inject(view: "View", directory: str, final: str) -> "dict[str, Any]":
    """Put the links into `directory`, of a container that will be at `final`.

    Returns what its record needs: the binds, the names of the libraries, and what comes
    first in LD_LIBRARY_PATH. Nothing is done on a machine without a GPU.
    """
    from . import gpu
    vendors = gpu.vendors(gpu.devices())
    found = gpu.judged(gpu.find(), gpu.glibc_of(view)) if vendors else None
    if found is None:
        return {}
    theirs = _libraries_of(view)
    chosen = [library for library in found.libraries if not library.refused
              and (library.vendor == "nvidia" or library.name not in theirs)]
    places: dict[str, str] = {}
    links = {}
    for library in chosen:
        host = os.path.dirname(library.path)
        place = places.setdefault(host, f"{PLACE}{len(places)}")
        links[library.name] = f"{place}/{os.path.basename(library.path)}"
    binds = [Bind(host, place, True) for host, place in places.items()]
    if links:
        _link(os.path.join(directory, GPU), links)
        binds.append(Bind(os.path.join(final, GPU), PLACE, True))
    names = set(links)
    binds += [Bind(icd.path, icd.path, True) for icd in found.icds
              if os.path.basename(icd.library) in names and not view.exists(icd.path)]
    if "nvidia" in vendors:
        binds += _programs(view)
    return {"binds": [[bind.host, bind.at, bind.read_only] for bind in binds],
            "libraries": sorted(names),
            "library_path": PLACE if links else ""}


def _libraries_of(view: "View") -> "dict[str, str]":
    """What the image's own loader knows."""
    from . import loader_cache
    try:
        return loader_cache.libraries(view.read("/etc/ld.so.cache", 16 << 20))
    except OSError:
        return {}


def _link(directory: str, links: "dict[str, str]") -> None:
    os.makedirs(directory, exist_ok=True)
    for name in os.listdir(directory):
        if links.get(name) != os.readlink(os.path.join(directory, name)):
            os.unlink(os.path.join(directory, name))
    for name, target in links.items():
        if not os.path.lexists(os.path.join(directory, name)):
            os.symlink(target, os.path.join(directory, name))


def _programs(view: "View") -> "list[Bind]":
    """The driver's own programs, where the image has none of the name.

    What is found first may be a script that starts the program by a path that is not in the
    container, so that the program itself is looked for.
    """
    found = []
    for name in _PROGRAMS:
        path = f"/usr/bin/{name}"
        host = next(filter(_is_elf, _on_path(name)), "")
        if host and not view.exists(path):
            found.append(Bind(host, path, True))
    return found


def _on_path(name: str) -> "Iterator[str]":
    """Where a program of the host is, by PATH and then where packages put it."""
    for directory in [*os.environ.get("PATH", "").split(":"), "/usr/bin"]:
        if directory.startswith("/"):
            yield os.path.realpath(os.path.join(directory, name))


def _is_elf(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return os.access(path, os.X_OK) and file.read(4) == b"\x7fELF"
    except OSError:
        return False
