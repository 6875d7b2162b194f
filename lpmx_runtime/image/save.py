"""Write images into a file that other tools read: an OCI archive or a docker-archive.

Layers are not compressed: a tar of them can be, as a whole, and an image that never
was in a registry keeps its digest.
"""
from __future__ import annotations

import json
from collections import Counter
from typing import Iterator, Sequence

from ..errors import LpmxError, UnsupportedImage
from ..oci.digest import digest_of, short
from ..oci.manifest import OCI_MANIFEST, Manifest, parse_manifest
from ..oci.reference import Reference
from ..progress import Sink, TaskAdvanced, TaskFinished, TaskStarted, ignore
from ..store import Image, Store
from . import tarwriter
from .archive_oci import NAME, REFERENCE
from .found import make_manifest

OCI_ARCHIVE, DOCKER_ARCHIVE = "oci-archive", "docker-archive"
FORMS = (OCI_ARCHIVE, DOCKER_ARCHIVE)


def save(store: Store, names: Sequence[str], *, form: str = OCI_ARCHIVE,
         progress: Sink = ignore) -> Iterator[bytes]:
    """The pieces of an archive of these images; layers that several have are in it once."""
    images = [store.images.find(name) for name in dict.fromkeys(names)]
    for image in images:
        if image.live:
            raise UnsupportedImage('cannot save image "host": it is this machine itself',
                                   hint="make an image with \"lpmx bootstrap\"")
    writer = _Oci if form == OCI_ARCHIVE else _Docker
    with store.keeping():
        yield from writer(store, images, progress).pieces()


def config_of(store: Store, image: Image) -> bytes:
    """The image's config as it came."""
    with store.blobs.open(image.config_digest) as blob:
        return blob.read()


class _Archive:
    def __init__(self, store: Store, images: Sequence[Image], progress: Sink) -> None:
        self.store = store
        self.images = images
        self._progress = progress
        self._written: set[str] = set()

    def document(self, name: str, data: bytes) -> Iterator[bytes]:
        """A small file of the archive; nothing if it is there already."""
        if name not in self._written:
            self._written.add(name)
            yield tarwriter.header(name.encode(), tarwriter.FILE, 0o644, size=len(data))
            yield data + tarwriter.padding(len(data))

    def layers(self, place: str) -> Iterator[bytes]:
        """The tars of all layers, each called as `place` says with its digest's digits."""
        for diff_id in dict.fromkeys(diff_id for image in self.images
                                     for diff_id in image.diff_ids):
            size = self.store.layers.tar_size(diff_id)
            yield tarwriter.header(place.format(diff_id.partition(":")[2]).encode(),
                                   tarwriter.FILE, 0o644, size=size)
            self._progress(TaskStarted(diff_id, f"layer {short(diff_id)}", size))
            done = 0
            for piece in self.store.layers.tar(diff_id):
                done += len(piece)
                self._progress(TaskAdvanced(diff_id, done, size))
                yield piece
            yield tarwriter.padding(size)
            self._progress(TaskFinished(diff_id))


class _Oci(_Archive):
    """OCI image spec, "Image Layout"."""

    def pieces(self) -> Iterator[bytes]:
        yield from self.document("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        for directory in (b"blobs/", b"blobs/sha256/"):
            yield tarwriter.header(directory, tarwriter.DIRECTORY, 0o755)
        tags = Counter(_tag(image) for image in self.images)
        entries = []
        for image in self.images:
            config = config_of(self.store, image)
            manifest = plain_manifest(self.store, image, config)
            yield from self._blob(manifest)
            yield from self._blob(config)
            name = _tag(image) if tags[_tag(image)] == 1 else image.familiar
            entries.append({"mediaType": OCI_MANIFEST, "digest": digest_of(manifest),
                            "size": len(manifest),
                            "annotations": {NAME: image.name, REFERENCE: name},
                            "platform": _platform(image)})
        yield from self.document("index.json", json.dumps(
            {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
             "manifests": entries}).encode())
        yield from self.layers("blobs/sha256/{}")
        yield tarwriter.END

    def _blob(self, data: bytes) -> Iterator[bytes]:
        yield from self.document("blobs/" + digest_of(data).replace(":", "/"), data)


class _Docker(_Archive):
    """What `docker save` writes, its form since 1.10."""

    def pieces(self) -> Iterator[bytes]:
        entries: dict[str, dict[str, object]] = {}
        for image in self.images:
            name = f"{image.config_digest.partition(':')[2]}.json"
            yield from self.document(name, config_of(self.store, image))
            entry = entries.setdefault(name, {
                "Config": name, "RepoTags": [],
                "Layers": [f"{diff_id.partition(':')[2]}.tar" for diff_id in image.diff_ids]})
            if Reference.parse(image.name).digest is None:
                entry["RepoTags"] = [*entry["RepoTags"], image.familiar]  # type: ignore[misc]
        yield from self.document("manifest.json", json.dumps(list(entries.values())).encode())
        yield from self.layers("{}.tar")
        yield tarwriter.END


def plain_manifest(store: Store, image: Image, config: bytes) -> bytes:
    """A manifest of the image with layers that are not compressed: its own, if it is one."""
    try:
        with store.blobs.open(image.digest) as blob:
            own = blob.read()
        parsed = parse_manifest(own)
    except LpmxError:
        parsed = None
    if isinstance(parsed, Manifest) and parsed.media_type == OCI_MANIFEST \
            and tuple(layer.digest for layer in parsed.layers) == image.diff_ids:
        return own
    return make_manifest(config, [(diff_id, store.layers.tar_size(diff_id))
                                  for diff_id in image.diff_ids])


def _tag(image: Image) -> str:
    reference = Reference.parse(image.name)
    return reference.tag or short(reference.digest or "")


def _platform(image: Image) -> dict[str, str]:
    found = {"architecture": str(image.config.get("architecture") or "amd64"),
             "os": str(image.config.get("os") or "linux")}
    if image.config.get("variant"):
        found["variant"] = str(image.config["variant"])
    return found
