"""What the tests of kernels share."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest
from support.notebooks import Jupyter, Running, jupyter_in


@pytest.fixture
def jupyter(tmp_path: Path, loaded: Any) -> Iterator[Jupyter]:
    """A Jupyter of its own for a test; afterwards nothing of any kernel may be left."""
    with jupyter_in(tmp_path, loaded) as own:
        yield own


@pytest.fixture(params=["tiny", "kernel", "host"])
def kernel(request: pytest.FixtureRequest, jupyter: Jupyter) -> Running:
    """A started kernel of each kind: the host's Python in a kernel view, the image's own,
    and this machine's in a copy of this machine."""
    return jupyter.start(jupyter.install(request.param))
