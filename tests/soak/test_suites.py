"""Other people's tests of file systems, in a container and in a chroot.

Each suite comes from Debian, as the image's suite has it; what a test of it says in the
container it must say in the chroot.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Dict, Iterator

import pytest
from packages import archive, recipe
from packages.places import Chroot, Container, Place
from support import images

pytestmark = pytest.mark.root

SUITE = "bookworm"

#: The stressors that are about files, each for itself, with what they write read back.
STRESSORS = """access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify dup
exec fallocate fanotify fault fcntl fiemap fifo file-ioctl filename flock fpunch fstat full getdent
handle hdd inode-flags inotify io iomix lease link locka lockf lockofd madvise mknod mmap mmapfork
mmapmany msync open pipe poll procfs readahead rename revio seek sendfile sock sockfd splice symlink
sync-file tee touch utime vm-splice xattr""".split()

STRESS = f"""
mkdir -p /root/stress
for each in {' '.join(STRESSORS)}; do
    if timeout 300 stress-ng --temp-path /root/stress --verify --$each 2 --$each-ops 400 -t 10 >/dev/null 2>&1
    then echo "PASS $each"; else echo "FAIL $each"; fi
done
"""


@dataclass(frozen=True)
class Suite:
    """Packages, and a script that prints "PASS NAME", "FAIL NAME" or "SKIP NAME" for each test."""

    name: str
    packages: str
    script: str


SUITES = [
    Suite("stress-ng", "stress-ng", STRESS),
]


@pytest.fixture(scope="module")
def mirror() -> Iterator[archive.Archive]:
    with archive.Archive() as running:
        yield running


def results(place: Place, mirror: str, suite: Suite) -> Dict[str, str]:
    """What each test said: its name and the word before it."""
    for step in (recipe.prepare(mirror, SUITE), recipe.install(recipe.Set(
            suite.name, suite.packages, "", ""))):
        done = place.run(step.script)
        assert 0 == done.code, done.output
    said = re.findall(r"^(PASS|FAIL|SKIP) (.*\S)", place.run(suite.script).output, re.MULTILINE)
    return {name: word for word, name in said}


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "trap"])
@pytest.mark.parametrize("suite", SUITES, ids=[suite.name for suite in SUITES])
def test_suite_finds_in_a_container_what_it_finds_in_a_chroot(
        suite: Suite, preload: bool, mirror: archive.Archive,
        record: Callable[[str, str, int, str], None]) -> None:
    """Whatever its tests find, they find in both places."""
    image = images.Cache().get(SUITE)
    with Chroot(image) as place:
        chroot = results(place, mirror.url, suite)
    with Container(image, preload=preload) as place:
        container = results(place, mirror.url, suite)
    # what the chroot cannot test may pass here
    different = [f"{name}: {chroot.get(name)} in the chroot, {container.get(name)} here"
                 for name in sorted({**chroot, **container})
                 if chroot.get(name) != container.get(name)
                 and (chroot.get(name), container.get(name)) != ("SKIP", "PASS")]
    record("suites", f"{suite.name}, {'preload' if preload else 'trap alone'}", len(container),
           f"{len(different)} differences" if different else "no difference")

    assert container
    assert [] == different
