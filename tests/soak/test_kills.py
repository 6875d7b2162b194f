"""Commands killed at random moments, again and again, in one store."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from support.killing import Life
from support.small_registry import SmallRegistry

ROUNDS = 60


def test_commands_killed_at_random(lpmx: Any, store: Path, tmp_path: Path,
                                   record: Callable[..., None]) -> None:
    """Whatever was killed, everything is whole, and the same command does its work."""
    killed, wrong = 0, ""
    with SmallRegistry() as registry:
        life = Life(lpmx, store, tmp_path, registry, 1)
        try:
            for _ in range(ROUNDS):
                killed += life.round()
        except AssertionError as error:
            wrong = str(error)
    record("faults", "commands killed at random", killed, wrong or "all whole")
    assert not wrong
