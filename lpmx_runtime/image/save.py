"""Write images into a file that other tools read: an OCI archive or a docker-archive.

Layers are not compressed: a tar of them can be, as a whole, and an image that never
was in a registry keeps its digest.
"""
from __future__ import annotations

import json
from collections import Counter
from typing import Any, Iterable, Iterator, Mapping, Sequence

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
    images = [saveable(store.images.find(name), "save") for name in dict.fromkeys(names)]
    writer = OciArchive if form == OCI_ARCHIVE else _Docker
    with store.keeping():
        yield from writer(store, images, progress).pieces()


def saveable(image: Image, verb: str) -> Image:
    """`image`, if there is something of it that a file can hold."""
    if image.live:
        raise UnsupportedImage(f'cannot {verb} image "host": it is this machine itself',
                               hint="make an image with \"lpmx bootstrap\"")
    return image


def config_of(store: Store, image: Image) -> bytes:
    """The image's config as it came."""
    with store.blobs.open(image.config_digest) as blob:
        return blob.read()


class _Archive:
    def __init__(self, store: Store, images: Sequence[Image], progress: Sink) -> None:
        self.store = store
        self.images = images
        self.progress = progress
        self._written: set[str] = set()

    def document(self, name: str, data: bytes) -> Iterator[bytes]:
        """A small file of the archive; nothing if it is there already."""
        yield from self.file(name, len(data), (data,))

    def file(self, name: str, size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """A file of the archive, of that size; nothing if it is there already."""
        if name not in self._written:
            self._written.add(name)
            yield tarwriter.header(name.encode(), tarwriter.FILE, 0o644, size=size)
            yield from pieces
            yield tarwriter.padding(size)

    def diff_ids(self) -> Iterator[str]:
        """The layers that belong into it."""
        for image in self.images:
            yield from image.diff_ids

    def layers(self, place: str) -> Iterator[bytes]:
        """The tars of all layers, each called as `place` says with its digest's digits."""
        for diff_id in dict.fromkeys(self.diff_ids()):
            size = self.store.layers.tar_size(diff_id)
            yield from self.file(place.format(diff_id.partition(":")[2]), size,
                                 self._layer(diff_id, size))

    def _layer(self, diff_id: str, size: int) -> Iterator[bytes]:
        self.progress(TaskStarted(diff_id, f"layer {short(diff_id)}", size))
        done = 0
        for piece in self.store.layers.tar(diff_id):
            done += len(piece)
            self.progress(TaskAdvanced(diff_id, done, size))
            yield piece
        self.progress(TaskFinished(diff_id))


class OciArchive(_Archive):
    """OCI image spec, "Image Layout"."""

    annotations: Mapping[str, str] = {}

    def pieces(self) -> Iterator[bytes]:
        yield from self.document("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        for directory in (b"blobs/", b"blobs/sha256/"):
            yield tarwriter.header(directory, tarwriter.DIRECTORY, 0o755)
        tags = Counter(_tag(image) for image in self.images)
        entries: list[dict[str, Any]] = []
        for image in self.images:
            config = config_of(self.store, image)
            name = _tag(image) if tags[_tag(image)] == 1 else image.familiar
            yield from self.image(entries, plain_manifest(self.store, image, config), config,
                                  image.config, {NAME: image.name, REFERENCE: name})
        yield from self.more(entries)
        yield from self.document("index.json", json.dumps(
            {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
             "manifests": entries,
             **({"annotations": self.annotations} if self.annotations else {})}).encode())
        yield from self.layers("blobs/sha256/{}")
        yield tarwriter.END

    def more(self, entries: list[dict[str, Any]]) -> Iterator[bytes]:
        """What else is to be in it, with its `entries` in the index."""
        yield from ()

    def image(self, entries: list[dict[str, Any]], manifest: bytes, config: bytes,
              parsed: Mapping[str, Any], annotations: Mapping[str, str]) -> Iterator[bytes]:
        """An image's documents, and its entry in the index."""
        yield from self.blob(manifest)
        yield from self.blob(config)
        entries.append({"mediaType": OCI_MANIFEST, "digest": digest_of(manifest),
                        "size": len(manifest), "annotations": annotations,
                        "platform": _platform(parsed)})

    def blob(self, data: bytes) -> Iterator[bytes]:
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


def _platform(config: Mapping[str, Any]) -> dict[str, str]:
    found = {"architecture": str(config.get("architecture") or "amd64"),
             "os": str(config.get("os") or "linux")}
    if config.get("variant"):
        found["variant"] = str(config["variant"])
    return found
