"""Declares the compiled module `_core`: native/core, called from Python through cffi."""
from __future__ import annotations

from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent.parent
CORE = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "native" / "core").glob("*.c"))

ffibuilder = FFI()
ffibuilder.cdef((Path(__file__).parent / "core.cdef").read_text())
ffibuilder.set_source(
    "lpmx_runtime._native._core",
    '#include "lpmx_core.h"',
    sources=CORE,
    include_dirs=["native/include"],
    extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter",
                        "-ffreestanding",  # keeps libc's headers apart from the kernel's
                        "-fno-strict-aliasing", "-fvisibility=hidden"],
    depends=[str(path.relative_to(ROOT)) for path in (ROOT / "native").glob("*/*.h")],
    py_limited_api=True,
)
