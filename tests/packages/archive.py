"""Packages for the soak: each file comes from the network once, however many places install it."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Optional, Sequence

from support import images
from support.mirror import Mirror


def directory() -> Path:
    """Where downloaded packages stay for the next run."""
    kept = images.Cache().path / "packages"
    kept.mkdir(parents=True, exist_ok=True)
    return kept


class Archive(Mirror):
    """The machine's Debian mirror on loopback, with its packages kept on disk.

    What has the same name for ever (the pool, and lists by their hash) is kept on disk
    for later runs; other lists are those of the first question, so that all places of
    a run see one state of the archive.
    """

    def __init__(self) -> None:
        super().__init__(images.mirror())
        self._kept = directory() / "debian"

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _file(self, path: str) -> Optional[bytes]:
        if not path.startswith("pool/") and "/by-hash/" not in path:
            return super()._file(path)
        kept = self._kept / path
        if not kept.exists():
            content = self.fetch(path)
            if content is None:
                return None
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
                file.write(content)
            os.replace(file.name, kept)
        return kept.read_bytes()


def given() -> Path:
    """A directory for places to see as /mnt: wheels-VERSION and npm, npm-old, below."""
    made = directory() / "given"
    made.mkdir(exist_ok=True)
    return made


def wheels(python: str, names: Sequence[str]) -> None:
    """Have wheels of these projects, and what they need, for that Python."""
    made = given() / f"wheels-{python}"
    if not made.exists():
        staging = Path(tempfile.mkdtemp(dir=directory()))
        run_host(sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:",
                 "--python-version", python, "--implementation", "cp",
                 *(f"--platform=manylinux_2_{minor}_x86_64" for minor in (17, 27, 28)),
                 "--platform=manylinux2014_x86_64",
                 "-d", str(staging), *names)
        images.permit("a+rX", staging)
        staging.rename(made)


def modules(name: str, names: Sequence[str]) -> None:
    """Have there a package.json that names these, its lock, and npm's cache of all that is in it."""
    made = given() / name
    if not made.exists():
        staging = Path(tempfile.mkdtemp(dir=directory()))
        run_host("npm", "install", "--silent", "--cache", str(staging / "cache"),
                 "--lockfile-version=2", "--omit-lockfile-registry-resolved=false",
                 "--ignore-scripts", *names, cwd=staging)
        shutil.rmtree(staging / "node_modules")
        images.permit("a+rX", staging)
        staging.rename(made)


def run_host(*command: str, cwd: Optional[Path] = None) -> None:
    subprocess.run(command, cwd=cwd, check=True, stdin=subprocess.DEVNULL)
