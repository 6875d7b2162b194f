"""The server extension: the only face that the runtime has over HTTP (openapi.yaml).

Nothing but this package needs jupyter_server, which comes with the extra `lab`.
"""
from __future__ import annotations

from typing import Any

from lpmx_runtime import __version__

__all__ = ["__version__"]


def _jupyter_server_extension_points() -> "list[dict[str, Any]]":
    """Jupyter's discovery hook."""
    from .app import LpmxExtension
    return [{"module": "lpmx_jupyter.extension", "app": LpmxExtension}]
