"""Fetch an image from a registry into the store."""
from __future__ import annotations

from typing import Optional

from .. import settings
from ..errors import DigestMismatch, ImageDamaged, RegistryError
from ..oci.config import ImageConfig
from ..oci.digest import short
from ..oci.document import MAKE_AGAIN
from ..oci.manifest import (
    CONFIG_LIMIT,
    NESTING_LIMIT,
    Descriptor,
    Manifest,
    Platform,
    check_layers,
    choose,
    parse_manifest,
)
from ..oci.reference import Reference
from ..progress import Note, Sink, ignore
from ..registry.client import Document, Repository
from ..registry.patience import USUAL, Patience
from ..store import Image, Store
from .found import pair_layers
from .layers import LayerSource, store_layers
from .platform import check_image, host_platform
from .record import all_or_nothing, record

_ATTEMPTS = 2  # for a layer that arrives, but not as it was sent


def pull(store: Store, text: str, *, platform: Optional[str] = None, insecure: bool = False,
         progress: Sink = ignore, patience: Patience = USUAL) -> Image:
    """Have the image that `text` names in the store, and return it.

    Of an image index the image for `platform` ("linux/arm64") is taken, or the
    one for this machine. Layers come several at a time and are unpacked as
    they arrive; those that the store has are not fetched. Everything is
    verified by its digest. If anything fails, or the waiting thread is
    interrupted, the store is as it was.

    Mirrors of the registry, which the settings name, are asked first.
    A registry on loopback may speak plain HTTP, another one only if `insecure`
    says so or the setting `insecure_registries` names it.
    """
    reference = Reference.parse(text)
    wanted = Platform.parse(platform) if platform else host_platform()
    failing = f'cannot pull "{text}"'
    with all_or_nothing(store):
        for mirror in settings.registry_mirrors(reference.registry):
            try:
                with Repository(reference, failing=failing, insecure=insecure, progress=progress,
                                patience=patience, mirror=mirror) as repository:
                    return _pull(store, repository, wanted, progress)
            except (RegistryError, DigestMismatch) as error:
                # What it brought whole is in the store and not fetched again.
                progress(Note(f'mirror "{mirror}": {error}; trying the next place'))
        with Repository(reference, failing=failing, insecure=insecure, progress=progress,
                        patience=patience) as repository:
            return _pull(store, repository, wanted, progress)


def _pull(store: Store, repository: Repository, platform: Platform, progress: Sink) -> Image:
    reference, failing = repository.reference, repository.failing
    document, manifest = _manifest(repository, platform)
    config_data = repository.document(manifest.config, CONFIG_LIMIT, "the image config")
    config = ImageConfig.parse(config_data, failing=failing)
    check_image(config, platform, failing=failing)
    progress(Note(f"{reference.familiar} is {document.digest}"))
    store_layers(store, [_source(repository, diff_id, layer) for diff_id, layer
                         in pair_layers(config, manifest.layers, failing=failing)],
                 progress, repository.stop)
    return record(store, reference, manifest=document.data, config=config_data, origin="pulled")


def _manifest(repository: Repository, platform: Platform) -> tuple[Document, Manifest]:
    """The manifest for `platform`: what the reference names, or what indexes there lead to."""
    failing, reference = repository.failing, repository.reference
    name = reference.digest or reference.tag or ""
    for _ in range(NESTING_LIMIT):
        document = repository.manifest(name)
        parsed = parse_manifest(document.data, document.media_type, failing=failing)
        if isinstance(parsed, Manifest):
            check_layers(parsed, failing=failing)
            return document, parsed
        name = choose(parsed, platform, failing=failing).digest
    raise ImageDamaged(f"{failing}: its indexes are nested more than {NESTING_LIMIT} deep",
                       hint=MAKE_AGAIN)


def _source(repository: Repository, diff_id: str, layer: Descriptor) -> LayerSource:
    label = f"layer {short(layer.digest)}"
    return LayerSource(diff_id, label, layer.size, lambda: repository.blob(layer, label), _ATTEMPTS)
