"""What is damaged in a store is found and named."""
from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Callable

import pytest
from support import layers
from support.layers import directory, file, link, symlink

from lpmx_runtime.store import Image, Store
from lpmx_runtime.store.verify import verify


@pytest.fixture
def opened(store: Path) -> Store:
    """A store with one image of two layers, grafts and all."""
    opened = Store.open(store)
    tars = [layers.tar(directory(b"usr/lib"), symlink(b"lib", b"usr/lib"), file(b"a", b"content"),
                       layers.device(b"dev/null", b"3", 1, 3), link(b"b", b"a"),
                       file(b"closed/f", b"x"), directory(b"closed", 0o000)),
            layers.tar(file(b"lib/x", b"new"), link(b"c", b"a"), layers.whiteout(b"b"))]
    diff_ids = tuple(opened.layers.add(io.BytesIO(data)) for data in tars)
    config = json.dumps({"rootfs": {"diff_ids": diff_ids}}).encode()
    manifest = json.dumps({"config": layers.diff_id(config)}).encode()
    for blob in (config, manifest):
        opened.blobs.put(layers.diff_id(blob), [blob])
    opened.indexes.ensure(diff_ids)
    opened.images.put(Image("docker.io/library/it:1", layers.diff_id(manifest),
                            layers.diff_id(config), diff_ids, {}, 1, "loaded", 0.0))
    return opened


def test_whole_store_has_no_faults(opened: Store) -> None:
    """Also with all that a tree shows otherwise than the layer says."""
    assert [] == list(verify(opened))


def writable(path: Path) -> Path:
    path.parent.chmod(0o755)
    return path


def base(store: Store, name: str) -> Path:
    return store.layers.tree(store.images.list()[0].diff_ids[0]) / name


Damage = Callable[[Store], object]


@pytest.mark.parametrize("damage,thing,cause", [
    (lambda store: writable(base(store, "a")).unlink(), "layer sha256:", '"a" is missing'),
    (lambda store: os.truncate(base(store, "closed/f"), 3), "layer sha256:",
     '"closed/f" has 3 bytes instead of 1'),
    (lambda store: writable(base(store, "new")).touch(), "layer sha256:",
     '"new" is not the layer\'s'),
    (lambda store: (writable(base(store, "lib")).unlink(), base(store, "lib").mkdir()),
     "layer sha256:", '"lib" is of another type'),
    (lambda store: store.layers.entries(store.images.list()[0].diff_ids[0]).write_bytes(b"x"),
     "layer sha256:", "it is no entry list"),
    (lambda store: store.layers.remove(store.images.list()[0].diff_ids[1]), 'image "it:1"',
     "is missing"),
    (lambda store: store.blobs.remove(store.blobs.list()[0]), 'image "it:1"', "its blob sha256:"),
    (lambda store: store.blobs.path(store.blobs.list()[0]).write_bytes(b"{}"), "blob sha256:",
     "its bytes hash to something else"),
    (lambda store: next(store.indexes.directory.glob("*/*")).write_bytes(b"x"), "index sha256:",
     "it is no index"),
    (lambda store: next(store.images.directory.iterdir()).write_text("{"), "images",
     "it is damaged"),
])
def test_damage_is_found(opened: Store, damage: Damage, thing: str, cause: str) -> None:
    """With the thing, the cause and what to do."""
    damage(opened)

    fault, = verify(opened)

    assert fault.thing.startswith(thing) and cause in fault.cause and fault.remedy
