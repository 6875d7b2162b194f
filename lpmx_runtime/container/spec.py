"""View files: what a process in a container sees (format: native/include/lpmx_abi.h)."""
from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Optional, Union

MAGIC = b"lpmx-view 1"

_Path = Union[str, bytes, "os.PathLike[str]"]


@dataclass(frozen=True)
class Bind:
    """A host path that appears at `at` in the view."""

    host: str
    at: str
    read_only: bool = False


@dataclass
class ViewSpec:
    """The fields of one view file; None leaves a field out."""

    kind: str
    name: str
    loader: _Path
    directory: Optional[_Path] = None
    index: Optional[_Path] = None
    layers: list[_Path] = field(default_factory=list)
    upper: Optional[_Path] = None
    work: Optional[_Path] = None
    control: Optional[_Path] = None
    preload: Optional[_Path] = None
    binds: list[Bind] = field(default_factory=list)
    uid: Optional[int] = None
    gid: Optional[int] = None
    program: Optional[str] = None
    container: Optional[_Path] = None
    hostview: Optional[_Path] = None
    hostenv: Optional[_Path] = None
    rules: Optional[_Path] = None
    allow: list[str] = field(default_factory=list)
    calllog: Optional[_Path] = None

    def encode(self) -> bytes:
        """The bytes of the file."""
        fields: list[bytes] = [MAGIC]

        def put(key: str, *values: _Path) -> None:
            fields.append(key.encode())
            fields.extend(os.fsencode(value) for value in values)

        put("kind", self.kind)
        put("name", self.name)
        for key in ("directory", "index", "upper", "work", "control", "loader", "preload",
                    "program", "container", "hostview", "hostenv", "rules", "calllog"):
            value = getattr(self, key)
            if value is not None:
                put(key, value)
        for rule in self.allow:
            put("allow", rule)
        for layer in self.layers:
            put("layer", layer)
        for bind in self.binds:
            put("bind", "ro" if bind.read_only else "rw", bind.at, bind.host)
        for key in ("uid", "gid"):
            if getattr(self, key) is not None:
                put(key, str(getattr(self, key)))
        if any(b"\0" in value for value in fields):
            raise ValueError("a path cannot contain a NUL byte")
        return b"\0".join(fields) + b"\0"
