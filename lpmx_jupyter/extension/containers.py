"""Containers: what runs in them, what was changed in them, made, reset, kept and removed."""
from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any, Optional

from lpmx_runtime.container import Container, Options, Process, binds, processes
from lpmx_runtime.errors import RunFailed
from lpmx_runtime.oci.reference import Reference
from lpmx_runtime.store import Store

from ..session import Owner, kernel_of, owners
from .failures import RequestFailed
from .handlers import Handler, operation
from .kernels import Kernels, described_kernel
from .tasks import Beginning

_SHELLS = ("bash", "sh", "ash", "busybox")


class Usage:
    """How much CPU time each process had when it was last looked at."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, float, float]] = {}

    def percent(self, process: Process, seconds: float) -> Optional[float]:
        """Percent of one CPU since then; None the first time."""
        now = time.monotonic()
        before = self._seen.get(process.pid)
        self._seen[process.pid] = (process.started, now, seconds)
        if before is None or abs(before[0] - process.started) >= 1 or now - before[1] < 0.01:
            return None
        return round(100 * max(0.0, seconds - before[2]) / (now - before[1]), 1)

    def keep(self, running: "set[int]") -> None:
        """Forget those that have ended."""
        for pid in list(self._seen):
            if pid not in running:
                self._seen.pop(pid, None)


def described_process(process: Process, usage: Usage) -> dict[str, Any]:
    """The schema `Process`."""
    more = processes.details(process)
    return {"pid": process.pid, "argv": [_text(word) for word in process.argv],
            "program": _text(more.program), "started": process.started,
            "host_call": process.host_call, "cpu": usage.percent(process, more.cpu),
            "cpu_seconds": more.cpu, "memory": more.memory, "ways": list(more.ways),
            "kernel": kernel_of(process.pid)}


def _text(word: str) -> str:
    """What JSON can carry of a word that need not be UTF-8."""
    return os.fsencode(word).decode(errors="replace")


def described(container: Container, running: "list[Process]", kernels: "list[Owner]",
              here: Kernels, usage: Usage) -> dict[str, Any]:
    """The schema `Container`."""
    found = [described_process(process, usage) for process in running]
    shares = [one["cpu"] for one in found if one["cpu"] is not None]
    return {"name": container.name, "image": container.image, "familiar": container.familiar,
            "created": container.created, "temporary": container.temporary, "damaged": False,
            "running": bool(running), "cpu": round(sum(shares), 1) if shares else None,
            "memory": sum(one["memory"] for one in found), "processes": found,
            "kernels": [described_kernel(owner, container.familiar, here, found)
                        for owner in kernels],
            "labels": dict(container.labels)}


def _damaged(name: str) -> dict[str, Any]:
    return {"name": name, "image": None, "familiar": None, "created": None, "temporary": False,
            "damaged": True, "running": False, "cpu": None, "memory": 0, "processes": [],
            "kernels": [], "labels": {}}


def _one(store: Store, container: Container, here: Kernels, usage: Usage) -> dict[str, Any]:
    return described(container, container.processes(),
                     [owner for owner in owners(store) if owner.container == container.name],
                     here, usage)


class Containers(Handler):
    path = "/containers"

    @operation()
    async def get(self) -> Any:
        def look(store: Store, here: Kernels, usage: Usage) -> list[dict[str, Any]]:
            Container.sweep(store)
            running = processes.of_store(store.containers)
            usage.keep({one.pid for found in running.values() for one in found})
            kernels = list(owners(store))
            return sorted([*(described(one, running.get(one.name, []),
                                       [owner for owner in kernels if owner.container == one.name],
                                       here, usage) for one in Container.list(store)),
                           *map(_damaged, Container.damaged(store))],
                          key=lambda one: str(one["name"]))
        return await self.with_store(look, await self.extension.kernels(), self.extension.usage)

    @operation()
    async def post(self) -> Any:
        body = self.body

        def make(store: Store, here: Kernels, usage: Usage) -> dict[str, Any]:
            options = Options(binds=tuple(binds.parse(text) for text in body.get("binds", [])),
                              env=body.get("env", {}), user=body.get("user"),
                              workdir=body.get("workdir"), contain=body["contain"],
                              preload=body["preload"], gpu=body["gpu"])
            container = Container.create(store, store.images.find(body["image"]),
                                         name=body.get("name"), options=options)
            return described(container, [], [], here, usage)
        made = await self.with_store(make, await self.extension.kernels(), self.extension.usage)
        await self.changed()
        return made


class OneContainer(Handler):
    path = "/containers/{container}"

    @operation()
    async def get(self, container: str) -> Any:
        def look(store: Store, here: Kernels, usage: Usage) -> dict[str, Any]:
            found = Container.open(store, container)
            options = found.options
            return {"container": _one(store, found, here, usage),
                    "directory": str(found.directory),
                    "config": {**found.record["config"],
                               "env": self.extension.masked(found.record["config"]["env"])},
                    "options": {"binds": [one._asdict() for one in options.binds],
                                "user": options.user, "workdir": options.workdir,
                                "contain": options.contain, "preload": options.preload,
                                "gpu": options.gpu},
                    "gpu_libraries": list((found.record.get("gpu") or {}).get("libraries", []))}
        return await self.with_store(look, await self.extension.kernels(), self.extension.usage)

    @operation()
    async def delete(self, container: str) -> Any:
        def remove(store: Store, force: bool) -> None:
            Container.find(store, container, damaged=force).remove(force=force)
        await self.with_store(remove, self.query["force"])
        await self.changed()


class Stop(Handler):
    path = "/containers/{container}/stop"

    @operation()
    async def post(self, container: str) -> Any:
        def stop(store: Store, timeout: float) -> dict[str, Any]:
            return {"asked": Container.open(store, container).stop(timeout)}
        stopped = await self.slow(stop, self.body["timeout"])
        await self.changed()
        return stopped


class Reset(Handler):
    path = "/containers/{container}/reset"

    @operation()
    async def post(self, container: str) -> Any:
        def reset(store: Store, force: bool, here: Kernels, usage: Usage) -> dict[str, Any]:
            found = Container.open(store, container)
            found.reset(force=force)
            return _one(store, found, here, usage)
        found = await self.slow(reset, self.query["force"], await self.extension.kernels(),
                                      self.extension.usage)
        await self.changed()
        return found


class Commit(Beginning):
    path = "/containers/{container}/commit"

    @operation()
    async def post(self, container: str) -> Any:
        reference = Reference.parse(self.body["image"])
        await self.with_store(Container.open, container)
        return self.begin("commit", f"Commit {container} to {reference.familiar}",
                          about={"image": reference.familiar, "container": container},
                          container=container, image=self.body["image"],
                          changes=self.body.get("changes", []), author=self.body.get("author"),
                          message=self.body.get("message"))


class Diff(Handler):
    path = "/containers/{container}/diff"

    @operation()
    async def get(self, container: str) -> Any:
        def look(store: Store, content: bool, limit: int) -> dict[str, Any]:
            from lpmx_runtime.image.diff import differences
            found = differences(Container.open(store, container), content=content)
            return {"total": len(found), "changes": [
                {"kind": one.kind, "path": _text(one.path)} for one in found[:limit]]}
        return await self.slow(look, self.query["content"], self.query["limit"])


class Processes(Handler):
    path = "/containers/{container}/processes"

    @operation()
    async def get(self, container: str) -> Any:
        def look(store: Store, usage: Usage) -> list[dict[str, Any]]:
            found = Container.open(store, container)
            return [described_process(one, usage) for one in found.processes()]
        return await self.with_store(look, self.extension.usage)


class Terminals(Handler):
    path = "/containers/{container}/terminals"

    @operation("execute")
    async def post(self, container: str) -> Any:
        from http import HTTPStatus

        from lpmx_runtime.container.exposed import lpmx_command
        manager = self.settings.get("terminal_manager")
        if manager is None:
            raise RequestFailed(HTTPStatus.CONFLICT, "no-terminals",
                                "cannot open a terminal: this server has none",
                                hint="install terminado, and set ServerApp.terminals_enabled")

        def find(store: Store, command: Optional[list[str]]) -> tuple[list[str], str]:
            found = Container.open(store, container)
            return command or _shell(found), str(store.path)
        command, store = await self.with_store(find, self.body.get("command"))
        where = ["--workdir", self.body["cwd"]] if "cwd" in self.body else []
        model = manager.create(shell_command=[*lpmx_command(), "exec", *where, container, "--",
                                              *command], extra_env={"LPMX_STORE": store})
        await self.changed()
        return {"name": model["name"], "container": container, "command": command}


def _shell(container: Container) -> list[str]:
    """The best shell that a container has."""
    from lpmx_runtime.container.links import contained_program
    from lpmx_runtime.errors import LinkFailed
    for name in _SHELLS:
        with suppress(LinkFailed):
            path = contained_program(container, name, "")
            return [path, "sh"] if name == "busybox" else [path]
    raise RunFailed(f'cannot open a terminal in container "{container.name}": it has no shell',
                    hint="name another program of it to run")


HANDLERS = (Containers, OneContainer, Stop, Reset, Commit, Diff, Processes, Terminals)
