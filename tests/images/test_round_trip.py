"""What root of a container made of its files is what other tools unpack as the real root:
owners, set-ID bits, devices, links, attributes, deletions, path by path."""
from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest
from support.facts import of_directory, of_view
from support.made import BASE, CONFIG, change, make_image

from lpmx_runtime.container import Container, Options
from lpmx_runtime.image.commit import commit
from lpmx_runtime.image.export import export_container
from lpmx_runtime.image.opened import opened_image
from lpmx_runtime.image.push import push
from lpmx_runtime.image.save import FORMS, save
from lpmx_runtime.store import Image, Store

@pytest.fixture
def committed(opened: Store) -> Iterator[Image]:
    """An image of a container in which something of everything was done."""
    base = make_image(opened, "base:1", BASE, config=CONFIG)
    container = Container.create(opened, base, name="work", options=Options(contain=True))
    change(container)
    with container.view() as view:
        view.symlink("nowhere", "/owned-link")
        view.chown("/owned-link", 21, 22, follow_symlinks=False)
        view.chown("/pipe", 23, 24)
    yield commit(opened, container, "result:1")


@pytest.mark.root
@pytest.mark.parametrize("way", [*FORMS, "registry"])
def test_umoci_unpacks_what_the_container_shows(opened: Store, committed: Image, way: str,
                                                registry: Any, tmp_path: Path) -> None:
    """From an archive that was saved, and from a registry that it was pushed to."""
    if way == "registry":
        source = f"docker://{push(opened, 'result:1', registry.reference('round/trip')).reference}"
    else:
        (tmp_path / "file").write_bytes(b"".join(save(opened, ["result:1"], form=way)))
        source = f"{way}:{tmp_path / 'file'}"
    (tmp_path / "layout").mkdir()
    subprocess.run(["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", source,
                    f"oci:{tmp_path / 'layout'}:1"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["umoci", "unpack", "--image", f"{tmp_path / 'layout'}:1", tmp_path / "bundle"],
                   check=True, stdout=subprocess.DEVNULL)

    with opened_image(opened, committed) as view:
        ours = of_view(view)

    assert ours == of_directory(tmp_path / "bundle/rootfs")
    assert {"/dir", "/owned", "/disk", "/null", "/old/only"} <= set(ours)
    assert [(21, 22), (23, 24)] == [ours[path][1:3] for path in ("/owned-link", "/pipe")]


@pytest.mark.root
def test_tar_unpacks_what_the_container_shows(opened: Store, committed: Image,
                                              tmp_path: Path) -> None:
    """Of an export, with GNU tar as root."""
    tar = b"".join(export_container(Container.open(opened, "work")))
    (tmp_path / "root").mkdir()
    subprocess.run(["tar", "-C", tmp_path / "root", "--numeric-owner", "--xattrs",
                    "--xattrs-include=*", "-xpf", "-"], input=tar, check=True)

    with opened_image(opened, committed) as view:
        assert of_view(view) == of_directory(tmp_path / "root")
