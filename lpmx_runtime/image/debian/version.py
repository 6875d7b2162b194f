"""Which of two package versions is later (Debian Policy, 5.6.12 "Version")."""
from __future__ import annotations

import functools
import re
from typing import Tuple

_PIECE = re.compile(r"([^0-9]*)([0-9]*)")

_Part = Tuple[Tuple[Tuple[int, ...], int], ...]


def _rank(character: str) -> int:
    """A tilde is before everything, even the end (0); letters are before the rest."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 0x110000


def _part(text: str) -> _Part:
    """Runs of other characters and numbers in turn.

    A last, empty run stands for all that follow: no run in the middle is empty
    and a number at once, so two parts differ before either list ends.
    """
    pieces = [(tuple(_rank(c) for c in run) + (0,), int(number or 0))
              for run, number in _PIECE.findall(text) if run or number]
    return tuple(pieces) + (((0,), 0),)


@functools.lru_cache(maxsize=8192)
def key(version: str) -> tuple[int, _Part, _Part]:
    """What versions are to be sorted by."""
    epoch, colon, rest = version.strip().partition(":")
    if not colon:
        epoch, rest = "0", epoch
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, "0"
    return int(epoch) if epoch.isdigit() else 0, _part(upstream), _part(revision)


def compare(first: str, second: str) -> int:
    """-1, 0 or 1, as `first` is earlier than, the same as or later than `second`."""
    one, two = key(first), key(second)
    return (one > two) - (one < two)


def satisfies(version: str, relation: str, wanted: str) -> bool:
    """Whether `version` stands in `relation` to `wanted`; an empty relation always holds."""
    if not relation:
        return True
    order = compare(version, wanted)
    return {"<<": order < 0, "<=": order <= 0, "=": order == 0, ">=": order >= 0,
            ">>": order > 0, "<": order <= 0, ">": order >= 0}[relation]
