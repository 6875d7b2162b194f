"""What an ELF file says it needs and offers: as much as choosing libraries takes.

Everything is read by offset from a file that anybody may have made, so every
number is checked by the unpacking itself: what does not fit is a `NotElf`.
"""
from __future__ import annotations

import struct
from typing import BinaryIO, Iterator, NamedTuple, Optional

_LIMIT = 1 << 20  # of a table we are willing to read
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_NEEDED, _STRTAB, _STRSZ, _SONAME = 1, 5, 10, 14
_RELR = 36
_VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6ffffffc, 0x6ffffffd, 0x6ffffffe, 0x6fffffff

MACHINES = {62: "x86-64", 183: "aarch64", 3: "32-bit x86", 40: "32-bit arm", 21: "ppc64",
            22: "s390x", 243: "riscv"}


class NotElf(ValueError):
    """The file is no 64-bit little-endian ELF file with a dynamic section."""


class Library(NamedTuple):
    """The dynamic section of a library. `versions` are the symbol versions it needs,
    by the library they come from; `offered` those it defines. `packed`: its relative
    relocations are (DT_RELR), which not every loader reads."""

    machine: int
    soname: Optional[str]
    needed: tuple[str, ...]
    versions: "dict[str, tuple[str, ...]]"
    offered: tuple[str, ...]
    packed: bool = False


def read(file: BinaryIO) -> Library:
    """Read the library that `file` has."""
    try:
        return _read(file)
    except (struct.error, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise NotElf(f"it is damaged ({error})") from None


def interpreter(file: BinaryIO) -> Optional[str]:
    """The loader that a program asks for; None for one that needs none."""
    try:
        for kind, at, _, length in _segments(file, _at(file, 0, 64)):
            if kind == _PT_INTERP:
                return _at(file, at, length).rstrip(b"\0").decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise NotElf(f"it is damaged ({error})") from None
    return None


def _segments(file: BinaryIO, header: bytes) -> "Iterator[tuple[int, int, int, int]]":
    """Kind, offset, address and size in the file of each program header."""
    if header[:6] != b"\x7fELF\x02\x01":
        raise NotElf("it is no 64-bit little-endian ELF file")
    offset, = struct.unpack_from("<Q", header, 32)
    size, count = struct.unpack_from("<HH", header, 54)
    if size != 56:
        raise NotElf("its program headers are of no known size")
    for number in range(count):
        kind, _, at, address, _, length = struct.unpack_from(
            "<IIQQQQ", _at(file, offset + number * size, size))
        yield kind, at, address, length


def _read(file: BinaryIO) -> Library:
    header = _at(file, 0, 64)
    loads, dynamic = [], None
    for kind, at, address, length in _segments(file, header):
        if kind == _PT_LOAD:
            loads.append((address, length, at))
        elif kind == _PT_DYNAMIC:
            dynamic = _at(file, at, length)
    if dynamic is None:
        raise NotElf("it has no dynamic section")
    machine, = struct.unpack_from("<H", header, 18)
    tags = list(struct.iter_unpack("<qQ", dynamic[:len(dynamic) // 16 * 16]))
    end = next((n for n, (tag, _) in enumerate(tags) if tag == 0), len(tags))
    tags = tags[:end]
    single = dict(tags)
    if _STRTAB not in single or _STRSZ not in single:
        raise NotElf("it has no string table")
    strings = _at(file, _file_offset(loads, single[_STRTAB]), single[_STRSZ])
    return Library(
        machine=machine,
        soname=_text(strings, single[_SONAME]) if _SONAME in single else None,
        needed=tuple(_text(strings, value) for tag, value in tags if tag == _NEEDED),
        versions=dict(_needs(file, loads, strings, single)),
        offered=tuple(_definitions(file, loads, strings, single)),
        packed=_RELR in single,
    )


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    if size > _LIMIT:
        raise NotElf("one of its tables is too big to be one")
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise NotElf("it is cut off")
    return data


def _file_offset(loads: "list[tuple[int, int, int]]", address: int) -> int:
    for start, length, at in loads:
        if start <= address < start + length:
            return at + address - start
    raise NotElf("one of its tables lies outside of it")


def _text(strings: bytes, at: int) -> str:
    return strings[at:strings.index(b"\0", at)].decode() if at < len(strings) else ""


def _needs(file: BinaryIO, loads: "list[tuple[int, int, int]]", strings: bytes,
           tags: "dict[int, int]") -> "Iterator[tuple[str, tuple[str, ...]]]":
    if _VERNEED not in tags:
        return
    at = _file_offset(loads, tags[_VERNEED])
    for _ in range(tags.get(_VERNEEDNUM, 0)):
        _, count, name, first, following = struct.unpack("<HHIII", _at(file, at, 16))
        versions, entry = [], at + first
        for _ in range(count):
            _, _, _, version, step = struct.unpack("<IHHII", _at(file, entry, 16))
            versions.append(_text(strings, version))
            entry += step
        yield _text(strings, name), tuple(versions)
        at += following


def _definitions(file: BinaryIO, loads: "list[tuple[int, int, int]]", strings: bytes,
                 tags: "dict[int, int]") -> Iterator[str]:
    if _VERDEF not in tags:
        return
    at = _file_offset(loads, tags[_VERDEF])
    for _ in range(tags.get(_VERDEFNUM, 0)):
        _, _, _, _, _, first, following = struct.unpack("<HHHHIII", _at(file, at, 20))
        name, _ = struct.unpack("<II", _at(file, at + first, 8))
        yield _text(strings, name)
        at += following


def glibc(versions: "tuple[str, ...]") -> Optional[tuple[int, ...]]:
    """The highest GLIBC_x.y among symbol versions, as numbers; None if there is none.

    GLIBC_ABI_DT_RELR stands for packed relocations, which came with 2.36.
    """
    found = [tuple(int(part) for part in version[6:].split("."))
             for version in versions
             if version.startswith("GLIBC_") and version[6:].replace(".", "").isdigit()]
    if "GLIBC_ABI_DT_RELR" in versions:
        found.append((2, 36))
    return max(found, default=None)
