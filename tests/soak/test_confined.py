"""Containers of an ordinary user in a control group, as a batch system makes one for each job."""
from __future__ import annotations

import contextlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Iterator, List, Union

import pytest
from integration.test_hosts import BEGIN, Host
from integration.test_hosts import host as host  # a fixture

from .conftest import Record

pytestmark = pytest.mark.root

#: What is limited -> the file that says it, by the first version of control groups and by the second.
FILES = {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max", "pids.max"),
         "cpuset": ("cpuset.cpus", "cpuset.cpus")}

#: A notebook's kernel, from its start to its end: how many processors it has, and a program of it; what it says
#: within its limit of memory, how it ends beyond, what it says when it was started again; the containers then.
KERNEL = """
import os
from jupyter_client.manager import KernelManager
from lpmx_jupyter import kernelspecs
from lpmx_jupyter.session import Settings
from lpmx_runtime.store import Store
from support.notebooks import Running
store = Store.open()
manager = KernelManager(kernel_name=kernelspecs.install(store, "tiny", Settings())[0].name)
manager.start_kernel(cwd=os.environ["HOME"])
kernel = Running(manager)
print(kernel.text("import os; print(len(os.sched_getaffinity(0)))"), kernel.text("!nproc"))
print(kernel.text("print(len(b'x' * (32 << 20)))"))
kernel.client.execute("b'x' * (2 << 30)")
print(manager.provisioner.process.wait(120))
kernel.restart(now=True)
print(kernel.text("print('again')"))
kernel.shutdown()
print(os.listdir(store.containers))
"""


@contextlib.contextmanager
def group(controller: str, limit: Union[int, str]) -> Iterator[Path]:
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
        if controller == "cpuset" and first:
            (made / "cpuset.mems").write_text(Path(top[1], "cpuset.mems").read_text())
        (made / FILES[controller][not first]).write_text(str(limit))
        yield made
    finally:
        made.rmdir()


def told(host: Host, script: str, *places: Path) -> List[str]:
    enter = "".join(f"echo $$ >{place}/cgroup.procs\n" for place in places)
    done = subprocess.run(["/bin/sh", "-c", f"{enter}{BEGIN}set +e\n{script}"],
                          env=host.environment, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300)
    return done.stdout.splitlines()


def test_memory_is_limited_for_what_runs_in_containers(host: Any, record: Record) -> None:
    """Who takes more is killed, as outside; within the limit everything works, before and after."""
    greedy = "'x=0123456789; while :; do x=$x$x; done'"
    with group("memory", 96 << 20) as place:
        lines = told(host, f"""
lpmx run tiny echo before; busybox sh -c {greedy} 2>/dev/null; echo $?
lpmx run tiny sh -c {greedy} 2>/dev/null; echo $?; lpmx run tiny echo after; lpmx ps -q""", place)

    record("confined", "96 MiB of memory for a job", len(lines), "as outside" if lines[1:3] == ["137", "137"]
           else " ".join(lines)[-300:])
    assert ["before", "137", "137", "after"] == lines


def test_processes_are_limited_for_what_runs_in_containers(host: Any, record: Record) -> None:
    """As many can be started as outside, and then it is told."""
    many = "'n=0; while sleep 5 & do n=$((n+1)); done; echo $n'"
    with group("pids", 24) as place:
        settled = f"n=9; while [ $n -gt 1 ]; do read n <{place}/pids.current; done"
        lines = told(host, f"busybox sh -c {many}; {settled}; lpmx run tiny sh -c {many}; {settled}", place)

    expected = 2 * ["sh: can't fork: Resource temporarily unavailable"]
    record("confined", "24 processes for a job", len(lines), "as outside" if lines == expected
           else " and ".join(lines)[-300:])
    assert expected == lines


def test_kernel_has_the_processors_and_the_memory_of_its_job(host: Any, record: Record) -> None:
    """A cell that takes more is the end of the kernel, as it is outside; the next one starts."""
    script = host.top / "kernel.py"
    script.write_text(KERNEL)
    with group("memory", 384 << 20) as memory, group("cpuset", str(max(os.sched_getaffinity(0)))) as processors:
        lines = told(host, f"PYTHONPATH={Path(__file__).parents[1]} setpriv --reuid $WHO --regid $WHOSE "
                           f"--clear-groups $SITE/bin/python {script}", memory, processors)

    expected = ["1 1", str(32 << 20), "-9", "again", "[]"]
    record("confined", "one processor and 384 MiB of memory for a kernel", len(lines),
           "as outside" if lines == expected else " ".join(lines)[-300:])
    assert expected == lines
