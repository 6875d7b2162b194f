"""What fuzzing begins with, and what it has found once: read without a crash (`make fuzz`)."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Iterator, List

import pytest
from union.bare import Bare
from union.hosted import hosted
from union.scenes import image

from fuzz import readers
from fuzz.run import CORE, READERS, live_in, seeds_of, variables

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def bare() -> Iterator[Bare]:
    with Bare(image()) as made:
        yield made


def inputs(bare: Bare, target: str) -> List[bytes]:
    return [*seeds_of(bare)[target],
            *(path.read_bytes() for path in sorted((HERE / "corpus" / target).glob("*")))]


@pytest.mark.parametrize("target", CORE)
def test_the_core_reads_whatever_was_found(bare: Bare, tmp_path: Path, target: str) -> None:
    """Under AddressSanitizer and UBSan: no crash, and nothing outside the view."""
    files = [tmp_path / str(number) for number, _ in enumerate(inputs(bare, target))]
    for path, data in zip(files, inputs(bare, target)):
        path.write_bytes(data)
    program = hosted("../fuzz/core.c", sanitize="address,undefined",
                     options=[f"-DTARGET={target}", "-DALONE", "-w"])

    with Bare(image()) as lived_in:
        live_in(lived_in)
        done = subprocess.run([program, *files], env={**os.environ, **variables(lived_in)},
                              stderr=subprocess.PIPE, text=True, errors="replace")

    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("target", READERS)
def test_readers_answer_whatever_was_found(bare: Bare, target: str) -> None:
    """By success or by an error of ours."""
    for data in inputs(bare, target):
        readers.read(target, data)
