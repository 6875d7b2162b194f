"""Processes that die at a chosen one of their own steps, as by kill -9."""
from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import Callable, Iterator

#: What Python tells of that changes, or may change, something on a disk.
_STEPS = ("open", "os.", "shutil.")
_LOOKS = ("os.listdir", "os.scandir", "os.walk", "os.getxattr", "os.listxattr", "os.fwalk",
          "os.putenv", "os.unsetenv", "os.fork")


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do `work` in a child that is killed before its step `number`; False if it was done
    before. A failure of the work itself fails the test."""
    child = os.fork()
    if not child:
        code = 1
        try:
            left = number

            def count(event: str, arguments: object) -> None:
                nonlocal left
                if event.startswith(_STEPS) and event not in _LOOKS:
                    left -= 1
                    # several threads count, and the kill is a step, too
                    if left <= 0 and event != "os.kill":
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(count)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or status == 0, f"the work ended with status {status}"
    return killed


def deaths(work: Callable[[], object], *, stride: int = 1) -> Iterator[int]:
    """The number of each step, or of one in `stride`, at which a child that did `work` has
    just been killed; ends when it was done."""
    number = 1
    while killed_at(number, work):
        yield number
        number += stride
