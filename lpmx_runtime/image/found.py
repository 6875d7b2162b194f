"""An image that was found somewhere, before any of its layers is read."""
from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Sequence

from ..errors import ImageDamaged
from ..oci.config import ImageConfig
from ..oci.digest import Digester, digest_of
from ..oci.document import MAKE_AGAIN
from ..oci.manifest import OCI_CONFIG, OCI_MANIFEST, Descriptor
from ..oci.reference import Reference
from .layers import LayerSource
from .streams import Stream, pieces

_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Found:
    """Its name, its documents as bytes, and where its layers come from."""

    reference: Reference
    manifest: bytes
    config: bytes
    layers: tuple[LayerSource, ...]

    def renamed(self, reference: Reference) -> "Found":
        return replace(self, reference=reference)


def make_manifest(config: bytes, layers: Sequence[tuple[str, int]]) -> bytes:
    """A manifest for an image that came without one; its layers, uncompressed, by diff ID
    and size."""
    return json.dumps({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": _LAYER, "digest": diff_id, "size": size}
                   for diff_id, size in layers],
    }, separators=(",", ":")).encode()


def digest_of_stream(stream: Stream) -> str:
    """The digest of all that is left of `stream`, which is closed afterwards."""
    digester = Digester()
    try:
        for piece in pieces(stream):
            digester.update(piece)
    finally:
        stream.close()
    return digester.actual


def pair_layers(config: ImageConfig, layers: Sequence[Descriptor], *,
                failing: str) -> list[tuple[str, Descriptor]]:
    """Each layer's diff ID with its descriptor; they must be as many."""
    if len(config.diff_ids) != len(layers):
        raise ImageDamaged(f"{failing}: the image config speaks of {len(config.diff_ids)} layers, "
                           f"and the manifest of {len(layers)}", hint=MAKE_AGAIN)
    return list(zip(config.diff_ids, layers))
