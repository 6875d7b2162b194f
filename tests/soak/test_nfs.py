"""Two hosts with kernels of their own use one store on NFS at the same time (nfshosts.py)."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Counter as Counts
from typing import Iterator

import pytest
from support import images, nfshosts
from union.worlds import identity

from .conftest import Record

pytestmark = pytest.mark.root

PROCESSES, ROUNDS = 25, 2


@pytest.fixture
def top(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("nfs")
    assert not path.is_relative_to("/tmp"), "the hosts have a /tmp of their own: set TMPDIR to another place"
    for each in (path, *path.parents):
        if each.stat().st_uid == os.getuid() and each != Path("/") and not each.stat().st_mode & 1:
            each.chmod(each.stat().st_mode | 0o11)
    with open(path / "disk", "wb") as disk:
        disk.truncate(512 << 20)
    subprocess.run(["mkfs.ext4", "-q", path / "disk"], check=True,
                   env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})
    os.chown(path / "disk", *identity())
    yield path
    images.remove(path)


def test_fifty_processes_of_two_hosts_in_one_store(top: Path, record: Record) -> None:
    """Pulls, containers, removals and collecting on both: nobody fails, all that was there could be
    read, and the store is whole in the end and holds what its images need, and nothing else."""
    subprocess.run(["unshare", "--net", sys.executable, nfshosts.__file__, str(top), str(PROCESSES),
                    str(ROUNDS)], check=True, timeout=3000, stdin=subprocess.DEVNULL,
                   env={**os.environ, "PYTHONPATH": str(Path(nfshosts.__file__).parent.parent)})

    done: Counts[str] = Counter()
    errors = []
    for number in nfshosts.HOSTS:
        assert "local_lock=none" in (top / str(number) / "mount").read_text()
        assert (top / str(number) / "ended").exists()
        errors += [path.read_text()[-3000:] for path in (top / str(number)).glob("*.error")
                   if path.stat().st_size]
        for path in (top / str(number)).glob("*.json"):
            done.update(json.loads(path.read_text() or "{}"))
    faults = json.loads((top / str(nfshosts.HOSTS[-1]) / "faults").read_text())
    record("store", "two hosts, 50 processes, one store on NFS 4.2", sum(done.values()),
           f"{len(errors)} failed, {len(faults)} faults" if errors or faults else "passed")
    assert [] == errors and [] == faults
    assert 2 * PROCESSES * ROUNDS == done["pulled"] and done["contained"] > PROCESSES
