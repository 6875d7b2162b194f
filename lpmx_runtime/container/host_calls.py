"""What a contained program finds when it runs one of the host's."""
from __future__ import annotations

import os

from .record import HOST_ENVIRONMENT, HOST_VIEW, LOADER, replace
from .spec import ViewSpec


def write_view(directory: str, name: str, *, final: str) -> None:
    """Write the view file of host calls into `directory`, for when it is at `final`."""
    spec = ViewSpec(kind="host", name=name, loader=LOADER, directory=final)
    replace(os.path.join(directory, HOST_VIEW), spec.encode())


def fields(directory: str) -> dict[str, str]:
    """What the view of a container must say for host calls to work."""
    return {"hostview": os.path.join(directory, HOST_VIEW),
            "hostenv": os.path.join(directory, HOST_ENVIRONMENT)}
