"""What a start costs: which modules it imports (decision 20), and that it does no less for it."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Set

import pytest
from lpmx_runtime.cli import direct
from lpmx_runtime.container import Container
from lpmx_runtime.image.commit import commit
from lpmx_runtime.store import Store
from lpmx_runtime.store.collect import remove_image

#: Slow to import, each of them, and needed by none of the plain calls.
SLOW = {"argparse", "asyncio", "ctypes", "dataclasses", "gettext", "glob", "hashlib", "ipaddress",
        "locale", "pathlib", "random", "requests", "shutil", "socket", "ssl", "subprocess",
        "tempfile", "threading", "typing", "urllib", "zstandard"}


@pytest.fixture
def imported(installed: Any, confined: Any, loaded: Any) -> Any:
    """The modules that a call of `lpmx-python` imports, and what it printed; none of those that an
    interpreter imports for itself."""
    def ask(*command: Any) -> Any:
        done = confined([installed.python, "-X", "importtime", *command],
                        env={**os.environ, "LPMX_STORE": str(loaded.path)}, cwd="/")
        assert 0 == done.returncode, done.stderr
        return {line.split("|")[2].strip() for line in done.stderr.splitlines()
                if line.startswith("import time:")}, done.stdout

    before, _ = ask("-c", "pass")

    def call(*words: str) -> Any:
        found, said = ask(installed.bin / "lpmx-python", *words)
        modules: Set[str] = found - before
        assert "lpmx_runtime.cli.direct" in modules
        return modules, said.strip()

    return call


@pytest.fixture
def image(make: Any, opened: Store) -> Any:
    """One of two layers, whose index is found by a digest of theirs."""
    container = make()
    with container.view() as view:
        view.write("/new", b"new\n")
    made = commit(opened, container, "starts:two")
    assert 2 == len(made.diff_ids)
    yield made.familiar
    remove_image(opened, made.familiar)


def test_a_plain_call_imports_nothing_that_is_slow(imported: Any, image: str) -> None:
    """run, create, exec and rm, as they are most often called, by the command line in Python."""
    for words in (["run", image, "true"], ["run", "--rm", image, "--", "true"]):
        assert (set(), "") == _slow(imported(*words))
    slow, name = _slow(imported("create", image))
    assert set() == slow
    assert (set(), "") == _slow(imported("exec", name, "true"))
    assert (set(), name) == _slow(imported("rm", name))


def _slow(call: Any) -> Any:
    modules, said = call
    return modules & SLOW, said


def test_exec_needs_neither_store_nor_core(imported: Any, make: Any) -> None:
    """Of a container that is in order all is in its record."""
    modules, _ = imported("exec", make().name, "true")
    assert not [name for name in modules if name.startswith(
        ("_cffi", "lpmx_runtime._native", "lpmx_runtime.image", "lpmx_runtime.store.l"))]


def test_a_plain_call_makes_what_any_other_makes(tiny: Any) -> None:
    """By whichever way, the container's record says the same."""
    def made(*options: str) -> Any:
        name = tiny("create", *options, tiny.image, check=True).stdout.strip()
        record = json.loads((tiny.store / "containers" / name / "container.json").read_text())
        tiny("rm", name, check=True)
        assert {record.pop("name"), Path(record["made"].pop("directory")).name} == {name}
        assert record.pop("created") > 0
        return record

    assert made("--env-file", "/dev/null") == made() == made("--name", "starts")


@pytest.mark.parametrize("words", [
    [], ["run"], ["run", "--rm"], ["run", "--help"], ["run", "-e", "A=1", "host", "true"],
    ["run", "--", "host", "true"], ["run", "--keep", "host", "true"], ["create"], ["create", "-h"],
    ["create", "host", "more"], ["create", "--name", "x"], ["create", "--name", "-x", "host"],
    ["create", "host", "--json"], ["rm"], ["rm", "-f"], ["rm", "-fx", "a"], ["rm", "a", "-f"],
    ["rm", "--", "a"], ["exec", "a"], ["exec", "-e", "A=1", "a", "true"], ["images"], ["no"]],
    ids=" ".join)
def test_all_other_calls_are_left_to_the_parser(words: Any, store: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has an option more, or is wrong, and before anything is done."""
    monkeypatch.setenv("LPMX_STORE", str(store))
    assert direct.call(words) is None
    assert not store.exists()


def test_programs_that_are_left_are_asked_to_end_first(tiny: Any, loaded: Any) -> None:
    """What a program of "lpmx run" leaves running gets the stop signal and a second, and then its
    container goes with it."""
    image = loaded("bookworm")
    done = tiny("run", image, "sh", "-c", "mkfifo /there; sh -c 'trap \"echo asked; exit\" TERM; "
                "sleep 100 & echo >/there; wait' & read line </there", check=True)
    assert "asked\n" == done.stdout
    assert [] == [one.name for one in Container.list(Store.open(tiny.store)) if one.temporary]
