"""How much the layers of a store may take: a bound that its user sets.

Counted are the bytes of the layers' tars, which is about what their files take. What several
processes store at once may go over it by what each of them is storing.
"""
from __future__ import annotations

import threading
from typing import Callable, Optional

from ..errors import StoreFull
from ..progress import amount


class Quota:
    """The room that is left, shared by the threads of a process."""

    def __init__(self, limit: int, used: Callable[[], int]) -> None:
        self.limit = limit
        self._measure = used
        self._used: Optional[int] = None
        self._lock = threading.Lock()

    def take(self, count: int, label: str) -> None:
        """Count so many more bytes, of what `label` names; `StoreFull` if they have no room."""
        with self._lock:
            if self._used is None:
                self._used = self._measure()
            self._used += count
            if self._used <= self.limit:
                return
        raise StoreFull(f"cannot store {label}: the layers of the store would take more than "
                        f"{amount(self.limit, 'bytes')}, the quota that is set for them",
                        hint='remove images with "lpmx rmi", or raise the setting "quota"')

    def give_back(self, count: int) -> None:
        """So many of the bytes are not there after all."""
        with self._lock:
            if self._used is not None:
                self._used -= count
