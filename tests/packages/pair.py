"""The same steps in a chroot and in a container of one image, and whether they are alike."""
from __future__ import annotations

import difflib
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Callable, List, Optional, Tuple, TypeVar

from support.images import Built

from . import inventory, rules
from .places import Chroot, Container, Place
from .recipe import Step

Result = TypeVar("Result")
LOG = logging.getLogger(__name__)


class Pair:
    """Both places, what was found wrong in the container, and the CPU time of both."""

    def __init__(self, built: Built, given: Optional[Path] = None) -> None:
        self.faults: List[str] = []
        self._since = time.time()
        self._pool = ThreadPoolExecutor(2)
        self.chroot = Chroot(built, given)
        try:
            self.container = Container(built, given)
        except BaseException:
            self.chroot.__exit__()
            raise

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, *unused: object) -> None:
        self._pool.shutdown()
        try:
            self.container.__exit__()
        finally:
            self.chroot.__exit__()

    def both(self, work: Callable[[Place], Result]) -> Tuple[Result, Result]:
        """Do that in both places at once; the results of the chroot and of the container."""
        one = self._pool.submit(work, self.chroot)
        two = self._pool.submit(work, self.container)
        return one.result(), two.result()

    def follow(self, step: Step) -> float:
        """Take a step in both places; the CPU time in the container by that in the chroot,
        both without that of entering the place.

        That it fails, or does not show what it must, is a fault in either place: what
        does not work in the chroot is a wrong recipe.
        """
        one, two = self.both(lambda place: place.run(step.script))
        for place, done in ((self.chroot, one), (self.container, two)):
            if done.code:
                self._fault(step, f"ended with {done.code} in the {place.name}\n"
                            + "\n".join(done.output.splitlines()[-40:]))
            elif step.shows not in done.output:
                self._fault(step, f"does not show {step.shows!r} in the {place.name}\n{done.output}")
        if step.same and one.output != two.output:
            self._fault(step, "\n".join(difflib.unified_diff(
                one.output.splitlines(), two.output.splitlines(), "chroot", "container",
                n=1, lineterm="")))
        used = [max(done.seconds - start, 0.01)
                for done, start in zip((one, two), self._start)]
        LOG.info("%s: %.2f s, %.2f s", step.name, *used)
        return used[1] / used[0]

    @cached_property
    def _start(self) -> Tuple[float, float]:
        """CPU time of entering: namespaces and mounts there, an interpreter and `lpmx exec` here."""
        return self.both(lambda place: min(place.run(":").seconds for _ in range(3)))

    def compare(self, after: str) -> int:
        """Compare the whole trees, and return the number of files."""
        one, two = self.both(lambda place: place.tree())
        found = rules.unexplained(inventory.differences(one, two, self._since))
        for each in found:
            self.fault(f"after {after}: {each}")
        return len(two)

    def layers_must_be_untouched(self) -> None:
        if self.container.layers_changed():
            self.fault("a lower layer changed")

    def fault(self, text: str) -> None:
        """Something is wrong. It is logged at once: hours may go by until the test ends."""
        self.faults.append(text)
        LOG.error("%s", text)

    def _fault(self, step: Step, text: str) -> None:
        self.fault(f"{step.name}: {text}")
