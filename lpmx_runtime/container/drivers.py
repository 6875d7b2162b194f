"""The host's driver libraries, shown in a container.

    /.lpmx/gpu          a link for each library, by the name that programs ask for; it
                        comes first in LD_LIBRARY_PATH
    /.lpmx/gpu0 gpu1    the directories that they are in, whole: a driver looks for its
                        other parts beside itself

Only what the image can load is shown. NVIDIA's libraries must be as new as the kernel's
module, so they always come from the host; those of others do not depend on it so closely,
and an image that has its own keeps them.

The driver's programs are shown, too. Where the image has no glibc they could not start, so
that whoever executes one becomes the host's, as with `lpmx host`: the exec map leads there.
"""
from __future__ import annotations

import json
import os
import stat

from ..light import TYPE_CHECKING
from .record import GPU, ICDS, replace
from .spec import Bind

if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

    from .._native import View
    from .gpu import Icd

PLACE = "/.lpmx/gpu"
_PROGRAMS = ("nvidia-smi", "nvidia-debugdump", "nvidia-cuda-mps-control",
             "nvidia-cuda-mps-server")


def wanted() -> bool:
    """Whether this machine has anything that could be a GPU; to find out costs next to nothing."""
    return any(name.startswith(("nvidia", "dri", "kfd", "dxg")) for name in os.listdir("/dev"))


def inject(view: "View", directory: str) -> "dict[str, Any]":
    """Put what a container needs of them into its `directory`.

    Returns what its record needs: the binds, of the container's own files by their place in
    its directory; the names of the libraries; what comes first in LD_LIBRARY_PATH; and the
    programs that are to run on the host (`call_programs`). Nothing is done on a machine
    without a GPU.
    """
    from . import gpu
    vendors = gpu.vendors(gpu.devices())
    if not vendors:
        return {}
    glibc = gpu.glibc_of(view)
    found = gpu.judged(gpu.find(), glibc)
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
        binds.append(Bind(GPU, PLACE, True))
    names = set(links)
    binds += [Bind(_file_of(icd, number, directory), icd.path, True)
              for number, icd in enumerate(found.icds)
              if os.path.basename(icd.library) in names and _lacks(view, icd.path)]
    programs = _programs(view) if "nvidia" in vendors else []
    binds += programs
    return {"binds": [[bind.host, bind.at, bind.read_only] for bind in binds],
            "libraries": sorted(names),
            "library_path": PLACE if links else "",
            "calls": {} if glibc else {bind.at: bind.host for bind in programs}}


def call_programs(view: "View", before: "Mapping[str, Any]", now: "Mapping[str, Any]") -> None:
    """Have programs run on the host as `inject` said `now`, and no longer as it did `before`.
    What somebody has linked there stays."""
    old, new = before.get("calls", {}), now.get("calls", {})
    if old or new:
        mapped = view.exec_map_list()
        for path in {*old, *new}:
            if mapped.get(path, "host:").startswith("host:"):
                if path in new:
                    view.exec_map_set(path, f"host:{new[path]}")
                elif path in mapped:
                    view.exec_map_unset(path)


def _lacks(view: "View", path: str) -> bool:
    """Whether there is nothing, or an empty file, as a bind there leaves one behind."""
    try:
        status = view.stat(path)
    except OSError:
        return True
    return stat.S_ISREG(status.st_mode) and not status.st_size


def _file_of(icd: "Icd", number: int, directory: str) -> str:
    """The file to show as `icd`: one that says where on the host its library is gets one in its
    place that says the name."""
    if "/" not in icd.library:
        return icd.path
    place = os.path.join(ICDS, str(number))
    os.makedirs(os.path.join(directory, ICDS), exist_ok=True)
    replace(os.path.join(directory, place), _by_name(icd))
    return place


def _by_name(icd: "Icd") -> bytes:
    name = os.path.basename(icd.library)
    if icd.kind == "opencl":
        return os.fsencode(f"{name}\n")
    with open(icd.path, encoding="utf-8") as file:
        values = json.load(file)
    values["ICD"]["library_path"] = name
    return json.dumps(values).encode()


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
    try:
        above = view.resolve("/usr/bin").path
    except OSError:
        above = "/usr/bin"
    found = []
    for name in _PROGRAMS:
        path = f"{above}/{name}"
        host = next(filter(_is_elf, _on_path(name)), "")
        if host and _lacks(view, path):
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
