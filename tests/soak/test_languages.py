"""Other people's test suites of languages and programs: in a container as in a chroot."""
from __future__ import annotations

from typing import Callable, Dict, Iterator

import pytest
from languages.suites import SUITES, Suite
from packages.places import Chroot, Container, Place
from support import images

pytestmark = pytest.mark.root

Record = Callable[[str, str, int, str], None]


class Places:
    """Places of each image, made when they are asked for first, and removed at the end."""

    def __init__(self) -> None:
        self._made: Dict[str, Place] = {}

    def __call__(self, image: str, way: str, confined: bool) -> Place:
        key = f"{image} {way} {confined or way == 'chroot'}"
        if key not in self._made:
            built = images.Cache().get(image)
            self._made[key] = Chroot(built) if way == "chroot" else \
                Container(built, preload=way == "preload", confined=confined)
        return self._made[key]

    def close(self) -> None:
        for place in self._made.values():
            place.__exit__()


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    made = Places()
    yield made
    made.close()


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_a_suite_fails_where_it_fails_in_a_chroot(
        suite: Suite, places: Places, record: Record) -> None:
    """The same tests fail, and the same are skipped, whichever way calls are caught."""
    expected = None
    different: Dict[str, Dict[str, object]] = {}
    for way in ("chroot", *suite.ways):
        place = places(suite.image, way, suite.confined)
        built = place.run(suite.build)
        assert 0 == built.code, f"cannot build {suite.name} in the {place.name}: {built.output[-2000:]}"
        seen = suite.read(place.run(suite.run, suite.user).output)
        if expected is None:
            expected = seen
            continue
        different[way] = {name: (expected.odd.get(name, "passed"), seen.odd.get(name, "passed"))
                          for name in sorted({*expected.odd, *seen.odd})
                          if expected.odd.get(name) != seen.odd.get(name)
                          and name not in suite.elsewhere}
        failed = sum(state.lower() in ("fail", "failed", "error", "err") for state in seen.odd.values())
        record("languages", f"{suite.name} ({way})", seen.count,
               f"{len(different[way])} differ from the chroot" if different[way] else
               f"as in the chroot, where {failed} fail")

    assert expected is not None and expected.count
    assert {way: {} for way in suite.ways} == different
