"""Random sequences of operations, in every world.

A failure prints the smallest sequence that still differs. For a longer run:
LPMX_UNION_SEEDS=FIRST-LAST pytest tests/union/test_chance.py
"""
from __future__ import annotations

import os
from typing import Iterator, List

import pytest

from .chance import Generator
from .scenario import differences, smallest
from .scenes import image, ordinary
from .worlds import Bench

pytestmark = [pytest.mark.root, pytest.mark.timeout(0)]

LENGTH = 120
BLOCK = 10


def _blocks(count: int) -> List[range]:
    first, _, last = os.environ.get("LPMX_UNION_SEEDS", f"1-{count}").partition("-")
    seeds = range(int(first), int(last) + 1)
    return [seeds[at:at + BLOCK] for at in range(0, len(seeds), BLOCK)]


@pytest.fixture(scope="module")
def quick() -> Iterator[Bench]:
    with Bench(image(), ["plain", "overlay", "python"]) as bench:
        yield bench


@pytest.fixture(scope="module")
def programs() -> Iterator[Bench]:
    with Bench(image(), ["plain", "overlay", "trap", "preload"]) as bench:
        yield bench


@pytest.fixture(scope="module")
def live() -> Iterator[Bench]:
    with Bench(ordinary(image()), ["plain", "overlay", "live"]) as bench:
        yield bench


def _try(bench: Bench, seeds: range) -> None:
    for seed in seeds:
        operations = Generator(seed).sequence(LENGTH)
        found = differences(bench, operations, look_every=60)
        if found:
            fewest = smallest(bench, operations)
            again = differences(bench, fewest)
            lines = [f"seed {seed}:"] + [f"    {o}" for o in fewest] + (again or found)
            pytest.fail("\n".join(lines))


@pytest.mark.parametrize("seeds", _blocks(120), ids=str)
def test_random_operations_through_the_binding(quick: Bench, seeds: range) -> None:
    """What a thousand operations leave behind is what they leave in a plain directory."""
    _try(quick, seeds)


@pytest.mark.parametrize("seeds", _blocks(30), ids=str)
def test_random_operations_of_programs(programs: Bench, seeds: range) -> None:
    """The same for programs, by the trap alone and with the preload library."""
    _try(programs, seeds)


@pytest.mark.parametrize("seeds", _blocks(20), ids=str)
def test_random_operations_over_a_live_directory(live: Bench, seeds: range) -> None:
    """The same over a lower layer that is a directory of the machine."""
    _try(live, seeds)
