"""The bytes of one blob, whatever happens to the connection meanwhile."""
from __future__ import annotations

import os
import re
import socket
from typing import Any, Callable, Mapping, Optional
from urllib.parse import urlsplit

import requests

from ..errors import DigestMismatch, LpmxError, RegistryError, RegistryUnreachable
from ..oci.digest import Verifier
from ..oci.manifest import Descriptor
from ..progress import amount
from .connection import Connection, Login
from .failures import BROKEN, cause_of, status_line

_PIECE = 1 << 18
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)\Z")


class BlobStream:
    """A blob of a registry, read from its first byte to its last.

    A connection that breaks or stalls is made anew, and the blob goes on where
    it stopped: by Range where the server has that, else by reading over what
    we have. The last read raises `DigestMismatch` if the bytes were not those
    that the digest names. One thread reads; `Stop` ends its waiting.
    """

    def __init__(self, connection: Connection, path: str, descriptor: Descriptor, what: str, *,
                 login: Optional[Login],
                 refuse: Callable[[requests.Response], None]) -> None:
        self._connection = connection
        self._path = path
        self._elsewhere = list(descriptor.urls)
        self._descriptor = descriptor
        self._what = what
        self._login = login
        self._refuse = refuse        # raises for an answer that is no success
        self._response: Optional[requests.Response] = None
        self._verifier = Verifier(descriptor.digest)
        self._at = 0
        self._over = 0               # bytes to come that we have already
        self._began = 0              # where the present connection began
        self._failures = 0           # connections in a row that brought nothing
        self._end: Optional[LpmxError] = None
        self._complete = False

    def read(self, size: int) -> bytes:
        if self._end is not None:
            raise self._end
        while not self._complete:
            try:
                data = self._receive(size)
            except BROKEN as error:
                self._broken(cause_of(error))
                continue
            if not data:
                if self._at < self._descriptor.size:
                    self._broken("the connection closed")
                    continue
                self._finish()
                break
            if self._over:
                skipped = min(self._over, len(data))
                self._over -= skipped
                data = data[skipped:]
                if not data:
                    continue
            return self._take(data)
        return b""

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    # -- reading

    def _receive(self, size: int) -> bytes:
        self._connection.stop.check()
        if self._response is None:
            self._open()
        assert self._response is not None
        raw = self._response.raw
        with self._connection.stop.waking(lambda: _hang_up(raw)):
            return bytes(raw.read(min(size, _PIECE), decode_content=False))

    def _take(self, data: bytes) -> bytes:
        self._at += len(data)
        if self._at > self._descriptor.size:
            raise self._fail(DigestMismatch(
                f"{self._connection.failing}: the registry sends more of {self._what} than the "
                f"{self._descriptor.size} bytes that its manifest states",
                hint="tell whoever runs the registry"))
        self._verifier.update(data)
        return data

    def _finish(self) -> None:
        self.close()
        try:
            self._verifier.check(self._what, failing=self._connection.failing)
        except DigestMismatch as error:
            self._fail(error)
            raise
        self._complete = True

    def _fail(self, error: LpmxError) -> LpmxError:
        self.close()
        self._end = error
        return error

    def _broken(self, cause: str) -> None:
        self.close()
        self._connection.stop.check()
        self._failures = 0 if self._at > self._began else self._failures + 1
        if self._failures >= self._connection.patience.attempts:
            raise self._fail(RegistryUnreachable(
                f"{self._connection.failing}: got {amount(self._at, 'bytes')} of "
                f"{amount(self._descriptor.size, 'bytes')} of {self._what} before {cause}",
                hint="check the network, then try again"))
        self._connection.wait(max(1, self._failures), f"{self._what}: {cause}")

    # -- asking

    def _open(self) -> None:
        headers: Mapping[str, str] = {}
        if self._at:
            headers = {"Range": f"bytes={self._at}-{self._descriptor.size - 1}"}
        response = self._connection.get(self._path, headers=headers, login=self._login)
        if response.status_code == 206 and self._at:
            self._over = self._at - self._start(response)
        elif response.status_code == 200:
            self._over = self._at
            self._check_length(response)
        elif response.status_code == 404 and self._elsewhere:
            response.close()
            self._go_elsewhere()
            self._open()
            return
        else:
            self._refuse(response)
            response.close()
            raise self._fail(RegistryError(
                f"{self._connection.failing}: the registry answers "
                f"{status_line(response.status_code)} when asked for {self._what}",
                hint="tell whoever runs the registry"))
        self._response = response
        self._began = self._at

    def _go_elsewhere(self) -> None:
        """Seek the blob at the next of the addresses that its descriptor has, without a login."""
        url = self._elsewhere.pop(0)
        if urlsplit(url).scheme not in ("http", "https"):
            raise self._fail(RegistryError(
                f'{self._connection.failing}: {self._what} is said to be at "{url[:200]}", '
                "which is no address", hint="whoever made the image must make it again"))
        self._path, self._login = url, None

    def _start(self, response: requests.Response) -> int:
        """Where the part begins that the server sends."""
        match = _RANGE.match(response.headers.get("Content-Range", ""))
        start = int(match.group(1)) if match else -1
        if not 0 <= start <= self._at:
            response.close()
            raise self._fail(RegistryError(
                f"{self._connection.failing}: the registry sends another part of {self._what} than "
                "the one asked for", hint="tell whoever runs the registry"))
        return start

    def _check_length(self, response: requests.Response) -> None:
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) != self._descriptor.size:
            response.close()
            raise self._fail(DigestMismatch(
                f"{self._connection.failing}: the registry has {length} bytes of {self._what}, and "
                f"its manifest states {self._descriptor.size}",
                hint="the registry's copy is damaged; have the image pushed again"))


def _hang_up(raw: Any) -> None:
    """Make a thread that waits for this connection's next bytes see its end."""
    try:
        duplicate = socket.socket(fileno=os.dup(raw.fileno()))
    except (OSError, ValueError, AttributeError):
        return  # it is closed
    try:
        duplicate.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        duplicate.close()
