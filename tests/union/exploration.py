"""Random sequences over random layers, as many as asked for, and what differs in them."""
from __future__ import annotations

from pathlib import Path
from typing import Iterable, List, Optional, Sequence

from .chance import Generator
from .chance_layers import random_layers
from .layers import Layer
from .scenario import changed_layers, differences, smallest
from .scenes import image
from .worlds import Bench

#: Operations of a sequence, and after how many the tree is looked at.
LENGTH, LOOK = 300, 150
#: Sequences over the same layers, each in a fresh upper.
SEQUENCES = 6


def layers_of(scene: int) -> List[Layer]:
    """0: the layers that fixed cases begin with; else random ones."""
    return random_layers(scene) if scene else image()


def seeds_of(scene: int) -> range:
    """Of the sequences over these layers."""
    return range(scene * 1000, scene * 1000 + SEQUENCES)


def explore(layers: Sequence[Layer], worlds: Iterable[str], seeds: Iterable[int],
            place: Optional[Path] = None, *, length: int = LENGTH, look: int = LOOK) -> List[str]:
    """What differs in a sequence for each seed: the smallest that still does, and how."""
    found = []
    with Bench(layers, worlds, place) as bench:
        for seed in seeds:
            operations = Generator(seed, layers).sequence(length)
            if differences(bench, operations, look_every=look, layers_too=False):
                fewest = smallest(bench, operations)
                found += [f"seed {seed}:", *(f"    {each}" for each in fewest),
                          *differences(bench, fewest)]
        found += changed_layers(bench)
    return found
