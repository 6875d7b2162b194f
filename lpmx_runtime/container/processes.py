"""Which processes belong to a container, and how they are ended.

A contained process has the container's control page mapped until its end: it cannot
lose it by becoming a daemon, by scrubbing its environment or by changing its session.
A host call has the container's host view file mapped the same way. So /proc/PID/maps
is what we ask. Only in the moment after an exec, before the loader has mapped them,
it is the environment that tells.

To the kernel each of them executes the loader, whatever it runs; so the others need
not be looked at closely. What none of this tells: processes of other users, other
nodes, and those that made themselves undumpable (ssh-agent does), of which the kernel
shows nothing.
"""
from __future__ import annotations

import os
import re
import select
import signal
import time

from ..light import TYPE_CHECKING, NamedTuple
from .environment import INSIDE
from .record import CONTROL, HOST_VIEW

if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Optional, Union

_LOADER = "loader"
_ENVIRONMENT = b"LPMX_VIEW="
_PROGRAM = b"LPMX_PROGRAM="
_PAUSE = 0.02
_ROUNDS = 50
_TRIES, _MOMENT = 20, 0.001


class Process(NamedTuple):
    """A process of a container. `started` is in seconds since 1970; `host_call` is
    set for a program of the host that a contained one runs."""

    pid: int
    argv: tuple[str, ...]
    started: float
    host_call: bool


class Details(NamedTuple):
    """What a process is to us: `program`, its path in the view it runs in ("" where that
    cannot be told), `ways`, how its calls reach the core, "preload" or "trap", the first that
    a call meets first, `memory`, what it has resident, in bytes, and `cpu`, the time that it has
    computed, in seconds."""

    program: str
    ways: tuple[str, ...]
    memory: int
    cpu: float


def details(process: Process) -> Details:
    """How a process runs, as far as the kernel tells now; of one that has ended, nothing."""
    pid = process.pid
    variables = _read(f"/proc/{pid}/environ").split(b"\0")
    # the last one is ours (native/loader/stack.c)
    programs = [one[len(_PROGRAM):] for one in variables if one.startswith(_PROGRAM)]
    status = dict(line.split(b":\t", 1) for line in _read(f"/proc/{pid}/status").splitlines()
                  if b":\t" in line)
    ways = []
    if re.search(rb"/preload\.so( \(deleted\))?$", _read(f"/proc/{pid}/maps"), re.MULTILINE):
        ways.append("preload")
    if status.get(b"Seccomp", b"").strip() == b"2":
        ways.append("trap")
    resident = status.get(b"VmRSS", b"0").split()
    times = _read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()[11:13]
    return Details(os.fsdecode(programs[-1]) if programs else "", tuple(ways),
                   1024 * int(resident[0]), sum(map(int, times)) / os.sysconf("SC_CLK_TCK"))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def of_container(directory: "Union[str, os.PathLike[str]]") -> list[Process]:
    """What runs in the container whose directory this is, by process number."""
    directory = os.path.abspath(directory)
    return of_store(os.path.dirname(directory)).get(os.path.basename(directory), [])


def of_store(containers: "Union[str, os.PathLike[str]]") -> dict[str, list[Process]]:
    """What runs in each container of a store, in one pass over /proc."""
    prefix = os.fsencode(os.path.realpath(containers)) + b"/"
    found: dict[str, list[Process]] = {}
    for pid in _own_pids():
        owner = _owner(pid, prefix)
        if owner is not None:
            name, host_call = owner
            process = _describe(pid, host_call)
            if process is not None:
                found.setdefault(name, []).append(process)
    return found


def _own_pids() -> Iterable[int]:
    ours = os.getuid()
    for name in sorted((n for n in os.listdir("/proc") if n.isdigit()), key=int):
        try:
            if os.stat(f"/proc/{name}").st_uid == ours and int(name) != os.getpid():
                yield int(name)
        except OSError:
            pass  # it ended


def _owner(pid: int, prefix: bytes) -> Optional[tuple[str, bool]]:
    """The container of a process, and whether it is a host call."""
    for _ in range(_TRIES):
        try:
            if not _executes_loader(pid):
                return None
            with open(f"/proc/{pid}/maps", "rb") as file:
                maps = file.read()
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = file.read()
        except OSError:
            return None
        found = _mapped(maps, prefix) or _named(variables, prefix)
        if found is not None or variables:
            return found
        time.sleep(_MOMENT)  # the kernel is still at its exec
    return None


def _executes_loader(pid: int) -> bool:
    """As far as the kernel is asked: in a container the view tells, and knows better."""
    executed = os.readlink(f"/proc/{pid}/exe")
    return os.path.basename(executed).split(" ")[0] == _LOADER or INSIDE in os.environ


def _named(variables: bytes, prefix: bytes) -> Optional[tuple[str, bool]]:
    """By the view that a process was told to open."""
    for variable in variables.split(b"\0"):
        if variable.startswith(_ENVIRONMENT + prefix):
            name, _, rest = variable[len(_ENVIRONMENT + prefix):].partition(b"/")
            return os.fsdecode(name), rest == HOST_VIEW.encode()
    return None


def _mapped(maps: bytes, prefix: bytes) -> Optional[tuple[str, bool]]:
    """By the files that a process has mapped."""
    at = maps.find(prefix)
    while at >= 0:
        end = maps.find(b"\n", at)
        path = maps[at + len(prefix):end if end >= 0 else len(maps)]
        name, slash, rest = path.partition(b"/")
        # A page that was replaced since is still this container's.
        rest = rest.removesuffix(b" (deleted)")
        if slash and rest in (CONTROL.encode(), HOST_VIEW.encode()):
            return os.fsdecode(name), rest == HOST_VIEW.encode()
        at = maps.find(prefix, at + 1)
    return None


def _describe(pid: int, host_call: bool) -> Optional[Process]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
    except OSError:
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    started = _boot() + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    argv = tuple(os.fsdecode(word) for word in words[:-1]) or ("?",)
    return Process(pid, argv, started, host_call)


def myself() -> "list[Any]":
    """This process, so that it can be told from another that gets its number later."""
    return described(os.getpid())


def described(pid: int) -> "list[Any]":
    """The same of another process of ours."""
    return [where(), pid, _birth(pid)]


def is_gone(process: "Optional[list[Any]]") -> bool:
    """Whether a process that `described` described has ended, as far as this node can tell."""
    if not process or process[0] != where():
        return False
    return bool(_birth(process[1]) != process[2])


def where() -> str:
    """Where process numbers mean the same: this node, and the name space it is seen in."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return f"{os.uname().nodename} {space}".strip()


def _birth(pid: int) -> "Optional[list[str]]":
    """When it was started, in ticks since this boot; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            boot = file.read().strip().decode()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else [boot, fields[19].decode()]


def _boot() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class _Watched:
    """A process that is to end, by a descriptor where the kernel has them (5.3): a
    number may be another process's by the time we signal it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.fd: Optional[int] = None
        try:
            self.fd = os.pidfd_open(process.pid)
        except (AttributeError, OSError):
            pass

    def send(self, number: int) -> None:
        try:
            if self.fd is not None:
                signal.pidfd_send_signal(self.fd, number)  # type: ignore[attr-defined]
            elif self.alive():
                os.kill(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def alive(self) -> bool:
        if self.fd is not None:
            return not _readable([self.fd], 0)
        now = _describe(self._process.pid, self._process.host_call)
        return now is not None and abs(now.started - self._process.started) < 1

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)


def _readable(fds: list[int], timeout: float) -> list[int]:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(max(0, int(timeout * 1000)))]


def _wait(watched: list[_Watched], deadline: float) -> bool:
    """Wait until all have ended; False when the time is up."""
    left = [one for one in watched if one.alive()]
    while left:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        fds = [one.fd for one in left if one.fd is not None]
        if len(fds) == len(left):
            _readable(fds, remaining)
        else:
            time.sleep(min(_PAUSE, remaining))
        left = [one for one in left if one.alive()]
    return True


def end(find: Callable[[], list[Process]], *, number: int = signal.SIGTERM,
        timeout: float = 10) -> bool:
    """End all that `find` finds: ask with the signal `number`, then kill.

    Returns whether asking was enough. A program may start others while it ends, so
    we look again until nothing is found.
    """
    deadline = time.monotonic() + timeout
    asked = _round(find, number, deadline) if timeout > 0 else _Found.SOME
    while asked is _Found.ENDED:
        asked = _round(find, number, deadline)
    if asked is _Found.NOTHING:
        return True
    for _ in range(_ROUNDS):
        if _round(find, signal.SIGKILL, time.monotonic() + 5) is _Found.NOTHING:
            break
    return False


class _Found:
    NOTHING, ENDED, SOME = object(), object(), object()


def _round(find: Callable[[], list[Process]], number: int, deadline: float) -> object:
    watched = [_Watched(process) for process in find()]
    try:
        if not watched:
            return _Found.NOTHING
        for one in watched:
            one.send(number)
            if number != signal.SIGKILL:
                one.send(signal.SIGCONT)  # a stopped program could not take it
        return _Found.ENDED if _wait(watched, deadline) else _Found.SOME
    finally:
        for one in watched:
            one.close()


def signal_number(text: Optional[str]) -> int:
    """The number of an image's StopSignal ("SIGINT", "INT" or "2"); SIGTERM for none
    and for one that this system does not have."""
    name = (text or "").strip().upper()
    if name.isdigit() and 0 < int(name) < signal.NSIG:
        return int(name)
    found = getattr(signal.Signals, name if name.startswith("SIG") else f"SIG{name}", None)
    return int(found) if isinstance(found, signal.Signals) else int(signal.SIGTERM)
