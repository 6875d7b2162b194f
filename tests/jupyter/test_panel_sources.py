"""The panel's sources: its own tests of model and components, and its types."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PANEL = Path(__file__).resolve().parents[2] / "labextension"


def node(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program that is written in JavaScript, of those that the tests of the panel need."""
    script = PANEL / "node_modules" / program
    if not script.exists():
        pytest.skip("the packages of the panel's tests are not installed (make set-up)")
    return subprocess.run([sys.executable, str(PANEL / "build_panel.py"), "node", str(script), *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280)


def test_components_and_model() -> None:
    """labextension/tests, by vitest: what they do without a browser and a server."""
    done = node("vitest/vitest.mjs", "run", "--configLoader=runner", "--no-cache")

    assert 0 == done.returncode, done.stdout


def test_linter_finds_nothing() -> None:
    """Hooks, labels, promises and the like, as labextension/.oxlintrc.json says."""
    done = node("oxlint/bin/oxlint", "--deny-warnings")

    assert 0 == done.returncode, done.stdout


def test_types() -> None:
    """The compiler, as strict as it gets, finds nothing."""
    done = node("typescript/bin/tsc")

    assert 0 == done.returncode, done.stdout
