"""One of many that use a store at once: `crowd.py STORE REGISTRY NUMBER ROUNDS`, and `crowd.py STORE`
at the end, which prints what is wrong with the store.

It pulls images that share layers, makes containers of them, reads in these, removes both, and
collects, in an order of its own. That an image is gone by now, or is somebody's, is no failure;
anything else is. At the end it prints how often it did what.
"""
from __future__ import annotations

import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Counter as Counts

from lpmx_runtime.container import Container, Options
from lpmx_runtime.errors import ImageInUse, ImageUnknown, StoreLocked
from lpmx_runtime.image.pull import pull
from lpmx_runtime.registry.patience import Patience
from lpmx_runtime.store import Store
from lpmx_runtime.store.collect import collect, remove_image
from lpmx_runtime.store.verify import verify

if TYPE_CHECKING:
    from support.small_registry import SmallRegistry

#: What there is in the registry: tag -> layers.
IMAGES = {str(number): ("base", f"half{number % 2}", f"own{number}") for number in range(6)}
#: The registry serves all of them from one process.
PATIENT = Patience(connect=60, read=60)


class Crowd:
    def __init__(self, store: Path, registry: str, number: int) -> None:
        self._store = Store.open(store)
        self._registry, self._number = registry, number
        self._random = random.Random(number)
        self.done: Counts[str] = Counter()

    def round(self) -> None:
        tag = self._random.choice(sorted(IMAGES))
        name = f"{self._registry}/crowd:{tag}"
        pull(self._store, name, patience=PATIENT)
        self.done["pulled"] += 1
        self._contain(tag, name)
        if self._random.random() < 0.7:
            self._remove(f"{self._registry}/crowd:{self._random.choice(sorted(IMAGES))}")
        try:
            collect(self._store)
            self.done["collected"] += 1
        except StoreLocked:
            self.done["collected by others"] += 1

    def _contain(self, tag: str, name: str) -> None:
        try:
            container = Container.create(self._store, self._store.images.get(name),
                                         name=f"c{self._number}", options=Options(contain=True))
        except ImageUnknown:
            self.done["gone before a container was made"] += 1
            return
        with container.view() as view:
            for layer in IMAGES[tag]:
                assert layer.encode() * 1000 == view.read(f"/{layer}"), layer
            view.write("/mine", b"%d" % self._number)
        container.remove()
        self.done["contained"] += 1

    def _remove(self, name: str) -> None:
        try:
            remove_image(self._store, name)
            self.done["removed"] += 1
        except ImageUnknown:
            self.done["removed by others"] += 1
        except ImageInUse:
            self.done["in use"] += 1


def fill(registry: "SmallRegistry") -> None:
    """Have in the registry what a crowd pulls."""
    from support import layers
    for tag, names in IMAGES.items():
        registry.image("crowd", tag, [layers.tar(layers.file(name.encode(), name.encode() * 1000))
                                      for name in names])


def faults(store: Store) -> "list[str]":
    """What is wrong with the store once nobody uses it: what is damaged, missing, or of no use."""
    collect(store)
    found = [str(fault) for fault in verify(store, content=True)]
    found += [f"left: {path}" for name in ("containers", "tmp") for path in (store.path / name).iterdir()]
    needed = {diff_id.partition(":")[2] for image in store.images.list()
              for diff_id in image.diff_ids}
    there = {path.name for path in (store.path / "layers/sha256").iterdir()}
    return found + [f"layer: {name}" for name in needed ^ there]


def main() -> None:
    if len(sys.argv) == 2:
        print(json.dumps(faults(Store.open(Path(sys.argv[1])))))
        return
    crowd = Crowd(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    for _ in range(int(sys.argv[4])):
        crowd.round()
    print(json.dumps(crowd.done))


if __name__ == "__main__":
    main()
