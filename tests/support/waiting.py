"""Waiting for what cannot tell that it has come about."""
from __future__ import annotations

import time
from typing import Any, Callable


def until(look: Callable[[], Any], patience: float) -> Any:
    """What `look` finds, once it finds something; fails after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
