"""What a worker of the server extension tells of its progress."""
from __future__ import annotations

import io
import json
import time
from typing import Any

from lpmx_jupyter.extension.tasks import Task
from lpmx_jupyter.extension.worker import Reports
from lpmx_runtime.progress import Note, TaskAdvanced, TaskFinished, TaskStarted


def told(stream: io.StringIO) -> "list[Any]":
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_last_state_is_told_also_when_nothing_comes_after_it() -> None:
    """Of many steps few are told, but a stalled network does not keep the last one back."""
    stream = io.StringIO()
    reports = Reports(stream)
    reports(TaskStarted("layer", "layer 1", 1000))
    for done in range(1, 1001):
        reports(TaskAdvanced("layer", done, 1000))

    deadline = time.monotonic() + 10
    while told(stream)[-1].get("done") != 1000:
        assert time.monotonic() < deadline, told(stream)
        time.sleep(0.01)

    assert len(told(stream)) < 100


def test_end_of_a_part_comes_after_all_of_it() -> None:
    """What was held back is told first."""
    stream = io.StringIO()
    reports = Reports(stream)
    for event in (TaskStarted("a", "layer a", 7), TaskAdvanced("a", 3), TaskAdvanced("a", 7),
                  TaskFinished("a", "done"), Note("good")):
        reports(event)
    reports.end("result", value={})

    assert [("started", None), ("advanced", 3), ("advanced", 7), ("finished", None), ("note", None),
            ("result", None)] == [(one["event"], one.get("done")) for one in told(stream)]


def test_task_adds_up_its_parts() -> None:
    """Bytes of what is fetched; what the store has counts nothing, and unknown sizes have no sum."""
    task = Task("0" * 16, "pull", "Pull x")
    for part, total in (("a", 10), ("b", 20), ("c", None)):
        task.hear({"event": "started", "part": part, "label": part, "unit": "bytes", "total": total})
    task.hear({"event": "advanced", "part": "a", "done": 4, "total": None})
    assert (4, None) == (task.described()["done"], task.described()["total"])

    task.hear({"event": "finished", "part": "c", "note": "already in the store"})

    assert (4, 30) == (task.described()["done"], task.described()["total"])
    task.hear({"event": "result", "value": {}})
    assert ("running", None) == (task.described()["state"], task.described()["result"])
