"""Operations that execute a program; see cases.py. Only where there are processes of their own."""
from __future__ import annotations

import os
import platform
import struct
from typing import Dict, List

from .cases import CHR, CREATE, FIFO, R, W
from .layers import Layer, directory, regular
from .operations import EMPTY_PATH, HERE, PATH, REMOVEDIR, Operation

#: exit_group(242)
_CODE = {"x86_64": "b8e7000000bff20000000f05", "aarch64": "401e80d2c80b80d2010000d4"}[platform.machine()]
_AT = 0x400000


def program() -> bytes:
    """The shortest program that says it was executed (EXECUTED, in caller/names.c)."""
    code, start = bytes.fromhex(_CODE), 64 + 56
    machine = {"x86_64": 62, "aarch64": 183}[platform.machine()]
    return (b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _AT + start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
            + struct.pack("<IIQQQQQQ", 1, 5, 0, _AT, _AT, start + len(code), start + len(code), 0x1000) + code)


def layer() -> Layer:
    """Programs, beside what a scene has."""
    return {"usr": directory(), "usr/bin": directory(), **{f"usr/bin/p{number}": regular(program(), mode) for number, mode in enumerate(
        (0o755, 0o755, 0o755, 0o755, 0o755, 0o007, 0o711, 0o755))}}


def _by(slot: int) -> List[Operation]:
    return [("execute", slot, "", EMPTY_PATH), ("execute", HERE, "/proc/self/fd/{%d}" % slot, 0)]


def _asked(slot: int) -> List[Operation]:
    """By root and by another."""
    return [*_by(slot), *[("in", 1, step) for step in _by(slot)]]


_NEW: List[Operation] = [step for path, mode in (("/tmp/new", 0o755), ("/tmp/odd", 0o007), ("/tmp/closed", 0o710)) for step in (
    ("open", 9, HERE, path, W | CREATE, mode), ("write", 9, program()), ("close", 9), ("chmod", HERE, path, mode))]

EXECUTED: Dict[str, List[Operation]] = {
    "executed by a handle": [
        *_NEW, *[("open", slot, HERE, path, PATH | os.O_CLOEXEC * (slot % 2), 0) for slot, path in enumerate(
            ("/usr/bin/p1", "/usr/bin/p2", "/usr/bin/p3", "/usr/bin/p4", "/usr/bin/p5", "/tmp/new", "/tmp/odd", "/tmp/closed"), 1)],
        ("fork", 1), ("in", 1, ("become", 1000, 1000)), *[step for slot in range(1, 9) for step in _asked(slot)],
        ("chmod", HERE, "/usr/bin/p1", 0o711), ("unlink", HERE, "/usr/bin/p2", 0), ("rename", HERE, "/usr/bin/p6", HERE, "/usr/bin/p3", 0),
        ("unlink", HERE, "/usr/bin/p4", 0), ("rename", HERE, "/usr/bin/p5", HERE, "/usr/bin/q5", 0), *[("unlink", HERE, path, 0) for path in (
            "/tmp/new", "/tmp/odd", "/tmp/closed")],
        *[step for slot in range(1, 9) for step in _asked(slot)],
        # what has its name by now may not be executed
        ("open", 9, HERE, "/usr/bin/p7", PATH, 0), ("rename", HERE, "/etc/hosts", HERE, "/usr/bin/p7", 0), *_asked(9),
        ("chmod", HERE, "/usr/bin/p1", 0o644), *_asked(1), ("chmod", HERE, "/usr/bin/p1", 0o700), *_asked(1), ("end", 1)],
    "executed by a descriptor that reads": [
        *_NEW, *[("open", slot, HERE, path, R | os.O_CLOEXEC * (slot % 2), 0) for slot, path in enumerate(("/usr/bin/p1", "/usr/bin/p4", "/tmp/new", "/tmp/odd", "/tmp/closed"), 1)],
        ("fork", 1), ("in", 1, ("become", 1000, 1000)), *[step for slot in range(1, 6) for step in _asked(slot)],
        *[("unlink", HERE, path, 0) for path in ("/usr/bin/p1", "/usr/bin/p4", "/tmp/new", "/tmp/odd", "/tmp/closed")],
        *[step for slot in range(1, 6) for step in _asked(slot)], ("end", 1)],
    "what is no program is executed": [
        ("mknod", HERE, "/tmp/null", CHR | 0o777, 0o403), ("chmod", HERE, "/tmp/null", 0o777), ("open", 1, HERE, "/tmp/null", PATH, 0),
        ("open", 2, HERE, "/special/null", PATH, 0), ("open", 3, HERE, "/special/pipe", PATH, 0), ("open", 4, HERE, "/etc", PATH, 0), ("fork", 1),
        ("in", 1, ("become", 1000, 1000)), *[step for slot in range(1, 5) for step in _asked(slot)],
        *[step for path in ("/tmp/null", "/special/null", "/special/pipe", "/etc", "/etc/hosts", "/absent")
          for step in (("execute", HERE, path, 0), ("in", 1, ("execute", HERE, path, 0)))], ("end", 1),
        ("mkdir", HERE, "/tmp/d", 0o777), ("mknod", HERE, "/tmp/pipe", FIFO | 0o777, 0), ("symlink", "x", HERE, "/tmp/l"), ("chmod", HERE, "/tmp/pipe", 0o777),
        *[("open", slot, HERE, path, PATH | os.O_NOFOLLOW, 0) for slot, path in ((2, "/tmp/d"), (3, "/tmp/pipe"), (4, "/tmp/l"))],
        ("unlink", HERE, "/tmp/d", REMOVEDIR), *[("unlink", HERE, path, 0) for path in ("/tmp/null", "/tmp/pipe", "/tmp/l")],
        *[step for slot in range(1, 4) for step in _by(slot)], ("execute", 4, "", EMPTY_PATH)],
    "executed below a directory that is closed": [
        ("open", 1, HERE, "/usr/bin/p1", PATH, 0), ("chmod", HERE, "/usr", 0o700), ("fork", 1), ("in", 1, ("become", 1000, 1000)), *_asked(1),
        ("execute", HERE, "/usr/bin/p1", 0), ("in", 1, ("execute", HERE, "/usr/bin/p1", 0)), ("end", 1)],
}
