"""The store: blobs, layers, indexes and images in one directory.

The names below are loaded when they are first used, for those who need only a part.
"""
from __future__ import annotations

from ..light import TYPE_CHECKING


if TYPE_CHECKING:
    from typing import Any

    from .images import Image
    from .layout import Store

__all__ = ["Image", "Store"]

_HOME = {"Image": "images", "Store": "layout"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
