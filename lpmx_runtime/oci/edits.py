"""Changes to an image config, written as in a Dockerfile: `ENV A=1`, `CMD ["python3"]`.

Docker's "Dockerfile reference" has the forms. An instruction gives a new config and
leaves the old one alone.
"""
from __future__ import annotations

import json
import posixpath
import re
import shlex
from typing import Any, Callable, Mapping, NoReturn, Optional, Sequence

from ..errors import InvalidSetting

_SHELL = ["/bin/sh", "-c"]
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?\Z", re.IGNORECASE)
_VARIABLE = re.compile(r"[^\s=]+\Z")

Run = dict[str, Any]   # the part "config" of an image config


def apply(config: Mapping[str, Any], instructions: Sequence[str]) -> dict[str, Any]:
    """`config` (all of it) as `instructions` change it, one after the other.

    Raises `InvalidSetting` for one that is not understood.
    """
    run: Run = {**(config.get("config") or {})}
    commands = 0
    for text in instructions:
        name, _, rest = text.strip().partition(" ")
        instruction = _INSTRUCTIONS.get(name.upper())
        if instruction is None:
            raise InvalidSetting(f'cannot use the change "{text}": there is no instruction '
                                 f'"{name}"', hint=f"known are {', '.join(_INSTRUCTIONS)}")
        if name.upper() == "ENTRYPOINT" and not commands:
            run.pop("Cmd", None)   # it was meant for the old one
        commands += name.upper() == "CMD"
        instruction(run, _Words(text, rest.strip()))
    return {**config, "config": run}


class _Words:
    """What follows an instruction's name."""

    def __init__(self, text: str, rest: str) -> None:
        self._text = text
        self.rest = rest
        if not rest:
            self.refuse("nothing follows the instruction", "write, for example, ENV A=1")

    def refuse(self, cause: str, hint: str) -> NoReturn:
        raise InvalidSetting(f'cannot use the change "{self._text}": {cause}', hint=hint)

    def texts(self) -> Optional[list[str]]:
        """A JSON list of texts; None if it is none."""
        if not self.rest.startswith("["):
            return None
        try:
            value = json.loads(self.rest)
        except ValueError:
            return None
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            self.refuse("its list is not one of texts", 'write ["program", "argument"]')
        return value

    def words(self) -> list[str]:
        """Words as a shell parts them."""
        try:
            return shlex.split(self.rest)
        except ValueError as error:
            self.refuse(f"its quotes make no sense ({error})", "close every quote")

    def pairs(self) -> list[tuple[str, str]]:
        """NAME=VALUE, several of them; or one NAME and its value, apart."""
        first = self.rest.split(None, 1)
        if "=" not in first[0]:
            if len(first) < 2:
                self.refuse("there is no value", "write NAME=VALUE")
            return [(first[0], first[1])]
        found = []
        for word in self.words():
            name, equals, value = word.partition("=")
            if not equals or not _VARIABLE.match(name):
                self.refuse(f'"{word}" is not NAME=VALUE', "quote values that have spaces")
            found.append((name, value))
        return found


def _env(run: Run, words: _Words) -> None:
    variables = dict(text.partition("=")[::2] for text in run.get("Env") or [])
    variables.update(words.pairs())
    run["Env"] = [f"{name}={value}" for name, value in variables.items()]


def _label(run: Run, words: _Words) -> None:
    run["Labels"] = {**(run.get("Labels") or {}), **dict(words.pairs())}


def _command(name: str) -> Callable[[Run, _Words], None]:
    def change(run: Run, words: _Words) -> None:
        found = words.texts()
        run[name] = (run.get("Shell") or _SHELL) + [words.rest] if found is None else found
    return change


def _user(run: Run, words: _Words) -> None:
    run["User"] = words.rest


def _stop_signal(run: Run, words: _Words) -> None:
    run["StopSignal"] = words.rest


def _workdir(run: Run, words: _Words) -> None:
    path = posixpath.normpath(posixpath.join("/", run.get("WorkingDir") or "/", words.rest))
    run["WorkingDir"] = "/" + path.lstrip("/")


def _expose(run: Run, words: _Words) -> None:
    ports = {**(run.get("ExposedPorts") or {})}
    for word in words.words():
        match = _PORT.match(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if match is None or not 0 < first <= last < 65536:
            words.refuse(f'"{word}" is no port', "write 8888 or 53/udp")
        for port in range(first, last + 1):
            ports[f"{port}/{(match[3] or 'tcp').lower()}"] = {}
    run["ExposedPorts"] = ports


def _volume(run: Run, words: _Words) -> None:
    listed = words.texts()
    volumes = words.words() if listed is None else listed
    for path in volumes:
        if not path.startswith("/"):
            words.refuse(f'"{path}" is not an absolute path', "begin it with /")
    run["Volumes"] = {**(run.get("Volumes") or {}), **{path: {} for path in volumes}}


_INSTRUCTIONS: Mapping[str, Callable[[Run, _Words], None]] = {
    "ENV": _env, "CMD": _command("Cmd"), "ENTRYPOINT": _command("Entrypoint"),
    "WORKDIR": _workdir, "USER": _user, "LABEL": _label, "EXPOSE": _expose, "VOLUME": _volume,
    "STOPSIGNAL": _stop_signal,
}
