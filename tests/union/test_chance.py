"""Random sequences of operations over random layers, in every world.

A failure prints the smallest sequence that still differs. What runs for hours is in
tests/soak/test_union.py.
"""
from __future__ import annotations

import pytest

from .exploration import explore, layers_of, seeds_of
from .scenes import ordinary
from .worlds import SANITIZERS, scratch

pytestmark = [pytest.mark.root, pytest.mark.timeout(0)]


@pytest.mark.parametrize("scene", range(12))
def test_random_operations_over_an_image(scene: int) -> None:
    """What they leave behind is what they leave in a plain directory, through every door."""
    assert [] == explore(layers_of(scene), ["plain", "overlay", "python", "trap", "preload"],
                         seeds_of(scene), scratch())


@pytest.mark.parametrize("scene", range(3))
def test_random_operations_over_a_live_directory(scene: int) -> None:
    """The same over a lower layer that is a directory of the machine."""
    assert [] == explore(ordinary(layers_of(scene)), ["plain", "overlay", "live"],
                         seeds_of(scene), scratch())


@pytest.mark.parametrize("scene", [12])
def test_random_operations_under_sanitizers(scene: int) -> None:
    """The same through the core built with AddressSanitizer, UBSan and ThreadSanitizer."""
    assert [] == explore(layers_of(scene), ["plain", "overlay", *SANITIZERS], seeds_of(scene),
                         scratch())
