"""Images in an OCI image layout (OCI image spec, "Image Layout")."""
from __future__ import annotations

from typing import Mapping

from ..errors import ArchiveDamaged, InvalidReference
from ..oci.config import ImageConfig
from ..oci.digest import digest_of, mismatch, short
from ..oci.manifest import (
    CONFIG_LIMIT,
    INDEXES,
    MANIFESTS,
    NESTING_LIMIT,
    SIZE_LIMIT,
    Descriptor,
    Index,
    Manifest,
    Platform,
    check_layers,
    choose,
    parse_manifest,
)
from ..oci.reference import Reference
from .archive_files import ArchiveFiles
from .found import Found, pair_layers
from .layers import LayerSource
from .platform import check_image
from .streams import Stream, Verified

REFERENCE = "org.opencontainers.image.ref.name"
# What containerd and Docker add: the name in full, where the other is the tag alone.
NAME = "io.containerd.image.name"
# Of a bundle (bundle.py): an entry that stands for a container, and what else the index has.
CONTAINER = "io.lpmx.container"
EXTRAS = "io.lpmx.extras"


def find(files: ArchiveFiles, default: str, platform: Platform) -> list[Found]:
    """The images of the layout, each for `platform`; `default` names what has no name."""
    top = top_index(files)
    groups: dict[str, list[Descriptor]] = {}
    for entry in top.manifests:
        if entry.media_type in MANIFESTS + INDEXES and CONTAINER not in entry.annotations:
            groups.setdefault(_name(entry.annotations, default), []).append(entry)
    return [find_image(files, Reference.parse(name), Index(tuple(entries), top.media_type),
                       platform) for name, entries in groups.items()]


def top_index(files: ArchiveFiles) -> Index:
    """What index.json says."""
    top = parse_manifest(files.read("index.json", SIZE_LIMIT), INDEXES[0], failing=files.failing)
    if not isinstance(top, Index):
        raise files.damaged("its index.json is no image index")
    return top


def _name(annotations: Mapping[str, str], default: str) -> str:
    for text in (annotations.get(NAME), annotations.get(REFERENCE)):
        if not text:
            continue
        for candidate in ([text] if "/" in text or ":" in text else []) + [f"{default}:{text}"]:
            try:
                return str(Reference.parse(candidate))
            except InvalidReference:
                continue
    return str(Reference.parse(default))


def find_image(files: ArchiveFiles, reference: Reference, index: Index,
               platform: Platform) -> Found:
    """Follow indexes to the manifest for `platform`. One entry alone needs no choice:
    its config says what it is for."""
    for _ in range(NESTING_LIMIT):
        entry = (index.manifests[0] if len(index.manifests) == 1
                 else choose(_present(files, index), platform, failing=files.failing))
        data = read_document(files, entry, SIZE_LIMIT, "the manifest")
        parsed = parse_manifest(data, entry.media_type, failing=files.failing)
        if isinstance(parsed, Manifest):
            return _found(files, reference, data, parsed, platform)
        index = parsed
    raise files.damaged(f"its indexes are nested more than {NESTING_LIMIT} deep")


def _present(files: ArchiveFiles, index: Index) -> Index:
    """The entries whose blobs are here: Docker saves an index whole and of its images one."""
    present = tuple(entry for entry in index.manifests
                    if files.size(_blob(entry)) is not None)
    return Index(present or index.manifests, index.media_type)


def _found(files: ArchiveFiles, reference: Reference, data: bytes, manifest: Manifest,
           platform: Platform) -> Found:
    check_layers(manifest, failing=files.failing)
    config_data = read_document(files, manifest.config, CONFIG_LIMIT, "the image config")
    config = ImageConfig.parse(config_data, failing=files.failing)
    check_image(config, platform, failing=files.failing)
    pairs = pair_layers(config, manifest.layers, failing=files.failing)
    return Found(reference, data, config_data,
                 tuple(_source(files, diff_id, layer) for diff_id, layer in pairs))


def _source(files: ArchiveFiles, diff_id: str, layer: Descriptor) -> LayerSource:
    label = f"layer {short(layer.digest)}"

    def opened() -> Stream:
        if files.size(_blob(layer)) is None:
            raise ArchiveDamaged(f"{files.failing}: it lacks {label}", hint=_elsewhere(layer))
        return Verified(files.open(_blob(layer)), layer.digest, layer.size, label,
                        failing=files.failing)

    return LayerSource(diff_id, label, layer.size, opened)


def _elsewhere(layer: Descriptor) -> str:
    if layer.urls:
        return f"whoever made the archive left it at {layer.urls[0][:200]}"
    return "make or copy the archive again"


def read_document(files: ArchiveFiles, descriptor: Descriptor, limit: int, what: str) -> bytes:
    """A small blob of the layout, verified; `what` names it in messages."""
    data = files.read(_blob(descriptor), limit)
    actual = digest_of(data, descriptor.digest.partition(":")[0])
    if actual != descriptor.digest:
        raise mismatch(what, descriptor.digest, actual, failing=files.failing)
    return data


def _blob(descriptor: Descriptor) -> str:
    return "blobs/" + descriptor.digest.replace(":", "/")
