"""One repository of a registry: its manifests, blobs and tags.

OCI distribution spec, "Pull" and "Content Discovery".
"""
from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import Optional, Sequence, Union

import requests

from .. import settings
from ..errors import DigestMismatch, LpmxError, NotFoundInRegistry, RegistryError, Unauthorized
from ..oci.digest import digest_of, is_digest, mismatch
from ..oci.manifest import INDEXES, MANIFESTS, SIZE_LIMIT, Descriptor
from ..oci.reference import Reference
from ..progress import Sink, ignore
from .address import Mirror, make_address
from .authority import Authority, login_hint
from .connection import BODY_LIMIT, Connection
from .credentials import find_login
from .failures import BROKEN, Said, status_line
from .pages import LIMIT, body, pages
from .patience import USUAL, Patience
from .stop import Stop
from .stream import BlobStream
from .upload import Uploader

_ACCEPT = ", ".join(MANIFESTS + INDEXES)


@dataclass(frozen=True)
class Document:
    """A manifest or an index as it came, and its digest."""

    data: bytes
    media_type: str
    digest: str


class Repository:
    """The repository of `reference`, open for reading by several threads.

    `failing` is how messages begin: 'cannot pull "ubuntu:18.04"'. A registry on
    loopback, one of the setting `insecure_registries`, or one that is
    `insecure`, may speak plain HTTP. Logins are looked for when one is asked
    for. With `mirror` the repository is sought there and not in the registry
    of its name. With `push` it can be written to, and blobs be taken over from the
    repositories `sources` of the registry. Close it, or use `with`.
    """

    def __init__(self, reference: Reference, *, failing: str, insecure: bool = False,
                 patience: Patience = USUAL, progress: Sink = ignore,
                 stop: Optional[Stop] = None, mirror: Optional[str] = None,
                 push: bool = False, sources: Sequence[str] = ()) -> None:
        self.reference = reference
        self.failing = failing
        known = settings.insecure_registries()
        if mirror is None:
            address = make_address(reference.registry,
                                   insecure=insecure or reference.registry in known)
            self._name = reference.repository
        else:
            found = Mirror.parse(mirror, insecure=insecure)
            address = make_address(found.address.registry,
                                   insecure=found.address.insecure
                                   or found.address.registry in known)
            self._name = found.prefix + reference.repository
        self.registry = address.registry
        self.stop = stop or Stop()
        self._connection = Connection(
            address, failing=failing, patience=patience, progress=progress, stop=self.stop,
            certificates=settings.certificate_folders())
        self._authority = Authority(
            self._connection, self._name,
            lambda: find_login(address.registry, self._name, settings.login_files()),
            push=push, sources=sources)

    def __enter__(self) -> "Repository":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @property
    def name(self) -> str:
        """What the registry calls it."""
        return self._name

    def manifest(self, name: str) -> Document:
        """The manifest or index that a tag or a digest names, verified."""
        response = self._get(f"manifests/{name}", {"Accept": _ACCEPT})
        with response:
            if response.status_code != 200:
                self._refuse_manifest(name, response)
            data = self._body(response, SIZE_LIMIT, "the manifest")
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        if media_type in ("text/html", "application/xhtml+xml"):
            raise RegistryError(f'{self.failing}: what answers at "{self.registry}" is '
                                "no registry", hint="check the name; behind a gateway, log in there")
        stated = response.headers.get("Docker-Content-Digest", "").strip()
        wanted = name if is_digest(name) else stated if is_digest(stated) else digest_of(data)
        actual = digest_of(data, wanted.partition(":")[0])
        if actual != wanted:
            raise mismatch("the manifest", wanted, actual, failing=self.failing)
        return Document(data, media_type, wanted)

    def document(self, descriptor: Descriptor, limit: int, what: str) -> bytes:
        """All of a small blob, verified."""
        if descriptor.size > limit:
            raise DigestMismatch(f"{self.failing}: {what} has {descriptor.size} bytes, more than "
                                 "any tool writes", hint="do not use this image")
        stream, data = self.blob(descriptor, what), b""
        try:
            while True:
                piece = stream.read(descriptor.size + 1)
                if not piece:
                    return data
                data += piece
        finally:
            stream.close()

    def blob(self, descriptor: Descriptor, what: str) -> BlobStream:
        """The bytes of a blob, verified at their end; `what` names it in messages.

        One that the registry lacks because it may not be passed on is sought
        where its descriptor says that it is.
        """
        return BlobStream(self._connection, self._path(f"blobs/{descriptor.digest}"), descriptor,
                          what, login=self._authority,
                          refuse=lambda response: self._refuse_blob(what, response))

    def tags(self) -> Optional[list[str]]:
        """The repository's tags, of many only the first; None if it does not exist."""
        response = self._get("tags/list", {})
        with response:
            if response.status_code == 404:
                return None
            if response.status_code != 200:
                self._refuse("tags", response)
            data = self._body(response, LIMIT, "the list of tags")
        return self._tags_in(data)

    def all_tags(self) -> list[str]:
        """All tags of the repository by name, got page by page (OCI distribution spec, "Listing Tags")."""
        found: dict[str, None] = {}
        for page in pages(self._connection, self._path("tags/list"), self._authority,
                          "the list of tags", self._refuse_tags):
            found.update(dict.fromkeys(self._tags_in(page)))
        return sorted(found)

    def _refuse_tags(self, response: requests.Response) -> None:
        if response.status_code == 404:
            raise NotFoundInRegistry(
                f'{self.failing}: the registry has no repository "{self._name}"',
                hint=f'check the name; "{self.registry}" is where it was looked for')
        self._refuse("tags", response)

    def _tags_in(self, data: bytes) -> list[str]:
        try:
            tags = json.loads(data).get("tags") or []
        except (ValueError, AttributeError, RecursionError):
            raise RegistryError(f"{self.failing}: the list of tags makes no sense",
                                hint="tell whoever runs the registry") from None
        return [tag for tag in tags if isinstance(tag, str)]

    # -- writing

    def has_blob(self, digest: str, what: str) -> bool:
        """Whether the repository has the blob."""
        response = self._connection.send("HEAD", self._path(f"blobs/{digest}"), headers={},
                                         login=self._authority)
        with response:
            if response.status_code not in (200, 404):
                self._refuse(what, response)
            return response.status_code == 200

    def uploader(self) -> Uploader:
        """Who puts blobs there."""
        return Uploader(self._connection, self._authority, self._path("blobs"),
                        has_blob=self.has_blob, refuse=self._refuse_upload)

    def put_manifest(self, name: str, data: bytes, media_type: str) -> str:
        """Have a manifest under a tag; its digest. The blobs that it names must be there."""
        response = self._connection.send(
            "PUT", self._path(f"manifests/{name}"), headers={"Content-Type": media_type},
            login=self._authority, body=data)
        with response:
            if response.status_code not in (200, 201, 202, 204):
                self._refuse_upload(f'the manifest "{name}"', response)
            stated = response.headers.get("Docker-Content-Digest", "").strip()
        digest = digest_of(data)
        if is_digest(stated) and stated.startswith("sha256:") and stated != digest:
            raise mismatch("the manifest, as the registry has it,", digest, stated,
                           failing=self.failing)
        return digest

    def _refuse_upload(self, what: str, response: requests.Response) -> None:
        """Raise for something that the registry did not take."""
        status = response.status_code
        if status in (401, 403, 429) or status >= 500:
            self._refuse(what, response)
        raise RegistryError(f"{self.failing}: the registry does not take {what} "
                            f"({status_line(status)}{self._said(response)})",
                            hint=f'check that "{self.registry}" is a registry, and that you may '
                                 f'write to "{self._name}"')

    # -- answers

    def _path(self, rest: str) -> str:
        return f"/v2/{self._name}/{rest}"

    def _get(self, rest: str, headers: dict[str, str]) -> requests.Response:
        return self._connection.get(self._path(rest), headers=headers, login=self._authority)

    def _body(self, response: requests.Response, limit: int, what: str) -> bytes:
        return body(self._connection, response, limit, what)

    def _said(self, response: requests.Response) -> Said:
        try:
            return Said(response.raw.read(BODY_LIMIT, decode_content=True))
        except BROKEN:
            return Said(b"")

    def _refuse_manifest(self, name: str, response: requests.Response) -> None:
        if response.status_code != 404:
            self._refuse(f'"{name}"', response)
        repository, registry = self._name, self.registry
        tags = self._tags_for_hint()
        if tags is None:
            raise NotFoundInRegistry(
                f'{self.failing}: the registry has no repository "{repository}"',
                hint=f'check the name; "{registry}" is where it was looked for')
        kind = "digest" if is_digest(name) else "tag"
        raise NotFoundInRegistry(f'{self.failing}: the repository has no {kind} "{name}"',
                                 hint=_offer(name, tags))

    def _tags_for_hint(self) -> Union[list[str], None]:
        """The tags; an empty list if they cannot be had, which is not worth a message."""
        try:
            return self.tags()
        except LpmxError:
            return []

    def _refuse_blob(self, what: str, response: requests.Response) -> None:
        if response.status_code == 404:
            raise NotFoundInRegistry(f"{self.failing}: the registry does not have {what}, "
                                     "which its own manifest names",
                                     hint="have the image pushed again")
        self._refuse(what, response)

    def _refuse(self, what: str, response: requests.Response) -> None:
        """Raise for an answer that is no success."""
        status, said = response.status_code, self._said(response)
        answer = f"({status_line(status)}{said})"
        registry = self.registry
        if status in (401, 403):
            yours = " with your login" if self._authority.has_login else ""
            raise Unauthorized(f"{self.failing}: the registry refused the request{yours} {answer}",
                               hint=login_hint(registry))
        if status == 429:
            raise RegistryError(f"{self.failing}: the registry is asked too often {answer}",
                                hint="wait a while; registries allow more to those who log in")
        if status >= 500:
            raise RegistryError(f"{self.failing}: the registry failed {answer}",
                                hint="try again later")
        raise RegistryError(f"{self.failing}: the registry does not give {what} {answer}",
                            hint=f'check that "{registry}" is a registry')


def _offer(name: str, tags: list[str]) -> str:
    """A hint that shows tags like the one that was meant."""
    close = difflib.get_close_matches(name, tags, 5, 0.4)
    shown = close + [tag for tag in sorted(tags) if tag not in close]
    if not shown:
        return "check the name"
    return "it has " + ", ".join(f'"{tag}"' for tag in shown[:5])
