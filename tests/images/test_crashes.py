"""Whoever makes or removes a container, pulls, loads, commits, pushes, saves, removes or collects
may be killed at any step, run out of space, or do so several times at once: nothing trips later,
and nothing is lost."""
from __future__ import annotations

import gzip
import multiprocessing
import os
import random
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, Set

import pytest
from support import layers
from support.crash import deaths, killed_at
from support.layers import directory, file, link
from support.made import make_image
from support.pulls import HASTY
from support.small_registry import SmallRegistry

from lpmx_runtime.container import Container, Options
from lpmx_runtime.errors import StoreFull
from lpmx_runtime.image.archive import load
from lpmx_runtime.image.commit import commit
from lpmx_runtime.image.pull import pull
from lpmx_runtime.image.push import push
from lpmx_runtime.image.save import save
from lpmx_runtime.store import Image, Store
from lpmx_runtime.store.collect import collect, remove_image
from lpmx_runtime.store.files import remove_tree, write_file
from lpmx_runtime.store.verify import verify

BASE = layers.tar(directory(b"d"), file(b"d/a", b"a" * 1000), link(b"d/b", b"d/a"), file(b"f"))


@pytest.fixture
def image(opened: Store) -> Image:
    return make_image(opened, "base:1", BASE, config={"Cmd": ["sh"]})


@pytest.fixture
def container(opened: Store, image: Image) -> Container:
    made = Container.create(opened, image, name="work", options=Options(contain=True))
    fill(made)
    return made


def fill(container: Container) -> None:
    with container.view() as view:
        view.write("/d/a", b"changed")
        view.unlink("/f")
        view.mkdir("/new")
        view.write("/new/x", random.Random(3).randbytes(5000))
        view.chown("/new/x", 7, 8)
        view.symlink("x", "/new/link")


def check(store: Store, *expected: Set[str]) -> None:
    """The store is in order and has one of these sets of images; its containers show all."""
    assert [] == list(verify(store, content=True))
    assert {image.familiar for image in store.images.list()} in expected
    for container in Container.list(store):
        with Container.open(store, container.name).view() as view:
            assert b"changed" == view.read("/d/a")
            assert 5000 == view.stat("/new/x").st_size


def names(store: Store) -> Dict[str, Any]:
    """All that is kept, locks and the like left out."""
    return {part: sorted(str(path) for path in (store.path / part).glob("*/*"))
            for part in ("blobs", "layers", "indexes", "grafts", "tmp")}


def usable(container: Container) -> None:
    """It shows its image, and can be changed."""
    with Container.open(container.store, container.name).view() as view:
        assert 1000 == view.stat("/d/a").st_size
        view.write("/d/a", b"b" * 1000)
        assert b"b" * 1000 == view.read("/d/a")


def test_making_a_store_killed_at_any_step(tmp_path: Path) -> None:
    """Whoever comes next makes the rest."""
    number = 1
    while killed_at(number, partial(Store.open, tmp_path / str(number))):
        assert [] == list(verify(Store.open(tmp_path / str(number))))
        number += 1
    assert number > 10


@pytest.mark.parametrize("temporary", [False, True])
def test_a_containers_record_outlasts_a_loss_of_power(
        opened: Store, image: Image, monkeypatch: pytest.MonkeyPatch, temporary: bool) -> None:
    """Without it nothing that programs have synced could be reached; one that is removed when its
    program ends needs none."""
    synced = []
    sync = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        sync(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    made = Container.create(opened, image, name="made", temporary=temporary).directory

    wanted = [made / "container.json", opened.containers]
    assert ([] if temporary else [path.stat().st_ino for path in wanted]) == synced


def test_making_a_container_killed_at_any_step(opened: Store, image: Image) -> None:
    """There is a whole container of that name, or none and one can be made."""
    count = 0
    for _ in deaths(lambda: Container.create(opened, image, name="made",
                                             options=Options(contain=True))):
        count += 1
        assert [] == Container.damaged(opened)
        for container in Container.list(opened):
            usable(container)
            container.remove()
    assert count > 20

    usable(Container.find(opened, "made"))
    assert [] == names(opened)["tmp"]


def test_removing_a_container_killed_at_any_step(opened: Store, image: Image) -> None:
    """It is there, whole, or its name is free; what is left of it goes with the next one."""
    def make() -> Container:
        return Container.create(opened, image, name="made", options=Options(contain=True))

    make()
    for _ in deaths(lambda: Container.find(opened, "made").remove(), stride=2):
        assert [] == Container.damaged(opened)
        if not Container.list(opened):
            make()
        usable(Container.find(opened, "made"))
    assert [] == Container.list(opened)

    opened.clean()
    assert [] == names(opened)["tmp"]
    assert [] == [name for name in os.listdir(opened.path / "locks") if "made" in name]


def test_mending_a_container_killed_at_any_step(opened: Store, container: Container) -> None:
    """What was lost of it is made again by the next who opens it; its changes stay."""
    count = 0

    def lose() -> None:
        for path in (container.view_file, container.directory / "control",
                     container.directory / "work"):
            if path.is_dir():
                remove_tree(path)
            else:
                path.unlink(missing_ok=True)

    lose()
    for _ in deaths(lambda: Container.open(opened, "work")):
        count += 1
        check(opened, {"base:1"})
        lose()
    assert count > 10
    check(opened, {"base:1"})


def test_pull_killed_at_any_step(opened: Store, small: SmallRegistry) -> None:
    """The image is there, whole, or it is not; layers that have come are not fetched again."""
    small.image("team/demo", "1", [BASE, layers.tar(file(b"more", b"more" * 5000))])
    reference = f"{small.address}/team/demo:1"
    count = 0
    for _ in deaths(lambda: pull(opened, reference, patience=HASTY), stride=3):
        count += 1
        check(opened, set(), {reference})
        opened.images.remove(reference)
    assert count > 10

    check(opened, {reference})
    collect(opened)
    assert [] == names(opened)["tmp"]


def test_load_killed_at_any_step(opened: Store, tmp_path: Path) -> None:
    """Each image is there, whole, or it is not; the next one loads them."""
    other = Store.open(tmp_path / "other")
    for name in ("one:1", "two:1"):
        make_image(other, name, BASE, layers.tar(file(b"name", name.encode())))
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(gzip.compress(b"".join(save(other, ["one:1", "two:1"]))))
    count = 0
    for _ in deaths(lambda: load(opened, archive), stride=3):
        count += 1
        check(opened, set(), {"one:1"}, {"one:1", "two:1"})
        for image in opened.images.list():
            opened.images.remove(image.name)
    assert count > 10

    check(opened, {"one:1", "two:1"})
    collect(opened)
    assert [] == names(opened)["tmp"]


def test_what_a_killed_writer_left_goes_when_it_is_old(opened: Store, image: Image) -> None:
    """A file that never got its name is somebody's who writes it, but not after a day."""
    left = [directory / f".{name}" for directory in (
        opened.path / "images", opened.path / "blobs" / "sha256", opened.path / "indexes" / "sha256")
        for name in ("old", "new")]
    for path in left:
        path.write_bytes(b"half")
        if path.name == ".old":
            os.utime(path, (0, 0))

    collect(opened)

    assert [path for path in left if path.name == ".new"] == [path for path in left if path.exists()]
    check(opened, {"base:1"})


def test_commit_killed_at_any_step(opened: Store, container: Container) -> None:
    """The image is there, whole, or it is not; the next one makes the same and cleans up."""
    count = 0
    for _ in deaths(lambda: commit(opened, container, "result"), stride=2):
        check(opened, {"base:1"}, {"base:1", "result:latest"})
        opened.images.remove("docker.io/library/result:latest")
        count += 1
    assert count > 20

    collect(opened)

    check(opened, {"base:1", "result:latest"})
    assert 2 == len(opened.layers.list())
    assert [] == names(opened)["tmp"]


def test_commit_over_an_image_killed_at_any_step(opened: Store, container: Container) -> None:
    """The name stands for the old one or the new one at every moment."""
    old = commit(opened, container, "result")
    with container.view() as view:
        view.write("/more", b"")
    for _ in deaths(lambda: commit(opened, container, "result", message="new"), stride=3):
        check(opened, {"base:1", "result:latest"})
        found = opened.images.find("result")
        if found.digest != old.digest:
            assert 2 == len(found.diff_ids)


def test_removing_and_collecting_killed_at_any_step(opened: Store, container: Container,
                                                    tmp_path: Path) -> None:
    """What other images and containers need is never among it."""
    commit(opened, container, "result")
    kept = {"base:1", "result:latest"}
    saved = tmp_path / "saved"
    saved.write_bytes(b"".join(save(opened, ["result"])))

    def remove() -> None:
        if any(image.familiar == "result:latest" for image in opened.images.list()):
            remove_image(opened, "result")
        collect(opened)

    for _ in deaths(remove):
        check(opened, kept, kept - {"result:latest"})
        load(opened, saved)
        check(opened, kept)
    check(opened, kept - {"result:latest"})
    assert 1 == len(opened.layers.list())


def test_push_killed_at_any_step(opened: Store, container: Container, tmp_path: Path) -> None:
    """The tag stands for a whole image or for none, and the next push goes on."""
    commit(opened, container, "result")
    with SmallRegistry() as small:
        reference = f"{small.address}/team/result:1"
        for number in deaths(lambda: push(opened, "result", reference, patience=HASTY), stride=4):
            check(opened, {"base:1", "result:latest"})
            if small.seen("PUT", "/manifests/"):
                pull(Store.open(tmp_path / f"other{number}"), reference, patience=HASTY)

        found = pull(Store.open(tmp_path / "other"), reference, patience=HASTY)
    assert opened.images.find("result").config_digest == found.config_digest


def test_save_killed_at_any_step(opened: Store, container: Container, tmp_path: Path) -> None:
    """The file is there whole, the old or the new one."""
    commit(opened, container, "result")
    path = tmp_path / "file"
    whole = b"".join(save(opened, ["result"]))
    path.write_bytes(b"old")
    for _ in deaths(lambda: write_file(path, save(opened, ["result"]))):
        check(opened, {"base:1", "result:latest"})
        assert path.read_bytes() in (b"old", whole)
    assert whole == path.read_bytes()


def test_several_commits_at_once(opened: Store, container: Container) -> None:
    """Of one container, to one name and to several: all of them succeed and agree."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=commit, args=(opened, container, name))
               for name in ("one", "one", "two", "three")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [0] * 4 == [worker.exitcode for worker in workers]
    check(opened, {"base:1", "one:latest", "two:latest", "three:latest"})
    assert 2 == len(opened.layers.list())


def test_commit_while_programs_write(opened: Store, container: Container, tmp_path: Path) -> None:
    """Files come and go, grow and are replaced: each one in the image is whole."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        with container.view() as view:
            view.mkdir("/busy")
            while not stop.is_set():
                number += 1
                view.mkdir(f"/busy/{number}")
                view.write("/busy/aside", b"%08d" % number * 1000)
                view.rename("/busy/aside", "/busy/replaced")
                view.write(f"/busy/{number}/f", b"x" * (number % 5000))
                if number > 5:
                    view.unlink(f"/busy/{number - 5}/f")
                    view.rmdir(f"/busy/{number - 5}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(10):
            result = commit(opened, container, f"result:{number}")
            with Container.create(opened, result, name=f"check-{number}").view() as view:
                if view.exists("/busy/replaced"):
                    data = view.read("/busy/replaced")
                    assert data == data[:8] * 1000
                assert b"changed" == view.read("/d/a")
    finally:
        stop.set()
        writer.join()
    assert [] == list(verify(opened, content=True))


# -- no space


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of its own, of so much space."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.root
def test_no_space_is_told_and_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    """However much there is of it: too little for the layer, its list, its index, its record."""
    refused = 0
    with small_disk(tmp_path / "disk", "24m") as disk:
        opened = Store.open(disk / "store")
        container = Container.create(opened, make_image(opened, "base:1", BASE), name="work",
                                     options=Options(contain=True))
        fill(container)
        before = names(opened)
        commit(opened, container, "result")   # whatever is loaded for it is loaded now
        remove_image(opened, "result")
        for left in range(0, 120_000, 4096):
            ballast = disk / "ballast"
            free = os.statvfs(disk)
            with open(ballast, "wb") as made:
                os.posix_fallocate(made.fileno(), 0, free.f_bavail * free.f_bsize - left)
            try:
                commit(opened, container, "result")
            except StoreFull as error:
                refused += 1
                assert "no space is left" in error.message and "lpmx rmi" in (error.hint or "")
                ballast.unlink()
                assert before == names(opened)
                check(opened, {"base:1"})
            else:
                ballast.unlink()
                check(opened, {"base:1", "result:latest"})
                break
    assert refused > 3
