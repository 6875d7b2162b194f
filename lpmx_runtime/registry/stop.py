"""Ending work that several threads share, also where they wait for a network."""
from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Callable, Iterator


class Stopped(Exception):
    """The work was given up elsewhere; whoever set the `Stop` knows why."""


class Stop:
    """Says to all threads of one operation that it is over.

    Threads look now and then (`check`), sleep here (`pause`), and leave word
    how to wake them from a wait that they cannot look up from (`waking`).
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._wake: list[Callable[[], None]] = []

    def set(self) -> None:
        """End the work; returns at once."""
        with self._lock:
            self._event.set()
            waiting = list(self._wake)
        for wake in waiting:
            wake()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Stopped` if the work is over."""
        if self._event.is_set():
            raise Stopped()

    def pause(self, seconds: float) -> None:
        """Sleep; raises `Stopped` as soon as the work is over."""
        if self._event.wait(seconds):
            raise Stopped()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """While the block runs, `set` calls `wake`, from another thread."""
        with self._lock:
            self.check()
            self._wake.append(wake)
        try:
            yield
        finally:
            with self._lock:
                self._wake.remove(wake)
