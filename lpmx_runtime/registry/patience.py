"""How long a registry is waited for, and how often it is asked again."""
from __future__ import annotations

import email.utils
import random
import time
from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Patience:
    """Times in seconds.

    `attempts` counts those in a row that brought nothing; a registry that was
    never reached gets `first_attempts`. Pauses double from `first_pause` to
    `longest_pause`, or are what the registry asks for, up to `longest_wait`.
    """

    connect: float = 10.0
    read: float = 60.0
    attempts: int = 6
    first_attempts: int = 2
    first_pause: float = 0.5
    longest_pause: float = 16.0
    longest_wait: float = 90.0

    def pause(self, failures: int) -> float:
        """How long to wait after that many failures: clients that failed together
        shall not come back together."""
        longest = min(self.first_pause * 2.0 ** (failures - 1), self.longest_pause)
        return longest * random.uniform(0.75, 1.0)


USUAL = Patience()


def retry_after(value: Optional[str]) -> Optional[float]:
    """The seconds that a Retry-After header means; None without a usable one."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value.strip()[:9])
    date = email.utils.parsedate_tz(value)
    return None if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())
