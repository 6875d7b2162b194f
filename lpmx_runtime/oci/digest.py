"""Digests: names that say which bytes they mean (OCI image spec, "Digests")."""
from __future__ import annotations

import re

from ..errors import DigestMismatch
from ..light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Union

    _Bytes = Union[bytes, bytearray, memoryview]

_DIGEST = r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"


def is_digest(text: object) -> bool:
    """Whether `text` is a well-formed digest of an algorithm that we compute."""
    return isinstance(text, str) and re.fullmatch(_DIGEST, text) is not None


def digest_of(data: _Bytes, algorithm: str = "sha256") -> str:
    """The digest of `data`."""
    hasher = _own_sha256(data) if algorithm == "sha256" else None
    if hasher is None:
        import hashlib
        hasher = hashlib.new(algorithm, data)
    return f"{algorithm}:{hasher.hexdigest()}"


def _own_sha256(data: _Bytes) -> Any:
    """The interpreter's own SHA-256 of `data`; None if it has none.

    hashlib takes OpenSSL's, which is faster, and to load that costs more than to make a
    container, whose index is found by a digest (store/index.py).
    """
    from importlib import import_module
    for module in ("_sha2", "_sha256"):  # since Python 3.12, before
        try:
            return import_module(module).sha256(data)
        except ImportError:
            pass
    return None


def short(digest: str) -> str:
    """The first digits, for people."""
    return digest.partition(":")[2][:12]


class Digester:
    """The digest of bytes as they pass."""

    def __init__(self, algorithm: str = "sha256") -> None:
        import hashlib
        self._hasher = hashlib.new(algorithm)

    def update(self, data: _Bytes) -> None:
        self._hasher.update(data)

    @property
    def actual(self) -> str:
        """The digest of what passed so far."""
        return f"{self._hasher.name}:{self._hasher.hexdigest()}"


class Verifier(Digester):
    """Compares bytes, as they pass, with the digest that they should have."""

    def __init__(self, digest: str) -> None:
        super().__init__(digest.partition(":")[0])
        self.digest = digest

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
