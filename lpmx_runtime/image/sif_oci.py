"""A Singularity image file whose parts are the blobs of an OCI image, as an OCI image layout.

Such an OCI-SIF (github.com/sylabs/oci-tools, pkg/sif) has an image index in one part and each
blob in another. Its layers are file systems, the lowest one first: squashfs, with deletions in
overlayfs' way, and on top perhaps a writable overlay in ext3. They become tars here; with that
their digests change, and so those of the documents that name them.
"""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

from ..errors import ArchiveDamaged
from ..oci.config import ImageConfig
from ..oci.digest import Digester, digest_of
from ..oci.document import Cause, load_json
from ..oci.manifest import (
    CONFIG_LIMIT,
    INDEXES,
    MANIFESTS,
    SIZE_LIMIT,
    Index,
    Manifest,
    check_layers,
    parse_manifest,
)
from ..oci.manifest import Descriptor as Blob
from . import sif
from .ext import Ext
from .found import pair_layers
from .part import read_at
from .sif_overlay import overlay_tar
from .squashfs import Squashfs

_SQUASHFS = "application/vnd.sylabs.image.layer.v1.squashfs"
_EXT3 = "application/vnd.sylabs.image.layer.v1.ext3"
_TAR = "application/vnd.oci.image.layer.v1.tar"
_NAME = "org.opencontainers.image.ref.name"
_PIECE = 1 << 20

#: Writes pieces to a file, showing that to whoever watches.
Write = Callable[[Path, Iterator[bytes]], Path]


def write_layout(fd: int, failing: str, place: Path, write: Write) -> None:
    """Make an OCI image layout of the open file in the directory `place`.

    Raises `ArchiveDamaged`, or what reading documents raises, where it makes no sense.
    """
    (place / "blobs/sha256").mkdir(parents=True)
    _Layout(fd, failing, place, write).make()


class _Layout:
    def __init__(self, fd: int, failing: str, place: Path, write: Write) -> None:
        self._fd, self._failing, self._place, self._write = fd, failing, place, write
        parts = sif.descriptors(fd, failing)
        self._index = next(part for part in parts if part.kind == sif.OCI_INDEX)
        self._blobs = {self._digest(part): part for part in parts if part.kind == sif.OCI_BLOB}
        self._tars: "dict[str, tuple[str, int]]" = {}

    def make(self) -> None:
        data = self._bytes(self._index, SIZE_LIMIT)
        index = parse_manifest(data, INDEXES[0], failing=self._failing)
        if not isinstance(index, Index):
            raise self._damaged("what should be its image index is none")
        entries = [self._image(raw, entry)
                   for raw, entry in zip(self._json(data)["manifests"], index.manifests)
                   if entry.media_type in MANIFESTS and not _is_signature(entry)]
        (self._place / "index.json").write_text(json.dumps({
            "schemaVersion": 2, "mediaType": INDEXES[0], "manifests": entries}))

    def _image(self, raw: Mapping[str, Any], entry: Blob) -> "dict[str, Any]":
        data = self._document(entry, SIZE_LIMIT)
        manifest = parse_manifest(data, entry.media_type, failing=self._failing)
        if not isinstance(manifest, Manifest):
            raise self._damaged("a manifest in it is none")
        config = self._document(manifest.config, CONFIG_LIMIT)
        pairs = pair_layers(ImageConfig.parse(config, failing=self._failing), manifest.layers,
                            failing=self._failing)
        layers, diff_ids = [], []
        for diff_id, layer in pairs:
            if layer.media_type in (_SQUASHFS, _EXT3):
                digest, size = self._tar(layer)
                layers.append({"mediaType": _TAR, "digest": digest, "size": size})
                diff_ids.append(digest)
            else:
                check_layers(Manifest(manifest.config, (layer,), entry.media_type),
                             failing=self._failing)
                self._copy(layer)
                layers.append({"mediaType": layer.media_type, "digest": layer.digest,
                               "size": layer.size})
                diff_ids.append(diff_id)
        about, document = self._json(config), self._json(data)
        about["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
        document["config"] = {**document["config"], **self._put(about)}
        document["layers"] = layers
        return {**raw, **self._put(document)}

    def _put(self, document: Mapping[str, Any]) -> "dict[str, Any]":
        data = json.dumps(document).encode()
        digest = digest_of(data)
        self._blob(digest).write_bytes(data)
        return {"digest": digest, "size": len(data)}

    def _blob(self, digest: str) -> Path:
        return self._place / "blobs/sha256" / digest.partition(":")[2]

    # -- layers

    def _tar(self, layer: Blob) -> "tuple[str, int]":
        """The digest and the size of the tar that is made of the layer."""
        if layer.digest not in self._tars:
            part = self._part(layer)
            pieces = (overlay_tar(Ext(self._fd, part.offset, part.size, self._failing),
                                  self._failing) if layer.media_type == _EXT3
                      else Squashfs(self._fd, part.offset, part.size,
                                    self._failing).tar(changes=True))
            digester = Digester()
            written = self._write(self._place / f"layer{len(self._tars)}", _passed(pieces, digester))
            size = written.stat().st_size
            os.rename(written, self._blob(digester.actual))
            self._tars[layer.digest] = digester.actual, size
        return self._tars[layer.digest]

    def _copy(self, layer: Blob) -> None:
        """A layer that is a tar already."""
        self._write(self._blob(layer.digest), self._pieces(self._part(layer)))

    # -- reading

    def _part(self, blob: Blob) -> sif.Descriptor:
        part = self._blobs.get(blob.digest)
        if part is None or part.size != blob.size:
            raise self._damaged(f"it lacks the blob {blob.digest}")
        return part

    def _document(self, blob: Blob, limit: int) -> bytes:
        return self._bytes(self._part(blob), limit)

    def _bytes(self, part: sif.Descriptor, limit: int) -> bytes:
        if part.size > limit:
            raise self._damaged(f"a document in it has {part.size} bytes, more than any tool writes")
        return read_at(self._fd, part.offset, part.size)

    def _json(self, data: bytes) -> "dict[str, Any]":
        """What was read with success before."""
        try:
            value = load_json(data)
        except Cause as cause:
            raise self._damaged(str(cause)) from None
        assert isinstance(value, dict)
        return value

    def _pieces(self, part: sif.Descriptor) -> Iterator[bytes]:
        for at in range(part.offset, part.offset + part.size, _PIECE):
            yield read_at(self._fd, at, min(_PIECE, part.offset + part.size - at))

    def _digest(self, part: sif.Descriptor) -> str:
        digester = Digester()
        for piece in self._pieces(part):
            digester.update(piece)
        return digester.actual

    def _damaged(self, cause: str) -> ArchiveDamaged:
        return ArchiveDamaged(f"{self._failing}: {cause}", hint="make or copy the file again")


def _passed(pieces: Iterator[bytes], digester: Digester) -> Iterator[bytes]:
    for piece in pieces:
        digester.update(piece)
        yield piece


def _is_signature(entry: Blob) -> bool:
    """Whether it is what cosign says of an image, kept beside it."""
    return str(entry.annotations.get(_NAME, "")).startswith("_cosign:")
