"""Images that are pushed are pulled again as they were, from a real registry and another one."""
from __future__ import annotations

import base64
import json
import random
import subprocess
from pathlib import Path
from typing import Any, List, Optional

import pytest
from support import layers
from support.faulty_proxy import Fault, FaultyProxy, Lost, Reset, Shortened, Status
from support.layers import file
from support.loopback import Answer
from support.made import make_image
from support.pulls import HASTY
from support.registry import Registry
from support.small_registry import Access, SmallRegistry

from lpmx_runtime.errors import (
    InvalidReference,
    LpmxError,
    RegistryError,
    RegistryUnreachable,
    StoreDamaged,
    Unauthorized,
    UnsupportedImage,
)
from lpmx_runtime.image.pull import pull
from lpmx_runtime.image.push import COMPRESSIONS, Pushed
from lpmx_runtime.image.push import push as push_in_library
from lpmx_runtime.oci.reference import Reference
from lpmx_runtime.progress import Event, TaskFinished
from lpmx_runtime.registry import upload
from lpmx_runtime.registry.client import Repository
from lpmx_runtime.store import Image, Store

SMALL = layers.tar(file(b"small", b"content"))
LARGE = layers.tar(file(b"large", random.Random(7).randbytes(400_000)))
CHUNK = 100_000


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test needs no large layers."""
    monkeypatch.setattr(upload, "CHUNK", CHUNK)
    monkeypatch.setattr(upload._Session, "chunk", CHUNK)
    monkeypatch.setattr(upload._Session.__init__, "__defaults__", (0, CHUNK, False))


def push(store: Store, *arguments: str, **options: Any) -> Pushed:
    return push_in_library(store, *arguments, patience=HASTY, **options)


def made(store: Store, name: str = "made:1") -> Image:
    return make_image(store, name, SMALL, LARGE, config={"Cmd": ["sh"]})


def pulled(tmp_path: Path, reference: str) -> Image:
    return pull(Store.open(tmp_path / "other"), reference, patience=HASTY)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_pushed_image_is_pulled_the_same(opened: Store, registry: Registry, tmp_path: Path,
                                         compression: str) -> None:
    """From the real registry: the digest that push told, the config, the layers."""
    image = made(opened)
    reference = registry.reference(f"push/{compression}")

    pushed = push(opened, "made:1", reference, compression=compression)

    found = pulled(tmp_path, reference)
    assert (pushed.digest, image.config_digest, image.diff_ids) == \
        (found.digest, found.config_digest, found.diff_ids)


def test_a_registry_of_another_make_takes_it_too(opened: Store, small: SmallRegistry,
                                                 tmp_path: Path) -> None:
    """With relative locations that have a query of their own."""
    made(opened)

    pushed = push(opened, "made:1", f"{small.address}/a/b:1")

    assert pushed.digest == pulled(tmp_path, f"{small.address}/a/b:1").digest
    assert len(small.seen("PATCH")) > 1, "the large layer goes in chunks"


def test_skopeo_reads_what_was_pushed(opened: Store, registry: Registry, tmp_path: Path) -> None:
    """Verifying every blob."""
    made(opened)
    pushed = push(opened, "made:1", registry.reference("push/skopeo"))

    subprocess.run(["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false",
                    f"docker://{pushed.reference}", f"oci:{tmp_path / 'layout'}:1"], check=True,
                   stdout=subprocess.DEVNULL)


def test_second_push_sends_nothing_but_the_manifest(opened: Store, small: SmallRegistry) -> None:
    """And comes to the same digest, of an image under its own name and under another one."""
    made(opened, f"{small.address}/own:1")
    first = [push(opened, f"{small.address}/own:1"),
             push(opened, f"{small.address}/own:1", f"{small.address}/other:1")]
    sent = len(small.seen("POST"))

    second = [push(opened, f"{small.address}/own:1"),
              push(opened, f"{small.address}/own:1", f"{small.address}/other:1")]

    assert first == second
    assert sent == len(small.seen("POST"))


def test_push_under_the_own_name_records_the_digest(opened: Store, small: SmallRegistry) -> None:
    """So that the store and the registry speak of one thing; a later pull finds it there."""
    name = f"{small.address}/own:1"
    made(opened, name)

    pushed = push(opened, name)

    assert pushed.digest == opened.images.find(name).digest
    assert pushed.digest == pull(opened, name, patience=HASTY).digest


def test_pulled_image_keeps_its_digest_where_its_blobs_are(opened: Store,
                                                           small: SmallRegistry) -> None:
    """Another tag of the same repository is the same manifest, and so is a repository that
    takes the blobs over."""
    made(opened, f"{small.address}/first:1")
    digest = push(opened, f"{small.address}/first:1").digest
    uploads = len(small.seen("PATCH")) + len(small.seen("PUT", "/uploads/"))

    again = push(opened, f"{small.address}/first:1", f"{small.address}/first:2")
    elsewhere = push(opened, f"{small.address}/first:1", f"{small.address}/second:1")

    assert digest == again.digest == elsewhere.digest
    # all but the config, whose place nobody remembers
    assert uploads + 1 == len(small.seen("PATCH")) + len(small.seen("PUT", "/uploads/"))
    assert {"from=first"} == {word for request in small.seen("POST", "mount=")
                              for word in request.path.split("&") if "from" in word}


def test_blobs_are_taken_over_in_the_real_registry(opened: Store, registry: Registry) -> None:
    """By a mount across repositories."""
    made(opened, registry.reference("push/source"))
    push(opened, registry.reference("push/source"))
    told: List[Event] = []

    push(opened, registry.reference("push/source"), registry.reference("push/target"),
         progress=told.append)

    assert 2 == sum(isinstance(event, TaskFinished) and event.note == 'taken from "push/source"'
                    for event in told)


@pytest.mark.parametrize("faults", [
    [("POST", Status(503))], [("POST", Reset())], [("POST", Lost()), ("POST", Status(502))],
    [("PATCH", Status(500))], [("PATCH", Lost())], [("PATCH", Reset())],
    [("PATCH", Shortened(CHUNK // 3))], [("PATCH", Shortened(1000)), ("PATCH", Reset())],
    [("PUT", Status(503))], [("PUT", Lost())], [("PUT", Reset())],
    [("HEAD", Status(429, {"Retry-After": "0"}))], [("PATCH", Status(404))], [("PUT", Status(404))],
    [("PATCH", Status(416))], [("GET", Status(500)), ("PATCH", Lost()), ("GET", Reset())],
], ids=str)
def test_what_passes_is_got_over(opened: Store, proxy: FaultyProxy, tmp_path: Path,
                                 faults: List[Any], request: Any) -> None:
    """Answers and requests that get lost, half a chunk, an upload that is forgotten."""
    made(opened)
    for method, fault in faults:
        proxy.fault("/blobs/", fault, method=method)
    number = abs(hash(request.node.name)) % 10 ** 9

    pushed = push(opened, "made:1", f"{proxy.address}/push/faults{number}:1")

    assert pushed.digest == pulled(tmp_path, f"{proxy.address}/push/faults{number}:1").digest


def test_what_has_arrived_is_not_sent_again(opened: Store, small: SmallRegistry) -> None:
    """After a chunk that broke off the rest follows, where the registry remembers. (The real
    one does not: its locations say how much it had.)"""
    made(opened)
    with FaultyProxy(small.address) as proxy:
        proxy.fault("/uploads/", Shortened(30_000), method="PATCH")

        push(opened, "made:1", f"{proxy.address}/push/rest:1")

        starts = [request.headers["content-range"].partition("-")[0]
                  for request in proxy.seen("PATCH")]
    assert ["0", "30000", "130000"] == starts[:3]


@pytest.mark.parametrize("fault", [Status(503), Lost(), Reset(), Status(404)], ids=str)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_patience_ends(opened: Store, proxy: FaultyProxy, method: str, fault: Fault) -> None:
    """With a message and a hint; nothing is in the registry under the tag."""
    made(opened)
    proxy.fault("/uploads/", fault, times=1000, method=method)
    name = f"{proxy.address}/push/never-{method.lower()}:1"

    with pytest.raises(RegistryError) as refused:
        push(opened, "made:1", name)

    assert f'cannot push "made:1" to "{name}"' in refused.value.message
    assert refused.value.hint
    assert not proxy.seen("PUT", "/manifests/")


@pytest.mark.parametrize("scheme", [None, "bearer", "basic"])
def test_registry_that_takes_no_chunks(opened: Store, scheme: Optional[str], tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets each blob in one piece, and one push asks it only once to take chunks."""
    made(opened)
    make_image(opened, "made:2", layers.tar(file(b"x", random.Random(8).randbytes(300_000))))
    with SmallRegistry(scheme and Access(scheme, {"alice": "s3cret"}), chunks=False) as small:
        keep_login(small, tmp_path, monkeypatch)

        for name in ("made:1", "made:2"):
            pushed = push(opened, name, f"{small.address}/{name}")
            assert pushed.digest == pulled(tmp_path, f"{small.address}/{name}").digest

        assert 2 == len(small.seen("PATCH"))


@pytest.mark.parametrize("fault", [Status(503), Lost(), Reset(), Shortened(150_000)], ids=str)
def test_a_blob_in_one_piece_that_gets_lost(opened: Store, tmp_path: Path, fault: Fault) -> None:
    """Is sent again, all of it."""
    made(opened)
    with SmallRegistry(chunks=False) as small, FaultyProxy(small.address) as proxy:
        proxy.fault("/uploads/", fault, method="PUT")

        pushed = push(opened, "made:1", f"{proxy.address}/a:1")

        assert pushed.digest == pulled(tmp_path, f"{proxy.address}/a:1").digest


def keep_login(small: SmallRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login = base64.b64encode(b"alice:s3cret").decode()
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {small.address: {"auth": login}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))


@pytest.mark.parametrize("scheme", ["bearer", "basic"])
def test_login_is_used(opened: Store, scheme: str, tmp_path: Path,
                       monkeypatch: pytest.MonkeyPatch) -> None:
    """In every form that the registry asks for; tokens are for pushing."""
    made(opened)
    with SmallRegistry(Access(scheme, {"alice": "s3cret"})) as small:
        reference = f"{small.address}/private:1"
        with pytest.raises(Unauthorized):
            push(opened, "made:1", reference)
        keep_login(small, tmp_path, monkeypatch)

        pushed = push(opened, "made:1", reference)

        assert pushed.digest == pulled(tmp_path, reference).digest


def test_token_that_expires_midway_is_renewed(
        opened: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also between two chunks. One request after the other, or a token that one layer's upload
    has just got may expire by another's."""
    monkeypatch.setattr("lpmx_runtime.image.push._WORKERS", 1)
    made(opened)
    with SmallRegistry(Access(expiring=(3, 7, 12, 18))) as small:
        pushed = push(opened, "made:1", f"{small.address}/a:1")

        assert len(small.seen("GET", "/token")) > 4
    assert pushed.digest


def test_refusal_of_the_registry_is_told(opened: Store, small: SmallRegistry) -> None:
    """With its own words."""
    made(opened)
    small.answers["/v2/a/blobs/uploads/"] = Answer(403, {}, b'{"errors": [{"code": "DENIED", '
                                                            b'"message": "read only"}]}')

    with pytest.raises(Unauthorized, match='403 Forbidden, "read only"') as refused:
        push(opened, "made:1", f"{small.address}/a:1")

    assert "lpmx login" in (refused.value.hint or "")


@pytest.mark.parametrize("arguments, kind, cause", [
    (["host"], UnsupportedImage, "this machine itself"),
    (["made:1", "x@sha256:" + "0" * 64], InvalidReference, "what has a digest"),
    (["made:1", "X"], InvalidReference, "lower case"),
    (["nobody"], LpmxError, "not in the store"),
    (["made:1", "127.0.0.1:1/a:1"], RegistryUnreachable, "connection refused"),
])
def test_bad_input_is_told(opened: Store, arguments: List[str], kind: type, cause: str) -> None:
    """Before anything is sent."""
    made(opened)

    with pytest.raises(kind, match=cause) as refused:
        push(opened, *arguments)

    assert refused.value.hint  # type: ignore[attr-defined]


def test_damaged_layer_is_not_pushed(opened: Store, small: SmallRegistry) -> None:
    """What is not the layer any more must not spread."""
    image = made(opened)
    damaged = opened.layers.tree(image.diff_ids[0]) / "small"
    damaged.chmod(0o600)
    damaged.write_bytes(b"CONTENT")

    with pytest.raises(StoreDamaged, match="not what they were"):
        push(opened, "made:1", f"{small.address}/a:1")

    assert not small.seen("PUT", "/manifests/")


def test_tags_come_page_by_page(registry: Registry) -> None:
    """All of them, sorted."""
    with SmallRegistry(page=3) as small:
        for number in range(10):
            small.image("a/b", f"v{number}", [SMALL])
        with Repository(Reference.parse(f"{small.address}/a/b"), failing="cannot") as repository:
            assert [f"v{number}" for number in range(10)] == repository.all_tags()
        assert 4 == len(small.seen("GET", "/tags/list"))


def test_the_commands(opened: Store, registry: Registry, lpmx: Any) -> None:
    """push and tags as people use them."""
    image = made(opened)
    for tag in ("1", "2"):
        digest = lpmx("push", "-q", "made:1", registry.reference("push/cli", tag),
                      check=True).stdout.strip()
    told = json.loads(lpmx("push", "--json", "made:1", registry.reference("push/cli", "3"),
                           check=True).stdout)

    assert {"reference": registry.reference("push/cli", "3"), "digest": digest} == told
    assert "1\n2\n3\n" == lpmx("tags", f"{registry.address}/push/cli", check=True).stdout
    assert ["1", "2", "3"] == json.loads(
        lpmx("tags", "--json", f"{registry.address}/push/cli", check=True).stdout)
    missing = lpmx("tags", f"{registry.address}/push/nothing")
    assert 1 == missing.returncode and 'no repository "push/nothing"' in missing.stderr
    assert image.config_digest
