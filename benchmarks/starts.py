"""What it costs to start one small program, the command line included, side by side.

    python benchmarks/starts.py [--rounds N] [--image REFERENCE]

Each round starts every row once, in an order of its own. Shown are the least and the median
of the rounds, in milliseconds on the clock from before the fork until the program has ended,
and the processor time of the least; and ratios to `python3 -c pass`. IMAGE is one of the
store (default: a copy of this machine).
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


def main() -> None:
    parser = argparse.ArgumentParser(description="what it costs to start a program")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--image", default="host")
    arguments = parser.parse_args()
    store = Store.open()
    container = Container.create(store, store.images.find(arguments.image))
    try:
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)  # an exposed command starts where it is called, if the container has it
            print(table(run(rows(container, arguments.image, directory), arguments.rounds)))
    finally:
        container.remove(force=True)
        subprocess.run([SCRIPTS / "lpmx", "ps", "-q"], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
