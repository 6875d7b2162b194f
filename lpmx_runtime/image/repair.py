"""Get what is damaged in a store again from where it came."""
from __future__ import annotations

from typing import BinaryIO, Iterable, Iterator, NamedTuple, Optional, cast

from ..container import Container
from ..errors import LpmxError
from ..oci.digest import short
from ..oci.manifest import CONFIG_LIMIT, Descriptor, Manifest, parse_manifest
from ..oci.reference import Reference
from ..progress import Note, Sink, ignore
from ..registry.client import Repository
from ..registry.patience import USUAL, Patience
from ..store import Image, Store
from ..store.index import chain_id
from ..store.verify import Fault
from .streams import ReadAhead, decompressed


class Outcome(NamedTuple):
    """What became of a thing with a fault; `failure` says why it still has it."""

    thing: str
    failure: Optional[str]


def repair(store: Store, faults: Iterable[Fault], *, insecure: bool = False,
           progress: Sink = ignore, patience: Patience = USUAL) -> Iterator[Outcome]:
    """Mend what `verify` has found, each thing once.

    An index is made anew. A layer or a config is fetched again from
    the registry that an image with it came from; programs may use it meanwhile.
    """
    done: set[str] = set()
    with store.keeping():
        # Layers first: an index is made of their lists.
        for fault in sorted(faults, key=lambda fault: fault.thing.startswith("index")):
            kind, _, digest = fault.thing.partition(" ")
            if fault.thing in done:
                continue
            done.add(fault.thing)
            try:
                if kind == "index":
                    _rebuild(store, digest)
                elif kind in ("layer", "blob"):
                    _fetch(store, digest, insecure, progress, patience)
                elif kind == "image":
                    for missing in _missing(store, fault):
                        if missing not in done:
                            done.update((f"layer {missing}", f"blob {missing}"))
                            _fetch(store, missing, insecure, progress, patience)
            except LpmxError as error:
                yield Outcome(fault.thing, error.message)
            else:
                yield Outcome(fault.thing, None)


def _rebuild(store: Store, chain: str) -> None:
    """Build an index again, for the images and containers that it is for."""
    chains = [image.diff_ids for image in store.images.own()]
    chains += [tuple(container.record["diff_ids"]) for container in Container.list(store)]
    for diff_ids in chains:
        if chain_id(diff_ids) == chain:
            store.indexes.rebuild(diff_ids)
            return
    raise LpmxError(f"cannot repair index {short(chain)}: no image and no container needs it",
                    hint='"lpmx gc" removes it')


def _missing(store: Store, fault: Fault) -> list[str]:
    image = store.images.find(fault.thing.partition('"')[2].rpartition('"')[0])
    layers = [diff_id for diff_id in image.diff_ids if not store.layers.has(diff_id)]
    blobs = [digest for digest in (image.digest, image.config_digest)
             if not store.blobs.has(digest)]
    return blobs + layers


def _fetch(store: Store, digest: str, insecure: bool, progress: Sink, patience: Patience) -> None:
    """Have the layer or the blob `digest` again."""
    failing = f"cannot repair {short(digest)}"
    last: Optional[LpmxError] = None
    for image in store.images.own():
        if digest not in (*image.diff_ids, image.digest, image.config_digest):
            continue
        progress(Note(f"getting {short(digest)} of {image.familiar} again"))
        try:
            with Repository(Reference.parse(image.name), failing=failing, insecure=insecure,
                            patience=patience, progress=progress) as repository:
                _fetch_from(store, repository, image, digest)
            return
        except LpmxError as error:
            last = error
    raise last or LpmxError(f"{failing}: no image of the store has it",
                            hint='"lpmx gc" removes what no image needs')


def _fetch_from(store: Store, repository: Repository, image: Image, digest: str) -> None:
    document = repository.manifest(image.digest)
    parsed = parse_manifest(document.data, document.media_type, failing=repository.failing)
    if digest == image.digest:
        store.blobs.put(digest, [document.data])
    elif isinstance(parsed, Manifest) and digest == image.config_digest:
        store.blobs.put(digest, [repository.document(parsed.config, CONFIG_LIMIT, "the config")])
    elif isinstance(parsed, Manifest):
        _fetch_layer(store, repository, dict(zip(image.diff_ids, parsed.layers))[digest], digest)


def _fetch_layer(store: Store, repository: Repository, layer: Descriptor, diff_id: str) -> None:
    label = f"layer {short(layer.digest)}"
    stream = repository.blob(layer, label)
    try:
        with ReadAhead(decompressed(stream, label)) as ahead:
            store.layers.replace(diff_id, cast(BinaryIO, ahead))
    finally:
        stream.close()
