"""What tests of images share."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator

import pytest
from support.faulty_proxy import FaultyProxy
from support.pulls import snapshot
from support.registry import Registry
from support.small_registry import SmallRegistry

from lpmx_runtime.store import Store


@pytest.fixture
def opened(store: Path) -> Store:
    return Store.open(store)


@pytest.fixture
def proxy(registry: Registry) -> Iterator[FaultyProxy]:
    """A proxy in front of the real registry."""
    with FaultyProxy(registry.address) as running:
        yield running  # type: ignore[misc]


@pytest.fixture
def small() -> Iterator[SmallRegistry]:
    with SmallRegistry() as running:
        yield running  # type: ignore[misc]


@pytest.fixture(autouse=True)
def no_logins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No login of whoever runs the tests is used in them."""
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "no-logins"))


@pytest.fixture
def unchanged(opened: Store) -> Iterator[Callable[[], None]]:
    """Call it to check that the store is as it was at the beginning; it is checked at the end,
    too, unless the test has failed before."""
    before = snapshot(opened.path)

    def check() -> None:
        assert before == snapshot(opened.path)

    yield check
    check()
