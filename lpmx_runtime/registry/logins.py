"""Log in to a registry: try the login, and keep it where container tools look for one.

The file is Podman's `auth.json` (credentials.py has its form); what else is in
it stays. From its first byte on, nobody but its owner can read it. Where it names a
helper for the registry, that one keeps the login.
"""
from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path
from typing import Any

from .. import settings
from ..errors import InvalidSetting, Unauthorized
from ..progress import ignore
from .address import make_address
from .authority import Authority
from .connection import BODY_LIMIT, Connection
from .credentials import Login, ask_helper, erase_from_helper, give_helper, helper_of, registry_of
from .failures import BROKEN, Said, status_line
from .patience import USUAL, Patience
from .stop import Stop


def try_login(registry: str, login: Login, *, insecure: bool = False,
              patience: Patience = USUAL) -> None:
    """Return if `registry` accepts `login`; raises `Unauthorized` if not."""
    failing = f'cannot log in to "{registry}"'
    address = make_address(registry,
                           insecure=insecure or registry in settings.insecure_registries())
    connection = Connection(address, failing=failing, patience=patience, progress=ignore,
                            stop=Stop(), certificates=settings.certificate_folders())
    try:
        authority = Authority(connection, "", lambda: login)
        with connection.get("/v2/", headers={}, login=authority) as response:
            if response.status_code == 200 and not authority.has_login:
                raise Unauthorized(f"{failing}: it asks nobody for a login",
                                   hint="pull from it as you are")
            if response.status_code != 200:
                said = Said(response.raw.read(BODY_LIMIT, decode_content=True))
                raise Unauthorized(f"{failing}: it refused the login "
                                   f"({status_line(response.status_code)}{said})",
                                   hint="check the name of the registry, the user and the secret")
    except BROKEN as error:
        raise connection.unreachable("", error) from error
    finally:
        connection.close()


def save_login(path: Path, registry: str, login: Login) -> str:
    """Have `login` for `registry` in the file `path`, or with the helper that it names, in
    place of an older one; where it is now, for a message."""
    value = _read(path)
    auths = value.setdefault("auths", {})
    helper = helper_of(registry, value, path)
    if helper is not None:
        give_helper(helper, registry, login)
        if _drop(auths, registry):
            _write(path, value)
        return f"docker-credential-{helper}"
    _drop(auths, registry)
    pair = f"{login.user}:{login.secret}".encode()
    auths[registry] = {"auth": base64.b64encode(pair).decode()}
    _write(path, value)
    return f'"{path}"'


def remove_login(path: Path, registry: str) -> list[str]:
    """Take the login for `registry` out of the file `path` and away from the helper that it
    names; where it was, for a message. It is out of the file also if the helper fails."""
    value = _read(path)
    found = []
    if _drop(value.get("auths", {}), registry):
        _write(path, value)
        found.append(f'"{path}"')
    helper = helper_of(registry, value, path)
    if helper is not None and ask_helper(helper, registry) is not None:
        erase_from_helper(helper, registry)
        found.append(f"docker-credential-{helper}")
    return found


def _drop(auths: dict[str, Any], registry: str) -> bool:
    """Drop all spellings of `registry`; parts of it, with a path, have logins of their own."""
    names = [name for name in auths if registry_of(name) == registry]
    for name in names:
        del auths[name]
    return bool(names)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _unusable(path, str(error)) from None
    if not isinstance(value, dict) or not isinstance(value.get("auths", {}), dict):
        raise _unusable(path, "it is not what container tools write")
    return value


def _write(path: Path, value: dict[str, Any]) -> None:
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "w", encoding="utf-8") as file:
                json.dump(value, file, indent=2)
            os.rename(aside, path)
        except BaseException:
            os.unlink(aside)
            raise
    except OSError as error:
        raise _unusable(path, (error.strerror or str(error)).lower()) from None


def _unusable(path: Path, cause: str) -> InvalidSetting:
    return InvalidSetting(f'cannot keep a login in "{path}": {cause}',
                          hint="move the file away, or point REGISTRY_AUTH_FILE at another")
