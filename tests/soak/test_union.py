"""The file system against a plain directory and kernel overlayfs: random operations for hours.

LPMX_SOAK_OPERATIONS is how many there are, LPMX_SOAK_SCENE the first of the seeds of layers.
A run that begins where another ended does what that would have done next.
"""
from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Callable, List, Optional

import pytest
from support import images
from union.exploration import SEQUENCES, explore, layers_of, seeds_of
from union.layers import Layer
from union.scenes import ordinary
from union.worlds import SANITIZERS, scratch

pytestmark = pytest.mark.root

OPERATIONS = int(os.environ.get("LPMX_SOAK_OPERATIONS", 2_000_000))
FIRST = int(os.environ.get("LPMX_SOAK_SCENE", 100))
#: Longer than in `make test`: fresh worlds cost more than what is done in them.
LENGTH, LOOK = 900, 300
#: Who wants to see what is wrong need not wait for what else is.
ENOUGH = 200
#: Where to read it, whole, as it is found.
DIFFERENT = images.CHECKOUT / ".cache" / "union-differences"

Record = Callable[[str, str, int, str], None]


def _explore(record: Record, what: str, operations: int,
             layers: Callable[[int], List[Layer]], worlds: List[str],
             place: Optional[Path]) -> List[str]:
    """Explore scene after scene, until that many operations are done, and record it."""
    done, found, scene = 0, [], FIRST
    for scene in itertools.count(FIRST):
        new = explore(layers(scene), worlds, seeds_of(scene), place, length=LENGTH, look=LOOK)
        with open(DIFFERENT, "a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in new)
        found += new
        done += LENGTH * SEQUENCES
        if done >= operations or len(found) > ENOUGH:
            break
    differing = sum(line.startswith("seed ") for line in found)
    result = f"{differing} sequences differ" if found else "no difference"
    record("union", what, done, f"{result} (scenes {FIRST}-{scene})")
    return found


def test_random_operations(record: Record) -> None:
    """What two million operations leave behind, through every door, is what they leave in a
    plain directory."""
    found = _explore(record, "random operations through all doors", OPERATIONS, layers_of,
                     ["plain", "overlay", "python", "trap", "rewritten", "preload"], scratch())

    assert [] == found


def test_random_operations_on_disk(record: Record) -> None:
    """The same on the machine's disk instead of in memory."""
    found = _explore(record, "random operations on disk", OPERATIONS // 20, layers_of,
                     ["plain", "overlay", "python"], None)

    assert [] == found


def test_random_operations_over_a_live_directory(record: Record) -> None:
    """The same over a lower layer that is a directory of the machine."""
    found = _explore(record, "random operations over a live directory", OPERATIONS // 20,
                     lambda scene: ordinary(layers_of(scene)), ["plain", "overlay", "live"],
                     scratch())

    assert [] == found


def test_random_operations_under_sanitizers(record: Record) -> None:
    """The same through the core built with AddressSanitizer and UBSan, and with
    ThreadSanitizer while another thread looks about."""
    found = _explore(record, "random operations under sanitizers", OPERATIONS // 20, layers_of,
                     ["plain", "overlay", *SANITIZERS], scratch())

    assert [] == found
