"""lpmx env: the variables of a container, changed while it runs."""
from __future__ import annotations

import argparse
import sys
import time
from typing import Optional

from ..errors import InvalidSetting
from . import named
from .parsing import explain


def register_env(parser: argparse.ArgumentParser) -> None:
    """Change a container's variables while it runs."""
    explain(
        parser,
        ".\nWhat runs in the container sees a change at once when it asks its C library "
        "(getenv), and\nwhatever it starts afterwards has it. A variable that a program has set "
        "for itself stays\nits own.")
    actions = parser.add_subparsers(metavar="ACTION", dest="action")

    def action(name: str, text: str, more: str = "") -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=text, description=text + more, allow_abbrev=False)
        one.add_argument("container", metavar="CONTAINER", help="name of a container")
        return one

    one = action("set", "give variables a value")
    one.add_argument("assignments", metavar="NAME=VALUE", nargs="+", help="variable and value")
    one.set_defaults(run=_set)
    one = action("unset", "take variables away")
    one.add_argument("names", metavar="NAME", nargs="+", help="variable")
    one.set_defaults(run=_unset)
    one = action("load", "give variables the values in a .env file",
                 ": NAME=VALUE lines, with quotes and comments as in a shell; nothing is expanded")
    one.add_argument("file", metavar="FILE", help='the file; "-": standard input')
    one.set_defaults(run=_load)
    one = action("list", "show the variables a new program gets", ", and where each comes from")
    one.add_argument("--json", action="store_true", help="print a list of JSON objects")
    one.set_defaults(run=_list)
    one = action("history", "show all changes with their times", ", since the machine was booted")
    one.add_argument("--json", action="store_true", help="print a list of JSON objects")
    one.set_defaults(run=_history)


def _set(arguments: argparse.Namespace) -> None:
    variables = named.container(arguments.container).environment
    pairs = [text.partition("=") for text in arguments.assignments]
    for text, (name, equals, _) in zip(arguments.assignments, pairs):
        if not name or not equals:
            raise InvalidSetting(f'cannot set the variable "{text}": it is not NAME=VALUE',
                                 hint="write, for example, OMP_NUM_THREADS=4")
    for name, _, value in pairs:
        variables.set(name, value)


def _unset(arguments: argparse.Namespace) -> None:
    variables = named.container(arguments.container).environment
    for name in arguments.names:
        variables.unset(name)


def _load(arguments: argparse.Namespace) -> None:
    from ..container import dotenv
    variables = named.container(arguments.container).environment
    source = "standard input" if arguments.file == "-" else arguments.file
    if arguments.file == "-":
        try:
            text = sys.stdin.buffer.read().decode()
        except ValueError:
            raise dotenv.not_text(source) from None
    else:
        text = dotenv.read(source)
    values = dotenv.parse(text, source)
    variables.load(values)
    for name in values:
        print(name)


def _list(arguments: argparse.Namespace) -> None:
    from . import output
    found = named.container(arguments.container).environment.list()
    if arguments.json:
        output.print_json([variable._asdict() for variable in found])
    else:
        output.print_table(("NAME", "VALUE", "ORIGIN"),
                           [(variable.name, _shown(variable.value), variable.origin)
                            for variable in found])


def _history(arguments: argparse.Namespace) -> None:
    from . import output
    found = named.container(arguments.container).environment.history()
    if arguments.json:
        output.print_json([change._asdict() for change in found])
    else:
        output.print_table(("WHEN", "BY", "NAME", "VALUE"),
                           [(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(change.time)),
                             str(change.pid), change.name, _shown(change.value))
                            for change in found])


def _shown(value: Optional[str]) -> str:
    return "(unset)" if value is None else value
