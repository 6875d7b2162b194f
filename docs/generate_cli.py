"""Prints docs/reference/cli.md, made from the command line itself: `make docs`."""
from __future__ import annotations

import argparse
import sys
from typing import Iterator

from lpmx_runtime.cli import parsing

HEAD = """# The command line

Made from `lpmx --help` by `make docs`; do not edit.

Results go to standard output, talk to standard error; `--json` makes results readable for
scripts. A failure of ours ends with 125 where a program should have run (126: it is not
executable, 127: it was not found), else with 1; a program's own exit code passes through.
"""


def document() -> str:
    lines = [HEAD]
    for name in parsing.names():
        parser = parsing.parser_of(name)
        assert parser is not None
        lines += section(parser, 2)
    return "\n".join(lines).rstrip() + "\n"


def section(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    """One command, then those below it."""
    yield f"{'#' * level} {parser.prog}\n"
    yield sentence(parser.description or "") + "\n"
    shown = [action for action in parser._actions
             if not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))
             and action.help != argparse.SUPPRESS]
    shown.sort(key=lambda action: bool(action.option_strings))
    if shown:
        yield "| argument | meaning |\n|---|---|"
        yield from (row(action, parser) for action in shown)
        yield ""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                inner.description = inner.description or helps.get(name)
                yield from section(inner, level + 1)


def sentence(text: str) -> str:
    """The description as paragraphs; its first line is a sentence of its own."""
    text = text.strip()
    first, _, rest = text.partition("\n")
    start = first[:1].upper() + first[1:].rstrip(".") + "."
    return "\n".join(filter(None, (start, rest)))


def row(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    if action.option_strings:
        value = "" if action.nargs == 0 else f" {metavar(action)}"
        name = ", ".join(f"`{option}{value}`" for option in action.option_strings)
    else:
        name = f"`{metavar(action)}`"
    values = {**vars(action), "prog": parser.prog}
    text = (action.help or "") % values
    return f"| {name} | " + text.replace("|", "\\|") + " |"


def metavar(action: argparse.Action) -> str:
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    if action.metavar:
        return action.metavar
    if action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper()


if __name__ == "__main__":
    sys.stdout.write(document())
