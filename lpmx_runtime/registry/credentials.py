"""Logins in the files and helpers of container tools.

A file is one of Docker's or Podman's, which differ little:

    {"auths": {"ghcr.io": {"auth": "<base64 of USER:SECRET>"}},
     "credHelpers": {"gcr.io": "gcloud"}, "credsStore": "desktop"}

`auths` may also name a part of a registry ("quay.io/acme"); the longest name
that fits counts. A helper is a program, `docker-credential-NAME`, that is told
the registry on its standard input.
"""
from __future__ import annotations

import base64
import binascii
import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping, Optional

from ..errors import InvalidSetting, Unauthorized
from .address import DOCKER_HUB

_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")
_HELPER = re.compile(r"[A-Za-z0-9_.-]+\Z")
_HELPER_SECONDS = 60
_TOKEN_USER = "<token>"


@dataclass(frozen=True)
class Login:
    """A user's name and secret, or a token that stands for both."""

    user: str
    secret: str = field(repr=False)
    identity_token: Optional[str] = field(default=None, repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        pair = f"{self.user}:{self.secret}".encode()
        return "Basic " + base64.b64encode(pair).decode()


def find_login(registry: str, repository: str, files: Iterable[Path]) -> Optional[Login]:
    """The login for a repository in the first of `files` that has one; None means anonymous.

    Raises `InvalidSetting` for a file that makes no sense, and `Unauthorized`
    for a helper that does not work.
    """
    for path in files:
        value = _read(path)
        login = _from_helper(registry, value, path) or _from_file(registry, repository, value, path)
        if login is not None:
            return login
    return None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except ValueError as error:
        raise InvalidSetting(f'cannot read the logins in "{path}": {error}',
                             hint="the file must be one JSON object; a login writes it anew") from None
    return value if isinstance(value, dict) else {}


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


# -- helpers


def helper_of(registry: str, value: Mapping[str, Any], path: Path) -> Optional[str]:
    """The helper that has the logins for `registry`, by the content `value` of the file `path`."""
    helpers = {registry_of(key): name for key, name in _object(value, "credHelpers").items()}
    name = helpers.get(registry) or value.get("credsStore")
    if not name:
        return None
    if not isinstance(name, str) or not _HELPER.match(name):
        raise InvalidSetting(f'cannot use the credential helper {name!r} of "{path}": '
                             "it is no name of one",
                             hint='"gcloud" means the program docker-credential-gcloud')
    return name


def _from_helper(registry: str, value: Mapping[str, Any], path: Path) -> Optional[Login]:
    name = helper_of(registry, value, path)
    return None if name is None else ask_helper(name, registry)


def ask_helper(name: str, registry: str) -> Optional[Login]:
    """The login that the helper has for `registry`."""
    server = _server(registry)
    said = _run(name, "get", server, server.encode())
    if said is None:
        return None
    try:
        value = json.loads(said)
        user, secret = value["Username"], value["Secret"]
    except (ValueError, KeyError, TypeError):
        # Its output may have the secret in it: not a word of that.
        raise _failed(name, "get", server, "its answer makes no sense") from None
    if not secret:
        return None
    return Login("", "", secret) if user == _TOKEN_USER else Login(user, secret)


def give_helper(name: str, registry: str, login: Login) -> None:
    """Have the helper keep `login`, which it is told on its standard input."""
    server = _server(registry)
    _run(name, "store", server, json.dumps({"ServerURL": server, "Username": login.user,
                                            "Secret": login.secret}).encode())


def erase_from_helper(name: str, registry: str) -> None:
    """Have the helper forget the login for `registry`."""
    server = _server(registry)
    _run(name, "erase", server, server.encode())


def _server(registry: str) -> str:
    """What helpers call a registry."""
    return _HUB_KEY if registry == DOCKER_HUB else registry


def _run(name: str, verb: str, server: str, said: bytes) -> Optional[bytes]:
    """The helper's answer; None if it has no login."""
    path = shutil.which(f"docker-credential-{name}")
    if path is None:
        raise _failed(name, verb, server, "the program is not installed")
    try:
        done = subprocess.run([path, verb], input=said, capture_output=True,
                              timeout=_HELPER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise _failed(name, verb, server, f"no answer in {_HELPER_SECONDS} s") from None
    except OSError as error:
        raise _failed(name, verb, server, str(error)) from None
    if done.returncode:
        told = (done.stdout or done.stderr).decode("utf-8", "replace").strip()
        if "not found" in told.lower():
            return None
        # Of one that was given a secret nothing is repeated: it may be in there.
        raise _failed(name, verb, server, f"it ended with {done.returncode}" if verb == "store"
                      else told[:200] or f"it ended with {done.returncode}")
    return done.stdout


def _failed(name: str, verb: str, server: str, cause: str) -> Unauthorized:
    what = {"get": "get the login for \"{}\" from", "store": "keep the login for \"{}\" with",
            "erase": "take the login for \"{}\" from"}[verb].format(server)
    return Unauthorized(f"cannot {what} docker-credential-{name}: {cause}",
                        hint='install it, or take it out of "credHelpers" and "credsStore"')


# -- files


def _from_file(registry: str, repository: str, value: Mapping[str, Any],
               path: Path) -> Optional[Login]:
    entries = {registry_of(key): entry for key, entry in _object(value, "auths").items()}
    for name in _names(registry, repository):
        if isinstance(entries.get(name), dict):
            login = _login(entries[name], path)
            if login is not None:
                return login
    return None


def registry_of(key: str) -> str:
    """What a key of a file names. Docker's may be URLs."""
    _, scheme, rest = key.rpartition("://")
    if scheme:
        rest = rest.rstrip("/")
        for version in ("/v1", "/v2"):
            rest = rest[:-len(version)] if rest.endswith(version) else rest
    host, slash, path = rest.partition("/")
    return (DOCKER_HUB if host in _HUB_NAMES else host.lower()) + slash + path


def _names(registry: str, repository: str) -> Iterator[str]:
    """The keys that fit, the longest first."""
    parts = repository.split("/")
    for length in range(len(parts), 0, -1):
        yield "/".join([registry, *parts[:length]])
    yield registry


def _login(entry: Mapping[str, Any], path: Path) -> Optional[Login]:
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Login("", "", token)
    user, secret = entry.get("username"), entry.get("password")
    auth = entry.get("auth")
    if isinstance(auth, str) and auth:
        try:
            user, _, secret = base64.b64decode(auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise InvalidSetting(f'cannot read the logins in "{path}": an "auth" in it is not '
                                 "base64", hint="log in again; that writes it anew") from None
        secret = secret.rstrip("\0")
    if isinstance(user, str) and isinstance(secret, str) and user:
        return Login(user, secret)
    return None
