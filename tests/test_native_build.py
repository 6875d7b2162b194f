"""The native parts build without a warning, and are what they claim to be."""
from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Set, Tuple

import pytest

NATIVE = Path(__file__).resolve().parent.parent / "native"

#: System calls that take a path but are none of ours, and why.
LEFT_TO_THE_KERNEL = {
    # these need privileges that no_new_privs and our users do not have
    "acct", "fspick", "mount", "mount_setattr", "move_mount", "pivot_root",
    "quotactl", "swapoff", "swapon", "umount2",
    # the loader's, by a case of its own in the trap
    "execve", "execveat",
}

#: Every system call of Linux that names a file, by a path or by a directory and a path.
NAMING_CALLS = LEFT_TO_THE_KERNEL | {
    "access", "bind", "chdir", "chmod", "chown", "chroot", "connect", "creat", "faccessat",
    "faccessat2", "fanotify_mark", "fchmodat", "fchmodat2", "fchownat", "futimesat", "getcwd",
    "getxattr", "inotify_add_watch", "lchown", "lgetxattr", "link", "linkat", "listxattr",
    "llistxattr", "lremovexattr", "lsetxattr", "lstat", "mkdir", "mkdirat", "mknod", "mknodat",
    "name_to_handle_at", "newfstatat", "open", "open_by_handle_at", "open_tree", "openat",
    "openat2", "readlink", "readlinkat", "removexattr", "rename", "renameat", "renameat2",
    "rmdir", "sendmmsg", "sendmsg", "sendto", "setxattr", "stat", "statfs", "statx", "symlink",
    "symlinkat", "truncate", "unlink", "unlinkat", "uselib", "utime", "utimensat", "utimes",
}


#: Functions of glibc's that the preload library calls where it stands in for others of glibc's.
GLIBC_S = ("__realpath_chk", "__sigaction", "__strdup")

#: How a disassembler writes a register that is no general one.
VECTORS = {
    "x86_64": r"%(?:[xyz]mm\d|mm\d|st\b|k[0-7]\b)",
    "aarch64": r"[\s{,\[](?:[bhsdqvz]|p)(?:[12]?\d|3[01])\b(?!>)(?!:)",
}

#: How it writes that the stack pointer changes, that a slot is given back, and a call.
LEAVING = {
    "x86_64": (r",%rsp$", r"movq +\$0x0,(?:0x8)?\(%r(?:bx|11)\)", r"\tcall"),
    "aarch64": (r"\tmov\tsp, ", r"\tstr\txzr, \[x19, #8\]", r"\tbl\t"),
}


def output(*command: object) -> str:
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE,
                          text=True).stdout


class Built(NamedTuple):
    """The native parts as one compiler makes them, and the tools for that machine."""

    directory: Path
    prefix: str

    def __truediv__(self, name: str) -> Path:
        return self.directory / name

    def tool(self, name: str, *arguments: object) -> str:
        return output(self.prefix + name, *arguments)

    @property
    def machine(self) -> str:
        return "aarch64" if self.prefix.startswith("aarch64") else platform.machine()


@pytest.fixture(scope="module", params=["gcc", "clang", "aarch64-linux-gnu-gcc"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The native parts, made with each compiler; a warning is an error."""
    compiler = request.param
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    build = tmp_path_factory.mktemp(compiler)
    done = subprocess.run(
        ["make", "-C", str(NATIVE), f"CC={compiler}", f"BUILD={build}", "CFLAGS=-Werror", "-j2"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert 0 == done.returncode, done.stdout
    return Built(build, compiler.rpartition("-")[0] + "-" if "-" in compiler else "")


def test_builds_without_a_warning(built: Built) -> None:
    """Loader, library, contained command and front come out of gcc and of clang, and for aarch64."""
    assert {"loader", "preload.so", "lpmx", "front"} <= {path.name for path in built.directory.iterdir()}


def test_what_make_is_told_is_not_told_to_the_make_of_native(tmp_path: Path) -> None:
    """`make fuzz TARGETS=layer` builds the wheel first, if that is not there."""
    make = tmp_path / "make"
    make.write_text("#!/bin/sh\nprintf '%s' \"asked with <$MAKEFLAGS>\"\n")
    make.chmod(0o755)
    code = ("import runpy, setuptools; setuptools.setup = lambda **options: None; "
            "runpy.run_path('setup.py')['make_native']()")

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=NATIVE.parent, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "MAKEFLAGS": " -- TARGETS=layer"})

    assert (0, "asked with <>") == (done.returncode, done.stdout)


@pytest.mark.parametrize("program", ["loader", "lpmx", "front"])
def test_program_needs_nothing(built: Built, program: str) -> None:
    """No interpreter, no library, no thread-local storage, no symbol from elsewhere."""
    headers = built.tool("readelf", "-lW", built / program)
    undefined = built.tool("nm", "-u", built / program)

    assert "" == undefined
    assert not re.search(r"^\s*(INTERP|DYNAMIC|TLS)\b", headers, re.MULTILINE)


def test_loader_text_lies_in_the_window_and_nothing_else_does(built: Built) -> None:
    """The filter exempts the window, so only our instructions may be in it."""
    start, size = (int(output(f"{built.prefix}gcc", "-dM", "-E", NATIVE / "include" / "lpmx_abi.h")
                       .partition(f"#define {name} ")[2].split("ul")[0], 16)
                   for name in ("LPMX_WINDOW", "LPMX_WINDOW_SIZE"))
    segments = [(int(address, 16), int(length, 16), flags.strip()) for address, length, flags in
                re.findall(r"LOAD\s+\S+ (0x\w+) 0x\w+ 0x\w+ (0x\w+) (.{3})",
                           built.tool("readelf", "-lW", built / "loader"))]

    sections = [(name, int(address, 16), int(length, 16)) for name, address, length in re.findall(
        r"\] (\S+) +\S+ +(\w{16}) \w+ (\w+) \w\w +W?A", built.tool("readelf", "-SW", built / "loader"))]

    inside = [flags for address, length, flags in segments
              if address < start + size and address + length > start]
    named = [name for name, address, length in sections
             if address < start + size and address + length > start]

    assert ["R E"] == inside and [".text"] == named
    assert {".text", ".rodata", ".bss"} <= {name for name, *_ in sections}
    assert len(segments) > 1
    assert not [flags for *_, flags in segments if "W" in flags and "E" in flags]


def test_loader_is_two_parts_of_which_one_is_zero(built: Built) -> None:
    """Each part costs each start, fork and exit; the first stack has read-only memory below it."""
    segments = [[int(number, 16) for number in numbers] for *numbers, _ in re.findall(
        r"LOAD\s+\S+ (0x\w+) 0x\w+ (0x\w+) (0x\w+) (.{3})", built.tool("readelf", "-lW", built / "loader"))]
    found = sorted((int(address, 16), int(size, 16), name) for address, size, name in re.findall(
        r"^(\w+) (\w+) [bB] (\S+)$", built.tool("nm", "-S", built / "loader"), re.MULTILINE))

    (text, in_file, in_memory), (data, of_data, _) = segments
    task, = (address for address, _, name in found if name == "trap_task")
    # of the task what each call reads, and the first of a program's own variables
    small = [address for address, size, _ in found if size <= 512] + [task, task + 512]

    assert in_file == in_memory and 0 == of_data
    assert 0 < data - (text + in_memory) < 4096
    assert (data, "trap_first_chunk") == (found[0][0], found[0][2])
    assert (4096, "trap_wiped") == found[-1][1:]
    assert max(small) // 4096 == min(small) // 4096


def hot() -> List[List[str]]:
    """Of hot.txt: the functions that run, by what runs them, the most common first."""
    parts = (NATIVE / "loader" / "hot.txt").read_text().split("\n\n")[1:]
    return [[name for name in part.split("\n") if name and not name.startswith("#")] for part in parts]


def test_what_is_said_to_run_at_each_start_is_there() -> None:
    """A function that has another name by now would be far from the others."""
    source = "".join(path.read_text() for directory in ("core", "trap", "loader")
                     for path in sorted((NATIVE / directory).glob("*.[cS]")))
    names = [name for part in hot() for name in part]

    assert len(names) == len(set(names)) > 100
    assert [] == [name for name in names if not re.search(
        rf"^(?:\w.*[ *])?{name}(?:\([^;]*$|:$)", source, re.MULTILINE)]


def test_what_each_start_runs_and_reads_is_mapped_at_once(built: Built) -> None:
    """By one page fault, which maps 64 KB: what each start runs, and the constants but for messages."""
    sections = {name: int(address, 16) for name, address in re.findall(
        r"\] (\S+) +\S+ +(\w{16}) ", built.tool("readelf", "-SW", built / "loader"))}
    symbols = [(int(address, 16), int(size, 16), kind, name) for address, size, kind, name in re.findall(
        r"^(\w+) (\w+) ([a-zA-Z]) (\S+)$", built.tool("nm", "-S", built / "loader"), re.MULTILINE)]
    chunk = sections[".rodata"] // 65536
    own, host, *_ = hot()
    each_start = {*own} if "clang" in built.directory.name else {*own, *host}  # clang's are larger

    places = {name: (address // 65536, (address + size - 1) // 65536) for address, size, kind, name in symbols
              if kind in "tT" and name.partition(".")[0] in each_start and not name.endswith(".cold")}
    table, = (address for address, _, _, name in symbols if name == "calls")

    assert len(places) > 90
    assert {} == {name: place for name, place in places.items() if place != (chunk, chunk)}
    assert sections[".data.rel.ro"] // 65536 == chunk == (table + 300 * 24) // 65536


def test_loader_touches_no_vector_register(built: Built) -> None:
    """The trap runs between two instructions of a program that may hold data in any of them."""
    code = built.tool("objdump", "-d", "--no-show-raw-insn", built / "loader")
    touching = [line for line in code.splitlines()
                if re.search(VECTORS[built.machine], line)]

    assert len(code.splitlines()) > 5000
    assert [] == touching


@pytest.mark.parametrize("function", ["trap_call", "trap_signal_entry"])
def test_stack_of_a_slot_is_left_before_the_slot_is_given_back(built: Built, function: str) -> None:
    """A signal between the two would run its handler on a stack that another thread may take."""
    left, given_back, called = LEAVING[built.machine]
    code = built.tool("objdump", "-d", "--no-show-raw-insn", built / "loader").partition(
        f"<{function}>:\n")[2].partition("\n\n")[0]
    before, first, _ = re.split(rf"({given_back})", code, maxsplit=1)

    assert re.search(left, re.split(called, before)[-1], re.MULTILINE), f"{first} comes too early"


def test_library_asks_no_libc_for_anything_by_version(built: Built) -> None:
    """It loads into images with any C library, older or newer than this host's."""
    library = built / "preload.so"
    undefined = {tuple(line.split()) for line in built.tool("nm", "-uD", library).splitlines()}

    assert undefined <= {("w", name) for name in ("__errno_location", "environ", "__open64", "pthread_testcancel", *GLIBC_S)}
    assert "Version needs" not in built.tool("readelf", "-VW", library)
    assert "NEEDED" not in built.tool("readelf", "-dW", library)


def test_what_only_glibc_has_is_looked_up_when_it_is_called(built: Built) -> None:
    """No start pays for it, and where there is none of it, the program starts all the same."""
    relocations = built.tool("readelf", "-rW", built / "preload.so").splitlines()
    by_name = {name: [line for line in relocations if f" {name} + " in line] for name in GLIBC_S}

    assert all(len(lines) == 1 and "_JUMP_SL" in lines[0] for lines in by_name.values()), by_name
    assert "BIND_NOW" not in built.tool("readelf", "-dW", built / "preload.so")


def test_what_needs_glibc_has_its_version_and_is_not_the_default_of_it(built: Built) -> None:
    """A program for another libc, which asks for names without a version, keeps its own."""
    symbols = built.tool("nm", "-D", "--defined-only", "--with-symbol-versions", built / "preload.so")
    versioned = {line.split()[2] for line in symbols.splitlines() if "@" in line}
    first, of_realpath = ("2.17", "2.17") if built.machine == "aarch64" else ("2.2.5", "2.3")

    assert versioned == {f"sigaction@GLIBC_{first}", f"realpath@GLIBC_{of_realpath}"}


def listed() -> Tuple[Set[str], List[str]]:
    """Of calls.list: the functions wrapped, and the patterns left alone."""
    wrapped, _, left = (NATIVE / "preload" / "calls.list").read_text().partition(
        "# left alone on purpose")
    names: Set[str] = set()
    for line in wrapped.splitlines():
        if line and line[0] not in "# ":
            names |= set(re.split(r"\s{2,}", line)[0].split())
    patterns = [word for line in left.splitlines() if line.startswith("# ")
                for word in re.split(r"\s{2,}", line[2:])[0].split()]
    return names, patterns


def exported(built: Built) -> Set[str]:
    symbols = built.tool("nm", "-D", "--defined-only", built / "preload.so")
    return {line.split()[2].partition("@")[0] for line in symbols.splitlines() if line.split()[1] != "A"}


def test_library_exports_what_its_list_says(built: Built) -> None:
    """A wrapper without a reason, or a reason without a wrapper, is a mistake."""
    wrapped, left = listed()
    found = exported(built)

    assert wrapped == found
    assert left and not [name for name in found for pattern in left
                         if re.fullmatch(pattern.replace("*", ".*"), name)]


def numbers(compiler: str) -> Dict[str, int]:
    """The kernel's own names and numbers."""
    text = output(compiler, "-E", "-dM", "-include", "asm/unistd.h", "-xc", "/dev/null")
    return {name: int(value) for name, value in re.findall(r"#define __NR_(\w+) (\d+)", text)}


@pytest.mark.parametrize("compiler,at_least", [("gcc", 60), ("aarch64-linux-gnu-gcc", 40)])
def test_every_call_that_names_a_file_is_in_the_table(compiler: str, at_least: int) -> None:
    """What is not in core/calls.c never reaches the core, so a path would be the host's."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    table = (NATIVE / "core" / "calls.c").read_text()
    known = numbers(compiler)
    by_name = {known[name] for name in re.findall(r"NR\((\w+), call_\w+,", table)
               if name in known}
    handled = by_name | {int(number) for number in re.findall(r"\[(\d+)\] = ", table)}

    missing = {name for name in NAMING_CALLS - LEFT_TO_THE_KERNEL
               if name in known and known[name] not in handled}

    assert set() == missing
    assert len(NAMING_CALLS & set(known)) > at_least
