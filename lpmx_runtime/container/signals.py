"""A signal to a process group, for its leader's first thread.

A signal to a process goes to any thread that does not block it. The kernel wakes the
first one; but a thread that is just making an intercepted call, and so has a SIGSYS of
its own to take, takes with it what is pending for the process. A program that counts
on the first thread, as Python does, then sleeps on. So that thread is named.
"""
from __future__ import annotations

import os
from typing import Iterable


def to_group(group: int, leader: int, number: int) -> None:
    """Send signal `number` to all of the group. Raises `OSError` if there is none."""
    if not _named(leader, number):
        os.killpg(group, number)
        return
    for pid in _others(group, leader):
        try:
            os.kill(pid, number)
        except OSError:
            pass  # it ended, or has become another user's


def _named(leader: int, number: int) -> bool:
    """Send it to the leader's first thread, unless that blocks it and leaves it to others."""
    import ctypes
    tgkill = getattr(ctypes.CDLL(None), "tgkill", None)  # glibc 2.30
    if tgkill is None:
        return False
    try:
        with open(f"/proc/{leader}/status", encoding="ascii", errors="replace") as file:
            blocked = next(int(line.split()[1], 16) for line in file if line.startswith("SigBlk:"))
    except (OSError, StopIteration):
        return False
    return not blocked >> (number - 1) & 1 and tgkill(leader, leader, number) == 0


def _others(group: int, leader: int) -> Iterable[int]:
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and int(name) != leader and os.getpgid(int(name)) == group:
                yield int(name)
        except OSError:
            pass  # it ended
