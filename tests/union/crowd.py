"""A container in which many work at once (crowd.c)."""
from __future__ import annotations

import subprocess
from pathlib import Path

from .bare import Bare
from .layers import Layer, directory, regular


def layer() -> Layer:
    found: Layer = {
        "": directory(), "proc": directory(0o555), "tmp": directory(0o1777), "log": regular(b""),
        "steady": directory(), "locks": directory(), "counts": directory(), "many": directory(),
        "d": directory(), "d/a": regular(b"a"),
    }
    found.update({f"steady/{n}": regular(b"l" * 60000) for n in range(8)})
    found.update({f"locks/{n}": regular(b"") for n in range(4)})
    found.update({f"many/s{n}": regular(b"x") for n in range(100)})
    return found


def crowd(program: Path, *, processes: int, threads: int, seconds: float, seed: int) -> str:
    """Let them work; what the program says. Fails if anything was wrong."""
    with Bare([layer()]) as bare:
        done = subprocess.run(
            [str(program), str(bare.file), str(processes), str(threads), str(seconds), str(seed)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        assert 0 == done.returncode, f"seed {seed}: {done.stdout}{done.stderr[:6000]}"
        assert "" == done.stderr, done.stderr[:6000]
        assert [] == bare.work_left()
        return done.stdout
