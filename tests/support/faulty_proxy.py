"""A proxy in front of a registry that does what networks and registries do on bad days.

    proxy = FaultyProxy(registry.address)
    proxy.fault("/blobs/", Cut(10_000), times=2)

Faults are taken in order: each has its effect on the first `times` requests whose
path has its part in it, then is spent.
"""
from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Mapping, Optional

from .loopback import Answer, Request, Server, split

_PIECE = 4096
_OWN = ("connection", "host", "transfer-encoding", "keep-alive")


#: For `before`: the connection ends.
NO_ANSWER = Answer(0)


class Fault:
    """One kind of bad day. `before` may answer without asking the registry, or change
    what is asked; `after` changes the answer."""

    def before(self, request: Request) -> Optional[Answer]:
        return None

    def sent(self, request: Request) -> Request:
        return request

    def ask(self, headers: Dict[str, str]) -> Dict[str, str]:
        return headers

    def after(self, answer: Answer, closing: threading.Event) -> Optional[Answer]:
        return answer


@dataclass
class Status(Fault):
    """An answer of its own: 429, 503, a redirect to elsewhere."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def before(self, request: Request) -> Optional[Answer]:
        return Answer(self.status, self.headers, self.body)


@dataclass
class Redirect(Fault):
    """The same path on another host."""

    host: str
    status: int = 307

    def before(self, request: Request) -> Optional[Answer]:
        return Answer(self.status, {"Location": f"http://{self.host}{request.path}"})


@dataclass
class Cut(Fault):
    """The connection ends within the body, after so many bytes of it."""

    after_bytes: int

    def after(self, answer: Answer, closing: threading.Event) -> Optional[Answer]:
        assert isinstance(answer.body, bytes)
        assert len(answer.body) > self.after_bytes, "nothing is left to cut"
        return Answer(answer.status, answer.headers, _pieces(answer.body[:self.after_bytes]))


@dataclass
class Stall(Fault):
    """Nothing more comes after so many bytes of the body, and the connection stays."""

    after_bytes: int

    def after(self, answer: Answer, closing: threading.Event) -> Optional[Answer]:
        body = answer.body
        assert isinstance(body, bytes)

        def stalling() -> Iterator[bytes]:
            yield body[:self.after_bytes]
            closing.wait()

        return Answer(answer.status, answer.headers, stalling())


@dataclass
class Hold(Fault):
    """So many bytes of the body come, in two pieces, and the rest once `go` is set."""

    after_bytes: int
    go: threading.Event

    def after(self, answer: Answer, closing: threading.Event) -> Optional[Answer]:
        body = answer.body
        assert isinstance(body, bytes)

        def held() -> Iterator[bytes]:
            half = self.after_bytes // 2
            yield body[:half]
            closing.wait(0.5)
            yield body[half:self.after_bytes]
            while not (closing.is_set() or self.go.wait(0.05)):
                pass
            yield body[self.after_bytes:]

        return Answer(answer.status, answer.headers, held())


@dataclass
class Corrupt(Fault):
    """The byte at this place of the body is another."""

    at: int

    def after(self, answer: Answer, closing: threading.Event) -> Optional[Answer]:
        body = bytearray(answer.body)  # type: ignore[arg-type]
        body[self.at] ^= 0x55
        return Answer(answer.status, answer.headers, bytes(body))


class IgnoreRange(Fault):
    """The whole is sent, whatever part was asked for."""

    def sent(self, request: Request) -> Request:
        return request

    def ask(self, headers: Dict[str, str]) -> Dict[str, str]:
        return {name: value for name, value in headers.items() if name != "range"}


class Lost(Fault):
    """The connection ends before the registry has seen the request."""

    def before(self, request: Request) -> Optional[Answer]:
        return NO_ANSWER


@dataclass
class Shortened(Fault):
    """Only so many bytes of what is sent get there, and then the connection ends."""

    to: int

    def sent(self, request: Request) -> Request:
        first, _, _ = request.headers["content-range"].partition("-")
        headers = {**request.headers, "content-length": str(self.to),
                   "content-range": f"{first}-{int(first) + self.to - 1}"}
        return Request(request.method, request.path, headers, request.body[:self.to])

    def after(self, answer: Answer, closing: threading.Event) -> Optional[Answer]:
        return None


class Reset(Fault):
    """The connection ends without an answer."""

    def after(self, answer: Answer, closing: threading.Event) -> Optional[Answer]:
        return None


@dataclass
class Rewrite(Fault):
    """One header of the answer is another; None takes it out."""

    name: str
    value: Optional[str]

    def after(self, answer: Answer, closing: threading.Event) -> Optional[Answer]:
        headers = {name: value for name, value in answer.headers.items()
                   if name.lower() != self.name.lower()}
        if self.value is not None:
            headers[self.name] = self.value
        return Answer(answer.status, headers, answer.body)


@dataclass
class _Planned:
    part: str
    fault: Fault
    times: int
    method: str


class FaultyProxy(Server):
    """Passes all requests on to `upstream`, "HOST:PORT", but for the faults that are planned."""

    def __init__(self, upstream: str) -> None:
        super().__init__(self._pass_on)
        self._upstream = split(upstream)
        self._planned: List[_Planned] = []
        self._lock = threading.Lock()

    def fault(self, part: str, *faults: Fault, times: int = 1, method: str = "") -> None:
        """Plan `faults` for the next `times` requests, all or those of a `method`, whose
        path has `part` in it."""
        with self._lock:
            self._planned += [_Planned(part, fault, times, method) for fault in faults]

    def recover(self) -> None:
        """What is planned and not spent does not happen."""
        with self._lock:
            self._planned.clear()

    def _take(self, request: Request) -> Fault:
        with self._lock:
            for planned in self._planned:
                if planned.times and planned.part in request.path \
                        and planned.method in ("", request.method):
                    planned.times -= 1
                    return planned.fault
        return Fault()

    def _pass_on(self, request: Request) -> Optional[Answer]:
        fault = self._take(request)
        answer = fault.before(request)
        if answer is not None:
            return None if answer is NO_ANSWER else answer
        request = fault.sent(request)
        headers = fault.ask({name: value for name, value in request.headers.items()
                             if name not in _OWN})
        return fault.after(self._fetch(request, headers), self.closing)

    def _fetch(self, request: Request, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection(*self._upstream, timeout=60)
        try:
            connection.request(request.method, request.path, request.body or None, dict(headers))
            response = connection.getresponse()
            # a registry that names itself would have what follows go past us
            own = "http://{}:{}/".format(*self._upstream)
            return Answer(response.status,
                          {name: value.replace(own, f"http://{self.address}/")
                           if name.lower() == "location" else value
                           for name, value in response.getheaders()
                           if name.lower() not in _OWN}, response.read())
        finally:
            connection.close()


def _pieces(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), _PIECE):
        yield data[at:at + _PIECE]
