"""What this process knows if it runs in a container itself.

A container that is made there is no container in the other: its programs are the kernel's,
beside those of the first, and what they are told of files must be the host's names. What
is bound under the same name has them; what the first container has for itself has not.
"""
from __future__ import annotations

import errno
import os

from ..light import TYPE_CHECKING
from .environment import INSIDE
from .spec import Bind

if TYPE_CHECKING:
    from typing import Optional

#: LPMX_SYSCALL and LPMX_OP_HOST_PATH (lpmx_abi.h); the kernel itself has no such call.
_SYSCALL, _HOST_PATH = 0x4C58, 6

#: A name that is nowhere: where it would be is where its directory's new files go.
_NEW = ".lpmx-would-be-here"


def container() -> Optional[str]:
    """The name of the container that this process runs in."""
    return os.environ.get(INSIDE)


def host_path(path: str) -> str:
    """What the host calls it."""
    if container() is None:
        return path
    import ctypes  # here and below: few are in a container, and all that make one come by
    real = ctypes.create_string_buffer(8192)
    length = ctypes.CDLL(None).syscall(ctypes.c_long(_SYSCALL), ctypes.c_long(_HOST_PATH),
                                       os.fsencode(path), real, ctypes.c_long(len(real)))
    return os.fsdecode(real.value) if length > 0 else path


def is_hosts(path: str) -> bool:
    """Is it the host's under the same name, and what becomes new in it, too?"""
    return _is_same(os.path.join(path, _NEW) if os.path.isdir(path) else path)


def shared(bind: Bind) -> Optional[Bind]:
    """The bind as a container made here may have it: None where it would show something else.

    What the first container may only read, the second may only read.
    """
    if container() is None:
        return bind
    at_all = is_hosts(bind.host) and (os.path.isdir(bind.host) or bind.read_only
                                      or is_hosts(os.path.dirname(bind.host)))
    return bind._replace(read_only=bind.read_only or _is_read_only(bind.host)) if at_all else None


def _is_same(path: str) -> bool:
    return host_path(path) == path


def _is_read_only(path: str) -> bool:
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.access(os.fsencode(path), os.W_OK) < 0 and ctypes.get_errno() == errno.EROFS
