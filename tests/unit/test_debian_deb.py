"""Package files are read in every compression, and damaged ones are refused."""
from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import subprocess
from pathlib import Path
from typing import Callable

import pytest
import zstandard
from lpmx_runtime.errors import BootstrapFailed
from lpmx_runtime.image.debian.deb import Deb
from support import debs
from support.layers import directory, file, link, symlink, tar

CONTENT = tar(directory(b"."), directory(b"./usr"), file(b"./usr/a", b"content\n"),
              symlink(b"./usr/b", b"a"), link(b"./usr/c", b"./usr/a"))

COMPRESSIONS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress,
                ".zst": zstandard.ZstdCompressor().compress,
                ".lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE)}


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_package_file_in_every_compression(tmp_path: Path, suffix: str) -> None:
    """Control and data may be compressed in any way that dpkg ever used."""
    compress: Callable[[bytes], bytes] = COMPRESSIONS[suffix]
    path = debs.write(tmp_path / "a.deb", {"control": b"Package: a\n", "postinst": b"#!/bin/sh\n"},
                      CONTENT, suffix=suffix, compress=compress)

    with Deb(path) as deb:
        found = [(member.name, member.kind, b"".join(piece for _, piece in reader.content(member)))
                 for member, reader in deb.members()]

    assert {"control", "postinst"} == set(deb.control)
    assert 0o755 == deb.control["postinst"].mode
    assert [(b"./", "directory", b""), (b"./usr/", "directory", b""),
            (b"./usr/a", "file", b"content\n"), (b"./usr/b", "symlink", b""),
            (b"./usr/c", "link", b"")] == found


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd", "none"])
def test_package_file_made_by_dpkg(tmp_path: Path, compression: str) -> None:
    """What dpkg-deb writes, we read."""
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text("Package: a\nVersion: 1\nArchitecture: all\n"
                                             "Maintainer: A <a@example.org>\nDescription: a\n")
    (root / "usr").mkdir()
    (root / "usr" / "big").write_bytes(bytes(range(256)) * 4096)
    made = subprocess.run(["dpkg-deb", "--root-owner-group", f"-Z{compression}", "-b", str(root),
                           str(tmp_path / "a.deb")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if made.returncode and b"unknown compression" in made.stdout:
        pytest.skip(f"this dpkg-deb does not know {compression}")

    with Deb(tmp_path / "a.deb") as deb:
        sizes = {member.name: sum(len(piece) for _, piece in reader.content(member))
                 for member, reader in deb.members()}

    assert 1 << 20 == sizes[b"./usr/big"]
    assert b"Version: 1\n" in deb.control["control"].content


def damaged(whole: bytes) -> dict[str, bytes]:
    """Ways in which a package file can be none."""
    return {
        "it is no package file": b"PK\3\4" + whole,
        "it is cut short": whole[:-100],
        "it has a broken header": whole[:8 + 58] + b"xx" + whole[8 + 60:],
        "it has no data.tar": whole.replace(b"data.tar.xz", b"dota.tar.xz"),
        "compressed in a way we cannot read": whole.replace(b"data.tar.xz", b"data.tar.rz"),
        "damaged": whole.replace(b"data.tar.xz", b"data.tar.gz"),
    }


@pytest.mark.parametrize("cause", damaged(b""))
def test_damaged_package_file_is_refused(tmp_path: Path, cause: str) -> None:
    """The message names the file and what is wrong with it."""
    path = debs.write(tmp_path / "a.deb", {"control": b"Package: a\n"}, CONTENT, suffix=".xz",
                      compress=lzma.compress)
    path.write_bytes(damaged(path.read_bytes())[cause])

    with pytest.raises(BootstrapFailed, match='cannot read package file "a.deb": ') as failure:
        with Deb(path) as deb:
            list(deb.members())

    if cause != "damaged":
        assert cause in str(failure.value)


def test_package_file_without_a_control_file_is_refused(tmp_path: Path) -> None:
    """Without one nobody knows what it is."""
    path = debs.write(tmp_path / "a.deb", {"md5sums": b""}, CONTENT)

    with pytest.raises(BootstrapFailed, match="it has no control file"):
        Deb(path)
