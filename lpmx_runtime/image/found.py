"""An image that was found somewhere, before any of its layers is read."""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Sequence

from ..errors import ImageDamaged
from ..oci.config import ImageConfig
from ..oci.document import MAKE_AGAIN
from ..oci.manifest import Descriptor
from ..oci.reference import Reference
from .layers import LayerSource


@dataclass(frozen=True)
class Found:
    """Its name, its documents as bytes, and where its layers come from."""

    reference: Reference
    manifest: bytes
    config: bytes
    layers: tuple[LayerSource, ...]

    def renamed(self, reference: Reference) -> "Found":
        return replace(self, reference=reference)


def pair_layers(config: ImageConfig, layers: Sequence[Descriptor], *,
                failing: str) -> list[tuple[str, Descriptor]]:
    """Each layer's diff ID with its descriptor; they must be as many."""
    if len(config.diff_ids) != len(layers):
        raise ImageDamaged(f"{failing}: the image config speaks of {len(config.diff_ids)} layers, "
                           f"and the manifest of {len(layers)}", hint=MAKE_AGAIN)
    return list(zip(config.diff_ids, layers))
