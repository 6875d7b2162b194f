"""What a user types to name an image, taken apart by Docker's rules.

    [registry[:port]/]repository[:tag][@digest]

The part before the first slash is a registry if nothing else can be meant: it
has a dot, a port or a capital letter, or is "localhost". Without one the registry is Docker
Hub, "docker.io", where repositories of a single name live under "library/".
Without tag and digest the tag is "latest"; where both are given the digest
counts and the tag is a remark.
"""
from __future__ import annotations

import re

from ..errors import InvalidReference
from ..light import TYPE_CHECKING, NamedTuple
from .digest import is_digest

if TYPE_CHECKING:
    from typing import Optional

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
_NAME_LIMIT = 255  # registry and repository together, as registries have it

# What follows is compiled when it is first needed: to start a container takes one or two of them.
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_SCHEME = r"[a-zA-Z][a-zA-Z0-9+.-]*://"
_HEX = r"[0-9a-f]{64}"

_EXAMPLE = 'a reference looks like "ubuntu:18.04" or "ghcr.io/acme/solver:2.4"'


class Reference(NamedTuple):
    """An image's name in full. Compare and store these rather than what was typed."""

    registry: str
    repository: str
    tag: Optional[str] = None
    digest: Optional[str] = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """The reference that `text` means; raises `InvalidReference` for one that cannot be."""
        if not text:
            raise _invalid(text, "it is empty")
        scheme = re.match(_SCHEME, text) if "://" in text else None
        if scheme:
            raise _invalid(text, "it is a URL", f'leave "{scheme.group()}" out')
        name, at, digest = text.partition("@")
        if at and not is_digest(digest):
            raise _invalid(text, f'"{digest}" is not a digest',
                           'a digest looks like "sha256:" and 64 hexadecimal digits')
        name, tag = _split_tag(name)
        if tag is not None and not re.fullmatch(_TAG, tag):
            raise _invalid(text, f'"{tag}" is not a tag',
                           'a tag has at most 128 letters, digits, "_", "." and "-"')
        registry, repository = _split_registry(name)
        if registry != DEFAULT_REGISTRY and not re.fullmatch(_REGISTRY, registry):
            raise _invalid(text, f'"{registry}" is not the name of a registry')
        _check_repository(text, name, repository)
        # One host, one name; but what is a registry by its capitals alone keeps them.
        if _is_registry(registry.lower()):
            registry = registry.lower()
        if registry in ("docker.io", "index.docker.io", "registry-1.docker.io"):
            registry = DEFAULT_REGISTRY
            if "/" not in repository:
                repository = _OFFICIAL + repository
        if len(registry) + 1 + len(repository) > _NAME_LIMIT:
            raise _invalid(text, f"its name has more than {_NAME_LIMIT} characters")
        if tag is None and not at:
            tag = DEFAULT_TAG
        return cls(registry, repository, tag, digest or None)

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}{self._suffix}"

    @property
    def familiar(self) -> str:
        """The name as people type it: the shortest that means the same."""
        short = self.repository
        if self.registry == DEFAULT_REGISTRY and short.startswith(_OFFICIAL):
            short = short[len(_OFFICIAL):]
        for name in (short, self.repository):
            if self.registry == DEFAULT_REGISTRY and _means(name, self):
                return name + self._suffix
        return str(self)

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return f"{tag}@{self.digest}" if self.digest is not None else tag


def _split_tag(name: str) -> tuple[str, Optional[str]]:
    """The name and the tag; a colon before the last slash belongs to a port."""
    before, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, None
    return before, tag


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and _is_registry(first):
        return first, rest
    return DEFAULT_REGISTRY, name


def _is_registry(first: str) -> bool:
    """Whether the first part of a name can be nothing but a registry."""
    return ("." in first or ":" in first or first == "localhost" or first != first.lower())


def _means(name: str, reference: Reference) -> bool:
    """Whether `name`, typed, is read as the registry and repository of `reference`."""
    registry, repository = _split_registry(name)
    if "/" not in repository:
        repository = _OFFICIAL + repository
    return (registry, repository) == (reference.registry, reference.repository)


def _check_repository(text: str, name: str, repository: str) -> None:
    if re.fullmatch(_REPOSITORY, repository):
        # Tools take such a name for an image ID, so no registry has one.
        if len(name) == 64 and re.fullmatch(_HEX, name):
            raise _invalid(text, "64 hexadecimal digits are a digest, not a repository",
                           f'write "REPOSITORY@sha256:{name[:8]}..."')
        return
    lower = repository.lower()
    if lower != repository and re.fullmatch(_REPOSITORY, lower):
        raise _invalid(text, "repositories have names in lower case",
                       f'try "{text.replace(repository, lower)}"')
    if not repository:
        raise _invalid(text, "it names no repository")
    raise _invalid(text, f'"{repository}" is not the name of a repository')


def _invalid(text: str, cause: str, hint: str = _EXAMPLE) -> InvalidReference:
    return InvalidReference(f'cannot use "{text}" as the name of an image: {cause}', hint=hint)
