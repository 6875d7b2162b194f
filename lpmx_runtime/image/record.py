"""The last step of getting an image: its documents, its index and its record."""
from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Iterator

from ..errors import LpmxError
from ..oci.config import ImageConfig
from ..oci.digest import digest_of
from ..oci.reference import Reference
from ..store import Image, Store
from ..store.collect import collect
from ..store.usage import layer_size


def record(store: Store, reference: Reference, *, manifest: bytes, config: bytes,
           origin: str) -> Image:
    """Record the image whose layers are in the store, and return it.

    The caller has been `Store.keeping` them.
    """
    parsed = ImageConfig.parse(config)
    digest, config_digest = digest_of(manifest), digest_of(config)
    store.indexes.ensure(parsed.diff_ids)
    store.blobs.put(digest, [manifest])
    store.blobs.put(config_digest, [config])
    image = Image(name=str(reference), digest=digest, config_digest=config_digest,
                  diff_ids=parsed.diff_ids, config=parsed.raw,
                  size=sum(layer_size(store, diff_id) for diff_id in set(parsed.diff_ids)),
                  origin=origin, added=time.time())
    store.images.put(image)
    return image


@contextmanager
def all_or_nothing(store: Store) -> Iterator[None]:
    """While the block runs nothing is collected. If it fails, the store is as it was;
    if an image has taken another's name, what only that one needed is freed.

    What another process is counting on meanwhile stays until somebody collects.
    """
    before = _manifests(store)
    try:
        with store.keeping():
            yield
    except BaseException:
        collect_quietly(store)
        raise
    after = _manifests(store)
    if any(after.get(name) != digest for name, digest in before.items()):
        collect_quietly(store)


def _manifests(store: Store) -> dict[str, str]:
    return {image.name: image.digest for image in store.images.own()}


def collect_quietly(store: Store) -> None:
    """Free what nobody needs, if that can be done now."""
    try:
        collect(store)
    except (LpmxError, OSError):
        pass  # what made us collect is the news
