"""What a contained program finds when it runs one of the host's."""
from __future__ import annotations

import os
import shlex
import sys

from ..light import TYPE_CHECKING
from ..settings import call_log, call_rules
from .record import COMMAND, HOST_ENVIRONMENT, HOST_VIEW, LOADER, replace
from .spec import ViewSpec

if TYPE_CHECKING:
    from typing import Any

#: `python -m lpmx_runtime`, but with no module from wherever its caller is.
_MAIN = ("import sys; sys.path[:] = filter(None, sys.path); "
         "from lpmx_runtime.cli import main; sys.exit(main())")


def lpmx_by_python() -> list[str]:
    """The words that are the command `lpmx` of this installation, whatever it has in `bin`."""
    return [sys.executable, "-c", _MAIN]


def write_view(directory: str, name: str, *, final: str) -> None:
    """Write the view file of host calls into `directory`, for when it is at `final`; and the
    command that those inside have for what only the host can do."""
    spec = ViewSpec(kind="host", name=name, loader=LOADER, directory=final)
    replace(os.path.join(directory, HOST_VIEW), spec.encode())
    command = f'#!/bin/sh\nexec {shlex.join(lpmx_by_python())} "$@"\n'
    replace(os.path.join(directory, COMMAND), os.fsencode(command), mode=0o755)


def fields(directory: str) -> dict[str, Any]:
    """What the view of a container must say for host calls to work, and which may be made."""
    rules = call_rules()
    return {"hostview": os.path.join(directory, HOST_VIEW),
            "hostenv": os.path.join(directory, HOST_ENVIRONMENT),
            "rules": rules[0] if rules else None, "allow": rules[1] if rules else [],
            "calllog": call_log()}
