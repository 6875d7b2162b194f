"""A bound for what the layers of a store take."""
from __future__ import annotations

import io
from pathlib import Path

import pytest
from support import layers

from lpmx_runtime import settings
from lpmx_runtime.errors import InvalidSetting, StoreFull
from lpmx_runtime.store import Store
from lpmx_runtime.store.collect import collect

SMALL = layers.tar(layers.file(b"small", b"s" * 1000))        # 2.5 KiB
OTHER = layers.tar(layers.file(b"other", b"o" * 1000))
LARGE = layers.tar(layers.file(b"large", b"l" * 100_000))


def add(store: Store, tar: bytes) -> str:
    return store.layers.add(io.BytesIO(tar))


def test_what_goes_over_it_is_not_stored(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cause and a way out are told; what is freed can be used again."""
    monkeypatch.setenv("LPMX_QUOTA", "6K")
    opened = Store.open(store)
    first = add(opened, SMALL)

    with pytest.raises(StoreFull, match="more than 6.0 KiB, the quota that is set") as caught:
        add(opened, LARGE)
    assert '"lpmx rmi"' in (caught.value.hint or "")
    assert [first] == opened.layers.list()
    add(opened, OTHER)
    with pytest.raises(StoreFull):
        add(opened, layers.tar(layers.file(b"third", b"3" * 1000)))

    collect(opened)
    assert [] == opened.layers.list()
    assert first == add(opened, SMALL)
    assert [first] == Store.open(store).layers.list()


def test_a_layer_that_is_there_counts_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it comes."""
    monkeypatch.setenv("LPMX_QUOTA", "6K")
    opened = Store.open(store)
    for _ in range(5):
        add(opened, SMALL)
    add(opened, OTHER)


@pytest.mark.parametrize(("text", "expected"), [
    ("", None), ("0", 0), ("1000", 1000), ("2k", 2048), ("3M", 3 << 20), ("50G", 50 << 30),
    ("1.5G", InvalidSetting), ("G", InvalidSetting), ("-1", InvalidSetting), ("2GiB", 2 << 30),
    ("many", InvalidSetting), ("1T", 1 << 40), ("²", InvalidSetting),
])
def test_sizes(monkeypatch: pytest.MonkeyPatch, text: str, expected: object) -> None:
    monkeypatch.setenv("LPMX_QUOTA", text)
    if expected is InvalidSetting:
        with pytest.raises(InvalidSetting, match="it is no size"):
            settings.quota()
    else:
        assert expected == settings.quota()
