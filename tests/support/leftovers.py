"""Processes and sockets that a test left behind."""
from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Dict, Iterable, List


def processes(places: Iterable[Path]) -> Dict[int, str]:
    """The caller's processes that map, run, hold open or stand in something below `places`, and
    their commands.

    Every contained process maps its container's control page, so none hides,
    whatever it calls itself.
    """
    prefixes = tuple(f"{place}/" for place in places)
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        process = Path("/proc", name)
        try:
            if process.stat().st_uid != os.getuid():
                continue
            used = {line.split(maxsplit=5)[5] for line in
                    (process / "maps").read_text(errors="replace").splitlines()
                    if line.count(" ") >= 5 and line[-1] != " " and "/" in line}
            used |= {os.readlink(fd) for fd in (process / "fd").iterdir()}
            used |= {os.readlink(process / link) + "/" for link in ("cwd", "exe")}
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (OSError, IndexError):
            continue  # it ended meanwhile
        if any(path.startswith(prefixes) for path in used):
            found[int(name)] = command.strip()
    return found


def sockets(places: Iterable[Path]) -> List[str]:
    """Unix sockets below `places` that some process still has."""
    prefixes = tuple(f"{place}/" for place in places)
    lines = Path("/proc/net/unix").read_text(errors="replace").splitlines()[1:]
    names = {line.split(maxsplit=7)[7] for line in lines if len(line.split(maxsplit=7)) > 7}
    return [f"socket {name}" for name in sorted(names) if name.startswith(prefixes)]


def wait_for_none(places: Iterable[Path], patience: float = 5.0) -> List[str]:
    """What is still there after `patience` seconds: things may take a moment to end."""
    places = list(places)
    end = time.monotonic() + patience
    while True:
        found = [f"process {pid}: {command}" for pid, command in processes(places).items()]
        found += sockets(places)
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.05)


def end(places: Iterable[Path]) -> None:
    """Kill what is still there and has been told, or was never looked for in a session that was
    broken off. Nothing outlives a session."""
    for pid in processes(list(places)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
