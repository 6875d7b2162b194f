"""What the tests of kernels share."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest
from support.notebooks import Jupyter, jupyter_in


@pytest.fixture
def jupyter(tmp_path: Path, loaded: Any) -> Iterator[Jupyter]:
    """A Jupyter of its own for a test; afterwards nothing of any kernel may be left."""
    with jupyter_in(tmp_path, loaded) as own:
        yield own
