"""Each system call of the core fails in turn, and the process dies before each in turn.

Whatever happens inside a call, afterwards the view shows what it showed before, or what it
shows when all went well; nothing is left behind; and the call works when tried again. With
every error, and on a file system that knows no whiteouts: tests/soak/test_faults.py.
"""
from __future__ import annotations

from typing import Iterator

import pytest

from .bare import Bare
from .hosted import hosted
from .stories import STORIES, image
from .trials import ERRORS, Trials, killed, measured, refused
from .worlds import hash_trees


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Bare([image()]) as bare:
        lower = hash_trees(bare.trees)
        trials = Trials(bare, hosted("faulty.c"))
        yield trials
        trials.close()
        assert lower == hash_trees(bare.trees)


@pytest.mark.parametrize("name", STORIES)
def test_a_refusal_anywhere_leaves_the_old_or_the_new(trials: Trials, name: str) -> None:
    """Errors of the file system are told, or do not matter; nothing is half done."""
    story = STORIES[name]
    before, after, calls, result = measured(trials, story)
    wrong = []
    for at in range(1, calls + 1):
        wrong += refused(trials, story, ERRORS[at % len(ERRORS)], at, before, after, result)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", STORIES)
def test_an_end_anywhere_leaves_the_old_or_the_new(trials: Trials, name: str) -> None:
    """Killed before any of its system calls, a process leaves nothing half done."""
    story = STORIES[name]
    before, after, calls, _ = measured(trials, story)
    wrong = []
    for at in range(1, calls + 1):
        wrong += killed(trials, story, at, before, after)
    assert not wrong, "\n".join(wrong)
