"""Putting a blob into a repository, whatever happens to the connection meanwhile.

OCI distribution spec, "Pushing Blobs". A small blob goes in one piece, a large one in
chunks. After a failure the registry is asked how much it has, and the rest is sent; one
that has forgotten about it gets all of it again, and one that takes no chunks all at once.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO, Callable, Iterator, Mapping, Optional, Union
from urllib.parse import quote

import requests

from ..errors import RegistryError, RegistryUnreachable
from ..progress import amount
from .address import origin
from .connection import PASSING, Connection, Login
from .failures import BROKEN, cause_of, status_line

CHUNK = 8 << 20
_PIECE = 1 << 20
_CHUNK_LIMIT = 256 << 20   # that a registry may ask us to hold in memory
# Of an answer to a first chunk: there is no such thing here.
_NO_CHUNKS = (405, 415, 501)
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)\Z")


@dataclass(frozen=True)
class Blob:
    """What is to be put there; `open` gives its bytes, `size` of them, from the start."""

    digest: str
    size: int
    open: Callable[[], BinaryIO]


class _Forgotten(Exception):
    """The registry knows nothing of the upload any more."""


class _NoChunks(Exception):
    """The registry takes a blob in one piece only."""


class _Whole:
    """A blob as the body of one request, read as it is sent."""

    def __init__(self, file: BinaryIO, size: int, on_read: Callable[[int], object]) -> None:
        self._file, self._size, self._on_read = file, size, on_read

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(_PIECE):
            yield piece

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, place: int) -> int:
        return self._file.seek(place)

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._on_read(self._file.tell())
        return data


@dataclass
class _Session:
    """An upload that is under way: where to send, and how much is there."""

    location: str
    at: int = 0
    chunk: int = CHUNK
    whole: bool = False


class Uploader:
    """Puts blobs into one repository, for several threads at once."""

    def __init__(self, connection: Connection, login: Login, path: str, *,
                 has_blob: Callable[[str, str], bool],
                 refuse: Callable[[str, requests.Response], None]) -> None:
        self._connection = connection
        self._login = login
        self._path = path
        self._has_blob = has_blob
        self._refuse = refuse        # raises for an answer that is no success
        self._chunks = True          # until the registry says otherwise

    def mount(self, digest: str, source: str, what: str) -> bool:
        """Have a blob that the repository `source` of the registry has; False if the
        registry would not."""
        path = f"{self._path}/uploads/?mount={quote(digest, safe='')}&from={quote(source, safe='')}"
        with self._send("POST", path) as response:
            if response.status_code == 202:
                self._give_up(response)
            elif response.status_code in (401, 403, 429) or response.status_code >= 500:
                self._refuse(what, response)
            return response.status_code == 201

    def put(self, blob: Blob, what: str, on_count: Callable[[int], object]) -> None:
        """Send `blob`, which `what` names in messages; `on_count` is told how much of it
        is there. Raises `RegistryUnreachable` when nothing more gets there."""
        failures, best = 0, 0
        while True:
            session = self._begin(what)
            try:
                self._put(session, blob, what, on_count)
                return
            except _NoChunks:
                self._chunks = False
            except _Forgotten:
                failures = 0 if session.at > best else failures + 1
                best = max(best, session.at)
                if failures >= self._connection.patience.attempts:
                    raise self._stuck(blob, what, session.at,
                                      "the registry forgot about it again") from None
                self._connection.wait(max(1, failures),
                                      f"{what}: the registry has forgotten about the upload")

    def _put(self, session: _Session, blob: Blob, what: str,
             on_count: Callable[[int], object]) -> None:
        failures, had = 0, 0
        with blob.open() as file:
            while True:
                try:
                    if self._step(session, blob, file, what, on_count):
                        on_count(blob.size)
                        return
                    on_count(session.at)
                    continue
                except BROKEN as error:
                    cause = cause_of(error)
                except _Passing as passing:
                    cause = str(passing)
                self._connection.stop.check()
                failures = 0 if session.at > had else failures + 1
                had = session.at
                if failures >= self._connection.patience.attempts:
                    raise self._stuck(blob, what, session.at, cause)
                self._connection.wait(max(1, failures), f"{what}: {cause}")
                if self._has_blob(blob.digest, what):
                    return           # it was the answer that got lost
                if session.whole:
                    raise _Forgotten()
                self._ask(session, what)

    def _step(self, session: _Session, blob: Blob, file: BinaryIO, what: str,
              on_count: Callable[[int], object]) -> bool:
        """Send the next piece; whether it was the last."""
        file.seek(session.at)
        if session.whole:
            def on_read(count: int) -> None:
                self._connection.stop.check()
                on_count(count)

            self._finish(session, blob, _Whole(file, blob.size, on_read), what)
            return True
        data = file.read(session.chunk)
        whole = not session.at and len(data) == blob.size
        if whole or not data:
            self._finish(session, blob, data, what)
            return True
        response = self._once("PATCH", session.location, body=data, headers={
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{session.at}-{session.at + len(data) - 1}"})
        with response:
            if response.status_code == 416:
                self._ask(session, what)
            elif response.status_code in (202, 204):
                self._move(session, response, session.at + len(data))
            elif response.status_code in _NO_CHUNKS and not session.at:
                raise _NoChunks()
            else:
                self._judge(response, what)
        return False

    def _finish(self, session: _Session, blob: Blob, data: Union[bytes, _Whole],
                what: str) -> None:
        separator = "&" if "?" in session.location else "?"
        url = f"{session.location}{separator}digest={quote(blob.digest, safe='')}"
        with self._once("PUT", url, body=data,
                        headers={"Content-Type": "application/octet-stream"}) as response:
            if response.status_code not in (200, 201, 204):
                self._judge(response, what)

    def _judge(self, response: requests.Response, what: str) -> None:
        """Raise for an answer to a piece that is no success."""
        if response.status_code in (404, 410):
            raise _Forgotten()
        if response.status_code in PASSING:
            raise _Passing(status_line(response.status_code))
        self._refuse(what, response)

    def _begin(self, what: str) -> _Session:
        with self._send("POST", f"{self._path}/uploads/") as response:
            if response.status_code != 202 or not response.headers.get("Location"):
                self._refuse(what, response)
            session = _Session("", whole=not self._chunks)
            self._move(session, response, 0)
            least = response.headers.get("OCI-Chunk-Min-Length", "")
            if least.isdigit():
                session.chunk = min(max(CHUNK, int(least)), _CHUNK_LIMIT)
            return session

    def _ask(self, session: _Session, what: str) -> None:
        """Find out how much has arrived."""
        with self._send("GET", session.location) as response:
            if response.status_code not in (200, 204):
                self._judge(response, what)
            self._move(session, response, None)

    def _move(self, session: _Session, response: requests.Response, sent: Optional[int]) -> None:
        """Take over what an answer says about the upload; `sent` is how much ought to be there."""
        location = response.headers.get("Location")
        if location:
            session.location = self._connection.target(response.url, location)
        match = _RANGE.match(response.headers.get("Range", "").strip())
        # "0-0" is what registries say of nothing, too; a byte more or less is sent again
        there = int(match.group(1)) + 1 if match and match.group(1) != "0" else None
        if sent is None:
            session.at = there or 0
        elif there is not None and there <= sent:
            session.at = there
        else:
            session.at = sent

    def _give_up(self, response: requests.Response) -> None:
        """End an upload that was not wanted; a registry forgets it anyhow some day."""
        location = response.headers.get("Location")
        if location:
            try:
                self._once("DELETE", self._connection.target(response.url, location)).close()
            except BROKEN:
                pass

    def _send(self, method: str, path: str) -> requests.Response:
        return self._connection.send(method, path, headers={}, login=self._known(path))

    def _once(self, method: str, path: str, *, body: Optional[Union[bytes, _Whole]] = None,
              headers: Mapping[str, str] = {}) -> requests.Response:  # noqa: B006
        self._connection.stop.check()
        return self._connection.send(method, path, headers=headers, login=self._known(path),
                                     body=body, once=True)

    def _known(self, path: str) -> Optional[Login]:
        """The login, for the registry itself; it may have uploads sent to another host."""
        if path.startswith("/"):
            return self._login
        own = self._connection.url("/", path.partition(":")[0])
        return self._login if origin(path) == origin(own) else None

    def _stuck(self, blob: Blob, what: str, at: int, cause: str) -> RegistryError:
        return RegistryUnreachable(
            f"{self._connection.failing}: sent {amount(at, 'bytes')} of "
            f"{amount(blob.size, 'bytes')} of {what} before {cause}",
            hint="check the network, then push again; what has arrived is kept")


class _Passing(Exception):
    """An answer that may be another one the next time."""
