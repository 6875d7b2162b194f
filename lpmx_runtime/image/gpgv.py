"""What `gpgv`, which many hosts have, says about a signature."""
from __future__ import annotations

import base64
import binascii
import errno
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple, Optional, Sequence

_ARMOR = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(.*?)-----END", re.DOTALL)


class NotVerifiable(Exception):
    """This host cannot check signatures; the text says what it lacks."""


class Verdict(NamedTuple):
    """`status` are gpgv's lines for programs, `text` is the file with what was signed, `said`
    what it told people."""

    status: str
    text: Path
    said: str

    @property
    def good(self) -> bool:
        """Whether a key that is known, and neither expired nor revoked, has signed, and none
        of the signatures is wrong."""
        return "[GNUPG:] GOODSIG " in self.status and "[GNUPG:] BADSIG " not in self.status

    @property
    def unknown(self) -> list[str]:
        """Keys that signed and are not known."""
        return re.findall(r"NO_PUBKEY ([0-9A-F]+)", self.status)

    @property
    def fingerprints(self) -> list[str]:
        """Of the keys that signed well."""
        return re.findall(r"VALIDSIG ([0-9A-F]+)", self.status)


def judge(signed: bytes, detached: Optional[bytes], keyrings: Sequence[Path],
          scratch: Path) -> Verdict:
    """Check `signed`, which is clear-signed or goes with the signature `detached`.

    `keyrings` are files with keys, armored or not, `scratch` is an empty directory. Raises
    `NotVerifiable` without gpgv, and the `OSError` of a keyring that cannot be read, or whose
    armor is damaged.
    """
    program = shutil.which("gpgv")
    if program is None:
        raise NotVerifiable("this host has no gpgv")
    rings = [_binary(ring, scratch / f"keyring{number}.gpg")
             for number, ring in enumerate(keyrings)]
    text, content, signature = scratch / "text", scratch / "signed", scratch / "signature"
    content.write_bytes(signed)
    command = [program, "--quiet", "--homedir", str(scratch), "--status-fd", "1"]
    for ring in rings:
        command += ["--keyring", str(ring)]
    if detached is None:
        command += ["--output", str(text), str(content)]
    else:
        signature.write_bytes(detached)
        command += [str(signature), str(content)]
        text = content
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"}, check=False)
    return Verdict(result.stdout.decode("utf-8", "replace"), text,
                   result.stderr.decode("utf-8", "replace"))


def _binary(ring: Path, place: Path) -> Path:
    """`ring` in the form that gpgv reads; armored ones are unwrapped to `place`."""
    data = ring.read_bytes()
    blocks = _ARMOR.findall(data)
    if not blocks:
        return ring.absolute()
    try:
        keys = b"".join(map(_unwrap, blocks))
    except binascii.Error:
        raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG), str(ring)) from None
    place.write_bytes(keys)
    return place


def _unwrap(block: bytes) -> bytes:
    """The bytes of an armored block, its headers and its checksum left out (RFC 9580, 6)."""
    lines = [line.strip() for line in block.split(b"\n")]
    if b"" in lines:
        lines = lines[lines.index(b"") + 1:]
    return base64.b64decode(b"".join(line for line in lines if not line.startswith(b"=")))
