"""What of the host appears in a container."""
from __future__ import annotations

import os

from .. import _native
from ..errors import InvalidSetting
from ..light import TYPE_CHECKING
from ..settings import runtime_location
from .spec import Bind

if TYPE_CHECKING:
    from typing import Iterable, Optional

#: Directories that belong to the image; a working directory in them is not bound.
_SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin",
           "sys", "usr", "var")


def parse(text: str) -> Bind:
    """A `--bind` argument: SRC[:DST[:ro|rw]], or src=...,dst=...[,ro] for paths with colons."""
    read_only = False
    if text.startswith(("src=", "source=")):
        source = target = ""
        for part in text.split(","):
            key, _, value = part.partition("=")
            if key in ("src", "source"):
                source = value
            elif key in ("dst", "target", "destination"):
                target = value
            elif key in ("ro", "readonly"):
                read_only = True
            else:
                raise InvalidSetting(f'cannot use the bind "{text}": it has an unknown part "{key}"',
                                     hint="write src=PATH,dst=PATH[,ro]")
    else:
        parts = text.split(":")
        if len(parts) > 3 or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
            raise InvalidSetting(f'cannot use the bind "{text}": it is not SRC[:DST[:ro]]',
                                 hint="for paths with colons write src=PATH,dst=PATH[,ro]")
        source, target = parts[0], parts[1] if len(parts) > 1 else ""
        read_only = len(parts) == 3 and parts[2] == "ro"
    source = os.path.abspath(os.path.expanduser(source)) if source else ""
    target = target or source
    if not source or not target.startswith("/") or os.path.normpath(target) == "/":
        raise InvalidSetting(f'cannot use the bind "{text}": the target must be an absolute path '
                             "below /", hint="write SRC:/some/where")
    if not os.path.exists(source):
        raise InvalidSetting(f'cannot bind "{source}": there is no such file or directory',
                             hint="make it first, or name another")
    return Bind(os.path.realpath(source), os.path.normpath(target), read_only)


def _shown(path: str) -> Optional[Bind]:
    if not path or not os.path.isabs(path) or os.path.normpath(path) == "/":
        return None
    return Bind(os.path.realpath(path), os.path.normpath(path)) if os.path.isdir(path) else None


def _working_directory() -> Optional[Bind]:
    try:
        path = os.getcwd()
    except OSError:
        return None
    if path.split("/")[1] in _SYSTEM:
        return None
    return _shown(path)


def own() -> list[Bind]:
    """Our own files, below /.lpmx."""
    native = os.path.dirname(_native.loader_path())
    return [Bind(native, "/.lpmx/bin", True), Bind(native, "/.lpmx/lib", True)]


def default(*, live: bool, contain: bool) -> list[Bind]:
    """The binds of a new container.

    An image gets the kernel's file systems, the user's home, working directory
    and /tmp, the folder where Jupyter keeps its sockets, and the host's name
    service files. A copy of the host (`live`) already shows all of it and is
    there to keep changes apart, so it shares only what must be one: devices,
    /proc, /sys and the runtime folder. `contain` leaves out what is personal.
    """
    found: list[Optional[Bind]] = [Bind(p, p) for p in ("/proc", "/sys", "/dev")
                                   if os.path.isdir(p)]
    found.append(_shown(runtime_location()))
    jupyter = os.environ.get("JUPYTER_RUNTIME_DIR")
    if jupyter:
        found.append(_shown(jupyter))
    if not live:
        found += [Bind(p, p, True) for p in ("/etc/resolv.conf", "/etc/hosts")
                  if os.path.isfile(p)]
        if not contain:
            found += [Bind("/tmp", "/tmp"), _shown(os.path.expanduser("~")),
                      _working_directory()]
    return [bind for bind in found if bind is not None]


def merge(*groups: Iterable[Bind]) -> list[Bind]:
    """One bind for each place; later ones win. One inside an equal other is dropped."""
    places: dict[str, Bind] = {}
    for group in groups:
        for bind in group:
            places[bind.at] = bind
    kept = []
    for bind in places.values():
        above = [other for other in places.values()
                 if other is not bind and bind.at.startswith(other.at + "/")]
        nearest = max(above, key=lambda other: len(other.at), default=None)
        if (nearest is not None and nearest.read_only == bind.read_only
                and nearest.host + bind.at[len(nearest.at):] == bind.host):
            continue
        kept.append(bind)
    return kept
