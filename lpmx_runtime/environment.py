"""The live environment, for Python programs that run in a container.

Python copies its environment once, when it starts. `refresh` brings `os.environ` up to
date with what `lpmx env` has changed since; kernels do that before each cell.

    from lpmx_runtime import environment
    environment.refresh()

A variable that the program itself has set stays the program's. Outside a container there
is nothing to follow, and nothing happens.
"""
from __future__ import annotations

import ctypes
import os
import re
from typing import Dict, Iterator, Optional, Tuple

#: LPMX_SYSCALL and LPMX_OP_ENV_LIST of native/include/lpmx_abi.h: elsewhere the kernel
#: answers that there is no such call.
_CALL, _LIST = 0x4c58, 4
_LONGEST = 1 << 20

_READ_INSIDE_LIBC = re.compile(r"(TZ|LANG|LANGUAGE|LC_.*)\Z").match
#: What each variable was when we last looked: a program that changed it since owns it.
_seen: Dict[str, Optional[str]] = dict(os.environ)


def refresh() -> "list[str]":
    """Bring `os.environ` up to date; the names of the variables that are others now."""
    changed = []
    for name, value in _live():
        if os.environ.get(name) != _seen.get(name) or os.environ.get(name) == value:
            continue
        _put(name, value)
        _seen[name] = value
        changed.append(name)
    return changed


def _put(name: str, value: Optional[str]) -> None:
    """Have `os.environ` say so.

    Where the C library's getenv says so by itself, its own copy is left alone: a variable
    in there would count as this program's, and what it starts would not see later changes.
    Time zone and locale the library reads past its getenv, in that copy.
    """
    own = getattr(os.environ, "_data", None)
    if own is not None and _getenv(name) == value and not _READ_INSIDE_LIBC(name):
        own.pop(os.fsencode(name), None)
        if value is not None:
            own[os.fsencode(name)] = os.fsencode(value)
    elif value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _getenv(name: str) -> Optional[str]:
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    value = getenv(os.fsencode(name))
    return None if value is None else os.fsdecode(value)


def _live() -> Iterator[Tuple[str, Optional[str]]]:
    call = ctypes.CDLL(None).syscall
    call.restype = ctypes.c_long
    buffer = ctypes.create_string_buffer(_LONGEST)
    position = 0
    while True:
        length = call(ctypes.c_long(_CALL), ctypes.c_long(_LIST), ctypes.c_long(position), buffer,
                      ctypes.c_long(len(buffer)))
        if length <= 0:
            return
        name, equals, value = os.fsdecode(ctypes.string_at(buffer, length - 1)).partition("=")
        yield name, value if equals else None
        position += 1
