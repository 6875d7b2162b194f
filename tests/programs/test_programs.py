"""Programs behave inside a view as they do outside.

Each C file in this directory is compiled once with each kind of linking, run
bare, in a host view (everything trapped, nothing translated), in a container
view whose only layer is this machine's own root, and in the same with the
preload library; it must print the same.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import pytest

HERE = Path(__file__).parent
NATIVE = HERE.parent.parent / "native"

LINKINGS: Dict[str, List[str]] = {
    "dynamic": ["gcc"],
    "static": ["gcc", "-static"],
    "static-pie": ["gcc", "-static-pie"],
    "fixed-address": ["gcc", "-no-pie"],
    "musl": ["musl-gcc"],
    "musl-static": ["musl-gcc", "-static"],
}

PROGRAMS = [
    ("sigsys", ["dynamic", "static", "musl-static"]),
    ("actions", ["dynamic", "static", "fixed-address"]),
    ("waits", ["dynamic", "musl-static"]),
    ("interrupted", ["dynamic", "static", "musl"]),
    ("spawn", ["dynamic", "static", "musl"]),
    ("spawnattr", ["dynamic", "musl-static"]),
    ("raw", ["dynamic", "musl-static"]),
    ("vectors", ["dynamic", "musl-static"]),
    ("threads", ["dynamic", "static", "musl"]),
    ("stress", ["dynamic", "musl-static"]),
    ("altstack", ["dynamic", "musl-static"]),
    ("edge", ["dynamic", "musl-static"]),
    ("ownfilter", ["dynamic", "musl-static"]),
    ("wild", ["dynamic", "musl-static"]),
    ("arguments", ["dynamic", "musl-static"]),
    ("identity", list(LINKINGS)),
    ("memfd", ["dynamic", "musl-static"]),
    ("comm", ["dynamic", "musl-static"]),
    ("tracing", ["dynamic"]),
    ("cancel", ["dynamic", "static"]),
    ("deep", ["dynamic", "musl-static"]),
    ("title", ["dynamic", "musl-static"]),
    ("sites", ["dynamic", "static"]),
    ("onstack", ["dynamic", "static", "musl"]),
    ("streams", ["dynamic", "static", "musl"]),
]

VIEWS = ["host", "container", "preload"]
#: By the trap alone, and each call site rewritten when it has trapped a second time.
REWRITTEN = "rewritten"


class Bench:
    """A directory with the programs' data, and ways to run a program in it."""

    def __init__(self, root: Path, loader: Path) -> None:
        self.root = root
        self.loader = loader
        self.work = root / "data"
        self.built = root / "built"
        self.built.mkdir()
        self.work.mkdir()
        (self.work / "present").write_text("hello\n")
        (self.work / "junk").write_bytes(b"\x01\x02\x03 not a program\n")
        (self.work / "junk").chmod(0o755)
        self.script("orphan", "#!/nonexistent/interpreter\n")
        self.script("script", "#!/bin/echo the first\n")
        self.script("chain1", "#!/bin/echo   one  argument \nx\n")
        os.symlink("present", self.work / "link")

    def script(self, name: str, text: str) -> Path:
        """An executable text file in the working directory."""
        path = self.work / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def program(self, name: str, linking: str) -> Path:
        """The compiled program, made on first use."""
        path = self.built / (name + "." + linking)
        if not path.exists():
            command = LINKINGS[linking]
            if shutil.which(command[0]) is None:
                pytest.skip("%s is not installed" % command[0])
            if linking.startswith("musl"):
                headers = self._kernel_headers()
                command = command + ["-idirafter", str(headers)]
            subprocess.run(
                command
                + ["-D_GNU_SOURCE", "-O1", "-w", "-pthread", "-o", str(path), str(HERE / (name + ".c"))],
                check=True,
            )
        return path

    def _kernel_headers(self) -> Path:
        """musl's compiler does not see the kernel's headers; glibc's must stay unseen."""
        headers = self.root / "headers"
        if not headers.exists():
            headers.mkdir()
            machine = subprocess.run(
                ["gcc", "-print-multiarch"], check=True, stdout=subprocess.PIPE, text=True
            ).stdout.strip()
            os.symlink("/usr/include/linux", headers / "linux")
            os.symlink("/usr/include/asm-generic", headers / "asm-generic")
            os.symlink("/usr/include/%s/asm" % machine, headers / "asm")
        return headers

    def view(self, kind: str) -> Path:
        """The view file of one of VIEWS; a container gets a fresh upper."""
        directory = Path(str(self.root / kind))
        path = directory / "view"
        if path.exists():
            return path
        fields = [
            ("kind", "host" if kind == "host" else "container"),
            ("name", "bench"),
            ("directory", str(directory)),
            ("loader", str(self.loader)),
        ]
        (directory / "upper").mkdir(parents=True)
        (directory / "work").mkdir()
        if kind != "host":
            fields += [
                ("layer", "/"),
                ("upper", str(directory / "upper")),
                ("work", str(directory / "work")),
                ("hostview", str(self.view("host"))),
            ]
            fields += [("bind", "rw\0%s\0%s" % (at, at)) for at in ("/proc", "/dev", "/sys")]
            library = directory / "lib"
            library.mkdir()
            for name in ("preload.so", "gdbinit"):
                shutil.copy(str(self.loader.parent / name), str(library))
            fields += [("bind", "ro\0/.lpmx/lib\0%s" % library)]
        if kind == "preload":
            fields += [("preload", str(library / "preload.so"))]
        data = "lpmx-view 1\0" + "".join("%s\0%s\0" % field for field in fields)
        path.write_bytes(data.encode())
        return path

    def run(
        self,
        argv: Sequence[str],
        view: Optional[str] = None,
        prefix: Sequence[str] = (),
        **variables: str
    ) -> subprocess.CompletedProcess:
        """Run `argv` bare, or in a view; what it printed and its exit code."""
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C"}
        environment.update(variables)
        executable = None
        if view is not None:
            environment["LPMX_VIEW"] = str(self.view(view))
            environment["LPMX_PROGRAM"] = argv[0]
            if view == REWRITTEN:
                environment["LPMX_REWRITE"] = "2"
            executable = str(self.loader)
        if prefix:
            # a shell that sets something up and then starts the program
            script = " ".join(prefix) + '; exec "$0" "$@"'
            argv = ["/bin/sh", "-c", script] + list(argv)
            if view is not None:
                environment["LPMX_PROGRAM"] = "/bin/sh"
        return subprocess.run(
            list(argv),
            executable=executable,
            cwd=str(self.work),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=120,
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One working directory and one loader for all tests of this file."""
    given = os.environ.get("LPMX_TEST_LOADER")
    if given is None:
        subprocess.run(["make", "-s", "-C", str(NATIVE)], check=True)
        given = str(NATIVE / "build" / "loader")
    return Bench(tmp_path_factory.mktemp("programs"), Path(given))


def comparable(text: str) -> str:
    """Output without what differs between any two runs."""
    return re.sub(r"/proc/\d+/", "/proc/PID/", text)


CASES = [(name, linking) for name, linkings in PROGRAMS for linking in linkings]

#: A filter that kills who calls ptrace would make both runs die alike.
MARKS = {"tracing": [pytest.mark.unconfined]}


@pytest.mark.parametrize("view", [*VIEWS, REWRITTEN])
@pytest.mark.parametrize(
    "name,linking",
    [pytest.param(*case, id="-".join(case), marks=MARKS.get(case[0], [])) for case in CASES],
)
def test_program_prints_what_it_prints_outside(
    bench: Bench, name: str, linking: str, view: str
) -> None:
    """A program cannot tell a view from the machine it runs on."""
    program = str(bench.program(name, linking))

    bare = bench.run([program, "one", "two"] if name == "identity" else [program])
    contained = bench.run([program, "one", "two"] if name == "identity" else [program], view)

    assert (bare.returncode, comparable(bare.stdout)) == (
        contained.returncode,
        comparable(contained.stdout),
    )
    assert bare.stdout


@pytest.mark.parametrize("linking", ["dynamic", "static"])
def test_call_sites_become_jumps_only_where_that_is_asked_for(bench: Bench, linking: str) -> None:
    """Those that trapped while there was one thread; else nothing of the program is changed."""
    program = str(bench.program("sites", linking))

    told = [bench.run([program, "count"], view).stdout.splitlines()[-1]
            for view in ("container", REWRITTEN)]

    assert ["jumps: 0 0 0 0, 0 in a thread", "jumps: 1 1 1 1, 0 in a thread"] == told


@pytest.mark.parametrize("view, kind", [
    ("container", 2748), (REWRITTEN, 2749 if platform.machine() == "x86_64" else 2748)])
def test_filters_of_programs_are_trapped_only_where_sites_are_rewritten(
    bench: Bench, view: str, kind: int
) -> None:
    """Elsewhere nobody needs to know of them; ours says itself which it is (lpmx_abi.h)."""
    code = ("import ctypes; c = ctypes.CDLL(None, use_errno=True); "
            "c.syscall(ctypes.c_long(0x4c59)); print(ctypes.get_errno())")

    contained = bench.run(["/usr/bin/python3", "-c", code], view)

    assert f"{kind}\n" == contained.stdout


@pytest.mark.parametrize("view", VIEWS)
def test_what_a_program_does_with_preload_variables_is_its_own(bench: Bench, view: str) -> None:
    """It sets, clears and empties them, or all of its environment: files are the view's, and
    libraries it wants loaded are."""
    library = bench.built / "mine.so"
    if not library.exists():
        subprocess.run(["gcc", "-shared", "-fPIC", "-nostdlib", "-o", str(library), "-xc", "-"],
                       input=MINE, text=True, check=True)
    script = (
        "cat present; LD_PRELOAD=%(mine)s cat present; LD_PRELOAD= cat present; "
        "env -u LD_PRELOAD cat present; env -i /bin/cat present; env -i LD_PRELOAD=%(mine)s /usr/bin/env; "
        "LD_PRELOAD=%(mine)s LD_LIBRARY_PATH=/nonexistent sh -c 'cat present; env | grep ^LD_ | sort'; "
        "LD_LIBRARY_PATH=%(built)s LD_PRELOAD=mine.so cat present; LD_PRELOAD=/absent.so cat present"
    ) % {"mine": library, "built": bench.built}

    bare, contained = bench.run(["/bin/sh", "-c", script]), bench.run(["/bin/sh", "-c", script], view)

    assert 7 <= bare.stdout.splitlines().count("mine")
    assert bare.stdout == contained.stdout


#: Stands in for readdir, and itself reads a directory by the functions that come after it.
STANDS_IN = """
#include <dirent.h>
#include <dlfcn.h>
#include <unistd.h>

struct dirent *readdir(DIR *stream)
{
	write(1, "mine\\n", 5);
	return ((struct dirent *(*)(DIR *))dlsym(RTLD_NEXT, "readdir"))(stream);
}

__attribute__((constructor)) static void list(void)
{
	struct dirent *(*next)(DIR *) = dlsym(RTLD_NEXT, "readdir");
	DIR *stream = opendir("listed");
	int names = 0;

	while (stream && next(stream))
		names++;
	write(1, &"0123456789"[names], 1);
	write(1, "\\n", 1);
}
"""
#: Reads a directory, whose three names readdir tells, and the end.
READS = """
#include <dirent.h>

int main(void)
{
	DIR *stream = opendir("listed");

	while (readdir(stream))
		;
	return closedir(stream);
}
"""


@pytest.mark.parametrize("view", VIEWS)
def test_library_of_the_users_stands_in_for_functions_of_libc(bench: Bench, view: str) -> None:
    """As outside: it is asked first, and what comes after it gives the container's answers."""
    library, program = bench.built / "stands-in.so", bench.built / "reads"
    if not library.exists():
        (bench.work / "listed").mkdir()
        (bench.work / "listed" / "name").touch()
        for text, output, *options in ((STANDS_IN, library, "-shared", "-fPIC", "-ldl"), (READS, program)):
            subprocess.run(["gcc", "-D_GNU_SOURCE", "-xc", "-", "-o", str(output), *options],
                           input=text, text=True, check=True)
    script = f"LD_PRELOAD={library} {program}"

    bare, contained = bench.run(["/bin/sh", "-c", script]), bench.run(["/bin/sh", "-c", script], view)

    assert "3\n" + 4 * "mine\n" == bare.stdout == contained.stdout


@pytest.mark.parametrize("view", ["container", "preload"])
def test_preload_library_is_there_whatever_is_said(bench: Bench, view: str) -> None:
    """Neither `env -i` nor a list of its own leaves a program without it."""
    script = ("for each in '-i' '-u LD_PRELOAD' 'LD_PRELOAD=/absent.so'; do "
              "env $each /bin/grep -c '/preload.so$' /proc/self/maps 2>/dev/null; done")

    contained = bench.run(["/bin/sh", "-c", script], view)

    counts = [int(line) > 0 for line in contained.stdout.split()]
    assert 3 * [view == "preload"] == counts


@pytest.mark.parametrize("view", VIEWS)
def test_outside_a_process_has_its_own_name(bench: Bench, view: str) -> None:
    """ps, pgrep and pidof of the host find a contained program by name and arguments."""
    environment = {**os.environ, "LPMX_VIEW": str(bench.view(view)), "LPMX_PROGRAM": "sleep"}
    with subprocess.Popen(["sleep", "54321"], executable=str(bench.loader), env=environment) as process:
        try:
            shown = [Path("/proc/%d/%s" % (process.pid, name)) for name in ("comm", "cmdline")]
            deadline = time.monotonic() + 60
            while shown[0].read_text() != "sleep\n" and time.monotonic() < deadline:
                time.sleep(0.01)
            assert ["sleep\n", "sleep\x0054321\x00"] == [path.read_text() for path in shown]
        finally:
            process.kill()


#: Each way to execute a file; argv[1] is a program for 32-bit x86.
DOORS = r"""
import ctypes, os, sys
name = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
vector = (ctypes.c_char_p * 2)(b"x", None)
script = os.path.abspath("by-32-bit")
with open(script, "w") as file:
    file.write("#!" + os.path.abspath(name) + "\n")
os.chmod(script, 0o755)
memory = os.memfd_create("program")
with open(name, "rb") as file:
    os.write(memory, file.read())

def execveat(directory, path, flags):
    number = ctypes.c_long({"x86_64": 322, "aarch64": 281}[os.uname().machine])
    libc.syscall(number, directory, path, vector, vector, flags)
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

here, opened, empty = os.open(".", os.O_PATH), os.open(name, os.O_RDONLY), 0x1000
for what, way in (
    ("execve", lambda: os.execv(name, ["x"])), ("fexecve", lambda: os.execve(opened, ["x"], {})),
    ("of memory", lambda: os.execve(memory, ["x"], {})), ("a script's", lambda: os.execv(script, ["x"])),
    ("execveat", lambda: execveat(here, name.encode(), 0)), ("by none", lambda: execveat(opened, b"", empty)),
    ("posix_spawn", lambda: os.posix_spawn(name, ["x"], {})),
    ("spawned script", lambda: os.posix_spawn(script, ["x"], {}))):
    try:
        way()
        print(what, "works")
    except OSError as error:
        print(what, error.strerror)
"""


@pytest.mark.parametrize("view", ["container", "preload"])
def test_a_32_bit_program_is_refused_by_every_door(bench: Bench, view: str) -> None:
    """It is the error that a kernel without 32-bit programs gives, also where it is a script's
    interpreter; no door leads to the kernel, which would run it untranslated."""
    header = bytearray(Path("/bin/true").read_bytes()[:1024])
    header[4], header[18:20] = 1, (3).to_bytes(2, "little")
    path = bench.work / "thirtytwo"
    path.write_bytes(header)
    path.chmod(0o755)

    contained = bench.run(["/usr/bin/python3", "-c", DOORS, "thirtytwo"], view)

    lines = contained.stdout.splitlines()
    assert 8 == len(lines)
    assert {"Exec format error"} == {line[-17:] for line in lines}, lines


@pytest.mark.parametrize("view", VIEWS)
def test_set_user_id_program_runs(bench: Bench, view: str) -> None:
    """Without its owner's rights: the kernel says so itself, by no_new_privs."""
    program = next(path for path in ("/usr/bin/su", "/bin/su") if Path(path).stat().st_mode & 0o4000)

    bare, contained = bench.run([program, "--version"]), bench.run([program, "--version"], view)
    status = bench.run(["/bin/grep", "NoNewPrivs", "/proc/self/status"], view)

    assert (bare.returncode, bare.stdout) == (contained.returncode, contained.stdout)
    assert "NoNewPrivs:\t1\n" == status.stdout


def test_view_without_proc(bench: Bench) -> None:
    """Programs run, find their files and start others where nobody has mounted /proc."""
    directory = bench.root / "without-proc"
    layer = directory / "layer"
    (layer / "bin").mkdir(parents=True)
    (layer / "file").write_text("hello\n")
    for part in ("upper", "work"):
        (directory / part).mkdir()
    shutil.copy("/bin/busybox", str(layer / "bin"))
    fields = {"kind": "container", "name": "bench", "directory": directory, "loader": bench.loader,
              "layer": layer, "upper": directory / "upper", "work": directory / "work"}
    view = directory / "view"
    view.write_bytes(b"lpmx-view 1\0" + b"".join(
        b"%s\0%s\0" % (key.encode(), os.fsencode(value)) for key, value in fields.items()))
    script = ("cd /; busybox pwd; busybox cat file; echo new >other; (busybox cat other); "
              "busybox ls /; busybox mv other third; exec busybox cat third")

    done = subprocess.run(
        ["busybox", "sh", "-c", script], executable=str(bench.loader), cwd="/", text=True,
        env={"LPMX_VIEW": str(view), "LPMX_PROGRAM": "/bin/busybox", "PATH": "/bin"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    assert "/\nhello\nnew\nbin\nfile\nother\nnew\n" == done.stdout


@pytest.mark.unconfined
@pytest.mark.parametrize(
    "view,linking",
    [("container", "dynamic"), ("container", "fixed-address"), ("container", "static-pie"),
     ("preload", "dynamic"), ("host", "dynamic")],
)
def test_debugger_stops_at_a_breakpoint(bench: Bench, view: str, linking: str) -> None:
    """gdb finds where a program begins, and is not stopped by calls on their way to the core."""
    program = str(bench.program("debugged", linking))
    argv = ["gdb", "-nx", "-batch", "-ex", "break twice", "-ex", "run", "-ex",
            'printf "of %d\\n", $rdi', "-ex", "finish", "-ex", "continue", program]

    bare, contained = bench.run(argv), bench.run(argv, view)

    def told(text: str) -> str:
        return re.sub(r"process \d+|0x[0-9a-f]{16}", "...", text)

    assert "of 21\n" in bare.stdout and "exited normally" in bare.stdout
    assert told(bare.stdout) == told(contained.stdout)


#: A library that tells when it is loaded, with nothing of the C library.
MINE = """
__attribute__((constructor)) static void f(void)
{
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(1), "D"(2), "S"("mine\\n"), "d"(5) : "rcx", "r11", "memory");
}
"""

ENTRY = """version 2, size 40
open 1, read 5
absent -2
wild -14
stat 0, size 6
registers kept 1
interrupted -4
handlers 1
name 6 bench
host path of /usr/bin /usr/bin
too small 34
unknown operation 1
"""


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("linking", ["dynamic", "static", "musl-static"])
def test_entry_for_libraries_makes_calls_as_the_trap_does(
    bench: Bench, linking: str, view: str
) -> None:
    """A library may call the core's entry instead of making a system call."""
    program = str(bench.program("entry", linking))

    contained = bench.run([program], view)

    assert ENTRY == contained.stdout


ABSENT = """io_uring: 38
clone3: 38
landlock: 95
landlock's version: 95
shadow stacks: 95
audit: 93
a call that is none: 38
"""


@pytest.mark.parametrize("view", VIEWS)
def test_calls_that_would_reach_past_the_view_are_not_there(bench: Bench, view: str) -> None:
    """As of a kernel without them, for which every program has another way."""
    contained = bench.run([str(bench.program("absent", "dynamic"))], view)

    assert ABSENT == contained.stdout


@pytest.mark.parametrize("view", VIEWS)
def test_alternate_stack_too_small_for_a_frame_still_works(bench: Bench, view: str) -> None:
    """An alternate stack of 2048 bytes does not kill a program that opens files."""
    program = str(bench.program("smallstack", "dynamic"))

    contained = bench.run([program], view)

    assert "accepted: 0\nopen: 0\nopen: 0\nopen: 0\n" == contained.stdout


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("linking", ["dynamic", "static"])
def test_unlimited_stack_and_no_address_randomization(
    bench: Bench, view: str, linking: str
) -> None:
    """Programs run where the stack has no limit and addresses are fixed."""
    program = str(bench.program("identity", linking))

    for prefix in (["ulimit -s unlimited"], ["ulimit -s 256"]):
        bare = bench.run([program, "x"], prefix=prefix)
        contained = bench.run([program, "x"], view, prefix=prefix)
        assert bare.stdout == contained.stdout
    bare = bench.run(["/usr/bin/setarch", "-R", program, "x"])
    contained = bench.run(["/usr/bin/setarch", "-R", program, "x"], view)
    assert bare.stdout == contained.stdout


PARTS = """
#include <stdio.h>
#include <string.h>

char zero[100000], some[] = "some";
int main(int argc, char **argv)
{
	char line[5000];
	FILE *maps = fopen("/proc/self/maps", "r");

	for (unsigned i = 0; i < sizeof(zero); i++)
		if (zero[i])
			return 1;
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, argv[1]))
			puts(line);
	return 0;
}
"""


def parts(shown: str) -> List[str]:
    """Of lines of /proc/PID/maps: length, rights and place in the file; and what is between two."""
    found, end = [], 0
    for line in shown.splitlines():
        if "-" in line:
            place, rights, offset = line.split()[:3]
            start, behind = (int(number, 16) for number in place.split("-"))
            found.append(f"{start - end if end else 0:x} {behind - start:x} {rights} {offset}")
            end = behind
    return found


@pytest.mark.parametrize("interpreter", [False, True], ids=["program", "interpreter"])
@pytest.mark.parametrize("alignment", [0x1000, 0x10000, 0x200000])
def test_parts_of_a_program_lie_as_the_kernel_puts_them(bench: Bench, alignment: int,
                                                        interpreter: bool) -> None:
    """With nothing between them, and aligned as the program says, whatever is in the way."""
    source, program = bench.built / "parts.c", bench.built / f"parts-{alignment:x}-{interpreter}"
    source.write_text(PARTS)
    words = ["gcc", "-o", program, source]
    if interpreter:
        plain = subprocess.run(["readelf", "-lW", "/bin/sh"], check=True, stdout=subprocess.PIPE,
                               text=True).stdout
        linker = re.search(r"interpreter: (.*)\]", plain)
        assert linker
        file = bytearray(Path(linker[1]).read_bytes())
        for at in range(64, 64 + 56 * file[56], 56):
            if file[at] == 1:  # PT_LOAD
                file[at + 48:at + 56] = alignment.to_bytes(8, "little")
        shown = bench.built / f"ld-{alignment:x}.so"
        shown.write_bytes(file)
        shown.chmod(0o755)
        words += [f"-Wl,--dynamic-linker={shown}"]
    else:
        shown = program
        words += [f"-Wl,-z,max-page-size={alignment}"]
    subprocess.run(words, check=True)

    bare = bench.run([str(program), str(shown)])
    for limit in ["ulimit -s 8192", "ulimit -s unlimited"]:
        for _ in range(20):
            contained = bench.run([str(program), str(shown)], "container", prefix=[limit])
            assert parts(bare.stdout) == parts(contained.stdout)
            assert not int(contained.stdout.split("-")[0], 16) % alignment

    assert len(parts(bare.stdout)) > 3


@pytest.mark.skipif(platform.machine() != "x86_64", reason="it is written in x86-64's instructions")
@pytest.mark.parametrize("kind", [2, 3], ids=["fixed", "anywhere"])
def test_of_a_page_that_two_parts_have_the_second_has_it(bench: Bench, kind: int) -> None:
    """As the kernel maps them, one over the other."""
    base = 0x400000 if kind == 2 else 0
    code = bytes.fromhex(
        "c605 79020000 21"   # movb $'!', its text
        "c605 72110000 01"   # movb $1, what is zero
        "488d35 6b020000"    # lea its text, %rsi
        "bf01000000 ba02000000 b801000000 0f05"  # write(1, text, 2)
        "31ff b8e7000000 0f05")                   # exit_group(0)
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", kind, 62, 1, base + 0x1080, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    first = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, 0x1300, 0x1300, 0x1000)
    second = struct.pack("<IIQQQQQQ", 1, 7, 0x1300, base + 0x1300, base + 0x1300, 0x10, 0x1000, 0x1000)
    program = bench.built / f"shared-{kind}"
    program.write_bytes((header + first + second).ljust(0x1080, b"\0") + code.ljust(0x280, b"\0")
                        + b".\n".ljust(0x10, b"\0"))
    program.chmod(0o755)

    assert "!\n" == bench.run([str(program)]).stdout
    assert "!\n" == bench.run([str(program)], "container").stdout


@pytest.mark.parametrize("view", VIEWS)
def test_scripts_follow_the_rules_of_the_kernel(bench: Bench, view: str) -> None:
    """Interpreter arguments, chains of five scripts and their limit are the kernel's."""
    for n in range(2, 8):
        bench.script("chain%d" % n, "#! %s/chain%d\n" % (bench.work, n - 1))
    bench.script("nothing", "#!\n")
    bench.script("blank", "#!  \t \n")
    bench.script("nonewline", "#!/bin/echo end")
    bench.script("long", "#!/bin/echo " + "a" * 400 + "\n")
    bench.script("longname", "#!/" + "a" * 300 + "\n")
    bench.script("carriage", "#!/bin/echo\r\n")
    bench.script("self", "#!./self\n")
    names = ["chain%d" % n for n in range(1, 8)] + [
        "nothing", "blank", "nonewline", "long", "longname", "carriage", "self", "orphan",
    ]
    # perl reports the errno of an exec that fails, and runs no shell instead
    code = 'for (@ARGV) { if (!fork) { exec {"./$_"} $_, "a b", ""; print "$_ $!\n" } wait }'
    argv = ["/usr/bin/perl", "-e", "$| = 1; " + code] + names

    assert bench.run(argv).stdout == bench.run(argv, view).stdout


@pytest.mark.parametrize("view", VIEWS)
def test_nested_programs_share_one_filter(bench: Bench, view: str) -> None:
    """The filter is installed once, however deep programs start programs."""
    bench.script(
        "nested",
        "#!/bin/sh\n"
        'if [ "$1" -gt 0 ]; then exec ./nested $(($1 - 1)); fi\n'
        "exec grep Seccomp_filters /proc/self/status\n",
    )

    outside = bench.run(["/bin/grep", "Seccomp_filters", "/proc/self/status"])
    contained = bench.run(["./nested", "120"], view)

    assert int(outside.stdout.split()[1]) + 1 == int(contained.stdout.split()[1])


@pytest.mark.parametrize("view", VIEWS)
def test_program_may_be_found_in_the_path(bench: Bench, view: str) -> None:
    """A first program without a slash is searched in PATH, as a shell would."""
    (bench.work / "bin").mkdir(exist_ok=True)
    bench.script("bin/greet", "#!/bin/sh\necho hello $1\n")

    contained = bench.run(["greet", "you"], view, PATH="/nonexistent:%s/bin" % bench.work)

    assert "hello you\n" == contained.stdout


@pytest.mark.parametrize(
    "name,status,cause",
    [
        ("absent", 127, "there is no such program"),
        ("./absent", 127, "there is no such program"),
        ("./orphan", 127, "its interpreter is missing"),
        ("./present", 126, "not an executable file"),
        (".", 126, "not an executable file"),
        ("./junk", 126, "neither a program nor a script"),
        ("./foreign", 126, "it is a program for aarch64"),
        ("./thirtytwo", 126, "only 64-bit programs can be run"),
    ],
)
def test_a_program_that_cannot_run_says_why(
    bench: Bench, name: str, status: int, cause: str
) -> None:
    """The message names the program, the container and the cause; a hint follows."""
    header = bytearray(Path("/bin/true").read_bytes()[:1024])
    header[18:20] = (183).to_bytes(2, "little")
    (bench.work / "foreign").write_bytes(header)
    header[4] = 1
    header[18:20] = (3).to_bytes(2, "little")
    (bench.work / "thirtytwo").write_bytes(header)
    for program in ("foreign", "thirtytwo"):
        (bench.work / program).chmod(0o755)

    contained = bench.run([name], "container")

    message, hint = contained.stdout.splitlines()
    assert status == contained.returncode
    assert message.startswith('lpmx: cannot run "%s" in container "bench": ' % name)
    assert cause in message
    assert hint.startswith("hint: ")


@pytest.mark.parametrize("cwd,shown", [("/usr/lib", "/usr/lib\n"), ("/usr/../etc", "/etc\n")])
def test_first_program_starts_in_the_directory_asked_for(
    bench: Bench, cwd: str, shown: str
) -> None:
    """LPMX_CWD is a directory of the view."""
    contained = bench.run(["/bin/pwd"], "container", LPMX_CWD=cwd)

    assert shown == contained.stdout


def test_directory_that_is_not_there_is_named(bench: Bench) -> None:
    """A working directory that does not exist is an error of ours, not of the program."""
    contained = bench.run(["/bin/pwd"], "container", LPMX_CWD="/nowhere")

    assert 125 == contained.returncode
    assert 'cannot enter the directory "/nowhere": no such file or directory' in contained.stdout


@pytest.mark.parametrize("view", VIEWS)
def test_there_is_no_auditing(bench: Bench, view: str) -> None:
    """What sudo and its like would log for root, nobody may; other sockets are as ever."""
    code = """
import os, socket
for kind, protocol in ((socket.AF_NETLINK, 9), (socket.AF_NETLINK, 0), (socket.AF_UNIX, 0)):
    try:
        socket.socket(kind, socket.SOCK_DGRAM, protocol).close()
        print("made")
    except OSError as error:
        print(os.strerror(error.errno))
"""
    contained = bench.run(["/usr/bin/python3", "-c", code], view)

    assert "Protocol not supported\nmade\nmade\n" == contained.stdout


def test_trap_can_be_left_out_to_find_faults(bench: Bench) -> None:
    """With LPMX_NO_TRAP the loader says once what that means and goes on."""
    contained = bench.run(["/bin/sh", "-c", "echo fine"], "host", LPMX_NO_TRAP="1")

    assert 0 == contained.returncode
    assert contained.stdout.startswith("lpmx: system calls cannot be trapped here: ")
    assert contained.stdout.endswith("\nfine\n")


#: What the programs of acl(5) do and tell: alone, through copies and archives, where a default list is.
LISTS = """
each() { find "$1" ! -type l | sort | xargs getfacl -cn; }
umask 077
rm -rf lists copy back out.tar; mkdir lists; cd lists
cp ../present file; chmod 640 file
setfacl -m u:1:rw,g:daemon:r file; getfacl -cn file; stat -c %a file; ls -l file | cut -c1-11
chmod 600 file; getfacl -cn file; chmod 660 file; getfacl -cn file; setfacl -m m::r file; stat -c %a file
setfacl -x u:1 file; getfacl -cn file; setfacl -m u::r,o::r file; stat -c %a file; getfacl -cn file
chmod u+w file; setfacl -m u:1:rwx ../present 2>&1; getfacl -cn ../present; setfacl -b ../present
mkdir d; setfacl -d -m u::rwx,u:2:rx,g::rw,o::r d; getfacl -cn d; mkdir d/below; echo x > d/new; touch d/below/x
ln -s new d/link; mkfifo d/pipe; each d; stat -c '%a %n' d d/* d/below/*
rm d/new; echo y > d/new; getfacl -cn d/new; mv file d/moved; getfacl -cn d/moved; cp d/moved d/copied; getfacl -cn d/copied
cp -a d ../copy; each ../copy; getfacl -nR d > ../back; setfacl -bR d; each d; setfacl --restore=../back; each d
tar --acls -cf ../out.tar d; rm -r d; tar --acls -xf ../out.tar; each d; setfacl -k d; mkdir d/last; getfacl -cn d/last
setfacl -m u:nobody-here:r d 2>&1; setfacl -d -m u:1:r d/moved 2>&1; getfacl -cn absent 2>&1
perl -e 'printf "%s\\n", join " ", map { (lstat)[2] & 07777 } @ARGV' d d/*
"""


@pytest.mark.parametrize("view", VIEWS)
def test_stack_is_not_the_mapping_behind_the_vdso(bench: Bench, view: str) -> None:
    """Where the kernel has put a dynamic program's interpreter there is something, too: PMIx
    skips the line of /proc/self/maps that comes after that of the vDSO."""
    lines = bench.run(["/bin/cat", "/proc/self/maps"], view).stdout.splitlines()

    behind = lines[[line.endswith("[vdso]") for line in lines].index(True) + 1]

    assert not behind.endswith("[stack]") and lines[-2].endswith("[stack]")


@pytest.mark.parametrize("view", VIEWS)
def test_access_control_lists_are_those_of_the_machine(bench: Bench, view: str) -> None:
    """getfacl, setfacl, cp and tar see and make the lists that they see and make outside."""
    argv = ["/bin/sh", "-c", LISTS]

    bare = bench.run(argv)
    contained = bench.run(argv, view)

    assert bare.stdout == contained.stdout
    assert 20 < bare.stdout.count("mask::")
