"""What it costs to start one small program, side by side: the command line included, and from a program.

    python benchmarks/starts.py [--rounds N] [--image REFERENCE]

Each round starts every row once, in an order of its own. Shown are the least and the median
of the rounds, in milliseconds on the clock from before the fork until the program has ended,
and the processor time of the least; and ratios to `python3 -c pass`. IMAGE is one of the
store (default: a copy of this machine).

The second table is of a program that starts another, in one container and across containers
(starts.c): microseconds on the clock and of processor time, and page faults.
"""
from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Dict, List

from lpmx_runtime.container import Container, exposed
from lpmx_runtime.container.launch import Launch
from lpmx_runtime.store import Store

SCRIPTS = Path(sysconfig.get_path("scripts"))
PYTHON = "python3 -c pass"


def rows(container: Container, image: str, directory: str) -> Dict[str, List[str]]:
    """What is started, an exposed command in `directory` among it. The interpreter of `python3 -c pass` is the one that lpmx has, too."""
    name = container.name
    command, _ = exposed.add(container, "/bin/true", directory=directory)
    return {
        "true": ["/bin/true"],
        PYTHON: [sys.executable, "-c", "pass"],
        "lpmx exec, of true": [str(SCRIPTS / "lpmx"), "exec", name, "/bin/true"],
        "true, by lpmx expose": [command.path],
        "lpmx exec by way of Python": [str(SCRIPTS / "lpmx-python"), "exec", name, "/bin/true"],
        "lpmx exec -e A=1": [str(SCRIPTS / "lpmx"), "exec", "-e", "A=1", name, "/bin/true"],
        "lpmx run": [str(SCRIPTS / "lpmx"), "run", image, "/bin/true"],
        "lpmx --version": [str(SCRIPTS / "lpmx"), "--version"],
    }


def measure(argv: List[str]) -> "tuple[float, float]":
    """Milliseconds on the clock, and of processor time, of one start.

    By vfork, as a shell that is in a hurry would: what the parent is does not count.
    """
    began = time.perf_counter()
    child = os.posix_spawn(argv[0], argv, os.environ,
                           file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - began
    if status:
        raise SystemExit(f"{argv}: ended with {os.waitstatus_to_exitcode(status)}")
    return wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000


def run(commands: Dict[str, List[str]], rounds: int) -> "Dict[str, List[tuple[float, float]]]":
    results: Dict[str, List[tuple[float, float]]] = {row: [] for row in commands}
    for argv in commands.values():
        for _ in range(3):  # caches, compiled modules, and the start file
            measure(argv)
    for _ in range(rounds):
        for row in random.sample(list(commands), len(commands)):
            results[row].append(measure(commands[row]))
    return results


def table(results: "Dict[str, List[tuple[float, float]]]") -> str:
    lines = ["| | least, ms | median, ms | CPU, ms | to `python3 -c pass` | more than `true`, ms |",
             "|---|---|---|---|---|---|"]
    python, true = min(results[PYTHON])[0], min(results["true"])[0]
    for row, times in results.items():
        wall, cpu = min(times)
        median = statistics.median(each[0] for each in times)
        lines.append(f"| `{row}` | {wall:.2f} | {median:.2f} | {cpu:.1f} | {wall / python:.2f} | "
                     f"{wall - true:.2f} |")
    return "\n".join(lines)


#: What the program of the second table starts, and how: by fork as a shell, by vfork as make or Python.
WAYS = ("fork", "vfork")
AT_ONCE = 50


def starter(directory: str) -> str:
    """starts.c, compiled."""
    program = os.path.join(directory, "starts")
    subprocess.run(["cc", "-O2", "-o", program, Path(__file__).with_name("starts.c")], check=True)
    return program


def callers(container: Container, other: Container, program: str) -> "Dict[str, tuple[Launch, str]]":
    """Who starts what: `program` is in the container, too, and links of the other's."""
    launch = container.launch(["/bin/sh", "-c", "cat >/starts && chmod 755 /starts"], entrypoint=False)
    with open(program, "rb") as source:
        subprocess.run(launch.argv, executable=launch.executable, env=launch.env, stdin=source, check=True)
    subprocess.run([SCRIPTS / "lpmx", "link", container.name, f"other-true={other.name}:/usr/bin/true"],
                   stdout=subprocess.DEVNULL, check=True)
    inside = container.launch(["/starts"], entrypoint=False)
    linked = container.launch(["sh", "-c", "command -v other-true"], entrypoint=False)
    done = subprocess.run(linked.argv, executable=linked.executable, env=linked.env, stdout=subprocess.PIPE,
                          text=True, check=True)
    outside = Launch(program, (program,), {"PATH": "/usr/bin:/bin"})
    return {
        "host, of its own": (outside, "/usr/bin/true"),
        "container, of its own": (inside, "/usr/bin/true"),
        "container, of the host": (inside, "/.lpmx/host/usr/bin/true"),
        "container, of another container": (inside, done.stdout.strip()),
    }


def started(launch: Launch, way: str, program: str) -> "tuple[float, float, float]":
    """Microseconds on the clock, of processor time, and page faults, of one start."""
    done = subprocess.run([*launch.argv, way, str(AT_ONCE), program], executable=launch.executable,
                          env=launch.env, stdout=subprocess.PIPE, text=True, check=True)
    wall, used, faults = map(float, done.stdout.split())
    return wall, used, faults


def table_of_callers(rows: "Dict[str, tuple[Launch, str]]", rounds: int) -> str:
    times: "Dict[tuple[str, str], List[tuple[float, float, float]]]" = {}
    for _ in range(rounds):
        for row in random.sample(list(rows), len(rows)):
            for way in WAYS:
                times.setdefault((row, way), []).append(started(rows[row][0], way, rows[row][1]))
    lines = ["| | by | wall, us | to the host's | CPU, us | to the host's | page faults |",
             "|---|---|--:|--:|--:|--:|--:|"]
    native = next(iter(rows))
    for row in rows:
        for way in WAYS:
            wall, used, faults = (min(each) for each in zip(*times[row, way]))
            bare_wall, bare_used, _ = (min(each) for each in zip(*times[native, way]))
            lines.append(f"| {row} | `{way}` | {wall:.0f} | {wall / bare_wall:.2f} | {used:.0f} | {used / bare_used:.2f} "
                         f"| {faults:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="what it costs to start a program")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--image", default="host")
    arguments = parser.parse_args()
    store = Store.open()
    image = store.images.find(arguments.image)
    container, other = Container.create(store, image), Container.create(store, image)
    try:
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)  # an exposed command starts where it is called, if the container has it
            print(table(run(rows(container, arguments.image, directory), arguments.rounds)))
            print()
            print(table_of_callers(callers(container, other, starter(directory)), arguments.rounds))
    finally:
        container.remove(force=True)
        other.remove(force=True)
        subprocess.run([SCRIPTS / "lpmx", "ps", "-q"], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
