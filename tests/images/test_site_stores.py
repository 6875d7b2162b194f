"""A site's store below the user's: used where it is, and never written."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

import pytest
from support import layers
from support.layers import directory, file, link, symlink
from support.made import BASE, make_image
from support.small_registry import SmallRegistry

from lpmx_runtime.container import Container, Options
from lpmx_runtime.errors import ImageInUse, InvalidSetting, StoreError
from lpmx_runtime.image.history import history
from lpmx_runtime.image.pull import pull
from lpmx_runtime.image.save import save
from lpmx_runtime.store import Store
from lpmx_runtime.store.collect import collect, remove_image
from lpmx_runtime.store.usage import usage
from lpmx_runtime.store.verify import verify

BOTH = (layers.tar(directory(b"usr/lib"), symlink(b"lib", b"usr/lib"), file(b"one", b"linked")),
        layers.tar(file(b"lib/x", b"new"), link(b"same", b"one")))
TOP = layers.tar(file(b"top", b"t" * 300))


def touched(place: Path) -> Dict[str, Tuple[int, ...]]:
    """What writing anywhere in there would change."""
    return {str(path): (about.st_ino, about.st_mtime_ns, about.st_ctime_ns, about.st_nlink)
            for path in [place, *place.rglob("*")] for about in [path.lstat()]}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with two images, which is the site's from then on."""
    made = Store.open(tmp_path / "site")
    make_image(made, "base:1", BASE)
    if not made.images.own()[1:]:
        make_image(made, "both:1", *BOTH)
    before = touched(made.path)
    monkeypatch.setenv("LPMX_SITE_STORES", f"{tmp_path / 'absent'}:{made.path}")
    yield made
    assert before == touched(made.path)


@pytest.fixture
def user(site: Store, store: Path) -> Store:
    return Store.open(store)


def test_an_image_of_the_site_is_run_where_it_is(user: Store, site: Store, lpmx: Any) -> None:
    """A container of it has nothing in the user's store but what it changes."""
    lpmx("create", "--name", "work", "base:1", check=True)
    container = Container.open(user, "work")
    with container.view() as view:
        view.write("/etc/motd", b"changed\n")
        assert (b"changed\n", b"deep") == (view.read("/etc/motd"), view.read("/kept/deep"))

    assert ([], []) == (user.layers.list(), user.blobs.list())
    assert not list(user.indexes.directory.glob("*/*"))
    assert str(site.path) == user.images.find("base:1").place
    assert str(site.path) in str(container.spec().layers[0])


def test_grafts_of_the_site_are_used(user: Store) -> None:
    """What its index shows elsewhere than a layer has it."""
    container = Container.create(user, user.images.find("both:1"), options=Options(contain=True))

    with container.view() as view:
        assert (b"new", b"linked") == (view.read("/usr/lib/x"), view.read("/same"))


@pytest.fixture
def without_indexes(tmp_path: Path) -> None:
    """What is to be the site's store lacks them, or has those of another version."""
    made = Store.open(tmp_path / "site")
    image = make_image(made, "both:1", *BOTH)
    made.indexes.path(image.diff_ids).write_bytes(b"of another version")


def test_without_the_sites_index_one_is_made(without_indexes: None, user: Store) -> None:
    """In the user's store, its grafts copied and not linked: a link is a change over there."""
    container = Container.create(user, user.images.find("both:1"), options=Options(contain=True))

    with container.view() as view:
        assert (b"new", b"linked") == (view.read("/usr/lib/x"), view.read("/same"))
    assert 1 == len(list(user.indexes.directory.glob("*/*")))


def test_layers_of_the_site_are_not_fetched(user: Store, site: Store,
                                            small: SmallRegistry) -> None:
    """An image on top of one of the site's has only its own layer here."""
    small.image("a/b", "1", [BASE, TOP])

    image = pull(user, f"{small.address}/a/b:1")

    assert 2 == len(image.diff_ids)
    assert [image.diff_ids[1]] == user.layers.list()
    assert [site.path, user.path] == [
        next(place.path for place in (site, user) if place.path in
             user.layers.tree(diff_id).parents) for diff_id in image.diff_ids]
    assert [str(site.path), None] == [step.place for step in history(user, image)]
    assert [] == list(verify(user, content=True))
    assert b"".join(save(user, [f"{small.address}/a/b:1"]))


def test_the_users_image_goes_before_the_sites(user: Store, site: Store) -> None:
    """Of the same name; once it is removed, the site's shows again."""
    make_image(user, "base:1", TOP)

    assert user.images.find("base:1").place is None
    assert [None, str(site.path)] == [image.place for image in user.images.list()]
    remove_image(user, "base:1")

    assert str(site.path) == user.images.find("base:1").place
    assert [] == user.layers.list()


def test_nothing_of_the_site_can_be_removed(user: Store, site: Store) -> None:
    """By name or by collecting."""
    with pytest.raises(ImageInUse, match="only read from here") as caught:
        remove_image(user, "base:1")

    assert f"LPMX_STORE={site.path}" in (caught.value.hint or "")
    assert ([], []) == (collect(user).layers, collect(user).blobs)


def test_the_commands_say_where(user: Store, site: Store, lpmx: Any) -> None:
    """images, inspect, df and history."""
    make_image(user, "own:1", TOP)

    listed = lpmx("images", check=True).stdout.splitlines()
    inspected, = json.loads(lpmx("inspect", "base:1", check=True).stdout)
    used = json.loads(lpmx("df", "--json", check=True).stdout)

    assert listed[0].endswith("STORE") and [str(site.path), str(site.path), "yours"] == [
        line.split()[-1] for line in listed[1:]]
    assert (str(site.path), [str(site.path)]) == (
        inspected["store"], [step["store"] for step in inspected["steps"]])
    assert (["own:1"], 300) == ([image["name"] for image in used["images"]], used["layers"])
    assert [(str(site.path), 2)] == [(one["path"], one["images"]) for one in used["sites"]]
    assert usage(site).layers == used["sites"][0]["layers"]
    assert str(site.path) in lpmx("df", check=True).stdout
    assert "LAYER" in lpmx("history", "base:1", check=True).stdout


@pytest.mark.parametrize("part", ["images", "images/docker.io%2Flibrary%2Fbase%3A1.json",
                                  "blobs/sha256", "indexes/sha256", "layers/sha256"])
def test_what_of_the_site_is_closed_is_not_there(tmp_path: Path, store: Path, lpmx: Any, part: str,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made with a umask that shuts others out; what is the user's own can be used as ever."""
    site = Store.open(tmp_path / "site")
    make_image(site, "base:1", BASE)
    monkeypatch.setenv("LPMX_SITE_STORES", str(site.path))
    user = Store.open(store)
    make_image(user, "own:1", TOP)
    digest, = {image.config_digest for image in site.images.own()}
    before = (site.path / part).stat().st_mode
    (site.path / part).chmod(0)
    try:
        listed = lpmx("images", "-q", check=True).stdout.split()
        used = json.loads(lpmx("df", "--json", check=True).stdout)
        missing = lpmx("create", "missing:1")
        lpmx("create", "--name", "mine", "own:1", check=True)
        assert (part != "blobs/sha256") == user.blobs.has(digest)
    finally:
        (site.path / part).chmod(before)

    assert [*([] if part.startswith("images") else ["base:1"]), "own:1"] == listed
    assert [str(site.path)] == [one["path"] for one in used["sites"]]
    assert 'cannot find image "missing:1"' in missing.stderr


def test_a_sites_store_of_another_version(user: Store, site: Store, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told by its name."""
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer/version").write_text("lpmx store 999\n")
    monkeypatch.setenv("LPMX_SITE_STORES", str(tmp_path / "newer"))

    with pytest.raises(StoreError, match='newer": it is of version 999, made by a newer lpmx'):
        Store.open(user.path)


@pytest.mark.parametrize("value", ["relative/place", "~nobody-of-this-name/x"])
def test_a_place_that_is_none(store: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LPMX_SITE_STORES", value)

    with pytest.raises(InvalidSetting, match="not an absolute path"):
        Store.open(store)
