"""The file system against a plain directory and kernel overlayfs, for hours."""
from __future__ import annotations

import os
from typing import Callable

import pytest
from union.chance import Generator
from union.scenario import differences, smallest
from union.scenes import image
from union.worlds import Bench

pytestmark = pytest.mark.root

LENGTH = 120
SEQUENCES = int(os.environ.get("LPMX_SOAK_OPERATIONS", 120_000)) // LENGTH


@pytest.mark.parametrize("door", ["python", "trap", "preload"])
def test_random_operations(record: Callable[[str, str, int, str], None], door: str) -> None:
    """What any number of operations leave behind is what they leave in a plain directory."""
    first = int(os.environ.get("LPMX_SOAK_SEED", 1_000_000))
    failures = []
    with Bench(image(), ["plain", "overlay", door]) as bench:
        for seed in range(first, first + SEQUENCES):
            operations = Generator(seed).sequence(LENGTH)
            if differences(bench, operations, look_every=60):
                fewest = smallest(bench, operations)
                failures += [f"seed {seed}: {fewest}", *differences(bench, fewest)]
    record("union", f"random operations through {door}", SEQUENCES * LENGTH,
           f"{len(failures)} differences" if failures else "no difference")

    assert [] == failures
