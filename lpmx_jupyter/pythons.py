"""The Python that an image has: its version, and which libc wheels for it must fit.

Nothing of the image is executed: names of files say the version, as every build of
CPython installs them, and ELF headers say the libc.
"""
from __future__ import annotations

import io
import os
import re
from typing import NamedTuple, Sequence

from lpmx_runtime._native import View
from lpmx_runtime.container import elf, gpu

#: The oldest that any ipykernel with wheels runs on.
OLDEST = (3, 6)
#: The first musl that reads packed relative relocations.
MUSL_PACKED = (1, 2, 4)

_PROGRAM = re.compile(r"python(3)\.(\d+)([a-z]*)\Z")
_LIBRARY = re.compile(r"python(3)\.(\d+)([a-z]*)\Z")
_LIBC_LIMIT = 16 << 20
_MUSL_VERSION = re.compile(rb"\0(1\.\d{1,3}\.\d{1,3})(?:-git[^\0]{0,60})?\0")
_GLIBC, _MUSL = "glibc", "musl"


class Unfit(ValueError):
    """Why no wheels can be had for a Python; the text ends a sentence."""


class Python(NamedTuple):
    """`program` is its path in the image, `version` (3, 11), `libc` "glibc" or "musl",
    `libc_version` such as (2, 36), `machine` as `uname -m` says it."""

    program: str
    version: tuple[int, int]
    libc: str
    libc_version: tuple[int, ...]
    machine: str

    @property
    def described(self) -> str:
        """"CPython 3.11, glibc 2.36"."""
        return f"CPython {dotted(self.version)}, {self.libc} {dotted(self.libc_version)}"


def dotted(version: Sequence[int]) -> str:
    """(3, 11) as "3.11"."""
    return ".".join(map(str, version))


def look(view: View, program: str) -> Python:
    """What `program`, a Python of the image behind `view`, is.

    Raises `Unfit` if it is no CPython of 3.6 or later that loads libraries.
    """
    try:
        real = view.resolve(program).path
        with open(view.open(real, os.O_RDONLY), "rb") as file:
            interpreter = elf.interpreter(file)
    except elf.NotElf:
        raise Unfit(f'"{program}" is no program that a machine executes by itself') from None
    except OSError as error:
        raise Unfit(f'"{program}" cannot be read: {os.strerror(error.errno or 0).lower()}') from None
    version = _version(view, program, real)
    if version < OLDEST:
        raise Unfit(f"its Python {dotted(version)} is older than {dotted(OLDEST)}")
    if interpreter is None:
        raise Unfit(f'"{program}" is static, and loads no libraries')
    libc, libc_version = _libc(view, interpreter)
    return Python(program, version, libc, libc_version, os.uname().machine)


def _version(view: View, program: str, real: str) -> tuple[int, int]:
    """By the file's own name (python3.11), else by the one library directory beside it."""
    found = [match for match in [_PROGRAM.match(os.path.basename(real))] if match]
    if not found:
        above = f"{os.path.dirname(os.path.dirname(real))}/lib"
        try:
            names = view.listdir(above)
        except OSError:
            names = []
        found = [match for match in map(_LIBRARY.match, sorted(names))
                 if match and view.exists(f"{above}/{match[0]}/os.py")]
    if len(found) != 1:
        raise Unfit(f'"{program}" is no CPython, or does not say of which version')
    match = found[0]
    if match[3]:
        raise Unfit(f'"{program}" is of the variant "{match[3]}" of Python {match[1]}.{match[2]}')
    return int(match[1]), int(match[2])


def _libc(view: View, interpreter: str) -> tuple[str, tuple[int, ...]]:
    name = os.path.basename(interpreter)
    if name.startswith("ld-linux"):
        version = gpu.glibc_of(view)
        if version:
            return _GLIBC, version[:2]
    elif name.startswith("ld-musl-"):
        try:
            match = _MUSL_VERSION.search(view.read(interpreter, _LIBC_LIMIT))
        except OSError:
            match = None
        if match:
            return _MUSL, tuple(int(part) for part in match[1].split(b"."))
    raise Unfit(f'its libc, whose loader is "{interpreter}", does not say its version')


class Built(NamedTuple):
    """What the libraries below a directory need of a libc of each kind."""

    glibc: tuple[int, ...]
    packed: bool  # relative relocations are packed (MUSL_PACKED)


def needs(contents: Sequence[bytes]) -> Built:
    """The most that any of these shared libraries needs; what is none is left out."""
    glibc: tuple[int, ...] = (2, 0)
    packed = False
    for content in contents:
        try:
            library = elf.read(io.BytesIO(content))
        except elf.NotElf:
            continue
        every = tuple(version for versions in library.versions.values() for version in versions)
        glibc = max(glibc, elf.glibc(every) or glibc)
        packed = packed or library.packed
    return Built(glibc[:2], packed)
