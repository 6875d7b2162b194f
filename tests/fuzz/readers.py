"""Bytes that anybody may send, given to what reads them: nothing but our errors comes out.

    python tests/fuzz/readers.py TARGET [-max_total_time=SECONDS] [CORPUS...]

TARGET is one of the functions of TARGETS. Started by run.py, with Atheris; test_corpus.py does
without.
"""
from __future__ import annotations

import io
import os
import struct
import sys
import tempfile
import zlib
from contextlib import nullcontext
from pathlib import Path
from typing import Callable, Dict, Iterable

try:
    import atheris
except ImportError:
    atheris = None

with atheris.instrument_imports(include=["lpmx_runtime"]) if atheris else nullcontext():
    from lpmx_runtime.errors import LpmxError
    from lpmx_runtime.image import (
        archive_docker,
        archive_oci,
        archive_root,
        sif,
        sif_oci,
        sif_signature,
        unbundle,
    )
    from lpmx_runtime.image.archive_files import TarFiles
    from lpmx_runtime.image.ext import Ext
    from lpmx_runtime.image.sif_overlay import overlay_tar
    from lpmx_runtime.image.squashfs import Squashfs
    from lpmx_runtime.image.streams import decompressed, pieces
    from lpmx_runtime.oci.challenge import choose, parse_challenges, token_scopes
    from lpmx_runtime.oci.config import ImageConfig
    from lpmx_runtime.oci.manifest import Index, Manifest, Platform, check_layers, parse_manifest
    from lpmx_runtime.oci.manifest import choose as choose_entry
    from lpmx_runtime.oci.reference import Reference
    from lpmx_runtime.registry.credentials import find_login
    from lpmx_runtime.registry.failures import Said
    from lpmx_runtime.store import entries, index_format, index_reader, recipe, tar
    from lpmx_runtime.store.files import remove_tree
    from lpmx_runtime.store.unpack import unpack

HERE = Platform.parse("linux/amd64")
SCRATCH = Path(tempfile.mkdtemp(prefix="lpmx-fuzz-"))


ENOUGH = 64 << 20


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def reference(data: bytes) -> None:
    try:
        found = Reference.parse(text(data))
    except LpmxError:
        return
    assert found == Reference.parse(str(found)) == Reference.parse(found.familiar)


def manifest(data: bytes) -> None:
    found = parse_manifest(data)
    if isinstance(found, Manifest):
        check_layers(found, failing="cannot do it")
    elif isinstance(found, Index):
        choose_entry(found, HERE)


def config(data: bytes) -> None:
    ImageConfig.parse(data)


def challenge(data: bytes) -> None:
    chosen = choose(parse_challenges(data.decode("latin-1")))
    if chosen is not None:
        assert token_scopes("a/b", chosen)


def said(data: bytes) -> None:
    assert "\x1b" not in str(Said(data))


def logins(data: bytes) -> None:
    path = SCRATCH / "logins"
    path.write_bytes(data)
    find_login("ghcr.io", "a/b", [path])


def compressed(data: bytes) -> None:
    total = 0
    for piece in pieces(decompressed(io.BytesIO(data), "it")):
        assert len(piece) <= 1 << 20
        total += len(piece)
        if total > ENOUGH:
            return


def archive(data: bytes) -> None:
    path = SCRATCH / "archive"
    path.write_bytes(data)
    files = TarFiles(path, "cannot load it")
    try:
        if files.size("index.json") is not None:
            archive_oci.find(files, "x", HERE)
            unbundle.find(files, HERE)
            unbundle.extras(files)
        elif archive_root.is_root(files):
            archive_root.find(files, "x", HERE)
        else:
            archive_docker.find(files, "x", HERE)
    finally:
        files.close()


def bounded(found: Iterable[bytes]) -> None:
    total = 0
    for piece in found:
        total += len(piece)
        if total > ENOUGH:
            return


def singularity(data: bytes) -> None:
    path = SCRATCH / "sif"
    path.write_bytes(data)
    with open(path, "rb") as file:
        fd = file.fileno()
        sif_signature.signatures(fd, "cannot load it")
        if sif.is_oci(fd, "cannot load it"):
            place = SCRATCH / "layout"
            remove_tree(place)
            place.mkdir()
            sif_oci.write_layout(fd, "cannot load it", place, written)
            return
        for each in sif.overlays(fd, "cannot load it"):
            if each.squashfs:
                bounded(Squashfs(fd, each.offset, each.size, "cannot load it").tar(changes=True))
        part = sif.primary(fd, "cannot load it")
        bounded(Squashfs(fd, part.offset, part.size, "cannot load it").tar())


def written(path: Path, pieces: Iterable[bytes]) -> Path:
    with open(path, "wb") as file:
        for piece in pieces:
            file.write(piece)
            if file.tell() > ENOUGH:
                break
    return path


def layer(data: bytes) -> None:
    """Unpacked; nothing appears beside its tree."""
    place = SCRATCH / "unpacked"
    remove_tree(place)
    (place / "tree").mkdir(parents=True)
    fd = os.open(place / "tree", os.O_RDONLY | os.O_DIRECTORY)
    try:
        unpack(tar.Source(io.BytesIO(data)), fd, "it")
    finally:
        os.close(fd)
        assert ["tree"] == os.listdir(place)
        assert sum(1 for _ in SCRATCH.iterdir()) < 12


def overlay(data: bytes) -> None:
    path = SCRATCH / "overlay"
    path.write_bytes(data)
    with open(path, "rb") as file:
        bounded(overlay_tar(Ext(file.fileno(), 0, len(data), "cannot load it"), "cannot load it"))


# -- files of a store, which may be damaged


def checksummed(data: bytes, header: int, place: int) -> bytes:
    """The bytes with the checksum that they should have, of all behind the header."""
    if len(data) < header:
        return data
    return (data[:place] + struct.pack("<I", zlib.crc32(data[header:]))
            + data[place + 4:])


def entry_list(data: bytes) -> None:
    path = SCRATCH / "entries"
    path.write_bytes(checksummed(data, 48, 40))
    for _ in entries.read_entries(path):
        pass
    entries.read_attributes(path)


def index(data: bytes) -> None:
    path = SCRATCH / "index"
    path.write_bytes(checksummed(data, index_format.SUMMED, 24))
    found = index_reader.IndexReader(path)
    found.fault()
    found.find(b"/etc/hosts")


def tar_recipe(data: bytes) -> None:
    place = SCRATCH / "layer"
    (place / "tree").mkdir(parents=True, exist_ok=True)
    (place / "tree" / "a").write_bytes(b"a" * 1000)
    (place / "recipe").write_bytes(data)
    recipe.tar_size(place / "recipe")
    bounded(recipe.make_tar(place / "recipe"))


TARGETS: Dict[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (reference, manifest, config, challenge, said, logins, compressed, archive,
                     singularity, overlay, layer, entry_list, index, tar_recipe)}


def read(target: str, data: bytes) -> None:
    """Give the bytes to the target; anything but success and our errors is raised."""
    try:
        TARGETS[target](data)
    except LpmxError as error:
        assert error.message.startswith("cannot "), error.message


def main() -> None:
    target = sys.argv.pop(1)
    os.environ["PATH"] = "/nowhere"  # no helper for logins is started
    atheris.Setup(sys.argv, lambda data: read(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
