"""Faults everywhere: every error at every system call, and on poorer file systems."""
from __future__ import annotations

from typing import Callable, Iterator

import pytest
from union.bare import Bare
from union.crowd import crowd
from union.hosted import hosted
from union.stories import STORIES, image
from union.trials import ERRORS, Trials, killed, measured, refused
from union.worlds import hash_trees

POOR = "-DPOOR"


@pytest.fixture(scope="module", params=["whiteouts", "no whiteouts"])
def trials(request: pytest.FixtureRequest) -> Iterator[Trials]:
    """On the file system of this machine, and as if it knew no whiteouts; under sanitizers."""
    with Bare([image()]) as bare:
        lower = hash_trees(bare.trees)
        trials = Trials(bare, hosted("faulty.c", sanitize="address,undefined",
                                     options=[POOR] if request.param != "whiteouts" else []))
        trials.kind = request.param
        yield trials
        trials.close()
        assert lower == hash_trees(bare.trees)


def test_every_error_at_every_system_call(trials: Trials, record: Callable[..., None]) -> None:
    """Whichever error comes wherever, the view shows the old or the new."""
    wrong, count = [], 0
    for name, story in STORIES.items():
        before, after, calls, result = measured(trials, story)
        for at in range(1, calls + 1):
            for error in ERRORS:
                count += 1
                wrong += [f"{name}: {line}" for line in
                          refused(trials, story, error, at, before, after, result)]
    record("faults", f"errors injected at each system call, {trials.kind}", count,
           f"{len(wrong)} differences" if wrong else "old or new")
    assert not wrong, "\n".join(wrong)


def test_an_end_before_every_system_call(trials: Trials, record: Callable[..., None]) -> None:
    """Wherever a process is killed, the view shows the old or the new. Where a rename takes two
    steps, for want of whiteouts, the old name may still show something."""
    wrong, count = [], 0
    for name, story in STORIES.items():
        before, after, calls, _ = measured(trials, story)
        but = "/."
        if trials.kind != "whiteouts" and name.startswith("rename"):
            but = str(story.calls[-1][2])
        for at in range(1, calls + 1):
            count += 1
            wrong += [f"{name}: {line}" for line in
                      killed(trials, story, at, before, after, but)]
    record("faults", f"killed before each system call, {trials.kind}", count,
           f"{len(wrong)} differences" if wrong else "old or new")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("what,sanitize,processes,threads", [
    ("64 processes on one upper", "", 64, 1), ("16 processes of 4 threads", "", 16, 4),
    ("32 threads, ThreadSanitizer", "thread", 1, 32),
    ("8 processes of 4 threads, AddressSanitizer", "address,undefined", 8, 4)])
def test_a_crowd_agrees(record: Callable[..., None], what: str, sanitize: str, processes: int,
                        threads: int) -> None:
    """A minute of everything at once: nothing is lost, and nobody sees what is not so."""
    said = crowd(hosted("crowd.c", sanitize=sanitize), processes=processes, threads=threads,
                 seconds=60, seed=processes)
    record("faults", what, int(said.split()[0]), said.strip().split(", ", 1)[1])
