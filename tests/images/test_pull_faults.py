"""Pulling on bad days: what is got over, what is refused, and that the store stays as it was."""
from __future__ import annotations

import gzip
import json
import os
import random
import resource
import signal
import subprocess
import threading
import time
from typing import Any, Callable, List, Optional, Type

import pytest
from support import layers
from support.faulty_proxy import (
    Corrupt,
    Cut,
    Fault,
    FaultyProxy,
    IgnoreRange,
    Redirect,
    Reset,
    Rewrite,
    Stall,
    Status,
)
from support.loopback import Answer
from support.ports import free_port
from support.pulls import HASTY, snapshot
from support.registry import Registry
from support.small_registry import OCI_MANIFEST, SmallRegistry, digest

from lpmx_runtime.errors import (
    DigestMismatch,
    ImageDamaged,
    InvalidReference,
    LayerDamaged,
    LpmxError,
    NotFoundInRegistry,
    RegistryError,
    RegistryUnreachable,
    UnsafeMember,
    UnsupportedImage,
)
from lpmx_runtime.image.pull import pull
from lpmx_runtime.progress import Event, Note
from lpmx_runtime.registry.patience import Patience
from lpmx_runtime.store import Store

TARS = [layers.tar(layers.file(b"f", random.Random(seed).randbytes(200_000))) for seed in range(3)]
PACKED = [gzip.compress(tar, mtime=0) for tar in TARS]


@pytest.fixture(scope="session")
def tiny(images: Any, registry: Registry) -> str:
    """A small real image in the real registry; its layer has about a megabyte."""
    built = images.get("tiny")
    registry.push(f"oci:{built.layout}:{built.reference}", "team/tiny")
    return "team/tiny:1"


@pytest.fixture
def layer(images: Any) -> str:
    """The digest of that layer's blob: the largest of the image."""
    blobs = (images.get("tiny").layout / "blobs/sha256").iterdir()
    return "sha256:" + max(blobs, key=lambda blob: blob.stat().st_size).name


def refusal(opened: Store, reference: str, kind: Type[LpmxError], **options: Any) -> LpmxError:
    """The error that a pull raises, of this very type, with a hint and an exit code."""
    with pytest.raises(kind) as refused:
        pull(opened, reference, patience=HASTY, **options)
    assert kind is refused.type
    assert refused.value.hint
    assert 1 == refused.value.exit_code
    return refused.value


def ranges(proxy: Any) -> List[Optional[str]]:
    """The Range of each request for a blob but the config, which is small."""
    return [request.headers.get("range") for request in proxy.seen(part="/blobs/")]


# -- got over


@pytest.mark.parametrize("faults", [
    [Status(429, {"Retry-After": "0"})],
    [Status(503), Status(502), Status(504)],
    [Status(500)],
    [Reset()],
    [Status(429, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}), Reset(), Status(503)],
])
@pytest.mark.parametrize("part", ["/manifests/", "/blobs/"])
def test_what_passes_is_tried_again(tiny: str, proxy: FaultyProxy, opened: Store, part: str,
                                    faults: List[Fault]) -> None:
    """Too many requests, a registry that fails, a connection that ends."""
    proxy.fault(part, *faults)

    pull(opened, f"{proxy.address}/{tiny}", patience=HASTY)

    assert len(faults) < len(proxy.seen(part=part))


def test_the_pause_is_what_the_registry_asks_for(tiny: str, proxy: FaultyProxy,
                                                 opened: Store) -> None:
    """And is told."""
    proxy.fault("/manifests/", Status(429, {"Retry-After": "1"}))
    events: List[Event] = []
    start = time.monotonic()

    pull(opened, f"{proxy.address}/{tiny}", patience=HASTY, progress=events.append)

    assert time.monotonic() - start >= 1
    assert Note(f"{proxy.address}: 429 Too Many Requests; trying again in 1.0 s") in events


@pytest.mark.parametrize("fault", [Cut(100_000), Stall(100_000)])
def test_a_blob_goes_on_where_the_connection_broke(tiny: str, proxy: FaultyProxy, layer: str,
                                                   opened: Store, fault: Fault) -> None:
    """By Range: what has come is not sent again."""
    proxy.fault(layer, fault)

    pull(opened, f"{proxy.address}/{tiny}", patience=HASTY)

    first, second = (request.headers.get("range") for request in proxy.seen(part=layer))
    assert first is None
    assert second is not None and second.startswith("bytes=")
    assert 0 < int(second[6:].partition("-")[0]) <= 100_000


def test_a_blob_may_break_many_times(tiny: str, proxy: FaultyProxy, layer: str,
                                     opened: Store) -> None:
    """As long as each time brings something, no number of breaks is too many."""
    proxy.fault(layer, Cut(20_000), times=10)

    pull(opened, f"{proxy.address}/{tiny}", patience=HASTY)

    assert 11 == len(proxy.seen(part=layer))


def test_a_server_that_ignores_range_is_noticed(tiny: str, proxy: FaultyProxy, layer: str,
                                                opened: Store) -> None:
    """It sends everything again; what we have is read over, not taken twice."""
    proxy.fault(layer, Cut(100_000), IgnoreRange())

    pull(opened, f"{proxy.address}/{tiny}", patience=HASTY)

    assert 2 == len(proxy.seen(part=layer))


def test_a_registry_without_ranges(opened: Store) -> None:
    """Another registry's way: Range is no word it knows."""
    with SmallRegistry(ranges=False) as small, FaultyProxy(small.address) as proxy:
        small.image("a/b", "1", TARS)
        proxy.fault(digest(PACKED[1]), Cut(100_000), Cut(150_000))

        image = pull(opened, f"{proxy.address}/a/b:1", patience=HASTY)

    assert tuple(map(digest, TARS)) == image.diff_ids


def test_a_layer_that_was_damaged_on_the_way_is_fetched_again(tiny: str, proxy: FaultyProxy,
                                                              layer: str, opened: Store) -> None:
    """Once; the bad copy is not kept."""
    proxy.fault(layer, Corrupt(50_000))
    events: List[Event] = []

    pull(opened, f"{proxy.address}/{tiny}", patience=HASTY, progress=events.append)

    assert any(isinstance(event, Note) and "trying again" in event.text for event in events)
    assert [None, None] == [request.headers.get("range") for request in proxy.seen(part=layer)]


def test_a_redirect_is_followed(tiny: str, registry: Registry, proxy: FaultyProxy, layer: str,
                                opened: Store) -> None:
    """To another host name, as registries do whose blobs are elsewhere; also when it goes on."""
    with FaultyProxy(registry.address) as elsewhere:
        proxy.fault("/blobs/", Redirect(f"localhost:{elsewhere.port}"), times=10)
        elsewhere.fault(layer, Cut(100_000))

        pull(opened, f"{proxy.address}/{tiny}", patience=HASTY)

        assert 2 == len(elsewhere.seen(part=layer))
        assert 2 == len(proxy.seen(part=layer)), "addresses of elsewhere expire: ask again"


# -- given up


@pytest.mark.parametrize("text", ["", "Ubuntu", "docker://x", "a:b:c"])
def test_a_wrong_reference(opened: Store, unchanged: Callable[[], None], text: str) -> None:
    """Nothing is asked of anybody."""
    refused = refusal(opened, text, InvalidReference)

    assert f'cannot use "{text}" as the name of an image: ' in refused.message


def test_an_unknown_tag(tiny: str, registry: Registry, opened: Store,
                        unchanged: Callable[[], None]) -> None:
    """The hint has the tags that there are."""
    reference = f"{registry.address}/team/tiny:2"

    refused = refusal(opened, reference, NotFoundInRegistry)

    assert f'cannot pull "{reference}": the repository has no tag "2"' == refused.message
    assert '"1"' in (refused.hint or "")


def test_an_unknown_repository(registry: Registry, opened: Store,
                               unchanged: Callable[[], None]) -> None:
    """It is the repository that is not there, not the tag."""
    reference = f"{registry.address}/team/nothing:1"

    refused = refusal(opened, reference, NotFoundInRegistry)

    assert f'cannot pull "{reference}": the registry has no repository "team/nothing"' == \
        refused.message
    assert registry.address in (refused.hint or "")


def test_an_unknown_digest(tiny: str, registry: Registry, opened: Store,
                           unchanged: Callable[[], None]) -> None:
    """Named as what it is."""
    name = "sha256:" + "0" * 64

    refused = refusal(opened, f"{registry.address}/team/tiny@{name}", NotFoundInRegistry)

    assert f'the repository has no digest "{name}"' in refused.message


def test_a_registry_that_is_down(opened: Store, unchanged: Callable[[], None]) -> None:
    """Says where nothing listens, and soon."""
    address = f"127.0.0.1:{free_port()}"
    start = time.monotonic()

    refused = refusal(opened, f"{address}/a/b:1", RegistryUnreachable)

    assert (f'cannot pull "{address}/a/b:1": the registry at "{address}" cannot be reached, '
            "nothing listens there (connection refused)") == refused.message
    assert "check the name and the network" in (refused.hint or "")
    assert time.monotonic() - start < 5


def test_a_registry_of_no_known_name(opened: Store, unchanged: Callable[[], None]) -> None:
    """No such host is another thing than a host that is down."""
    refused = refusal(opened, "registry.invalid/a/b:1", RegistryUnreachable)

    assert 'the registry at "registry.invalid" cannot be reached, there is no host of that name' \
        in refused.message


@pytest.mark.parametrize("status, headers, cause, hint", [
    (429, {}, "the registry is asked too often (429 Too Many Requests)", "log in"),
    (429, {"Retry-After": "3600"}, "the registry is asked too often", "wait a while"),
    (503, {}, "the registry failed (503 Service Unavailable)", "try again later"),
    (418, {}, "(418 I'm a Teapot)", "is a registry"),
])
def test_a_registry_that_keeps_failing(tiny: str, proxy: FaultyProxy, opened: Store,
                                       unchanged: Callable[[], None], status: int, headers: Any,
                                       cause: str, hint: str) -> None:
    """There is an end to patience; a pause of an hour is none."""
    proxy.fault("/manifests/", Status(status, headers), times=100)

    refused = refusal(opened, f"{proxy.address}/{tiny}", RegistryError)

    assert f'cannot pull "{proxy.address}/{tiny}": ' in refused.message
    assert cause.lower() in refused.message.lower()
    assert hint in (refused.hint or "")
    assert len(proxy.requests) <= HASTY.attempts


def test_the_registrys_own_words_are_in_the_message(tiny: str, proxy: FaultyProxy, opened: Store,
                                                    unchanged: Callable[[], None]) -> None:
    """Without what could play tricks on a terminal."""
    body = json.dumps({"errors": [{"code": "DENIED", "message": "not\x1b[31m today\n"}]}).encode()
    proxy.fault("/manifests/", Status(400, {}, body), times=100)

    refused = refusal(opened, f"{proxy.address}/{tiny}", RegistryError)

    assert '"not [31m today"' in refused.message


@pytest.mark.parametrize("fault, cause", [
    (Cut(0), "the connection closed"), (Stall(0), "it stopped answering")])
def test_a_blob_that_never_gets_on(tiny: str, proxy: FaultyProxy, layer: str, opened: Store,
                                   unchanged: Callable[[], None], fault: Fault,
                                   cause: str) -> None:
    """How much had come, of how much, and why it ended."""
    proxy.fault(layer, Cut(100_000))
    proxy.fault(layer, fault, times=100)

    refused = refusal(opened, f"{proxy.address}/{tiny}", RegistryUnreachable)

    assert "got 97.7 KiB of" in refused.message
    assert f"of layer {layer[7:19]} before {cause}" in refused.message
    assert 1 + HASTY.attempts == len(proxy.seen(part=layer))


def test_a_web_page_is_no_registry(small: SmallRegistry, opened: Store,
                                   unchanged: Callable[[], None]) -> None:
    """As a gateway of a hotel answers."""
    small.answers["/v2/a/b/manifests/1"] = Answer(200, {"Content-Type": "text/html"}, b"<html>")

    refused = refusal(opened, f"{small.address}/a/b:1", RegistryError)

    assert f'what answers at "{small.address}" is no registry' in refused.message


# -- lies and damage


def test_a_manifest_that_is_not_what_its_digest_says(tiny: str, proxy: FaultyProxy, opened: Store,
                                                     unchanged: Callable[[], None]) -> None:
    """By tag, against what the registry itself says it is."""
    proxy.fault("/manifests/", Corrupt(20), times=100)

    refused = refusal(opened, f"{proxy.address}/{tiny}", DigestMismatch)

    assert f'cannot pull "{proxy.address}/{tiny}": the bytes of the manifest hash to sha256:' in \
        refused.message


def test_another_manifest_than_the_one_asked_for(small: SmallRegistry, opened: Store,
                                                 unchanged: Callable[[], None]) -> None:
    """By digest, whatever the registry says it is."""
    small.image("a/b", "other", TARS[:1])
    wanted = "sha256:" + "7" * 64
    data = b'{"layers": []}'
    small.answers[f"/v2/a/b/manifests/{wanted}"] = Answer(
        200, {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": wanted}, data)

    refused = refusal(opened, f"{small.address}/a/b@{wanted}", DigestMismatch)

    assert f"hash to {digest(data)}, not to {wanted}" in refused.message


def test_a_config_that_is_not_what_its_digest_says(small: SmallRegistry, opened: Store,
                                                   unchanged: Callable[[], None]) -> None:
    """It would say which layers to trust."""
    small.image("a/b", "1", TARS[:1])
    config = next(name for name in small._blobs if name != digest(PACKED[0]))
    small.replace_blob(config, small._blobs[config].replace(b"linux", b"Linux"))

    refused = refusal(opened, f"{small.address}/a/b:1", DigestMismatch)

    assert "the bytes of the image config hash to" in refused.message


@pytest.mark.parametrize("data, cause", [
    (PACKED[1][:-1] + b"\1", f"hash to {digest(PACKED[1][:-1] + bytes([1]))}"),
    (bytes(len(PACKED[1])), "hash to sha256:"),
    (PACKED[1][:-1000], f"the registry has {len(PACKED[1]) - 1000} bytes of layer "),
    (PACKED[1] + b"x", f"the registry has {len(PACKED[1]) + 1} bytes of layer "),
    (b"", "the registry has 0 bytes of layer "),
])
def test_a_layer_that_is_not_what_its_digest_says(small: SmallRegistry, opened: Store,
                                                  unchanged: Callable[[], None], data: bytes,
                                                  cause: str) -> None:
    """Changed, truncated, longer, empty. The other layers, good as they are, do not stay."""
    small.image("a/b", "1", TARS)
    small.replace_blob(digest(PACKED[1]), data)

    refused = refusal(opened, f"{small.address}/a/b:1", DigestMismatch)

    assert f'cannot pull "{small.address}/a/b:1": ' in refused.message
    assert cause in refused.message
    assert digest(PACKED[1])[7:19] in refused.message


def test_more_bytes_than_the_manifest_states(small: SmallRegistry, opened: Store,
                                             unchanged: Callable[[], None]) -> None:
    """Sent without saying how many, a registry could fill the disk."""
    small.image("a/b", "1", TARS)
    path = f"/v2/a/b/blobs/{digest(PACKED[1])}"
    small.answers[path] = Answer(200, {"Connection": "close"}, (bytes(65536) for _ in range(100)))

    refused = refusal(opened, f"{small.address}/a/b:1", DigestMismatch)

    assert "the registry sends more of layer" in refused.message


def test_another_part_than_the_one_asked_for(tiny: str, proxy: FaultyProxy, layer: str,
                                             opened: Store, unchanged: Callable[[], None]) -> None:
    """A gap in a layer would be found by its digest, but late."""
    proxy.fault(layer, Cut(100_000), Rewrite("Content-Range", "bytes 200000-300000/400000"))

    refused = refusal(opened, f"{proxy.address}/{tiny}", RegistryError)

    assert "another part of layer" in refused.message


def test_a_diff_id_that_is_not_the_layers(small: SmallRegistry, opened: Store,
                                          unchanged: Callable[[], None]) -> None:
    """The blob is right, and the config says it holds something else."""
    wrong = "sha256:" + "5" * 64
    small.image("a/b", "1", TARS, diff_ids=[digest(TARS[0]), wrong, digest(TARS[2])])

    refused = refusal(opened, f"{small.address}/a/b:1", DigestMismatch)

    assert wrong in refused.message
    assert digest(TARS[1]) in refused.message


@pytest.mark.parametrize("packed, kind, cause", [
    (gzip.compress(TARS[0])[:-1000], LayerDamaged, "the gzip data ends too early"),
    (gzip.compress(TARS[0][:100_000]), LayerDamaged, "its tar is cut short"),
    (b"\x1f\x8b" + bytes(100), LayerDamaged, "its compressed data is damaged"),
    (b"#!/bin/sh\n" * 100, LayerDamaged, "tar"),
    (gzip.compress(layers.tar(layers.file(b"../../x"))), UnsafeMember, '"../../x"'),
])
def test_a_layer_that_was_pushed_damaged(small: SmallRegistry, opened: Store,
                                         unchanged: Callable[[], None], packed: bytes,
                                         kind: Type[LpmxError], cause: str) -> None:
    """Its digest is right: it is the layer itself that makes no sense, or means harm."""
    small.image("a/b", "1", TARS[:2], packed=[PACKED[0], packed])

    refused = refusal(opened, f"{small.address}/a/b:1", kind)

    assert cause in refused.message


@pytest.mark.parametrize("value, kind, cause", [
    (b'{"schemaVersion": 1, "fsLayers": []}', UnsupportedImage, "its manifest has schema 1"),
    (b"{", ImageDamaged, "it is not JSON"),
    (b'{"layers": [], "config": {}}', ImageDamaged, "the config has"),
    (b'{"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}', UnsupportedImage,
     "there is none for linux/"),
    (b"[" * 100_000, ImageDamaged, "nested too deeply"),
    (b" " * (5 << 20), RegistryError, "the manifest has more than 4194304 bytes"),
])
def test_a_manifest_that_cannot_be_used(small: SmallRegistry, opened: Store,
                                        unchanged: Callable[[], None], value: bytes,
                                        kind: Type[LpmxError], cause: str) -> None:
    """Old, damaged, empty, endless."""
    small.manifest("a/b", "1", value, "application/json")

    refused = refusal(opened, f"{small.address}/a/b:1", kind)

    assert f'cannot pull "{small.address}/a/b:1": ' in refused.message
    assert cause in refused.message


def test_as_many_diff_ids_as_layers(small: SmallRegistry, opened: Store,
                                    unchanged: Callable[[], None]) -> None:
    """Which is which could not be told otherwise."""
    small.image("a/b", "1", TARS, diff_ids=[digest(TARS[0])])

    refused = refusal(opened, f"{small.address}/a/b:1", ImageDamaged)

    assert "the image config speaks of 1 layers, and the manifest of 3" in refused.message


def test_an_image_of_too_many_layers(small: SmallRegistry, opened: Store,
                                     unchanged: Callable[[], None]) -> None:
    """It is refused before any of them is fetched."""
    small.image("a/b", "1", [TARS[0]] * 300)

    refused = refusal(opened, f"{small.address}/a/b:1", UnsupportedImage)

    assert "it has 300 layers, and 255 are the most we handle" in refused.message
    assert 1 == len(small.seen(part="/blobs/"))  # the config


def test_a_blob_that_the_registry_lost(small: SmallRegistry, opened: Store,
                                       unchanged: Callable[[], None]) -> None:
    """Its manifest names it, and it is not there."""
    small.image("a/b", "1", TARS)
    del small._blobs[digest(PACKED[2])]

    refused = refusal(opened, f"{small.address}/a/b:1", NotFoundInRegistry)

    assert f"the registry does not have layer {digest(PACKED[2])[7:19]}" in refused.message


def test_indexes_that_lead_in_circles(small: SmallRegistry, opened: Store,
                                      unchanged: Callable[[], None]) -> None:
    """They cannot by digest, but may be deep."""
    entry = small.image("a/b", "1", TARS)
    for _ in range(10):
        entry = small.index("a/b", "deep", [(entry, None)])

    refused = refusal(opened, f"{small.address}/a/b:deep", ImageDamaged)

    assert "its indexes are nested more than 4 deep" in refused.message


@pytest.mark.parametrize("location, cause", [
    ("/v2/a/b/manifests/1", "the registry redirects for ever"),
    ("file:///etc/passwd", 'redirects to "file:///etc/passwd", which is no address'),
    ("http://host:99999999/", "which is no address"),
])
def test_a_redirect_that_leads_nowhere(small: SmallRegistry, opened: Store,
                                       unchanged: Callable[[], None], location: str,
                                       cause: str) -> None:
    """Round and round, or to what is no registry."""
    small.answers["/v2/a/b/manifests/1"] = Answer(302, {"Location": location})

    refused = refusal(opened, f"{small.address}/a/b:1", RegistryError)

    assert cause in refused.message


# -- the store's own trouble


def test_a_disk_that_takes_no_more(tiny: str, registry: Registry, opened: Store, lpmx: Any,
                                   unchanged: Callable[[], None]) -> None:
    """Half a megabyte is all that a file may have here, and the layer's program has more."""
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))

    done = lpmx("pull", f"{registry.address}/{tiny}", preexec_fn=limit)

    assert 1 == done.returncode
    assert "lpmx: cannot store layer sha256:" in done.stderr
    assert "file too large" in done.stderr
    assert "\nhint: " in done.stderr


def test_a_store_that_cannot_be_written(tiny: str, registry: Registry, opened: Store, lpmx: Any,
                                        unchanged: Callable[[], None]) -> None:
    """Somebody else's, for example."""
    layers_directory = opened.path / "layers" / "sha256"
    layers_directory.chmod(0o555)
    try:
        done = lpmx("pull", f"{registry.address}/{tiny}")
    finally:
        layers_directory.chmod(0o755)

    assert 1 == done.returncode
    assert "lpmx: cannot store layer sha256:" in done.stderr
    assert "permission denied" in done.stderr
    assert "\nhint: " in done.stderr


# -- ended by the user


def test_an_interrupted_pull_leaves_the_store_as_it_was(proxy: FaultyProxy, tiny: str, layer: str,
                                                        installed: Any, opened: Store,
                                                        unchanged: Callable[[], None]) -> None:
    """Ctrl-C in the middle of a layer that has stopped coming ends it at once."""
    proxy.fault(layer, Stall(100_000))
    process = subprocess.Popen([installed.lpmx, "pull", f"{proxy.address}/{tiny}"],
                               env={**os.environ, "LPMX_STORE": str(opened.path)},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               # who runs the tests in the background ignores Ctrl-C
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    _wait_for(lambda: any((opened.path / "tmp").glob("*/layer")))
    start = time.monotonic()

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert 130 == process.returncode
    assert time.monotonic() - start < 9, "it did not wait for the network"
    assert "Traceback" not in said


def test_one_failure_ends_the_other_layers(small: SmallRegistry, opened: Store,
                                           unchanged: Callable[[], None]) -> None:
    """A layer that stalls does not hold up the news about another."""
    small.image("a/b", "1", TARS)
    small.replace_blob(digest(PACKED[1]), os.urandom(len(PACKED[1])))
    with FaultyProxy(small.address) as proxy:
        proxy.fault(digest(PACKED[0]), Stall(1000), times=100)
        start = time.monotonic()

        with pytest.raises(DigestMismatch):
            pull(opened, f"{proxy.address}/a/b:1", patience=Patience(read=60, first_pause=0.01))

        assert time.monotonic() - start < 20
    assert [] == [thread.name for thread in threading.enumerate()
                  if thread.name.startswith("lpmx-")]


def test_an_image_of_the_same_name_stays(small: SmallRegistry, opened: Store) -> None:
    """A pull that fails does not take away what the name meant before."""
    small.image("a/b", "1", TARS[:1])
    image = pull(opened, f"{small.address}/a/b:1")
    small.image("a/b", "1", TARS[1:])
    small.replace_blob(digest(PACKED[2]), os.urandom(len(PACKED[2])))
    before = snapshot(opened.path)

    refusal(opened, f"{small.address}/a/b:1", DigestMismatch)

    assert before == snapshot(opened.path)
    assert image == opened.images.find(f"{small.address}/a/b:1")


def test_two_pulls_at_once_share_their_layers(small: SmallRegistry, opened: Store) -> None:
    """Both succeed, and one's failure would not take the other's layers."""
    small.image("a/b", "1", TARS)
    small.image("a/c", "1", TARS + [layers.tar(layers.file(b"more"))])
    found: List[Any] = []
    threads = [threading.Thread(target=lambda name=name: found.append(
        pull(opened, f"{small.address}/a/{name}:1"))) for name in "bcbc"]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 4 == len(found)
    assert 4 == len(opened.layers.list())
    assert 2 == len(opened.images.list())


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_messages_reach_the_user(registry: Registry, tiny: str, lpmx: Any) -> None:
    """Two lines on standard error, the cause and the hint, and exit code 1."""
    done = lpmx("pull", f"{registry.address}/team/tiny:nope")

    assert 1 == done.returncode
    assert (f'lpmx: cannot pull "{registry.address}/team/tiny:nope": the repository has no tag '
            '"nope"\nhint: it has "1"') in done.stderr
    assert "" == done.stdout
