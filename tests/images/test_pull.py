"""Pulling images from registries that behave."""
from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any, Callable, List

import pytest
import zstandard
from support import layers, trees
from support.faulty_proxy import FaultyProxy
from support.loopback import Answer
from support.registry import Registry
from support.small_registry import OCI_MANIFEST, SmallRegistry, digest

from lpmx_runtime.errors import UnsupportedImage
from lpmx_runtime.image.pull import pull
from lpmx_runtime.progress import Event, TaskAdvanced, TaskFinished, TaskStarted
from lpmx_runtime.store import Store

TARS = [layers.tar(layers.directory(b"etc"), layers.file(b"etc/name", b"%d" % number))
        for number in range(3)]
HERE = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[os.uname().machine]
ELSEWHERE = "linux/s390x"


@pytest.fixture(scope="session")
def tiny(images: Any, registry: Registry) -> str:
    """A small real image in the real registry."""
    built = images.get("tiny")
    return registry.push(f"oci:{built.layout}:{built.reference}", "team/tiny")


# -- forms


@pytest.mark.parametrize("form, options", [
    ("oci", ["--format", "oci"]),
    ("schema2", ["--format", "v2s2"]),
    ("zstd", ["--format", "oci", "--dest-compress-format", "zstd"]),
])
def test_all_forms_of_an_image_are_the_same_image(images: Any, registry: Registry, tiny: str,
                                                  opened: Store, form: str,
                                                  options: List[str]) -> None:
    """OCI and Docker's schema 2, gzip and zstd: one tree, one diff ID."""
    built = images.get("tiny")
    reference = registry.push(f"oci:{built.layout}:{built.reference}", "team/forms", form, *options)

    image = pull(opened, reference)

    usual = pull(opened, tiny)
    assert usual.diff_ids == image.diff_ids
    assert "sh" == image.config["config"]["Cmd"][0]
    tree = opened.layers.tree(image.diff_ids[0])
    assert (tree / "bin/busybox").read_bytes() == Path("/bin/busybox").read_bytes()


def test_what_was_pulled_is_recorded(tiny: str, opened: Store) -> None:
    """Its name, digests, config and origin; found as typed and by its digest."""
    image = pull(opened, tiny)

    assert image == opened.images.find(tiny) == opened.images.find(image.digest[:20])
    assert (tiny, "pulled", False) == (image.name, image.origin, image.live)
    assert image.config_digest == json.loads(opened.blobs.open(image.digest).read())["config"]["digest"]
    assert image.config == json.loads(opened.blobs.open(image.config_digest).read())
    assert image.size > 1_000_000
    assert opened.indexes.path(image.diff_ids).is_file()


@pytest.mark.parametrize("pack, layer_type", [
    (lambda tar: tar, "application/vnd.oci.image.layer.v1.tar"),
    (gzip.compress, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    (zstandard.ZstdCompressor().compress, "application/vnd.oci.image.layer.v1.tar+zstd"),
    # The type is wrong, as some tools have written it.
    (zstandard.ZstdCompressor().compress, "application/vnd.oci.image.layer.v1.tar+gzip"),
    (lambda tar: b"".join(gzip.compress(tar[at:at + 512]) for at in range(0, len(tar), 512)),
     "application/vnd.oci.image.layer.v1.tar+gzip"),
])
def test_layers_may_be_compressed_or_not(small: SmallRegistry, opened: Store,
                                         pack: Callable[[bytes], bytes], layer_type: str) -> None:
    """Not at all, by gzip in one member or many, by zstd, and called something else."""
    small.image("a/b", "1", TARS, packed=[pack(tar) for tar in TARS], layer_type=layer_type)

    image = pull(opened, f"{small.address}/a/b:1")

    assert tuple(digest(tar) for tar in TARS) == image.diff_ids
    assert "2" == (opened.layers.tree(image.diff_ids[2]) / "etc/name").read_text()


def test_tar_without_an_end_and_without_padding(small: SmallRegistry, opened: Store) -> None:
    """As umoci writes it: the last member's content ends the stream."""
    tar = layers.header(b"f", size=3) + b"end"
    small.image("a/b", "1", [tar])

    image = pull(opened, f"{small.address}/a/b:1")

    assert "end" == (opened.layers.tree(image.diff_ids[0]) / "f").read_text()


def test_the_same_layer_twice_is_fetched_once(small: SmallRegistry, opened: Store) -> None:
    """Builders repeat empty layers."""
    small.image("a/b", "1", [TARS[0], TARS[1], TARS[0]])

    image = pull(opened, f"{small.address}/a/b:1")

    assert image.diff_ids[0] == image.diff_ids[2]
    assert 3 == len(small.seen(part="/blobs/"))  # two layers and the config


def test_an_image_without_layers(small: SmallRegistry, opened: Store) -> None:
    """`FROM scratch` alone is one."""
    small.image("a/b", "1", [])

    assert () == pull(opened, f"{small.address}/a/b:1").diff_ids


# -- names


def test_pull_by_digest(tiny: str, registry: Registry, opened: Store) -> None:
    """What the digest names, whatever the tag says by now."""
    digest_of_tiny = pull(opened, tiny).digest

    image = pull(opened, f"{registry.address}/team/tiny@{digest_of_tiny}")

    assert digest_of_tiny == image.digest
    assert f"{registry.address}/team/tiny@{digest_of_tiny}" == image.name


def test_a_digest_goes_before_a_tag(small: SmallRegistry, opened: Store) -> None:
    """With both given, the tag is a remark."""
    old = small.image("a/b", "1", TARS[:1])
    small.image("a/b", "1", TARS[1:2])

    image = pull(opened, f"{small.address}/a/b:1@{old['digest']}")

    assert old["digest"] == image.digest


def test_a_digest_of_sha512(small: SmallRegistry, opened: Store) -> None:
    """The other algorithm that the specification registers, for manifest and diff ID."""
    small.image("a/b", "1", TARS[:1], diff_ids=[digest(TARS[0], "sha512")])
    tagged = pull(opened, f"{small.address}/a/b:1")
    data = opened.blobs.open(tagged.digest).read()
    small.answers[f"/v2/a/b/manifests/{digest(data, 'sha512')}"] = Answer(
        200, {"Content-Type": OCI_MANIFEST}, data)

    image = pull(opened, f"{small.address}/a/b@{digest(data, 'sha512')}")

    assert tagged.diff_ids == image.diff_ids == (digest(TARS[0], "sha512"),)


# -- indexes


def test_of_an_index_the_image_for_this_machine_is_taken(small: SmallRegistry,
                                                         opened: Store) -> None:
    """Through an index in an index, past an attestation."""
    ours = small.image("a/b", "ours", TARS[:1], config={"architecture": HERE.split("/")[1]})
    other = small.image("a/b", "other", TARS[1:2], config={"architecture": "s390x"})
    inner = small.index("a/b", "inner", [(other, ELSEWHERE), (ours, HERE)])
    small.index("a/b", "1", [(other, "unknown/unknown"), (inner, None)])

    assert ours["digest"] == pull(opened, f"{small.address}/a/b:1").digest


def test_another_platform_on_request(small: SmallRegistry, opened: Store) -> None:
    """To look into, or for an emulator."""
    ours = small.image("a/b", "ours", TARS[:1], config={"architecture": HERE.split("/")[1]})
    other = small.image("a/b", "other", TARS[1:2], config={"architecture": "s390x"})
    small.index("a/b", "1", [(ours, HERE), (other, ELSEWHERE)])

    assert other["digest"] == pull(opened, f"{small.address}/a/b:1", platform=ELSEWHERE).digest


def test_platform_that_is_not_there(small: SmallRegistry, opened: Store,
                                    unchanged: Callable[[], None]) -> None:
    """The message names what was wanted, the hint what there is."""
    other = small.image("a/b", "other", TARS[1:2], config={"architecture": "s390x"})
    small.index("a/b", "1", [(other, ELSEWHERE), (other, "linux/ppc64le")])

    with pytest.raises(UnsupportedImage) as refused:
        pull(opened, f"{small.address}/a/b:1", platform=HERE)

    assert f'cannot pull "{small.address}/a/b:1": there is none for {HERE}' == refused.value.message
    assert "there is one for linux/ppc64le and linux/s390x" == refused.value.hint


def test_an_image_for_other_machines_is_refused(small: SmallRegistry, opened: Store,
                                                unchanged: Callable[[], None]) -> None:
    """Before its layers are fetched; the hint says how to have it all the same."""
    small.image("a/b", "1", TARS, config={"architecture": "s390x"})

    with pytest.raises(UnsupportedImage) as refused:
        pull(opened, f"{small.address}/a/b:1")

    assert "it is for linux/s390x, and wanted is one for linux/" in refused.value.message
    assert "--platform linux/s390x" in (refused.value.hint or "")
    assert 1 == len(small.seen(part="/blobs/"))


def test_a_real_index(images: Any, registry: Registry, opened: Store, tmp_path: Path) -> None:
    """Made of two real manifests and served by the real registry."""
    built = images.get("tiny")
    layout = tmp_path / "layout"
    subprocess.run(["cp", "-r", built.layout, layout], check=True)
    index = json.loads((layout / "index.json").read_bytes())
    entry = dict(index["manifests"][0], platform={"os": "linux", "architecture": HERE[6:]})
    other = dict(entry, platform={"os": "linux", "architecture": "s390x"})
    inner = json.dumps({"schemaVersion": 2, "manifests": [other, entry],
                        "mediaType": "application/vnd.oci.image.index.v1+json"}).encode()
    name = digest(inner)
    (layout / "blobs" / name.replace(":", "/")).write_bytes(inner)
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": name,
        "size": len(inner), "annotations": {"org.opencontainers.image.ref.name": "multi"}}]}))
    reference = registry.push(f"oci:{layout}:multi", "team/multi", "1", "--all")

    image = pull(opened, reference)

    assert entry["digest"] == image.digest


# -- what is there already


def test_layers_that_the_store_has_are_not_fetched(tiny: str, registry: Registry,
                                                   proxy: FaultyProxy, opened: Store) -> None:
    """Not even asked for."""
    pull(opened, tiny)
    before = {name: trees.digest(opened.layers.tree(name)) for name in opened.layers.list()}

    image = pull(opened, f"{proxy.address}/team/tiny:1")

    assert 1 == len(proxy.seen(part="/blobs/"))  # the config
    assert before == {name: trees.digest(opened.layers.tree(name)) for name in image.diff_ids}


def test_a_tag_that_moved_is_followed(small: SmallRegistry, opened: Store) -> None:
    """The name then means the new image; what only the old one needed is gone."""
    small.image("a/b", "1", TARS[:2])
    old = pull(opened, f"{small.address}/a/b:1")
    small.image("a/b", "1", TARS[1:])

    image = pull(opened, f"{small.address}/a/b:1")

    assert [image] == opened.images.list()
    assert tuple(map(digest, TARS[1:])) == image.diff_ids
    assert sorted(image.diff_ids) == opened.layers.list()
    assert not opened.blobs.has(old.digest)


# -- progress


def test_progress_is_told(small: SmallRegistry, opened: Store) -> None:
    """Each layer begins with its size, advances to it, and ends."""
    small.image("a/b", "1", TARS)
    events: List[Event] = []
    pull(opened, f"{small.address}/a/b:1", progress=events.append)

    for tar in TARS:
        size = len(gzip.compress(tar, mtime=0))
        told = [event for event in events if getattr(event, "task", "") == digest(tar)]
        assert isinstance(told[0], TaskStarted) and size == told[0].total
        assert isinstance(told[-1], TaskFinished)
        assert size == max(event.done for event in told if isinstance(event, TaskAdvanced))


def test_progress_tells_what_is_there_already(small: SmallRegistry, opened: Store) -> None:
    """Such a layer is done at once."""
    small.image("a/b", "1", TARS[:1])
    pull(opened, f"{small.address}/a/b:1")
    events: List[Event] = []

    pull(opened, f"{small.address}/a/b:1", progress=events.append)

    assert [TaskFinished(digest(TARS[0]), "already in the store")] == \
        [event for event in events if isinstance(event, TaskFinished)]


# -- the command


def test_the_pull_command(tiny: str, lpmx: Any) -> None:
    """Fetches, says what it does on standard error, and the image can be listed."""
    done = lpmx("pull", tiny, check=True)

    assert "layer" in done.stderr
    assert tiny in lpmx("images", check=True).stdout
