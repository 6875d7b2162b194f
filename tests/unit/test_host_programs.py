"""Programs that a cell runs elsewhere (lpmx_contained.host)."""
from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import lpmx_jupyter
import pytest

#: Says that it is there, ignores the first way of asking, and ends at the second.
STUBBORN = "trap '' INT; trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"


class Interrupting(io.StringIO):
    """Where somebody interrupts as soon as certain words can be read."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    def flush(self) -> None:
        if self.words and self.words in self.getvalue():
            self.words = ""
            raise KeyboardInterrupt


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(lpmx_jupyter.__file__).parent / "contained"))
    from lpmx_contained import host
    return host


def test_interrupt_while_the_one_before_is_told_is_the_next_one(
        host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who presses stop twice has the program told more firmly, and not killed in the middle of its
    work."""
    monkeypatch.setattr(sys, "stdout", Interrupting("ready"))
    monkeypatch.setattr(sys, "stderr", Interrupting("told to stop"))

    with pytest.raises(KeyboardInterrupt) as interrupted:
        host.run(["/bin/sh", "-c", STUBBORN], hurry=False)

    assert 3 == getattr(interrupted.value, "exit_code", None)
