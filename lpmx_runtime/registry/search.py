"""Which repositories a registry has, by a part of their names, where it tells.

Docker's old way, `/v1/search`, ranks and describes; Docker Hub and several others still
have it. The OCI distribution's own, `/v2/_catalog`, lists all names, where the registry is
set up to tell them.
"""
from __future__ import annotations

import json
from typing import Any, Iterator, NamedTuple, NoReturn
from urllib.parse import urlencode

import requests

from .. import settings
from ..errors import RegistryError, Unauthorized
from ..progress import ignore
from .address import DOCKER_HUB, make_address
from .authority import Authority, login_hint
from .connection import BODY_LIMIT, Connection
from .credentials import find_login
from .failures import BROKEN, Said, status_line
from .pages import LIMIT, body, pages
from .patience import USUAL, Patience
from .stop import Stop

#: Where Docker Hub is asked; its registry has neither way.
_HUB = "index.docker.io"
#: What a registry says that does not have Docker's way, or does not want it.
_NO_SUCH_WAY = (400, 401, 403, 404, 405, 406, 410, 501)


class Repository(NamedTuple):
    """A repository by the name that `pull` takes. What a registry does not say is "", or 0."""

    name: str
    description: str
    stars: int
    official: bool


def search(registry: str, term: str, *, limit: int = 25, insecure: bool = False,
           patience: Patience = USUAL) -> list[Repository]:
    """Repositories of `registry` that have to do with `term`, at most `limit`, the best first.

    Raises `RegistryError` where the registry does not tell.
    """
    failing = f'cannot search "{registry}" for "{term}"'
    host = _HUB if registry == DOCKER_HUB else registry
    address = make_address(host, insecure=insecure or registry in settings.insecure_registries())
    connection = Connection(address, failing=failing, patience=patience, progress=ignore,
                            stop=Stop(), certificates=settings.certificate_folders())
    authority = Authority(connection, "",
                          lambda: find_login(registry, "", settings.login_files()))
    try:
        found = _by_search(connection, registry, term, limit)
        if found is None:
            found = _by_catalog(connection, authority, registry, term, limit)
        return found[:limit]
    except BROKEN as error:
        raise connection.unreachable("", error) from error
    finally:
        connection.close()


def _by_search(connection: Connection, registry: str, term: str,
               limit: int) -> "list[Repository] | None":
    """Docker's way; None where there is none."""
    query = urlencode({"q": term, "n": limit})
    with connection.get(f"/v1/search?{query}", headers={}) as response:
        if response.status_code in _NO_SUCH_WAY:
            return None
        if response.status_code != 200:
            _refuse(connection, response)
        data = body(connection, response, LIMIT, "what it found")
    try:
        return [_described(registry, one) for one in json.loads(data)["results"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None   # a page for people, at an address that means nothing to it


def _described(registry: str, one: Any) -> Repository:
    name, stars = one["name"], one.get("star_count")
    if not isinstance(name, str):
        raise TypeError(name)
    return Repository(name if registry == DOCKER_HUB else f"{registry}/{name}",
                      " ".join(str(one.get("description") or "").split()),
                      stars if isinstance(stars, int) else 0, bool(one.get("is_official")))


def _by_catalog(connection: Connection, authority: Authority, registry: str, term: str,
                limit: int) -> list[Repository]:
    found = []
    for name in _names(connection, authority):
        if term.lower() in name.lower():
            found.append(Repository(f"{registry}/{name}", "", 0, False))
            if len(found) == limit:
                break
    return found


def _names(connection: Connection, authority: Authority) -> Iterator[str]:
    for page in pages(connection, "/v2/_catalog?n=1000", authority, "its list of repositories",
                      lambda response: _refuse(connection, response)):
        try:
            names = json.loads(page).get("repositories") or []
        except (ValueError, AttributeError, RecursionError):
            raise RegistryError(f"{connection.failing}: its list of repositories makes no sense",
                                hint="tell whoever runs the registry") from None
        yield from (name for name in names if isinstance(name, str))


def _refuse(connection: Connection, response: requests.Response) -> NoReturn:
    status, said = response.status_code, Said(response.raw.read(BODY_LIMIT, decode_content=True))
    answer = f"({status_line(status)}{said})"
    registry = connection.address.registry
    if status in (401, 403):
        raise Unauthorized(f"{connection.failing}: it does not tell what it has {answer}",
                           hint=login_hint(registry))
    raise RegistryError(f"{connection.failing}: it does not tell what it has {answer}",
                        hint=f'look at its web page; "lpmx tags {registry}/NAME" lists the tags '
                             "of a repository")
