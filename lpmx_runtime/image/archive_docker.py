"""Images in a tar of `docker save` and its imitators: manifest.json or, older, repositories.

manifest.json is a list of images, each with the names of its config's and its
layers' files and with its tags. Before Docker 1.10 there were only
`repositories`, tags by repository with the ID of the topmost layer, and a
directory for each layer with `json`, in which `parent` leads down, and
`layer.tar`.

No manifest of a registry is in there. One is made, of uncompressed layers, so
that an image from a file has a digest, too.
"""
from __future__ import annotations

import json
from typing import Any, Mapping, Optional, Sequence

from ..errors import InvalidReference
from ..oci.config import ImageConfig
from ..oci.document import Cause, load_json
from ..oci.manifest import (
    CONFIG_LIMIT,
    LAYERS_LIMIT,
    SIZE_LIMIT,
    Platform,
)
from ..oci.reference import Reference
from .archive_files import ArchiveFiles
from .found import Found, digest_of_stream, make_manifest
from .layers import LayerSource
from .platform import check_image
from .streams import decompressed, is_compressed, pieces


def find(files: ArchiveFiles, default: str, platform: Platform) -> list[Found]:
    """The images of the archive; `default` names one that has no tag."""
    if files.size("manifest.json") is None:
        return _find_old(files, platform)
    entries = _document(files, "manifest.json", SIZE_LIMIT)
    if not isinstance(entries, list):
        raise files.damaged("its manifest.json is no list")
    found = []
    for entry in entries:
        entry = entry if isinstance(entry, dict) else {}
        config: Any = entry.get("Config")
        layers: Any = entry.get("Layers")
        tags: Any = entry.get("RepoTags") or []
        if (not isinstance(config, str) or not _are_texts(layers) or not _are_texts(tags)
                or len(layers) > LAYERS_LIMIT):
            raise files.damaged("its manifest.json makes no sense")
        data = files.read(config, CONFIG_LIMIT)
        references = [_reference(files, tag) for tag in tags]
        found += _images(files, references or [Reference.parse(default)], data, layers, platform)
    return found


def _images(files: ArchiveFiles, references: Sequence[Reference], data: bytes,
            layers: Sequence[str], platform: Platform) -> list[Found]:
    """One image under each of its names."""
    config = ImageConfig.parse(data, failing=files.failing)
    check_image(config, platform, failing=files.failing)
    if len(config.diff_ids) != len(layers):
        raise files.damaged(f"the image config speaks of {len(config.diff_ids)} layers, "
                            f"and manifest.json of {len(layers)}")
    sources = tuple(_source(files, diff_id, name)
                    for diff_id, name in zip(config.diff_ids, layers))
    manifest = make_manifest(data, [(diff_id, _tar_size(files, name))
                                    for diff_id, name in zip(config.diff_ids, layers)])
    return [Found(reference, manifest, data, sources) for reference in references]


def _source(files: ArchiveFiles, diff_id: str, name: str) -> LayerSource:
    size = files.size(name)
    if size is None:
        raise files.damaged(f'it has no file "{name}"')
    return LayerSource(diff_id, f"layer {diff_id.partition(':')[2][:12]}", size,
                       lambda: files.open(name))


def _tar_size(files: ArchiveFiles, name: str) -> int:
    """The size of a layer's tar, read through if it is kept compressed."""
    stream = files.open(name)
    try:
        if not is_compressed(stream.read(6)):
            return files.size(name) or 0
    finally:
        stream.close()
    plain = decompressed(files.open(name), f'"{name}"')
    try:
        return sum(len(piece) for piece in pieces(plain))
    finally:
        plain.close()


# -- before Docker 1.10


def _find_old(files: ArchiveFiles, platform: Platform) -> list[Found]:
    repositories = _document(files, "repositories", SIZE_LIMIT)
    if not isinstance(repositories, dict):
        raise files.damaged("its file repositories is no JSON object")
    names: dict[str, list[Reference]] = {}
    for repository, tags in repositories.items():
        if not isinstance(tags, dict) or not _are_texts(list(tags.values())):
            raise files.damaged("its file repositories makes no sense")
        for tag, top in tags.items():
            names.setdefault(top, []).append(_reference(files, f"{repository}:{tag}"))
    found = []
    for top, references in names.items():
        config, layers = _old_image(files, top)
        found += _images(files, references, config, layers, platform)
    return found


def _old_image(files: ArchiveFiles, top: str) -> tuple[bytes, list[str]]:
    """A config as today's images have it, and the names of the layers' files, base first."""
    chain: list[Mapping[str, Any]] = []
    names: list[str] = []
    layer: Optional[str] = top
    while layer:
        if len(names) >= LAYERS_LIMIT:
            raise files.damaged(f"it has an image of more than {LAYERS_LIMIT} layers")
        value = _document(files, f"{layer}/json", CONFIG_LIMIT)
        if not isinstance(value, dict):
            raise files.damaged(f'its file "{layer}/json" is no JSON object')
        chain.append(value)
        names.append(f"{layer}/layer.tar")
        layer = value.get("parent")
        if layer is not None and not isinstance(layer, str):
            raise files.damaged(f'its file "{names[-1]}" has a parent that is no text')
    names.reverse()
    config = {
        "architecture": chain[0].get("architecture", "amd64"),
        "os": chain[0].get("os", "linux"),
        "config": chain[0].get("config") or {},
        "created": chain[0].get("created"),
        "rootfs": {"type": "layers", "diff_ids": [_diff_id(files, name) for name in names]},
    }
    return json.dumps(config, sort_keys=True).encode(), names


def _diff_id(files: ArchiveFiles, name: str) -> str:
    if files.size(name) is None:
        raise files.damaged(f'it has no file "{name}"')
    return digest_of_stream(decompressed(files.open(name), f'"{name}"'))


# -- documents


def _document(files: ArchiveFiles, name: str, limit: int) -> Any:
    try:
        return load_json(files.read(name, limit))
    except Cause as cause:
        raise files.damaged(f'its file "{name}" is damaged: {cause}') from None


def _reference(files: ArchiveFiles, text: str) -> Reference:
    try:
        return Reference.parse(text)
    except InvalidReference as error:
        raise files.damaged(f"{error}") from None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
