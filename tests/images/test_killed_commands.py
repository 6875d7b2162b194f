"""Commands killed anywhere: in Python, in the core, while they start; more in tests/soak."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.killing import Life
from support.small_registry import SmallRegistry


@pytest.mark.parametrize("seed", [1, 2])
def test_commands_killed_at_random(lpmx: Any, store: Path, tmp_path: Path, small: SmallRegistry,
                                   seed: int) -> None:
    """Whatever was killed, everything is whole, and the same command does its work."""
    Life(lpmx, store, tmp_path, small, seed).round()

    assert [] == [path for part in ("tmp", "layers/sha256", "indexes/sha256", "blobs/sha256")
                  for path in (store / part).glob("[!.]*")]
