"""Squashfs file systems and Singularity image files, made by the real mksquashfs, and damaged ones."""
from __future__ import annotations

import io
import os
import random
import struct
import subprocess
import tarfile
from pathlib import Path
from typing import Callable, Dict, Iterator, Tuple

import pytest

from lpmx_runtime.errors import ArchiveDamaged
from lpmx_runtime.image.archive import load
from lpmx_runtime.image.squashfs import Squashfs
from lpmx_runtime.store import Store

COMPRESSIONS = ["gzip", "lzma", "lzo", "lz4", "xz", "zstd"]
SEED = 20261126

#: What a mksquashfs that is not root makes besides what is in the tree: "NAME TYPE MODE UID GID MORE".
PSEUDO = ["dev/null c 666 0 0 1 3", "dev/disk b 660 0 6 259 70000", "run d 1777 0 0"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system with something of each kind."""
    root = tmp_path_factory.mktemp("tree") / "root"
    for name in ("bin", "etc/many", "dev"):
        (root / name).mkdir(parents=True)
    generator = random.Random(SEED)
    (root / "etc/empty").touch()
    (root / "etc/small").write_bytes(b"small\n")
    os.link(root / "etc/small", root / "etc/linked")
    (root / "etc/random").write_bytes(generator.randbytes(300_000))
    (root / "etc/text").write_bytes(b"".join(b"line %d of a text\n" % n for n in range(30_000)))
    with open(root / "etc/holes", "wb") as file:
        file.seek(3 << 20)
        file.write(b"middle")
        file.truncate(5 << 20)
    (root / "bin/sh").write_bytes(b"\x7fELF" + bytes(200_000))
    (root / "bin/sh").chmod(0o4755)
    (root / "etc/link").symlink_to("/usr/../etc/small")
    os.mkfifo(root / "etc/fifo")
    for n in range(700):
        (root / f"etc/many/file-{n}").write_bytes(b"%d" % n * (n % 40))
    (root / "etc/caf\xe9").write_bytes(b"")
    os.setxattr(root / "etc/small", "user.lpmx-test", b"a value")
    return root


@pytest.fixture(scope="module")
def made(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a squashfs file system of the tree; each once."""
    folder = tmp_path_factory.mktemp("made")

    def make(compression: str, *options: str) -> Path:
        path = folder / "-".join((compression, *options)).replace("/", "_")
        if not path.exists():
            command = ["mksquashfs", tree, path, "-comp", compression, "-quiet", "-no-progress",
                       "-processors", "1", *options]
            for each in PSEUDO:
                command += ["-p", each]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return path
    return make


def as_tar(path: Path) -> bytes:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        return b"".join(Squashfs(file.fileno(), 0, size, "cannot load").tar())


def contents(tar: bytes) -> Dict[str, Tuple[object, ...]]:
    """Each path with what a tar says of it."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {os.path.normpath(member.name): (member.type, member.mode, member.uid, member.gid, member.mtime,
                              member.linkname, member.devmajor, member.devminor,
                              opened.extractfile(member).read() if member.isreg() else b"",
                              member.pax_headers.get("SCHILY.xattr.user.lpmx-test"))
                for member in opened}


def in_tree(root: Path) -> Iterator[Tuple[str, os.stat_result]]:
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            yield os.path.relpath(path, root), os.lstat(path)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_compression_gives_what_was_put_in(made, tree, compression):
    """Contents, modes, times, links, holes, devices and attributes; without a tool of the host."""
    found = contents(as_tar(made(compression)))

    for name, status in in_tree(tree):
        kind, mode, uid, gid, mtime, target, *_, data, _ = found[name]
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid, int(status.st_mtime)) == (
            mode, uid, gid, mtime), name
        if kind == tarfile.REGTYPE or kind == tarfile.GNUTYPE_SPARSE:
            assert (tree / name).read_bytes() == data, name
        elif kind == tarfile.LNKTYPE:
            assert status.st_ino == os.lstat(tree / str(target)).st_ino, name
    assert "/usr/../etc/small" == found["etc/link"][5]
    assert tarfile.FIFOTYPE == found["etc/fifo"][0]
    assert (tarfile.CHRTYPE, 0o666, 1, 3) == (found["dev/null"][0], found["dev/null"][1],
                                              *found["dev/null"][6:8])
    assert (259, 70000) == found["dev/disk"][6:8]
    assert {"a value"} == {found[name][9] for name in ("etc/small", "etc/linked")} - {None}
    assert {name for name, _ in in_tree(tree)} | {"dev/null", "dev/disk", "run", "."} == set(found)


@pytest.mark.parametrize("options", [
    ("-noI", "-noD", "-noF", "-noX"), ("-no-fragments",), ("-always-use-fragments",), ("-b", "4096"),
    ("-b", "1048576"), ("-no-duplicates",), ("-no-sparse",)], ids=" ".join)
def test_every_layout_gives_the_same(made, options):
    """However mksquashfs was told to lay it out."""
    expected, found = contents(as_tar(made("gzip"))), contents(as_tar(made("gzip", *options)))

    assert list(expected) == list(found)
    younger = {each.split()[0] for each in PSEUDO}  # made when it was told
    assert {} == {name: (expected[name], found[name]) for name in expected
                  if expected[name] != found[name] and name not in younger}


def test_loaded_image_is_one_of_a_root_file_system(made, store: Path):
    """Named after the file, its files as they are in it."""
    path = made("zstd")
    named = path.with_name("My Tools.sqfs")
    os.link(path, named)

    [image] = load(Store.open(store), named)

    assert "my-tools:latest" == image.familiar
    assert ["/bin/sh"] == image.config["config"]["Cmd"]


# -- Singularity image files


def sif(path: Path, part: bytes, *, kind: int = 0x4004, system: int = 1, role: int = 2,
        architecture: bytes = b"02", before: int = 0) -> Path:
    """A SIF of version 01 with `before` other parts in front of one."""
    descriptors, data, start = b"", b"", 40960
    for n in range(before + 1):
        last = n == before
        content = part if last else b"#!/bin/sh\n" * 3
        descriptors += struct.pack(
            "<i?3I7q128s384s", kind if last else 0x4001, True, n + 1, 0xF0000001, 0, start + len(data),
            len(content), len(content), 0, 0, 0, 0, b"part",
            struct.pack("<2i3s", system, role, architecture + b"\0") if last else b"")
        data += content + bytes(-len(content) % 4096)
    head = struct.pack("<32s10s3s3s16s8q", b"#!/usr/bin/env run-singularity\n", b"SIF_MAGIC\0",
                       b"01\0", architecture + b"\0", bytes(16), 0, 0, 0, before + 1, 4096,
                       len(descriptors), start, len(data))
    path.write_bytes(head.ljust(4096, b"\0") + descriptors.ljust(start - 4096, b"\0") + data)
    return path


@pytest.fixture
def singularity(tmp_path: Path) -> Path:
    """A root file system as Apptainer makes one of a Docker image, and its squashfs."""
    root = tmp_path / "singularity"
    for name in ("bin", ".singularity.d/env"):
        (root / name).mkdir(parents=True)
    about = root / ".singularity.d"
    (root / "bin/sh").write_bytes(b"\x7fELF")
    (about / "runscript").write_text("#!/bin/sh\nexec /bin/sh\n")
    (about / "labels.json").write_text('{"org.label-schema.usage": "none", "number": 3}')
    (about / "env/10-docker2singularity.sh").write_text(
        '#!/bin/sh\nexport PATH="/opt/bin:/bin"\nexport LANG="${LANG:-"C.UTF-8"}"\n'
        'export LATER="${LATER:-"$(date)"}"\n')
    (about / "env/90-environment.sh").write_text("#!/bin/sh\nA=1\nexport B='two words'\nC=$HOME/x\n")
    path = tmp_path / "root.sqfs"
    subprocess.run(["mksquashfs", root, path, "-quiet", "-no-progress", "-processors", "1"],
                   check=True, stdout=subprocess.DEVNULL)
    return path


def test_singularity_image_says_its_environment_labels_and_program(singularity, tmp_path, store):
    """Found by its descriptor; what is plain text of its scripts is in the config."""
    path = sif(tmp_path / "solver_2.4.sif", singularity.read_bytes(), before=3)

    [image] = load(Store.open(store), path)

    assert "solver-2-4:latest" == image.familiar
    config = image.config["config"]
    assert ["A=1", "B=two words", "LANG=C.UTF-8", "PATH=/opt/bin:/bin"] == sorted(config["Env"])
    assert {"org.label-schema.usage": "none"} == config["Labels"]
    assert "/.singularity.d/runscript" in config["Cmd"][2]


@pytest.mark.parametrize("changes,cause", [
    ({"system": 5}, "it is encrypted"), ({"system": 2}, "its file system is ext3"),
    ({"role": 4}, "there is no root file system in it"),
], ids=["encrypted", "ext3", "only an overlay"])
def test_singularity_image_that_cannot_be_read_says_why(singularity, tmp_path, store, changes, cause):
    """With the cause and the next step, and the store as it was."""
    path = sif(tmp_path / "x.sif", singularity.read_bytes(), **changes)
    opened = Store.open(store)

    with pytest.raises(ArchiveDamaged, match=cause) as raised:
        load(opened, path)

    assert raised.value.hint
    assert [] == list(opened.images.list())


# -- damaged ones


def test_a_cut_file_is_told(made, tmp_path, store):
    """Wherever it is cut, before anything has a name."""
    whole = made("gzip").read_bytes()
    path = tmp_path / "cut.sqfs"
    generator = random.Random(SEED)
    for size in [0, 4, 95, 96, 200, *(generator.randrange(len(whole) - 4096) for _ in range(20))]:
        path.write_bytes(whole[:size])

        with pytest.raises(ArchiveDamaged):
            load(Store.open(store), path)


@pytest.mark.parametrize("compression,options", [
    *((each, ()) for each in COMPRESSIONS), ("gzip", ("-noI", "-noX"))], ids=lambda each: str(each))
def test_changed_bytes_give_an_answer_or_an_error(made, tmp_path, compression, options):
    """Never another exception than ours, nor an endless one, nor a file of another size."""
    whole = made(compression, *options).read_bytes()
    generator = random.Random(SEED)
    path = tmp_path / "changed"
    told = 0
    # where tables are not compressed most changes mean something
    for _ in range(200 if options else 25):
        changed = bytearray(whole)
        for _ in range(generator.randrange(1, 6)):
            # half of them where the tables are
            low = generator.choice([0, len(whole) - (40_000 if options else 12_000)])
            changed[generator.randrange(low, len(whole))] = generator.randrange(256)
        path.write_bytes(changed)
        try:
            as_tar(path)
        except ArchiveDamaged:
            told += 1
    assert told


@pytest.mark.parametrize("word", [4096 | 1 << 24, 1 << 31], ids=["whole", "huge"])
def test_blocks_that_are_not_there_are_missed_at_once(tmp_path, word):
    """Before a list is made of them: of a table of such, compressed, a small file can say millions."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(b"ab" * (4 << 20))
    subprocess.run(["mksquashfs", tmp_path / "tree", tmp_path / "made", "-noI", "-no-fragments", "-b", "4096",
                    "-quiet", "-no-progress"], check=True, stdout=subprocess.DEVNULL)
    whole = (tmp_path / "made").read_bytes()
    size, = (value for value in range(1, 4096) if struct.pack("<I", value) * 1000 in whole)
    (tmp_path / "made").write_bytes(whole.replace(struct.pack("<I", size) * 1000,
                                                  struct.pack("<I", word) * 1000))

    with pytest.raises(ArchiveDamaged, match="has more bytes than are there"):
        as_tar(tmp_path / "made")


def metadata(data: bytes) -> bytes:
    """In blocks that are not compressed."""
    return b"".join(struct.pack("<H", len(data[at:at + 8192]) | 1 << 15) + data[at:at + 8192]
                    for at in range(0, len(data), 8192))


def test_attributes_that_refer_to_one_value_are_not_multiplied(tmp_path):
    """A thousand of the root, of 64 KiB each, in a file of 90 KiB."""
    names = [b"%d" % number for number in range(1000)]
    values = struct.pack("<2H", 0, 1) + b"x" + struct.pack("<I", 65536) + bytes(65536) + b"".join(
        struct.pack("<2H", 0x100, len(name)) + name + struct.pack("<IQ", 8, 5) for name in names)
    parts, places, at = [], [], 96
    for part in (metadata(struct.pack("<4H2I4I2HI", 8, 0o755, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0)),
                 metadata(bytes(4)), metadata(values),
                 metadata(struct.pack("<QII", 0, len(names) + 1, 1 << 26))):
        parts.append(part)
        places.append(at)
        at += len(part)
    tables = struct.pack("<Q", places[1]) + struct.pack("<QII", places[2], 1, 0) + struct.pack("<Q", places[3])
    head = struct.pack("<4s4I6H8Q", b"hsqs", 1, 0, 4096, 0, 1, 12, 0, 1, 4, 0, 0, at + len(tables), at,
                       at + 8, places[0], places[0], at, at)
    (tmp_path / "made").write_bytes(head + b"".join(parts) + tables)

    with pytest.raises(ArchiveDamaged, match="has too many attributes"):
        as_tar(tmp_path / "made")


def test_an_attribute_whose_name_no_layer_can_have_is_told(made, tmp_path):
    """A tar has the names of attributes in UTF-8."""
    whole = made("gzip", "-noI", "-noX").read_bytes()
    assert whole.count(b"lpmx-test") == 1
    path = tmp_path / "named"
    path.write_bytes(whole.replace(b"lpmx-test", b"lpmx-t\xe9st"))

    with pytest.raises(ArchiveDamaged, match="is no UTF-8"):
        as_tar(path)
