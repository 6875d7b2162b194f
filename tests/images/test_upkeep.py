"""lpmx df, gc and verify: what the store has, what nobody needs, what is damaged."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from support import layers
from support.layers import directory, file
from support.made import make_image
from support.registry import Registry

from lpmx_runtime.container import Container, Options
from lpmx_runtime.image.pull import pull
from lpmx_runtime.image.push import push
from lpmx_runtime.errors import StoreError
from lpmx_runtime.store import Image, Store
from lpmx_runtime.store.collect import collect
from lpmx_runtime.store.usage import ImageUse, usage
from lpmx_runtime.store.verify import verify

BASE = layers.tar(directory(b"d"), file(b"d/base", b"b" * 1000))
TOP = layers.tar(file(b"top", b"t" * 300))


def test_df_shows_what_is_shared(opened: Store, lpmx: Any) -> None:
    """Between images; two names of one image do not share with each other."""
    make_image(opened, "a:1", BASE)
    make_image(opened, "b:1", BASE, TOP)
    make_image(opened, "b:2", BASE, TOP)
    opened.images.remove(make_image(opened, "gone", layers.tar(file(b"g", b"g" * 70))).name)
    container = Container.create(opened, opened.images.find("a:1"), name="c")
    with container.view() as view:
        view.write("/large", bytes(range(256)) * 4096)

    found = usage(opened)

    assert [ImageUse("a:1", 1000, 1000), ImageUse("b:1", 1300, 1000),
            ImageUse("b:2", 1300, 1000)] == found.images
    assert (1370, 70) == (found.layers, found.unused)
    assert ["c"] == [one.name for one in found.containers]
    assert found.containers[0].size >= 1 << 20
    told = lpmx("df", check=True).stdout
    assert "b:1    1.3 KiB  1000 B  300 B" in told and "of which no image needs 70 B" in told
    assert 1370 == json.loads(lpmx("df", "--json", check=True).stdout)["layers"]


def test_gc_frees_what_nobody_needs(opened: Store, lpmx: Any) -> None:
    """And leaves what a container needs whose image is gone."""
    kept = make_image(opened, "kept", BASE)
    Container.create(opened, kept, name="c")
    opened.images.remove(kept.name)
    gone = make_image(opened, "gone", TOP)
    opened.images.remove(gone.name)

    told = json.loads(lpmx("gc", "--json", check=True).stdout)

    assert list(gone.diff_ids) == told["layers"]
    assert list(kept.diff_ids) == opened.layers.list()
    assert "" == lpmx("gc", check=True).stdout
    with Container.open(opened, "c").view() as view:
        assert b"b" * 1000 == view.read("/d/base")


def test_what_runs_in_a_container_keeps_what_it_says_it_uses(opened: Store) -> None:
    """A layer that a file in its directory names, without any image; as long as the file is there."""
    container = Container.create(opened, make_image(opened, "kept", BASE), name="c")
    gone = make_image(opened, "gone", TOP)
    file = container.directory / "kernel-1.layers"
    file.write_text("".join(f"{diff_id}\n" for diff_id in gone.diff_ids))
    opened.images.remove(gone.name)

    assert [] == collect(opened).layers
    file.unlink()
    assert list(gone.diff_ids) == collect(opened).layers


@pytest.fixture
def groups(store: Path) -> Iterator[Store]:
    """A group's store in which a user works whose umask is closed to all others."""
    store.mkdir()
    store.chmod(0o2770)
    before = os.umask(0o077)
    yield Store.open(store)
    os.umask(before)


def test_a_group_sees_what_a_container_needs(groups: Store) -> None:
    """In a store that a group shares, whatever the umask. What was changed in the container
    is its maker's alone."""
    container = Container.create(groups, make_image(groups, "a:1", BASE), name="c")

    for place in (groups.images.directory, groups.layers.directory, groups.path / "locks"):
        assert 0o070 == place.stat().st_mode & 0o077
    record, = groups.images.directory.glob("*.json")
    assert 0o060 == record.stat().st_mode & 0o077
    assert 0 == container.directory.stat().st_mode & 0o077
    (container.directory).chmod(0)   # as it is for the others of the group
    try:
        groups.images.remove("docker.io/library/a:1")
        assert ([], [], []) == (collect(groups).layers, Container.damaged(groups),
                                Container.list(groups))
        needs, = groups.containers.glob(".*")
        hidden = needs.rename(groups.path / "tmp" / "hidden")
        with pytest.raises(StoreError, match='container "c" is another user'):
            collect(groups)
        hidden.rename(needs)
    finally:
        container.directory.chmod(0o700)
    container.remove()
    assert [] == list(groups.containers.iterdir())
    assert 1 == len(collect(groups).layers)


def damaged_file(store: Store, image: Image) -> None:
    path = store.layers.tree(image.diff_ids[0]) / "d/base"
    path.chmod(0o600)
    path.write_bytes(b"x" * 1000)


def missing_file(store: Store, image: Image) -> None:
    path = store.layers.tree(image.diff_ids[0]) / "d/base"
    path.parent.chmod(0o700)
    path.unlink()


def missing_layer(store: Store, image: Image) -> None:
    store.layers.remove(image.diff_ids[0])


def damaged_entries(store: Store, image: Image) -> None:
    store.layers.entries(image.diff_ids[0]).write_bytes(b"nothing")


def damaged_index(store: Store, image: Image) -> None:
    store.indexes.path(image.diff_ids).write_bytes(b"nothing")


def damaged_config(store: Store, image: Image) -> None:
    store.blobs.path(image.config_digest).write_bytes(b"{}")


def missing_manifest(store: Store, image: Image) -> None:
    store.blobs.remove(image.digest)


@pytest.fixture
def image(opened: Store, registry: Registry) -> Image:
    """An image that came from a registry."""
    reference = registry.reference("upkeep/image")
    make_image(opened, reference, BASE, TOP)
    push(opened, reference)
    return pull(opened, reference)


@pytest.mark.parametrize("damage", [damaged_file, missing_file, missing_layer, damaged_entries,
                                    damaged_index, damaged_config, missing_manifest])
def test_what_is_damaged_is_found_and_repaired(opened: Store, image: Image, lpmx: Any,
                                               damage: Callable[[Store, Image], None]) -> None:
    """Got again from the registry; a container that is open sees the sound file."""
    container = Container.create(opened, image, name="c", options=Options(contain=True))
    damage(opened, image)

    found = lpmx("verify", "-q")
    assert 1 == found.returncode and "hint: " in found.stdout
    mended = lpmx("verify", "-q", "--repair")

    assert 0 == mended.returncode, mended.stdout + mended.stderr
    assert "repaired" in mended.stdout
    assert "" == lpmx("verify", "-q", check=True).stdout
    with Container.open(opened, container.name).view() as view:
        assert b"b" * 1000 == view.read("/d/base")


def test_same_size_and_other_content_is_found_by_its_hash(opened: Store) -> None:
    """Which a quick look does not tell."""
    damaged_file(opened, make_image(opened, "a:1", BASE))

    assert [] == list(verify(opened))
    fault, = verify(opened, content=True)
    assert "not what they were" in fault.cause


def test_what_cannot_be_had_again_is_told(opened: Store, lpmx: Any) -> None:
    """With the reason; nothing is made worse."""
    image = make_image(opened, "127.0.0.1:1/a:1", BASE)
    damaged_file(opened, image)

    told = lpmx("verify", "-q", "--repair")

    assert 1 == told.returncode
    assert "connection refused" in told.stdout
    assert os.path.exists(Path(opened.layers.tree(image.diff_ids[0])) / "d/base")
