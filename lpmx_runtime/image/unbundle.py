"""Containers of a bundle (bundle.py has its form), made in the store.

A bundle is a file like any other: nothing in it is believed that was not checked.
"""
from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional

from ..container import Bind, Container, Options
from ..container.record import check_name
from ..errors import ArchiveDamaged, ContainerExists, ImageDamaged, InvalidReference, InvalidSetting
from ..oci.config import ImageConfig
from ..oci.digest import is_digest
from ..oci.document import Cause, load_json
from ..oci.manifest import CONFIG_LIMIT, Descriptor, Index, Platform
from ..oci.reference import Reference
from ..progress import Note, Sink
from ..store import Image, Store
from .archive_files import ArchiveFiles
from .archive_oci import CONTAINER, EXTRAS, find_image, read_document, top_index
from .bundle import VERSION
from .carried import Carried, is_text, parse
from .layers import LayerSource
from .restore import restore


@dataclass(frozen=True)
class FoundContainer:
    """A container of a bundle before anything of it is made. `image` is what it was made of,
    `config` that one's config, `changes` the layer with what it changed, `called` its name in
    the bundle."""

    name: str
    image: Image
    config: bytes
    options: Options
    labels: Mapping[str, str]
    live: Mapping[str, Optional[str]]
    changes: str
    layers: tuple[LayerSource, ...]
    left_out: tuple[str, ...]
    carried: Carried
    called: str


def find(files: ArchiveFiles, platform: Platform,
         renamed: Mapping[str, str] = {}) -> list[FoundContainer]:  # noqa: B006
    """The containers of the layout, under the names that `renamed` has for some of them."""
    found = []
    for entry in top_index(files).manifests:
        if CONTAINER in entry.annotations:
            found.append(_found(files, entry, platform, renamed))
    names = [container.name for container in found]
    for name in names:
        if names.count(name) > 1:
            raise files.damaged(f'it has two containers that are called "{name}"')
    strange = sorted(set(renamed.values()) - set(names))
    if strange:
        old = next(old for old, new in renamed.items() if new == strange[0])
        raise InvalidSetting(f'{files.failing}: there is no container "{old}" in it to be '
                             f'called "{strange[0]}"',
                             hint=f"it has {', '.join(names) or 'none'}")
    return found


def extras(files: ArchiveFiles) -> Mapping[str, Any]:
    """What other packages had carried along, by their names."""
    text = top_index(files).annotations.get(EXTRAS)
    if text is None:
        return {}
    try:
        value = load_json(text.encode("utf-8", "surrogatepass"))
    except Cause as cause:
        raise files.damaged(f"what is carried along in it is damaged: {cause}") from None
    if not isinstance(value, dict):
        raise files.damaged("what is carried along in it is no JSON object")
    return value


def check_free(store: Store, containers: "list[FoundContainer]", failing: str) -> None:
    """Raise `ContainerExists` if one of them has the name of one that is here."""
    for container in containers:
        if os.path.lexists(store.containers / container.name):
            raise ContainerExists(
                f'{failing}: there is a container "{container.name}" already',
                hint=f'give the one of the bundle another name with --rename '
                     f'{container.name}=NAME, or run "lpmx rm {container.name}" first')


def make(store: Store, found: FoundContainer, progress: Sink, failing: str) -> Container:
    """Make the container, whose layers are in the store and are being kept there."""
    for remark in found.left_out:
        progress(Note(f'container "{found.name}": {remark}'))
    failing = f'{failing}: container "{found.name}"'

    def fill(view: Any) -> None:
        restore(view, store, found.changes, failing=failing)
        for name, value in found.live.items():
            try:
                if value is None:
                    view.environment_unset(name)
                else:
                    view.environment_set(name, value)
            except (ValueError, OSError) as error:
                raise ArchiveDamaged(f'{failing} cannot have the live variable "{name[:100]}" '
                                     f"({error})", hint="make the bundle again") from None

    store.blobs.put(found.image.config_digest, [found.config])
    return Container.create(store, found.image, name=found.name, options=found.options,
                            labels=found.labels, fill=fill)


# -- reading ---------------------------------------------------------------------------


def _found(files: ArchiveFiles, entry: Descriptor, platform: Platform,
           renamed: Mapping[str, str]) -> FoundContainer:
    state = find_image(files, Reference.parse("container"), Index((entry,), ""), platform)
    config = ImageConfig.parse(state.config, failing=files.failing)
    about = _Fields(files, config.raw.get(CONTAINER))
    if about.get("version", int) != VERSION:
        raise ArchiveDamaged(f"{files.failing}: a container in it is written in version "
                             f"{about.values.get('version')!r:.20}, and we read version {VERSION}",
                             hint="use the version of lpmx that made it, or a newer one")
    called = about.get("name", str)
    name = renamed.get(called, called)
    try:
        check_name(name)
        reference = Reference.parse(about.get("image", str))
    except (InvalidSetting, InvalidReference) as error:
        raise files.damaged(str(error)) from None
    if not config.diff_ids:
        raise files.damaged(f'container "{name}" has no layer with its changes')
    base, digest = _base(files, about, config)
    options, left_out = _options(files, about.get("options", dict))
    carried = parse(about.values)
    if carried is None:
        raise files.damaged(f'the links or commands of container "{name}" make no sense')
    return FoundContainer(
        name=name, config=base, options=options, left_out=tuple(left_out), carried=carried,
        called=called,
        labels=_labels(files, about.get("labels", dict)),
        live=_live(files, about.get("live", dict)),
        changes=config.diff_ids[-1], layers=state.layers,
        image=Image(name=str(reference), digest=digest, config_digest=about.get("config", str),
                    diff_ids=config.diff_ids[:-1], config=ImageConfig.parse(base).raw,
                    size=0, origin="loaded", added=time.time()))


class _Fields:
    """The members of a JSON object, each of the type that it must have."""

    def __init__(self, files: ArchiveFiles, value: Any) -> None:
        self._files = files
        if not isinstance(value, dict):
            raise files.damaged("a container in it does not say what it is")
        self.values: Mapping[str, Any] = value

    def get(self, name: str, kind: type) -> Any:
        value = self.values.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._files.damaged(f'"{name}" of a container in it makes no sense')
        return value


def _base(files: ArchiveFiles, about: _Fields, config: ImageConfig) -> tuple[bytes, str]:
    """The config of the image that the container was made of, and that one's digest."""
    digest, config_digest = about.get("digest", str), about.get("config", str)
    if not is_digest(config_digest) or (digest and not is_digest(digest)):
        raise files.damaged("a container in it names its image by no digest")
    size = files.size("blobs/" + config_digest.replace(":", "/"))
    data = read_document(files, Descriptor("", config_digest, size or 0), CONFIG_LIMIT,
                         "the config of a container's image")
    try:
        parsed = ImageConfig.parse(data, failing=files.failing)
    except ImageDamaged as error:
        raise files.damaged(str(error)) from None
    if parsed.diff_ids != config.diff_ids[:-1]:
        raise files.damaged("the layers of a container in it are not those of its image")
    return data, digest


def _are_variables(value: Any) -> bool:
    return (isinstance(value, dict) and all(map(is_text, value.values()))
            and all(name and is_text(name) and "=" not in name for name in value))


def _labels(files: ArchiveFiles, value: Mapping[str, Any]) -> Mapping[str, str]:
    if not all(map(is_text, (*value, *value.values()))):
        raise files.damaged("the labels of a container in it make no sense")
    return dict(value)


def _live(files: ArchiveFiles, value: Mapping[str, Any]) -> Mapping[str, Optional[str]]:
    if not _are_variables({name: "" if text is None else text for name, text in value.items()}):
        raise files.damaged("the live variables of a container in it make no sense")
    return dict(value)


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "env": _are_variables,
    "user": lambda value: value is None or is_text(value),
    "workdir": lambda value: value is None or is_text(value),
    "contain": lambda value: isinstance(value, bool),
    "preload": lambda value: isinstance(value, bool),
    "gpu": lambda value: isinstance(value, bool),
    "rewrite": lambda value: isinstance(value, bool),
}


def _options(files: ArchiveFiles, values: Mapping[str, Any]) -> tuple[Options, list[str]]:
    """The options, and what of them cannot be had here."""
    chosen, left_out = {}, []
    for name, value in values.items():
        if name in _KINDS:
            if not _KINDS[name](value):
                raise files.damaged(f'the option "{name}" of a container in it makes no sense')
            chosen[name] = value
        elif name != "binds" and value != _default(name):
            left_out.append(f'its option "{name[:40]}" means nothing to this version')
    binds, listed = [], values.get("binds") or []
    if not isinstance(listed, list) or not all(map(_is_bind, listed)):
        raise files.damaged("the binds of a container in it make no sense")
    for bind in listed:
        if os.path.exists(bind[0]):
            binds.append(Bind(bind[0], os.path.normpath(bind[1]), bind[2]))
        else:
            left_out.append(f'"{bind[0]}" is not on this machine, and so not bound at "{bind[1]}"')
    return Options(**chosen)._replace(binds=tuple(binds)), left_out


def _is_bind(value: Any) -> bool:
    return (isinstance(value, list) and len(value) == 3 and all(map(is_text, value[:2]))
            and isinstance(value[2], bool) and value[0].startswith("/")
            and value[1].startswith("/") and os.path.normpath(value[1]).strip("/") != "")


def _default(name: str) -> Any:
    return Options._field_defaults.get(name)
