"""Digests: names that say which bytes they mean (OCI image spec, "Digests")."""
from __future__ import annotations

import re
from typing import Union

from ..errors import DigestMismatch

_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z")

_Bytes = Union[bytes, bytearray, memoryview]


def is_digest(text: object) -> bool:
    """Whether `text` is a well-formed digest of an algorithm that we compute."""
    return isinstance(text, str) and _DIGEST.match(text) is not None


def digest_of(data: _Bytes, algorithm: str = "sha256") -> str:
    """The digest of `data`."""
    import hashlib  # loads OpenSSL, some milliseconds of a start that may hash nothing
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def short(digest: str) -> str:
    """The first digits, for people."""
    return digest.partition(":")[2][:12]


class Verifier:
    """Compares bytes, as they pass, with the digest that they should have."""

    def __init__(self, digest: str) -> None:
        import hashlib
        self.digest = digest
        self._hasher = hashlib.new(digest.partition(":")[0])

    def update(self, data: _Bytes) -> None:
        self._hasher.update(data)

    @property
    def actual(self) -> str:
        """The digest of what passed so far."""
        return f"{self._hasher.name}:{self._hasher.hexdigest()}"

    @property
    def agrees(self) -> bool:
        return self.actual == self.digest

    def check(self, what: str, *, failing: str) -> None:
        """Raise `DigestMismatch` unless the bytes of `what` were the right ones."""
        if not self.agrees:
            raise mismatch(what, self.digest, self.actual, failing=failing)


def mismatch(what: str, digest: str, actual: str, *, failing: str) -> DigestMismatch:
    return DigestMismatch(
        f"{failing}: the bytes of {what} hash to {actual}, not to {digest}",
        hint="the copy is damaged, or somebody changed it on the way; try again, "
             "and tell whoever runs the registry if that does not help")
