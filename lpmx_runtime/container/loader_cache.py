"""The libraries that the host's dynamic loader knows: /etc/ld.so.cache, as ldconfig writes it.

The format is glibc's "new" one (sysdeps/generic/dl-cache.h), by itself or behind the
old one: a head, entries with offsets from that head, strings.
"""
from __future__ import annotations

import os
import platform
import struct
from typing import Mapping, Optional

CACHE = "/etc/ld.so.cache"

_OLD_MAGIC, _NEW_MAGIC = b"ld.so-1.7.0", b"glibc-ld.so.cache1.1"
_OLD_HEAD, _OLD_ENTRY = 16, 12
_HEAD = struct.Struct("<20sII")
_HEAD_SIZE = 48
_ENTRY = struct.Struct("<iIIIQ")
#: What ldconfig notes for libraries of this machine (FLAG_ELF_LIBC6 and the ABI).
_FLAGS = {"x86_64": 0x0303, "aarch64": 0x0a03}


def libraries(data: Optional[bytes] = None) -> dict[str, str]:
    """Path by name, the one the loader prefers first; empty where there is no cache."""
    if data is None:
        try:
            with open(CACHE, "rb") as file:
                data = file.read()
        except OSError:
            return {}
    start = 0
    if data.startswith(_OLD_MAGIC):
        count, = struct.unpack_from("<I", data, 12)
        start = (_OLD_HEAD + count * _OLD_ENTRY + 7) & ~7
    if data[start:start + len(_NEW_MAGIC)] != _NEW_MAGIC:
        return {}
    _, count, _ = _HEAD.unpack_from(data, start)
    wanted = _FLAGS.get(platform.machine())
    found: dict[str, str] = {}
    for number in range(min(count, (len(data) - start) // _ENTRY.size)):
        flags, name, path, _, _ = _ENTRY.unpack_from(data, start + _HEAD_SIZE
                                                     + number * _ENTRY.size)
        if flags == wanted:
            found.setdefault(_text(data, start + name), _text(data, start + path))
    return found


def with_search_path(found: dict[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The libraries of the cache, and before them those of LD_LIBRARY_PATH: where a
    cluster's module system puts a driver that is not installed on the node."""
    merged = dict(found)
    for directory in reversed(environ.get("LD_LIBRARY_PATH", "").split(":")):
        try:
            names = os.listdir(directory) if directory.startswith("/") else []
        except OSError:
            continue
        merged.update((name, os.path.join(directory, name)) for name in names if ".so" in name)
    return merged


def _text(data: bytes, at: int) -> str:
    return os.fsdecode(data[at:data.index(b"\0", at)])
