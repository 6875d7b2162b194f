"""A process that does one long piece of work for the server (tasks.py).

It is a process and not a thread, so that hashing and unpacking do not slow the server
down, and so that the work can be ended wherever it is: as Ctrl-C ends a command, which
leaves the store as it was. The work is a line of JSON on standard input. When that input
ends, the server does not want the work any more, or is gone itself. What is told goes to
standard output, a line of JSON each:

    {"event": "started", ...}  "advanced"  "finished"  "note"     as in lpmx_runtime.progress
    {"event": "result", "value": ...}, {"event": "failed", "error": ...} or {"event": "cancelled"}
"""
from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any, Mapping, TextIO

from lpmx_runtime.errors import LpmxError
from lpmx_runtime.progress import Event, Note, TaskAdvanced, TaskFinished, TaskStarted

_OFTEN = 0.1   # seconds between two reports of one part


class Reports:
    """Writes events, of one part not too often, and none that is held back for long."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}
        self._kept: dict[str, TaskAdvanced] = {}
        threading.Thread(target=self._tell_kept, daemon=True).start()

    def __call__(self, event: Event) -> None:
        """A `lpmx_runtime.progress.Sink`."""
        with self._lock:
            if isinstance(event, TaskStarted):
                self._write({"event": "started", "part": event.task, "label": event.label,
                             "total": event.total, "unit": event.unit})
            elif isinstance(event, TaskAdvanced):
                if time.monotonic() - self._told.get(event.task, 0.0) < _OFTEN:
                    self._kept[event.task] = event
                else:
                    self._advanced(event)
            elif isinstance(event, TaskFinished):
                kept = self._kept.pop(event.task, None)
                if kept is not None:
                    self._advanced(kept)
                self._write({"event": "finished", "part": event.task, "note": event.note})
            elif isinstance(event, Note):
                self._write({"event": "note", "text": event.text})

    def end(self, event: str, **values: Any) -> None:
        """Say how it ended."""
        with self._lock:
            self._write({"event": event, **values})

    def _tell_kept(self) -> None:
        """What was held back is told also where nothing comes after it: a network may stall."""
        while True:
            time.sleep(_OFTEN)
            with self._lock:
                for event in list(self._kept.values()):
                    if time.monotonic() - self._told.get(event.task, 0.0) >= _OFTEN:
                        self._advanced(event)

    def _advanced(self, event: TaskAdvanced) -> None:
        self._kept.pop(event.task, None)
        self._told[event.task] = time.monotonic()
        self._write({"event": "advanced", "part": event.task, "done": event.done,
                     "total": event.total})

    def _write(self, value: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(value) + "\n")
        self._stream.flush()


def main() -> int:
    """Do the work; 0 whatever came of it, for that is told."""
    line = sys.stdin.buffer.readline()
    if not line:
        return 0   # the server changed its mind
    work = json.loads(line)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)   # what anything prints is no report
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_wait_for_the_end, daemon=True).start()
    reports = Reports(out)
    try:
        from . import work as works
        value = works.do(work, reports)
    except KeyboardInterrupt:
        reports.end("cancelled")
    except LpmxError as error:
        reports.end("failed", error={"message": error.message, "hint": error.hint,
                                     "code": error.code})
    else:
        reports.end("result", value=value)
    return 0


def _wait_for_the_end() -> None:
    """End the work when the input ends."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGINT)
