"""Plain files over HTTP: fetched whole, or not at all.

For mirrors of packages, which know no tokens and no manifests. A connection
that breaks or stalls is tried again a few times, with growing pauses, and
continued from where it broke if the server can; a server that says no is
believed at once.
"""
from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Callable, Optional

import requests
import urllib3
from requests.adapters import HTTPAdapter

from .. import __version__
from ..errors import DigestMismatch, FetchFailed, FetchMissing

ATTEMPTS = 5
CONNECT_TIMEOUT, READ_TIMEOUT = 15, 30
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_CHUNK = 64 << 10
_MISSING = (404, 410)
_PASSING = (408, 425, 429, 500, 502, 503, 504)


class _Again(Exception):
    """Something that may go better the next time; `pause` is what the server asks for."""

    def __init__(self, cause: str, pause: Optional[float] = None) -> None:
        super().__init__(cause)
        self.pause = pause


class Fetcher:
    """Fetches files; may be used by several threads at once. Close it, or use `with`."""

    def __init__(self, *, connections: int = 8, attempts: int = ATTEMPTS) -> None:
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"lpmx/{__version__}"
        # Checksums are over the bytes as stored: no compression on the way.
        self._session.headers["Accept-Encoding"] = "identity"
        adapter = HTTPAdapter(pool_connections=connections, pool_maxsize=connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._attempts = attempts
        self._stop = threading.Event()

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """End what is being fetched by other threads, at their next piece."""
        self._stop.set()
        self._session.close()

    def get(self, url: str, *, limit: int) -> bytes:
        """The content of `url`, at most `limit` bytes.

        Raises `FetchMissing` if the server has no such file and `FetchFailed`
        for anything else.
        """
        content = bytearray()

        def restart() -> int:
            content.clear()
            return 0

        def take(piece: bytes) -> None:
            content.extend(piece)

        self._fetch(url, limit, lambda: len(content), restart, take)
        return bytes(content)

    def download(self, url: str, path: Path, *, sha256: str, size: int,
                 on_bytes: Optional[Callable[[int], object]] = None) -> Path:
        """Have the file at `path`, which appears only when size and hash are right.

        `on_bytes` is told how many bytes came, piece by piece; a negative
        number takes back those of an attempt that has to start over.
        """
        aside = path.with_name(path.name + ".part")
        tell = on_bytes if on_bytes is not None else lambda count: None
        with open(aside, "wb") as file:
            hasher = [hashlib.sha256()]

            def restart() -> int:
                tell(-file.tell())
                file.seek(0)
                file.truncate()
                hasher[0] = hashlib.sha256()
                return 0

            def take(piece: bytes) -> None:
                file.write(piece)
                hasher[0].update(piece)
                tell(len(piece))

            self._fetch(url, size, file.tell, restart, take)
            if file.tell() != size or hasher[0].hexdigest() != sha256:
                raise DigestMismatch(
                    f'cannot use "{url}": it is not what the package list says '
                    f"(sha256 {hasher[0].hexdigest()[:16]}..., {file.tell()} of {size} bytes)",
                    hint="the mirror is being updated or is damaged; try again, or another mirror")
        os.replace(aside, path)
        return path

    # -- one file -------------------------------------------------------------------

    def _fetch(self, url: str, limit: int, have: Callable[[], int],
               restart: Callable[[], int], take: Callable[[bytes], None]) -> None:
        pause = _FIRST_PAUSE
        for attempt in range(1, self._attempts + 1):
            try:
                self._attempt(url, limit, have, restart, take)
                return
            except _Again as again:
                if attempt == self._attempts:
                    raise FetchFailed(f'cannot fetch "{url}": {again}',
                                      hint="check the address and the network (proxies are taken "
                                           "from http_proxy and https_proxy)") from again
                self._stop.wait(min(again.pause or pause, 60))
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _attempt(self, url: str, limit: int, have: Callable[[], int],
                 restart: Callable[[], int], take: Callable[[bytes], None]) -> None:
        """One request for what is missing. Raises `_Again` where another may help."""
        start = have()
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            with self._session.get(url, headers=headers, stream=True,
                                   timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)) as answer:
                if start and answer.status_code == 416:
                    restart()
                    raise _Again("the server cannot continue it")
                _check(url, answer)
                if start and not _continues(answer, start):
                    start = restart()
                expected = answer.headers.get("Content-Length", "")
                # We compare lengths ourselves: what came before a connection broke is kept.
                answer.raw.enforce_content_length = False
                while True:
                    piece = answer.raw.read(_CHUNK, decode_content=False)
                    if not piece:
                        break
                    if self._stop.is_set():
                        raise FetchFailed(f'cannot fetch "{url}": it was called off')
                    if have() + len(piece) > limit:
                        raise FetchFailed(f'cannot fetch "{url}": it is larger than the '
                                          f"{limit} bytes it may have",
                                          hint="the mirror is damaged; use another one")
                    take(piece)
                if expected.isdigit() and have() - start < int(expected):
                    raise _Again("the connection was closed before the end")
        except (requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema,
                requests.exceptions.InvalidURL) as error:
            raise FetchFailed(f'cannot fetch "{url}": that is no address of a web server',
                              hint="write http://HOST/PATH or https://HOST/PATH") from error
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise _Again("the server does not answer in time") from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError,
                OSError) as error:
            raise _Again(_cause(error)) from error


def _check(url: str, answer: requests.Response) -> None:
    status = f"{answer.status_code} {answer.reason or ''}".strip()
    if answer.status_code in _MISSING:
        raise FetchMissing(f'cannot fetch "{url}": the server does not have it ({status})',
                           hint="check the address")
    if answer.status_code in _PASSING:
        raise _Again(f"the server answered {status}", _retry_after(answer))
    if answer.status_code >= 400:
        raise FetchFailed(f'cannot fetch "{url}": the server refused it ({status})',
                          hint="check the address, and whether a proxy stands in between")


def _continues(answer: requests.Response, start: int) -> bool:
    """Whether the answer begins where we ended; a server may send all of it instead."""
    return (answer.status_code == 206
            and answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"))


def _retry_after(answer: requests.Response) -> Optional[float]:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None


def _cause(error: BaseException) -> str:
    """The innermost reason, without the library's wrapping."""
    inner: Optional[BaseException] = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror.lower()
        reason = getattr(inner, "reason", None)
        inner = reason if isinstance(reason, BaseException) else inner.__context__
    return "the connection broke"
