"""LPMX containers as Jupyter kernels."""
from __future__ import annotations

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext lpmx_jupyter` registers `%lpmx`."""
    from . import magics
    magics.load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext lpmx_jupyter` takes it away."""
    from . import magics
    magics.unload_ipython_extension(shell)
