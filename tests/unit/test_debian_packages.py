"""Package lists are read, and what belongs together is found."""
from __future__ import annotations

from typing import Sequence

import pytest
from lpmx_runtime.errors import BootstrapFailed
from lpmx_runtime.image.debian.packages import (Package, PackageList, Relation, check,
                                                parse_relations, parse_stanza)
from lpmx_runtime.image.debian.resolve import Resolution

SUITE = """\
Package: base-files
Essential: yes
Priority: required
Version: 12
Pre-Depends: awk

Package: mawk
Priority: required
Version: 1.3
Provides: awk

Package: gawk
Version: 5
Provides: awk

Package: libc6
Version: 2.36-9
Pre-Depends: libgcc-s1
Breaks: old-thing (<< 2)

Package: libgcc-s1
Version: 12
Depends: libc6 (>= 2.35)

Package: apt
Priority: important
Version: 2.6
Depends: libc6 (>= 2.15), mail-reader | mail-agent, adduser:any
Description: package manager
 Several lines, one of which is
 Package: not-a-package

Package: adduser
Version: 3
Depends: old-thing | new-thing

Package: postfix
Priority: optional
Version: 3.7
Provides: mail-agent (= 5), mta

Package: exim4
Priority: extra
Version: 4.9
Provides: mail-agent

Package: old-thing
Version: 1

Package: new-thing
Version: 1

Package: new-thing
Version: 1.10

Package: new-thing
Version: 1.9
Conflicts: postfix

Package: broken
Version: 1
Depends: apt, nowhere (>= 3)

Package: needs-five
Version: 1
Depends: mail-agent (>= 5)

Package: early
Version: 1
Pre-Depends: adduser

Package: rival
Version: 1
Conflicts: awk

"""


@pytest.fixture
def suite() -> PackageList:
    packages = PackageList()
    packages.add(SUITE)
    return packages


def resolve(suite: PackageList, *names: str) -> list[str]:
    resolution = Resolution(suite, "make it")
    resolution.add(names)
    resolution.check()
    return [package.name for package in resolution.in_order()]


def test_stanza_keeps_the_lines_of_a_long_field() -> None:
    """A line that begins with a space belongs to the field above it."""
    fields = parse_stanza("Package: a\nDescription: short\n long: part\n .\nSize: 3")

    assert {"Package": "a", "Description": "short\n long: part\n .", "Size": "3"} == fields


def test_relations_are_groups_of_alternatives() -> None:
    """Commas are "and", bars "or"; an architecture behind a colon is no part of the name."""
    assert ((Relation("a", ">=", "1.0"),), (Relation("b"), Relation("c", "=", "2:3~x")),
            (Relation("d"),)) == parse_relations("a (>= 1.0), b | c(=2:3~x),\n d:any, ")


def test_of_several_versions_the_latest_counts(suite: PackageList) -> None:
    """1.10 is later than 1.9, wherever it stands."""
    package = suite.get("new-thing")

    assert package is not None and "1.10" == package.version
    assert suite.get("not-a-package") is None


def test_what_is_provided_without_a_version_satisfies_no_version(suite: PackageList) -> None:
    """Debian Policy, 7.5."""
    postfix, exim = suite.get("postfix"), suite.get("exim4")

    assert postfix and postfix.is_a(Relation("mail-agent", ">=", "5"))
    assert exim and exim.is_a(Relation("mail-agent"))
    assert exim and not exim.is_a(Relation("mail-agent", ">=", "1"))


def test_priorities_and_essential_packages(suite: PackageList) -> None:
    """Essential packages are part of every selection."""
    assert {"base-files", "mawk"} == {p.name for p in suite.of_priority("required")}
    assert {"base-files", "apt"} == {p.name for p in suite.of_priority("important")}


def test_packages_come_after_what_they_need(suite: PackageList) -> None:
    """base-files is first whatever it needs; circles are cut somewhere."""
    order = resolve(suite, "base-files", "mawk", "apt")

    assert "base-files" == order[0]
    assert set(order) == {"base-files", "mawk", "apt", "libc6", "libgcc-s1", "adduser", "postfix",
                          "new-thing"}
    assert order.index("adduser") < order.index("apt")
    assert order.index("new-thing") < order.index("adduser")


def test_a_choice_is_settled_by_what_is_asked_for(suite: PackageList) -> None:
    """gawk is an awk as good as any once somebody wants it."""
    assert "mawk" not in resolve(suite, "base-files", "gawk")
    assert "exim4" in resolve(suite, "apt", "exim4")
    assert "postfix" not in resolve(suite, "apt", "exim4")


def test_a_choice_avoids_what_is_excluded(suite: PackageList) -> None:
    """libc6 breaks the old thing, so the next alternative is taken."""
    assert "new-thing" in resolve(suite, "libc6", "adduser")
    assert "old-thing" in resolve(suite, "adduser")


def test_versioned_provides_are_found(suite: PackageList) -> None:
    """Only one of the two mail agents says which version it is as good as."""
    assert ["postfix", "needs-five"] == resolve(suite, "needs-five")


def test_what_others_pre_depend_on_comes_before(suite: PackageList) -> None:
    """With all that it needs; what is only depended on does not."""
    resolution = Resolution(suite, "make it")
    resolution.add(["mawk", "apt", "early"])

    assert {"mawk", "adduser", "new-thing", "libgcc-s1", "libc6"} == resolution.before(["mawk"])


@pytest.mark.parametrize("names,cause", [
    (["no-such"], 'the suite has no package "no-such"'),
    (["broken"], "broken needs nowhere (>= 3), which the suite does not have"),
    (["rival", "mawk"], "rival 1 does not go with mawk 1.3"),
])
def test_what_cannot_be_had_is_named(suite: PackageList, names: Sequence[str], cause: str) -> None:
    """The message has the package and what is wrong with it."""
    with pytest.raises(BootstrapFailed) as failure:
        resolve(suite, *names)

    assert f"cannot make it: {cause}" == str(failure.value)


@pytest.mark.parametrize("fields", [
    {"SHA256": "0" * 64, "Size": "1", "Filename": "pool/../../../etc/passwd"},
    {"SHA256": "0" * 63, "Size": "1", "Filename": "pool/a.deb"},
    {"SHA256": "0" * 64, "Filename": "pool/a.deb"},
    {"SHA256": "0" * 64, "Size": "1"},
])
def test_stanzas_that_cannot_be_verified_are_refused(fields: dict[str, str]) -> None:
    """A list that lacks hash, size or place, or whose place is none, is of no use."""
    with pytest.raises(BootstrapFailed):
        check(Package({"Package": "a", **fields}))
