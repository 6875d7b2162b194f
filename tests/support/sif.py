"""Singularity image files whose parts are the blobs of an OCI image, as Singularity 4 writes them."""
from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any, Dict, List, Tuple

HEAD = struct.Struct("<32s10s3s3s16s8q")
ENTRY = struct.Struct("<i?3I7q128s384s")
TABLE, DATA = 4096, 36864
GROUP = 0xF0000001
SQUASHFS = "application/vnd.sylabs.image.layer.v1.squashfs"
_INDEX, _BLOB = 0x400A, 0x400B
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def oci_sif(path: Path, layers: List[Tuple[str, bytes]], config: Dict[str, Any]) -> Path:
    """An index in one part, and each blob in another; layers are given by media type."""
    about = {"architecture": "amd64", "os": "linux", "config": config,
             "rootfs": {"type": "layers", "diff_ids": [sha(data) for _, data in layers]}}
    kinds = [*layers, (_CONFIG, json.dumps(about).encode())]
    described = [_described(*each) for each in kinds]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": _MANIFEST, "config": described[-1],
                           "layers": described[:-1]}).encode()
    index = json.dumps({"schemaVersion": 2, "manifests": [_described(_MANIFEST, manifest)]}).encode()
    data = bytearray(DATA)
    HEAD.pack_into(data, 0, b"#!/usr/bin/env run-singularity\n", b"SIF_MAGIC\0", b"01", b"02",
                   b"\1" * 16, 0, 0, 40, 48, TABLE, 48 * ENTRY.size, DATA, 0)
    parts = [*((_BLOB, blob) for _, blob in kinds), (_BLOB, manifest), (_INDEX, index)]
    for number, (kind, blob) in enumerate(parts):
        ENTRY.pack_into(data, TABLE + number * ENTRY.size, kind, True, number + 1, GROUP, 0,
                        len(data), len(blob), len(blob), 0, 0, 0, 0, b"", b"")
        data += blob
    path.write_bytes(data)
    return path


def _described(kind: str, data: bytes) -> Dict[str, Any]:
    return {"mediaType": kind, "digest": sha(data), "size": len(data)}
