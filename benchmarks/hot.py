"""Which functions of the loader run while a program starts: for native/loader/hot.txt.

    python benchmarks/hot.py [--image REFERENCE] >native/loader/hot.txt

The kernel maps 64 KB of a file around what is wanted first, and whatever the loader's start or
the exec before it runs costs a page fault for each such chunk. So loader.lds puts the functions
of this list together. It is right for as long as nobody changes what a start does; a list that
is old costs faults and nothing else. IMAGE is one of the store (default: a copy of this machine).

Programs start others in containers with the preload library and without it (starts.c), under a
tracer that has put a breakpoint on each function of the loader; one that is reached is noted and
loses its breakpoint. What only the first program of a container runs is not counted. x86-64 only.
"""
from __future__ import annotations

import argparse
import ctypes
import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, Iterator, List, Set

from starts import SCRIPTS, WAYS, starter

from lpmx_runtime import _native
from lpmx_runtime.container import Container, Options
from lpmx_runtime.store import Store

#: Started in a container by `starts`, which is there already: what is common first.
PROGRAMS = [
    ("each start", ["/usr/bin/true"]),
    ("each command of a shell, which sets masks and actions", ["/usr/bin/env", "--ignore-signal=INT", "--block-signal=INT", "/usr/bin/true"]),
    ("each start of the host's", ["/.lpmx/host/usr/bin/true"]),
    ("a shell", ["/bin/bash", "-c", "for each in 1 2; do true; /usr/bin/true; echo $(echo word) | cat >/dev/null; done; cd /usr; pwd"]),
    ("a script", ["/script"]),
    ("a list of files", ["/bin/ls", "-l", "/", "/usr/bin"]),
]

#: linux/ptrace.h
CONT, GETREGS, SETREGS, SEIZE, GETEVENTMSG = 7, 12, 13, 0x4206, 0x4201
FORK, VFORK, CLONE, EXEC, STOP, EXITKILL = 1, 2, 3, 4, 128, 1 << 20
BREAKPOINT = 0xcc
#: user_regs_struct, and where the instruction pointer is in it
REGISTERS, POINTER = 27, 16

ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
ptrace.restype = ctypes.c_long


class Loader:
    """The text of the loader that is installed, and which functions are reached."""

    def __init__(self, path: str) -> None:
        sections = subprocess.run(["readelf", "-SW", path], stdout=subprocess.PIPE, text=True, check=True).stdout
        found = re.search(r" \.text +PROGBITS +(\w+) (\w+) (\w+)", sections)
        assert found, sections
        self.start, offset, size = (int(word, 16) for word in found.groups())
        self.text = Path(path).read_bytes()[offset:offset + size]
        symbols = subprocess.run(["nm", path], stdout=subprocess.PIPE, text=True, check=True).stdout
        #: a function, and the names of it: more than one, if the compiler found two to be the same
        self.names: Dict[int, List[str]] = {}
        for address, name in re.findall(r"^(\w+) [tT] (\S+)$", symbols, re.MULTILINE):
            if 0 <= int(address, 16) - self.start < size and not name.endswith(".cold"):
                self.names.setdefault(int(address, 16), []).append(name)
        self.reached: Set[int] = set()

    def watch(self, process: int) -> None:
        """Breakpoints on all that was not reached before, if this process has the loader."""
        if f"{self.start:x}-" not in Path(f"/proc/{process}/maps").read_text():
            return
        text = bytearray(self.text)
        for address in self.names:
            if address not in self.reached:
                text[address - self.start] = BREAKPOINT
        self._write(process, self.start, bytes(text))

    def reach(self, process: int) -> bool:
        """Whether `process` stands behind a breakpoint; it has been, and goes on."""
        registers = (ctypes.c_ulong * REGISTERS)()
        ptrace(GETREGS, process, None, registers)
        address = registers[POINTER] - 1
        if address not in self.names:
            return False
        self.reached.add(address)
        self._write(process, address, self.text[address - self.start:][:1])
        registers[POINTER] = address
        ptrace(SETREGS, process, None, registers)
        return True

    def _write(self, process: int, address: int, text: bytes) -> None:
        with open(f"/proc/{process}/mem", "r+b", buffering=0) as memory:
            os.pwrite(memory.fileno(), text, address)

    def functions(self) -> Set[str]:
        """Those reached, without what compilers add to the name of a part or a copy."""
        return {name.partition(".")[0] for address in self.reached for name in self.names[address]}


def trace(loader: Loader, argv: List[str]) -> None:
    """Runs a command; its program, and what that starts, is watched from the first fork on."""
    ready, go = os.pipe()
    first = os.fork()
    if not first:
        os.read(ready, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(argv[0], argv)
    options = 1 << FORK | 1 << VFORK | 1 << CLONE | 1 << EXEC | EXITKILL
    if ptrace(SEIZE, first, None, options) < 0:
        raise OSError(ctypes.get_errno(), "PTRACE_SEIZE")
    os.write(go, b"g")
    os.close(ready)
    os.close(go)
    forked = False
    for process, status in stops():
        if not os.WIFSTOPPED(status):
            if process == first and status:
                raise SystemExit(f"{argv}: ended with {os.waitstatus_to_exitcode(status)}")
            continue
        number, event = os.WSTOPSIG(status), status >> 16
        if event in (FORK, VFORK) and comm(process) == "starts" or event == STOP and forked or event == EXEC and forked:
            forked = True
            loader.watch(process)
        if event or number == signal.SIGTRAP and loader.reach(process):
            number = 0
        ptrace(CONT, process, None, number)


def comm(process: int) -> str:
    return Path(f"/proc/{process}/comm").read_text().strip()


def stops() -> "Iterator[tuple[int, int]]":
    while True:
        try:
            yield os.waitpid(-1, 0x40000000)  # __WALL
        except ChildProcessError:
            return


def prepare(container: Container) -> None:
    """Puts there what is started."""
    inside = container.launch(["/bin/sh", "-c", "cat >/starts && echo '#!/bin/sh' >/script && chmod 755 /starts /script"],
                              entrypoint=False)
    with tempfile.TemporaryDirectory() as directory, open(starter(directory), "rb") as source:
        subprocess.run(inside.argv, executable=inside.executable, env=inside.env, stdin=source, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="which functions of the loader a start runs")
    parser.add_argument("--image", default="host")
    arguments = parser.parse_args()
    store = Store.open()
    image = store.images.find(arguments.image)
    loader = Loader(_native.loader_path())
    containers = [Container.create(store, image, options=Options(preload=preload)) for preload in (True, False)]
    try:
        for container in containers:
            prepare(container)
        print("# What runs, the most common first: by benchmarks/hot.py, for loader/order.awk.")
        for what, program in PROGRAMS:
            before = loader.functions()
            for container in containers:
                for way in WAYS:
                    trace(loader, [str(SCRIPTS / "lpmx"), "exec", container.name, "/starts", way, "2", *program])
            print(f"\n# {what}", *sorted(loader.functions() - before), sep="\n")
    finally:
        for container in containers:
            container.remove(force=True)


if __name__ == "__main__":
    main()
