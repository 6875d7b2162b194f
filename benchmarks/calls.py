"""What one stat, open or readdir costs, and that it does not depend on the number of layers.

    python benchmarks/calls.py [--rounds N] [--no-times] [--write]

Counts are exact: strace's of a program that does the thing ten times. Each operation
that the trap catches counts twice, once as the call that is caught and once for each that
the core makes. --write puts the table into benchmarks/README.md. Times are the least of the
rounds, bare and contained interleaved; ratios are to bare. Needs gcc and strace.
"""
from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Dict, List, Optional

from lpmx_runtime import _native
from lpmx_runtime.store import Store

HERE = Path(__file__).resolve().parent
LAYERS = (2, 16, 128)
#: What is asked -> operation and path.
ROWS = {
    "stat, lower file": ("stat", "/usr/lib/deep/er/file"),
    "stat, absent": ("stat", "/usr/lib/deep/er/absent"),
    "stat, through a link": ("stat", "/lib/deep/er/file"),
    "stat, upper file": ("stat", "/new/file"),
    "stat, in a renamed directory": ("stat", "/renamed/file"),
    "stat, of a name that was renamed": ("stat", "/renamed/lock"),
    "stat, copied up": ("stat", "/usr/lib/deep/er/changed"),
    "stat, absent beside changed": ("stat", "/usr/lib/deep/er/absent2"),
    "access, lower file": ("access", "/usr/lib/deep/er/file"),
    "access, absent": ("access", "/usr/lib/deep/er/absent"),
    "access, upper file": ("access", "/new/file"),
    "readlink, lower link": ("readlink", "/lib"),
    "readlink, absent": ("readlink", "/usr/lib/deep/er/absent"),
    "readlink, no link": ("readlink", "/usr/lib/deep/er/file"),
    "open, lower file": ("open", "/usr/lib/deep/er/file"),
    "open, absent": ("open", "/usr/lib/deep/er/absent"),
    "open, upper file": ("open", "/new/file"),
    "open+fstat, lower file": ("open+fstat", "/usr/lib/deep/er/file"),
    "readdir, 100 lower names": ("readdir", "/usr/lib/deep"),
    "readdir, merged": ("readdir", "/usr/lib/deep/er"),
    "readdir, absent": ("readdir", "/usr/lib/deep/absent"),
    "opendir to closedir, lower": ("list", "/usr/lib/other"),
    "opendir to closedir, merged": ("list", "/usr/lib/deep/er"),
    "fdatasync, new file": ("fdatasync", "/new/file"),
    "fdatasync, copied up": ("fdatasync", "/usr/lib/deep/er/changed"),
}


#: How often each is done to be counted, and what strace calls a trap.
TIMES, TRAP = 10, "SIGSYS"

README = HERE / "README.md"
BEGIN, END = "<!-- calls.py writes this -->\n", "<!-- to here -->\n"


class Place:
    """A container of so many layers, and the same tree in a plain directory."""

    def __init__(self, root: Path, layers: int) -> None:
        self.root = root
        self.bare = root / "bare"
        store = Store.open(root / "store")
        diff_ids = [store.layers.add(io.BytesIO(self._tar(number, layers)))
                    for number in range(layers)]
        index = store.indexes.ensure(diff_ids)
        for part in ("upper", "work"):
            (root / part).mkdir()
        _native.control_create(root / "control")
        self.fields = [("kind", "container"), ("name", "calls"), ("directory", root),
                       ("loader", _native.loader_path()), ("upper", root / "upper"),
                       ("work", root / "work"), ("control", root / "control"), ("uid", 0),
                       ("gid", 0), *[("layer", tree) for tree in store.indexes.trees(diff_ids)],
                       ("index", index), ("bind", f"ro\0/.lpmx/bin\0{root}/bin")]
        (root / "bin").mkdir()
        self._write("view", self.fields)
        # the same for another user of the image, and with the machine's own users
        self._write("view.user", [("uid", 1000), ("gid", 1000)] + self._but("uid", "gid"))
        self._write("view.host", self._but("uid", "gid"))
        with _native.View(root / "view") as view:
            view.mkdir("/new")
            view.write("/new/file", b"x")
            view.mkdir("/old")
            view.rename("/old", "/renamed")
            view.write("/renamed/file", b"x")
            view.write("/renamed/lock", b"x")
            view.rename("/renamed/lock", "/renamed/locked")
            view.write("/renamed/lock", b"x")
            view.chmod("/usr/lib/deep/er/changed", 0o666)
        self._write("view.preload", self.fields + [
            ("preload", _native.preload_path()),
            ("bind", f"ro\0/.lpmx/lib\0{os.path.dirname(_native.preload_path())}")])
        for path in ("usr/lib/deep/er", "usr/lib/other", "new", "renamed"):
            (self.bare / path).mkdir(parents=True)
        (self.bare / "lib").symlink_to("usr/lib")
        for path in ("usr/lib/deep/er/file", "usr/lib/deep/er/changed", "new/file",
                     "renamed/file", "renamed/lock", "usr/lib/other/file"):
            (self.bare / path).write_bytes(b"x")
        for number in range(99):
            (self.bare / f"usr/lib/deep/name{number}").write_bytes(b"")

    def _but(self, *keys: str) -> List[tuple]:
        return [field for field in self.fields if field[0] not in keys]

    def _write(self, name: str, fields: List[tuple]) -> None:
        text = "lpmx-view 1\0" + "".join(f"{key}\0{value}\0" for key, value in fields)
        (self.root / name).write_bytes(os.fsencode(text))

    @staticmethod
    def _tar(number: int, layers: int) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            def add(path: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> None:
                member = tarfile.TarInfo(path)
                member.type, member.linkname, member.mode = kind, target, 0o755
                member.size = 1 if kind == tarfile.REGTYPE else 0
                tar.addfile(member, io.BytesIO(b"x") if member.size else None)

            for path in ("usr", "usr/lib", "usr/lib/deep", "usr/lib/deep/er"):
                add(path, tarfile.DIRTYPE)
            if number == 0:
                add("lib", tarfile.SYMTYPE, "usr/lib")
                add("usr/lib/deep/er/file")
                add("usr/lib/deep/er/changed")
                add("usr/lib/other", tarfile.DIRTYPE)
                add("usr/lib/other/file")
            for name in range(number, 99, layers):
                add(f"usr/lib/deep/name{name}")
        return out.getvalue()

    def build(self) -> None:
        """The two programs; the dynamic one brings its libc."""
        here = self.root / "bin"
        source = str(HERE / "calls.c")
        subprocess.run(["gcc", "-O2", "-static", "-o", str(here / "static"), source], check=True)
        subprocess.run(["gcc", "-O2", "-o", str(here / "dynamic"), source,
                        "-Wl,--dynamic-linker=/.lpmx/bin/ld.so", "-Wl,-rpath=/.lpmx/bin"], check=True)
        for library, name in (("ld-linux-x86-64.so.2", "ld.so"), ("libc.so.6", "libc.so.6")):
            found = subprocess.run(["gcc", "-print-file-name=" + library], check=True, text=True,
                                   stdout=subprocess.PIPE).stdout.strip()
            (here / name).write_bytes(Path(os.path.realpath(found)).read_bytes())
            (here / name).chmod(0o755)

    def command(self, way: str, *arguments: str) -> Dict[str, object]:
        """Arguments of subprocess for one of the ways: bare, trap, preload; user and host are
        trap for those who are not root."""
        if way == "bare":
            return {"args": [str(self.root / "bin" / "static"),
                             *(str(self.bare) + a if a.startswith("/") else a for a in arguments)]}
        name = "/.lpmx/bin/" + ("dynamic" if way == "preload" else "static")
        view = {"trap": "view"}.get(way, "view." + way)
        return {"args": [name, *arguments],
                "executable": str(_native.loader_path()),
                "env": {"LPMX_VIEW": str(self.root / view), "LPMX_PROGRAM": name, "LPMX_CWD": "/"}}

    def counted(self, way: str) -> List[float]:
        """For each of ROWS: how many calls of the kernel one operation is."""
        calls = self._traced(way)
        return [sum(name != TRAP for name in part) / TIMES for part in calls]

    def trapped(self, way: str) -> List[float]:
        """And how many of them are caught by a signal."""
        return [part.count(TRAP) / TIMES for part in self._traced(way)]

    def _traced(self, way: str) -> List[List[str]]:
        command = self.command(way, "count", str(TIMES), *(word for row in ROWS.values() for word in row))
        log = self.root / "strace"
        env = command.get("env")
        subprocess.run(["strace", "-f", "-o", str(log), "env", "-i",
                        *[f"{k}={v}" for k, v in (env or {}).items()],  # type: ignore[attr-defined]
                        *self._as(command)], check=True, stdout=subprocess.DEVNULL)
        calls = re.findall(r"^\d+ +(?:--- )?(\w+)[( ]", log.read_text(errors="replace"), re.M)
        marks = [at for at, name in enumerate(calls) if name == "getpriority"]
        assert len(marks) == 2 * len(ROWS)
        return [calls[start + 1:end] for start, end in zip(marks[::2], marks[1::2])]

    @staticmethod
    def _as(command: Dict[str, object]) -> List[str]:
        args = list(command["args"])  # type: ignore[call-overload]
        if "executable" not in command:
            return args
        # argv[0] is the program's own name, which only a shell's exec -a can give
        return ["bash", "-c", 'exec -a "$0" "$@"', args[0], str(command["executable"]), *args[1:]]

    def timed(self, way: str, operation: str, path: str, times: int) -> float:
        command = self.command(way, operation, path, str(times))
        return float(subprocess.run(**command, check=True, text=True,  # type: ignore[call-overload]
                                    stdout=subprocess.PIPE).stdout)


def place(directory: Path, layers: int) -> Place:
    """A place under `directory`, ready."""
    root = directory / str(layers)
    root.mkdir()
    made = Place(root, layers)
    made.build()
    return made


def table(places: Dict[int, Place]) -> str:
    """Calls of the kernel for each operation, as Markdown."""
    ways = [(way, layers) for way in ("trap", "preload") for layers in places]
    columns = [next(iter(places.values())).counted("bare")]
    columns += [places[layers].counted(way) for way, layers in ways]
    heads = ["", "bare", *(f"{way}, {layers} layers" for way, layers in ways)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for number, name in enumerate(ROWS):
        cells = [name, *(f"{column[number]:g}" for column in columns)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def print_times(measured: Place, rounds: int) -> None:
    print(f"\n{'time':30}{'bare ns':>9}{'trap':>8}{'preload':>9}   (ratios to bare, 16 layers)")
    for name, (operation, path) in ROWS.items():
        least: Dict[str, Optional[float]] = {}
        for _ in range(rounds):
            for way in ("bare", "trap", "preload"):
                taken = measured.timed(way, operation, path, 2000)
                least[way] = min(taken, least.get(way) or taken)
        bare = least["bare"] or 1
        print(f"{name:30}{bare:9.0f}{(least['trap'] or 0) / bare:8.2f}"
              f"{(least['preload'] or 0) / bare:9.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-times", action="store_true")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lpmx-calls-", dir="/var/tmp") as directory:
        places = {layers: place(Path(directory), layers) for layers in LAYERS}
        counts = table(places)
        print(counts, flush=True)
        if options.write:
            head, _, rest = README.read_text().partition(BEGIN)
            README.write_text(head + BEGIN + "\n" + counts + "\n" + END + rest.partition(END)[2])
        if not options.no_times:
            print_times(places[16], options.rounds)


if __name__ == "__main__":
    main()
