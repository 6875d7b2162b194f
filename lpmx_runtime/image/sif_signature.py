"""Who signed a Singularity image file, and whether that is what the file is now.

A signature is a part of the file: a clear-signed message (RFC 9580, 7), or one in an envelope
(github.com/secure-systems-lab/dsse) that a bare key has signed. Its text is a JSON object with
the digests of the file's head, of the parts that are signed, and of what the table says of each
(github.com/apptainer/sif, pkg/integrity). It is linked to the group of parts that it is for, or
to one part.
"""
from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable

from ..errors import ArchiveDamaged
from . import openssl, sif
from .gpgv import NotVerifiable, Verdict, judge

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_PAYLOAD = "application/vnd.sylabs.sif-metadata+json"
_DIGESTS = {1: "sha256", 2: "sha384", 3: "sha512"}
# Of one signature; and how many are looked at, for anybody can say that there are thousands.
_LIMIT = 1 << 20
_MANY = 64
_HASH_AND_KEY = struct.Struct("<i20s")
_PIECE = 1 << 20
_VERSION = 1


@dataclass(frozen=True)
class Signature:
    """What the file says of a signature of it: `key` is the fingerprint of who is said to
    have made it, `digest` what was used for that, `data` the message, `link` what it is for."""

    key: str
    digest: str
    data: bytes
    link: int

    @property
    def is_pgp(self) -> bool:
        """Whether it is a clear-signed message."""
        return self.data.startswith(_BEGIN)


class _No(Exception):
    """Why a signature does not speak for the file. `rank`: of several the highest is told."""

    def __init__(self, cause: str, rank: int = 0) -> None:
        super().__init__(cause)
        self.rank = rank


def signatures(fd: int, failing: str) -> "list[Signature]":
    """The signatures in the open file; whether they are right is another question."""
    found: "list[Signature]" = []
    for part in sif.descriptors(fd, failing):
        if part.kind == sif.SIGNATURE:
            if part.size > _LIMIT:
                raise _wrong(failing, "a signature in it is larger than any is")
            if len(found) == _MANY:
                raise _wrong(failing, f"it has more than {_MANY} signatures")
            digest, key = _HASH_AND_KEY.unpack(part.extra[:_HASH_AND_KEY.size])
            data = os.pread(fd, part.size, part.offset)
            found.append(Signature(key.hex().upper() if any(key) else _key_ids(data),
                                   _DIGESTS.get(digest, "sha256"), data, part.link))
    return found


def _key_ids(data: bytes) -> str:
    """What an envelope calls the keys that it is signed with."""
    try:
        made = json.loads(data)["signatures"][:_MANY]
        return " ".join(str(one["keyid"])[:100] for one in made)
    except (ValueError, KeyError, TypeError, RecursionError):
        return "a key that it does not name"


def verify(fd: int, failing: str, keyring: Path, scratch: Path) -> str:
    """Verify that all of the file that becomes the image is signed with a key in the file
    `keyring`, be it of PGP or PEM; that key's fingerprint. One such signature is enough, whatever
    others there are. `scratch` is an empty directory.

    Raises `ArchiveDamaged` if there is none, or the file is not what was signed.
    """
    found = signatures(fd, failing)
    if not found:
        raise _wrong(failing, "it is not signed")
    why: "list[_No]" = []
    for number, signature in enumerate(found):
        place = scratch / str(number)
        place.mkdir()
        try:
            key, text = (_of_pgp if signature.is_pgp else _of_envelope)(signature, keyring, place)
            _compare(fd, failing, text, signature.link)
            return key
        except _No as no:
            why.append(no)
        except NotVerifiable as error:
            why.append(_No(f"its signature cannot be verified, {error}", 1))
        except OSError as error:
            raise _wrong(failing, f'the keyring "{keyring}" cannot be read, '
                                  f"{os.strerror(error.errno or 0).lower()}") from None
    raise _wrong(failing, str(max(why, key=lambda no: no.rank)))


def _of_pgp(signature: Signature, keyring: Path, place: Path) -> "tuple[str, bytes]":
    """The key, and what it has signed."""
    verdict = judge(signature.data, None, [keyring], place)
    if not verdict.good:
        raise _why(verdict)
    return verdict.fingerprints[0], verdict.text.read_bytes()


def _why(verdict: Verdict) -> _No:
    if "BADSIG" in verdict.status:
        return _No("its signature is wrong", 2)
    if verdict.unknown:
        return _No("it is signed with keys that are not in the keyring "
                   f"({', '.join(verdict.unknown)})", 1)
    said = verdict.said.strip().split("\n")[-1]
    return _No(f"it has no valid signature ({said or 'gpgv does not say why'})")


def _of_envelope(signature: Signature, keyring: Path, place: Path) -> "tuple[str, bytes]":
    """The key, and what it has signed."""
    try:
        envelope: Any = json.loads(signature.data)
        kind, body = envelope["payloadType"], base64.b64decode(envelope["payload"])
        made = [base64.b64decode(one["sig"]) for one in envelope["signatures"][:_MANY]]
        type_ = str(kind).encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _No("its signature is of a kind that nobody knows") from None
    if kind != _PAYLOAD:
        raise _No(f'its signature is for something else, "{kind!s:.60}"')
    keys = openssl.public_keys(keyring)
    data = b"DSSEv1 %d %b %d %b" % (len(type_), type_, len(body), body)
    for key in keys:
        for each in made:
            if openssl.has_signed(key, data, each, signature.digest, place):
                return openssl.fingerprint(key), body
    raise _No("it is signed with a bare key, and none of the keyring has done that" if keys else
              "it is signed with a bare key, and the keyring has none (PEM, PUBLIC KEY)", 1)


def _compare(fd: int, failing: str, text: bytes, link: int) -> None:
    """Compare the file with what was signed. All parts that the signature is for must be what
    they were, and all that becomes the image among them."""
    try:
        said: Any = json.loads(text)
        if said["version"] != _VERSION:
            raise _No(f"its signature is of version {said['version']!r:.20}", 3)
        head, objects = said["header"]["digest"], {
            one["relativeId"]: (one["descriptorDigest"], one["objectDigest"])
            for one in said["objects"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _No("what was signed makes no sense", 3) from None
    parts = [part for part in sif.descriptors(fd, failing) if part.kind != sif.SIGNATURE]
    group = link if link & sif.GROUPS == sif.GROUPS else None
    wanted = [part for part in parts if (part.group == group if group is not None
                                         else part.id == link)]
    _check_covered(fd, failing, wanted)
    first = min(part.id for part in parts if part.group == wanted[0].group)
    if _changed(head, [sif.identity(fd)]):
        raise _changed_since()
    if group is not None and set(objects) != {part.id - first for part in wanted}:
        raise _No("it has other parts than when it was signed", 3)
    for part in wanted:
        number = part.id - first
        if number not in objects:
            raise _No("its signature is for other parts of it than its files", 3)
        before, after = part.signed
        if (_changed(objects[number][0], [before, struct.pack("<I", number), after])
                or _changed(objects[number][1], _content(fd, part))):
            raise _changed_since()


def _check_covered(fd: int, failing: str, covered: "list[sif.Descriptor]") -> None:
    """All that becomes the image must be among what was signed: the parts as the table has
    them, for anybody can add an entry that says something else of bytes that are signed."""
    files, overlays = sif.image_parts(fd, failing)
    if not all(part in covered for part in files):
        raise _No("its signature is for other parts of it than its files", 3)
    if not all(part in covered for part in overlays):
        raise _No("it has an overlay that its signature is not for", 3)


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


def _changed_since() -> _No:
    return _No("it is not what was signed", 4)


def _wrong(failing: str, cause: str) -> ArchiveDamaged:
    return ArchiveDamaged(f"{failing}: {cause}",
                          hint="get it again from whoever signs it, or leave --keyring out")
