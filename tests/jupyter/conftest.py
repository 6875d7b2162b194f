"""What the tests of kernels share."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest
from support.notebooks import Jupyter


@pytest.fixture
def jupyter(tmp_path: Path, loaded: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jupyter]:
    """A Jupyter of its own for a test; afterwards nothing of any kernel may be left."""
    monkeypatch.setenv("LPMX_STORE", str(loaded.path))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "runtime").mkdir(mode=0o700)
    from lpmx_runtime.store import Store
    Store.open(loaded.path)
    own = Jupyter(tmp_path, loaded)
    yield own
    for running in own.running:
        if running.manager.has_kernel:
            running.shutdown(now=True)
    assert [] == own.leftovers()
