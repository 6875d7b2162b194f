"""`lpmx exec [--here] CONTAINER [--] COMMAND [ARG...]`, the call that must start fast.

The command itself (native/front) does without Python where a start file tells it how;
otherwise it comes here. Most of what a short command then costs is importing Python
modules. Without other options and with a container that is in order there is nothing to parse
and nothing to look up: this needs neither argparse nor the store nor the compiled core.
Anything else is left to run.py, which does the same and more.
"""
from __future__ import annotations

import os
import sys
from typing import Optional, Sequence

from ..errors import LpmxError

_CANNOT_RUN = 125
_FRONT, _BEHIND_IT = "lpmx", "lpmx-python"


class our_exit_code:
    """In this block, whatever keeps a program from running ends with 125, so that
    scripts can tell it from the program's own failure."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, LpmxError) and error.exit_code < _CANNOT_RUN:
            error.exit_code = _CANNOT_RUN


def execute(words: Sequence[str]) -> None:
    """Become the program, or return if the call is not so simple."""
    here = words[:1] == ["--here"]
    words = words[here:]
    if len(words) < 2 or words[0].startswith("-"):
        return
    command = words[2:] if words[1] == "--" else words[1:]
    if not command:
        return
    from ..container import launch, record
    from ..settings import store_location
    with our_exit_code():
        containers = os.path.join(store_location(), "containers")
        directory, values = record.read(containers, words[0])
        if record.is_current(directory, values):
            front = _front()
            if front is not None:
                from ..container import start
                start.write(containers, words[0], front)
            launch.prepare(directory, values, command, environ=os.environ,
                           entrypoint=False, here=here).exec()


def _front() -> Optional[str]:
    """The program that has us do what it leaves to Python; None if we were started otherwise."""
    directory, name = os.path.split(os.path.realpath(sys.argv[0]))
    return os.path.join(directory, _FRONT) if name == _BEHIND_IT else None
