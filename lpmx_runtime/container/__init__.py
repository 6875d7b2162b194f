"""Containers: an image, an upper, and the programs that run over both.

The names below are loaded when they are first used: starting a program in a
container that exists (`launch.py`) needs little of this, and must be fast.
"""
from __future__ import annotations

from ..light import TYPE_CHECKING


if TYPE_CHECKING:
    from typing import Any

    from .environment import Change, LiveEnvironment, Variable
    from .exposed import Command
    from .launch import Launch
    from .lifecycle import Container, Options
    from .links import Link
    from .processes import Process
    from .spec import Bind, ViewSpec

__all__ = ["Bind", "Change", "Command", "Container", "Launch", "Link", "LiveEnvironment", "Options",
           "Process", "Variable", "ViewSpec"]

_HOME = {"Bind": "spec", "Change": "environment", "Command": "exposed", "Container": "lifecycle",
         "Launch": "launch", "Link": "links", "LiveEnvironment": "environment",
         "Options": "lifecycle", "Process": "processes", "Variable": "environment",
         "ViewSpec": "spec"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
