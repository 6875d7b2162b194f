"""How registries ask for a login."""
from __future__ import annotations

import time
from typing import Dict, List, Optional, Tuple

import pytest

from lpmx_runtime.oci.challenge import Challenge, choose, parse_challenges, token_scopes


@pytest.mark.parametrize("header, expected", [
    ('Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
     'scope="repository:a/b:pull,push"',
     [("bearer", {"realm": "https://auth.docker.io/token", "service": "registry.docker.io",
                  "scope": "repository:a/b:pull,push"})]),
    ('Bearer realm="http://127.0.0.1:1/auth/token",scope="read"',
     [("bearer", {"realm": "http://127.0.0.1:1/auth/token", "scope": "read"})]),
    ('Basic realm="Registry Realm"', [("basic", {"realm": "Registry Realm"})]),
    ("bearer realm=https://x/y?z=1, service=s",
     [("bearer", {"realm": "https://x/y?z=1", "service": "s"})]),
    ('Basic realm="a \\"b\\", c" , charset="UTF-8"',
     [("basic", {"realm": 'a "b", c', "charset": "UTF-8"})]),
    ('Basic realm="x", Bearer realm="y",service="z"',
     [("basic", {"realm": "x"}), ("bearer", {"realm": "y", "service": "z"})]),
    ("Negotiate, Basic realm=abc", [("negotiate", {}), ("basic", {"realm": "abc"})]),
    ("Negotiate YWJjZA==, Basic realm=abc", [("negotiate", {}), ("basic", {"realm": "abc"})]),
    ('BEARER REALM = "x"', [("bearer", {"realm": "x"})]),
    ('Bearer realm="first",realm="second"', [("bearer", {"realm": "first"})]),
    ("Bearer", [("bearer", {})]),
    ("", []), ('"""', []), ("=,=", []),
])
def test_challenges_are_read(header: str, expected: List[Tuple[str, Dict[str, str]]]) -> None:
    """One or several in a header, quoted or not, in any case of letters."""
    assert expected == [(challenge.scheme, dict(challenge.parameters))
                        for challenge in parse_challenges(header)]


@pytest.mark.parametrize("header", ["a" * 100_000 + "=", 'a="' * 30_000, "a=b," * 30_000,
                                    'B r="' + "\\" * 60_000])
def test_a_challenge_of_any_length_is_read_in_no_time(header: str) -> None:
    """A header that was made to take long does not."""
    start = time.monotonic()

    parse_challenges(header)

    assert time.monotonic() - start < 2


@pytest.mark.parametrize("header, scheme", [
    ('Basic realm="x", Bearer realm="y"', "bearer"),
    ('Bearer service="no realm", Basic realm="x"', "basic"),
    ("Negotiate", None),
    ("", None),
])
def test_a_token_goes_before_a_password(header: str, scheme: Optional[str]) -> None:
    """Of several challenges one that we can answer is taken, tokens first."""
    chosen = choose(parse_challenges(header))

    assert scheme == (chosen.scheme if chosen else None)


@pytest.mark.parametrize("scope, expected", [
    ("", "repository:a/b:pull"),
    ("read", "repository:a/b:pull"),
    ("repository:cache/a/b:pull", "repository:cache/a/b:pull"),
])
def test_scope_is_the_registrys_where_it_names_a_repository(scope: str, expected: str) -> None:
    """Some registries name none, some say "read", some call the repository otherwise."""
    assert [expected] == token_scopes("a/b", Challenge("bearer", {"scope": scope}))


@pytest.mark.parametrize("scope, expected", [("registry:catalog:*", ["registry:catalog:*"]),
                                             ("", []), ("read", [])])
def test_scopes_without_a_repository(scope: str, expected: List[str]) -> None:
    """For a login none; for the list of repositories what the registry names."""
    assert expected == token_scopes("", Challenge("bearer", {"scope": scope}))


@pytest.mark.parametrize("scope", ["repository:a/b:pull", "", "read"])
def test_scopes_for_pushing(scope: str) -> None:
    """Writing, whatever the one request needs, and reading what blobs are taken from."""
    assert ["repository:a/b:pull,push", "repository:c:pull"] == token_scopes(
        "a/b", Challenge("bearer", {"scope": scope}), "pull,push", ["c"])
