"""A store lived in by commands that are killed at random moments, wherever they are."""
from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Set

from lpmx_runtime.container import Container
from lpmx_runtime.store import Store
from lpmx_runtime.store.verify import verify

from . import layers
from .layers import directory, file, link
from .small_registry import SmallRegistry

BASE = layers.tar(directory(b"d"), file(b"d/a", b"a" * 1000), link(b"d/b", b"d/a"), file(b"f"))
LARGE = layers.tar(*(file(b"large%d" % n, bytes([n]) * 100_000) for n in range(30)))


class Life:
    """The commands in the order of a store's life, each killed and then done.

    `lpmx` runs one (the fixture of that name).
    """

    def __init__(self, lpmx: Callable[..., Any], store: Path, place: Path, registry: SmallRegistry,
                 seed: int) -> None:
        registry.image("team/demo", "1", [BASE, LARGE])
        self._lpmx = lpmx
        self._store = store
        self._chance = random.Random(seed)
        self._file = place / "archive.tar"
        self._changed = place / "changed"
        self._changed.write_bytes(b"changed" * 10_000)
        self._pulled = f"{registry.address}/team/demo:1"
        self._seconds: Dict[str, float] = {}

    def round(self) -> int:
        """From an empty store to an empty store; how many commands were killed."""
        pulled = {self._pulled}
        return sum((
            self._one(["pull", "-q", self._pulled], pulled, set()),
            self._one(["save", "-q", "-o", str(self._file), self._pulled], pulled, set()),
            self._one(["create", "--contain", "--name", "work", self._pulled], pulled, {"work"}),
            self._one(["cp", str(self._changed), "work:/d/a"], pulled, {"work"}),
            self._one(["commit", "-q", "work", "made:1"], {*pulled, "made:1"}, {"work"}),
            self._one(["rm", "work"], {*pulled, "made:1"}, set()),
            self._one(["rmi", self._pulled], {"made:1"}, set()),
            self._one(["load", "-q", str(self._file)], {"made:1", *pulled}, set()),
            self._one(["rmi", self._pulled], {"made:1"}, set()),
            self._one(["rmi", "made:1"], set(), set()),
            self._one(["gc"], set(), set())))

    def _one(self, words: List[str], images: Set[str], containers: Set[str]) -> int:
        """Have the command killed, look at everything, have it done, and look again."""
        before = self._names()
        after = {"images": images, "containers": containers}
        killed = self._is_killed(words)
        self._look()
        assert self._names() in (before, after), words
        done = self._lpmx(*words)
        # it may have been through when it was killed
        assert not done.returncode or self._names() == after, f"{words}: {done.stderr}"
        self._look()
        assert self._names() == after, words
        return killed

    def _is_killed(self, words: List[str]) -> int:
        usual = self._seconds.get(words[0], 0.5)
        begin = time.monotonic()
        try:
            self._lpmx(*words, timeout=self._chance.random() * usual)
        except subprocess.TimeoutExpired:   # subprocess.run kills
            return 1
        self._seconds[words[0]] = time.monotonic() - begin
        return 0

    def _names(self) -> Dict[str, Set[str]]:
        store = Store.open(self._store)
        return {"images": {image.familiar for image in store.images.list()},
                "containers": {container.name for container in Container.list(store)}}

    def _look(self) -> None:
        """All there is is whole."""
        store = Store.open(self._store)
        assert [] == list(verify(store, content=True))
        assert [] == Container.damaged(store)
        for container in Container.list(store):
            with Container.open(store, container.name).view() as view:
                # a copy is written where it belongs, as by cp
                assert (view.read("/d/a") == b"a" * 1000
                        or self._changed.read_bytes().startswith(view.read("/d/a")))
                assert view.read("/large3") == b"\3" * 100_000
