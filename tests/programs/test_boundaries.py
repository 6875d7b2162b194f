"""Where instructions begin, as `native/trap/boundary_x86_64.c` says it and as objdump does."""
from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path
from typing import Callable, Set

import pytest

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64",
                                reason="elsewhere instructions are of one length")

Boundaries = Callable[[Path, int, int], Set[int]]

#: Less is not judged: it has too little before it, or is the file's end.
AROUND = 128


@pytest.fixture(scope="module")
def boundaries(tmp_path_factory: pytest.TempPathFactory) -> Boundaries:
    """Offsets of a file from one to another where an instruction begins for certain."""
    program = tmp_path_factory.mktemp("boundaries") / "boundaries"
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-O2", "-I", str(HERE.parent.parent / "native" / "include"),
                    "-o", str(program), str(HERE / "boundaries.c")], check=True)

    def of(file: Path, start: int, end: int) -> Set[int]:
        done = subprocess.run([str(program), str(file), str(start), str(end)], check=True,
                              stdout=subprocess.PIPE)
        return {int(line) for line in done.stdout.split()}

    return of


def text_of(library: Path) -> "tuple[int, int, int]":
    """Of its code: the address, the place in the file, the size."""
    told = subprocess.run(["objdump", "-h", "-j", ".text", str(library)], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    size, address, _, place = re.search(r" \.text +(\w+) +(\w+) +(\w+) +(\w+)", told).groups()
    return int(address, 16), int(place, 16), int(size, 16)


def disassembled(library: Path, start: int, end: int) -> "dict[int, str]":
    """The instructions at these addresses, as objdump reads them."""
    told = subprocess.run(["objdump", "-d", "--no-show-raw-insn", f"--start-address={start}",
                           f"--stop-address={end}", str(library)], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    return {int(at, 16): what for at, what in re.findall(r"^ +(\w+):\t(.*)$", told, re.MULTILINE)}


@pytest.mark.parametrize("part", [0, 1, 2])
def test_no_other_place_is_taken_for_a_beginning(boundaries: Boundaries, part: int) -> None:
    """In a C library each place that is called a beginning is one, and nine of ten are called so."""
    library = next(Path(line.split()[-1]).resolve() for line in
                   Path("/proc/self/maps").read_text().splitlines() if "libc.so" in line or "libc-" in line)
    address, place, size = text_of(library)
    start, length = part * size // 3, 100_000
    real = {at - address + place for at in disassembled(library, address + start, address + start + length)}

    said = boundaries(library, place + start + AROUND, place + start + length - AROUND)

    judged = {at for at in real if place + start + AROUND <= at < place + start + length - AROUND}
    assert set() == said - real
    assert len(judged) * 9 < len(said) * 10


#: Bytes before `mov $13, %eax; syscall` (or what looks like it) -> whether an instruction begins there.
CASES = {
    "a function's first": (b"\xc3" + b"\x90" * 40, True),
    "behind a longer nop": (b"\x90" * 60 + b"\x66\x66\x2e\x0f\x1f\x84\0\0\0\0\0", True),
    "the end of movl $13, -72(%rsp)": (b"\x90" * 60 + b"\xc7\x44\x24", False),
    "behind vzeroupper": (b"\x90" * 60 + b"\xc5\xf8\x77", True),
    "behind an instruction of EVEX": (b"\x90" * 60 + b"\x62\xf1\x7c\x48\x10\x00", True),
    "behind REX2, which nobody has read": (b"\x90" * 60 + b"\xd5\x08\x89\xc0", False),
    "behind XOP, or a pop": (b"\x90" * 60 + b"\x8f\xe8\x78\xc0", False),
}


@pytest.mark.parametrize("before, expected", CASES.values(), ids=CASES)
def test_what_comes_before_decides(boundaries: Boundaries, tmp_path: Path, before: bytes,
                                   expected: bool) -> None:
    """The bytes of a mov are one only where every reading that makes sense comes by them."""
    code = b"\x90" * AROUND + before
    (tmp_path / "code").write_bytes(code + b"\xb8\x0d\0\0\0\x0f\x05" + b"\x90" * AROUND)

    said = boundaries(tmp_path / "code", len(code), len(code) + 1)

    assert expected == (said == {len(code)})


def test_where_it_cannot_be_read_there_is_no_beginning(boundaries: Boundaries, tmp_path: Path) -> None:
    """A page before the text is nobody's: what comes before its first bytes is not known."""
    (tmp_path / "code").write_bytes(b"\x90" * 4 * AROUND)

    said = boundaries(tmp_path / "code", 0, 4 * AROUND)

    assert 0 < min(said) <= AROUND and max(said) < 4 * AROUND
