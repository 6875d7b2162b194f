"""HTTP with one registry: what is tried again, what is followed, and who gets to see the login.

One request of a caller may be several on the wire. From the outside in:

    get        again, with growing pauses, after a failure that may pass
    _attempt   the first time, over each scheme that is allowed
    _exchange  once more with a login, if the registry asks for one
    _follow    along redirects; another host never sees the login
"""
from __future__ import annotations

import http.cookiejar
import warnings
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping, Optional, Protocol, Union
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.utils import get_environ_proxies

from .. import __version__
from ..errors import RegistryError, RegistryUnreachable
from ..progress import Note, Sink
from .address import Address, is_loopback, origin
from .failures import BROKEN, cause_of, is_tls, is_untrusted, status_line, wants_certificate
from .patience import Patience, retry_after
from .stop import Stop
from .tls import TlsAdapter, make_context

CONNECTIONS = 8
BODY_LIMIT = 65536  # of an answer that is read for its message only
_REDIRECTS = (301, 302, 303, 307, 308)
_REDIRECT_LIMIT = 10
PASSING = (408, 425, 429, 500, 502, 503, 504)


class Stream(Protocol):
    """What is sent as it is read, from the start as often as it takes."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def read(self, size: int) -> bytes: ...
    def tell(self) -> int: ...
    def seek(self, place: int) -> int: ...


Body = Union[bytes, Mapping[str, str], Stream]


class Login(Protocol):
    """Answers a registry's challenges (authority.py)."""

    def header(self) -> Optional[str]:
        """What to send as Authorization, so far."""

    def answer(self, challenge: str, used: Optional[str]) -> bool:
        """Get a better header than `used`; False if there is none."""


class Connection:
    """A registry that is spoken to, by several threads at once. `failing` begins messages."""

    def __init__(self, address: Address, *, failing: str, patience: Patience, progress: Sink,
                 stop: Stop, certificates: Iterable[Path] = ()) -> None:
        self.address = address
        self.failing = failing
        self.patience = patience
        self.progress = progress
        self.stop = stop
        self._scheme: Optional[str] = None
        self._session = self._make_session(list(certificates))

    def _make_session(self, certificates: list[Path]) -> requests.Session:
        session = requests.Session()
        # The environment would add logins from .netrc to whatever host we are
        # sent to, and replace ours by them.
        session.trust_env = False
        session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        session.headers.clear()
        session.headers["User-Agent"] = f"lpmx/{__version__}"
        # Digests are over the bytes as stored: no compression on the way.
        session.headers["Accept-Encoding"] = "identity"
        host = self.address.host
        session.mount("https://", TlsAdapter(make_context(host, (), insecure=False),
                                             connections=CONNECTIONS))
        session.mount(f"https://{host}/", TlsAdapter(
            make_context(host, certificates, insecure=self.address.insecure),
            connections=CONNECTIONS))
        session.mount("http://", requests.adapters.HTTPAdapter(
            pool_connections=CONNECTIONS, pool_maxsize=CONNECTIONS))
        if self.address.insecure:
            warnings.filterwarnings("ignore",
                                    category=urllib3.exceptions.InsecureRequestWarning)
        return session

    def close(self) -> None:
        self._session.close()

    # -- requests

    def get(self, path: str, *, headers: Mapping[str, str],
            login: Optional[Login] = None) -> requests.Response:
        """The answer to GET `path`, a URL or a path of the registry; its body is not read yet.

        Tries again, as `patience` has it, what may go better the next time.
        Raises `RegistryUnreachable` if no answer comes; an answer that is no
        success is the caller's to judge.
        """
        return self.send("GET", path, headers=headers, login=login)

    def send(self, method: str, path: str, *, headers: Mapping[str, str],
             login: Optional[Login] = None, body: Optional[Body] = None,
             once: bool = False) -> requests.Response:
        """As `get`, with a method and something to send: bytes, a stream of them, or the fields of
        a form.

        What cannot simply be said again is sent `once`: whatever breaks or fails is the
        caller's to deal with.
        """
        failures = 0
        while True:
            self.stop.check()
            failures += 1
            if once:
                return self._attempt(method, path, headers, login, body)
            try:
                response = self._attempt(method, path, headers, login, body)
            except BROKEN as error:
                self.stop.check()
                cause = cause_of(error)
                limit = (self.patience.attempts if self._scheme
                         else self.patience.first_attempts)
                if failures >= limit or is_untrusted(error):
                    raise self.unreachable(path, error) from error
                self.wait(failures, cause)
                continue
            if response.status_code not in PASSING or failures >= self.patience.attempts:
                return response
            asked = retry_after(response.headers.get("Retry-After"))
            if asked is not None and asked > self.patience.longest_wait:
                return response
            response.close()
            self.wait(failures, status_line(response.status_code), asked)

    def wait(self, failures: int, cause: str, asked: Optional[float] = None) -> None:
        """Pause after that many failures in a row, and say so."""
        pause = max(self.patience.pause(failures), asked or 0.0)
        self.progress(Note(f"{self.address.registry}: {cause}; trying again in {pause:.1f} s"))
        self.stop.pause(pause)

    def unreachable(self, path: str, error: BaseException) -> RegistryUnreachable:
        host = urlsplit(path).netloc or self.address.host
        what = ("the registry" if host == self.address.host else "the server") + f' at "{host}"'
        if is_untrusted(error):
            hint = (f"have your site's certificate authority in /etc/containers/certs.d/{host}/, "
                    "or use --insecure")
        elif wants_certificate(error):
            hint = ("have your certificate, as *.cert with its *.key, in "
                    f"/etc/containers/certs.d/{host}/ or ~/.config/containers/certs.d/{host}/")
        elif is_tls(error):
            hint = "if it speaks plain HTTP, use --insecure"
        else:
            hint = "check the name and the network; behind a proxy, set HTTPS_PROXY"
        return RegistryUnreachable(f"{self.failing}: {what} cannot be reached, {cause_of(error)}",
                                   hint=hint)

    def _attempt(self, method: str, path: str, headers: Mapping[str, str],
                 login: Optional[Login], body: Optional[Body]) -> requests.Response:
        if urlsplit(path).scheme:
            return self._exchange(method, path, headers, login, body)
        if self._scheme:
            return self._exchange(method, self.url(path, self._scheme), headers, login, body)
        return self._try_schemes(method, path, headers, login, body)

    def _try_schemes(self, method: str, path: str, headers: Mapping[str, str],
                     login: Optional[Login],
                     body: Optional[Body]) -> requests.Response:
        """The first answer that comes over one of the schemes, which is kept to from then on."""
        doubtful: Optional[requests.Response] = None
        errors: list[BaseException] = []
        for scheme in self.address.schemes:
            try:
                response = self._exchange(method, self.url(path, scheme), headers, login, body)
            except BROKEN as error:
                errors.append(error)
                continue
            if (scheme, response.status_code) == ("http", 400) and not errors:
                doubtful = response  # what a TLS server says to those who speak none
                continue
            if doubtful is not None:
                doubtful.close()
            self._scheme = scheme
            return response
        if doubtful is not None:
            self._scheme = "http"
            return doubtful
        # What is no misunderstanding about TLS is the cause.
        raise next((error for error in errors if not is_tls(error)), errors[0])

    def url(self, path: str, scheme: str) -> str:
        return f"{scheme}://{self.address.host}{path}"

    def _exchange(self, method: str, url: str, headers: Mapping[str, str],
                  login: Optional[Login],
                  body: Optional[Body]) -> requests.Response:
        used = login.header() if login is not None else None
        response = self._follow(method, url, headers, used, body)
        if login is None or response.status_code != 401 or origin(response.url) != origin(url):
            return response
        challenge = response.headers.get("WWW-Authenticate", "")
        response.close()
        if not login.answer(challenge, used):
            return response
        return self._follow(method, url, headers, login.header(), body)

    def _follow(self, method: str, url: str, headers: Mapping[str, str],
                authorization: Optional[str],
                body: Optional[Body]) -> requests.Response:
        """Send, and send again to where the answer points. The login is for the first host only."""
        first = origin(url)
        for _ in range(_REDIRECT_LIMIT):
            sent = dict(headers)
            if authorization is not None and origin(url) == first:
                sent["Authorization"] = authorization
            if body is not None and not isinstance(body, (bytes, Mapping)):
                body.seek(0)
            response = self._session.request(
                method, url, headers=sent, data=body, stream=True, allow_redirects=False,
                timeout=(self.patience.connect, self.patience.read), **self._route(url))
            target = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or not target:
                return response
            response.close()
            url = self.target(url, target)
        raise RegistryError(f"{self.failing}: the registry redirects for ever",
                            hint="tell whoever runs the registry")

    def target(self, url: str, location: str) -> str:
        """Where an answer from `url` points: an address that may be followed."""
        target = urljoin(url, location)
        try:
            scheme, host, _ = origin(target)
        except ValueError:
            scheme, host = "", ""
        if scheme not in ("http", "https") or not host:
            raise RegistryError(f'{self.failing}: the registry redirects to "{target[:200]}", '
                                "which is no address", hint="tell whoever runs the registry")
        if (scheme == "http" and urlsplit(url).scheme == "https"
                and not self.address.insecure):
            raise RegistryError(f'{self.failing}: the registry redirects to plain HTTP, at "{host}"',
                                hint="use --insecure if that is what you want")
        return target

    def _route(self, url: str) -> Mapping[str, Any]:
        """Whether certificates are looked at, and which proxy to take: none on loopback."""
        host = urlsplit(url).netloc
        own = host == self.address.host
        return {"verify": not (self.address.insecure and own) and not is_loopback(host),
                "proxies": {} if is_loopback(host) else get_environ_proxies(url)}
