"""A real root file system, stored and seen through the core, is what its tar says.

Many layers over each other are compared in test_compared_with_umoci.py.
"""
from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from lpmx_runtime import _native
from lpmx_runtime.container.spec import ViewSpec
from lpmx_runtime.store import Store


def view_file(store: Store, diff_ids: list[str], place: Path) -> Path:
    """A view of the layers that nobody can write."""
    spec = ViewSpec(kind="container", name="test", loader=_native.loader_path(), uid=0, gid=0,
                    index=store.indexes.ensure(diff_ids), layers=list(store.indexes.trees(diff_ids)))
    place.write_bytes(spec.encode())
    return place


def names(view: _native.View) -> Iterator[str]:
    """Every path, found by listing directories; a listing's types must be those of stat."""
    todo = ["/"]
    while todo:
        top = todo.pop()
        yield top
        for name, kind in view.scandir(top):
            path = os.path.join(top, name)
            assert kind == stat.S_IFMT(view.lstat(path).st_mode) >> 12, path
            if kind == stat.S_IFDIR >> 12:
                todo.append(path)
            else:
                yield path


@pytest.mark.parametrize("name", ["bullseye", "trixie"])
def test_image_of_one_layer_is_what_its_tar_says(images: Any, store: Path, tmp_path: Path,
                                                 lower_hash: Callable, name: str) -> None:
    """Also what umoci cannot show an ordinary user: owners, set-ID bits, device nodes."""
    opened = Store.open(store)
    built = images.get(name)
    with open(built.tar, "rb") as stream:
        diff_ids = [opened.layers.add(stream)]
    before = lower_hash(store)

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
        listed = list(names(view))

    assert [] == wrong
    assert sorted(paths) == sorted(listed)
    assert before == lower_hash(store)
