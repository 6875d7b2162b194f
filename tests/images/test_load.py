"""Loading images from files, as real tools write them and as no tool should."""
from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Type

import pytest
import zstandard
from support import layers
from support.small_registry import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, digest

from lpmx_runtime.errors import (
    ArchiveDamaged,
    DigestMismatch,
    ImageDamaged,
    InvalidReference,
    LayerDamaged,
    LpmxError,
    UnsupportedImage,
)
from lpmx_runtime.image.archive import load
from lpmx_runtime.store import Store

TARS = [layers.tar(layers.directory(b"etc"), layers.file(b"etc/name", b"%d" % number))
        for number in range(3)]
HERE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]

Files = Dict[str, bytes]


def config(tars: List[bytes], architecture: str = HERE) -> bytes:
    return json.dumps({"architecture": architecture, "os": "linux", "config": {"Cmd": ["sh"]},
                       "rootfs": {"type": "layers", "diff_ids": list(map(digest, tars))}}).encode()


def write(path: Path, files: Mapping[str, Any]) -> Path:
    """A tar of these files; a value (TYPE, TARGET) is a link."""
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(data, tuple):
                member.type, member.linkname = data
                tar.addfile(member)
            else:
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path


def docker_archive(*tags: str, tars: List[bytes] = TARS, **changes: Any) -> Dict[str, Any]:
    """As new versions of `docker save` write it."""
    entry = {"Config": "c.json", "RepoTags": list(tags) or None,
             "Layers": [f"{number}/layer.tar" for number in range(len(tars))]}
    return {"c.json": config(tars), **{f"{n}/layer.tar": tar for n, tar in enumerate(tars)},
            "manifest.json": json.dumps([{**entry, **changes}]).encode()}


class Layout:
    """An OCI layout, file by file."""

    def __init__(self) -> None:
        self.files: Files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def blob(self, data: bytes, media_type: str, **fields: Any) -> Dict[str, Any]:
        self.files["blobs/" + digest(data).replace(":", "/")] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data), **fields}

    def image(self, tars: List[bytes], architecture: str = HERE, *,
              pack: Callable[[bytes], bytes] = gzip.compress, **fields: Any) -> Dict[str, Any]:
        return self.blob(json.dumps({
            "schemaVersion": 2,
            "config": self.blob(config(tars, architecture), OCI_CONFIG),
            "layers": [self.blob(pack(tar), OCI_LAYER + "+gzip") for tar in tars],
        }).encode(), OCI_MANIFEST, **fields)

    def index(self, *entries: Mapping[str, Any]) -> Files:
        self.files["index.json"] = json.dumps(
            {"schemaVersion": 2, "manifests": list(entries)}).encode()
        return self.files


def named(name: str, key: str = "org.opencontainers.image.ref.name") -> Dict[str, Any]:
    return {"annotations": {key: name}}


# -- real files


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_archives_of_real_tools(images: Any, opened: Store, form: str) -> None:
    """Names, config and content as the image had them."""
    image, = load(opened, images.archive("tiny", form))

    assert "docker.io/lpmx-test/tiny:1" == image.name
    assert ("loaded", ["sh"]) == (image.origin, image.config["config"]["Cmd"])
    assert image == opened.images.find("lpmx-test/tiny:1")
    tree = opened.layers.tree(image.diff_ids[0])
    assert (tree / "bin/busybox").read_bytes() == Path("/bin/busybox").read_bytes()


def test_a_layout_of_a_real_tool(images: Any, opened: Store) -> None:
    """The directory itself; its manifest keeps its digest."""
    built = images.get("tiny")

    image, = load(opened, built.layout)

    index = json.loads((built.layout / "index.json").read_bytes())
    assert index["manifests"][0]["digest"] == image.digest
    assert built.reference == image.familiar


def test_an_archive_from_before_docker_1_10(images: Any, opened: Store, tmp_path: Path) -> None:
    """What skopeo writes for such old versions, without what it writes for the others."""
    path = tmp_path / "old.tar"
    with tarfile.open(images.archive("layered", "docker-archive")) as new, \
            tarfile.open(path, "w") as old:
        for member in new:
            if member.name != "manifest.json":
                old.addfile(member, new.extractfile(member) if member.isreg() else None)

    image, = load(opened, path)

    usual, = load(opened, images.archive("layered", "docker-archive"))
    assert usual.diff_ids == image.diff_ids
    assert "lpmx-test/layered:1" == image.familiar
    assert ["world"] == image.config["config"]["Cmd"]


@pytest.mark.parametrize("suffix, compress", [
    ("gz", gzip.compress), ("zst", zstandard.ZstdCompressor().compress),
    ("xz", lzma.compress), ("bz2", bz2.compress)])
def test_the_archive_may_be_compressed(images: Any, opened: Store, tmp_path: Path, suffix: str,
                                       compress: Callable[[bytes], bytes]) -> None:
    """Whatever it is called."""
    for name in (f"image.tar.{suffix}", "image"):
        path = tmp_path / name
        path.write_bytes(compress(images.archive("tiny", "docker-archive").read_bytes()))

        assert ["lpmx-test/tiny:1"] == [image.familiar for image in load(opened, path)]


def test_from_standard_input(images: Any, lpmx: Any) -> None:
    """`docker save IMAGE | lpmx load -`; the name is printed."""
    with open(images.archive("tiny", "docker-archive"), "rb") as archive:
        done = lpmx("load", "-", stdin=archive, check=True)

    assert "lpmx-test/tiny:1" in done.stdout
    assert "lpmx-test/tiny:1" in lpmx("images", check=True).stdout


def test_zstd_layers_in_a_layout(images: Any, opened: Store, tmp_path: Path) -> None:
    """As skopeo compresses them."""
    built = images.get("tiny")
    subprocess.run(["skopeo", "copy", "-q", "--dest-compress", "--dest-compress-format", "zstd",
                    f"oci:{built.layout}:{built.reference}", f"oci:{tmp_path}/z:v1"], check=True)

    image, = load(opened, tmp_path / "z")

    assert "z:v1" == image.familiar
    assert load(opened, built.layout)[0].diff_ids == image.diff_ids


@pytest.mark.parametrize("compress, suffix", [(None, ""), (gzip.compress, ".gz")])
def test_a_root_file_system(images: Any, opened: Store, tmp_path: Path, suffix: str,
                            compress: Optional[Callable[[bytes], bytes]]) -> None:
    """What mmdebstrap or `docker export` gives is an image of one layer."""
    data = images.get("tiny").tar.read_bytes()
    path = tmp_path / f"My root.tar{suffix}"
    path.write_bytes(compress(data) if compress else data)

    image, = load(opened, path)

    assert ("my-root:latest", (digest(data),)) == (image.familiar, image.diff_ids)
    assert ["/bin/sh"] == image.config["config"]["Cmd"]
    manifest = json.loads(opened.blobs.open(image.digest).read())
    assert [(digest(data), len(data))] == \
        [(layer["digest"], layer["size"]) for layer in manifest["layers"]]


def test_a_root_file_system_can_be_run(images: Any, lpmx: Any) -> None:
    """Under the name that it is given."""
    lpmx("load", "--name", "mine:1", images.get("tiny").tar, check=True)

    assert "42\n" == lpmx("run", "mine:1", "echo", "42", check=True).stdout


# -- names


@pytest.mark.parametrize("file, tags, expected", [
    ("x.tar", ["ubuntu:18.04"], ["ubuntu:18.04"]),
    ("x.tar", ["ubuntu:18.04", "ghcr.io/acme/u:1"], ["ghcr.io/acme/u:1", "ubuntu:18.04"]),
    ("My Image.tar.gz", [], ["my-image:latest"]),
    ("___.tar", [], ["image:latest"]),
])
def test_names_of_a_docker_archive(opened: Store, tmp_path: Path, file: str, tags: List[str],
                                   expected: List[str]) -> None:
    """All its tags; without one, the file's name."""
    loaded = load(opened, write(tmp_path / file, docker_archive(*tags)))

    assert expected == sorted(image.familiar for image in loaded)
    assert 1 == len({image.digest for image in loaded})


@pytest.mark.parametrize("annotations, expected", [
    (named("lpmx-test/x:1"), "lpmx-test/x:1"),
    (named("v1"), "my-layout:v1"),
    (named("ghcr.io/acme/x"), "ghcr.io/acme/x:latest"),
    (named("docker.io/library/ubuntu:18.04", "io.containerd.image.name"), "ubuntu:18.04"),
    (named("no name!"), "my-layout:latest"),
    ({}, "my-layout:latest"),
])
def test_names_of_a_layout(opened: Store, tmp_path: Path, annotations: Dict[str, Any],
                           expected: str) -> None:
    """A name, a tag to which the file's name is added, or nothing."""
    layout = Layout()
    path = write(tmp_path / "my-layout.tar", layout.index(layout.image(TARS, **annotations)))

    assert [expected] == [image.familiar for image in load(opened, path)]


def test_another_name(opened: Store, tmp_path: Path) -> None:
    """Instead of those in the file."""
    path = write(tmp_path / "x.tar", docker_archive("a:1", "b:1"))

    image, = load(opened, path, name="mine")

    assert "mine:latest" == image.familiar
    assert [image] == opened.images.list()


def test_one_name_is_not_enough_for_two_images(opened: Store, tmp_path: Path,
                                               unchanged: Callable[[], None]) -> None:
    """The hint has the names that they have."""
    layout = Layout()
    path = write(tmp_path / "x.tar", layout.index(layout.image(TARS, **named("a:1")),
                                                  layout.image(TARS[:1], **named("b:1"))))

    with pytest.raises(InvalidReference) as refused:
        load(opened, path, name="mine")

    assert f'cannot load "{path}" as "mine:latest": it has 2 images' == refused.value.message
    assert "they are a:1, b:1" in (refused.value.hint or "")


def test_several_images(opened: Store, tmp_path: Path) -> None:
    """All of them, the layers they share only once."""
    layout = Layout()
    path = write(tmp_path / "x.tar", layout.index(layout.image(TARS, **named("a:1")),
                                                  layout.image(TARS[:1], **named("b:1"))))

    assert ["a:1", "b:1"] == [image.familiar for image in load(opened, path)]
    assert 3 == len(opened.layers.list())


# -- forms


def test_a_layer_that_is_a_link_to_another(opened: Store, tmp_path: Path) -> None:
    """Symbolic and hard; archives keep each layer only once."""
    files = docker_archive("a:1", tars=[TARS[0], TARS[1], TARS[0], TARS[1]])
    files["2/layer.tar"] = tarfile.SYMTYPE, "../0/layer.tar"
    files["3/layer.tar"] = tarfile.LNKTYPE, "1/layer.tar"

    image, = load(opened, write(tmp_path / "x.tar", files))

    assert (digest(TARS[0]), digest(TARS[1])) * 2 == image.diff_ids


def test_compressed_layers_in_a_docker_archive(opened: Store, tmp_path: Path) -> None:
    """The manifest that is made for it speaks of what they are without."""
    files = docker_archive("a:1")
    files["1/layer.tar"] = gzip.compress(TARS[1])

    image, = load(opened, write(tmp_path / "x.tar", files))

    manifest = json.loads(opened.blobs.open(image.digest).read())
    assert [(digest(tar), len(tar)) for tar in TARS] == \
        [(layer["digest"], layer["size"]) for layer in manifest["layers"]]


def test_names_with_a_dot_and_slash(opened: Store, tmp_path: Path) -> None:
    """As `tar c .` writes them."""
    files = {f"./{name}": data for name, data in docker_archive("a:1").items()}

    assert 1 == len(load(opened, write(tmp_path / "x.tar", files)))


def test_what_docker_saves_today(opened: Store, tmp_path: Path) -> None:
    """A layout and a manifest.json in one; of the index, one platform's blobs are there."""
    layout = Layout()
    ours = layout.image(TARS, platform={"os": "linux", "architecture": HERE})
    missing = dict(ours, digest="sha256:" + "9" * 64,
                   platform={"os": "linux", "architecture": "s390x"})
    inner = layout.blob(json.dumps({"mediaType": OCI_INDEX, "manifests": [missing, ours]}).encode(),
                        OCI_INDEX, **named("docker.io/library/a:1", "io.containerd.image.name"))
    files = {**layout.index(inner), "manifest.json": b"[]"}

    image, = load(opened, write(tmp_path / "x.tar", files))

    assert ("a:1", ours["digest"]) == (image.familiar, image.digest)


@pytest.mark.parametrize("platform, number", [(None, 0), ("linux/s390x", 1)])
def test_of_several_platforms_one_is_taken(opened: Store, tmp_path: Path,
                                           platform: Optional[str], number: int) -> None:
    """This machine's, or the one asked for; they stand side by side under one name."""
    layout = Layout()
    entries = [layout.image(TARS[n:n + 1], architecture, **named("a:1"),
                            platform={"os": "linux", "architecture": architecture})
               for n, architecture in enumerate((HERE, "s390x"))]

    image, = load(opened, write(tmp_path / "x.tar", layout.index(*entries)), platform=platform)

    assert entries[number]["digest"] == image.digest


# -- what cannot be loaded


def damage(files: Dict[str, Any], name: str, data: Any) -> Dict[str, Any]:
    return {**files, name: data}


def layout_with(change: Callable[[Files], None]) -> Files:
    layout = Layout()
    files = layout.index(layout.image(TARS, **named("a:1")))
    change(files)
    return files


def blobs(files: Files, start: bytes) -> List[str]:
    return [name for name, data in files.items() if data.startswith(start) and "blobs" in name]


@pytest.mark.parametrize("files, kind, cause", [
    ({"etc/passwd": b""}, ArchiveDamaged, "it is no image archive"),
    (damage(docker_archive(), "manifest.json", b"{"), ArchiveDamaged, "is damaged: it is not JSON"),
    (damage(docker_archive(), "manifest.json", b"{}"), ArchiveDamaged, "is no list"),
    (damage(docker_archive(), "manifest.json", b"[]"), ArchiveDamaged, "there is no image in it"),
    (damage(docker_archive(), "manifest.json", b"[1]"), ArchiveDamaged, "makes no sense"),
    (docker_archive(Layers=["x"] * 3), ArchiveDamaged, 'it has no file "x"'),
    (docker_archive(Layers=["../../../etc/passwd"] * 3), ArchiveDamaged, "it has no file"),
    (docker_archive(Layers=[]), ArchiveDamaged, "speaks of 3 layers, and manifest.json of 0"),
    (docker_archive(Config="x"), ArchiveDamaged, 'it has no file "x"'),
    (docker_archive("Not A Name"), ArchiveDamaged, 'cannot use "Not A Name"'),
    (damage(docker_archive(), "c.json", b"[]"), ImageDamaged, "all of it is not a JSON object"),
    (damage(docker_archive(), "c.json", config(TARS, "s390x")), UnsupportedImage,
     "it is for linux/s390x"),
    (damage(docker_archive(), "1/layer.tar", TARS[2]), DigestMismatch, digest(TARS[1])),
    (damage(docker_archive(), "1/layer.tar", TARS[1][:700]), LayerDamaged,
     "its tar ends in the middle of a header"),
    (damage(docker_archive(), "1/layer.tar", gzip.compress(TARS[1])[:-9]), LayerDamaged,
     "the gzip data ends too early"),
    (damage(docker_archive(), "1/layer.tar", (tarfile.SYMTYPE, "../1/layer.tar")), ArchiveDamaged,
     'it has no file "1/layer.tar"'),
    ({"repositories": b'{"a": {"1": "top"}}'}, ArchiveDamaged, 'it has no file "top/json"'),
    ({"repositories": b'{"a": {"1": "x"}}', "x/json": b'{"parent": "x"}'}, ArchiveDamaged,
     "an image of more than 1024 layers"),
    (layout_with(lambda files: files.update({"index.json": b"{"})), ImageDamaged, "it is not JSON"),
    (layout_with(lambda files: files.update({"index.json": b'{"manifests": []}'})), ArchiveDamaged,
     "there is no image in it"),
    (layout_with(lambda files: [files.pop(name) for name in blobs(files, b"\x1f\x8b")]),
     ArchiveDamaged, "it lacks layer "),
    (layout_with(lambda files: [files.pop(name) for name in blobs(files, b'{"arch')]),
     ArchiveDamaged, "it has no file"),
    (layout_with(lambda files: files.update({name: files[name] + b" " for name in
                                             blobs(files, b'{"schema')})),
     DigestMismatch, "the bytes of the manifest hash to"),
    (layout_with(lambda files: files.update({name: files[name].replace(b'"sh"', b'"SH"')
                                             for name in blobs(files, b'{"arch')})),
     DigestMismatch, "the bytes of the image config hash to"),
    (layout_with(lambda files: files.update({name: files[name][:-1] + b"\1" for name in
                                             blobs(files, b"\x1f\x8b")})),
     DigestMismatch, "the bytes of layer "),
    (layout_with(lambda files: files.update({name: files[name][:-1] for name in
                                             blobs(files, b"\x1f\x8b")})),
     DigestMismatch, "bytes that its manifest states"),
])
def test_what_makes_no_sense_is_refused_with_the_reason(
        opened: Store, tmp_path: Path, unchanged: Callable[[], None], files: Dict[str, Any],
        kind: Type[LpmxError], cause: str) -> None:
    """The file is named, and nothing is stored."""
    path = write(tmp_path / "x.tar", files)

    with pytest.raises(kind) as refused:
        load(opened, path)

    assert kind is refused.type
    assert cause in refused.value.message
    assert refused.value.message.startswith("cannot ")
    assert 1 == refused.value.exit_code
    if kind is ArchiveDamaged:
        assert f'cannot load "{path}": ' in refused.value.message
        assert refused.value.hint


@pytest.mark.parametrize("data, cause", [
    (b"", "it is no"), (b"hello", "it is no tar"), (os.urandom(5000), "it is no tar"),
    (gzip.compress(b"hello"), "it is no tar"),
])
def test_what_is_no_archive(opened: Store, tmp_path: Path, unchanged: Callable[[], None],
                            data: bytes, cause: str) -> None:
    """Empty, text, noise, compressed text."""
    path = tmp_path / "x.tar"
    path.write_bytes(data)

    with pytest.raises(ArchiveDamaged, match=cause):
        load(opened, path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("compress", [None, gzip.compress])
def test_an_archive_that_is_cut_short(images: Any, opened: Store, tmp_path: Path, share: float,
                                      unchanged: Callable[[], None],
                                      compress: Optional[Callable[[bytes], bytes]]) -> None:
    """A copy that was not finished, wherever it ends."""
    data = images.archive("tiny", "docker-archive").read_bytes()
    if compress is not None:
        data = compress(data)
    path = tmp_path / "x.tar"
    path.write_bytes(data[:int(len(data) * share)])

    with pytest.raises(ArchiveDamaged) as refused:
        load(opened, path)

    assert f'cannot load "{path}": ' in refused.value.message


def test_a_file_that_is_not_there(opened: Store, tmp_path: Path, lpmx: Any,
                                  unchanged: Callable[[], None]) -> None:
    """Or cannot be read."""
    with pytest.raises(ArchiveDamaged, match="no such file or directory"):
        load(opened, tmp_path / "missing.tar")

    done = lpmx("load", tmp_path / "missing.tar")
    assert 1 == done.returncode
    assert f'lpmx: cannot load "{tmp_path}/missing.tar": no such file or directory\nhint: ' in \
        done.stderr


def test_names_in_a_layout_do_not_lead_out_of_it(opened: Store, tmp_path: Path,
                                                 unchanged: Callable[[], None]) -> None:
    """A link in the directory to a file elsewhere is no blob."""
    layout = Layout()
    files = layout.index(layout.image(TARS, **named("a:1")))
    outside = tmp_path / "outside"
    for name, data in files.items():
        path = tmp_path / "layout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    blob = tmp_path / "layout" / blobs(files, b'{"schema')[0]
    blob.rename(outside)
    blob.symlink_to(outside)

    with pytest.raises(ArchiveDamaged, match="it has no file"):
        load(opened, tmp_path / "layout")


def test_if_one_image_is_damaged_none_is_stored(opened: Store, tmp_path: Path,
                                                unchanged: Callable[[], None]) -> None:
    """Half of an archive would look like all of it."""
    layout = Layout()
    files = layout.index(layout.image(TARS[:1], **named("a:1")),
                         layout.image(TARS[1:], **named("b:1")))
    name = blobs(files, b"\x1f\x8b")[-1]
    files[name] = bytes(len(files[name]))

    with pytest.raises(DigestMismatch):
        load(opened, write(tmp_path / "x.tar", files))
