"""Where registries are, and how long they are waited for."""
from __future__ import annotations

import email.utils
import time
from typing import Optional, Tuple

import pytest
from lpmx_runtime.registry.address import Mirror, is_loopback, make_address, origin
from lpmx_runtime.registry.patience import Patience, retry_after


@pytest.mark.parametrize("host, expected", [
    ("localhost", True), ("localhost:5000", True), ("sub.localhost", True), ("127.0.0.1", True),
    ("127.9.9.9:5000", True), ("[::1]:5000", True), ("[::1]", True),
    ("localhost.example", False), ("127.0.0.1.example:5000", False), ("10.0.0.1", False),
    ("ghcr.io", False), ("", False), ("[broken", False),
])
def test_loopback_is_known_by_name_or_number(host: str, expected: bool) -> None:
    """And nothing that only looks like it."""
    assert expected == is_loopback(host)


def test_docker_hub_answers_at_another_host() -> None:
    """Its name in references is not that of its registry."""
    address = make_address("docker.io", insecure=False)

    assert ("registry-1.docker.io", ("https",)) == (address.host, address.schemes)


@pytest.mark.parametrize("registry, insecure, schemes", [
    ("ghcr.io", False, ("https",)),
    ("ghcr.io", True, ("https", "http")),
    ("localhost:5000", False, ("http", "https")),
])
def test_plain_http_is_for_loopback_or_for_who_asks(registry: str, insecure: bool,
                                                    schemes: Tuple[str, ...]) -> None:
    """Elsewhere TLS comes first even then."""
    assert schemes == make_address(registry, insecure=insecure).schemes


@pytest.mark.parametrize("text, host, insecure, prefix", [
    ("mirror.example", "mirror.example", False, ""),
    ("mirror.example:5000/hub/", "mirror.example:5000", False, "hub/"),
    ("https://Mirror.example/a/b", "mirror.example", False, "a/b/"),
    ("http://mirror.example", "mirror.example", True, ""),
    ("localhost:5000", "localhost:5000", True, ""),
])
def test_mirror_is_read(text: str, host: str, insecure: bool, prefix: str) -> None:
    """A host, perhaps a path; "http://" says that it speaks no TLS."""
    mirror = Mirror.parse(text, insecure=False)

    assert (host, insecure, prefix) == (mirror.address.host, mirror.address.insecure, mirror.prefix)


def test_an_origin_is_scheme_host_and_port() -> None:
    """What a login is for; default ports are the same as written ones."""
    assert origin("https://Host/x") == origin("https://host:443/y?z")
    assert origin("https://host/") != origin("http://host/")
    assert origin("http://host:80/") != origin("http://host:81/")
    with pytest.raises(ValueError):
        origin("http://host:99999999/")


@pytest.mark.parametrize("value, seconds", [
    ("0", 0.0), ("5", 5.0), (" 120 ", 120.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    (None, None), ("", None), ("soon", None), ("-5", None), ("1.5", None),
])
def test_retry_after_is_read(value: Optional[str], seconds: Optional[float]) -> None:
    """Seconds or a date; rubbish is passed over."""
    assert seconds == retry_after(value)


def test_retry_after_a_date_to_come() -> None:
    """The seconds until then."""
    date = email.utils.formatdate(time.time() + 60, usegmt=True)

    seconds = retry_after(date)

    assert seconds is not None and 55 < seconds <= 60


def test_pauses_grow_to_a_limit() -> None:
    """Each at most double the one before, and never all clients' at the same moment."""
    patience = Patience(first_pause=1, longest_pause=8)

    for failures, longest in enumerate((1, 2, 4, 8, 8, 8), 1):
        pauses = {patience.pause(failures) for _ in range(50)}
        assert longest * 0.75 <= min(pauses) and max(pauses) <= longest
        assert len(pauses) > 1
