"""Images that are committed, pushed and saved here are pulled and run by skopeo, umoci and buildah."""
from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest
from support import images as support_images
from support.facts import of_directory, of_view

from lpmx_runtime.container import Container, Options
from lpmx_runtime.image.archive import load
from lpmx_runtime.image.commit import commit
from lpmx_runtime.image.opened import opened_image
from lpmx_runtime.image.push import push
from lpmx_runtime.image.save import FORMS, save
from lpmx_runtime.store import Image, Store

from .conftest import Record

pytestmark = [pytest.mark.root, pytest.mark.unconfined]

PROGRAM = "import sqlite3, ssl, json; print(json.dumps({'from': open('/opt/new').read()}))"


@pytest.fixture
def committed(images: Any, store: Path) -> Iterator[Image]:
    """A real image after some work in it."""
    opened = Store.open(store)
    base, = load(opened, images.archive("layered", "oci-archive"))
    container = Container.create(opened, base, name="work", options=Options(contain=True))
    with container.view() as view:
        view.write("/opt/new", b"lpmx")
        view.write("/opt/bin", b"#!/bin/sh\necho a program\n", 0o755)
        view.chown("/opt/bin", 7, 8)
        view.setxattr("/opt/new", "user.colour", b"green")
        view.unlink("/etc/issue")
    yield commit(opened, container, "result:1")


class Buildah:
    """With what it keeps in a directory."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __call__(self, *words: object) -> str:
        return subprocess.run(
            ["buildah", "--storage-driver", "vfs", "--root", self.place / "root", "--runroot",
             self.place / "run", *map(str, words)], check=True, stdout=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL).stdout


@pytest.mark.parametrize("way", [*FORMS, "registry"])
def test_buildah_runs_what_was_committed(store: Path, committed: Image, way: str, registry: Any,
                                         tmp_path: Path, record: Record) -> None:
    """From archives and a registry: the files are the same, and programs run."""
    opened, buildah = Store.open(store), Buildah(tmp_path)
    if way == "registry":
        source = f"docker://{push(opened, 'result:1', registry.reference('soak/built')).reference}"
    else:
        (tmp_path / "file").write_bytes(b"".join(save(opened, ["result:1"], form=way)))
        source = f"{way}:{tmp_path / 'file'}"
    try:
        said = subprocess.run(["skopeo", "inspect", "--config", "--tls-verify=false", source],
                              check=True, stdout=subprocess.PIPE, text=True).stdout
        assert committed.config["rootfs"] == json.loads(said)["rootfs"]
        buildah("from", "-q", "--tls-verify=false", "--name", "it", source)
        ran = buildah("run", "--isolation", "chroot", "it", "--", "python3", "-c", PROGRAM)
        program = buildah("run", "--isolation", "chroot", "it", "--", "/opt/bin")
        buildah("rm", "it")
        buildah("from", "-q", "--pull-never", "--name", "files", buildah("images", "-q").split()[0])
        with opened_image(opened, committed) as view:
            ours = of_view(view)
        theirs = of_directory(Path(buildah("mount", "files").strip()))
        odd = {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)}
        record("images", f"committed, in buildah by {way}", len(ours),
               f"{len(odd)} files differ" if odd else "the same files, and programs run")
        assert not odd
        assert {"from": "lpmx"} == json.loads(ran) and "a program\n" == program
    finally:
        buildah("rm", "--all")
        shutil.rmtree(tmp_path / "root", ignore_errors=True)
        support_images.remove(tmp_path)
