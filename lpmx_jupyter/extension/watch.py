"""Notices what changes in the store, in containers and among kernel specs, whoever changes it.

It looks now and then while somebody listens, and at once after a request that changed
something; so that a second tab, and a command line beside the server, are no special case.
"""
from __future__ import annotations

import asyncio
import glob
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Optional

from lpmx_runtime.container import processes, record
from lpmx_runtime.store import Store

from .. import kernelspecs

if TYPE_CHECKING:
    from .app import LpmxExtension

_Key = tuple[str, Optional[str]]
#: The order in which changes are told.
_KINDS = ("images", "containers", "links", "exposed", "environment", "kernels", "kernelspecs",
          "processes")


class Watch:
    """Publishes `changed` for what is not as it was."""

    def __init__(self, extension: "LpmxExtension") -> None:
        self._extension = extension
        self._known: Optional[dict[_Key, Any]] = None
        self._lock: Optional[asyncio.Lock] = None
        self._watching: Optional[asyncio.Future[None]] = None

    async def wake(self) -> None:
        """Begin to look now and then, unless that is done already."""
        if self._watching is None or self._watching.done():
            self._known = None
            self._watching = asyncio.ensure_future(self._look_on())
        await self.look()

    async def look(self) -> None:
        """Tell what has changed since the last look, if anybody listens."""
        if not self._extension.events.heard:
            return
        if self._lock is None:
            self._lock = asyncio.Lock()   # here, where the loop is the server's
        async with self._lock:
            try:
                now = await self._extension.blocking(state)
            except Exception as error:   # whatever it is, the next look may be better
                self._extension.log.debug("Cannot look for changes: %s", error)
                if self._known is None:
                    self._known = {}   # what changes until then is told, with all the rest
                return
            before, self._known = self._known, now
        if before is not None:
            for what, container in sorted(_differences(before, now), key=_rank):
                self._extension.events.publish("changed", {"what": what, "container": container})

    async def _look_on(self) -> None:
        while self._extension.events.heard:
            await asyncio.sleep(self._extension.watch_seconds)
            await self.look()

    def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()


def _rank(key: _Key) -> tuple[int, str]:
    return _KINDS.index(key[0]), key[1] or ""


def _differences(before: "dict[_Key, Any]", now: "dict[_Key, Any]") -> set[_Key]:
    changed = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
    gone = {name for kind, name in changed if kind == "containers" and ("containers", name) not in now}
    return {key for key in changed if key[1] not in gone or key[0] == "containers"}


def state() -> dict[_Key, Any]:
    """What is compared: for each kind, and for each container, something that another state
    has another of."""
    store = Store.open()
    found: dict[_Key, Any] = {
        ("images", None): [_listing(one.images.directory) for one in (store, *store.below)],
        ("kernelspecs", None): [(spec.name, _mark(spec.folder / "kernel.json"))
                                for spec in kernelspecs.installed()],
    }
    running = processes.of_store(store.containers)
    for name in sorted(os.listdir(store.containers)):
        if record.is_name(name):
            found.update(_of_container(store.containers / name, name, running.get(name, [])))
    return found


def _of_container(directory: Path, name: str,
                  running: "list[processes.Process]") -> Iterator[tuple[_Key, Any]]:
    control = directory / record.CONTROL
    yield ("containers", name), (_mark(directory / record.FILE), _touched(control))
    yield ("links", name), _listing(directory / record.LINKS)
    yield ("exposed", name), _mark(directory / record.EXPOSED)
    yield ("environment", name), record.live_generation(control)
    yield ("kernels", name), sorted(glob.glob(f"{glob.escape(str(directory))}/kernel-*.json"))
    yield ("processes", name), [(one.pid, one.started) for one in running]


def _mark(path: Path) -> Any:
    try:
        about = path.stat()
        return about.st_ino, about.st_size, about.st_mtime_ns
    except OSError:
        return None


def _listing(directory: Path) -> Any:
    try:
        return sorted((name, _mark(directory / name)) for name in os.listdir(directory))
    except OSError:
        return None


def _touched(control: Path) -> Any:
    """What tells one set of changed paths from another."""
    try:
        with open(control, "rb", buffering=0) as file:
            return zlib.crc32(os.pread(file.fileno(), record.TOUCHED_SIZE, record.TOUCHED_OFFSET))
    except OSError:
        return None
