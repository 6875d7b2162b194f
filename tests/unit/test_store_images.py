"""Image records, finding them as people write them, and freeing what nothing needs."""
from __future__ import annotations

import io
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support import layers

from lpmx_runtime.errors import (
    ImageInUse,
    ImageUnknown,
    InvalidReference,
    LpmxError,
    StoreDamaged,
    StoreLocked,
)
from lpmx_runtime.store import Image, Store
from lpmx_runtime.store.collect import collect, remove_image


@pytest.fixture
def opened(store: Path) -> Store:
    return Store.open(store)


def put(store: Store, name: str, *tars: bytes, **fields: Any) -> Image:
    """An image of these layers, with its blobs and its index, as a pull leaves it."""
    diff_ids = tuple(store.layers.add(io.BytesIO(data)) for data in tars)
    config = json.dumps({"os": "linux", "rootfs": {"diff_ids": diff_ids}, "for": name}).encode()
    manifest = json.dumps({"config": layers.diff_id(config)}).encode()
    for blob in (config, manifest):
        store.blobs.put(layers.diff_id(blob), [blob])
    store.indexes.ensure(diff_ids)
    image = Image(**{**dict(name=name, digest=layers.diff_id(manifest),
                            config_digest=layers.diff_id(config), diff_ids=diff_ids,
                            config=json.loads(config), size=1234, origin="pulled",
                            added=1_700_000_000.5), **fields})
    store.images.put(image)
    return image


def layer(name: str) -> bytes:
    return layers.tar(layers.file(name.encode(), name.encode()))


UBUNTU = "docker.io/library/ubuntu:18.04"


# -- records


def test_image_comes_back_as_it_was_put(opened: Store, store: Path) -> None:
    """Every field, in another process too."""
    image = put(opened, UBUNTU, layer("a"), layer("b"))

    found = Store.open(store).images.get(UBUNTU)
    assert (image.name, image.digest, image.config_digest, image.diff_ids, image.size, image.origin,
            image.added, image.live) == (
        found.name, found.digest, found.config_digest, found.diff_ids, found.size, found.origin,
        found.added, found.live)
    assert "ubuntu:18.04" == found.familiar
    assert [found] == opened.images.list()


def test_image_of_the_same_name_gives_way(opened: Store) -> None:
    """A tag that moved."""
    put(opened, UBUNTU, layer("old"))
    new = put(opened, UBUNTU, layer("new"))

    assert [new.digest] == [image.digest for image in opened.images.list()]


def test_image_without_its_layers_is_not_recorded(opened: Store) -> None:
    """It could not be run."""
    image = put(opened, UBUNTU, layer("a"))
    opened.images.remove(UBUNTU)
    opened.layers.remove(image.diff_ids[0])

    with pytest.raises(StoreDamaged, match=image.diff_ids[0]):
        opened.images.put(image)
    assert [] == opened.images.list()


@pytest.mark.parametrize("name", [
    "ghcr.io/acme/solver:2.4", "127.0.0.1:5000/team/demo:latest",
    "registry.example/" + "/".join(["long" * 10] * 5) + ":" + "t" * 128,
    "docker.io/library/debian@sha256:" + "0" * 64])
def test_any_name_can_be_recorded(opened: Store, name: str) -> None:
    """Slashes, colons, and names longer than a file's may be."""
    put(opened, name, layer("a"))

    assert name == opened.images.get(name).name
    opened.images.remove(name)
    assert [] == opened.images.list()


@pytest.mark.parametrize("text,cause", [
    ("{", "it is damaged"), ("[]", "it is damaged"), ('{"version": 1}', "it is damaged"),
    ('{"version": 9}', "it has version 9, and we read version 1")])
def test_damaged_record_is_named(opened: Store, store: Path, text: str, cause: str) -> None:
    """With what to do."""
    put(opened, UBUNTU, layer("a"))
    record, = (store / "images").iterdir()
    record.write_text(text)

    with pytest.raises(StoreDamaged, match=cause) as caught:
        opened.images.get(UBUNTU)

    assert str(record) in str(caught.value) and caught.value.hint


def test_host_is_in_every_store(opened: Store) -> None:
    """It has no layers, is not listed, and cannot be removed or replaced."""
    host = opened.images.find("host")

    assert ("host", "host", (), True, "built-in") == \
        (host.name, host.familiar, host.diff_ids, host.live, host.origin)
    assert host == opened.images.get("host") and [] == opened.images.list()
    with pytest.raises(ImageInUse, match="it is this machine itself"):
        remove_image(opened, "host")
    with pytest.raises(ValueError):
        opened.images.put(host)


# -- finding


@pytest.mark.parametrize("text", ["ubuntu:18.04", "docker.io/ubuntu:18.04", UBUNTU])
def test_image_is_found_as_people_write_it(opened: Store, text: str) -> None:
    """Docker's short forms."""
    put(opened, UBUNTU, layer("a"))

    assert UBUNTU == opened.images.find(text).name


def test_image_is_found_by_the_beginning_of_a_digest(opened: Store) -> None:
    """Of its manifest or its config, with the algorithm or without."""
    image = put(opened, UBUNTU, layer("a"))
    put(opened, "docker.io/library/debian:12", layer("b"))

    for text in (image.digest, image.digest[:19], image.digest[7:19], image.config_digest[7:20]):
        assert UBUNTU == opened.images.find(text).name


def test_digest_of_several_images_is_not_guessed(opened: Store) -> None:
    """Two tags of one image are the same; two images are not."""
    put(opened, UBUNTU, layer("a"), digest="sha256:" + "1" * 64)
    put(opened, "docker.io/library/ubuntu:bionic", layer("a"), digest="sha256:" + "1" * 64)
    assert opened.images.find("1" * 12).familiar.startswith("ubuntu:")
    put(opened, "docker.io/library/debian:12", layer("a"), digest="sha256:" + "1" * 63 + "2")

    with pytest.raises(ImageUnknown, match='cannot tell which image "1{12}" is') as caught:
        opened.images.find("1" * 12)

    assert "debian:12" in str(caught.value) and caught.value.hint


def test_name_goes_before_a_digest_that_looks_like_it(opened: Store) -> None:
    """`lpmx run deadbeef` with an image of that name."""
    put(opened, UBUNTU, layer("a"), digest="sha256:deadbeef" + "0" * 56)
    put(opened, "docker.io/library/deadbeef:latest", layer("b"))

    assert "deadbeef:latest" == opened.images.find("deadbeef").familiar


def test_unknown_image_comes_with_a_hint(opened: Store) -> None:
    """How to get it, and what is there of the same name, or else of one that is nearly so."""
    put(opened, UBUNTU, layer("a"))

    with pytest.raises(ImageUnknown, match='cannot find image "ubuntu:20.04"') as near:
        opened.images.find("ubuntu:20.04")
    with pytest.raises(ImageUnknown, match='cannot find image "ubunto"') as mistyped:
        opened.images.find("ubunto")
    with pytest.raises(ImageUnknown, match='cannot find image "fedora"') as far:
        opened.images.find("fedora")

    assert 'run "lpmx pull ubuntu:20.04"; the store has ubuntu:18.04' == near.value.hint
    assert 'run "lpmx pull ubunto"; the store has ubuntu:18.04' == mistyped.value.hint
    assert 'run "lpmx pull fedora", or' in (far.value.hint or "")


def test_who_has_no_use_for_a_pull_is_not_told_to(opened: Store) -> None:
    """What is not here need not be removed, shown or pushed: the hint says what is here."""
    put(opened, UBUNTU, layer("a"))

    for text, hint in (("ubunto", "the store has ubuntu:18.04"),
                       ("fedora", 'run "lpmx images" to see what is there')):
        with pytest.raises(ImageUnknown, match=f'cannot find image "{text}"') as unknown:
            remove_image(opened, text)
        assert hint == unknown.value.hint


def test_text_that_is_no_reference(opened: Store) -> None:
    """Says why, as parsing does."""
    with pytest.raises(InvalidReference):
        opened.images.find("Not A Name")


# -- freeing


def container(store: Store, name: str, image: Image) -> None:
    directory = store.containers / name
    directory.mkdir()
    (directory / "container.json").write_text(json.dumps(
        {"version": 1, "name": name, "image": image.name, "diff_ids": list(image.diff_ids)}))


def contents(store: Store) -> tuple[list[str], list[str], int]:
    indexes = [path for path in store.indexes.directory.glob("*/*")]
    return store.layers.list(), store.blobs.list(), len(indexes)


def test_removed_image_frees_what_no_other_needs(opened: Store) -> None:
    """Shared layers stay with the image that shares them."""
    base, one, two = layer("base"), layer("one"), layer("two")
    kept = put(opened, "docker.io/library/kept:1", base, one)
    put(opened, "docker.io/library/gone:1", base, two)

    removed = remove_image(opened, "gone:1")

    assert "gone:1" == removed.familiar
    assert (sorted(kept.diff_ids), sorted([kept.digest, kept.config_digest]), 1) == contents(opened)
    assert [kept.name] == [image.name for image in opened.images.list()]


def test_last_image_leaves_nothing(opened: Store, store: Path) -> None:
    """Grafts included."""
    put(opened, UBUNTU, layers.tar(layers.file(b"usr/lib/a"), layers.symlink(b"lib", b"usr/lib")),
        layers.tar(layers.file(b"lib/b")))
    assert 1 == len(list(opened.indexes.grafts.glob("*/*")))

    remove_image(opened, "ubuntu:18.04")

    assert ([], [], 0) == contents(opened)
    assert [] == list(opened.indexes.grafts.glob("*/*"))
    assert {"version"} == {str(path.relative_to(store)) for path in store.rglob("*")
                           if path.is_file() and path.parent.name != "locks"}


def test_image_that_a_container_uses_is_not_removed(opened: Store) -> None:
    """The message names the container and the hint frees the image."""
    image = put(opened, UBUNTU, layer("a"))
    container(opened, "fit-7", image)
    container(opened, "fit-8", image)

    with pytest.raises(ImageInUse, match='cannot remove image "ubuntu:18.04": container "fit-7"') \
            as caught:
        remove_image(opened, "ubuntu:18.04")

    assert 'run "lpmx rm fit-7 fit-8" first' == caught.value.hint
    assert [image.name] == [one.name for one in opened.images.list()]


def test_layers_of_a_container_stay_when_its_image_is_replaced(opened: Store) -> None:
    """A tag that moved while a container of the old image exists."""
    old = put(opened, UBUNTU, layer("old"))
    container(opened, "c", old)
    new = put(opened, UBUNTU, layer("new"))

    collect(opened)

    assert sorted(old.diff_ids + new.diff_ids) == opened.layers.list()
    assert 2 == contents(opened)[2]


def test_unreadable_container_stops_collecting(opened: Store) -> None:
    """Rather keep too much than remove what it needs."""
    image = put(opened, UBUNTU, layer("a"))
    container(opened, "c", image)
    (opened.containers / "c" / "container.json").write_text("{")
    opened.images.remove(UBUNTU)

    with pytest.raises(StoreDamaged, match='which layers container "c" needs'):
        collect(opened)

    assert list(image.diff_ids) == opened.layers.list()


def test_collecting_waits_for_those_who_count_on_what_is_there(opened: Store) -> None:
    """A pull that found a layer here has it still when it records its image."""
    diff_id = opened.layers.add(io.BytesIO(layer("a")))
    with opened.keeping():
        with pytest.raises(StoreLocked):
            collect(opened)
        assert opened.layers.has(diff_id)

    assert [diff_id] == collect(opened).layers


def test_image_is_removed_at_once_while_another_is_pulled(opened: Store, store: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """Its layers go with the next one that frees something."""
    monkeypatch.setattr("lpmx_runtime.store.collect._PATIENCE", 0.1)
    image = put(opened, UBUNTU, layer("a"))
    with opened.keeping():
        remove_image(opened, "ubuntu:18.04")
        assert [] == opened.images.list() and list(image.diff_ids) == opened.layers.list()

    collect(opened)

    assert [] == opened.layers.list()


def test_images_come_and_go_at_the_same_time(store: Path) -> None:
    """Several processes' worth of pulls and removals: no image is ever without its layers."""
    faults: list[object] = []
    end = time.monotonic() + 2

    def work(number: int) -> None:
        opened = Store.open(store)
        name = f"docker.io/library/image:{number}"
        try:
            while time.monotonic() < end:
                with opened.keeping():
                    put(opened, name, layer("base"), layer(f"own{number % 2}"))
                for image in opened.images.list():
                    for diff_id in opened.images.get(image.name).diff_ids \
                            if image.name == name else ():
                        opened.layers.tree(diff_id)
                remove_image(opened, f"image:{number}")
        except LpmxError as error:
            faults.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    opened = Store.open(store)
    collect(opened)
    assert [] == faults
    assert ([], [], 0) == contents(opened) and [] == os.listdir(store / "tmp")
