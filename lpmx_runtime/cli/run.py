"""lpmx run, create, exec: programs in containers."""
from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Optional

from . import direct, named
from .parsing import explain

if TYPE_CHECKING:
    from ..container import Options


def register_run(parser: argparse.ArgumentParser) -> None:
    """Run a program in a new container."""
    parser.usage = "lpmx run [OPTIONS] IMAGE [--] [COMMAND [ARG...]]"
    explain(
        parser,
        ".\nThe container is removed when the program ends, with all that still runs in it; "
        "with\n--name it is kept. The exit code is the program's, 128+N if signal N ended it, "
        "127 if it\nwas not found, 126 if it is not executable, 125 for any other failure of "
        "ours.")
    _add_making(parser)
    parser.add_argument("--rm", action="store_true", default=None, dest="remove",
                        help="remove the container afterwards, also one with --name")
    parser.add_argument("--keep", action="store_false", dest="remove",
                        help="keep the container; not together with --rm")
    _add_entrypoint(parser)
    parser.add_argument("image", metavar="IMAGE",
                        help='an image of the store, or "host" for a copy of this machine')
    parser.set_defaults(run=_run, command_after=1)


def register_create(parser: argparse.ArgumentParser) -> None:
    """Make a container and run nothing yet."""
    _add_making(parser)
    parser.add_argument("--json", action="store_true", help="print the container's record as JSON")
    parser.add_argument("image", metavar="IMAGE",
                        help='an image of the store, or "host" for a copy of this machine')
    parser.set_defaults(run=_create)


def register_exec(parser: argparse.ArgumentParser) -> None:
    """Run a program in a container."""
    parser.usage = "lpmx exec [OPTIONS] CONTAINER [--] COMMAND [ARG...]"
    explain(
        parser,
        ".\nAny number of programs may run in one container at once. The exit code is as for "
        '"lpmx\nrun"; the image\'s entrypoint is left out, as Docker does.')
    _add_variables(parser)
    parser.add_argument("-u", "--user", metavar="USER", help="run as USER (see lpmx create)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-w", "--workdir", metavar="DIR", help="begin in DIR of the container")
    where.add_argument("--here", action="store_true",
                       help="begin where one is, and fail if the container does not show that; not "
                            "together with --workdir")
    parser.add_argument("container", metavar="CONTAINER", help="name of a container")
    parser.set_defaults(run=_exec, command_after=1)


# -- arguments that several commands have ----------------------------------------------


def _add_variables(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-e", "--env", metavar="NAME[=VALUE]", action="append", default=[],
                        help="set a variable; without =VALUE, to what it is here")
    parser.add_argument("--env-file", metavar="FILE", action="append", default=[],
                        help="set the variables that FILE has, one NAME=VALUE a line")


def _add_making(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="NAME", help="the container's name; otherwise one is made up")
    _add_variables(parser)
    parser.add_argument("-v", "--bind", metavar="SRC[:DST[:ro]]", action="append", default=[],
                        help="show SRC of the host as DST; src=SRC,dst=DST[,ro] for names with colons")
    parser.add_argument("-u", "--user", metavar="USER",
                        help="be this user of the image (NAME or UID, with :GROUP if wanted), or "
                             '"host" to stay oneself; default: as the image says')
    parser.add_argument("-w", "--workdir", metavar="DIR",
                        help="begin in DIR of the container; default: as the image says, else where "
                             "one is")
    parser.add_argument("--contain", action="store_true",
                        help="do not show the home directory, the working directory and /tmp")
    parser.add_argument("--no-preload", action="store_false", dest="preload",
                        help="do not use the preload library: slower, the same otherwise")
    parser.add_argument("--rewrite", action="store_true",
                        help="rewrite call sites in programs that trap often: faster where a process "
                             "makes many calls; on trial")
    parser.add_argument("--no-gpu", action="store_false", dest="gpu",
                        help="do not show the driver libraries of GPUs")


def _add_entrypoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--entrypoint", metavar="PROGRAM",
                        help='run PROGRAM instead of the image\'s entrypoint; "" for none')


# -- what they do ----------------------------------------------------------------------


def _variables(arguments: argparse.Namespace) -> dict[str, str]:
    from ..container import environment
    found: dict[str, str] = {}
    for path in arguments.env_file:
        found.update(environment.read_file(path))
    found.update(environment.parse(text, os.environ) for text in arguments.env)
    return found


def _options(arguments: argparse.Namespace) -> "Options":
    from ..container import Options, binds
    return Options(binds=tuple(binds.parse(text) for text in arguments.bind),
                   env=_variables(arguments), user=arguments.user, workdir=arguments.workdir,
                   contain=arguments.contain, preload=arguments.preload, gpu=arguments.gpu,
                   rewrite=arguments.rewrite)


def _entrypoint(text: Optional[str]) -> "Optional[list[str]]":
    return None if text is None else [text] if text else []


def _run(arguments: argparse.Namespace) -> int:
    with direct.our_exit_code():
        options = _options(arguments)
    return direct.run(arguments.image, arguments.command, name=arguments.name, options=options,
                      remove=arguments.name is None if arguments.remove is None
                      else arguments.remove, entrypoint=_entrypoint(arguments.entrypoint))


def _create(arguments: argparse.Namespace) -> None:
    container = direct.create(arguments.image, arguments.name, _options(arguments))
    if arguments.json:
        from .output import print_json
        print_json(dict(container.record))
    else:
        print(container.name)


def _exec(arguments: argparse.Namespace) -> int:
    from ..errors import RunFailed
    with direct.our_exit_code():
        if not arguments.command:
            raise RunFailed("cannot run anything: no program was named",
                            hint=f"lpmx exec {arguments.container} COMMAND")
        named.container(arguments.container).launch(
            arguments.command, env=_variables(arguments), cwd=arguments.workdir,
            user=arguments.user, entrypoint=False, here=arguments.here).exec()
