"""The one place that reads environment variables and configuration files.

Later ones win: the site's file ``/etc/lpmx/config.json``, the user's
``$XDG_CONFIG_HOME/lpmx/config.json``, then the variables ``LPMX_*``.
"""
from __future__ import annotations

import json
import os

from .errors import InvalidSetting
from .light import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, Mapping

SITE_FILE = "/etc/lpmx/config.json"

#: Keys of the configuration files, and what they mean.
KEYS = {
    "store": "directory of images and containers (LPMX_STORE)",
    "site_stores": "further stores whose images are used and never changed (LPMX_SITE_STORES)",
    "quota": "how much the layers of the store may take, such as \"50G\" (LPMX_QUOTA)",
    "mirror": "package mirror for `lpmx bootstrap` (LPMX_MIRROR)",
    "insecure_registries": "registries spoken to over plain HTTP",
    "registry_mirrors": "for registries, by name, other places to ask first",
    "allowed_calls": "what containers may call outside themselves; only in the site's file",
    "call_log": "file that is told each such call",
}


def user_file() -> str:
    """Where the user's settings are, if there are any."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(base, "lpmx", "config.json")


def _read(path: str) -> Mapping[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidSetting(f'cannot read the settings in "{path}": {error}',
                             hint="the file must be one JSON object") from None
    if not isinstance(values, dict):
        raise InvalidSetting(f'cannot read the settings in "{path}": it is not a JSON object',
                             hint='write {"store": "/scratch/me/lpmx"}, for example')
    unknown = sorted(set(values) - set(KEYS))
    if unknown:
        raise InvalidSetting(f'cannot use the setting "{unknown[0]}" in "{path}": '
                             "there is no such setting",
                             hint=f"known are: {', '.join(sorted(KEYS))}")
    return values


def setting(key: str) -> Any:
    """The value of `key` from the files, the user's over the site's; None if unset."""
    for path in (user_file(), SITE_FILE):
        values = _read(path)
        if key in values:
            return values[key]
    return None


def store_path() -> Path:
    """Where images and containers are: LPMX_STORE, a setting, or the user's data folder."""
    from pathlib import Path
    return Path(store_location())


def store_location() -> str:
    """The same as a string, for who is in a hurry: pathlib is slow to import."""
    chosen = os.environ.get("LPMX_STORE") or setting("store")
    if chosen:
        path = os.path.expanduser(str(chosen))
        if not os.path.isabs(path):
            raise InvalidSetting(f'cannot use "{chosen}" as the store: it is not an absolute path',
                                 hint="give LPMX_STORE a path that starts with /")
        return os.path.normpath(path)
    return _usual_store()


def default_store() -> str:
    """Where the store is for whoever has not set LPMX_STORE."""
    chosen = setting("store")
    return os.path.normpath(os.path.expanduser(str(chosen))) if chosen else _usual_store()


def _usual_store() -> str:
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(os.path.normpath(data), "lpmx")


def site_stores() -> list[str]:
    """Stores that are read and never written, in the order in which they are looked into:
    those of LPMX_SITE_STORES, with colons between them, else of the setting."""
    chosen = os.environ.get("LPMX_SITE_STORES")
    places = chosen.split(":") if chosen is not None else setting("site_stores") or []
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        raise InvalidSetting('cannot use the setting "site_stores": it is no list of directories',
                             hint='write ["/sw/lpmx"], for example')
    found = []
    for place in filter(None, places):
        path = os.path.expanduser(place)
        if not os.path.isabs(path):
            raise InvalidSetting(f'cannot use "{place}" as a site\'s store: it is not an absolute '
                                 "path", hint="give it a path that starts with /")
        found.append(os.path.normpath(path))
    return list(dict.fromkeys(found))


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def quota() -> int | None:
    """How many bytes the layers of the store may take; None: as many as there is room for."""
    chosen = os.environ.get("LPMX_QUOTA") or setting("quota")
    if not chosen:
        return None
    text = str(chosen).strip().upper().removesuffix("IB").removesuffix("B")
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS and text[-1:] else (text, "")
    if not number.isascii() or not number.isdigit() or len(number) > 15:
        raise InvalidSetting(f'cannot use "{chosen}" as the quota of the store: it is no size',
                             hint='write a number of bytes, or "500M", "50G", "2T"')
    return int(number) * _UNITS[unit]


def mirror() -> str | None:
    """The package mirror asked for, or None: take the host's."""
    return os.environ.get("LPMX_MIRROR") or setting("mirror")


def insecure_registries() -> list[str]:
    """Registries, as HOST or HOST:PORT, that may be spoken to over plain HTTP."""
    return list(setting("insecure_registries") or [])


def registry_mirrors(registry: str) -> list[str]:
    """Places to ask first for what `registry` has: [http[s]://]HOST[:PORT][/PREFIX]."""
    mirrors = setting("registry_mirrors") or {}
    places = mirrors.get(registry, []) if isinstance(mirrors, dict) else None
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        raise InvalidSetting('cannot use the setting "registry_mirrors": it does not have a list '
                             "of mirrors for each registry",
                             hint='write {"docker.io": ["mirror.example:5000"]}, for example')
    return places


_RULE_LIMIT, _RULES_LIMIT = 1000, 500


def call_rules() -> tuple[str, list[str]] | None:
    """The site's file, and its rules for what containers may call; None: there are none.

    A rule is a pattern ("host:/usr/bin/*", "container:tools:**"), with "!" in front one
    that refuses; the first that matches decides, and what none matches is refused.
    """
    if "allowed_calls" in _read(user_file()):
        raise InvalidSetting(f'cannot use the setting "allowed_calls" in "{user_file()}": only '
                             "the site can bound what is called",
                             hint=f'take it out; it belongs into "{SITE_FILE}"')
    rules = _read(SITE_FILE).get("allowed_calls")
    if rules is None:
        return None
    if not isinstance(rules, list) or len(rules) > _RULES_LIMIT or not all(
            isinstance(rule, str) and rule and "\0" not in rule and len(rule) <= _RULE_LIMIT
            for rule in rules):
        raise InvalidSetting(f'cannot use the setting "allowed_calls" in "{SITE_FILE}": it is not a '
                             "list of rules",
                             hint='write ["host:/usr/bin/squeue", "container:**"], for example')
    return SITE_FILE, rules


def call_log() -> str | None:
    """The file that is told each call of a program outside a container: the site's, else the
    user's; None: none is."""
    for place in (SITE_FILE, user_file()):
        path = _read(place).get("call_log")
        if path is None:
            continue
        if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
            raise InvalidSetting(f'cannot use the setting "call_log" in "{place}": it is not an '
                                 "absolute path", hint='write "/var/log/lpmx-calls", for example')
        return path
    return None


def source_date_epoch() -> int | None:
    """The time that what is made now is said to be of, in seconds since 1970 (the
    specification of SOURCE_DATE_EPOCH by reproducible-builds.org); None: the real one."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 11:
        raise InvalidSetting(f'cannot use SOURCE_DATE_EPOCH "{text}": it is not a number of '
                             "seconds since 1970", hint="unset it, or set it to a time as date +%s "
                                                        "shows it")
    return int(text)


def login_files() -> list[Path]:
    """Files that may have a login for a registry, as Podman and Docker place them."""
    from pathlib import Path

    chosen = os.environ.get("REGISTRY_AUTH_FILE")
    if chosen:
        return [Path(chosen)]
    files = []
    if os.environ.get("XDG_RUNTIME_DIR"):
        files.append(Path(os.environ["XDG_RUNTIME_DIR"]) / "containers/auth.json")
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    files.append(Path(base) / "containers/auth.json")
    docker = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    files.append(Path(docker) / "config.json")
    return files


def kept_login_file() -> Path:
    """The file that a new login is kept in: one that outlives the session."""
    from pathlib import Path

    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(os.environ.get("REGISTRY_AUTH_FILE") or f"{base}/containers/auth.json")


def certificate_folders() -> list[Path]:
    """Folders with a folder for each registry that has certificates of its own."""
    from pathlib import Path

    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return [Path(base) / "containers/certs.d", Path("/etc/containers/certs.d"),
            Path("/etc/docker/certs.d")]


def _temporary() -> str:
    """The folder for temporary files, as tempfile finds it, which is slow to import."""
    told = [os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)]
    first = [*told, "/tmp"][0]
    if os.path.isabs(first) and os.path.isdir(first) and os.access(first, os.W_OK | os.X_OK):
        return os.path.abspath(first)
    import tempfile
    return tempfile.gettempdir()


def runtime_path() -> Path:
    """A private directory of this user on this node, short enough for socket names."""
    from pathlib import Path
    return Path(runtime_location())


def runtime_location() -> str:
    """The same as a string."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and os.access(base, os.W_OK):
        path = os.path.join(base, "lpmx")
    else:
        path = os.path.join(_temporary(), f"lpmx-{os.getuid()}")
    os.makedirs(path, mode=0o700, exist_ok=True)
    owner = os.lstat(path)
    if owner.st_uid != os.getuid() or owner.st_mode & 0o077:
        raise InvalidSetting(f'cannot use "{path}": it is not private to you',
                             hint="remove it, or point XDG_RUNTIME_DIR at a folder of your own")
    return path
