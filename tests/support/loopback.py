"""A HTTP server on loopback whose answers a test decides, and which remembers what it was asked."""
from __future__ import annotations

import http.server
import threading
from dataclasses import dataclass, field
from typing import Callable, Iterable, List, Mapping, Optional, Tuple, Union


@dataclass(frozen=True)
class Request:
    """What came; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass
class Answer:
    """What goes back. A body may be an iterable of pieces; one that ends before
    Content-Length ends the connection, too."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Union[bytes, Iterable[bytes]] = b""


class Server:
    """A server in threads of this process, until it is closed."""

    def __init__(self, respond: Callable[[Request], Optional[Answer]]) -> None:
        self.requests: List[Request] = []
        self._respond = respond
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.address = f"127.0.0.1:{self.port}"
        #: Ends whatever waits, when the server is closed.
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def respond(self, request: Request) -> Optional[Answer]:
        """The answer; None breaks the connection off."""
        self.requests.append(request)
        return self._respond(request)

    def seen(self, method: str = "GET", part: str = "") -> List[Request]:
        """The requests so far whose path has `part` in it."""
        return [request for request in self.requests
                if request.method == method and part in request.path]


def _handler(server: Server) -> type:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            answer = server.respond(Request(
                self.command, self.path, {k.lower(): v for k, v in self.headers.items()},
                self.rfile.read(length)))
            if answer is None:
                self.close_connection = True
                self.connection.close()
                return
            try:
                self._send(answer)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            names = {name.lower() for name in answer.headers}
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if "content-length" not in names and isinstance(answer.body, bytes):
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if isinstance(answer.body, bytes):
                self.wfile.write(answer.body)
                return
            for piece in answer.body:
                self.wfile.write(piece)
                self.wfile.flush()
            self.close_connection = True

        def log_message(self, *unused: object) -> None:
            pass

    return Handler


def split(address: str) -> Tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
