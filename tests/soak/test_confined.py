"""Containers of an ordinary user in a control group, as a batch system makes one for each job."""
from __future__ import annotations

import contextlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Iterator, List

import pytest
from integration.test_hosts import BEGIN, Host
from integration.test_hosts import host as host  # a fixture

from .conftest import Record

pytestmark = pytest.mark.root

#: What is limited -> the file that says it, by the first version of control groups and by the second.
FILES = {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max", "pids.max")}


@contextlib.contextmanager
def group(controller: str, limit: int) -> Iterator[Path]:
    """A control group with this limit, removed afterwards."""
    mounts = Path("/proc/self/mounts").read_text()
    first = re.search(rf"^\S+ (\S+) cgroup \S*\b{controller}\b", mounts, re.MULTILINE)
    second = re.search(r"^\S+ (\S+) cgroup2 ", mounts, re.MULTILINE)
    top = first or second
    assert top, "there are no control groups here"
    if not first:
        Path(top[1], "cgroup.subtree_control").write_text(f"+{controller}")
    made = Path(top[1], f"lpmx-test-{os.getpid()}")
    made.mkdir()
    try:
        (made / FILES[controller][not first]).write_text(str(limit))
        yield made
    finally:
        made.rmdir()


def told(host: Host, place: Path, script: str) -> List[str]:
    done = subprocess.run(["/bin/sh", "-c", f"echo $$ >{place}/cgroup.procs\n{BEGIN}set +e\n{script}"],
                          env=host.environment, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300)
    return done.stdout.splitlines()


def test_memory_is_limited_for_what_runs_in_containers(host: Any, record: Record) -> None:
    """Who takes more is killed, as outside; within the limit everything works, before and after."""
    greedy = "'x=0123456789; while :; do x=$x$x; done'"
    with group("memory", 96 << 20) as place:
        lines = told(host, place, f"""
lpmx run tiny echo before; busybox sh -c {greedy} 2>/dev/null; echo $?
lpmx run tiny sh -c {greedy} 2>/dev/null; echo $?; lpmx run tiny echo after; lpmx ps -q""")

    record("confined", "96 MiB of memory for a job", len(lines), "as outside" if lines[1:3] == ["137", "137"]
           else " ".join(lines)[-300:])
    assert ["before", "137", "137", "after"] == lines


def test_processes_are_limited_for_what_runs_in_containers(host: Any, record: Record) -> None:
    """As many can be started as outside, and then it is told."""
    many = "'n=0; while sleep 5 & do n=$((n+1)); done; echo $n'"
    with group("pids", 24) as place:
        lines = told(host, place, f"busybox sh -c {many}; busybox sleep 6; lpmx run tiny sh -c {many}; busybox sleep 6")

    expected = 2 * ["sh: can't fork: Resource temporarily unavailable"]
    record("confined", "24 processes for a job", len(lines), "as outside" if lines == expected
           else " and ".join(lines)[-300:])
    assert expected == lines
