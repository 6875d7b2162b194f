"""Random images: layers that add, replace, hide and bring back what is below them.

The same for the same seed. What an image can do to a path is all here: whiteouts, opaque
directories, an object of one type in the place of another, hard links of which a later layer
hides some, links in the place of directories, modes that lock the owner out.
"""
from __future__ import annotations

import posixpath
import random
from typing import Dict, List

from .layers import (LONG_AGO, WHITEOUT, Layer, Thing, device, directory, fifo, link, opaque, regular,
                     same_as)

NAMES = ["a", "b", "c", "d", "e", "one", "two", "hosts", "sub", "old", "x.so", "leaf"]
TOPS = ["etc", "data", "deep", "usr", "links"]
DIRECTORY_MODES = [0o755] * 6 + [0o700, 0o555, 0o711, 0o1777, 0o2755, 0o300, 0]
FILE_MODES = [0o644] * 4 + [0o600, 0o444, 0o755, 0o4755, 0o2755, 0o640, 0]
OWNERS = [0] * 4 + [7, 33, 1000, 65534]


def random_layers(seed: int) -> List[Layer]:
    """An image of 2 to 12 layers."""
    painter = _Painter(random.Random(seed))
    for _ in range(painter.random.randint(1, 11)):
        painter.another(painter.random.randint(2, 14))
    return painter.layers


class _Painter:
    def __init__(self, chance: random.Random) -> None:
        self.random = chance
        self.merged: Dict[str, Thing] = {}   # what the layers so far show
        self.layers: List[Layer] = []
        self._base()

    def _base(self) -> None:
        base = self._begin()
        for path, thing in (("proc", directory(0o555)), ("tmp", directory(0o1777)),
                            ("keep", directory()), ("keep/old", regular(b"kept")),
                            ("keep/stay", directory()), ("keep/stay/a", regular(b"stays"))):
            self._put(base, path, thing)
        for top in TOPS:
            self._put(base, top, self._directory())
        for _ in range(self.random.randint(10, 40)):
            self._add(base)

    def another(self, changes: int) -> None:
        """One more layer over the others."""
        layer = self._begin()
        for _ in range(changes):
            self.random.choice([self._add, self._add, self._replace, self._hide, self._opaque])(layer)

    def _begin(self) -> Layer:
        layer: Layer = {"": directory()}
        self.merged.setdefault("", layer[""])
        self.layers.append(layer)
        return layer

    # -- what a layer can do

    def _add(self, layer: Layer) -> None:
        path = posixpath.join(self.random.choice(self._directories()), self.random.choice(NAMES))
        if path not in self.merged and path not in layer:
            self._put(layer, path, self._anything(layer, path))

    def _replace(self, layer: Layer) -> None:
        path = self._of_below(layer)
        if path:
            self._put(layer, path, self._anything(layer, path))

    def _hide(self, layer: Layer) -> None:
        path = self._of_below(layer)
        if path:
            self._put(layer, path, WHITEOUT)

    def _opaque(self, layer: Layer) -> None:
        path = self._of_below(layer)
        if path and self.merged[path].kind in ("directory", "opaque"):
            self._put(layer, path, opaque(self.random.choice(DIRECTORY_MODES)))

    # -- parts

    def _directories(self) -> List[str]:
        return [path for path, thing in self.merged.items()
                if thing.kind in ("directory", "opaque") and path not in ("", "proc")
                and path.count("/") < 4]

    def _of_below(self, layer: Layer) -> str:
        """Something of the layers below that this one has said nothing about, or nothing."""
        found = [path for path in self.merged
                 if path not in layer and path.split("/")[0] not in ("", "proc", "tmp", "keep")
                 and not any(said.startswith(path + "/") for said in layer)]
        return self.random.choice(found) if found else ""

    def _put(self, layer: Layer, path: str, thing: Thing) -> None:
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            above = "/".join(parts[:depth])
            if above not in layer:
                there = self.merged[above]
                layer[above] = directory(there.mode, uid=there.uid, gid=there.gid, mtime=there.mtime)
                self.merged[above] = layer[above]
        layer[path] = thing
        if thing.kind != "directory" or self.merged.get(path, thing).kind not in ("directory", "opaque"):
            for below in [p for p in self.merged if p.startswith(path + "/")]:
                del self.merged[below]
        if thing == WHITEOUT:
            del self.merged[path]
        else:
            self.merged[path] = thing

    def _directory(self) -> Thing:
        r = self.random
        return directory(r.choice(DIRECTORY_MODES), uid=r.choice(OWNERS), gid=r.choice(OWNERS),
                         mtime=LONG_AGO + r.randrange(100))

    def _anything(self, layer: Layer, path: str) -> Thing:
        r = self.random
        chance = r.random()
        if chance < 0.3:
            return self._directory()
        if chance < 0.45:
            return link(self._target(path))
        if chance < 0.55:
            files = [p for p, thing in layer.items() if thing.kind == "regular"]
            if files:
                return same_as(r.choice(files))
        if chance < 0.58:
            return fifo(r.choice(FILE_MODES) & 0o777)
        if chance < 0.6:
            return device(1, 3, 0o666)
        content = r.choice([b"", b"short", b"line\n" * r.randrange(1, 3000),
                            b"begin" + bytes(r.randrange(200_000)) + b"end"])
        attributes = {"user.note": b"n%d" % r.randrange(9)} if r.random() < 0.2 else {}
        return regular(content, r.choice(FILE_MODES), uid=r.choice(OWNERS), gid=r.choice(OWNERS),
                       mtime=LONG_AGO + r.randrange(100), xattrs=attributes)

    def _target(self, path: str) -> str:
        r = self.random
        some = r.choice([each for each in self.merged if each != "proc"])
        return r.choice(["/" + some, posixpath.relpath("/" + some, "/" + posixpath.dirname(path)),
                         "..", "/nowhere/at/all", r.choice(NAMES), "/tmp/d"])
