"""What a program has synced outlasts a loss of power, with all the union made for it.

A power loss cannot be had here; what reaches the disk is told by the calls of the kernel
that carry it there.
"""
from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Iterator, List

import pytest

from .bare import Bare
from .layers import Layer, directory, regular

pytestmark = pytest.mark.unconfined

SCRIPT = """
import os, sys
from lpmx_runtime._native import View
NR = {"fsync": 74, "fdatasync": 75, "syncfs": 306}
with View(sys.argv[1]) as view:
    def sync(fd, name="fsync"):
        os.write(2, b"--\\n")
        assert 0 == view.call(NR[name], fd)
%s
"""


@pytest.fixture
def bare() -> Iterator[Bare]:
    layer: Layer = {"": directory(), "etc": directory(), "etc/conf.d": directory(),
                    "etc/conf.d/a": regular(b"a"), "etc/conf.d/b": regular(b"b"),
                    "var": directory(), "var/lib": directory()}
    with Bare([layer]) as bare:
        yield bare


def _synced(bare: Bare, script: str) -> List[List[str]]:
    """For each sync that the script makes: what the kernel was told to put on the disk."""
    log = bare.root / "strace"
    body = textwrap.indent(textwrap.dedent(script), "    ")
    subprocess.run(["strace", "-f", "-y", "-s", "8", "-e", "trace=write,fsync,fdatasync,syncfs",
                    "-o", str(log), sys.executable, "-c", SCRIPT % body, str(bare.file)],
                   check=True)
    found: List[List[str]] = []
    for line in log.read_text().splitlines():
        match = re.search(r"(\w+)\(\d+<([^>]*)>", line)
        if match and match[1] == "write" and '"--' in line:
            found.append([])
        elif match and match[1] != "write" and found:
            found[-1].append(Path(match[2]).relative_to(bare.root.parent).as_posix()
                             .replace(bare.root.name, "ROOT"))
    return found


CONTAINER = ["ROOT", "."]


def test_fsync_of_a_copy_syncs_its_name_too(bare: Bare) -> None:
    """The file was there for the program all the time: after a power loss it must not
    be the layer's again. The directories above are copies, too, so their names follow."""
    told = _synced(bare, """
        fd = view.open("/etc/conf.d/a", os.O_RDWR)
        os.write(fd, b"new")
        other = view.open("/etc/conf.d/b", os.O_RDWR)
        sync(fd)
        sync(fd, "fdatasync")
        sync(other)
        """)

    assert [["ROOT/upper/etc/conf.d/a", *CONTAINER,
             "ROOT/upper/etc/conf.d", "ROOT/upper/etc", "ROOT/upper"],
            ["ROOT/upper/etc/conf.d/a"]] == told[:2]
    # what is remembered may be forgotten again
    assert ["ROOT/upper/etc/conf.d/b", "ROOT/upper/etc/conf.d"] == told[2][:2]


def test_fsync_of_a_new_file_is_the_kernels(bare: Bare) -> None:
    """Its name is for the program to sync, as everywhere: by the directory."""
    told = _synced(bare, """
        view.write("/var/lib/new", b"x")
        sync(view.open("/var/lib/new", os.O_RDONLY))
        sync(view.open("/var/lib", os.O_RDONLY))
        """)

    assert [["ROOT/upper/var/lib/new"],
            ["ROOT/upper/var/lib", *CONTAINER, "ROOT/upper/var", "ROOT/upper"]] == told


def test_fsync_of_a_directory_that_was_opened_in_a_layer(bare: Bare) -> None:
    """What was made, renamed and removed in it since is in the upper, and is synced there."""
    layer = bare.trees[0].relative_to(bare.root).as_posix()
    told = _synced(bare, """
        fd = view.open("/etc/conf.d", os.O_RDONLY)
        sync(fd)
        view.unlink("/etc/conf.d/a")
        sync(fd)
        """)

    assert [f"ROOT/{layer}/etc/conf.d"] == told[0][:1]
    assert [f"ROOT/{layer}/etc/conf.d", "ROOT/upper/etc/conf.d", "ROOT/upper/etc",
            "ROOT/upper"] == [name for name in told[1] if name not in CONTAINER]


def test_syncfs_is_the_uppers_too(bare: Bare) -> None:
    """By any descriptor of the union: layers may be in another file system."""
    told = _synced(bare, """
        sync(view.open("/etc", os.O_RDONLY), "syncfs")
        """)

    assert ["ROOT/upper"] == told[0][1:]


def test_a_copy_opened_to_be_written_through_has_its_name_on_disk(bare: Bare) -> None:
    """With O_SYNC nothing is left for later."""
    told = _synced(bare, """
        os.write(2, b"--\\n")
        view.open("/etc/conf.d/a", os.O_RDWR | os.O_SYNC)
        """)

    assert ["ROOT/upper/etc/conf.d", "ROOT/upper/etc", "ROOT/upper"] == told[0][-3:]
