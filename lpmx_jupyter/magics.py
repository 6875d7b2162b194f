"""`%load_ext lpmx_jupyter.magics`, for kernels that were not started by us.

The magic itself is in `contained/`, which kernels inside images see as
/.lpmx/python; here it is found on the host.
"""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

CONTAINED = Path(__file__).resolve().parent / "contained"


def _package() -> Any:
    if str(CONTAINED) not in sys.path:
        sys.path.append(str(CONTAINED))
    import lpmx_contained
    return lpmx_contained


def load_ipython_extension(shell: Any) -> None:
    """Register `%lpmx` with this IPython."""
    _package().load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take `%lpmx` away again."""
    _package().unload_ipython_extension(shell)
