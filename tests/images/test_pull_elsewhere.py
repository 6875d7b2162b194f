"""Mirrors of registries, and layers that are elsewhere than their image."""
from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest
from support import layers
from support.loopback import Answer, Request, Server
from support.pulls import HASTY
from support.ports import free_port
from support.small_registry import SmallRegistry, digest

from lpmx_runtime.errors import InvalidSetting, LpmxError, NotFoundInRegistry, RegistryError
from lpmx_runtime.image.pull import pull
from lpmx_runtime.progress import Event, Note
from lpmx_runtime.store import Store

TARS = [layers.tar(layers.file(b"f", b"%d" % number)) for number in range(3)]
PACKED = [gzip.compress(tar, mtime=0) for tar in TARS]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Any], None]:
    """Write the user's settings file."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def write(value: Any) -> None:
        (tmp_path / "lpmx").mkdir(exist_ok=True)
        (tmp_path / "lpmx/config.json").write_text(json.dumps(value))

    return write


# -- mirrors


@pytest.fixture
def mirror() -> Iterator[SmallRegistry]:
    with SmallRegistry() as running:
        yield running  # type: ignore[misc]


def test_a_mirror_is_asked_first(small: SmallRegistry, mirror: SmallRegistry, opened: Store,
                                 settings: Callable[[Any], None]) -> None:
    """Its registry is not asked at all if it has everything."""
    for server in (small, mirror):
        server.image("a/b", "1", TARS)
    settings({"registry_mirrors": {small.address: [mirror.address]}})

    image = pull(opened, f"{small.address}/a/b:1", patience=HASTY)

    assert f"{small.address}/a/b:1" == image.name
    assert [] == small.requests
    assert 5 == len(mirror.requests)


def test_a_mirror_of_docker_hub_below_a_prefix(mirror: SmallRegistry, opened: Store,
                                               settings: Callable[[Any], None]) -> None:
    """As proxies of several registries have it; "library/" belongs to the name there."""
    mirror.image("hub/library/ubuntu", "18.04", TARS)
    settings({"registry_mirrors": {"docker.io": [f"http://{mirror.address}/hub"]}})

    image = pull(opened, "ubuntu:18.04", patience=HASTY)

    assert ("docker.io/library/ubuntu:18.04", "ubuntu:18.04") == (image.name, image.familiar)


@pytest.mark.parametrize("trouble", ["down", "empty", "damaged", "failing"])
def test_a_mirror_that_is_no_help_is_passed_over(small: SmallRegistry, mirror: SmallRegistry,
                                                 opened: Store, trouble: str,
                                                 settings: Callable[[Any], None]) -> None:
    """Whatever is wrong with it; what it brought whole is not fetched again."""
    for server in (small, mirror):
        server.image("a/b", "1", TARS)
    place = mirror.address
    if trouble == "down":
        place = f"127.0.0.1:{free_port()}"
    elif trouble == "empty":
        mirror._manifests.clear()
    elif trouble == "damaged":
        mirror.replace_blob(digest(PACKED[2]), bytes(len(PACKED[2])))
    else:
        mirror.answers["/v2/a/b/manifests/1"] = Answer(503)
    settings({"registry_mirrors": {small.address: [place]}})
    events: List[Event] = []

    image = pull(opened, f"{small.address}/a/b:1", patience=HASTY, progress=events.append)

    assert tuple(map(digest, TARS)) == image.diff_ids
    assert [f'mirror "{place}": '] == [event.text[:len(place) + 11] for event in events
                                       if isinstance(event, Note) and "next place" in event.text]
    if trouble != "damaged":
        assert 5 == len(small.requests)


def test_what_nobody_has_is_said_of_the_registry(small: SmallRegistry, mirror: SmallRegistry,
                                                 opened: Store, settings: Callable[[Any], None],
                                                 unchanged: Callable[[], None]) -> None:
    """The last word is that of the place that was named."""
    settings({"registry_mirrors": {small.address: [mirror.address]}})

    with pytest.raises(NotFoundInRegistry, match=small.address):
        pull(opened, f"{small.address}/a/b:1", patience=HASTY)


@pytest.mark.parametrize("value", [{"registry_mirrors": {"docker.io": "x"}},
                                   {"registry_mirrors": ["x"]},
                                   {"registry_mirrors": {"docker.io": [1]}},
                                   {"registry_mirrors": {"docker.io": ["ftp://x"]}},
                                   {"registry_mirrors": {"docker.io": ["http://"]}}])
def test_mirrors_that_make_no_sense(opened: Store, settings: Callable[[Any], None], value: Any,
                                    unchanged: Callable[[], None]) -> None:
    """The hint shows how to write one."""
    settings(value)

    with pytest.raises(InvalidSetting) as refused:
        pull(opened, "ubuntu:18.04", patience=HASTY)

    assert "mirror.example:5000" in (refused.value.hint or "")


# -- layers that may not be passed on


def foreign(small: SmallRegistry, urls: List[str]) -> None:
    """An image whose second layer is not in the registry but at `urls`."""
    def descriptor(number: int) -> Dict[str, Any]:
        return small.blob(PACKED[number], "application/vnd.oci.image.layer.v1.tar+gzip")

    second = dict(descriptor(1), urls=urls,
                  mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    del small._blobs[digest(PACKED[1])]
    config = small.blob(json.dumps({"rootfs": {"type": "layers", "diff_ids": list(
        map(digest, TARS))}}).encode(), "application/vnd.oci.image.config.v1+json")
    small.manifest("a/b", "1", {"schemaVersion": 2, "config": config,
                                "layers": [descriptor(0), second, descriptor(2)]})


@pytest.fixture
def vendor() -> Iterator[Server]:
    """A web server with that layer at /good, and another thing at /bad."""
    answers = {"/good": Answer(200, {}, PACKED[1]), "/bad": Answer(200, {}, PACKED[2])}

    def respond(request: Request) -> Answer:
        return answers.get(request.path, Answer(404))

    with Server(respond) as running:
        yield running


def test_a_foreign_layer_is_fetched_from_its_address(small: SmallRegistry, vendor: Server,
                                                     opened: Store) -> None:
    """The next one, where one is no longer there; never with a login."""
    foreign(small, [f"http://{vendor.address}/gone", f"http://{vendor.address}/good"])

    image = pull(opened, f"{small.address}/a/b:1", patience=HASTY)

    assert tuple(map(digest, TARS)) == image.diff_ids
    assert ["/gone", "/good"] == [request.path for request in vendor.requests]


@pytest.mark.parametrize("path, cause", [("/bad", "of layer "), ("/gone", "does not have layer ")])
def test_a_foreign_layer_is_verified_as_any_other(small: SmallRegistry, vendor: Server,
                                                  opened: Store, path: str, cause: str,
                                                  unchanged: Callable[[], None]) -> None:
    """What lies at the address now is not what the manifest meant."""
    foreign(small, [f"http://{vendor.address}{path}"])

    with pytest.raises(LpmxError, match=cause):
        pull(opened, f"{small.address}/a/b:1", patience=HASTY)


def test_a_foreign_layer_is_no_file_of_ours(small: SmallRegistry, opened: Store, tmp_path: Path,
                                            unchanged: Callable[[], None]) -> None:
    """An image does not get to read what is here."""
    (tmp_path / "layer").write_bytes(PACKED[1])
    foreign(small, [f"file://{tmp_path}/layer"])

    with pytest.raises(RegistryError, match="which is no address"):
        pull(opened, f"{small.address}/a/b:1", patience=HASTY)
