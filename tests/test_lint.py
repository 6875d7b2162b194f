"""The code has no mistake that a machine can find at a glance."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def test_ruff_finds_nothing() -> None:
    """Undefined names, unused imports, what pyproject.toml selects."""
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", str(CHECKOUT)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    assert 0 == done.returncode, done.stdout
