"""The steps in which an image was made."""
from __future__ import annotations

import json
from typing import Any, List, Mapping

import pytest
from support import layers
from support.made import make_image

from lpmx_runtime.image.history import history
from lpmx_runtime.store import Store

TARS = [layers.tar(layers.file(b"a", b"a" * 10)), layers.tar(layers.file(b"b", b"b" * 20))]


@pytest.mark.parametrize(("said", "expected"), [
    ([{"created_by": "one"}, {"created_by": "ENV", "empty_layer": True}, {"created_by": "two"}],
     [("one", 10), ("ENV", 0), ("two", 20)]),
    ([{"created_by": "two"}], [("", 10), ("two", 20)]),
    ([], [("", 10), ("", 20)]),
    ([{"created_by": name} for name in "abc"], [("a", 10), ("b", 20), ("c", 0)]),
])
def test_steps_go_with_their_layers(opened: Store, said: List[Mapping[str, Any]],
                                    expected: List[Any]) -> None:
    """Also where the config tells of fewer, or of more, than there are layers."""
    image = make_image(opened, "a:1", *TARS, history=said)

    steps = history(opened, image)

    assert expected == [(step.created_by, step.size) for step in steps]
    assert list(image.diff_ids) == [step.diff_id for step in steps if step.diff_id]


def test_the_command(opened: Store, lpmx: Any) -> None:
    """A table, or JSON; inspect has the same."""
    make_image(opened, "a:1", *TARS, history=[
        {"created": "2026-01-02T03:04:05.678Z", "created_by": "RUN  a\n  b"}, {}])

    table = lpmx("history", "a:1", check=True).stdout

    assert "2026-01-02T03:04:05  10 B  RUN a b" in table
    assert [10, 20] == [step["size"] for step in json.loads(
        lpmx("history", "--json", "a:1", check=True).stdout)]
    assert [10, 20] == [step["size"] for step in json.loads(
        lpmx("inspect", "a:1", check=True).stdout)[0]["steps"]]
