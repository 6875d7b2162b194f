"""lpmx compose: containers, their links and commands, from a file."""
from __future__ import annotations

import argparse

from .parsing import explain


def register(parser: argparse.ArgumentParser) -> None:
    """Set up containers, their links and commands from a file."""
    explain(parser, ".\nThe file is described in docs/how-to/compose.md.")
    actions = parser.add_subparsers(metavar="ACTION", dest="action")

    def action(name: str, text: str, more: str = "") -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=text, description=text + more, allow_abbrev=False)
        one.add_argument("-f", "--file", metavar="FILE",
                         help="the compose file; default: lpmx-compose.yaml, or .yml, of the "
                              "working directory")
        return one

    one = action("up", "have all that the file asks for",
                 "; what is as it should be is left alone")
    one.add_argument("--recreate", action="store_true",
                     help="make containers again that were made otherwise than the file says now; "
                          "what was changed in them is lost")
    one.add_argument("--no-pull", action="store_false", dest="pull",
                     help="do not get images that the store does not have")
    one.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    one.set_defaults(run=_up)
    one = action("down", "end what runs in the file's containers, and remove them")
    one.add_argument("-t", "--time", metavar="SECONDS", type=float, default=10,
                     help="how long to wait before killing; default: 10")
    one.add_argument("--remove-orphans", action="store_true", dest="orphans",
                     help="also containers of the project that the file does not have")
    one.set_defaults(run=_down)
    one = action("ps", "show the file's containers, and what is there of them")
    one.add_argument("--json", action="store_true", help="print a list of JSON objects")
    one.set_defaults(run=_ps)


def _tell(name: str, what: str) -> None:
    print(f"{name}: {what}", flush=True)


def _up(arguments: argparse.Namespace) -> None:
    from ..compose import file, project
    from ..store import Store
    from . import output
    wanted = file.load(file.find(arguments.file))
    with output.progress(quiet=arguments.quiet) as sink:
        notes = project.up(Store.open(), wanted, recreate=arguments.recreate, fetch=arguments.pull,
                           progress=sink, tell=_tell)
    for note in notes:
        output.say(f"lpmx: {note}")


def _down(arguments: argparse.Namespace) -> None:
    from ..compose import file, project
    from ..store import Store
    from . import output
    for note in project.down(Store.open(), file.load(file.find(arguments.file)),
                             timeout=arguments.time, orphans=arguments.orphans, tell=_tell):
        output.say(f"lpmx: {note}")


def _ps(arguments: argparse.Namespace) -> None:
    from ..compose import file, project
    from ..store import Store
    from . import output
    found = project.states(Store.open(), file.load(file.find(arguments.file)))
    if arguments.json:
        output.print_json([{**vars(one), "processes": list(one.processes), "links": list(one.links),
                            "commands": list(one.commands)} for one in found])
        return
    rows = [(one.name, one.image or "(not there)", str(len(one.processes) or "-"),
             " ".join(one.links) or "-", " ".join(one.commands) or "-") for one in found]
    output.print_table(("CONTAINER", "IMAGE", "RUNNING", "LINKS", "COMMANDS"), rows)
    for one in found:
        if not one.known:
            output.say(f"lpmx: {project.orphan(one.name)}")
