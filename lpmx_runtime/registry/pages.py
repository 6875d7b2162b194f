"""Lists that a registry gives page by page (OCI distribution spec, "Listing Tags")."""
from __future__ import annotations

import re
from typing import Callable, Iterator, Optional

import requests

from ..errors import RegistryError
from .address import origin
from .connection import Connection, Login
from .failures import BROKEN

LIMIT = 1 << 20   # bytes of a page
_PAGES_LIMIT = 10_000
#: The part of a Link header (RFC 8288) behind the "<" of a target.
_NEXT = re.compile(r'([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)


def pages(connection: Connection, path: str, login: Optional[Login], what: str,
          refuse: Callable[[requests.Response], None]) -> Iterator[bytes]:
    """The pages of the list at `path`, which `what` names in messages; `refuse` raises for an
    answer that is none."""
    for _ in range(_PAGES_LIMIT):
        with connection.get(path, headers={}, login=login) as response:
            if response.status_code != 200:
                refuse(response)
            yield body(connection, response, LIMIT, what)
            links = response.headers.get("Link", "").split("<")[1:]
            match = next(filter(None, map(_NEXT.match, links)), None)
            if match is None:
                return
            path = connection.target(response.url, match.group(1))
        if origin(path) != origin(response.url):
            break
    raise RegistryError(f"{connection.failing}: {what} leads on for ever, or elsewhere",
                        hint="tell whoever runs the registry")


def body(connection: Connection, response: requests.Response, limit: int, what: str) -> bytes:
    """All of an answer, which must not have more than `limit` bytes."""
    try:
        data = response.raw.read(limit + 1, decode_content=True)
    except BROKEN as error:
        raise connection.unreachable(response.url, error) from error
    if len(data) > limit:
        raise RegistryError(f"{connection.failing}: {what} has more than {limit} bytes",
                            hint="tell whoever runs the registry")
    return bytes(data)
