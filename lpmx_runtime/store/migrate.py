"""The version of a store's layout, and how an older one becomes today's.

The file `version` says "lpmx store N". A store of an older version is brought to ours,
step by step, by the first who opens it. Each step must leave a store that can be taken
from its beginning again: whoever is killed in one has written no new version.
"""
from __future__ import annotations

import re

from ..errors import StoreError
from ..light import TYPE_CHECKING
from .files import write_file
from .locks import Lock

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Callable, Mapping, Optional

    from .files import StrPath

VERSION = 1

#: What makes a store of version N one of version N + 1. Nobody else uses it meanwhile.
STEPS: Mapping[int, Callable[[Path], None]] = {}

_VERSION = rb"lpmx store ([1-9][0-9]{0,5})\n\Z"


def version_file(version: Optional[int] = None) -> bytes:
    """What the file says for a version, ours by default."""
    return b"lpmx store %d\n" % (VERSION if version is None else version)


def version_of(found: bytes) -> Optional[int]:
    """The version that the content of the file says; None if it says none."""
    match = re.match(_VERSION, found)
    return int(match[1]) if match else None


def check_version(path: StrPath, found: bytes) -> int:
    """The version of the store at `path`; raises `StoreError` if it cannot become ours."""
    version = version_of(found)
    if version is None:
        shown = found.decode("utf-8", "backslashreplace").strip()[:60]
        raise StoreError(f'cannot use the store "{path}": its file "version" says "{shown}", which '
                         "is no version", hint="point LPMX_STORE at another directory")
    if version > VERSION:
        raise StoreError(f'cannot use the store "{path}": it is of version {version}, made by a '
                         f"newer lpmx, and we read {VERSION}",
                         hint="use the newer lpmx, or point LPMX_STORE at another directory")
    missing = [step for step in range(version, VERSION) if step not in STEPS]
    if missing:
        raise StoreError(f'cannot use the store "{path}": it is of version {version}, which we no '
                         f"longer migrate to {VERSION}",
                         hint="migrate it with an older lpmx first, or point LPMX_STORE at another "
                              "directory")
    return version


def migrate(place: str, found: bytes) -> None:
    """Make the store at `place`, whose version file has `found` in it, one of our version.

    Of several who come at once the first does it and the others wait, as they do for
    whoever relies on what is in the store (layout.py).
    """
    from pathlib import Path
    path = Path(place)
    check_version(path, found)
    with Lock(path / "locks" / "migrate"), Lock(path / "locks" / "keep"):
        version = check_version(path, (path / "version").read_bytes())
        for step in range(version, VERSION):
            STEPS[step](path)
            write_file(path / "version", version_file(step + 1))
