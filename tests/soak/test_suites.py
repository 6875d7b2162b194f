"""Other people's tests of file systems, and of the programs that work on files: in a container
as in a chroot.

What they read and write lies in the image, so each first change of a file is a copy-up.
"""
from __future__ import annotations

from typing import Iterator

import pytest
from languages.compare import Places, Record, compare
from languages.filesystems import FILE_SYSTEMS
from languages.suites import Suite

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    made = Places()
    yield made
    made.close()


@pytest.mark.parametrize("suite", FILE_SYSTEMS, ids=lambda suite: suite.name)
def test_suite_finds_in_a_container_what_it_finds_in_a_chroot(
        suite: Suite, places: Places, record: Record) -> None:
    """Whatever its tests find, they find in both places."""
    different = compare(suite, places, "suites", record)

    assert {way: {} for way in suite.ways} == different
