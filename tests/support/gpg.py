"""A key of our own, and gpg to sign with it."""
from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Iterator

import pytest


class Signer:
    """Signs what a mirror says. `ring` and `armored` are files with the public key."""

    def __init__(self, home: Path) -> None:
        self._home = home
        home.mkdir(mode=0o700)
        self._gpg("--quick-generate-key", "--passphrase", "", "Mirror <mirror@example.org>",
                  "ed25519", "sign", "never")
        self.ring, self.armored = home / "ring.gpg", home / "ring.asc"
        self._gpg("--output", str(self.ring), "--export")
        self._gpg("--output", str(self.armored), "--armor", "--export")

    def _gpg(self, *arguments: str, data: bytes = b"") -> bytes:
        return subprocess.run(["gpg", "--homedir", str(self._home), "--batch", "--quiet",
                               "--pinentry-mode", "loopback", *arguments],
                              input=data, stdout=subprocess.PIPE, check=True).stdout

    def clear_sign(self, text: str) -> bytes:
        """The text with its signature around it, as in InRelease."""
        return self._gpg("--clear-sign", data=text.encode())

    def detach_sign(self, text: str) -> bytes:
        """The signature alone, as in Release.gpg."""
        return self._gpg("--detach-sign", "--armor", data=text.encode())

    def close(self) -> None:
        """End the agent that gpg started."""
        subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "all"], check=True)


def make_signer(directory: Path) -> Iterator[Signer]:
    """For a fixture: a signer, or a skip."""
    if shutil.which("gpg") is None or shutil.which("gpgv") is None:
        pytest.skip("needs gpg and gpgv")
    signer = Signer(directory / "home")
    yield signer
    signer.close()
