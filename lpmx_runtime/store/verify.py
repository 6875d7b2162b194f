"""Whether what is in the store is what it was when it came.

After a loss of power, a full or failing disk, or somebody's `rm`: every record,
list and table is read and compared with the others, and every name of a layer's
tree with the layer's entry list. Content is hashed again if that is asked for: a layer
that gives the tar that its diff ID names is what it was.
"""
from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Callable, Iterator, NamedTuple

from ..errors import StoreError
from ..oci.digest import Verifier
from .entries import IMPLIED, OBJECT, read_raw
from .index_reader import IndexReader

if TYPE_CHECKING:
    from .layout import Store


class Fault(NamedTuple):
    """Something that is not as it was, and what to do about it."""

    thing: str
    cause: str
    remedy: str


def verify(store: "Store", *, content: bool = False,
           on_layer: Callable[[str], object] = lambda diff_id: None) -> Iterator[Fault]:
    """All faults of the store; none if the iterator is empty. With `content` all bytes are
    hashed again. `on_layer` is told each layer before it is looked at."""
    try:
        images = store.images.own()
    except StoreError as error:
        yield Fault("images", str(error), error.hint or "")
        images = []
    for image in images:
        remedy = f'run "lpmx rmi {image.familiar}" and fetch it again'
        for diff_id in image.diff_ids:
            if not store.layers.has(diff_id):
                yield Fault(f'image "{image.familiar}"', f"its layer {diff_id} is missing", remedy)
        for digest in filter(None, (image.digest, image.config_digest)):
            if not store.blobs.has(digest):
                yield Fault(f'image "{image.familiar}"', f"its blob {digest} is missing", remedy)
    users = {diff_id: image.familiar for image in images for diff_id in image.diff_ids}
    for diff_id in store.layers.list():
        on_layer(diff_id)
        remedy = (f'run "lpmx rmi {users[diff_id]}" and fetch it again' if diff_id in users
                  else "no image needs it; it goes with the next image that is removed")
        sound = True
        for cause in _layer_faults(store, diff_id):
            sound = False
            yield Fault(f"layer {diff_id}", cause, remedy)
        if sound and content:
            try:
                for _ in store.layers.tar(diff_id):
                    pass
            except StoreError as error:
                yield Fault(f"layer {diff_id}", str(error).partition(": ")[2], remedy)
    yield from _index_faults(store)
    yield from _blob_faults(store)


def _layer_faults(store: "Store", diff_id: str) -> Iterator[str]:
    try:
        tree = os.fsencode(store.layers.tree(diff_id))
        expected = {path: record for path, _, record in read_raw(store.layers.entries(diff_id))
                    if record[0] in (OBJECT, IMPLIED)}
    except StoreError as error:
        yield str(error)
        return
    found = {b""}
    todo = [b""]
    while todo:
        above = todo.pop()
        with os.scandir(os.path.join(tree, above)) as names:
            for name in names:
                path = above + b"/" + name.name if above else name.name
                found.add(path)
                cause = _difference(expected.get(path), name)
                if cause:
                    yield f"{_show(path)} {cause}"
                elif name.is_dir(follow_symlinks=False):
                    todo.append(path)
    for path in expected.keys() - found:
        if path.rpartition(b"/")[0] in found:
            yield f"{_show(path)} is missing"


def _difference(record: "tuple[int, ...] | None", name: "os.DirEntry[bytes]") -> str:
    """How what is on the disk differs from what the layer says of it; "" if it does not."""
    if record is None:
        return "is not the layer's"
    about = name.stat(follow_symlinks=False)
    kind, size = stat.S_IFMT(record[1]), record[4]
    if kind not in (stat.S_IFDIR, stat.S_IFLNK):
        kind = stat.S_IFREG  # devices and the like are empty files on disk
    if stat.S_IFMT(about.st_mode) != kind:
        return "is of another type"
    if kind != stat.S_IFDIR and about.st_size != size:
        return f"has {about.st_size} bytes instead of {size}"
    return ""


def _index_faults(store: "Store") -> Iterator[Fault]:
    for path in sorted(store.indexes.directory.glob("*/[!.]*")):
        try:
            cause = IndexReader(path).fault()
        except StoreError as error:
            cause = str(error)
        if cause:
            yield Fault(f"index {path.parent.name}:{path.name}", cause,
                        'run "lpmx verify --repair"')


def _blob_faults(store: "Store") -> Iterator[Fault]:
    for digest in store.blobs.list():
        verifier = Verifier(digest)
        with store.blobs.open(digest) as blob:
            while piece := blob.read(1 << 20):
                verifier.update(piece)
        if not verifier.agrees:
            yield Fault(f"blob {digest}", "its bytes hash to something else",
                        f'remove "{store.blobs.path(digest)}" and fetch its image again')


def _show(path: bytes) -> str:
    return '"' + (path.decode("utf-8", "backslashreplace") or "/")[:200] + '"'
