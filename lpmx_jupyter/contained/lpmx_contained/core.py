"""The core, asked from inside a container: LPMX_SYSCALL of native/include/lpmx_abi.h.

Outside a container the kernel does not know the call, and each function here
raises `NotContained`.
"""
import ctypes
import errno
import os
from typing import Dict, Optional

_CALL = 0x4c58
_ENTRY, _ENV_SET, _ENV_UNSET, _ENV_LIST, _NAME, _HOST_PATH, _DIRECTORY = 1, 2, 3, 4, 5, 6, 8
_ABI_VERSION = 2
_LONGEST = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.getenv.restype = ctypes.c_char_p


class NotContained(OSError):
    """This process does not run in a container."""


class _Entry(ctypes.Structure):
    """struct lpmx_entry, as far as it is of use here."""

    _fields_ = [("version", ctypes.c_uint32), ("size", ctypes.c_uint32),
                ("call", ctypes.c_void_p),
                ("generation", ctypes.POINTER(ctypes.c_uint64))]


def _ask(operation: int, *arguments: object) -> int:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = _libc.syscall(ctypes.c_long(_CALL), ctypes.c_long(operation), *words)
    if result == -1:
        number = ctypes.get_errno()
        if number == errno.ENOSYS:
            raise NotContained(number, "this is not inside a container")
        raise OSError(number, os.strerror(number))
    return result


def _text(operation: int, *arguments: object) -> str:
    buffer = ctypes.create_string_buffer(8192)
    _ask(operation, *arguments, buffer, len(buffer))
    return os.fsdecode(buffer.value)


def inside() -> bool:
    """Whether this process runs in a container."""
    try:
        _ask(_ENTRY)
    except OSError:
        return False
    return True


def name() -> str:
    """The container's name."""
    return _text(_NAME)


def directory() -> str:
    """Where the container lies on the host."""
    return _text(_DIRECTORY)


def host_path(path: str) -> str:
    """The host's path of a path in here."""
    return _text(_HOST_PATH, os.fsencode(path))


def generation() -> Optional[int]:
    """A number that grows with every change of the live environment; None if there is none."""
    address = _ask(_ENTRY)
    entry = _Entry.from_address(address)
    if entry.version != _ABI_VERSION or not entry.generation:
        return None
    return entry.generation[0]


def environment() -> Dict[str, Optional[str]]:
    """What was changed while the container ran; None for what was taken away."""
    found: Dict[str, Optional[str]] = {}
    buffer = ctypes.create_string_buffer(_LONGEST)
    position = 0
    while True:
        length = _ask(_ENV_LIST, position, buffer, len(buffer))
        if not length:
            return found
        variable, equals, value = os.fsdecode(buffer.raw[:length - 1]).partition("=")
        found[variable] = value if equals else None
        position += 1


def environment_set(variable: str, value: str) -> None:
    """Change a variable for everything that runs in the container, at once."""
    _ask(_ENV_SET, os.fsencode(variable), os.fsencode(value))


def environment_unset(variable: str) -> None:
    """Take a variable away, for everything that runs in the container."""
    _ask(_ENV_UNSET, os.fsencode(variable))


def getenv(variable: str) -> Optional[str]:
    """What libc's getenv gives in this process."""
    value = _libc.getenv(os.fsencode(variable))
    return None if value is None else os.fsdecode(value)
