"""Other people's tests, and their programs at work: in a container as in a chroot.

What they read and write lies in the image, so each first change of a file is a copy-up.
"""
from __future__ import annotations

from typing import Iterator

import pytest
from languages.compare import Places, Record, compare
from languages.filesystems import FILE_SYSTEMS
from languages.programs import PROGRAMS
from languages.suites import SUITES, Suite

pytestmark = pytest.mark.root

#: Tests of languages and large programs, tests of file systems, and work that we thought of.
ALL = [*(("languages", suite) for suite in SUITES), *(("suites", suite) for suite in FILE_SYSTEMS),
       *(("programs", suite) for suite in PROGRAMS)]


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    made = Places()
    yield made
    made.close()


@pytest.mark.parametrize("subject, suite", ALL, ids=lambda each: getattr(each, "name", each))
def test_suite_finds_in_a_container_what_it_finds_in_a_chroot(
        subject: str, suite: Suite, places: Places, record: Record) -> None:
    """The same tests fail, and the same are skipped, whichever way calls are caught."""
    different = compare(suite, places, subject, record)

    assert {way: {} for way in suite.ways} == different
