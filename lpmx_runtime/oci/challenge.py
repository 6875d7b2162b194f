"""How a registry asks for a login: the WWW-Authenticate header (RFC 9110, 11.6.1).

    Bearer realm="https://auth.example/token",service="example",scope="repository:a/b:pull"
    Basic realm="Registry"
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Mapping, Optional, Sequence

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|(?=,)|\Z)")
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}[^\s,]*))\s*')
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*\s*(?=,|\Z)")
_LIMIT = 4096


@dataclass(frozen=True)
class Challenge:
    """One scheme that the registry would accept, its name in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def realm(self) -> str:
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        """The name that the token is for. Some registries give none."""
        return self.parameters.get("service", "")

    @property
    def scope(self) -> str:
        return self.parameters.get("scope", "")


def parse_challenges(header: str) -> list[Challenge]:
    """The challenges of a header, of which one may hold several.

    Whatever is not understood is passed over: the registry's answer then
    stays "unauthorized", which is true.
    """
    found: list[Challenge] = []
    text, at = header[:_LIMIT], 0
    while at < len(text):
        scheme = _SCHEME.match(text, at)
        if not scheme:
            at += 1
            continue
        at = scheme.end()
        parameters: dict[str, str] = {}
        token68 = _TOKEN68.match(text, at)
        if token68 and not _PARAMETER.match(text, at):
            at = token68.end()
        parameter = _PARAMETER.match(text, at)
        while parameter:
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(name.lower(), value)
            at = parameter.end()
            if text[at:at + 1] != ",":
                break
            parameter = _PARAMETER.match(text, at + 1)
        found.append(Challenge(scheme.group(1).lower(), parameters))
        if text[at:at + 1] == ",":
            at += 1
    return found


def choose(challenges: list[Challenge]) -> Optional[Challenge]:
    """The challenge to answer: a token is worth more than a password each time."""
    for scheme in ("bearer", "basic"):
        for challenge in challenges:
            if challenge.scheme == scheme and (scheme == "basic" or challenge.realm):
                return challenge
    return None


def token_scopes(repository: str, challenge: Challenge, actions: str = "pull",
                 sources: Sequence[str] = ()) -> list[str]:
    """The scopes to ask a token for; none without a repository, for a login alone.

    The registry's own idea counts where it names a repository: one that serves
    others under names of its own says here what they are called. Anything else
    ("read", or nothing at all) is not what its token service understands. But it
    asks for what one request needs, and `actions` are what all of them do.
    `sources` are repositories that are read, too.
    """
    if challenge.scope.startswith("repository:"):
        name, _, stated = challenge.scope[len("repository:"):].rpartition(":")
        own = f"repository:{name}:{stated if actions == 'pull' else actions}"
    elif repository:
        own = f"repository:{repository}:{actions}"
    elif challenge.scope.startswith("registry:"):
        return [challenge.scope]   # of what is no repository's: the list of them all
    else:
        return []
    return [own, *(f"repository:{source}:pull" for source in sources)]
