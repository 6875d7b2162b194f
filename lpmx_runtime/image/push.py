"""Put an image of the store into a registry."""
from __future__ import annotations

import json
import zlib
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Optional, Protocol, Sequence

import zstandard

from ..errors import ImageUnknown, InvalidReference, LpmxError, UnsupportedImage
from ..oci.digest import Digester, digest_of, short
from ..oci.manifest import OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest, parse_manifest
from ..oci.reference import Reference
from ..progress import Note, Sink, TaskAdvanced, TaskFinished, TaskStarted, ignore
from ..registry.client import Repository
from ..registry.patience import USUAL, Patience
from ..registry.stop import Stop, Stopped
from ..registry.upload import Blob
from ..store import Image, Store
from ..store.files import storing
from .save import config_of

GZIP, ZSTD, NONE = "gzip", "zstd", "none"
COMPRESSIONS = (GZIP, ZSTD, NONE)

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_SUFFIXES = {GZIP: "+gzip", ZSTD: "+zstd", NONE: ""}
_WORKERS = 3


@dataclass(frozen=True)
class Pushed:
    """What is in the registry now."""

    reference: str
    digest: str


def push(store: Store, text: str, destination: Optional[str] = None, *, compression: str = GZIP,
         insecure: bool = False, progress: Sink = ignore, patience: Patience = USUAL) -> Pushed:
    """Put the image that `text` means to where its name says, or to `destination`.

    Blobs that the repository has are not sent, and those that another repository of
    the registry has are taken over there. A layer that came from a registry is looked
    for as it was there; otherwise it is compressed, always to the same bytes. An image
    none of whose layers has to be compressed anew keeps its digest. Where the image's
    own name says so, its record has the digest that it has in the registry afterwards.
    """
    image = store.images.find(text, to_use=False)
    if image.live:
        raise UnsupportedImage('cannot push image "host": it is this machine itself',
                               hint="make an image with \"lpmx bootstrap\"")
    reference = Reference.parse(destination or image.name)
    failing = f'cannot push "{image.familiar}"'
    if destination:
        failing += f' to "{reference.familiar}"'
    if reference.digest is not None:
        raise InvalidReference(f"{failing}: what has a digest is there, or has another",
                               hint="name a tag to push it to")
    with store.keeping():
        known = _Known(store, image, reference)
        with Repository(reference, failing=failing, insecure=insecure, patience=patience,
                        progress=progress, push=True, sources=known.sources) as repository:
            pushing = _Push(store, repository, known, compression, progress)
            layers = pushing.layers(image.diff_ids)
            config = config_of(store, image)
            pushing.blob(config)
            manifest, media_type = known.manifest(layers, config)
            digest = repository.put_manifest(reference.tag or "latest", manifest, media_type)
        progress(Note(f"{reference.familiar} is {digest}"))
        if str(reference) == image.name and digest != image.digest:
            _remember(store, image, manifest, digest)
    return Pushed(str(reference), digest)


def _remember(store: Store, image: Image, manifest: bytes, digest: str) -> None:
    """Let the image's record say what the registry has under its name."""
    store.blobs.put(digest, [manifest])
    try:
        if image.place is None and store.images.get(image.name) == image:
            store.images.put(image._replace(digest=digest))
    except ImageUnknown:
        pass  # removed meanwhile


class _Known:
    """What the store's manifests tell about the image's layers: how registries have them."""

    def __init__(self, store: Store, image: Image, reference: Reference) -> None:
        self._own: Optional[Manifest] = None
        self._own_data = b""
        self._places: dict[str, list[tuple[Descriptor, str]]] = {}
        wanted = set(image.diff_ids)
        sources: dict[str, None] = {}
        others = [other for other in store.images.list() if wanted & set(other.diff_ids)]
        for other in sorted(others, key=lambda other: other.name != image.name):
            data, manifest = _manifest(store, other)
            if manifest is None or len(manifest.layers) != len(other.diff_ids):
                continue
            if other.digest == image.digest:
                self._own, self._own_data = manifest, data
            place = Reference.parse(other.name)
            here = place.registry == reference.registry
            if here and place.repository != reference.repository:
                sources[place.repository] = None
            for diff_id, layer in zip(other.diff_ids, manifest.layers):
                if diff_id in wanted:
                    self._places.setdefault(diff_id, []).append(
                        (layer, place.repository if here else ""))
        self.sources = tuple(sources)

    def places(self, diff_id: str) -> list[tuple[Descriptor, str]]:
        """How the layer is, or was, in registries, each with the repository of the
        destination's registry that has it, if any."""
        return self._places.get(diff_id, [])

    def manifest(self, layers: Sequence[Descriptor], config: bytes) -> tuple[bytes, str]:
        """The manifest of the image with these layers, its own if they are its own."""
        own = self._own
        if own is not None and [each.digest for each in own.layers] == [
                each.digest for each in layers] and own.config.digest == digest_of(config):
            return self._own_data, own.media_type
        value = {
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [_described(layer) for layer in layers],
        }
        return json.dumps(value, separators=(",", ":")).encode(), OCI_MANIFEST


def _manifest(store: Store, image: Image) -> tuple[bytes, Optional[Manifest]]:
    try:
        with store.blobs.open(image.digest) as blob:
            data = blob.read()
        parsed = parse_manifest(data)
    except LpmxError:
        return b"", None
    return data, parsed if isinstance(parsed, Manifest) else None


def _described(layer: Descriptor) -> Mapping[str, Any]:
    """A layer's descriptor under OCI's media type."""
    kind = layer.media_type
    suffix = next((suffix for suffix in ("gzip", "zstd") if kind.endswith(suffix)), "")
    value: dict[str, Any] = {"mediaType": _LAYER + (f"+{suffix}" if suffix else ""),
                             "digest": layer.digest, "size": layer.size}
    if layer.urls:
        value["mediaType"] = value["mediaType"].replace(".layer.", ".layer.nondistributable.")
        value["urls"] = list(layer.urls)
    return value


class _Push:
    """One image on its way into a repository."""

    def __init__(self, store: Store, repository: Repository, known: _Known, compression: str,
                 progress: Sink) -> None:
        self._store = store
        self._repository = repository
        self._uploader = repository.uploader()
        self._known = known
        self._compression = compression
        self._progress = progress

    def layers(self, diff_ids: Sequence[str]) -> list[Descriptor]:
        """Have all layers there, several at a time; their descriptors in this order."""
        todo: dict[str, "Future[Descriptor]"] = {}
        stop: Stop = self._repository.stop
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="lpmx-push") as pool:
            try:
                for diff_id in diff_ids:
                    if diff_id not in todo:
                        todo[diff_id] = pool.submit(self._layer, diff_id)
                wait(todo.values(), return_when=FIRST_EXCEPTION)
                failed = [future for future in todo.values() if future.done() and future.exception()]
                if failed:
                    stop.set()
                    wait(todo.values())
                    raise next(error for error in (future.exception() for future in failed)
                                if error is not None and not isinstance(error, Stopped))
            except BaseException:
                stop.set()
                for future in todo.values():
                    future.cancel()
                raise
        return [todo[diff_id].result() for diff_id in diff_ids]

    def _layer(self, diff_id: str) -> Descriptor:
        label = f"layer {short(diff_id)}"
        self._repository.stop.check()
        for descriptor, place in self._known.places(diff_id):
            note = self._found(descriptor, place, label)
            if note:
                self._progress(TaskStarted(diff_id, label, descriptor.size))
                self._progress(TaskFinished(diff_id, note))
                return descriptor
        with self._store.staging() as aside:
            blob = self._pack(diff_id, aside / "layer", label)
            descriptor = Descriptor(_LAYER + _SUFFIXES[self._compression], blob.digest, blob.size)
            self._send(diff_id, blob, label)
            return descriptor

    def _found(self, descriptor: Descriptor, place: str, label: str) -> str:
        """Whether the repository has the layer like that, or takes it from its neighbour:
        what to say about it."""
        if descriptor.urls:
            return "stays where it is"   # it must not be passed on
        if self._repository.has_blob(descriptor.digest, label):
            return "already there"
        if place and place != self._repository.name \
                and self._uploader.mount(descriptor.digest, place, label):
            return f'taken from "{place}"'
        return ""

    def _pack(self, diff_id: str, path: Path, label: str) -> Blob:
        """The layer's tar, compressed, as a file."""
        total = self._store.layers.tar_size(diff_id)
        task = f"pack {diff_id}"
        self._progress(TaskStarted(task, f"packing {label}", total))
        digester, size = Digester(), 0
        with storing(f"{label}, packed"), open(path, "wb") as file:
            for piece in _compressed(self._tar(diff_id, task, total), self._compression):
                digester.update(piece)
                size += len(piece)
                file.write(piece)
        self._progress(TaskFinished(task))
        return Blob(digester.actual, size, lambda: open(path, "rb"))

    def _tar(self, diff_id: str, task: str, total: int) -> Iterator[bytes]:
        done = 0
        for piece in self._store.layers.tar(diff_id):
            self._repository.stop.check()
            done += len(piece)
            self._progress(TaskAdvanced(task, done, total))
            yield piece

    def blob(self, data: bytes) -> None:
        """Have the image config there."""
        import io
        digest = digest_of(data)
        self._send(digest, Blob(digest, len(data), lambda: io.BytesIO(data)), "the image config")

    def _send(self, task: str, blob: Blob, label: str) -> None:
        self._progress(TaskStarted(task, label, blob.size))
        if self._repository.has_blob(blob.digest, label):
            self._progress(TaskFinished(task, "already there"))
            return
        self._uploader.put(blob, label, self._reporter(task, blob.size))
        self._progress(TaskFinished(task, "pushed"))

    def _reporter(self, task: str, size: int) -> Callable[[int], None]:
        return lambda count: self._progress(TaskAdvanced(task, count, size))


class _Compressor(Protocol):
    def compress(self, data: bytes) -> bytes: ...

    def flush(self) -> bytes: ...


def _compressed(pieces: Iterator[bytes], compression: str) -> Iterator[bytes]:
    """Without a time or a name in it: the same bytes each time."""
    if compression == NONE:
        yield from pieces
        return
    compressor: _Compressor = (zlib.compressobj(6, wbits=31) if compression == GZIP
                               else zstandard.ZstdCompressor(level=3).compressobj())
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()
