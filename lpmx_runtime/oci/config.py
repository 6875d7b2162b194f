"""The image config: what an image says about itself and its programs.

OCI image spec, "Image Configuration"; Docker's older form has the same fields.
"""
from __future__ import annotations

from collections.abc import Mapping

from ..errors import ImageDamaged
from ..light import TYPE_CHECKING, NamedTuple
from .digest import is_digest
from .document import MAKE_AGAIN, Cause, load_json

if TYPE_CHECKING:
    from typing import Any, Optional, Union


class ImageConfig(NamedTuple):
    """A config with what is absent filled in; `raw` is all of it, as it came."""

    architecture: str
    os: str
    variant: Optional[str]
    env: Mapping[str, str]
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    working_dir: str
    user: str
    labels: Mapping[str, str]
    stop_signal: Optional[str]
    volumes: tuple[str, ...]
    exposed_ports: tuple[str, ...]
    diff_ids: tuple[str, ...]
    created: Optional[str]
    history: tuple[Mapping[str, Any], ...]
    raw: Mapping[str, Any]

    @classmethod
    def parse(cls, config: Union[bytes, Mapping[str, Any]], *,
              failing: str = "cannot read the image config") -> "ImageConfig":
        """Read a config. Raises `ImageDamaged` for what cannot be one, with a message
        that begins with `failing`."""
        try:
            return cls._parse(config)
        except Cause as cause:
            raise cause.kind(f"{failing}: {cause}", hint=cause.hint) from None

    @classmethod
    def _parse(cls, config: Union[bytes, Mapping[str, Any]]) -> "ImageConfig":
        raw = _object(load_json(config) if isinstance(config, bytes) else config, "all of it")
        run = _object(raw.get("config"), "config")
        rootfs = _object(raw.get("rootfs"), "rootfs")
        return cls(
            architecture=_text(raw, "architecture"),
            os=_text(raw, "os") or "linux",
            variant=_text(raw, "variant") or None,
            env=_environment(run),
            entrypoint=_words(run, "Entrypoint"),
            cmd=_words(run, "Cmd"),
            working_dir=_text(run, "WorkingDir"),
            user=_text(run, "User"),
            labels={name: str(value) for name, value
                    in _object(run.get("Labels"), "Labels").items()},
            stop_signal=_text(run, "StopSignal") or None,
            volumes=tuple(_object(run.get("Volumes"), "Volumes")),
            exposed_ports=tuple(_object(run.get("ExposedPorts"), "ExposedPorts")),
            diff_ids=_diff_ids(rootfs),
            created=_text(raw, "created") or None,
            history=tuple(_object(step, "history") for step in _list(raw, "history")),
            raw=raw,
        )


def _damaged(cause: str) -> Cause:
    return Cause(ImageDamaged, f"the image config makes no sense: {cause}", MAKE_AGAIN)


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _damaged(f"{name} is not a JSON object")
    return value


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise _damaged(f"{name} is not a list")
    return found


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    if found is None:
        return ""
    if not isinstance(found, str) or "\0" in found:
        raise _damaged(f"{name} is not a text")
    return found


def _words(run: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A command. A lone text is its only word, as Docker reads old configs."""
    if isinstance(run.get(name), str):
        return (_text(run, name),)
    words = _list(run, name)
    if not all(isinstance(word, str) and "\0" not in word for word in words):
        raise _damaged(f"{name} is not a list of texts")
    return tuple(words)


def _environment(run: Mapping[str, Any]) -> Mapping[str, str]:
    """The variables; of a name that comes twice the last one counts."""
    env = {}
    for assignment in _words(run, "Env"):
        name, _, value = assignment.partition("=")
        if name:
            env[name] = value
    return env


def _diff_ids(rootfs: Mapping[str, Any]) -> tuple[str, ...]:
    kind = rootfs.get("type", "layers")
    if kind != "layers":
        raise _damaged(f"its root file system is of the unknown type {kind!r}")
    diff_ids = _list(rootfs, "diff_ids")
    for diff_id in diff_ids:
        if not is_digest(diff_id):
            raise _damaged(f"{diff_id!r} is not a diff ID")
    return tuple(diff_ids)
