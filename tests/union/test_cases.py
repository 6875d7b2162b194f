"""Single operations and short stories, in every world."""
from __future__ import annotations

from typing import Iterator

import pytest

from . import cases, cases_descriptors, cases_executed
from .scenario import differences
from .scenes import image, ordinary
from .worlds import SANITIZERS, Bench

pytestmark = pytest.mark.root

CASES = {**cases.CASES, **cases_descriptors.CASES}


@pytest.fixture(scope="module")
def indexed() -> Iterator[Bench]:
    """An image of three layers, in a plain directory, on overlayfs and in our view; there
    also through the core under sanitizers."""
    with Bench(image(), ["plain", "overlay", "python", "trap", "rewritten", "preload", *SANITIZERS]) as bench:
        yield bench


@pytest.fixture(scope="module")
def live() -> Iterator[Bench]:
    """A directory that is not indexed, as the machine's own "/" is for the image `host`."""
    with Bench(ordinary(image()), ["plain", "overlay", "live"]) as bench:
        yield bench


@pytest.mark.parametrize("case", CASES)
def test_case_is_as_in_a_plain_directory(indexed: Bench, case: str) -> None:
    """Results, errors, metadata and the whole tree are those of the kernel."""
    assert [] == differences(indexed, CASES[case])


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("hard link")])
def test_case_is_as_in_a_plain_directory_over_a_live_one(live: Bench, case: str) -> None:
    """The same over a lower layer that is a directory of the machine."""
    assert [] == differences(live, CASES[case])


@pytest.fixture(scope="module")
def executing() -> Iterator[Bench]:
    """The image with programs in it, in those worlds in which they can be executed."""
    with Bench([*image(), cases_executed.layer()], ["plain", "overlay", "trap", "rewritten", "preload"]) as bench:
        yield bench


@pytest.mark.parametrize("case", cases_executed.EXECUTED)
def test_what_is_executed_is_as_in_a_plain_directory(executing: Bench, case: str) -> None:
    """By names and by descriptors, which may be all that is left of a program."""
    assert [] == differences(executing, cases_executed.EXECUTED[case])
