"""Where a registry is, and how it may be spoken to."""
from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import InvalidSetting

DOCKER_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"


@dataclass(frozen=True)
class Address:
    """A registry by the name that references have. `insecure` allows plain HTTP and
    certificates that nobody vouches for."""

    registry: str
    insecure: bool

    @property
    def host(self) -> str:
        """HOST[:PORT] to connect to; Docker Hub's name is not where it answers."""
        return _HUB_HOST if self.registry == DOCKER_HUB else self.registry

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def schemes(self) -> tuple[str, ...]:
        """What to try, in this order. Nobody listens in on loopback, and some
        servers there wait for ever when greeted with TLS."""
        if self.is_loopback:
            return ("http", "https")
        return ("https", "http") if self.insecure else ("https",)


@dataclass(frozen=True)
class Mirror:
    """Another place that has the repositories of a registry, perhaps below `prefix`."""

    address: Address
    prefix: str

    @classmethod
    def parse(cls, text: str, *, insecure: bool) -> "Mirror":
        """A mirror as the settings have it; "http://" makes it insecure."""
        scheme, separator, rest = text.rpartition("://")
        host, _, prefix = rest.strip("/").partition("/")
        if (separator and scheme not in ("http", "https")) or not host:
            raise InvalidSetting(f'cannot use "{text}" as a mirror of a registry: it is no place '
                                 "on the web", hint='write "mirror.example:5000", for example')
        return cls(make_address(host.lower(), insecure=insecure or scheme == "http"),
                   f"{prefix}/" if prefix else "")


def make_address(registry: str, *, insecure: bool) -> Address:
    """The address of `registry`; on loopback all is allowed, as with Docker."""
    return Address(registry, insecure or is_loopback(registry))


def is_loopback(host: str) -> bool:
    """Whether HOST[:PORT] is this machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what an authorisation is for. ValueError for an odd port."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port
