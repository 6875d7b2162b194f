"""`make bench`: the same commands on the host, in a chroot, in other tools and in containers, side by side.

    python benchmarks/run.py [--rounds N] [--only NAME...] [--columns NAME...] [--write]

Every column but the host's has the files of one image: the chroot, bubblewrap, PRoot and fakechroot
a copy of them in one directory, ours the image itself. On the host its own programs work
on that directory. Starting each tool is part of the time: ours is `lpmx exec`.

Rounds go through all columns in turn, so that what else the machine does hits them alike. A cell is
the median of its ratios to the first column in the same round, and in brackets the quartiles of
those ratios: that is the noise, and what lies inside it says nothing. The chroot needs root, and is the
first column then; without, the host is. Tools that are not installed, or cannot work here, are
named and left out. --write puts the tables into benchmarks/README.md.
"""
from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

from lpmx_runtime.container import Container, Options
from lpmx_runtime.image.bootstrap import bootstrap
from lpmx_runtime.image.commit import commit
from lpmx_runtime.progress import TerminalProgress
from lpmx_runtime.store import Image, Store

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
BEGIN, END = "<!-- run.py writes this -->\n", "<!-- to there -->\n"

BASE, IMAGE = "debian:bookworm", "lpmx-bench:1"
PACKAGES = ("gcc", "libc6-dev", "make", "git", "python3-pandas")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C"}
FILES = 60

#: Makes what the rows work on, in the image.
PREPARE = fr"""
set -e
mkdir -p /srv/bench/project /srv/bench/repository
cd /srv/bench && gcc -O2 -o small small.c
cd project
for i in $(seq {FILES}); do
    {{ printf '#include <%s>\n' stdio.h stdlib.h string.h unistd.h sys/stat.h netinet/in.h pthread.h math.h
      echo "int f$i(int n) {{ char t[99]; struct stat s; snprintf(t, sizeof t, \"%d\", n); return stat(t, &s) + $i; }}"
    }} >f$i.c
done
{{ for i in $(seq {FILES}); do echo "int f$i(int);"; done; echo 'int main(void) {{ return 0'
  for i in $(seq {FILES}); do echo "+ 0 * f$i($i)"; done; echo ';}}'; }} >main.c
printf 'program: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tgcc -o $@ $^\n%%.o: %%.c\n\tgcc -O1 -c -o $@ $<\n' >Makefile
cd ../repository && git init -q && git config user.name x && git config user.email x@example.org
for d in $(seq 60); do mkdir d$d; for f in $(seq 50); do echo $d $f >d$d/f$f; done; done
git add . && git commit -qm all
cd .. && apt-get -q update && apt-get -q -o APT::Sandbox::User=root download hello
"""

IMPORTS = "import pandas, json, csv, email, http.client, xml.dom.minidom, unittest, asyncio, sqlite3, ctypes"
APT = "apt-get -q -y -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0"
#: Name of a row -> the command, by a shell; $R is where the image's files are. On the host apt-get is not run.
ROWS = {
    "`true`": "true",
    "`bash`, 200 commands": "bash -c 'for ((i = 0; i < 200; i++)); do /bin/true; done'",
    "`python3 -c pass`": "python3 -c pass",
    "import of pandas and others": f"python3 -c '{IMPORTS}'",
    "`find` with stat": "find $R/usr -size +1000000k",
    "`ls -lR`": "ls -lR $R/usr",
    "`tar`": "tar -cf - $R/usr/share $R/usr/lib/python3 2>/dev/null | cat",
    "`grep -r`": "grep -r no-such-word $R/usr/share $R/usr/lib/python3 || true",
    "`git status`": "cd $R/srv/bench/repository && git -c safe.directory='*' status --porcelain",
    "`gcc`": "cd $R/srv/bench/project && gcc -O1 -c -o /tmp/bench.o f1.c",
    f"`make -j2`, {FILES + 1} files": "cd $R/srv/bench/project && make -sj2 && rm -f *.o program",
    "`apt-get install`, and purge": f"{APT} install /srv/bench/hello_*.deb && {APT} purge hello",
    "a loop in Python": "python3 -c 'sum(i * i for i in range(3000000))'",
    "50,000 small writes and reads": "$R/srv/bench/small io 50000",
    "300,000 `getpid`": "$R/srv/bench/small getpid 300000",
}
NOT_ON_THE_HOST = "apt-get"


class Column(NamedTuple):
    """Words before a command, and the value of $R."""

    words: List[str]
    root: str = ""


class Times(NamedTuple):
    cpu: float
    wall: float


def measure(column: Column, command: str) -> Optional[Times]:
    """One run: CPU seconds of all its processes, and seconds on the clock; None if it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([*column.words, "/bin/sh", "-c", f"R={column.root}; {command}"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env=ENVIRONMENT, cwd="/")
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        return None
    return Times(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def columns(store: Store, made: List[Container], tree: Path) -> Dict[str, Column]:
    """What is compared, the first being 1; what does not work here is left out."""
    image = have_image(store)
    lpmx = str(Path(sys.executable).with_name("lpmx"))
    ours = {}
    for name, preload in (("preload", True), ("trap only", False)):
        made.append(Container.create(store, image, options=Options(preload=preload, contain=True)))
        # the store's place is what HOME or a variable says; the command must find it without both
        ours[name] = Column(["env", f"LPMX_STORE={store.path}", lpmx, "exec", made[-1].name, "--"])
    unpack(made[0], tree)
    where = str(tree)
    found = {
        "chroot": Column(["chroot", where]),
        "host": Column([], where),
        "bubblewrap": Column(["bwrap", "--bind", where, "/", "--dev-bind", "/dev", "/dev",
                              "--proc", "/proc", "--"]),
        "PRoot": Column(["proot", "-r", where, "-b", "/dev", "-b", "/proc", "-w", "/"]),
        "fakechroot": Column(["fakechroot", "chroot", where]),
        **ours,
    }
    for name, column in list(found.items()):
        if column.words and not shutil.which(column.words[0], path=PATH):
            print(f"{name}: left out, {column.words[0]} is not installed", file=sys.stderr)
            del found[name]
        elif not measure(column, "test -e $R/srv/bench/small"):
            print(f"{name}: left out, it does not work here", file=sys.stderr)
            del found[name]
    return found


def unpack(container: Container, target: Path) -> None:
    """The container's files in a directory."""
    launch = container.launch(["tar", "-C", "/", "-cf", "-", "--exclude=./proc/*",
                               "--exclude=./sys/*", "--exclude=./dev/*", "."], entrypoint=False)
    packing = subprocess.Popen(launch.argv, executable=launch.executable, env=launch.env,
                               stdout=subprocess.PIPE)
    subprocess.run(["tar", "-C", str(target), "-xpf", "-"], stdin=packing.stdout, check=True)
    if packing.wait():
        raise SystemExit("cannot copy the image's files")
    if not os.getuid():
        os.mknod(target / "dev" / "null", 0o20666, os.makedev(1, 3))


def have_image(store: Store) -> Image:
    """The image that all columns have, made when it is asked for first."""
    for image in store.images.list():
        if image.familiar == IMAGE:
            return image
    progress = TerminalProgress()
    base = bootstrap(store, BASE, include=PACKAGES, progress=progress)
    progress.close()
    container = Container.create(store, base, options=Options(contain=True))
    try:
        words = [["mkdir", "-p", "/srv/bench"], ["tee", "/srv/bench/small.c"], ["sh", "-c", PREPARE]]
        for each in words:
            launch = container.launch(each, entrypoint=False, env={"PATH": PATH})
            with (HERE / "small.c").open() as source:
                done = subprocess.run(launch.argv, executable=launch.executable, env=launch.env,
                                      stdin=source, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                raise SystemExit(f"cannot prepare the image: {done.stdout[-2000:]}")
        return commit(store, container, IMAGE)
    finally:
        container.remove(force=True)


def run(ways: Dict[str, Column], rows: Sequence[str], count: int) -> Dict[str, Dict[str, List[Times]]]:
    """Row -> column -> a time for each round; a column that fails has none."""
    results: Dict[str, Dict[str, List[Times]]] = {}
    for row in rows:
        print(f"{row} ...", file=sys.stderr, flush=True)
        # the first time fills caches, and tells who can do it at all
        able = {name: column for name, column in ways.items()
                if not (name == "host" and NOT_ON_THE_HOST in row) and measure(column, ROWS[row])}
        results[row] = {name: [] for name in ways}
        for _ in range(count):
            for name, column in able.items():
                took = measure(column, ROWS[row])
                if took:
                    results[row][name].append(took)
    return results


def cell(own: List[Times], base: List[Times], kind: str) -> str:
    """The median ratio and its quartiles."""
    if not own or len(own) != len(base):
        return "-"
    ratios = [getattr(a, kind) / getattr(b, kind) for a, b in zip(own, base) if getattr(b, kind)]
    if len(ratios) < 2:
        return "-"
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def table(results: Dict[str, Dict[str, List[Times]]], names: List[str], kind: str) -> str:
    first, *others = names
    lines = [f"| {'CPU time' if kind == 'cpu' else 'on the clock'} | {first}, ms | "
             + " | ".join(others) + " |", "|---" * (len(names) + 1) + "|"]
    for row, by_column in results.items():
        base = by_column[first]
        shown = f"{statistics.median(getattr(each, kind) for each in base) * 1000:.1f}" if base else "-"
        lines.append(f"| {row} | {shown} | "
                     + " | ".join(cell(by_column[name], base, kind) for name in others) + " |")
    return "\n".join(lines) + "\n"


def write(text: str) -> None:
    page = README.read_text()
    head, rest = page.split(BEGIN)
    README.write_text(head + BEGIN + text + END + rest.split(END)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description="compare containers with a chroot and with other tools")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", nargs="*", metavar="WORD", help="rows that have one of the words")
    parser.add_argument("--columns", nargs="*", metavar="NAME")
    parser.add_argument("--write", action="store_true", help="put the tables into the README")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if not arguments.only or any(word in row for word in arguments.only)]
    store = Store.open()
    made: List[Container] = []
    try:
        with store.staging() as tree:
            ways = columns(store, made, tree)
            ways = {name: column for name, column in ways.items()
                    if not arguments.columns or name in arguments.columns or name == next(iter(ways))}
            results = run(ways, rows, arguments.rounds)
    finally:
        for container in made:
            container.remove(force=True)
    text = (f"\n{arguments.rounds} rounds, {time.strftime('%Y-%m-%d')}, Linux {platform.release()}, "
            f"{os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}, as {'root' if not os.getuid() else 'a user'}.\n\n"
            + "\n".join(table(results, list(ways), kind) for kind in ("cpu", "wall")) + "\n")
    print(text)
    if arguments.write:
        write(text)


if __name__ == "__main__":
    main()
