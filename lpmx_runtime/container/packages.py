"""Packages of an image's distribution, put into a container by its own package manager."""
from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Callable, Iterator, Mapping, NamedTuple, Sequence

from ..errors import RunFailed
from . import process, processes

if TYPE_CHECKING:
    from .._native import View
    from .lifecycle import Container

_DIRECTORIES = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin")
#: Lists of packages that are older than this are fetched anew.
_FRESH_SECONDS = 24 * 3600
#: Tells what one installation has started from all else.
_MARK = "LPMX_INSTALL"
_GRACE = 2.0
_APT_LISTS, _DPKG_UPDATES = "/var/lib/apt/lists", "/var/lib/dpkg/updates"


class Step(NamedTuple):
    """A command to run in the container."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = {}


Steps = Callable[["View", Sequence[str]], Iterator[Step]]


def _apt(view: "View", packages: Sequence[str]) -> Iterator[Step]:
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    if _names(view, _DPKG_UPDATES):  # somebody was interrupted, who installed something
        yield Step(("dpkg", "--configure", "-a"), quiet)
    if not _apt_lists_are_fresh(view):
        yield Step(("apt-get", "-q", "update"), quiet)
    yield Step(("apt-get", "-q", "-y", "install", "--no-install-recommends", *packages), quiet)


def _apt_lists_are_fresh(view: "View") -> bool:
    if not any(name.endswith(("Release", "_Packages")) for name in _names(view, _APT_LISTS)):
        return False
    # a list's own time is that of its release: when it was fetched, the directory tells
    return time.time() - view.stat(_APT_LISTS).st_mtime_ns / 1e9 < _FRESH_SECONDS


def _with(*words: str) -> Steps:
    return lambda _view, packages: iter((Step((*words, *packages)),))


#: Program -> how it installs. Of an image that has several, the first is the one to use.
MANAGERS: Mapping[str, Steps] = {
    "apt-get": _apt,
    "dnf": _with("dnf", "-y", "install"),
    "microdnf": _with("microdnf", "-y", "install"),
    "yum": _with("yum", "-y", "install"),
    "apk": _with("apk", "add", "--no-cache"),
    "zypper": _with("zypper", "--non-interactive", "install"),
    "pacman": _with("pacman", "-Sy", "--noconfirm", "--needed"),
    "xbps-install": _with("xbps-install", "-S", "-y"),
}


def install(container: "Container", packages: Sequence[str]) -> int:
    """Install packages as the container's root, in the foreground; the exit code of the
    package manager, or of what had to be done before.

    A package manager that is ended leaves what it started, which holds its locks: that is
    ended, too.

    Raises `RunFailed` for an image without a package manager that we know.
    """
    odd = next((name for name in packages if not name or name.startswith("-")), None)
    if odd is not None:
        raise RunFailed(f'cannot install "{odd}" in container "{container.name}": that is no name '
                        "of a package",
                        hint=f'run the package manager itself: "lpmx exec {container.name} COMMAND"')
    with container.view() as view:
        steps = list(planned(view, packages, container))
    mark = f"{os.getpid()}.{os.urandom(4).hex()}"
    for step in steps:
        code = process.run(container.launch(step.argv, env={**step.env, _MARK: mark}, user="root",
                                            cwd="/", entrypoint=False))
        if code:
            processes.end(lambda: [one for one in container.processes()
                                   if _has(one.pid, f"{_MARK}={mark}".encode())],
                          timeout=_GRACE)
            return code
    return 0


def _has(pid: int, variable: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return variable in file.read().split(b"\0")
    except OSError:
        return False


def planned(view: "View", packages: Sequence[str], container: "Container") -> Iterator[Step]:
    """The commands that install `packages` in the files behind `view`."""
    for program, steps in MANAGERS.items():
        if any(view.exists(f"{directory}/{program}") for directory in _DIRECTORIES):
            return steps(view, packages)
    raise RunFailed(f'cannot install packages in container "{container.name}": image '
                    f'"{container.familiar}" has no package manager that we know',
                    hint=f"known are {', '.join(MANAGERS)}")


def _names(view: "View", directory: str) -> list[str]:
    try:
        return view.listdir(directory)
    except OSError:
        return []
