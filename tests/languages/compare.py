"""A suite run in a chroot and in containers of one image, and what it found there compared."""
from __future__ import annotations

import re
from typing import Dict, Protocol, Tuple

from packages.places import Chroot, Container, Place
from support import images

from .suites import Suite

class Record(Protocol):
    """The fixture `record` (tests/soak/conftest.py)."""

    def __call__(self, subject: str, what: str, count: int, result: str, **more: object) -> None: ...


#: For each way, what became of a test in the chroot and in the container, where that differs.
Differences = Dict[str, Dict[str, Tuple[str, str]]]

#: What suites printed when they ran last, to look at.
PRINTED = images.CHECKOUT / ".cache" / "suites"


class Places:
    """Places of each image, made when they are asked for first, and removed at the end."""

    def __init__(self) -> None:
        self._made: Dict[str, Place] = {}

    def __call__(self, image: str, way: str, confined: bool) -> Place:
        key = f"{image} {way} {confined or way == 'chroot'}"
        if key not in self._made:
            built = images.Cache().get(image)
            # one store for all containers of an image: some have gigabytes
            first = next((place for made, place in self._made.items()
                          if made.startswith(f"{image} ") and isinstance(place, Container)), None)
            self._made[key] = Chroot(built) if way == "chroot" else \
                Container(built, preload=way == "preload", rewrite=way == "rewritten",
                          confined=confined, beside=first)
        return self._made[key]

    def close(self) -> None:
        for place in reversed(self._made.values()):
            place.__exit__()


def compare(suite: Suite, places: Places, subject: str, record: Record) -> Differences:
    """Run the suite everywhere and record each way; empty dictionaries mean that it found nothing."""
    expected = None
    different: Differences = {}
    for way in ("chroot", *suite.ways):
        place = places(suite.image, way, suite.confined)
        built = place.run(suite.build)
        assert 0 == built.code, f"cannot build {suite.name} in the {place.name}: {built.output[-2000:]}"
        printed = place.run(suite.run, suite.user).output
        PRINTED.mkdir(parents=True, exist_ok=True)
        (PRINTED / re.sub(r"[^\w.]+", "-", f"{suite.name} {way}")).write_text(printed)
        seen = suite.read(printed)
        if expected is None:
            expected = seen
            assert expected.count, f"{suite.name} tests nothing: {printed[-2000:]}"
            continue
        different[way] = {name: (expected.odd.get(name, "passed"), seen.odd.get(name, "passed"))
                          for name in sorted({*expected.odd, *seen.odd})
                          if expected.odd.get(name) != seen.odd.get(name)
                          and name not in suite.elsewhere}
        if expected.count != seen.count and not different[way] and not suite.elsewhere:
            different[way]["all"] = (f"{expected.count} tests", f"{seen.count} tests")
        failed = sum(state.lower() in ("fail", "failed", "error", "err")
                     for state in expected.odd.values())
        each = {name: [found.odd.get(name, "PASS" if name in found.names else "absent")
                       for found in (expected, seen)] for name in expected.names}
        record(subject, f"{suite.name} ({way})", seen.count,
               f"{len(different[way])} differ from the chroot" if different[way] else
               f"as in the chroot, where {failed} fail",
               **({"about": suite.about, "each": each} if each else {}))
    return different
