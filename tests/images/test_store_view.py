"""A real image of many layers, stored and seen through the core, is what umoci unpacks."""
from __future__ import annotations

import gzip
import hashlib
import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from lpmx_runtime import _native
from lpmx_runtime.container.spec import ViewSpec
from lpmx_runtime.store import Store
from lpmx_runtime.store.index_reader import IndexReader


def stored(store: Store, layout: Path) -> list[str]:
    """Put the layers of the only image of an OCI layout into the store; its diff IDs."""
    def blob(descriptor: dict[str, Any]) -> Path:
        return layout / "blobs" / descriptor["digest"].replace(":", "/")

    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]).read_text())
    diff_ids = json.loads(blob(manifest["config"]).read_text())["rootfs"]["diff_ids"]
    for diff_id, descriptor in zip(diff_ids, manifest["layers"]):
        with gzip.open(blob(descriptor)) as stream:
            store.layers.put(diff_id, stream)
    return list(diff_ids)


def view_file(store: Store, diff_ids: list[str], place: Path) -> Path:
    """A view of the layers that nobody can write."""
    spec = ViewSpec(kind="container", name="test", loader=_native.loader_path(), uid=0, gid=0,
                    index=store.indexes.ensure(diff_ids), layers=list(store.indexes.trees(diff_ids)))
    place.write_bytes(spec.encode())
    return place


def of_view(view: _native.View) -> Iterator[tuple[str, tuple]]:
    """Everything below "/", as `of_directory` tells it."""
    todo = ["/"]
    while todo:
        top = todo.pop()
        for name, kind in view.scandir(top):
            path = os.path.join(top, name)
            about = view.lstat(path)
            assert kind == stat.S_IFMT(about.st_mode) >> 12, path
            if stat.S_ISDIR(about.st_mode):
                todo.append(path)
                yield path, (stat.filemode(about.st_mode), about.st_mtime_ns)
            elif stat.S_ISLNK(about.st_mode):
                yield path, ("link", view.readlink(path), about.st_mtime_ns)
            elif stat.S_ISREG(about.st_mode):
                content = hashlib.sha256(view.read(path)).hexdigest()
                yield path, (stat.filemode(about.st_mode), about.st_size, about.st_mtime_ns, content)
            else:
                # umoci makes an empty file of what an ordinary user cannot have.
                yield path, ("-" + stat.filemode(about.st_mode)[1:], 0, about.st_mtime_ns,
                             hashlib.sha256().hexdigest())


def of_directory(start: Path) -> Iterator[tuple[str, tuple]]:
    for top, names, others in os.walk(start):
        for name in names + others:
            path = os.path.join(top, name)
            about = os.lstat(path)
            shown = path[len(str(start)):]
            if stat.S_ISDIR(about.st_mode):
                yield shown, (stat.filemode(about.st_mode), about.st_mtime_ns)
            elif stat.S_ISLNK(about.st_mode):
                yield shown, ("link", os.readlink(path), about.st_mtime_ns)
            else:
                content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
                yield shown, (stat.filemode(about.st_mode), about.st_size, about.st_mtime_ns, content)


def test_image_of_six_layers_is_what_umoci_unpacks(images: Any, store: Path, tmp_path: Path,
                                                   lower_hash: Callable) -> None:
    """Path by path: type, mode, size, time, link target, content; and the layers unchanged."""
    opened = Store.open(store)
    diff_ids = stored(opened, images.get("layered").layout)
    before = lower_hash(store)
    assert len(diff_ids) >= 5

    with _native.View(view_file(opened, diff_ids, tmp_path / "view")) as view:
        ours = dict(of_view(view))
    built = images.get("layered")
    subprocess.run(["umoci", "unpack", "--rootless", "--image",
                    f"{built.layout}:{built.reference}", tmp_path / "bundle"],
                   check=True, stdout=subprocess.DEVNULL)
    theirs = dict(of_directory(tmp_path / "bundle" / "rootfs"))

    assert sorted(theirs) == sorted(ours)
    # umoci changes the time of a directory again when it hides something in it.
    for path, about in theirs.items():
        if about[0][0] == "d":
            theirs[path], ours[path] = about[:1], ours[path][:1]
    assert theirs == {path: ours[path] for path in theirs}
    assert before == lower_hash(store)
    reader = IndexReader(opened.indexes.path(diff_ids))
    assert _native.index_check(opened.indexes.path(diff_ids)) is None
    assert reader.fault() is None and len(reader) == len(theirs) + 1


@pytest.mark.parametrize("name", ["bullseye", "bookworm", "trixie"])
def test_image_of_one_layer_is_what_its_tar_says(images: Any, store: Path, tmp_path: Path,
                                                 name: str) -> None:
    """Also what umoci cannot show an ordinary user: owners, set-ID bits, device nodes."""
    opened = Store.open(store)
    built = images.get(name)
    with open(built.tar, "rb") as stream:
        diff_ids = [opened.layers.add(stream)]

    kinds = {tarfile.DIRTYPE: stat.S_IFDIR, tarfile.SYMTYPE: stat.S_IFLNK,
             tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK,
             tarfile.FIFOTYPE: stat.S_IFIFO}
    wrong, paths, first = [], set(), {}
    with _native.View(view_file(opened, diff_ids, tmp_path / "view")) as view, \
            tarfile.open(built.tar) as members:
        for member in members:
            path = os.path.normpath("/" + member.name)
            about = view.lstat(path)
            paths.add(path)
            first[path] = about.st_ino
            mode = kinds.get(member.type, stat.S_IFREG) \
                | (0o777 if member.issym() else member.mode)
            said = [mode, member.uid, member.gid, int(member.mtime)]
            found = [about.st_mode, about.st_uid, about.st_gid, about.st_mtime_ns // 10 ** 9]
            if member.isreg():
                file = members.extractfile(member)
                assert file is not None
                said += [member.size, hashlib.sha256(file.read()).digest()]
                found += [about.st_size, hashlib.sha256(view.read(path)).digest()]
            elif member.issym():
                said.append(member.linkname)
                found.append(view.readlink(path))
            elif member.islnk():
                said.append(first[os.path.normpath("/" + member.linkname)])
                found.append(about.st_ino)
            elif member.ischr():
                said.append(os.makedev(member.devmajor, member.devminor))
                found.append(about.st_rdev)
            if said != found:
                wrong.append((path, said, found))
        listed = {path for path, _ in of_view(view)} | {"/"}

    assert [] == wrong
    assert paths == listed
