"""Access to one repository: anonymous, with a password, or with tokens.

The registry says what it wants when it refuses the first request. For a token
we go to the service that it names, with a login if there is one, without one
else; a token that has expired is refused like none at all, and renewed.
(Distribution project, "Token Authentication Specification"; Docker's OAuth2 form.)
"""
from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Callable, Mapping, Optional, Sequence
from urllib.parse import urlencode, urlsplit

import requests

from ..errors import RegistryError, RegistryUnreachable, Unauthorized
from ..oci.challenge import Challenge, choose, parse_challenges, token_scopes
from .address import is_loopback
from .connection import BODY_LIMIT, Connection
from .credentials import Login
from .failures import BROKEN, Said, status_line

_CLIENT = "lpmx"
_TOKEN_LIMIT = 1 << 18


class Authority:
    """The logins of one repository, shared by the threads that fetch from it.

    `find` looks for a login; it is asked once, and not before the registry
    wants one. With `push` tokens are for writing, too, and for reading the
    repositories `sources`.
    """

    def __init__(self, connection: Connection, repository: str,
                 find: Callable[[], Optional[Login]], *, push: bool = False,
                 sources: Sequence[str] = ()) -> None:
        self._connection = connection
        self._repository = repository
        self._actions = "pull,push" if push else "pull"
        self._sources = sources
        self._find = find
        self._lock = threading.Lock()
        self._header: Optional[str] = None
        self._login: Optional[Login] = None
        self._looked = False

    @property
    def has_login(self) -> bool:
        """Whether a login was found; False before it was looked for."""
        return self._login is not None

    def header(self) -> Optional[str]:
        return self._header

    def answer(self, challenge: str, used: Optional[str]) -> bool:
        with self._lock:
            if self._header != used:
                return True  # another thread was faster
            chosen = choose(parse_challenges(challenge))
            if chosen is None:
                return False
            if not self._looked:
                self._login = self._find()
                self._looked = True
            header = self._basic() if chosen.scheme == "basic" else self._bearer(chosen)
            if header is None or header == used:
                return False
            self._header = header
            return True

    def _basic(self) -> Optional[str]:
        return self._login.basic if self._login is not None and self._login.user else None

    def _bearer(self, challenge: Challenge) -> Optional[str]:
        response = self._ask(challenge)
        try:
            if response.status_code != 200:
                self._refused(challenge, response.status_code,
                              Said(response.raw.read(BODY_LIMIT, decode_content=True)))
            value = json.loads(response.raw.read(_TOKEN_LIMIT, decode_content=True))
            token = value.get("token") or value.get("access_token")
            self._renew(value.get("refresh_token"))
        except (ValueError, AttributeError, RecursionError):
            token = None
        except BROKEN as error:
            raise self._connection.unreachable(challenge.realm, error) from error
        finally:
            response.close()
        if not isinstance(token, str) or not token.isprintable():
            raise RegistryError(f'{self._connection.failing}: the token service at '
                                f'"{challenge.realm}" gave no token',
                                hint="tell whoever runs the registry")
        return f"Bearer {token}"

    def _renew(self, refresh_token: object) -> None:
        """Keep to the newest refresh token: some services take each only once (RFC 6749, 6)."""
        if (self._login is not None and self._login.identity_token
                and isinstance(refresh_token, str) and refresh_token.isprintable()
                and refresh_token):
            self._login = replace(self._login, identity_token=refresh_token)

    def _ask(self, challenge: Challenge) -> requests.Response:
        realm = urlsplit(challenge.realm)
        if realm.scheme not in ("http", "https"):
            raise RegistryError(f"{self._connection.failing}: the registry names "
                                f'"{challenge.realm[:200]}" as its token service, which is no '
                                "address", hint="tell whoever runs the registry")
        login = self._login
        if login is not None and realm.scheme == "http" and not (
                self._connection.address.insecure or is_loopback(realm.netloc)):
            raise Unauthorized(
                f"{self._connection.failing}: the registry asks to send your login over plain "
                f'HTTP, to "{realm.netloc}"', hint="use --insecure if that is what you want")
        scopes = token_scopes(self._repository, challenge, self._actions, self._sources)
        wanted = {"service": challenge.service} if challenge.service else {}
        if login is not None and login.identity_token:
            form = {"grant_type": "refresh_token", "client_id": _CLIENT,
                    "refresh_token": login.identity_token, **wanted}
            if scopes:
                form["scope"] = " ".join(scopes)
            return self._connection.send("POST", challenge.realm, headers={}, body=form)
        headers: Mapping[str, str] = {}
        if login is not None:
            wanted["account"] = login.user
            headers = {"Authorization": login.basic}
        separator = "&" if realm.query else "?"
        query = urlencode([*wanted.items(), *(("scope", scope) for scope in scopes)])
        return self._connection.get(challenge.realm + separator + query, headers=headers)

    def _refused(self, challenge: Challenge, status: int, said: Said) -> None:
        connection = self._connection
        service = f'the token service at "{urlsplit(challenge.realm).netloc}"'
        answer = f"({status_line(status)}{said})"
        if status in (400, 401, 403):
            if self._login is not None:
                raise Unauthorized(f"{connection.failing}: {service} refused your login {answer}",
                                   hint=login_hint(connection.address.registry))
            raise Unauthorized(f"{connection.failing}: {service} gives no access without a login "
                               f"{answer}", hint=login_hint(connection.address.registry))
        raise RegistryUnreachable(f"{connection.failing}: {service} failed {answer}",
                                  hint="try again later")


def login_hint(registry: str) -> str:
    return f'check the name; if the repository is private, run "lpmx login {registry}"'
