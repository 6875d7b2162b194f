"""A thousand rounds of threads, signals, forks and jumps, in every kind of view."""
from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from programs.test_programs import VIEWS, Bench
from programs.test_programs import bench as bench  # a fixture

ROUNDS = 1000


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("linking", ["dynamic", "static", "musl-static"])
def test_a_thousand_rounds(bench: Bench, record: Callable[..., None], view: str,
                           linking: str) -> None:
    """No wrong answer, no descriptor left, no deadlock (tests/programs/stress.c)."""
    program = Path(bench.program("stress", linking))
    said, count = "", 0
    for _ in range(ROUNDS // 50):
        done = bench.run([str(program)], view, ROUNDS="50")
        said = f"{done.returncode} {done.stdout}"
        if said != "0 descriptors left: 0\nfailures: 0\n":
            break
        count += 50
    record("stress", f"rounds, {linking}, {view}", count, "right" if count == ROUNDS else said)
    assert ROUNDS == count, said
