"""Versions are ordered as Debian Policy says and dpkg does."""
from __future__ import annotations

import random
import shutil
import subprocess

import pytest
from lpmx_runtime.image.debian.version import compare, satisfies

#: From the policy's text and from bugs that comparers have had; earlier ones first.
ORDERED = ["0~~", "0~~a", "0~", "0", "0a", "0+", "0.0~rc1", "0.0", "0.1~", "0.1", "0.1-0.1", "0.1-1",
           "0.1-1+b1", "0.1-1+deb12u1", "0.1-1.1", "0.9", "0.10", "1.0~beta1", "1.0", "1.0+dfsg",
           "1.0.1", "2024a", "2024b", "1:0.1", "1:0.1-1", "2:0"]


@pytest.mark.parametrize("place", range(len(ORDERED) - 1))
def test_earlier_and_later_versions(place: int) -> None:
    """Each of the list is before all that follow it, and the same as itself."""
    version = ORDERED[place]

    assert [-1] * (len(ORDERED) - place - 1) == [compare(version, later)
                                                 for later in ORDERED[place + 1:]]
    assert [1] * place == [compare(version, earlier) for earlier in ORDERED[:place]]
    assert 0 == compare(version, version)


@pytest.mark.parametrize("one,other", [("1.0", "1.0-0"), ("0:1.0", "1.0"), ("1.00", "1.0"),
                                       ("1.0a", "1.0a0"), ("1.0-00", "1.0-0")])
def test_versions_that_are_the_same(one: str, other: str) -> None:
    """What is left out counts as zero."""
    assert 0 == compare(one, other)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs dpkg")
def test_versions_compare_as_dpkg_compares_them() -> None:
    """Six hundred random pairs, most of them alike; the seed makes them the same ones always."""
    chance = random.Random(20240229)

    def random_version() -> str:
        epoch = chance.choice(["", "", "0:", "1:"])
        upstream = "1" + "".join(chance.choice("0019~+.aAz") for _ in range(chance.randint(0, 6)))
        revision = chance.choice(["", "", "-0", "-1", "-1~", "-1+b1", "-0a"])
        return epoch + upstream + revision

    for _ in range(600):
        one = random_version()
        other = chance.choice([random_version(), one[:-1] or "1", one + chance.choice("0~+a")])
        if not other[-1:].strip("-:") or other.endswith("-"):
            continue
        operator = {-1: "lt", 0: "eq", 1: "gt"}[compare(one, other)]
        assert 0 == subprocess.run(["dpkg", "--compare-versions", one, operator, other],
                                   check=False).returncode, f"{one} {operator} {other}"


def test_relations_between_versions() -> None:
    """The operators of dependency fields; the old "<" and ">" allow the version itself."""
    assert [True, True, False, False, False, True] == [
        satisfies("1.0", operator, "1.1") for operator in ("<<", "<=", "=", ">=", ">>", "<")]
    assert satisfies("1.1", ">", "1.1") and satisfies("1.1", "", "9")
