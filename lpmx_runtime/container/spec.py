"""View files: what a process in a container sees (format: native/include/lpmx_abi.h)."""
from __future__ import annotations

import os

from ..light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any, Optional, Sequence, Union

    _Path = Union[str, bytes, "os.PathLike[str]"]

MAGIC = b"lpmx-view 1"


class Bind(NamedTuple):
    """A host path that appears at `at` in the view."""

    host: str
    at: str
    read_only: bool = False


class ViewSpec:
    """The fields of one view file; None leaves a field out.

    A plain class: dataclasses cost more to import than a container costs to make, and a
    tuple has a method of the name `index`.
    """

    def __init__(self, kind: str, name: str, loader: _Path, *, directory: Optional[_Path] = None,
                 index: Optional[_Path] = None, layers: Sequence[_Path] = (),
                 upper: Optional[_Path] = None, work: Optional[_Path] = None,
                 control: Optional[_Path] = None, preload: Optional[_Path] = None,
                 binds: Sequence[Bind] = (), uid: Optional[int] = None,
                 gid: Optional[int] = None, program: Optional[str] = None,
                 container: Optional[_Path] = None, hostview: Optional[_Path] = None,
                 hostenv: Optional[_Path] = None, rules: Optional[_Path] = None,
                 allow: Sequence[str] = (), calllog: Optional[_Path] = None,
                 rewrite: Optional[str] = None) -> None:
        self.kind, self.name, self.loader, self.directory = kind, name, loader, directory
        self.index, self.layers, self.upper, self.work = index, layers, upper, work
        self.control, self.preload, self.binds = control, preload, binds
        self.uid, self.gid, self.program, self.container = uid, gid, program, container
        self.hostview, self.hostenv = hostview, hostenv
        self.rules, self.allow, self.calllog = rules, allow, calllog
        self.rewrite = rewrite

    def but(self, **changes: Any) -> "ViewSpec":
        """The same with these fields in place of its own."""
        return ViewSpec(**{**vars(self), **changes})

    def encode(self) -> bytes:
        """The bytes of the file."""
        fields: list[bytes] = [MAGIC]

        def put(key: str, *values: _Path) -> None:
            fields.append(key.encode())
            fields.extend(os.fsencode(value) for value in values)

        put("kind", self.kind)
        put("name", self.name)
        for key in ("directory", "index", "upper", "work", "control", "loader", "preload",
                    "program", "container", "hostview", "hostenv", "rules", "calllog", "rewrite"):
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
