"""Other people's test suites of languages and programs: in a container as in a chroot."""
from __future__ import annotations

from typing import Iterator

import pytest
from languages.compare import Places, Record, compare
from languages.suites import SUITES, Suite

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    made = Places()
    yield made
    made.close()


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_a_suite_fails_where_it_fails_in_a_chroot(
        suite: Suite, places: Places, record: Record) -> None:
    """The same tests fail, and the same are skipped, whichever way calls are caught."""
    different = compare(suite, places, "languages", record)

    assert {way: {} for way in suite.ways} == different
