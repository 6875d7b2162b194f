"""The store: one layout, made at once by anybody, cleaned without harming the living."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Iterator

import pytest

from lpmx_runtime.errors import StoreError, StoreLocked
from lpmx_runtime.store import Store, migrate

DIRECTORIES = {"blobs", "layers", "indexes", "grafts", "images", "containers", "locks", "tmp"}


def test_store_is_made_where_there_is_none(store: Path) -> None:
    """With all its directories and a version."""
    opened = Store.open(store / "deep" / "down")

    assert store / "deep" / "down" == opened.path
    assert DIRECTORIES | {"version"} == set(os.listdir(opened.path))
    assert "lpmx store 1\n" == (opened.path / "version").read_text()


def test_store_is_the_users_by_default(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LPMX_STORE says where."""
    monkeypatch.setenv("LPMX_STORE", str(store))

    assert store == Store.open().path


def test_directory_that_somebody_tidied_away_is_made_again(store: Path) -> None:
    """An empty one, or tmp."""
    Store.open(store)
    for name in ("tmp", "locks", "images"):
        (store / name).rmdir()

    opened = Store.open(store)

    with opened.staging(), opened.keeping():
        assert [] == opened.images.list()


@pytest.mark.parametrize(("text", "cause"), [
    ("lpmx store 7\n", "it is of version 7, made by a newer lpmx, and we read 1"),
    ("lpmx store 0\n", 'its file "version" says "lpmx store 0", which is no version'),
    ("something else", 'its file "version" says "something else"'),
])
def test_store_of_no_version_of_ours_is_refused(store: Path, text: str, cause: str) -> None:
    """With both versions, and nothing is touched."""
    Store.open(store)
    (store / "version").write_text(text)

    with pytest.raises(StoreError, match=cause) as caught:
        Store.open(store)

    assert caught.value.hint
    assert text == (store / "version").read_text()


@pytest.fixture
def third_version(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """As if ours were version 3; the steps that were taken."""
    taken: list[str] = []

    def first(path: Path) -> None:
        taken.append(f"1 {(path / 'version').read_text().strip()}")
        (path / "images" / "moved").write_text("by the first step")

    def second(path: Path) -> None:
        taken.append(f"2 {(path / 'version').read_text().strip()}")
        if (path / "images" / "stop").exists():
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(migrate, "VERSION", 3)
    monkeypatch.setattr(migrate, "STEPS", {1: first, 2: second})
    yield taken


def test_an_older_store_is_migrated(store: Path, third_version: list[str]) -> None:
    """Step by step, once; then it is of our version."""
    Store.open(store)
    (store / "version").write_text("lpmx store 1\n")

    Store.open(store)
    Store.open(store)

    assert ["1 lpmx store 1", "2 lpmx store 2"] == third_version
    assert "lpmx store 3\n" == (store / "version").read_text()
    assert "by the first step" == (store / "images" / "moved").read_text()


def test_a_migration_that_fails_goes_on_where_it_was(store: Path, third_version: list[str]) -> None:
    """What was done is not done again."""
    Store.open(store)
    (store / "version").write_text("lpmx store 1\n")
    (store / "images" / "stop").touch()

    with pytest.raises(StoreError, match="no space is left"):
        Store.open(store)
    assert "lpmx store 2\n" == (store / "version").read_text()
    (store / "images" / "stop").unlink()
    Store.open(store)

    assert ["1 lpmx store 1", "2 lpmx store 2", "2 lpmx store 2"] == third_version


def test_several_migrate_at_once(store: Path, third_version: list[str]) -> None:
    """One does, and the others find it done."""
    Store.open(store)
    (store / "version").write_text("lpmx store 1\n")
    threads = [threading.Thread(target=Store.open, args=(store,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ["1 lpmx store 1", "2 lpmx store 2"] == third_version


def test_a_store_too_old_is_refused(store: Path, third_version: list[str],
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody knows the step any more."""
    Store.open(store)
    (store / "version").write_text("lpmx store 1\n")
    monkeypatch.setattr(migrate, "STEPS", {2: migrate.STEPS[2]})

    with pytest.raises(StoreError, match="of version 1, which we no longer migrate to 3"):
        Store.open(store)


def test_directory_with_other_things_in_it_is_no_store(store: Path) -> None:
    """LPMX_STORE=$HOME would fill it with our directories."""
    (store / "Documents").mkdir(parents=True)

    with pytest.raises(StoreError, match='it has other things in it \\("Documents"\\)'):
        Store.open(store)

    assert ["Documents"] == os.listdir(store)


def test_root_of_a_file_system_can_be_a_store(store: Path) -> None:
    """It has a directory lost+found."""
    (store / "lost+found").mkdir(parents=True)

    Store.open(store)


def test_file_in_the_place_of_the_store(store: Path) -> None:
    """Is named."""
    store.write_text("x")

    with pytest.raises(StoreError, match="it is no directory"):
        Store.open(store)
    store.unlink()


def test_place_that_cannot_be_made(store: Path) -> None:
    """The cause is the file system's."""
    store.mkdir(0o555)

    with pytest.raises(StoreError, match="cannot store anything in .*: permission denied"):
        Store.open(store / "below")


def test_many_make_the_same_store(store: Path) -> None:
    """All find it whole."""
    faults: list[BaseException] = []

    def make() -> None:
        try:
            with Store.open(store).staging():
                pass
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == faults
    assert DIRECTORIES | {"version"} == set(os.listdir(store))


def test_store_that_is_only_read(store: Path) -> None:
    """Opening an existing one writes nothing."""
    Store.open(store)
    for place in [store, *store.iterdir()]:
        if place.is_dir():
            place.chmod(0o555)

    found = Store.open(store).images.list()
    store.chmod(0o755)

    assert [] == found


# -- staging


def test_staging_directory_is_gone_afterwards(store: Path) -> None:
    """With all in it, whether the block ends well or not."""
    opened = Store.open(store)
    with opened.staging() as place:
        (place / "sub").mkdir()
        (place / "sub").chmod(0)
    with pytest.raises(RuntimeError):
        with opened.staging() as place:
            (place / "f").touch()
            raise RuntimeError

    assert [] == os.listdir(store / "tmp")


STAGE = """
import sys, time
from pathlib import Path
from typing import Iterator
from lpmx_runtime.store import Store, migrate
with Store.open(Path(sys.argv[1])).staging() as place:
    (place / "d").mkdir()
    (place / "d" / "f").write_text("x")
    (place / "d").chmod(0o555)
    print(place, flush=True)
    sys.stdin.readline()
"""


def stage(store: Path) -> "tuple[subprocess.Popen[str], Path]":
    process = subprocess.Popen([sys.executable, "-c", STAGE, str(store)], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().rstrip("\n"))


def test_what_a_killed_process_left_is_cleaned_by_the_next(store: Path) -> None:
    """And a living one's is left alone, in this process and in another."""
    opened = Store.open(store)
    killed, left = stage(store)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    living, other = stage(store)
    with opened.staging() as ours:
        (ours / "f").touch()

        with opened.staging():
            assert not left.exists()
            assert (other / "d" / "f").exists() and (ours / "f").exists()

    assert (other / "d" / "f").exists()
    living.communicate("go\n")
    assert 0 == living.returncode and [] == os.listdir(store / "tmp")


def test_what_another_node_left_is_cleaned_only_when_it_is_old(store: Path) -> None:
    """Its lock may not be seen here."""
    opened = Store.open(store)
    names = {"young": 0.0, "old": 3 * 24 * 3600.0}
    for name, age in names.items():
        (store / "tmp" / f"othernode.{name}").mkdir()
        lock = store / "tmp" / f"othernode.{name}.lock"
        lock.touch()
        os.utime(lock, (lock.stat().st_mtime - age,) * 2)

    opened.clean()

    assert {"othernode.young", "othernode.young.lock"} == set(os.listdir(store / "tmp"))


# -- locks


def test_locks_have_names(store: Path) -> None:
    """Different ones do not exclude each other."""
    opened = Store.open(store)
    with opened.lock("one"), opened.lock("two"):
        with pytest.raises(StoreLocked, match='cannot lock "one"'):
            opened.lock("one", timeout=0).__enter__()


def test_keeping_is_shared(store: Path) -> None:
    """Any number of pulls at once; only collecting waits."""
    opened = Store.open(store)
    with opened.keeping(), Store.open(store).keeping():
        with pytest.raises(StoreLocked):
            opened.lock("keep", timeout=0).__enter__()
