"""One file with images and containers, for a machine that has no network.

It is an OCI archive. Its images are as `save` writes them, and a container is one more
image there, whose last layer is what the container changed: any tool can read it, run it
and send it on. What makes it a container again is a member of its image config,

    "io.lpmx.container": {"version": 1, "name": "fit", "image": "docker.io/library/solver:2.4",
                          "digest": <of that image's manifest>, "config": <of its config>,
                          "options": {...}, "labels": {...},
                          "live": {"NAME": "value", "GONE": null},
                          "links": [...], "exposed": [...]}    (carried.py)

and its entry in the index, called container-NAME, has the annotation `io.lpmx.container`. The config of the image
that it was made of is in the archive, too, whether that image is or not. What other
packages want to have carried along, such as kernel specs, is in the index's annotation
`io.lpmx.extras`, a JSON object.
"""
from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, BinaryIO, Iterator, Mapping, Sequence, Union

from .. import settings
from ..container import Container
from ..errors import CommitFailed, ImageUnknown, StoreError
from ..oci.digest import Digester, digest_of
from ..progress import Sink, TaskAdvanced, TaskFinished, TaskStarted, ignore
from ..store import Image, Store
from ..store.files import storing
from . import carried
from .archive_oci import CONTAINER, EXTRAS, REFERENCE
from .changes import read_changes
from .commit import base_config, describe
from .found import make_manifest
from .opened import opened_container
from .save import OciArchive, saveable

VERSION = 1
_PIECE = 1 << 20


def bundle(store: Store, things: Sequence[Union[Image, Container]], *,
           extras: Mapping[str, Any] = {}, progress: Sink = ignore) -> Iterator[bytes]:  # noqa: B006
    """The pieces of a bundle of these images and containers, of each container's image too,
    and of `extras`, values that JSON can express. Layers are in it once.

    Programs may run in the containers; what that means for the files, `commit` says.
    """
    containers = list({thing.name: thing for thing in things
                       if isinstance(thing, Container)}.values())
    for container in containers:
        if container.record["live"]:
            raise CommitFailed(f"{_failing(container)}: it is a copy of this machine, which is "
                               "no image",
                               hint='"lpmx cp" copies files out of it')
    images = {image.name: saveable(image, "bundle") for image in (
        *(thing for thing in things if isinstance(thing, Image)),
        *(image for container in containers for image in _image_of(store, container)))}
    with store.keeping():
        yield from _Bundle(store, list(images.values()), containers, extras, progress).pieces()


def _failing(container: Container) -> str:
    return f'cannot bundle container "{container.name}"'


def _image_of(store: Store, container: Container) -> Iterator[Image]:
    """The image that a container was made of, unless its name means another one by now."""
    try:
        image = store.images.get(container.image)
    except ImageUnknown:
        return
    if list(image.diff_ids) == container.record["diff_ids"]:
        yield image


@dataclass(frozen=True)
class _Changes:
    """A container's changes as the tar of a layer, in a file."""

    file: BinaryIO
    size: int
    diff_id: str


class _Bundle(OciArchive):
    def __init__(self, store: Store, images: Sequence[Image], containers: Sequence[Container],
                 extras: Mapping[str, Any], progress: Sink) -> None:
        super().__init__(store, images, progress)
        self._containers = containers
        if extras:
            self.annotations = {EXTRAS: json.dumps(extras)}

    def diff_ids(self) -> Iterator[str]:
        yield from super().diff_ids()
        for container in self._containers:
            yield from container.record["diff_ids"]

    def more(self, entries: list[dict[str, Any]]) -> Iterator[bytes]:
        for container in self._containers:
            with self.store.staging() as aside, open(aside / "changes", "w+b") as file:
                changes = self._changes(container, file)
                yield from self.file(f"blobs/sha256/{changes.diff_id.partition(':')[2]}",
                                     changes.size, _pieces(changes.file))
            yield from self._described(entries, container, changes)

    def _changes(self, container: Container, file: BinaryIO) -> _Changes:
        task, size, digester = f"changes {container.name}", 0, Digester()
        self.progress(TaskStarted(task, f'changes of "{container.name}"'))
        failing = _failing(container)
        with storing(f'the changes of container "{container.name}"'), \
                opened_container(container, failing=failing) as opened:
            for piece in read_changes(opened.view, opened.upper, lower=opened.lower,
                                      without=opened.places,
                                      latest=settings.source_date_epoch(), failing=failing):
                file.write(piece)
                digester.update(piece)
                size += len(piece)
                self.progress(TaskAdvanced(task, size))
        self.progress(TaskFinished(task))
        return _Changes(file, size, digester.actual)

    def _described(self, entries: list[dict[str, Any]], container: Container,
                   changes: _Changes) -> Iterator[bytes]:
        """The documents of the image that stands for a container."""
        base = self._base(container)
        parsed = json.loads(base)
        epoch = settings.source_date_epoch()
        layers = [*container.record["diff_ids"], changes.diff_id]
        config = describe(parsed, layers, time.time() if epoch is None else epoch,
                          made_by="lpmx bundle", members={CONTAINER: {
                              "version": VERSION, "name": container.name,
                              "image": container.image, "digest": container.record["digest"],
                              "config": digest_of(base), "options": container.record["options"],
                              "labels": container.labels,
                              "live": container.environment.live(),
                              **carried.collect(container)}})
        manifest = make_manifest(config, [
            *((one, self.store.layers.tar_size(one)) for one in layers[:-1]),
            (changes.diff_id, changes.size)])
        yield from self.blob(base)
        yield from self.image(entries, manifest, config, parsed,
                              {CONTAINER: container.name,
                               REFERENCE: f"container-{container.name}"})

    def _base(self, container: Container) -> bytes:
        """The config of the image that the container was made of, as it came if it is here."""
        try:
            with self.store.blobs.open(container.record["config_digest"]) as blob:
                return blob.read()
        except (KeyError, StoreError):
            return json.dumps(base_config(self.store, container, _failing(container))).encode()


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE):
        yield piece
