"""Blobs by digest: manifests, image configs and whatever else a registry serves."""
from __future__ import annotations

import os

from ..errors import DigestMismatch, StoreError
from ..light import TYPE_CHECKING
from ..oci.digest import Verifier
from .files import make_directory, split_digest, storing, unlink, write_file

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO, Iterable, Iterator, Optional, Sequence


class Blobs:
    """The store's `blobs` directory, laid out as in an OCI image layout.

    What is not there is looked for in those of other stores, `below`.
    """

    def __init__(self, directory: Path, below: Sequence["Blobs"] = ()) -> None:
        self.directory = directory
        self._below = below

    def path(self, digest: str) -> Path:
        """Where the blob is in this store, or would be."""
        return self.directory / "/".join(split_digest(digest))

    def has(self, digest: str) -> bool:
        """Whether the blob is here; what is here was verified when it came."""
        return self.path(digest).is_file() or self._has_below(digest) is not None

    def _has_below(self, digest: str) -> "Optional[Blobs]":
        """Which of the other stores has it. What is closed to us is as if it were not there."""
        return next((one for one in self._below if os.access(one.path(digest), os.R_OK)), None)

    def open(self, digest: str) -> BinaryIO:
        """The blob's bytes, as a file opened for reading."""
        try:
            return open(self.path(digest), "rb")
        except FileNotFoundError:
            home = self._has_below(digest)
            if home is not None:
                return home.open(digest)
            raise StoreError(f"cannot open blob {digest}: the store does not have it",
                             hint="pull the image again") from None

    def put(self, digest: str, chunks: Iterable[bytes]) -> Path:
        """Store the bytes of `chunks` as the blob `digest` and return its place.

        Raises `DigestMismatch`, with nothing stored, if they hash to something
        else. Two processes may store the same blob at once; each writes its
        own copy aside, and the last one's takes the name.
        """
        path = self.path(digest)

        def verified() -> Iterator[bytes]:
            verifier = Verifier(digest)
            for chunk in chunks:
                verifier.update(chunk)
                yield chunk
            if not verifier.agrees:
                raise DigestMismatch(
                    f"cannot store blob {digest}: its bytes hash to {verifier.actual}",
                    hint="the copy is damaged or is another thing; fetch it again")

        with storing(f"blob {digest}"):
            make_directory(path.parent, may_exist=True)
            write_file(path, verified())
        return path

    def list(self) -> list[str]:
        """The digests of all blobs of this store."""
        return sorted(f"{algorithm.name}:{blob.name}"
                      for algorithm in self.directory.iterdir() if algorithm.is_dir()
                      for blob in algorithm.iterdir() if not blob.name.startswith("."))

    def remove(self, digest: str) -> None:
        """Remove the blob; a missing one is fine."""
        unlink(self.path(digest))
