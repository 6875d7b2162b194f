"""Images of tars that a test writes itself, put into a store without any file or registry."""
from __future__ import annotations

import io
import json
from typing import Any, Mapping

from lpmx_runtime.image.found import make_manifest
from lpmx_runtime.image.record import all_or_nothing, record
from lpmx_runtime.oci.reference import Reference
from lpmx_runtime.store import Image, Store


def make_image(store: Store, name: str, *tars: bytes, config: Mapping[str, Any] = {},  # noqa: B006
               **fields: Any) -> Image:
    """Record an image of these layers; `config` is the part of that name, `fields` are
    further ones of the whole config."""
    with all_or_nothing(store):
        diff_ids = [store.layers.add(io.BytesIO(tar)) for tar in tars]
        whole = json.dumps({"architecture": "amd64", "os": "linux", "config": config,
                            "rootfs": {"type": "layers", "diff_ids": diff_ids},
                            **fields}).encode()
        manifest = make_manifest(whole, [(diff_id, len(tar))
                                         for diff_id, tar in zip(diff_ids, tars)])
        return record(store, Reference.parse(name), manifest=manifest, config=whole,
                      origin="loaded")
