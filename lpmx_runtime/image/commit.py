"""An image made of a container: its image's layers, and one more with what it changed."""
from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from typing import Any, BinaryIO, Mapping, Optional, Sequence, cast

from .. import settings
from ..container import Container
from ..errors import CommitFailed, ImageUnknown, InvalidReference, StoreError
from ..oci import edits
from ..oci.config import ImageConfig
from ..oci.document import Cause, load_json
from ..oci.reference import Reference
from ..progress import Sink, TaskAdvanced, TaskFinished, TaskStarted, ignore
from ..store import Image, Store
from .archive_oci import CONTAINER
from .changes import read_changes
from .found import make_manifest
from .opened import opened_container
from .record import all_or_nothing, record
from .streams import ReadAhead
from .tarwriter import Stream

#: What Docker leaves in a config about how it was made, and what is no longer so.
_STALE = ("container", "container_config", "docker_version", "parent", "id", CONTAINER,
          "moby.buildkit.buildinfo.v1")


def commit(store: Store, container: Container, name: str, *, changes: Sequence[str] = (),
           author: Optional[str] = None, message: Optional[str] = None,
           progress: Sink = ignore) -> Image:
    """Store what `container` is now as the image `name`, and return it.

    `changes` are edits of the config as in a Dockerfile (oci/edits.py), `author` and
    `message` go into the history. Another image of that name gives way. If anything
    fails, the store is as it was.

    The same changes give the same layer. With SOURCE_DATE_EPOCH in the environment
    the same config, too: then that is the time of making, and no file is said to be
    younger.

    Programs may run in the container. Every file of the layer is one that the container
    had while this ran, but different files may be of different moments, and one that
    was being written may be caught half way; one that is replaced by a rename is whole.
    """
    failing = f'cannot commit container "{container.name}"'
    reference = _target(name, failing)
    if container.record["live"]:
        raise CommitFailed(f"{failing}: it is a copy of this machine, which is no image",
                           hint=f'"lpmx diff {container.name}" shows what it changed, and '
                                '"lpmx cp" copies files out of it')
    epoch = settings.source_date_epoch()
    base = base_config(store, container, failing)
    edited = edits.apply(base, changes)
    with all_or_nothing(store):
        diff_id = _store_layer(store, container, epoch, failing, progress)
        diff_ids = [*container.record["diff_ids"], diff_id]
        config = describe(edited, diff_ids, time.time() if epoch is None else epoch, author,
                          message)
        manifest = make_manifest(config, [(one, store.layers.tar_size(one)) for one in diff_ids])
        return record(store, reference, manifest=manifest, config=config, origin="committed")


def _target(name: str, failing: str) -> Reference:
    reference = Reference.parse(name)
    if reference.digest is not None:
        raise InvalidReference(f'{failing} as "{name}": nobody chooses the digest of an image',
                               hint="give it a tag")
    return reference


def base_config(store: Store, container: Container, failing: str) -> Mapping[str, Any]:
    """The config of the image that the container was made of, also one that is gone."""
    try:
        with store.blobs.open(container.record["config_digest"]) as blob:
            value = load_json(blob.read())
        ImageConfig.parse(value)
        return dict(value)
    except (KeyError, StoreError, Cause):
        pass
    try:
        image = store.images.get(container.image)
    except ImageUnknown:
        image = None
    if image is None or list(image.diff_ids) != container.record["diff_ids"]:
        raise CommitFailed(f'{failing}: the config of its image "{container.familiar}" is no '
                           "longer in the store", hint="pull or load that image again")
    return dict(image.config)


def _store_layer(store: Store, container: Container, epoch: Optional[int], failing: str,
                 progress: Sink) -> str:
    total = 0

    def advance(count: int) -> None:
        nonlocal total
        total += count
        progress(TaskAdvanced("commit", total))

    progress(TaskStarted("commit", f'changes of "{container.name}"'))
    with opened_container(container, failing=failing) as opened:
        pieces = read_changes(opened.view, opened.upper, lower=opened.lower,
                              without=opened.places, latest=epoch, failing=failing)
        with ReadAhead(Stream(pieces)) as stream:
            diff_id = store.layers.add(cast(BinaryIO, stream), on_bytes=advance,
                                       label=f'the changes of container "{container.name}"')
    progress(TaskFinished("commit"))
    return diff_id


def describe(base: Mapping[str, Any], diff_ids: Sequence[str], moment: float,
             author: Optional[str] = None, message: Optional[str] = None, *,
             made_by: str = "lpmx commit", members: Mapping[str, Any] = {}) -> bytes:  # noqa: B006
    """The new config (OCI image spec, "Image Configuration"), with further `members`."""
    created = datetime.fromtimestamp(int(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    step: dict[str, Any] = {"created": created, "created_by": made_by}
    if author:
        step["author"] = author
    if message:
        step["comment"] = message
    config = {name: value for name, value in base.items() if name not in _STALE}
    config["created"] = created
    if author:
        config["author"] = author
    config["rootfs"] = {"type": "layers", "diff_ids": list(diff_ids)}
    config["history"] = [*_whole_history(base, len(diff_ids) - 1), step]
    return json.dumps({**config, **members}, separators=(",", ":")).encode()


def _whole_history(base: Mapping[str, Any], layers: int) -> list[Mapping[str, Any]]:
    """The history with one step for each layer: tools count them, and some bases have none."""
    history = list(base.get("history") or [])
    steps = sum(not step.get("empty_layer") for step in history)
    return [{"comment": "a layer of the base image"}] * (layers - steps) + history
