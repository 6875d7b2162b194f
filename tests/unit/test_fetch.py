"""Files from a web server arrive whole, whatever the connection does."""
from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Callable, Iterator, Optional

import pytest
from lpmx_runtime.errors import DigestMismatch, FetchFailed, FetchMissing
from lpmx_runtime.registry import fetch
from lpmx_runtime.registry.fetch import Fetcher

CONTENT = bytes(range(256)) * 4000
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A web server on loopback with one file, and a script of how it answers."""

    def __init__(self) -> None:
        self.ranges: list[Optional[str]] = []
        self.script: list[Callable[[BaseHTTPRequestHandler], bool]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *unused: object) -> None:
                pass

            def do_GET(self) -> None:
                outer.ranges.append(self.headers.get("Range"))
                if outer.script and outer.script.pop(0)(self):
                    return
                send(self, CONTENT)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/file"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def send(handler: BaseHTTPRequestHandler, content: bytes, *, cut: Optional[int] = None,
         honour_range: bool = True) -> None:
    """Answer with `content`, or only its first `cut` bytes and then nothing more."""
    wanted = handler.headers.get("Range") if honour_range else None
    start = int(wanted[len("bytes="):-1]) if wanted else 0
    handler.send_response(206 if wanted else 200)
    if wanted:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    handler.wfile.write(content[start:][:cut])
    if cut is not None:
        handler.close_connection = True


def refuse(status: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], bool]:
    def answer(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True
    return answer


def cut_after(count: int, **options: bool) -> Callable[[BaseHTTPRequestHandler], bool]:
    def answer(handler: BaseHTTPRequestHandler) -> bool:
        send(handler, CONTENT, cut=count, **options)
        return True
    return answer


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def fetcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fetcher]:
    monkeypatch.setattr(fetch, "_FIRST_PAUSE", 0.01)
    with Fetcher() as made:
        yield made


def test_file_is_fetched(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """In memory, and to a place where it appears when it is whole."""
    told: list[int] = []

    assert CONTENT == fetcher.get(server.url, limit=len(CONTENT))
    path = fetcher.download(server.url, tmp_path / "a", sha256=HASH, size=len(CONTENT),
                            on_bytes=told.append)

    assert CONTENT == path.read_bytes()
    assert len(CONTENT) == sum(told)
    assert ["a"] == [entry.name for entry in tmp_path.iterdir()]


def test_broken_connection_is_continued(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """The second request asks for the rest only."""
    server.script = [cut_after(300_000), cut_after(400_000)]
    told: list[int] = []

    path = fetcher.download(server.url, tmp_path / "a", sha256=HASH, size=len(CONTENT),
                            on_bytes=told.append)

    assert CONTENT == path.read_bytes()
    assert len(CONTENT) == sum(told)
    assert [None, "bytes=300000-", "bytes=700000-"] == server.ranges


def test_server_that_cannot_continue(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """It sends all of it again; what was there is dropped, and taken back."""
    def from_the_start(handler: BaseHTTPRequestHandler) -> bool:
        send(handler, CONTENT, honour_range=False)
        return True

    server.script = [cut_after(300_000), from_the_start]
    told: list[int] = []

    path = fetcher.download(server.url, tmp_path / "a", sha256=HASH, size=len(CONTENT),
                            on_bytes=told.append)

    assert CONTENT == path.read_bytes()
    assert len(CONTENT) == sum(told) and -300_000 in told


def test_server_that_refuses_the_range(server: Server, fetcher: Fetcher) -> None:
    """The file is asked for anew."""
    server.script = [cut_after(1000), refuse(416)]

    assert CONTENT == fetcher.get(server.url, limit=len(CONTENT))
    assert [None, "bytes=1000-", None] == server.ranges


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_passing_trouble_is_tried_again(server: Server, fetcher: Fetcher, status: int) -> None:
    """And forgotten when it is over."""
    server.script = [refuse(status), refuse(status, Retry_After="0")]

    assert CONTENT == fetcher.get(server.url, limit=len(CONTENT))


def test_lasting_trouble_is_told(server: Server, fetcher: Fetcher) -> None:
    """With the address and the last answer, after a bounded number of attempts."""
    server.script = [refuse(503)] * fetch.ATTEMPTS

    with pytest.raises(FetchFailed, match='cannot fetch "http://.*/file": the server answered 503'):
        fetcher.get(server.url, limit=len(CONTENT))

    assert fetch.ATTEMPTS == len(server.ranges)


@pytest.mark.parametrize("status,kind", [(404, FetchMissing), (410, FetchMissing),
                                         (403, FetchFailed), (407, FetchFailed)])
def test_refusal_is_believed_at_once(server: Server, fetcher: Fetcher, status: int,
                                     kind: type) -> None:
    """What is not there will not come by asking again."""
    server.script = [refuse(status)]

    with pytest.raises(kind, match=str(status)):
        fetcher.get(server.url, limit=len(CONTENT))

    assert 1 == len(server.ranges)


def test_file_is_not_read_beyond_its_limit(server: Server, fetcher: Fetcher) -> None:
    """However much the server would send."""
    with pytest.raises(FetchFailed, match="larger than the 1000 bytes"):
        fetcher.get(server.url, limit=1000)


@pytest.mark.parametrize("sha256,size", [("0" * 64, len(CONTENT)), (HASH, len(CONTENT) + 1)])
def test_wrong_file_gets_no_name(server: Server, fetcher: Fetcher, tmp_path: Path, sha256: str,
                                 size: int) -> None:
    """Neither with another hash nor with another size."""
    with pytest.raises(DigestMismatch, match="not what the package list says"):
        fetcher.download(server.url, tmp_path / "a", sha256=sha256, size=size)

    assert not (tmp_path / "a").exists()


def test_nobody_there(fetcher: Fetcher, server: Server) -> None:
    """The cause is in plain words."""
    server.close()
    try:
        with pytest.raises(FetchFailed, match="connection refused"):
            fetcher.get(server.url, limit=1)
    finally:
        server.close = lambda: None  # type: ignore[method-assign]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a", "nonsense", "http://"])
def test_address_that_is_none(fetcher: Fetcher, url: str) -> None:
    """The hint says what one looks like."""
    with pytest.raises(FetchFailed, match="no address of a web server"):
        fetcher.get(url, limit=1)
