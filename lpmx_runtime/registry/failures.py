"""What went wrong with a connection or an answer, in words for people."""
from __future__ import annotations

import errno
import json
import os
import re
import socket
import ssl
from http import HTTPStatus
from typing import Iterator, Optional

import requests
import urllib3

#: Everything that a broken connection may raise, whoever notices first.
BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)

_ERRORS_LIMIT = 65536
#: Of alerts (RFC 8446, 6.2) that speak of a client's certificate.
_OURS = re.compile(r"ALERT_(?:BAD_CERTIFICATE|CERTIFICATE_|UNKNOWN_CA|UNSUPPORTED_CERTIFICATE)")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\uffff]+")


def chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and all that led to it; the libraries wrap each other's."""
    todo, seen = [error], set()
    while todo:
        one = todo.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        more = [getattr(one, "reason", None), *one.args, one.__cause__, one.__context__]
        todo += [each for each in more if isinstance(each, BaseException)]


def is_tls(error: BaseException) -> bool:
    """Whether the two sides did not agree on TLS, or not on a certificate."""
    return any(isinstance(each, (ssl.SSLError, requests.exceptions.SSLError))
               for each in chain(error))


def is_untrusted(error: BaseException) -> bool:
    """Whether it is the certificate that was refused."""
    return any(isinstance(each, ssl.SSLCertVerificationError) for each in chain(error))


def wants_certificate(error: BaseException) -> bool:
    """Whether it is ours that was refused, or that we showed none."""
    return any(isinstance(each, ssl.SSLError) and _OURS.search(each.reason or "") is not None
               for each in chain(error))


# The most telling first: the libraries call a refused connection a timeout, too.
_CAUSES = (
    ((requests.exceptions.ProxyError,), "the proxy did not help"),
    ((socket.gaierror,), "there is no host of that name"),
    ((ConnectionRefusedError,), "nothing listens there (connection refused)"),
    ((ConnectionResetError, BrokenPipeError), "it broke the connection off"),
    ((requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError), "it stopped answering"),
    ((socket.timeout, requests.ConnectTimeout), "it does not answer"),
    ((urllib3.exceptions.IncompleteRead,), "the connection closed"),
)


def cause_of(error: BaseException) -> str:
    """Why nothing came back, short."""
    found = list(chain(error))
    for each in found:
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({each.verify_message or each.reason})"
    if wants_certificate(error):
        return "it asks who we are, and takes no certificate, or not the one, that we show"
    for kinds, cause in _CAUSES:
        if any(isinstance(each, kinds) for each in found):
            return cause
    for each in found:
        if isinstance(each, ssl.SSLError):
            return f"it does not speak TLS as we do ({each.reason or each})"
    for each in found:
        if isinstance(each, OSError) and isinstance(each.errno, int) \
                and each.errno in errno.errorcode:
            return os.strerror(each.errno).lower()
    return "the connection broke"


def status_line(status: int) -> str:
    """"404 Not Found"."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


class Said:
    """The registry's own words in the body of an answer (OCI distribution spec, "Error Codes")."""

    def __init__(self, body: bytes) -> None:
        self.code = ""
        self.message = ""
        try:
            first = json.loads(body[:_ERRORS_LIMIT])["errors"][0]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            return
        if isinstance(first, dict):
            self.code = _clean(first.get("code"))
            self.message = _clean(first.get("message"))

    def __str__(self) -> str:
        return f', "{self.message}"' if self.message else ""


def _clean(value: Optional[object]) -> str:
    """A text of the registry as a part of a line: it may have anything in it."""
    return _UNPRINTABLE.sub(" ", value).strip()[:200] if isinstance(value, str) else ""
