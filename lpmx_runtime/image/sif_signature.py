"""Who signed a Singularity image file, and whether that is what the file is now.

A signature is a part of the file: a clear-signed message (RFC 9580, 7) whose text is a JSON
object with the digests of the file's head, of the parts that are signed, and of what the
table says of each (github.com/apptainer/sif, pkg/integrity). It is linked to the group of
parts that it is for, or to one part.
"""
from __future__ import annotations

import hashlib
import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable

from ..errors import ArchiveDamaged
from . import sif
from .gpgv import NotVerifiable, Verdict, judge

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_LIMIT = 1 << 20
_HASH_AND_KEY = struct.Struct("<i20s")
_PIECE = 1 << 20
_VERSION = 1


@dataclass(frozen=True)
class Signature:
    """What the file says of a signature of it: `key` is the fingerprint of who is said to
    have made it, `data` the message, `link` what it is for."""

    key: str
    data: bytes
    link: int

    @property
    def is_pgp(self) -> bool:
        """Whether it can be checked here; others are made with X.509 certificates."""
        return self.data.startswith(_BEGIN)


def signatures(fd: int, failing: str) -> "list[Signature]":
    """The signatures in the open file; whether they are right is another question."""
    found = []
    for part in sif.descriptors(fd, failing):
        if part.kind == sif.SIGNATURE:
            if part.size > _LIMIT:
                raise _wrong(failing, "a signature in it is larger than any is")
            _, key = _HASH_AND_KEY.unpack(part.extra[:_HASH_AND_KEY.size])
            found.append(Signature(key.hex().upper(), os.pread(fd, part.size, part.offset),
                                   part.link))
    return found


def verify(fd: int, failing: str, keyring: Path, scratch: Path) -> str:
    """Verify that the root file system, and every overlay, is signed with a key in the file
    `keyring`; that key's fingerprint. `scratch` is an empty directory.

    Raises `ArchiveDamaged` if it is not, or is not what was signed.
    """
    found = signatures(fd, failing)
    if not found:
        raise _wrong(failing, "it is not signed")
    why = ""
    for number, signature in enumerate(found):
        place = scratch / str(number)
        place.mkdir()
        if not signature.is_pgp:
            why = why or "its signature is of a kind that gpgv does not know"
            continue
        try:
            verdict = judge(signature.data, None, [keyring], place)
        except NotVerifiable as error:
            raise _wrong(failing, f"its signature cannot be verified, {error}") from None
        except OSError as error:
            raise _wrong(failing, f'the keyring "{keyring}" cannot be read, '
                                  f"{os.strerror(error.errno or 0).lower()}") from None
        if verdict.good:
            _compare(fd, failing, verdict.text.read_bytes(), signature.link)
            return verdict.fingerprints[0]
        why = _why(verdict)
    raise _wrong(failing, why)


def _why(verdict: Verdict) -> str:
    if "BADSIG" in verdict.status:
        return "its signature is wrong"
    if verdict.unknown:
        return f"it is signed with keys that are not in the keyring ({', '.join(verdict.unknown)})"
    said = verdict.said.strip().split("\n")[-1]
    return f"it has no valid signature ({said or 'gpgv does not say why'})"


def _compare(fd: int, failing: str, text: bytes, link: int) -> None:
    """Compare the file with what was signed. All parts that the signature is for must be what
    they were, and all that becomes a layer among them."""
    try:
        said: Any = json.loads(text)
        if said["version"] != _VERSION:
            raise _wrong(failing, f"its signature is of version {said['version']!r:.20}")
        head, objects = said["header"]["digest"], {
            one["relativeId"]: (one["descriptorDigest"], one["objectDigest"])
            for one in said["objects"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _wrong(failing, "what was signed makes no sense") from None
    parts = [part for part in sif.descriptors(fd, failing) if part.kind != sif.SIGNATURE]
    group = link if link & sif.GROUPS == sif.GROUPS else None
    wanted = [part for part in parts if (part.group == group if group is not None
                                         else part.id == link)]
    covered = {(part.offset, part.size) for part in wanted}
    root = sif.primary(fd, failing)
    if (root.offset, root.size) not in covered:
        raise _wrong(failing, "its signature is for other parts of it than its files")
    if any((part.offset, part.size) not in covered for part in sif.overlays(fd, failing)):
        raise _wrong(failing, "it has an overlay that its signature is not for")
    first = min(part.id for part in parts if part.group == wanted[0].group)
    if _changed(head, [sif.identity(fd)]):
        raise _changed_since(failing)
    if group is not None and set(objects) != {part.id - first for part in wanted}:
        raise _wrong(failing, "it has other parts than when it was signed")
    for part in wanted:
        number = part.id - first
        if number not in objects:
            raise _wrong(failing, "its signature is for other parts of it than its files")
        before, after = part.signed
        if (_changed(objects[number][0], [before, struct.pack("<I", number), after])
                or _changed(objects[number][1], _content(fd, part))):
            raise _changed_since(failing)


def _changed(digest: object, pieces: Iterable[bytes]) -> bool:
    """Whether the bytes do not have the digest, "sha256:...", or that is none."""
    algorithm, _, value = str(digest).partition(":")
    if algorithm not in ("sha256", "sha384", "sha512"):
        return True
    hasher = hashlib.new(algorithm)
    for piece in pieces:
        hasher.update(piece)
    return hasher.hexdigest() != value


def _content(fd: int, part: sif.Descriptor) -> "Iterable[bytes]":
    at, end = part.offset, part.offset + part.size
    while at < end:
        piece = os.pread(fd, min(_PIECE, end - at), at)
        if not piece:
            return
        yield piece
        at += len(piece)


def _changed_since(failing: str) -> ArchiveDamaged:
    return _wrong(failing, "it is not what was signed")


def _wrong(failing: str, cause: str) -> ArchiveDamaged:
    return ArchiveDamaged(f"{failing}: {cause}",
                          hint="get it again from whoever signs it, or leave --keyring out")
