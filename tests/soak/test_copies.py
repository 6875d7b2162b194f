"""Copies on file systems whose files can share blocks. Needs xfsprogs, btrfs-progs and loop
devices.
"""
from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Callable

import pytest
from union.test_copyup import Live

pytestmark = pytest.mark.root


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_a_file_system_that_shares_blocks_shares_those_of_a_copy(
        tmp_path: Path, record: Callable[..., None], kind: str) -> None:
    """A copy of 64 MiB takes no room where files can share blocks."""
    disk, mount = tmp_path / "disk", tmp_path / "mount"
    with open(disk, "wb") as out:
        out.truncate(600 << 20)
    subprocess.run([f"mkfs.{kind}", "-q", str(disk)], check=True, stdout=subprocess.DEVNULL)
    mount.mkdir()
    subprocess.run(["mount", "-o", "loop", str(disk), str(mount)], check=True)
    try:
        tree = mount / "tree"
        (tree / "proc").mkdir(parents=True)
        with Live(tree) as bare:
            (tree / "large").write_bytes(os.urandom(1 << 20) * 64)
            os.sync()
            before = os.statvfs(mount)
            with bare.view() as view:
                view.chmod("/large", 0o600)
                assert (tree / "large").read_bytes() == view.read("/large")
            os.sync()
            after = os.statvfs(mount)
        used = (before.f_bfree - after.f_bfree) * before.f_frsize
        record("copy-up", f"bytes used for a copy of 64 MiB on {kind}", used, "shared blocks")
        assert used < 8 << 20
    finally:
        subprocess.run(["umount", str(mount)], check=True)
