"""Operations of a scenario: tuples that mean the same in every world.

The first word is the name of what is done; `caller/` performs it and tells what a program
could see of the result, without what may differ between any two file systems. Descriptors
are named by the scenario's own numbers, "slots"; -100 is the working directory. An operation
may be about another: ("under", directory, operation) and so on, see `caller/caller.c`.
"""
from __future__ import annotations

import os
from typing import Iterable, Tuple

HERE = -100
NOFOLLOW = 0x100
EMPTY_PATH = 0x1000
REMOVEDIR = 0x200
FOLLOW = 0x400
PATH = 0o10000000
TMPFILE = 0o20200000
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4

Operation = Tuple[object, ...]

#: Everything there is, told as lines of one answer.
LOOK: Operation = ("look",)
#: What parts those lines.
LINE = b"\x1f"


def encode(operations: Iterable[Operation]) -> bytes:
    """A batch as the caller reads it: a line each, an empty one at the end."""
    return "\n".join([*map(_line, operations), "\n"]).encode()


def _line(operation: Operation) -> str:
    words = [str(operation[0])]
    for word in operation[1:]:
        if isinstance(word, int):
            words.append(str(word))
        elif isinstance(word, tuple):
            words.append(_line(word))
        else:
            data = os.fsencode(word) if isinstance(word, str) else word
            words.append("=" + data.hex())  # type: ignore[attr-defined]
    return " ".join(words)
