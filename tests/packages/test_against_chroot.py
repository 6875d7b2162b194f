"""apt and dpkg in a container do what they do in a chroot; `make soak` has many more packages."""
from __future__ import annotations

import io
from typing import List

import pytest
from packages import archive, inventory, recipe, rules
from packages.pair import Pair
from support import images, layers


@pytest.mark.root
@pytest.mark.timeout(1200)
def test_packages_are_installed_and_purged_as_in_a_chroot() -> None:
    """Every file with mode, owner, links, content and attributes, the package database and
    what it says of itself; the layers below are untouched."""
    with archive.Archive() as mirror, Pair(images.Cache().get("bookworm")) as pair:
        pair.follow(recipe.prepare(mirror.url, "bookworm"))
        pair.follow(recipe.install(recipe.SMALL))
        pair.follow(recipe.works(recipe.SMALL))
        pair.compare("install")
        pair.follow(recipe.purge(recipe.SMALL))
        pair.follow(recipe.state())
        pair.compare("purge")
        pair.layers_must_be_untouched()

        assert [] == pair.faults


def tree(*members: bytes) -> inventory.Tree:
    return inventory.read(io.BytesIO(layers.tar(layers.directory(b"./etc"), *members)))


def found(one: inventory.Tree, two: inventory.Tree) -> List[str]:
    return [each.fact for each in inventory.differences(one, two, since=100)]


FILE = layers.file(b"./etc/a", b"content", mtime=50)


@pytest.mark.parametrize("fact, other", [
    ("kind", layers.symlink(b"./etc/a", b"content")),
    ("mode", layers.file(b"./etc/a", b"content", mtime=50, mode=0o4644)),
    ("owner", layers.file(b"./etc/a", b"content", mtime=50, gid=7)),
    ("content", layers.file(b"./etc/a", b"Content", mtime=50)),
    ("attributes", layers.file(b"./etc/a", b"content", mtime=50, xattrs={b"user.x": b"y"})),
    ("same_file", FILE + layers.link(b"./etc/b", b"./etc/a")),
    ("time", layers.file(b"./etc/a", b"content", mtime=51)),
    ("file", b""),
])
def test_comparison_notices_what_is_not_the_same(fact: str, other: bytes) -> None:
    """Each fact of a file, and that there is one at all."""
    assert [] == found(tree(FILE), tree(FILE))
    assert fact in found(tree(FILE), tree(other))


def test_time_of_what_a_step_made_may_differ() -> None:
    """It is the time of day; what a package brings has the package's time."""
    assert [] == found(tree(layers.file(b"./etc/a", mtime=100)),
                       tree(layers.file(b"./etc/a", mtime=101)))


def test_rule_allows_its_own_facts_only() -> None:
    """A log may have other lines, not another mode."""
    log = b"./var/log/dpkg.log"
    one, two = tree(layers.file(log, b"1")), tree(layers.file(log, b"2", mode=0o600))

    assert ["/var/log/dpkg.log: mode is 384, not 420"] == \
        rules.unexplained(inventory.differences(one, two, since=0))
