"""A mirror of packages on loopback: the real one's files, but for those we change."""
from __future__ import annotations

import hashlib
import re
from typing import Callable, Optional

import requests

from .loopback import Answer, Request, Server

Change = Callable[[bytes], Optional[bytes]]


class Mirror:
    """Serves the files of the mirror `upstream`.

    `change[pattern]` is a function that makes what is served of what is there
    (empty if nothing is) for paths that match; None is "404 Not Found".
    """

    def __init__(self, upstream: str) -> None:
        self.change: dict[str, Change] = {}
        self.asked: list[str] = []
        self._files: dict[str, Optional[bytes]] = {}
        self._upstream = upstream.rstrip("/")
        self._session = requests.Session()
        self._server = Server(self._answer)
        self.url = f"http://{self._server.address}/debian"

    def close(self) -> None:
        self._server.close()
        self._session.close()

    def _answer(self, request: Request) -> Answer:
        path = request.path.lstrip("/")
        self.asked.append(path)
        content = self._content(path)
        return Answer(404) if content is None else Answer(body=content)

    def file(self, path: str) -> bytes:
        """A file as upstream has it; empty if it has none."""
        return self._file(path.removeprefix("debian/")) or b""

    def _file(self, path: str) -> Optional[bytes]:
        if path not in self._files:
            self._files[path] = self.fetch(path)
        return self._files[path]

    def fetch(self, path: str) -> Optional[bytes]:
        """A file from upstream, now; None if it has none."""
        answer = self._session.get(f"{self._upstream}/{path}", timeout=60)
        return answer.content if answer.ok else None

    def _content(self, path: str) -> Optional[bytes]:
        content = self._file(path.removeprefix("debian/"))
        for pattern, change in self.change.items():
            if re.search(pattern, path):
                return change(content or b"")
        return content


def relist(release: str, name: str, content: bytes) -> str:
    """The text of a Release file that lists `content` as the file `name`, and no other
    form of it."""
    stem = re.escape(name.rpartition(".")[0] if name.endswith((".xz", ".gz")) else name)
    kept = [line for line in release.split("\n")
            if not re.match(rf" \S+ +\d+ {stem}(\.xz|\.gz)?$", line)]
    place = kept.index("SHA256:") + 1
    kept.insert(place, f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}")
    return "\n".join(kept)
