"""Files from a web server arrive whole, whatever the connection does."""
from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Callable, Iterator, Optional

import pytest
from lpmx_runtime.errors import DigestMismatch, FetchFailed, FetchMissing
from lpmx_runtime.registry import fetch
from lpmx_runtime.registry.fetch import Fetcher
from support.loopback import Answer, Request, Server

CONTENT = bytes(range(256)) * 4000
HASH = hashlib.sha256(CONTENT).hexdigest()


Script = Callable[[Request], Answer]


class OneFile(Server):
    """A web server with one file, and a script of how it answers."""

    def __init__(self) -> None:
        super().__init__(lambda request: (self.script.pop(0) if self.script else send)(request))
        self.script: list[Script] = []
        self.url = f"http://{self.address}/file"

    @property
    def ranges(self) -> list[Optional[str]]:
        """What parts were asked for."""
        return [request.headers.get("range") for request in self.requests]


def send(request: Request, *, cut: Optional[int] = None, honour_range: bool = True) -> Answer:
    """The file, or only its first `cut` bytes and then nothing more."""
    wanted = request.headers.get("range") if honour_range else None
    start = int(wanted[len("bytes="):-1]) if wanted else 0
    headers = {"Content-Length": str(len(CONTENT) - start)}
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
    rest = CONTENT[start:]
    return Answer(206 if wanted else 200, headers, rest if cut is None else [rest[:cut]])


def refuse(status: int, **headers: str) -> Script:
    return lambda request: Answer(status, {name.replace("_", "-"): value
                                           for name, value in headers.items()})


def cut_after(count: int) -> Script:
    return lambda request: send(request, cut=count)


@pytest.fixture
def server() -> Iterator[OneFile]:
    with OneFile() as made:
        yield made  # type: ignore[misc]


@pytest.fixture
def fetcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fetcher]:
    monkeypatch.setattr(fetch, "_FIRST_PAUSE", 0.01)
    with Fetcher() as made:
        yield made


def test_file_is_fetched(server: OneFile, fetcher: Fetcher, tmp_path: Path) -> None:
    """In memory, and to a place where it appears when it is whole."""
    told: list[int] = []

    assert CONTENT == fetcher.get(server.url, limit=len(CONTENT))
    path = fetcher.download(server.url, tmp_path / "a", sha256=HASH, size=len(CONTENT),
                            on_bytes=told.append)

    assert CONTENT == path.read_bytes()
    assert len(CONTENT) == sum(told)
    assert ["a"] == [entry.name for entry in tmp_path.iterdir()]


def test_broken_connection_is_continued(server: OneFile, fetcher: Fetcher, tmp_path: Path) -> None:
    """The second request asks for the rest only."""
    server.script = [cut_after(300_000), cut_after(400_000)]
    told: list[int] = []

    path = fetcher.download(server.url, tmp_path / "a", sha256=HASH, size=len(CONTENT),
                            on_bytes=told.append)

    assert CONTENT == path.read_bytes()
    assert len(CONTENT) == sum(told)
    assert [None, "bytes=300000-", "bytes=700000-"] == server.ranges


def test_server_that_cannot_continue(server: OneFile, fetcher: Fetcher, tmp_path: Path) -> None:
    """It sends all of it again; what was there is dropped, and taken back."""
    server.script = [cut_after(300_000), lambda request: send(request, honour_range=False)]
    told: list[int] = []

    path = fetcher.download(server.url, tmp_path / "a", sha256=HASH, size=len(CONTENT),
                            on_bytes=told.append)

    assert CONTENT == path.read_bytes()
    assert len(CONTENT) == sum(told) and -300_000 in told


def test_server_that_refuses_the_range(server: OneFile, fetcher: Fetcher) -> None:
    """The file is asked for anew."""
    server.script = [cut_after(1000), refuse(416)]

    assert CONTENT == fetcher.get(server.url, limit=len(CONTENT))
    assert [None, "bytes=1000-", None] == server.ranges


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_passing_trouble_is_tried_again(server: OneFile, fetcher: Fetcher, status: int) -> None:
    """And forgotten when it is over."""
    server.script = [refuse(status), refuse(status, Retry_After="0")]

    assert CONTENT == fetcher.get(server.url, limit=len(CONTENT))


def test_lasting_trouble_is_told(server: OneFile, fetcher: Fetcher) -> None:
    """With the address and the last answer, after a bounded number of attempts."""
    server.script = [refuse(503)] * fetch.ATTEMPTS

    with pytest.raises(FetchFailed, match='cannot fetch "http://.*/file": the server answered 503'):
        fetcher.get(server.url, limit=len(CONTENT))

    assert fetch.ATTEMPTS == len(server.ranges)


@pytest.mark.parametrize("status,kind", [(404, FetchMissing), (410, FetchMissing),
                                         (403, FetchFailed), (407, FetchFailed)])
def test_refusal_is_believed_at_once(server: OneFile, fetcher: Fetcher, status: int,
                                     kind: type) -> None:
    """What is not there will not come by asking again."""
    server.script = [refuse(status)]

    with pytest.raises(kind, match=str(status)):
        fetcher.get(server.url, limit=len(CONTENT))

    assert 1 == len(server.ranges)


def test_file_is_not_read_beyond_its_limit(server: OneFile, fetcher: Fetcher) -> None:
    """However much the server would send."""
    with pytest.raises(FetchFailed, match="larger than the 1000 bytes"):
        fetcher.get(server.url, limit=1000)


@pytest.mark.parametrize("sha256,size", [("0" * 64, len(CONTENT)), (HASH, len(CONTENT) + 1)])
def test_wrong_file_gets_no_name(server: OneFile, fetcher: Fetcher, tmp_path: Path, sha256: str,
                                 size: int) -> None:
    """Neither with another hash nor with another size."""
    with pytest.raises(DigestMismatch, match="not what the package list says"):
        fetcher.download(server.url, tmp_path / "a", sha256=sha256, size=size)

    assert not (tmp_path / "a").exists()


def test_nobody_there(fetcher: Fetcher, server: OneFile) -> None:
    """The cause is in plain words."""
    server.close()

    with pytest.raises(FetchFailed, match="connection refused"):
        fetcher.get(server.url, limit=1)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a", "nonsense", "http://"])
def test_address_that_is_none(fetcher: Fetcher, url: str) -> None:
    """The hint says what one looks like."""
    with pytest.raises(FetchFailed, match="no address of a web server"):
        fetcher.get(url, limit=1)
