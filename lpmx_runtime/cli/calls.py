"""lpmx link, unlink, links, expose, unexpose, exposed: programs that call each other."""
from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Iterable

from . import named
from .parsing import explain

if TYPE_CHECKING:
    from ..container import Container


def register_link(parser: argparse.ArgumentParser) -> None:
    """Give a container a program of the host or of another one."""
    explain(
        parser,
        ".\nNAME becomes a program of the container, at once and for all that runs there; who "
        "executes\nit becomes the target, a process of the host's view or the other container's. "
        "A NAME\nwithout a slash is put into a directory of the container's PATH.")
    parser.add_argument("--over", action="store_true",
                        help="also if the container has something there: the link comes first")
    parser.add_argument("--cwd", metavar="DIR",
                        help="start the target in DIR of its place; default: in its caller's directory")
    parser.add_argument("-e", "--env", metavar="NAME[=VALUE]", action="append", default=[],
                        help="give the target a variable; without =VALUE, what it is here")
    parser.add_argument("--pass", metavar="PATTERN", action="append", dest="passes",
                        help="hand over these variables of the caller: NAME, PREFIX* or *; instead of "
                             "those that mean the same everywhere, such as TERM, OMP_NUM_THREADS and "
                             "SLURM_*")
    parser.add_argument("--pass-none", action="store_true",
                        help="hand over none of the caller's variables; not together with --pass")
    parser.add_argument("container", metavar="CONTAINER", help="name of a container")
    parser.add_argument("links", metavar="NAME=TARGET", nargs="+",
                        help="TARGET is host:PROGRAM, or CONTAINER:PROGRAM of another one")
    parser.set_defaults(run=_link)


def register_unlink(parser: argparse.ArgumentParser) -> None:
    """Take such programs away again."""
    parser.add_argument("container", metavar="CONTAINER", help="name of a container")
    parser.add_argument("names", metavar="NAME", nargs="+", help="a link's name or path")
    parser.set_defaults(run=_unlink)


def register_links(parser: argparse.ArgumentParser) -> None:
    """List a container's links."""
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    parser.add_argument("container", metavar="CONTAINER", help="name of a container")
    parser.set_defaults(run=_links)


def register_expose(parser: argparse.ArgumentParser) -> None:
    """Make a command of a container's program."""
    explain(
        parser,
        ".\nThe command is a small file on the host that runs the program in the container, in "
        "the\ndirectory where it is called. It goes when the container is removed.")
    parser.add_argument("--as", metavar="NAME", dest="name",
                        help="the command's name; default: the program's")
    parser.add_argument("--dir", metavar="DIR", help="where to put it; default: ~/.local/bin")
    parser.add_argument("container", metavar="CONTAINER", help="name of a container")
    parser.add_argument("program", metavar="PROGRAM", help="a program of it: a name or a path")
    parser.set_defaults(run=_expose)


def register_unexpose(parser: argparse.ArgumentParser) -> None:
    """Take such commands away again."""
    parser.add_argument("container", metavar="CONTAINER", help="name of a container")
    parser.add_argument("names", metavar="NAME", nargs="+", help="a command's name or path")
    parser.set_defaults(run=_unexpose)


def register_exposed(parser: argparse.ArgumentParser) -> None:
    """List the commands made of containers' programs."""
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    parser.add_argument("container", metavar="CONTAINER", nargs="?",
                        help="name of a container; default: all")
    parser.set_defaults(run=_exposed)


# -- what they do ----------------------------------------------------------------------


def _say(notes: Iterable[str]) -> None:
    from . import output
    for note in notes:
        output.say(f"lpmx: {note}")


def _link(arguments: argparse.Namespace) -> None:
    from ..container import environment, links
    from ..errors import InvalidSetting
    if arguments.passes and arguments.pass_none:
        raise InvalidSetting("cannot use --pass together with --pass-none",
                             hint="leave one of them out")
    wanted = [links.parse(text) for text in arguments.links]
    env = dict(environment.parse(text, os.environ) for text in arguments.env)
    container = named.container(arguments.container)
    for name, target in wanted:
        link, notes = links.add(container, name, target, cwd=arguments.cwd, env=env,
                                passes=[] if arguments.pass_none else arguments.passes,
                                over=arguments.over)
        print(link.path)
        _say(notes)


def _unlink(arguments: argparse.Namespace) -> None:
    from ..container import links
    container = named.container(arguments.container)
    for name in arguments.names:
        print(links.remove(container, name).path)


def _links(arguments: argparse.Namespace) -> None:
    from ..container import links
    from . import output
    found = links.of_container(named.container(arguments.container))
    if arguments.json:
        output.print_json([{"name": link.name, "path": link.path, "target": link.target,
                            "cwd": link.cwd, "env": dict(link.env),
                            "pass": None if link.passes is None else list(link.passes),
                            "created": link.created} for link in found])
    else:
        output.print_table(("NAME", "TARGET", "PATH"),
                           [(link.name, link.target, link.path) for link in found])


def _expose(arguments: argparse.Namespace) -> None:
    from ..container import exposed
    command, notes = exposed.add(named.container(arguments.container), arguments.program,
                                 name=arguments.name, directory=arguments.dir)
    print(command.path)
    _say(notes)


def _unexpose(arguments: argparse.Namespace) -> None:
    from ..container import exposed
    container = named.container(arguments.container)
    for name in arguments.names:
        print(exposed.remove(container, name).path)


def _exposed(arguments: argparse.Namespace) -> None:
    from ..container import Container, exposed
    from ..store import Store
    from . import output
    containers: "list[Container]" = ([named.container(arguments.container)] if arguments.container
                                     else Container.list(Store.open()))
    found = [command for one in containers for command in exposed.of_container(one)]
    if arguments.json:
        output.print_json([{"name": one.name, "path": one.path, "container": one.container,
                            "program": one.program, "whole": one.whole} for one in found])
    else:
        output.print_table(("NAME", "CONTAINER", "PROGRAM", "PATH"),
                           [(one.name, one.container, one.program,
                             one.path if one.whole else f"{one.path} (gone)") for one in found])
