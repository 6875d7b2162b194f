"""What `openssl`, which nearly every host has, says about a signature by a bare key."""
from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Sequence

from .gpgv import NotVerifiable

_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----\r?\n(.*?)-----END PUBLIC KEY-----", re.DOTALL)
#: How the key of an Ed25519 signature begins (RFC 8410, 4); it has its digest built in.
_ED25519 = bytes.fromhex("302a300506032b6570032100")


def public_keys(path: Path) -> list[bytes]:
    """The keys in the file, in DER (RFC 5280, SubjectPublicKeyInfo); none if it has others.

    Raises the OSError of a file that cannot be read, or whose text is damaged.
    """
    try:
        return [base64.b64decode(b"".join(block.split()), validate=True)
                for block in _PEM.findall(path.read_bytes())]
    except binascii.Error:
        raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG), str(path)) from None


def fingerprint(key: bytes) -> str:
    """What tells the key from others."""
    return f"SHA256:{hashlib.sha256(key).hexdigest()}"


def has_signed(key: bytes, data: bytes, signature: bytes, digest: str, scratch: Path) -> bool:
    """Whether `signature` is one of `data` by `key`, RSA or ECDSA with `digest`, or Ed25519.

    `scratch` is a directory for it. Raises `NotVerifiable` without openssl.
    """
    program = shutil.which("openssl")
    if program is None:
        raise NotVerifiable("this host has no openssl")
    names = scratch / "key.der", scratch / "data", scratch / "signature"
    for name, content in zip(names, (key, data, signature)):
        name.write_bytes(content)
    if key.startswith(_ED25519):
        how: Sequence[object] = ("pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey",
                                 names[0], "-rawin", "-in", names[1], "-sigfile", names[2])
    else:
        how = ("dgst", f"-{digest}", "-keyform", "DER", "-verify", names[0], "-signature",
               names[2], names[1])
    return subprocess.run([program, *map(str, how)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0
