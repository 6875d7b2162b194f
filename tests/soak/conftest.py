"""What the long-running tests share: `record`, which makes a row of docs/reference/soak.md.

`make soak` runs this package, `make test` does not collect it. One module a subject; its
tests are marked, and run in the sessions, as all others (tests/conftest.py). They take as
long as they need: the time limit of `make test` is not theirs.
"""
from __future__ import annotations

import time
from typing import Callable, Iterator

import pytest
from support import soak

Record = Callable[..., None]


def pytest_configure(config: pytest.Config) -> None:
    if not soak.can_add():
        raise pytest.UsageError(f"cannot keep results in {soak.CHECKOUT / soak.RECORDED}: it is "
                                "another user's; run \"make soak\", or chown the checkout")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == soak.TESTS and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(0))


@pytest.fixture
def record(capsys: pytest.CaptureFixture[str]) -> Iterator[Record]:
    """`record(subject, what, count, result, **more)`: one row of the table of results, and what
    else is kept of it.

    It replaces the row of the same subject and what. The time in it is the time since the
    test began or since its row before. Record first, assert then: a failure has its row, too.
    """
    since = time.monotonic()

    def add(subject: str, what: str, count: int, result: str, **more: object) -> None:
        nonlocal since
        now = time.monotonic()
        row = soak.row(subject, what, count, result, now - since, **more)
        since = now
        soak.add(row)
        with capsys.disabled():
            print(f"\n    {subject}: {what}: {count:,}: {result} ({row['seconds']:,} s)")

    yield add
