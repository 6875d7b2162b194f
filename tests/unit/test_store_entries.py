"""Entry lists come back as they were written, or say why they cannot."""
from __future__ import annotations

import random
import stat
from pathlib import Path
from typing import Callable

import pytest

from lpmx_runtime.errors import StoreDamaged
from lpmx_runtime.store.entries import (
    LOWER_LINK,
    OBJECT,
    OPAQUE,
    WHITEOUT,
    Entry,
    read_attributes,
    read_entries,
    read_raw,
    read_raw_and_attributed,
    write_entries,
)

ENTRIES = [
    Entry(b"", b"", OBJECT, stat.S_IFDIR | 0o755, 0, 0, 0, 10 ** 18),
    Entry(b"caf\xe9/\xff", b"", OBJECT, stat.S_IFREG | 0o4755, 2 ** 32 - 2, 7, 2 ** 62, -5),
    Entry(b"dev/null", b"", OBJECT, stat.S_IFCHR | 0o666, 0, 0, 0, 0, 259, 2 ** 20 + 1),
    Entry(b"gone", b"", WHITEOUT),
    Entry(b"link", b"caf\xe9/\xff", OBJECT, stat.S_IFLNK | 0o777, 0, 0, 6, 1),
    Entry(b"new", b"old/name", LOWER_LINK, stat.S_IFREG, link_group=3),
    Entry(b"usr", b"", OPAQUE),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "entries"
    mixed = list(ENTRIES)
    random.Random(1).shuffle(mixed)
    write_entries(path, mixed, {b"caf\xe9/\xff": {b"user.a": b"\0\xff", b"security.ima": b""}})
    return path


def test_entries_come_back_in_the_order_of_their_paths(path: Path) -> None:
    """Every field, whatever order they were given in."""
    assert ENTRIES == list(read_entries(path))
    assert [(entry.path, entry.target, tuple(entry[2:])) for entry in ENTRIES] == \
        list(read_raw(path))


def test_attributes_come_back(path: Path) -> None:
    """Names and values are bytes."""
    raw, attributed = read_raw_and_attributed(path)
    assert {b"caf\xe9/\xff"} == attributed
    assert list(read_raw(path)) == list(raw)
    assert {b"caf\xe9/\xff": {b"user.a": b"\0\xff", b"security.ima": b""}} == read_attributes(path)


@pytest.mark.parametrize("damage,cause", [
    (lambda data: data[:20], "it is no entry list"),
    (lambda data: b"x" + data[1:], "it is no entry list"),
    (lambda data: data[:8] + b"\x05" + data[9:], "it has version 5, and we read version 1"),
    (lambda data: data[:-1], "its checksum is wrong"),
    (lambda data: data[:12] + bytes([data[12] ^ 1]) + data[13:], "its parts do not fit together"),
    (lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:], "its checksum is wrong"),
])
def test_damaged_list_says_what_is_wrong(path: Path, damage: Callable[[bytes], bytes],
                                         cause: str) -> None:
    """And what to do."""
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(StoreDamaged, match=cause) as caught:
        list(read_entries(path))

    assert str(path) in str(caught.value) and caught.value.hint


def test_missing_list_is_said(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(StoreDamaged, match="it is missing"):
        read_raw(tmp_path / "entries")
