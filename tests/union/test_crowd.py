"""Threads and processes at once on one view; under ThreadSanitizer, too."""
from __future__ import annotations

from .crowd import crowd
from .hosted import hosted


def test_threads_of_one_process_race_for_nothing() -> None:
    """ThreadSanitizer has nothing to say of eight threads that do everything at once."""
    crowd(hosted("crowd.c", sanitize="thread"), processes=1, threads=8, seconds=3, seed=1)


def test_many_processes_agree() -> None:
    """What is there all the time is always there; no increment, no line and no variable is lost."""
    crowd(hosted("crowd.c"), processes=16, threads=2, seconds=3, seed=2)
