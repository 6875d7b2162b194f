"""Long work, each in a process of its own (worker.py), and what is told about it.

A task is kept for a while after its end, so that a page that is opened again still finds
how it went. They are the server's: they end with it, and leave the store as it was.
"""
from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Mapping, Optional

from .failures import RequestFailed
from .handlers import PREFIX, Handler, operation

if TYPE_CHECKING:
    from .app import LpmxExtension

#: As `python -m`, but with no module from where the server was started.
_MAIN = ("import sys; sys.path[:] = filter(None, sys.path); "
         "from lpmx_jupyter.extension.worker import main; sys.exit(main())")
_NOTES = 50
_OFTEN = 0.2        # seconds between two events of one task that runs
_CLEANING = 30.0    # seconds that a cancelled worker has to leave the store as it was
_LINE = 1 << 24
_SAID = 1 << 14     # bytes of what a worker that broke said last
_MOST_ENDED = 200


@dataclass
class Part:
    """A part with progress of its own, such as a layer."""

    id: str
    label: str
    unit: str
    total: Optional[int]
    done: int = 0
    finished: bool = False
    note: str = ""


@dataclass
class Task:
    """What is known of a task; `described` tells it as the schema `Task` has it."""

    id: str
    kind: str
    title: str
    image: Optional[str] = None
    container: Optional[str] = None
    path: Optional[str] = None
    state: str = "running"
    created: float = field(default_factory=time.time)
    finished: Optional[float] = None
    parts: dict[str, Part] = field(default_factory=dict)
    notes: "deque[str]" = field(default_factory=lambda: deque(maxlen=_NOTES))
    error: Optional[Mapping[str, Any]] = None
    result: Optional[Mapping[str, Any]] = None
    outcome: str = ""   # what the worker said of its end, which has not come yet

    @property
    def ended(self) -> bool:
        return self.finished is not None

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in what the worker tells."""
        kind = event["event"]
        if kind == "started":
            self.parts[event["part"]] = Part(event["part"], event["label"], event["unit"],
                                             event["total"])
        elif kind == "note":
            self.notes.append(event["text"])
        elif kind == "result":
            self.result, self.outcome = event["value"], "succeeded"
        elif kind == "failed":
            self.error, self.outcome = event["error"], "failed"
        elif kind == "cancelled":
            self.outcome = "cancelled"
        elif event["part"] in self.parts:
            part = self.parts[event["part"]]
            if kind == "advanced":
                part.done = event["done"]
                part.total = part.total if event["total"] is None else event["total"]
            else:
                part.finished, part.note = True, event["note"]

    def described(self) -> dict[str, Any]:
        parts = list(self.parts.values())
        measured = [part for part in parts if part.unit == "bytes" and not _skipped(part)]
        known = [part.total for part in measured if part.total is not None]
        return {"id": self.id, "kind": self.kind, "title": self.title, "state": self.state,
                "image": self.image, "container": self.container, "path": self.path,
                "created": self.created, "finished": self.finished,
                "done": sum(part.done for part in measured),
                "total": sum(known) if measured and len(known) == len(measured) else None,
                "parts": [vars(part).copy() for part in parts], "notes": list(self.notes),
                "error": self.error if self.ended else None,
                "result": self.result if self.ended else None}


def _skipped(part: Part) -> bool:
    """Whether nothing was to be done for it."""
    return part.finished and not part.done and part.total is None


class Tasks:
    """All tasks of the server. Of its loop only."""

    def __init__(self, extension: "LpmxExtension") -> None:
        self._extension = extension
        self._tasks: dict[str, Task] = {}
        self._workers: dict[str, asyncio.subprocess.Process] = {}
        self._running: set[asyncio.Future[None]] = set()
        self._told: dict[str, float] = {}
        self._reserved = 0
        self._to_tell: dict[str, asyncio.TimerHandle] = {}

    def described(self) -> list[dict[str, Any]]:
        """All, the newest first."""
        self._forget_old()
        return [task.described() for task in reversed(list(self._tasks.values()))]

    def get(self, name: str) -> Task:
        """The task of that id."""
        self._forget_old()
        if name not in self._tasks:
            raise RequestFailed(HTTPStatus.NOT_FOUND, "task-unknown",
                                f'cannot find task "{name}": there is none of this id',
                                hint="tasks are forgotten some time after their end")
        return self._tasks[name]

    def reserve(self) -> None:
        """Keep a place for a task that is to begin, until `release`."""
        self._check_room()
        self._reserved += 1

    def release(self) -> None:
        """Give a place back that `reserve` kept; a task that is begun at once has it."""
        self._reserved -= 1

    def _check_room(self) -> None:
        """Raise `RequestFailed` if as many run as may."""
        most = self._extension.most_tasks
        if self._reserved + sum(not task.ended for task in self._tasks.values()) >= most:
            raise RequestFailed(HTTPStatus.TOO_MANY_REQUESTS, "too-busy",
                                f"cannot begin another task: {most} run already",
                                hint="wait until one ends, or cancel one")

    def start(self, kind: str, title: str, *, after: Optional[ExitStack] = None,
              about: Mapping[str, Any] = {},  # noqa: B006
              **arguments: Any) -> Task:
        """Begin a task; what to do is `kind` with `arguments` (work.py). `after` is closed
        when it has ended, `about` are its image, container and path. Where this raises, nothing
        is begun and nothing closed."""
        self._check_room()
        task = Task(os.urandom(8).hex(), kind, title, **about)
        self._tasks[task.id] = task
        self._tell(task, force=True)
        running = asyncio.ensure_future(self._run(task, {"kind": kind, **arguments}, after))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return task

    def cancel(self, name: str) -> Optional[Task]:
        """Have a task end; forget one that has ended, and return None."""
        task = self.get(name)
        if task.ended:
            self._forget(task)
            return None
        if task.state == "running":
            task.state = "cancelling"
            self._tell(task, force=True)
            self._end(task)
        return task

    async def close(self) -> None:
        """End all tasks; when this returns, they have."""
        for task in self._tasks.values():
            if not task.ended:
                task.state = "cancelling"
                self._end(task)
        if self._running:
            await asyncio.wait(self._running)

    # -- running one ----------------------------------------------------------------------

    async def _run(self, task: Task, work: Mapping[str, Any],
                   after: Optional[ExitStack]) -> None:
        said = b""
        try:
            worker = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _MAIN, stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                start_new_session=True, limit=_LINE)
            self._workers[task.id] = worker
            assert worker.stdin and worker.stdout and worker.stderr
            worker.stdin.write(json.dumps(work).encode() + b"\n")
            if task.state == "cancelling":
                self._end(task)
            listening = asyncio.ensure_future(_last(worker.stderr))
            async for line in worker.stdout:
                task.hear(json.loads(line))
                self._tell(task)
            said = await listening
            await worker.wait()
        except (OSError, ValueError) as error:
            said += str(error).encode()
        finally:
            self._workers.pop(task.id, None)
            if after is not None:
                await self._extension.blocking(after.close)
            await self._ended(task, said)

    async def _ended(self, task: Task, said: bytes) -> None:
        if task.outcome:
            task.state = task.outcome
        elif task.state == "cancelling":
            task.state = "cancelled"   # it was killed, or had not begun
        else:
            self._extension.log.error("The worker of %r broke:\n%s", task.title,
                                      said.decode(errors="replace"))
            task.state = "failed"
            task.error = {"message": f"cannot {task.title[:1].lower()}{task.title[1:]}: its process "
                                     "ended unexpectedly",
                          "hint": "the server's log says more", "code": "internal"}
        task.finished = time.time()
        self._tell(task, force=True)
        self._told.pop(task.id, None)
        self._forget_old()
        if task.state == "succeeded":
            await self._extension.keep_kernels()
        await self._extension.watch.look()

    def _end(self, task: Task) -> None:
        """Tell the worker that nobody wants its work any more; in the end, kill it."""
        worker = self._workers.get(task.id)
        if worker is None:
            return   # it is told when it is there
        if worker.stdin is not None:
            worker.stdin.close()
        asyncio.get_running_loop().call_later(_CLEANING, self._kill, worker)

    @staticmethod
    def _kill(worker: "asyncio.subprocess.Process") -> None:
        try:
            if worker.returncode is None:
                worker.kill()
        except ProcessLookupError:
            pass

    # -- telling and forgetting -------------------------------------------------------------

    def _tell(self, task: Task, *, force: bool = False) -> None:
        now = time.monotonic()
        wait = self._told.get(task.id, 0.0) + _OFTEN - now
        if not force and wait > 0:
            if task.id not in self._to_tell:
                self._to_tell[task.id] = asyncio.get_running_loop().call_later(
                    wait, lambda: self._tell(task, force=True))
            return
        later = self._to_tell.pop(task.id, None)
        if later is not None:
            later.cancel()
        self._told[task.id] = now
        self._extension.events.publish("task", task.described())

    def _forget_old(self) -> None:
        ended = [task for task in self._tasks.values() if task.finished is not None]
        oldest = time.time() - self._extension.kept_seconds
        for number, task in enumerate(ended):
            if (task.finished or 0) < oldest or number < len(ended) - _MOST_ENDED:
                self._forget(task)

    def _forget(self, task: Task) -> None:
        del self._tasks[task.id]
        self._extension.events.publish("forgotten", {"id": task.id})


async def _last(stream: asyncio.StreamReader) -> bytes:
    """The end of what a stream brings."""
    kept = b""
    while True:
        piece = await stream.read(1 << 16)
        if not piece:
            return kept
        kept = (kept + piece)[-_SAID:]


# -- routes -----------------------------------------------------------------------------------


class Beginning(Handler):
    """A route that begins tasks."""

    def begin(self, kind: str, title: str, **options: Any) -> dict[str, Any]:
        """Begin one; what is answered, with where it is to be found."""
        task = self.extension.tasks.start(kind, title, **options)
        self.set_header("Location", f"{self.base_url.rstrip('/')}{PREFIX}/tasks/{task.id}")
        return task.described()


class AllTasks(Handler):
    path = "/tasks"

    @operation()
    async def get(self) -> Any:
        return self.extension.tasks.described()


class OneTask(Handler):
    path = "/tasks/{task}"

    @operation()
    async def get(self, task: str) -> Any:
        return self.extension.tasks.get(task).described()

    @operation()
    async def delete(self, task: str) -> Any:
        found = self.extension.tasks.cancel(task)
        return None if found is None else found.described()


HANDLERS = (AllTasks, OneTask)
