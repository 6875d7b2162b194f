"""An image of real layers, pulled by us and unpacked by umoci: the same, path by path.

The layers are made by mmdebstrap, apt and umoci: a Debian base, one that adds
packages, one that changes files, two that delete, one that replaces a
directory, one that adds a program with a hard and a symbolic link.
"""
from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest
from support import images as images_module
from support import imageview, trees

from lpmx_runtime.image.archive import load
from lpmx_runtime.image.pull import pull
from lpmx_runtime.store import Store


@pytest.fixture(scope="module")
def reference_tree(images: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image as umoci unpacks it for this user, with all its modes."""
    built = images.get("layered")
    bundle = tmp_path_factory.mktemp("umoci") / "bundle"
    subprocess.run(["umoci", "unpack", "--rootless", "--image",
                    f"{built.layout}:{built.reference}", bundle], check=True)
    yield bundle / "rootfs"
    images_module.remove(bundle)


def as_umoci_has_it(ours: Dict[str, str]) -> Dict[str, str]:
    """umoci without privilege makes empty files of devices; we show what they are."""
    devices = {path: kind for path, kind in ours.items() if kind[0] in "cb"}
    assert all(path.startswith("/dev/") for path in devices)
    return {**ours, **{path: f"-{kind[1:]} 0 {hashlib.sha256().hexdigest()}"
                       for path, kind in devices.items()}}


def test_the_image_has_many_layers(images: Any) -> None:
    """What the comparison is worth."""
    built = images.get("layered")

    index = json.loads((built.layout / "index.json").read_bytes())
    digest = index["manifests"][0]["digest"].replace(":", "/")
    manifest = json.loads((built.layout / "blobs" / digest).read_bytes())

    assert len(manifest["layers"]) >= 5


def test_pulled_image_is_what_umoci_unpacks(images: Any, registry: Any, reference_tree: Path,
                                            store: Path, tmp_path: Path) -> None:
    """Type, mode, size, link target and content of every path, and which are hard links."""
    built = images.get("layered")
    reference = registry.push(f"oci:{built.layout}:{built.reference}", "team/layered")
    opened = Store.open(store)

    image = pull(opened, reference)

    with imageview.image_view(opened, image, tmp_path / "view") as view:
        ours, our_links = imageview.listing(view)
    theirs = trees.listing(reference_tree)
    assert len(theirs) > 5000
    assert theirs == as_umoci_has_it(ours)
    assert imageview.link_groups(reference_tree) == our_links
    # What each kind of layer has done.
    assert {"/etc/debian_version", "/usr/share/doc"}.isdisjoint(ours)
    assert ["/etc/default/only"] == [path for path in ours if path.startswith("/etc/default/")]
    assert {"/usr/bin/less", "/usr/bin/file", "/opt/app/link"} <= set(ours)
    assert "drwx------" == ours["/srv"]
    assert "/opt/app/bin/hello" in {name for group in our_links for name in group}


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_loaded_image_is_what_umoci_unpacks(images: Any, form: str, reference_tree: Path,
                                            store: Path, tmp_path: Path) -> None:
    """The same from a file."""
    opened = Store.open(store)

    image, = load(opened, images.archive("layered", form))

    with imageview.image_view(opened, image, tmp_path / "view") as view:
        ours, _ = imageview.listing(view)
    assert trees.listing(reference_tree) == as_umoci_has_it(ours)
