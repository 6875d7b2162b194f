"""Parsers of the commands, built one at a time, and the words that are not ours to parse."""
from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import Any, Callable, NoReturn, Optional

from . import COMMANDS, GROUP

_MISUSED = 125

_COLUMNS = 80

Register = Callable[[argparse.ArgumentParser], None]


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """As argparse's, which asks shutil for the width, and that is slow to import: each
    argument that a parser gets makes one."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """How wide the terminal is that help goes to, as shutil.get_terminal_size has it."""
    told = os.environ.get("COLUMNS", "")
    if told.isdigit() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(1).columns or _COLUMNS
    except OSError:
        return _COLUMNS


class Parser(argparse.ArgumentParser):
    """As argparse's, in our manner of errors and with the exit code that is ours."""

    def error(self, message: str) -> NoReturn:
        print(f"lpmx: cannot understand the command line: {message}", file=sys.stderr)
        print(f'hint: "{self.prog} --help" explains the arguments', file=sys.stderr)
        sys.exit(_MISUSED)


def found_elsewhere(group: str) -> dict[str, Any]:
    """Entry points of other packages, by their names."""
    from importlib import metadata
    points: Any = metadata.entry_points()
    # Python 3.9 has a dictionary of groups here.
    found = points.select(group=group) if hasattr(points, "select") else points.get(group, ())
    return {point.name: point for point in found}


def _register(name: str) -> Optional[Register]:
    if name in COMMANDS:
        module, function, _ = COMMANDS[name]
        register: Register = getattr(import_module(f".{module}", __package__), function)
        return register
    point = found_elsewhere(GROUP).get(name)
    if point is None:
        return None
    loaded: Register = point.load()
    return loaded


def parser_of(name: str) -> Optional[Parser]:
    """The parser of the command `name`; None if there is no such command."""
    register = _register(name)
    if register is None:
        return None
    parser = Parser(prog=f"lpmx {name}", allow_abbrev=False, description=help_of(name, register),
                    formatter_class=_Formatter)
    register(parser)
    return parser


def nearest(name: str) -> str:
    """For who mistyped a command: which one it may have been."""
    from difflib import get_close_matches
    found = get_close_matches(name, names(), 1)
    return f'was "lpmx {found[0]}" meant? ' if found else ""


def explain(parser: argparse.ArgumentParser, text: str) -> None:
    """Continue the line that says what a command is for."""
    parser.description = f"{parser.description}{text}"


def help_of(name: str, register: Register) -> str:
    """One line that says what a command is for."""
    if name in COMMANDS:
        return COMMANDS[name][2]
    return (register.__doc__ or "").strip().split("\n")[0].rstrip(".")


def names() -> list[str]:
    """Every command there is: ours in the order of a first visit, then the others'."""
    return [*COMMANDS, *sorted(set(found_elsewhere(GROUP)) - set(COMMANDS))]


def overview() -> str:
    """What `lpmx --help` prints."""
    from .. import __version__
    lines = [f"lpmx {__version__}: container images for people without privileges", "",
             "usage: lpmx COMMAND [ARGUMENT...]", ""]
    for name in names():
        lines.append(f"  {name:<10} {_line_of_help(name)}")
    lines += ["", '"lpmx COMMAND --help" explains one of them.', ""]
    return "\n".join(lines)


def _line_of_help(name: str) -> str:
    if name in COMMANDS:
        return COMMANDS[name][2]
    try:
        register = _register(name)
    except Exception as error:  # another package's fault must not take our help away
        return f"(cannot be loaded: {error})"
    return "" if register is None else help_of(name, register)


def parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """Parse `words`, leaving alone what belongs to another program."""
    after = parser.get_default("command_after")
    if after is None:
        return parser.parse_args(words)
    ours, command = divide(parser, words, after)
    arguments = parser.parse_args(ours)
    arguments.command = command
    return arguments


def divide(parser: argparse.ArgumentParser, words: list[str],
           positionals: int) -> tuple[list[str], list[str]]:
    """Part `words` behind the given number of positional arguments.

    argparse has changed its mind about "--" several times; a program's arguments
    must reach it as they were typed under every version of Python, so they are cut
    off before argparse sees any.
    """
    position, seen = 0, 0
    while position < len(words) and seen < positionals:
        word = words[position]
        position += 1
        if word == "--":
            # Only positional arguments follow.
            position = min(len(words), position + positionals - seen)
            break
        if word.startswith("-") and len(word) > 1:
            position += _values_apart(parser, word)
        else:
            seen += 1
    ours, command = words[:position], words[position:]
    return ours, command[1:] if command[:1] == ["--"] else command


def _values_apart(parser: argparse.ArgumentParser, word: str) -> int:
    """How many of the following words are the value of the option `word`."""
    known = parser._option_string_actions  # pylint: disable=protected-access
    if word.startswith("--"):
        action = known.get(word)  # "--name=value" is not in there: its value is inside
        return int(action is not None and action.nargs is None)
    for at in range(1, len(word)):
        action = known.get("-" + word[at])
        if action is not None and action.nargs is None:
            return int(at == len(word) - 1)  # "-ivalue" against "-i value"
    return 0
