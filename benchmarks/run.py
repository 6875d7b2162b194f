"""`make bench`: the same commands in a real chroot and in containers, side by side.

    python benchmarks/run.py [--rounds N] [--only NAME...]

One run interleaves all columns, so that what else the machine does hits them alike.
Shown are the medians of CPU time and of wall time in the first column, the ratios to
it in the others, and how far the first column's own rounds were apart: a ratio inside
that noise says nothing. As root the first column is a chroot into a copy of the
image's files; an ordinary user cannot have that and gets the host itself, with the image
`host` beside it.
"""
from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple

from lpmx_runtime.container import Container, Options
from lpmx_runtime.progress import TerminalProgress
from lpmx_runtime.store import Store

IMAGE = "debian:bookworm"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
IMPORTS = "json,csv,email,http.client,xml.dom.minidom,unittest,decimal,asyncio,sqlite3,ctypes"

#: Name of a row -> the command, by a shell of the image.
ROWS = {
    "true": "exec true",
    "200 commands": "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done",
    "python3 -c pass": "exec python3 -c pass",
    "python3 imports": f"exec python3 -c 'import {IMPORTS}'",
    "find, with stat": "exec find /usr -size +1000000k",
    "ls -lR": "exec ls -lR /usr >/dev/null",
    "tar": "exec tar -cf /dev/null --exclude=x /usr/share /usr/lib/python3",
    "grep -r": "grep -r no-such-word /usr/share /usr/lib/python3 || true",
    "dpkg -l": "exec dpkg -l >/dev/null",
    "CPU loop": "exec python3 -c 'sum(i * i for i in range(3000000))'",
}

Start = Callable[[List[str]], "subprocess.Popen[bytes]"]


class Times(NamedTuple):
    cpu: float
    wall: float


def measure(start: Start, command: str) -> Times:
    """One run: CPU seconds of all its processes, and seconds on the clock."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = start(["/bin/sh", "-c", command])
    if process.wait():
        raise SystemExit(f"{command}: ended with {process.returncode}")
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Times(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def popen(argv: List[str], **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL,  # type: ignore[call-overload,no-any-return]
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def bare(argv: List[str]) -> subprocess.Popen[bytes]:
    return popen(argv, env={"PATH": PATH}, cwd="/")


def chroot(tree: Path) -> Start:
    def enter() -> None:
        os.chroot(tree)
        os.chdir("/")
    return lambda argv: popen(argv, env={"PATH": PATH}, preexec_fn=enter)


def contained(container: Container) -> Start:
    launch = container.launch(["/bin/sh"], entrypoint=False, cwd="/", env={"PATH": PATH})
    return lambda argv: popen(argv, executable=launch.executable,
                              env={**launch.env, "LPMX_PROGRAM": argv[0]})


def columns(store: Store, made: List[Container], tree: Path) -> Dict[str, Start]:
    """What is compared, the first being 1."""
    image = store.images.find("host" if os.getuid() else IMAGE)
    for preload in (True, False):
        made.append(Container.create(store, image, options=Options(preload=preload, contain=True)))
    first = {"host": bare} if os.getuid() else {"chroot": chroot(unpacked(made[0], tree))}
    return {**first, "preload": contained(made[0]), "trap only": contained(made[1])}


def unpacked(container: Container, target: Path) -> Path:
    """The container's files in a directory, for a chroot."""
    launch = container.launch(["tar", "-C", "/", "-cf", "-", "--exclude=./proc/*",
                               "--exclude=./sys/*", "--exclude=./dev/*", "."], entrypoint=False)
    packing = subprocess.Popen(launch.argv, executable=launch.executable, env=launch.env,
                               stdout=subprocess.PIPE)
    subprocess.run(["tar", "-C", str(target), "-xpf", "-"], stdin=packing.stdout, check=True)
    if packing.wait():
        raise SystemExit("cannot copy the image's files")
    os.mknod(target / "dev" / "null", 0o20666, os.makedev(1, 3))
    return target


def table(results: Dict[str, Dict[str, List[Times]]], names: List[str]) -> str:
    lines = ["", f"| | {names[0]}: CPU, wall | noise | "
             + " | ".join(f"{name}: CPU, wall" for name in names[1:]) + " |",
             "|---" * (len(names) + 2) + "|"]
    for row, by_column in results.items():
        cpu, wall = (statistics.median(getattr(each, kind) for each in by_column[names[0]])
                     for kind in ("cpu", "wall"))
        walls = sorted(each.wall for each in by_column[names[0]])
        noise = (walls[-1] - walls[0]) / wall
        cells = [f"{cpu * 1000:.1f}, {wall * 1000:.1f} ms", f"{noise:.0%}"]
        for name in names[1:]:
            cells.append(", ".join(
                f"{statistics.median(getattr(each, kind) for each in by_column[name]) / one:.2f}"
                for kind, one in (("cpu", cpu), ("wall", wall))))
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="compare containers with a chroot")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", nargs="*", choices=list(ROWS), metavar="NAME")
    arguments = parser.parse_args()
    store = Store.open()
    have_image(store)
    made: List[Container] = []
    try:
        with store.staging() as tree:
            ways = columns(store, made, tree)
            print(table(run(ways, arguments.only or list(ROWS), arguments.rounds), list(ways)))
    finally:
        for container in made:
            container.remove(force=True)


def run(ways: Dict[str, Start], rows: List[str], count: int) -> Dict[str, Dict[str, List[Times]]]:
    results: Dict[str, Dict[str, List[Times]]] = {}
    for row in rows:
        print(f"{row} ...", file=sys.stderr, flush=True)
        for start in ways.values():
            measure(start, ROWS[row])  # fills caches
        results[row] = {name: [] for name in ways}
        for _ in range(count):
            for name, start in ways.items():
                results[row][name].append(measure(start, ROWS[row]))
    return results


def have_image(store: Store) -> None:
    if os.getuid() or any(image.familiar == IMAGE for image in store.images.list()):
        return
    from lpmx_runtime.image.bootstrap import bootstrap
    progress = TerminalProgress()
    bootstrap(store, IMAGE, progress=progress)
    progress.close()


if __name__ == "__main__":
    main()
