"""lpmx search: what registries have."""
from __future__ import annotations

import argparse

from .parsing import explain


def register(parser: argparse.ArgumentParser) -> None:
    """Look for repositories in a registry."""
    explain(parser, ".\nNot every registry tells: Docker Hub does, and those that list what they "
                    "have.")
    parser.add_argument("term", metavar="[REGISTRY/]TERM",
                        help="such as python or registry.site:5000/solver; without a registry, of "
                             "Docker Hub")
    parser.add_argument("--limit", metavar="N", type=int, default=25,
                        help="how many at most; default: %(default)s")
    parser.add_argument("--insecure", action="store_true",
                        help="speak plain HTTP, or HTTPS with any certificate, to the registry")
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    parser.set_defaults(run=_search)


def _search(arguments: argparse.Namespace) -> None:
    from ..errors import InvalidSetting
    from ..registry.search import search
    from . import output
    if arguments.limit < 1:
        raise InvalidSetting(f"cannot search for {arguments.limit} repositories",
                             hint="ask for one at least")
    found = search(*split(arguments.term), limit=arguments.limit, insecure=arguments.insecure)
    if arguments.json:
        output.print_json([one._asdict() for one in found])
    else:
        output.print_table(("NAME", "STARS", "OFFICIAL", "DESCRIPTION"),
                           [(one.name, str(one.stars or ""), "yes" if one.official else "",
                             one.description[:80]) for one in found])


def split(text: str) -> "tuple[str, str]":
    """The registry, told from the beginning of a name as in references, and the rest."""
    from ..registry.address import DOCKER_HUB
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return (DOCKER_HUB if first == DOCKER_HUB else first.lower()), rest
    return DOCKER_HUB, text
