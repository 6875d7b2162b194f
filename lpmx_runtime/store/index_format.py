"""The structures of the index file: native/include/lpmx_abi.h, "the index"."""
from __future__ import annotations

import struct

MAGIC = b"LPMXIDX\0"
VERSION = 2
HEADER = struct.Struct("<8sIIQQIIIIQQQQQIIQII32s")
#: The checksum is of all from here on.
SUMMED = 32
ENTRY = struct.Struct("<QIIHHHHIIIIQqIIIIII")
MERGED, BARE = 1, 2
#: A flag of the whole, and the path that is not there then.
NO_LD_PRELOAD, LD_PRELOAD = 1, b"/etc/ld.so.preload"
#: What each start reads is in as much of the file; and of so many entries at most.
NEAR_SIZE, NEAR_COUNT = 65536, 512

_BASIS, PRIME, MASK = 0xcbf29ce484222325, 0x100000001b3, (1 << 64) - 1


def fnv(data: bytes, value: int = _BASIS) -> int:
    """FNV-1a, 64 bit; `value` is the hash of what comes before `data`."""
    for byte in data:
        value = (value ^ byte) * PRIME & MASK
    return value


def cookie(name: bytes) -> int:
    """Where `name` stands in a listing: LPMX_COOKIE of its hash."""
    return (fnv(name) >> 22 & 0x3ffffffffff) + 16
