"""Where a kernel and its front ends meet.

By default on Unix sockets in a folder of their own that only this user can enter:
no free port is looked for, so none can be taken meanwhile, and no other user of a
login node can connect. The folder is bound into every container at the same path.
TCP is there for those who ask for it.
"""
from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

from lpmx_runtime.errors import KernelFailed
from lpmx_runtime.settings import runtime_path

#: How front ends may connect, the usual way first.
TRANSPORTS = ("ipc", "tcp")

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
