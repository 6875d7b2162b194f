"""lpmx completion: words that fit where somebody types a command line.

The shells' own parts are a few lines that ask `lpmx completion words`; which words there
are is told by the same parsers that read the command line.
"""
from __future__ import annotations

import argparse
from typing import Iterator, Optional

from .parsing import explain, names, parser_of

#: Fewer than these may as well begin a name.
_DIGITS = 3

_SCRIPTS = {
    "bash": r"""_lpmx() {
    local line=${COMP_LINE:0:COMP_POINT} word
    mapfile -t COMPREPLY < <(lpmx completion words -- "$line" 2>/dev/null)
    word=${line##* }
    if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
        # bash takes what follows a colon for a word of its own
        COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*:}"}"}")
    fi
}
complete -o default -F _lpmx lpmx
""",
    "zsh": r"""#compdef lpmx
_lpmx() {
    local -a found
    found=(${(f)"$(lpmx completion words -- "${(j: :)words[1,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then compadd -Q -- $found; else _files; fi
}
compdef _lpmx lpmx
""",
    "fish": r"""complete -c lpmx -a '(lpmx completion words -- (commandline -cp) 2>/dev/null)'
""",
}


def register(parser: argparse.ArgumentParser) -> None:
    """Print what makes a shell complete commands, names and digests."""
    explain(
        parser,
        '.\nFor bash: source <(lpmx completion bash). For zsh: source <(lpmx completion zsh). For '
        "fish:\nlpmx completion fish | source.")
    parser.add_argument("shell", metavar="SHELL", choices=(*_SCRIPTS, "words"),
                        help="bash, zsh or fish")
    parser.add_argument("line", metavar="LINE", nargs="?", help=argparse.SUPPRESS)
    parser.set_defaults(run=_completion)


def _completion(arguments: argparse.Namespace) -> None:
    if arguments.shell == "words":
        for word in words(arguments.line or ""):
            print(word)
    else:
        print(_SCRIPTS[arguments.shell], end="")


def words(line: str) -> list[str]:
    """The words that can stand at the end of `line`, "lpmx run deb"; none where a file, or
    anything at all, is meant."""
    typed = line.split()
    begun = typed.pop() if typed and not line.endswith((" ", "\t")) else ""
    return sorted({word for word in _fitting(typed[1:], begun) if word.startswith(begun)})


def _fitting(before: list[str], begun: str) -> Iterator[str]:
    if not before:
        yield from names()
        return
    parser = parser_of(before[0])
    if parser is None:
        return
    positionals = [action for action in parser._actions if not action.option_strings]
    seen, option = _place(parser, before[1:])
    if option is not None:
        yield from _values(option, begun)
        return
    after = parser.get_default("command_after")
    if after is not None and seen >= after:
        return   # another program's words
    if begun.startswith("-"):
        yield from (word for action in parser._actions for word in action.option_strings)
    elif positionals and (seen < len(positionals) or positionals[-1].nargs in ("+", "*")):
        yield from _values(positionals[min(seen, len(positionals) - 1)], begun)


def _place(parser: argparse.ArgumentParser,
           before: list[str]) -> tuple[int, Optional[argparse.Action]]:
    """How many positional arguments there are so far, and the option that waits for a value."""
    seen, waiting = 0, None
    for word in before:
        if waiting is not None:
            waiting = None
        elif word.startswith("-") and len(word) > 1:
            action = parser._option_string_actions.get(word)
            waiting = action if action is not None and action.nargs is None else None
        else:
            seen += 1
    return seen, waiting


def _values(action: argparse.Action, begun: str) -> Iterator[str]:
    """What can stand for an argument, by its name in the help."""
    if action.choices is not None:
        yield from map(str, action.choices)
        return
    kind = str(action.metavar or "")
    either = kind == "NAME" and action.dest == "names"
    if "IMAGE" in kind or either:
        yield from _images(begun)
    if "CONTAINER" in kind or either:
        yield from _containers()


def _images(begun: str) -> Iterator[str]:
    from ..store import Store
    images = Store.open().images.list()
    for image in images:
        yield image.familiar
        if begun.startswith("sha256:"):
            yield image.digest
        elif len(begun) >= _DIGITS:
            yield image.digest[7:19]
    if "host".startswith(begun):
        yield "host"


def _containers() -> Iterator[str]:
    import os

    from ..store import Store
    yield from os.listdir(Store.open().containers)
