"""How an image came to be: the steps of its config's history, each with its layer."""
from __future__ import annotations

from typing import NamedTuple, Optional

from ..oci.config import ImageConfig
from ..store import Image, Store
from ..store.usage import layer_size


class Step(NamedTuple):
    """One step: when, by what, and the layer that it made, if it made one, with the bytes of
    that one's files and the store that has it, None for the user's own. What a config does
    not say is ""."""

    created: str
    created_by: str
    comment: str
    author: str
    diff_id: Optional[str]
    size: int
    place: Optional[str]


def history(store: Store, image: Image) -> list[Step]:
    """The steps of `image`, base first. Every layer is in one: where the history knows of
    fewer steps with one than there are layers, those at the base have no text."""
    config = ImageConfig.parse(image.config)
    layers = list(config.diff_ids)
    told = [step for step in config.history if not step.get("empty_layer")]
    steps = [_step(store, {}, diff_id) for diff_id in layers[:max(0, len(layers) - len(told))]]
    rest = layers[len(steps):]
    for step in config.history:
        made = rest.pop(0) if rest and not step.get("empty_layer") else None
        steps.append(_step(store, dict(step), made))
    return steps


def _step(store: Store, said: "dict[str, object]", diff_id: Optional[str]) -> Step:
    created, created_by, comment, author = (
        str(said.get(name) or "") for name in ("created", "created_by", "comment", "author"))
    return Step(created, created_by, comment, author, diff_id,
                0 if diff_id is None else layer_size(store, diff_id),
                None if diff_id is None else store.layers.place(diff_id))
