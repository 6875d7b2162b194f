"""A layer's tar comes out of the store as it went in, byte for byte, whoever wrote it."""
from __future__ import annotations

import io
import os
import random
import subprocess
import tarfile
from pathlib import Path
from typing import Optional

import pytest
from support import layers
from support.layers import device, directory, file, link, opaque, symlink, whiteout

from lpmx_runtime.errors import StoreDamaged
from lpmx_runtime.store import Store
from lpmx_runtime.store.files import digest_path


@pytest.fixture
def opened(store: Path) -> Store:
    return Store.open(store)


def sparse(name: str, directory: Path, *options: str) -> bytes:
    """A sparse file in a tar by GNU tar, whose forms of them differ."""
    with open(directory / name, "wb") as made:
        made.truncate(1 << 20)
        made.seek(300_000)
        made.write(b"in the middle" * 1000)
        made.seek(900_000)
        made.write(b"near the end")
    return subprocess.run(["tar", "-C", directory, "--sparse", *options, "-cf", "-", name],
                          check=True, stdout=subprocess.PIPE).stdout


TARS = {
    "nothing": layers.tar(),
    "every kind": layers.tar(
        directory(b"d"), file(b"d/f", b"content" * 1000), link(b"d/l", b"d/f"),
        symlink(b"d/s", b"f"), device(b"null", b"3", 1, 3), device(b"pipe", b"6", 0, 0),
        file(b"x", b"named", xattrs={b"user.a": b"1"}), whiteout(b"gone"), opaque(b"d")),
    "a file that is replaced": layers.tar(file(b"f", b"old" * 300), file(b"f", b"new"),
                                          file(b"f", b"newest")),
    "a linked file that is replaced": layers.tar(file(b"f", b"old"), link(b"g", b"f"),
                                                 file(b"f", b"new")),
    "a directory that is replaced": layers.tar(
        directory(b"d"), file(b"d/f", b"1"), directory(b"d/e"), file(b"d/e/f", b"2"),
        file(b"d", b"3"), directory(b"d"), file(b"d/f", b"4")),
    "content of a whiteout": layers.tar(file(b".wh.x", b"what for?"), file(b"y", b"y")),
    "a file behind a link": layers.tar(directory(b"usr"), symlink(b"bin", b"usr"),
                                       file(b"bin/sh", b"#!")),
    "no end": layers.tar(file(b"f", b"12345"), end=b""),
    "no padding": layers.tar(file(b"f", b"12345"), end=b"")[:517],
    "rubbish behind the end": layers.tar(file(b"f", b"12345"), end=bytes(1024) + b"rubbish" * 99),
    "more than one read": layers.tar(*(file(b"f%d" % number, random.Random(number).randbytes(
        number * 7919 % 70_000)) for number in range(200))),
    "a large file": layers.tar(file(b"f", random.Random(1).randbytes(3_500_000))),
}


@pytest.mark.parametrize("tar", list(TARS.values()), ids=list(TARS))
def test_a_tar_comes_out_as_it_went_in(opened: Store, tar: bytes) -> None:
    """Members that replace others, lie behind links or are only listed; odd ends."""
    diff_id = opened.layers.add(io.BytesIO(tar))

    assert tar == b"".join(opened.layers.tar(diff_id))
    assert len(tar) == opened.layers.tar_size(diff_id)


@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=pax"],
                                     ["--format=pax", "--sparse-version=0.0"],
                                     ["--format=pax", "--sparse-version=0.1"]], ids=" ".join)
def test_sparse_files_come_out_as_they_went_in(opened: Store, tmp_path: Path,
                                               options: list[str]) -> None:
    """In every form that GNU tar writes."""
    tar = sparse("holes", tmp_path, *options)

    assert tar == b"".join(opened.layers.tar(opened.layers.add(io.BytesIO(tar))))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_other_writers_come_out_as_they_went_in(opened: Store, form: int) -> None:
    """Each form of header, with long names."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as tar:
        for name in ("short", "l" * 99 + "/" + "g" * 99, "\u00e9"):
            info = tarfile.TarInfo(name)
            info.size = 7
            tar.addfile(info, io.BytesIO(b"content"))

    assert data.getvalue() == b"".join(opened.layers.tar(
        opened.layers.add(io.BytesIO(data.getvalue()))))


def damage(layer: Path, kind: str) -> Optional[str]:
    """Harm the layer; what the message says of it."""
    name = layer / ("recipe" if kind.startswith("recipe") else "tree/f")
    name.parent.chmod(0o700)
    data = name.read_bytes()
    name.chmod(0o600)
    if kind.endswith("missing"):
        name.unlink()
        return "no recipe" if name.name == "recipe" else 'file "tree/f" cannot be read'
    changed = {"cut": data[:len(data) // 2], "other": bytes(len(data)),
               "flipped": data[:-1] + bytes([data[-1] ^ 1])}[kind.rpartition(" ")[2]]
    os.unlink(name)
    name.write_bytes(changed)
    return None


@pytest.mark.parametrize("kind", ["file missing", "file cut", "file other", "recipe missing",
                                  "recipe cut", "recipe other", "recipe flipped"])
def test_damage_is_said(opened: Store, kind: str) -> None:
    """Nobody gets a tar that is not the layer's."""
    diff_id = opened.layers.add(io.BytesIO(layers.tar(file(b"f", b"content" * 99))))
    said = damage(Path(digest_path(opened.layers.directory, diff_id)), kind)

    with pytest.raises(StoreDamaged) as raised:
        b"".join(opened.layers.tar(diff_id))

    assert diff_id in raised.value.message or "recipe" in raised.value.message
    assert (said or "") in raised.value.message
    assert "get it again" in (raised.value.hint or "")
