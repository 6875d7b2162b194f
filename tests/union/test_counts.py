"""What one look-up costs does not depend on how many layers there are."""
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent
SYNCED_COPY = "fdatasync, copied up"


def _benchmark() -> ModuleType:
    """benchmarks/calls.py, which counts."""
    spec = importlib.util.spec_from_file_location(
        "lpmx_benchmark_calls", HERE.parent.parent / "benchmarks" / "calls.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.unconfined
def test_calls_of_the_kernel_do_not_depend_on_the_number_of_layers(tmp_path: Path) -> None:
    """stat, open, access, readlink and readdir, of what is there and what is not, by the
    trap and by the preload library: with 128 layers as many as with 2."""
    calls = _benchmark()
    few, many = (calls.place(tmp_path, layers) for layers in (2, 128))
    for way in ("trap", "preload"):
        expected, found = (dict(zip(calls.ROWS, place.counted(way))) for place in (few, many))
        # which copies' names are synced is remembered by inode number, and may be forgotten
        assert expected.pop(SYNCED_COPY) >= 2 and found.pop(SYNCED_COPY) >= 2
        assert expected == found
        assert 3 >= expected["stat, lower file"] >= expected["stat, absent"]


@pytest.mark.unconfined
def test_the_preload_library_opens_as_the_trap_does(tmp_path: Path) -> None:
    """By the same way, so with one call less, the trapped one."""
    calls = _benchmark()
    place = calls.place(tmp_path, 2)
    trap, preload = (dict(zip(calls.ROWS, place.counted(way))) for way in ("trap", "preload"))
    for name in ("open, lower file", "open, absent", "open, upper file"):
        assert trap[name] - 1 == preload[name]


@pytest.mark.unconfined
def test_what_was_renamed_is_found_as_what_was_not(tmp_path: Path) -> None:
    """What is in such a directory, and what has the old name by now: by one look, not by one at
    each directory on the way. dpkg and npm rename all they make, git its locks."""
    calls = _benchmark()
    counted = dict(zip(calls.ROWS, calls.place(tmp_path, 2).counted("preload")))
    for row in ("stat, in a renamed directory", "stat, of a name that was renamed"):
        assert counted["stat, upper file"] == counted[row]


@pytest.mark.unconfined
def test_a_data_base_is_not_trapped(tmp_path: Path) -> None:
    """fdatasync through the preload library is the kernel's and a look at whether the file was
    copied up; nothing comes by signal, where another thread's could be taken."""
    calls = _benchmark()
    place = calls.place(tmp_path, 2)
    names = ["fdatasync, new file", SYNCED_COPY]
    counted = dict(zip(calls.ROWS, place.counted("preload")))
    trapped = dict(zip(calls.ROWS, place.trapped("preload")))
    assert 2 == counted["fdatasync, new file"] <= counted[SYNCED_COPY]
    assert [0, 0] == [trapped[name] for name in names]


@pytest.mark.unconfined
def test_whoever_asks_does_not_matter(tmp_path: Path) -> None:
    """Below changed directories, too: who is not root must be allowed to search each of them,
    and that costs no call of the kernel where everybody may."""
    calls = _benchmark()
    place = calls.place(tmp_path, 16)
    names = [name for name in calls.ROWS if name.split(",")[0] in ("stat", "access", "readlink")]
    root = dict(zip(calls.ROWS, place.counted("trap")))
    for way in ("user", "host"):
        others = dict(zip(calls.ROWS, place.counted(way)))
        assert {name: root[name] for name in names} == {name: others[name] for name in names}
