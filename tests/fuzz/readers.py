"""Bytes that anybody may send, given to what reads them: nothing but our errors comes out.

    python tests/fuzz/fuzz_images.py TARGET [-max_total_time=SECONDS] [CORPUS...]

TARGET is one of the functions below. Needs atheris and an installed package; not
part of the tests, which finish.
"""
from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict

import atheris

with atheris.instrument_imports(include=["lpmx_runtime"]):
    from lpmx_runtime.errors import LpmxError
    from lpmx_runtime.image import archive_docker, archive_oci, archive_root
    from lpmx_runtime.image.archive_files import TarFiles
    from lpmx_runtime.image.streams import decompressed, pieces
    from lpmx_runtime.oci.challenge import choose, parse_challenges, token_scopes
    from lpmx_runtime.oci.config import ImageConfig
    from lpmx_runtime.oci.manifest import Index, Manifest, Platform, check_layers, parse_manifest
    from lpmx_runtime.oci.manifest import choose as choose_entry
    from lpmx_runtime.oci.reference import Reference
    from lpmx_runtime.registry.credentials import find_login
    from lpmx_runtime.registry.failures import Said

HERE = Platform.parse("linux/amd64")
SCRATCH = Path(tempfile.mkdtemp(prefix="lpmx-fuzz-"))


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
        if total > 64 << 20:
            return


def archive(data: bytes) -> None:
    path = SCRATCH / "archive"
    path.write_bytes(data)
    files = TarFiles(path, "cannot load it")
    try:
        if files.size("index.json") is not None:
            archive_oci.find(files, "x", HERE)
        elif archive_root.is_root(files):
            archive_root.find(files, "x", HERE)
        else:
            archive_docker.find(files, "x", HERE)
    finally:
        files.close()


TARGETS: Dict[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (reference, manifest, config, challenge, said, logins, compressed, archive)}


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]

    def one(data: bytes) -> None:
        try:
            target(data)
        except LpmxError as error:
            assert error.message.startswith("cannot "), error.message

    os.environ["PATH"] = "/nowhere"  # no helper for logins is started
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
