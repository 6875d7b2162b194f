"""A registry that shares no code with Docker's: go-containerregistry's, in crane."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest
from support import rounds
from support.registry import CraneRegistry

from lpmx_runtime.store import Store


@pytest.fixture(scope="module")
def crane(images: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CraneRegistry]:
    running = CraneRegistry(tmp_path_factory.mktemp("crane"), images.get("crane").program("crane"))
    yield running
    running.close()


def test_image_makes_the_round(opened: Store, crane: CraneRegistry, tmp_path: Path) -> None:
    rounds.round_trip(opened, crane, tmp_path)


def test_layers_are_there_in_a_second_repository(opened: Store, crane: CraneRegistry) -> None:
    rounds.second_repository(opened, crane)


def test_blob_goes_on_where_it_was_cut(opened: Store, crane: CraneRegistry,
                                       tmp_path: Path) -> None:
    first, second = rounds.cut_in_the_middle(opened, crane, tmp_path)

    assert first is None
    assert second is not None and second.startswith("bytes=")
