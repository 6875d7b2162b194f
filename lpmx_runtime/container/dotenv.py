"""`.env` files, as projects keep them: NAME=VALUE lines that a shell could read.

    # a comment
    export NAME=value      a comment behind a blank
    QUOTED="a # b\\nand a second line"     \\n \\t \\r \\" \\\\ \\$ mean what they do in double quotes
    LITERAL='as it is, $HOME'

A value in quotes may go over several lines. Nothing is expanded: `$NAME` stays `$NAME`.
(`docker run --env-file` has another form, without quotes: `environment.read_file`.)
"""
from __future__ import annotations

import re
from typing import NoReturn

from ..errors import InvalidSetting

_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'")
_PLAIN = re.compile(r"[^\n]*")
_REST = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$", "\n": ""}


def read(path: str) -> str:
    """The text of the file `path`."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise InvalidSetting(f'cannot read the variables in "{path}": '
                             f'{(error.strerror or "").lower()}', hint="name a readable file") from None
    except ValueError:
        raise not_text(path) from None


def not_text(source: str) -> InvalidSetting:
    """The error for what is no text."""
    return InvalidSetting(f'cannot read the variables in "{source}": it is not text',
                          hint="name a file of NAME=VALUE lines")


def parse(text: str, source: str) -> dict[str, str]:
    """The variables of the text of a `.env` file; `source` is named in errors.

    Raises `InvalidSetting` with the number of the first line that is none.
    """
    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        nothing = _REST.match(text, at)
        if nothing:
            at = nothing.end()
            continue
        name = _NAME.match(text, at)
        if name is None:
            _refuse(text, at, source, "it is not NAME=VALUE")
        value, at = _value(text, name.end(), source)
        if "\0" in value:
            _refuse(text, name.start(), source, "there is a NUL byte in it")
        found[name[1]] = value
    return found


def _value(text: str, at: int, source: str) -> "tuple[str, int]":
    """The value at `at`, and where the next line begins."""
    quoted = _DOUBLE.match(text, at) or _SINGLE.match(text, at)
    if quoted is None:
        if text[at:at + 1] in ("'", '"'):
            _refuse(text, at, source, "its quote has no end")
        plain = _PLAIN.match(text, at)
        assert plain is not None
        return re.split(r"(?:^|[ \t]+)#", plain[0], maxsplit=1)[0].rstrip(), plain.end() + 1
    rest = _REST.match(text, quoted.end())
    if rest is None:
        _refuse(text, at, source, "something follows its quote")
    value = quoted[1]
    if quoted[0][0] == '"':
        value = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), value, flags=re.DOTALL)
    return value, rest.end()


def _refuse(text: str, at: int, source: str, cause: str) -> NoReturn:
    line = text.count("\n", 0, at) + 1
    raise InvalidSetting(f'cannot read the variables in "{source}": line {line}: {cause}',
                         hint="write lines such as NAME=value or NAME='some words'")
