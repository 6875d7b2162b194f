"""What tests that pull share: less patience, and a look at the whole store."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Dict

from lpmx_runtime.registry.patience import Patience

#: As the usual one, in less time.
HASTY = Patience(connect=5, read=1.5, attempts=4, first_attempts=2, first_pause=0.01,
                 longest_pause=0.05, longest_wait=2)


def snapshot(store: Path) -> Dict[str, object]:
    """All that is in a store: names, and of files the content; locks come and go."""
    found: Dict[str, object] = {}
    for directory, names, files in os.walk(store):
        if Path(directory) == store:
            names.remove("locks")
        for name in names + files:
            path = Path(directory, name)
            found[str(path.relative_to(store))] = (
                path.read_bytes() if path.is_file() and not path.is_symlink() else None)
    return found
