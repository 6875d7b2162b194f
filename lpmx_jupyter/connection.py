"""Where a kernel and its front ends meet.

By default on Unix sockets in a folder of their own that only this user can enter:
no free port is looked for, so none can be taken meanwhile, and no other user of a
login node can connect. TCP is there for those who ask for it.

In the container the folder is at PLACE, and the kernel reads a connection file that says so:
kernels made with xeus handle no address of a socket that has more than 31 bytes, and end.
"""
from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any, Optional

from lpmx_runtime.errors import KernelFailed
from lpmx_runtime.settings import runtime_path

#: How front ends may connect, the usual way first.
TRANSPORTS = ("ipc", "tcp")

#: Where a kernel finds the sockets.
PLACE = "/.lpmx/s"

#: struct sockaddr_un, less the NUL; "-1" to "-5" come behind the name.
_LONGEST_SOCKET = 107
_NAME = "k"
_PREFIX = "kernel-"


def make_folder() -> Path:
    """A new private folder, short enough for the names of sockets in it."""
    name = _PREFIX + secrets.token_hex(4)
    for above in (runtime_path(), Path(tempfile.gettempdir())):
        folder = above / name
        if len(os.fsencode(folder / _NAME)) + len("-5") <= _LONGEST_SOCKET:
            folder.mkdir(mode=0o700)
            return folder
    raise KernelFailed(f'cannot make sockets in "{folder.parent}": the path is too long for their names',
                       hint='point TMPDIR at a shorter path, or install the kernel with '
                            '"--transport tcp"')


def remove_folder(folder: Path) -> None:
    """Take the folder away with the sockets that are left in it."""
    shutil.rmtree(folder, ignore_errors=True)


def use_sockets(manager: Any, folder: Path) -> None:
    """Have a kernel manager connect through sockets in `folder`."""
    manager.transport = "ipc"
    manager.ip = str(folder / _NAME)
    manager.cache_ports = False


def encrypted(connection_file: str) -> bool:
    """Whether a connection file has keys: who connects then talks in CurveZMQ only."""
    return bool((_read(connection_file) or {}).get("curve_secretkey"))


def inside(connection_file: str) -> "Optional[tuple[str, bytes]]":
    """Of a connection file that names sockets, their folder and what the file says to a kernel
    that has the folder at PLACE; None if it names none."""
    values = _read(connection_file)
    if values is None or values.get("transport") != "ipc" or not isinstance(values.get("ip"), str):
        return None
    folder, name = os.path.split(os.path.abspath(values["ip"]))
    return folder, json.dumps({**values, "ip": f"{PLACE}/{name}"}, indent=2).encode()


def _read(connection_file: str) -> "Optional[dict[str, Any]]":
    """What it says; None if it cannot be read: the kernel itself says what is wrong with it."""
    try:
        with open(connection_file, encoding="utf-8") as file:
            values = json.load(file)
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None
