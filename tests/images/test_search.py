"""lpmx search, in registries that tell what they have and in those that do not."""
from __future__ import annotations

import json
from typing import Any

import pytest
from support.loopback import Answer
from support.registry import Registry
from support.small_registry import Access, SmallRegistry

from lpmx_runtime.errors import RegistryError, RegistryUnreachable, Unauthorized
from lpmx_runtime.registry.search import Repository, search
from support.pulls import HASTY


def test_of_a_list_the_names_that_fit(images: Any, registry: Registry, lpmx: Any) -> None:
    """The real registry has no search and tells all its names, some at a time."""
    built = images.get("tiny")
    for name in ("find/solver", "find/other", "find/my-solver"):
        registry.push(f"oci:{built.layout}:{built.reference}", name)

    found = search(registry.address, "Solver")

    assert [f"{registry.address}/find/my-solver", f"{registry.address}/find/solver"] == [
        one.name for one in found]
    assert f"{registry.address}/find/other" in lpmx(
        "search", f"{registry.address}/find/o", check=True).stdout
    assert 1 == len(json.loads(lpmx("search", "--json", "--limit", "1",
                                    f"{registry.address}/find", check=True).stdout))


def test_dockers_way_is_taken_where_there_is_one(small: SmallRegistry) -> None:
    """With what it says of stars and so on; its order is kept."""
    small.answers["/v1/search"] = Answer(200, {}, json.dumps({"num_results": 2, "results": [
        {"name": "b/x", "description": "two\nlines", "star_count": 7, "is_official": True},
        {"name": "a/x", "description": None, "star_count": "many"}]}).encode())

    assert [Repository(f"{small.address}/b/x", "two lines", 7, True),
            Repository(f"{small.address}/a/x", "", 0, False)] == search(small.address, "x")
    assert "q=x" in small.seen(part="/v1/search")[0].path


def test_pages_of_a_list(small: SmallRegistry) -> None:
    """Are followed, as far as they are needed."""
    small.answers["/v2/_catalog"] = Answer(
        200, {"Link": '</v2/more>; rel="next"'}, b'{"repositories": ["a/x", 3]}')
    small.answers["/v2/more"] = Answer(200, {}, b'{"repositories": ["b/x", "c"]}')

    assert [f"{small.address}/a/x", f"{small.address}/b/x"] == [
        one.name for one in search(small.address, "x")]
    assert 1 == len(search(small.address, "x", limit=1))
    assert 1 == len(small.seen(part="/v2/more"))


def test_a_registry_that_does_not_tell() -> None:
    """Says so, with the registry's own words; one that asks for a login is told apart."""
    with SmallRegistry() as silent:
        with pytest.raises(RegistryError, match="it does not tell what it has .404"):
            search(silent.address, "x", patience=HASTY)
    with SmallRegistry(Access(logins={"a": "b"})) as guarded:
        with pytest.raises(Unauthorized) as refused:
            search(guarded.address, "x", patience=HASTY)
        assert f'"lpmx login {guarded.address}"' in (refused.value.hint or "")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"repositories": "x"', b"[" * 10000])
def test_an_answer_that_makes_no_sense(small: SmallRegistry, body: bytes) -> None:
    small.answers["/v1/search"] = small.answers["/v2/_catalog"] = Answer(200, {}, body)

    with pytest.raises(RegistryError, match="makes no sense"):
        search(small.address, "x", patience=HASTY)


def test_nobody_there() -> None:
    with pytest.raises(RegistryUnreachable):
        search("127.0.0.1:1", "x", patience=HASTY)
