"""Programs that call each other: links, exposed commands, what may be linked, what was called."""
from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Optional

from lpmx_runtime import settings
from lpmx_runtime.container import Command, Container, Link, exposed, links
from lpmx_runtime.store import Store

from .environment import is_secret
from .handlers import Handler, operation

if TYPE_CHECKING:
    from lpmx_runtime._native import View

#: How much of the end of a log of calls is looked at.
_LOG_LIMIT = 4 << 20


class _Listed(Handler):
    """What is listed of a container, added to it and taken away again."""

    def listed(self, container: Container) -> list[dict[str, Any]]:
        raise NotImplementedError

    def add(self, container: Container) -> dict[str, Any]:
        """Add what the request describes; the answer, with the notes on it."""
        raise NotImplementedError

    def take_away(self, container: Container) -> None:
        raise NotImplementedError

    @operation()
    async def get(self, container: str) -> Any:
        return await self.with_store(
            lambda store: self.listed(Container.open(store, container)))

    @operation()
    async def post(self, container: str) -> Any:
        added = await self.slow(lambda store: self.add(Container.open(store, container)))
        await self.changed()
        return added

    @operation()
    async def delete(self, container: str) -> Any:
        await self.slow(lambda store: self.take_away(Container.open(store, container)))
        await self.changed()


class Links(_Listed):
    path = "/containers/{container}/links"

    def listed(self, container: Container) -> list[dict[str, Any]]:
        return [self._described(link) for link in links.of_container(container)]

    def add(self, container: Container) -> dict[str, Any]:
        body = self.body
        link, notes = links.add(container, body["name"], body["target"], cwd=body.get("cwd"),
                                env=body.get("env"), passes=body.get("pass"), over=body["over"])
        return {"link": self._described(link), "notes": notes}

    def take_away(self, container: Container) -> None:
        links.remove(container, self.query["link"])

    def _described(self, link: Link) -> dict[str, Any]:
        return {"name": link.name, "path": link.path, "target": link.target, "cwd": link.cwd,
                "env": {name: None if is_secret(name, value, self.extension.secret) else value
                        for name, value in link.env.items()},
                "pass": None if link.passes is None else list(link.passes),
                "created": link.created}


class Exposed(_Listed):
    path = "/containers/{container}/exposed"

    def listed(self, container: Container) -> list[dict[str, Any]]:
        return [_described(one) for one in exposed.of_container(container)]

    def add(self, container: Container) -> dict[str, Any]:
        directory = self.body.get("directory")
        if directory is not None:
            directory = self.extension.server_path(directory)
        command, notes = exposed.add(container, self.body["program"], name=self.body.get("name"),
                                     directory=directory)
        return {"exposed": _described(command), "notes": notes}

    def take_away(self, container: Container) -> None:
        exposed.remove(container, self.query["command"])


def _described(command: Command) -> dict[str, Any]:
    return {"name": command.name, "path": command.path, "container": command.container,
            "program": command.program, "whole": command.whole}


class HostPrograms(Handler):
    path = "/host/programs"

    @operation()
    async def get(self) -> Any:
        return await self.blocking(lambda: programs(_on_path(), **self.query))


class Programs(Handler):
    path = "/containers/{container}/programs"

    @operation()
    async def get(self, container: str) -> Any:
        def look(store: Store) -> dict[str, Any]:
            found = Container.open(store, container)
            with found.view() as view:
                return programs(_on_path_of(found, view), **self.query)
        return await self.with_store(look)


def programs(there: Iterable[tuple[str, str]], query: str, limit: int) -> dict[str, Any]:
    """The programs, name and path, whose names have `query` in them; of several of one name the
    first, which is the one that is run. Those that begin with it come first."""
    wanted = query.lower()
    found: dict[str, str] = {}
    for name, path in there:
        if wanted in name.lower() and name.isprintable():
            found.setdefault(name, path)
    order = sorted(found, key=lambda name: (not name.lower().startswith(wanted), name.lower(), name))
    return {"total": len(order), "programs": [{"name": name, "path": found[name]}
                                              for name in order[:limit]]}


def _on_path() -> Iterator[tuple[str, str]]:
    for directory in _directories(os.environ.get("PATH")):
        with suppress(OSError), os.scandir(directory) as names:   # PATH may name what there is not
            for one in names:
                with suppress(OSError):   # a link that leads to itself hides no other program
                    if one.is_file() and os.access(one.path, os.X_OK):
                        yield one.name, one.path


def _on_path_of(container: Container, view: View) -> Iterator[tuple[str, str]]:
    path = next((one.value for one in container.environment.list() if one.name == "PATH"), None)
    for directory in _directories(path):
        with suppress(OSError):
            for name in view.listdir(directory):
                found = os.path.join(directory, name)
                with suppress(OSError):
                    if stat.S_ISREG(view.stat(found).st_mode) and view.access(found, os.X_OK):
                        yield name, found


def _directories(path: Optional[str]) -> list[str]:
    """Those that a PATH names, each once."""
    return [one for one in dict.fromkeys((path or "").split(":")) if one.startswith("/")]


class Calls(Handler):
    path = "/calls"

    @operation()
    async def get(self) -> Any:
        return await self.blocking(calls, self.query["container"], self.query["limit"])


def calls(container: Optional[str], limit: int) -> dict[str, Any]:
    """The last calls of the log, the newest first; the schema `Calls`."""
    log = settings.call_log()
    found: list[dict[str, Any]] = []
    failure = None
    try:
        for line in reversed(_last_lines(log)) if log is not None else ():
            call = _call(line)
            if call is not None and container in (None, call["container"]):
                found.append(call)
                if len(found) == limit:
                    break
    except FileNotFoundError:
        pass   # nothing was called yet
    except OSError as error:
        failure = f'cannot read "{log}": {os.strerror(error.errno or 0).lower()}'
    return {"log": log, "error": failure, "calls": found}


def _last_lines(path: str) -> list[bytes]:
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return []   # a pipe, which somebody else reads
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LOG_LIMIT))
        lines = file.read(_LOG_LIMIT).split(b"\n")
    return lines[1:] if size > _LOG_LIMIT else lines


def _call(line: bytes) -> Optional[dict[str, Any]]:
    """A line of the log; None for one that is none, or another user's."""
    try:
        values = json.loads(line)
        if values.get("uid") != os.getuid():
            return None
        code = values.get("exit_code")
        return {"time": float(values["time"]), "pid": int(values["pid"]),
                "container": str(values["container"]), "caller": str(values["caller"]),
                "called": str(values["called"]), "allowed": bool(values["allowed"]),
                "rule": str(values["rule"]) if "rule" in values else None,
                "exit_code": code if isinstance(code, int) else None}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


HANDLERS = (Links, Exposed, HostPrograms, Programs, Calls)
