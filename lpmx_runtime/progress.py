"""What long operations tell while they run, and one way to show it.

An operation takes a `Sink` and calls it with events, possibly from several
threads; it never prints. Drawing is the caller's business.
"""
from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from typing import Callable, Optional, TextIO, Union


@dataclass(frozen=True)
class TaskStarted:
    """A task of its own: `total` units if known, shown as `label`."""

    task: str
    label: str
    total: Optional[int] = None
    unit: str = "bytes"


@dataclass(frozen=True)
class TaskAdvanced:
    """`done` units since the start."""

    task: str
    done: int
    total: Optional[int] = None


@dataclass(frozen=True)
class TaskFinished:
    task: str
    note: str = ""


@dataclass(frozen=True)
class Note:
    """One line of talk."""

    text: str


Event = Union[TaskStarted, TaskAdvanced, TaskFinished, Note]
Sink = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A sink for those who do not look."""


def amount(number: float, unit: str) -> str:
    """`number` for people: bytes in binary multiples, other units as they are."""
    if unit != "bytes":
        return f"{int(number)} {unit}" if unit else str(int(number))
    for name in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or name == "GiB":
            return f"{number:.0f} {name}" if name == "B" else f"{number:.1f} {name}"
        number /= 1024
    return ""


# What a terminal would obey rather than show: labels and notes quote what anybody may have written.
_CONTROLS = {code: "?" for code in (*range(9), *range(11, 32), *range(127, 160))}


class TerminalProgress:
    """Draw progress on `stream`: one changing line on a terminal, plain lines in a log."""

    def __init__(self, stream: Optional[TextIO] = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._live = self._stream.isatty()
        self._lock = threading.Lock()
        self._tasks: dict[str, tuple[TaskStarted, int]] = {}
        self._drawn = 0.0
        self._width = 0

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, TaskStarted):
                self._tasks[event.task] = (event, 0)
                if not self._live:
                    self._line(self._describe(event.task))
            elif isinstance(event, TaskAdvanced) and event.task in self._tasks:
                started, _ = self._tasks[event.task]
                if event.total is not None and event.total != started.total:
                    started = TaskStarted(started.task, started.label, event.total, started.unit)
                self._tasks[event.task] = (started, event.done)
            elif isinstance(event, TaskFinished) and event.task in self._tasks:
                started, done = self._tasks.pop(event.task)
                note = event.note or "done"
                size = f" ({amount(done, started.unit)})" if done else ""
                self._line(f"{started.label}: {note}{size}")
            elif isinstance(event, Note):
                self._line(event.text)
            self._draw(force=isinstance(event, (TaskStarted, TaskFinished)))

    def close(self) -> None:
        """Leave the terminal as it was found."""
        with self._lock:
            self._clear()

    def _describe(self, task: str) -> str:
        started, done = self._tasks[task]
        if not done:
            total = f" ({amount(started.total, started.unit)})" if started.total else ""
            return f"{started.label}{total} ..."
        if started.total:
            share = min(100, 100 * done // started.total)
            return (f"{started.label} {share}% of "
                    f"{amount(started.total, started.unit)}")
        return f"{started.label} {amount(done, started.unit)}"

    def _line(self, text: str) -> None:
        self._clear()
        print(text.translate(_CONTROLS), file=self._stream, flush=True)

    def _clear(self) -> None:
        if self._live and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0

    def _draw(self, *, force: bool) -> None:
        now = time.monotonic()
        if not self._live or (not force and now - self._drawn < 0.1):
            return
        self._drawn = now
        text = "  ".join(self._describe(task) for task in self._tasks)[:110]
        self._clear()
        self._stream.write(text.translate(_CONTROLS))
        self._stream.flush()
        self._width = len(text)
