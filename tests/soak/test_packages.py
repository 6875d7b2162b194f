"""Real package managers in four Debian releases, compared with the same steps in a real chroot."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator

import pytest
from packages import archive, inventory, recipe
from packages.pair import Pair
from packages.recipe import Step
from support import images

pytestmark = pytest.mark.root

Record = Callable[[str, str, int, str], None]

SCIENCE = ("numpy", "scipy", "pandas", "matplotlib")
#: Of the suites, and what only an old one needs: pip asks what the Python that runs it would.
PYTHONS = {"3.9": ("importlib-resources", "zipp"), "3.11": (), "3.13": (), "3.14": ()}
#: For the suites' Node, and the last that run in bullseye's.
MODULES = {"npm": ("express", "typescript", "eslint"),
           "npm-old": ("express@4", "typescript@4", "eslint@8")}


@pytest.fixture(scope="module")
def given() -> Path:
    """What the places see as /mnt: wheels, and npm's cache."""
    for python, more in PYTHONS.items():
        archive.wheels(python, (*SCIENCE, *more))
    for name, modules in MODULES.items():
        archive.modules(name, modules)
    return archive.given()


@pytest.fixture(scope="module")
def mirror() -> Iterator[archive.Archive]:
    with archive.Archive() as running:
        yield running


class Recorded:
    """A pair whose steps and comparisons make rows of the table."""

    def __init__(self, pair: Pair, record: Record, suite: str) -> None:
        self.pair = pair
        self._record, self._suite = record, suite

    def __call__(self, what: str, *steps: Step) -> None:
        """Take these steps, compare, and record it."""
        before = len(self.pair.faults)
        ratios = [f"{step.name} {self.pair.follow(step):.2f}" for step in steps]
        count = self.pair.compare(what)
        self.row(what, count, len(self.pair.faults) - before,
                 "CPU time by the chroot's: " + ", ".join(ratios))

    def row(self, what: str, count: int, faults: int, more: str = "") -> None:
        result = f"{faults} differences" if faults else "no difference"
        self._record("packages", f"{self._suite}: {what}", count,
                     f"{result}; {more}" if more else result)


@pytest.fixture(params=recipe.SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    return request.param


def test_sets_are_installed_work_and_are_purged(
        suite: str, given: Path, mirror: archive.Archive, record: Record) -> None:
    """Compilers, git, Python, R, Node, TeX and Java: apt's, then what pip and npm add; every
    file, the package database, and what the programs print are those of the chroot."""
    with Pair(images.Cache().get(suite), given) as pair:
        follow = Recorded(pair, record, suite)
        for step in (recipe.prepare(mirror.url, suite), recipe.install(recipe.DEBSUMS)):
            pair.follow(step)
        for each in recipe.SETS:
            follow(f"install {each.name}", recipe.install(each), recipe.works(each))
        follow("pip install and npm ci", Step("pip", recipe.PIP, same=True, shows="plotted"),
               Step("npm", recipe.NPM, same=True, shows="typed 42"), recipe.state())
        follow("purge all, one after the other",
               *(recipe.purge(each) for each in reversed(recipe.SETS)), recipe.state())
        pair.layers_must_be_untouched()

    assert [] == pair.faults


def test_dist_upgrade_to_the_next_release(
        suite: str, mirror: archive.Archive, record: Record) -> None:
    """A release becomes the next one under the feet of its running programs."""
    with Pair(images.Cache().get(suite)) as pair:
        follow = Recorded(pair, record, suite)
        follow(f"dist-upgrade to {recipe.SUITES[suite]}", recipe.prepare(mirror.url, suite),
               *recipe.upgrade(mirror.url, recipe.SUITES[suite]), recipe.state())
        pair.layers_must_be_untouched()

    assert [] == pair.faults


def test_rpm_tar_and_rsync_keep_all_that_a_file_has(
        suite: str, mirror: archive.Archive, record: Record) -> None:
    """rpm builds, installs, upgrades and verifies packages; the whole system, copied by tar and
    by rsync inside, is the same system."""
    with Pair(images.Cache().get(suite)) as pair:
        follow = Recorded(pair, record, suite)
        follow("rpm", recipe.prepare(mirror.url, suite), recipe.install(recipe.TOOLS),
               Step("rpm", recipe.RPM, same=True, shows="verified again"))
        follow("capabilities of files", Step("capabilities", recipe.CAPABILITIES, same=True,
                                             shows="/opt/caps/capable cap_net_raw=ep"))
        follow("odd files", Step("odd", recipe.ODD))
        for copy in (recipe.copy_with_tar, recipe.copy_with_rsync):
            before = len(pair.faults)
            done = pair.container.run(copy("/srv/copy").script)
            if done.code or done.output:
                pair.fault(f"{copy.__name__}: {done.code} {done.output}")
            copied = pair.container.tree("/srv/copy")
            for each in inventory.differences(pair.container.tree("/", "/srv/copy"), copied):
                pair.fault(f"{copy.__name__}: {each}")
            follow.row(copy.__name__.replace("_", " "), len(copied), len(pair.faults) - before)
        pair.layers_must_be_untouched()

    assert [] == pair.faults
