"""Certificates: whom we believe, and who we say we are.

The host's own authorities count, and those of `certifi`, which comes with the
HTTP library. A site adds its own for one registry as container tools have it:
files *.crt, and *.cert with *.key, in a folder named after the registry.
"""
from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Iterable

from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

from ..errors import InvalidSetting


class TlsAdapter(HTTPAdapter):
    """Connections that use `context` for TLS."""

    def __init__(self, context: ssl.SSLContext, *, connections: int) -> None:
        self._context = context
        super().__init__(pool_connections=connections, pool_maxsize=connections)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=self._context, **options)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        return super().proxy_manager_for(*arguments, ssl_context=self._context, **options)


def make_context(host: str, folders: Iterable[Path], *, insecure: bool) -> ssl.SSLContext:
    """The TLS settings for `host`, with what is in its folder in any of `folders`."""
    # The library's own kind of context: its versions disagree on who compares names.
    context = create_urllib3_context()
    context.load_default_certs()
    for folder in folders:
        _add(context, folder / host)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _add(context: ssl.SSLContext, folder: Path) -> None:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return
    for name in names:
        path = folder / name
        try:
            if path.suffix == ".crt":
                context.load_verify_locations(path)
            elif path.suffix == ".cert":
                context.load_cert_chain(path, path.with_suffix(".key"))
        except OSError as error:  # ssl.SSLError is one
            raise InvalidSetting(f'cannot use the certificate "{path}": {error}',
                                 hint="it must be in PEM form, a client's with its key in a "
                                      "file of the same name with .key") from None
