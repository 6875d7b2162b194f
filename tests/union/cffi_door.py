"""The caller over the core's Python binding: `cffi_door.py CALLER`, its code a shared object.

The operations are the caller's; what it would ask of the kernel it asks of the core, in this
process, by the same function that `View.call` asks.
"""
from __future__ import annotations

import ctypes
import os
import sys

from lpmx_runtime import _native


def main() -> None:
    """Answer requests from standard input until it ends."""
    ffi = _native._ffi
    views = []

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)
    def opened(place: bytes) -> int:
        while views:
            views.pop().close()
        views.append(_native.View(os.fsdecode(place)))
        return int(ffi.cast("intptr_t", views[0]._task))

    core_call = int(ffi.cast("intptr_t", ffi.addressof(_native._lib, "core_call")))
    ctypes.CDLL(sys.argv[1]).serve_view(ctypes.c_void_p(core_call), opened)


if __name__ == "__main__":
    main()
