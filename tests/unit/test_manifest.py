"""Manifests, indexes and platforms: what is read, what is chosen, what is refused."""
from __future__ import annotations

import json
from typing import Any, Dict, Optional

import pytest

from lpmx_runtime.errors import ImageDamaged, LpmxError, UnsupportedImage
from lpmx_runtime.oci.manifest import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Index,
    Manifest,
    Platform,
    check_layers,
    choose,
    parse_manifest,
)

DIGEST = "sha256:" + "1" * 64
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def descriptor(media_type: str = LAYER, **fields: Any) -> Dict[str, Any]:
    return {"mediaType": media_type, "digest": DIGEST, "size": 5, **fields}


def manifest(**fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "config": descriptor(), "layers": [descriptor()],
                       **fields}).encode()


def index(*platforms: Optional[str], **fields: Any) -> Index:
    entries = []
    for number, platform in enumerate(platforms):
        entry = descriptor(OCI_MANIFEST, size=number)
        if platform is not None:
            entry["platform"] = dict(zip(("os", "architecture", "variant"), platform.split("/")))
        entries.append(entry)
    parsed = parse_manifest(json.dumps({"manifests": entries, **fields}).encode(), OCI_INDEX)
    assert isinstance(parsed, Index)
    return parsed


# -- reading


@pytest.mark.parametrize("stated, came", [
    (OCI_MANIFEST, OCI_MANIFEST), (DOCKER_MANIFEST, DOCKER_MANIFEST),
    (None, OCI_MANIFEST),                     # as umoci writes them
    (OCI_MANIFEST, ""), (None, ""),           # from a file
    (OCI_MANIFEST, "application/json"),       # as some registries serve them
    (OCI_MANIFEST, OCI_MANIFEST + "; charset=utf-8"),
])
def test_manifest_is_read_whoever_says_what_it_is(stated: Optional[str], came: str) -> None:
    """The media type may stand in it, be what it came as, or be absent."""
    fields = {} if stated is None else {"mediaType": stated}

    parsed = parse_manifest(manifest(**fields), came)

    assert isinstance(parsed, Manifest)
    assert [(LAYER, DIGEST, 5)] == [(layer.media_type, layer.digest, layer.size)
                                    for layer in parsed.layers]


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_INDEX, ""])
def test_index_is_read_whoever_says_what_it_is(media_type: str) -> None:
    """OCI's index, Docker's manifest list, and either without a name."""
    data = json.dumps({"manifests": [descriptor(OCI_MANIFEST)]}).encode()

    assert isinstance(parse_manifest(data, media_type), Index)


@pytest.mark.parametrize("data, media_type, cause", [
    (b"{", "", "it is not JSON"),
    (b"\xff", "", "it is not JSON"),
    (b"[" * 100_000, "", "it is nested too deeply"),
    (b"[]", "", "it is not a JSON object"),
    (manifest(manifests=[]), "", "it is a manifest and an index at once"),
    (manifest(mediaType=OCI_INDEX), OCI_MANIFEST, "it came as"),
    (manifest(layers={}), OCI_MANIFEST, "the manifest has no list of layers"),
    (b"{}", OCI_INDEX, "the index has no list of manifests"),
    (manifest(layers=["x"]), "", "a layer has no descriptor"),
    (manifest(config=None), "", "the config has no descriptor"),
    (manifest(layers=[descriptor(digest="sha256:../../x")]), "", "as its digest"),
    (manifest(layers=[descriptor(digest="md5:" + "0" * 32)]), "", "as its digest"),
    (manifest(layers=[descriptor(size=-1)]), "", "as its size"),
    (manifest(layers=[descriptor(size="5")]), "", "as its size"),
    (manifest(layers=[descriptor(size=True)]), "", "as its size"),
    (manifest(layers=[descriptor()] * 1025), "", "more than 1024 layers"),
])
def test_what_makes_no_sense_is_refused_with_the_reason(data: bytes, media_type: str,
                                                        cause: str) -> None:
    """No document, however odd, raises anything but `ImageDamaged`."""
    with pytest.raises(ImageDamaged) as refused:
        parse_manifest(data, media_type, failing='cannot pull "x"')

    assert refused.value.message.startswith('cannot pull "x": the manifest makes no sense: ') or \
        refused.value.message.startswith('cannot pull "x": it is n')
    assert cause in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("data, media_type", [
    (b'{"schemaVersion": 1, "fsLayers": []}', ""),
    (b'{"schemaVersion": 1}', "application/vnd.docker.distribution.manifest.v1+json"),
    (b'{"schemaVersion": 1}', "application/vnd.docker.distribution.manifest.v1+prettyjws"),
])
def test_schema_1_is_refused_with_the_reason(data: bytes, media_type: str) -> None:
    """The message says what the old format lacks, and the hint how to convert it."""
    with pytest.raises(UnsupportedImage) as refused:
        parse_manifest(data, media_type)

    assert "its manifest has schema 1" in refused.value.message
    assert "skopeo copy --format v2s2" in (refused.value.hint or "")


def test_something_else_than_an_image_is_refused() -> None:
    """A chart, a signature or a web page is no image."""
    with pytest.raises(UnsupportedImage, match='it is no image but "text/html"'):
        parse_manifest(b"{}", "text/html")


@pytest.mark.parametrize("media_type, accepted", [
    ("application/vnd.oci.image.layer.v1.tar", True),
    ("application/vnd.oci.image.layer.v1.tar+zstd", True),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", True),
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", True),
    ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", True),
    ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", False),
    ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", False),
    ("", False),
])
def test_layers_must_be_layers_of_a_file_system(media_type: str, accepted: bool) -> None:
    """What cannot be unpacked into a root file system is refused before it is fetched."""
    parsed = parse_manifest(manifest(layers=[descriptor(media_type)]))
    assert isinstance(parsed, Manifest)

    if accepted:
        check_layers(parsed, failing="cannot pull it")
    else:
        with pytest.raises(UnsupportedImage, match="cannot pull it: its? "):
            check_layers(parsed, failing="cannot pull it")


# -- platforms


@pytest.mark.parametrize("text, shown", [
    ("linux/amd64", "linux/amd64"), ("amd64", "linux/amd64"), ("x86_64", "linux/amd64"),
    ("linux/x86_64", "linux/amd64"), ("aarch64", "linux/arm64"), ("linux/arm64/v8", "linux/arm64"),
    ("linux/arm64/8", "linux/arm64"), ("armv7l", "linux/arm/v7"), ("linux/arm/7", "linux/arm/v7"),
    ("Linux/AMD64", "linux/amd64"), ("linux/amd64/v1", "linux/amd64"), ("ppc64el", "linux/ppc64le"),
    ("windows/amd64", "windows/amd64"),
])
def test_platform_has_one_spelling(text: str, shown: str) -> None:
    """Machines' names, Debian's names and plain variants mean the usual platforms."""
    assert shown == str(Platform.parse(text))


@pytest.mark.parametrize("text", ["", "/", "linux/", "a/b/c/d"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    """The hint shows one."""
    with pytest.raises(UnsupportedImage) as refused:
        Platform.parse(text)

    assert '"linux/amd64"' in (refused.value.hint or "")


@pytest.mark.parametrize("wanted, offered, chosen", [
    ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
    ("linux/arm64", ["linux/arm64/v8", "linux/amd64"], 0),
    ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm64"], 1),
    ("linux/arm/v7", ["linux/arm/v6", "linux/arm/v7"], 1),
    ("linux/arm/v7", ["linux/arm/v6", "linux/arm"], 1),
    ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], 1),
    ("linux/amd64", ["linux/amd64/v2", "linux/amd64"], 1),
    ("linux/amd64", ["unknown/unknown", None, "linux/amd64"], 2),
    ("linux/amd64", ["linux/arm64", None], 1),
    ("linux/amd64", ["linux/amd64", "linux/amd64"], 0),
])
def test_the_best_platform_of_an_index_is_chosen(wanted: str, offered: list[Optional[str]],
                                                 chosen: int) -> None:
    """The nearest variant that runs here, the first of equals, and one without platform at last."""
    assert chosen == choose(index(*offered), Platform.parse(wanted)).size


def test_platform_that_is_not_there_is_refused_with_those_that_are() -> None:
    """Attestations, which are for "unknown", are not offered."""
    offered = index("linux/arm64", "windows/amd64", "unknown/unknown")

    with pytest.raises(LpmxError) as refused:
        choose(offered, Platform.parse("linux/amd64"), failing='cannot pull "x"')

    assert 'cannot pull "x": there is none for linux/amd64' == refused.value.message
    assert "there is one for linux/arm64 and windows/amd64" == refused.value.hint


@pytest.mark.parametrize("offered, shown", [("linux/arm64", "linux/amd64"),
                                            ("linux/amd64/v4", "linux/amd64/v3")])
def test_the_variant_is_said_where_it_is_the_point(offered: str, shown: str) -> None:
    """Of this machine's platform, which has one without anybody having asked for it."""
    with pytest.raises(LpmxError) as refused:
        choose(index(offered), Platform.parse("linux/amd64/v3"), failing="cannot do it")

    assert f"cannot do it: there is none for {shown}" == refused.value.message


@pytest.mark.parametrize("wanted, offered", [
    ("linux/amd64", "linux/amd64/v2"), ("linux/arm/v6", "linux/arm/v7"),
    ("linux/arm64", "linux/arm/v7"), ("linux/amd64", "windows/amd64"),
    ("linux/amd64", "linux/amd64/special"),
])
def test_what_this_machine_cannot_run_does_not_fit(wanted: str, offered: str) -> None:
    """A newer variant, another architecture, another system."""
    assert Platform.parse(wanted).fit(Platform.parse(offered)) is None
