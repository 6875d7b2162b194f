"""Manifests and image indexes, OCI's and Docker's, and which of them fits a machine.

OCI image spec, "Image Manifest" and "Image Index"; Docker's "Image Manifest
Version 2, Schema 2" has the same fields under other media types. Schema 1 is
refused.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, Optional, Sequence, Union

from ..errors import ImageDamaged, UnsupportedImage
from .digest import is_digest
from .document import MAKE_AGAIN, Cause, load_json

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_INDEX)

SIZE_LIMIT = 4 << 20          # of a manifest, as registries have it
CONFIG_LIMIT = 16 << 20
NESTING_LIMIT = 4             # indexes in indexes
LAYERS_LIMIT = 1024

_SCHEMA_1 = ("application/vnd.docker.distribution.manifest.v1+json",
             "application/vnd.docker.distribution.manifest.v1+prettyjws")
_LAYERS = ("application/vnd.oci.image.layer.v1.tar",
           "application/vnd.oci.image.layer.nondistributable.v1.tar",
           "application/vnd.docker.image.rootfs.diff.tar",
           "application/vnd.docker.image.rootfs.foreign.diff.tar")
_COMPRESSIONS = ("", "+gzip", ".gzip", "+zstd", ".zstd")

_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm",
                  "armel": "arm", "armv7l": "arm", "armv6l": "arm", "i386": "386", "i686": "386",
                  "ppc64el": "ppc64le", "loongarch64": "loong64"}
_VARIANTS = {"armhf": "v7", "armel": "v6", "armv7l": "v7", "armv6l": "v6"}
# What an absent variant means.
_PLAIN = {"arm": "v7", "arm64": "v8", "amd64": "v1"}


@dataclass(frozen=True)
class Platform:
    """What an image's programs need: "linux/amd64", "linux/arm/v7"."""

    os: str
    architecture: str
    variant: Optional[str] = None

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """A platform as people write it; also a machine's name, "x86_64", alone."""
        parts = text.strip().lower().split("/")
        if len(parts) == 1:
            parts = ["linux", *parts]
        if len(parts) > 3 or not all(parts):
            raise UnsupportedImage(f'cannot use "{text}" as a platform: it is not OS/ARCHITECTURE',
                                   hint='a platform looks like "linux/amd64" or "linux/arm/v7"')
        return cls(*parts).normal()

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Platform":
        """The platform that an index or a config states."""
        def text(name: str) -> str:
            found = value.get(name)
            return found.lower() if isinstance(found, str) else ""

        return cls(text("os") or "linux", text("architecture"), text("variant") or None).normal()

    def normal(self) -> "Platform":
        """One spelling for each platform, so that two can be compared."""
        architecture = _ARCHITECTURES.get(self.architecture, self.architecture)
        variant = self.variant or _VARIANTS.get(self.architecture)
        if variant is not None and variant.isdigit():
            variant = "v" + variant
        if variant == _PLAIN.get(architecture) and architecture != "arm":
            variant = None
        return Platform(self.os, architecture, variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def beside(self, offered: Iterable["Platform"]) -> "Platform":
        """This platform for a message about others: the variant matters only to its kin."""
        kin = any((self.os, self.architecture) == (other.os, other.architecture)
                  for other in offered)
        return self if kin else Platform(self.os, self.architecture)

    def fit(self, offered: "Platform") -> Optional[int]:
        """How well an image for `offered` suits this machine: 0 is best, None not at all.

        A variant runs what was made for it and for those before it.
        """
        if (self.os, self.architecture) != (offered.os, offered.architecture):
            return None
        have, need = _level(self), _level(offered)
        if have is None or need is None:
            return 0 if self.variant == offered.variant else None
        return have - need if need <= have else None


def _level(platform: Platform) -> Optional[int]:
    """The variant as a number, "v7" being 7; None where it is another word."""
    variant = platform.variant or _PLAIN.get(platform.architecture, "v0")
    number = variant[1:].partition(".")[0]
    return int(number) if variant[:1] == "v" and number.isdigit() and len(number) < 4 else None


@dataclass(frozen=True)
class Descriptor:
    """Names a blob: what it is, how large, and its digest."""

    media_type: str
    digest: str
    size: int
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Optional[Platform] = None

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES


@dataclass(frozen=True)
class Manifest:
    """One image: its config and its layers, base first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Index:
    """A choice of images, or of further indexes."""

    manifests: tuple[Descriptor, ...]
    media_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)


def parse_manifest(data: bytes, media_type: str = "", *,
                   failing: str = "cannot read the manifest") -> Union[Manifest, Index]:
    """The manifest or index in `data`, which came as `media_type`, if that is known.

    Raises `ImageDamaged` for what makes no sense, `UnsupportedImage` for what
    does but is no image that can be run here; the message begins with `failing`.
    """
    try:
        return _parse(data, media_type)
    except Cause as cause:
        raise cause.kind(f"{failing}: {cause}", hint=cause.hint) from None


def _parse(data: bytes, media_type: str) -> Union[Manifest, Index]:
    value = load_json(data)
    if not isinstance(value, dict):
        raise _damaged("it is not a JSON object")
    stated = value.get("mediaType")
    media_type = media_type.partition(";")[0].strip().lower()
    known = MANIFESTS + INDEXES + _SCHEMA_1
    if isinstance(stated, str) and stated in known:
        if media_type in known and stated != media_type:
            raise _damaged(f'it came as "{media_type}" and says that it is "{stated}"')
        media_type = stated
    if media_type in _SCHEMA_1 or (value.get("schemaVersion") == 1 and "fsLayers" in value):
        raise _unsupported(
            "its manifest has schema 1, a format that says nothing of the layers' content "
            "and that Docker has given up",
            "have it pushed again by a current tool; "
            '"skopeo copy --format v2s2 docker://OLD docker://NEW" does so')
    if "layers" in value and "manifests" in value:
        # One text, two readings (GHSA-mc8v-mgrf-8f4m).
        raise _damaged("it is a manifest and an index at once")
    annotations = _texts(value.get("annotations"))
    if media_type in INDEXES or (media_type not in MANIFESTS and "manifests" in value):
        entries = _list(value, "manifests", "index")
        return Index(tuple(_descriptor(entry, "a manifest of the index") for entry in entries),
                     media_type or OCI_INDEX, annotations)
    if media_type not in MANIFESTS and "layers" not in value:
        raise _unsupported(f'it is no image but "{str(media_type or stated)[:100]}"', _OTHER)
    layers = [_descriptor(layer, "a layer") for layer in _list(value, "layers", "manifest")]
    if len(layers) > LAYERS_LIMIT:
        raise _damaged(f"it has more than {LAYERS_LIMIT} layers")
    return Manifest(_descriptor(value.get("config"), "the config"), tuple(layers),
                    media_type or OCI_MANIFEST, annotations)


def check_layers(manifest: Manifest, *, failing: str) -> None:
    """Raise `UnsupportedImage` if the layers are not layers of a file system."""
    for layer in manifest.layers:
        kind = layer.media_type
        if "+encrypted" in kind:
            raise UnsupportedImage(f"{failing}: its layers are encrypted",
                                   hint='decrypt it first, with "skopeo copy --decryption-key"')
        if not any(kind == known + compression
                   for known in _LAYERS for compression in _COMPRESSIONS):
            raise UnsupportedImage(
                f'{failing}: it is no image of a file system but holds "{kind[:100]}"', hint=_OTHER)


def choose(index: Index, platform: Platform, *,
           failing: str = "cannot choose an image") -> Descriptor:
    """The entry of `index` for `platform`; an entry without platform fits any.

    Of several that fit equally well the first counts, as the spec has it.
    Raises `UnsupportedImage` with the platforms that there are.
    """
    best: Optional[tuple[int, Descriptor]] = None
    for entry in index.manifests:
        if entry.media_type not in MANIFESTS + INDEXES:
            continue
        fit = 1000 if entry.platform is None else platform.fit(entry.platform)
        if fit is not None and (best is None or fit < best[0]):
            best = fit, entry
    if best is None:
        offered = [entry.platform for entry in index.manifests if entry.platform is not None]
        raise UnsupportedImage(f"{failing}: there is none for {platform.beside(offered)}",
                               hint=_offer(index.manifests))
    return best[1]


def _offer(entries: Sequence[Descriptor]) -> str:
    offered = sorted({str(entry.platform) for entry in entries
                      if entry.platform is not None and entry.platform.architecture != "unknown"})
    if not offered:
        return "ask whoever made the image for one of this platform"
    return "there is one for " + _join(offered)


def _join(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


# -- fields -----------------------------------------------------------------------

_OTHER = "check the name: a registry may hold other things, too"


def _damaged(cause: str) -> Cause:
    return Cause(ImageDamaged, f"the manifest makes no sense: {cause}", MAKE_AGAIN)


def _unsupported(cause: str, hint: str) -> Cause:
    return Cause(UnsupportedImage, cause, hint)


def _list(value: Mapping[str, Any], name: str, of: str) -> list[Any]:
    found = value.get(name)
    if not isinstance(found, list):
        raise _damaged(f'the {of} has no list of {name}')
    return found


def _texts(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str)}


def _descriptor(value: Any, what: str) -> Descriptor:
    if not isinstance(value, dict):
        raise _damaged(f"{what} has no descriptor")
    digest, size = value.get("digest"), value.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        raise _damaged(f"{what} has {str(digest)[:80]!r} as its digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 50:
        raise _damaged(f"{what} has {str(size)[:40]!r} as its size")
    urls = value.get("urls")
    platform = value.get("platform")
    media_type = value.get("mediaType")
    return Descriptor(
        media_type if isinstance(media_type, str) else "", digest, size,
        tuple(url for url in urls if isinstance(url, str)) if isinstance(urls, list) else (),
        _texts(value.get("annotations")),
        Platform.of(platform) if isinstance(platform, dict) else None)
