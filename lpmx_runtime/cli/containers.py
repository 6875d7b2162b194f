"""lpmx ps, stop, reset, rm: containers that exist."""
from __future__ import annotations

import argparse
from typing import Any, Dict, List

from . import direct, named
from .parsing import explain


def register_ps(parser: argparse.ArgumentParser) -> None:
    """List containers and what runs in them."""
    explain(
        parser,
        ".\nWithout a name all containers are listed, with one the processes of that container "
        "on this\nnode.")
    parser.add_argument("container", metavar="CONTAINER", nargs="?", help="list its processes")
    parser.add_argument("-a", "--all", action="store_true",
                        help="list all containers, as is done anyway unless --running is given")
    parser.add_argument("-r", "--running", action="store_true",
                        help="list only those in which something runs; not together with --all")
    parser.add_argument("-q", "--quiet", action="store_true",
                        help="print only names, or process numbers; not together with --json")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="with a name: also each program's path in the container, its memory, and "
                             "how its system calls reach us")
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    parser.set_defaults(run=_ps)


def register_stop(parser: argparse.ArgumentParser) -> None:
    """End what runs in containers."""
    explain(
        parser,
        ".\nEvery program gets the image's stop signal (SIGTERM unless the image says another), "
        "and\nwhat then still runs is killed.")
    parser.add_argument("-t", "--time", metavar="SECONDS", type=float, default=10,
                        help="how long to wait before killing; default: 10")
    parser.add_argument("containers", metavar="CONTAINER", nargs="+", help="name of a container")
    parser.set_defaults(run=_stop)


def register_reset(parser: argparse.ArgumentParser) -> None:
    """Bring containers back to what their images have."""
    explain(
        parser,
        ": what was changed in their files is gone.\nTheir options, links, commands and live "
        "variables stay.")
    parser.add_argument("-f", "--force", action="store_true", help="kill what runs in them first")
    parser.add_argument("containers", metavar="CONTAINER", nargs="+", help="name of a container")
    parser.set_defaults(run=_reset)


def register_rm(parser: argparse.ArgumentParser) -> None:
    """Remove containers."""
    explain(parser, ", with everything that was changed in them")
    parser.add_argument("-f", "--force", action="store_true",
                        help="kill what runs in them first; also remove damaged ones")
    parser.add_argument("containers", metavar="CONTAINER", nargs="+", help="name of a container")
    parser.set_defaults(run=_rm)


# -- what they do ----------------------------------------------------------------------


def _ps(arguments: argparse.Namespace) -> None:
    if arguments.container is not None:
        _ps_one(arguments)
    else:
        _ps_all(arguments)


def _ps_one(arguments: argparse.Namespace) -> None:
    from ..container import processes
    from . import output
    found = named.container(arguments.container).processes()
    more = [processes.details(process) for process in found] if arguments.verbose else []
    if arguments.json:
        output.print_json([
            {**process._asdict(), "argv": list(process.argv),
             **({**more[n]._asdict(), "ways": list(more[n].ways)} if more else {})}
            for n, process in enumerate(found)])
    elif arguments.quiet:
        for process in found:
            print(process.pid)
    elif more:
        output.print_table(("PID", "STARTED", "MEMORY", "WAYS", "PROGRAM", "COMMAND"),
                           [(str(process.pid), output.ago(process.started), output.size(one.memory),
                             "+".join(one.ways) or "-", one.program or "-",
                             ("[host] " if process.host_call else "") + " ".join(process.argv))
                            for process, one in zip(found, more)])
    else:
        output.print_table(("PID", "STARTED", "COMMAND"),
                           [(str(process.pid), output.ago(process.started),
                             ("[host] " if process.host_call else "") + " ".join(process.argv))
                            for process in found])


def _ps_all(arguments: argparse.Namespace) -> None:
    from ..container import Container, processes
    from ..store import Store
    from . import output
    store = Store.open()
    Container.sweep(store)
    running = processes.of_store(store.containers)
    found: List[Dict[str, Any]] = [
        {"name": container.name, "image": container.familiar, "created": container.created,
         "temporary": container.temporary,
         "processes": [process.pid for process in running.get(container.name, ())]}
        for container in Container.list(store)
        if not arguments.running or container.name in running]
    if arguments.json:
        output.print_json(found)
    elif arguments.quiet:
        for one in found:
            print(one["name"])
    else:
        output.print_table(("CONTAINER", "IMAGE", "RUNNING", "CREATED"),
                           [(one["name"], one["image"], str(len(one["processes"]) or "-"),
                             output.ago(one["created"])) for one in found])
    for name in Container.damaged(store):
        output.say(f'lpmx: container "{name}" is damaged; "lpmx rm -f {name}" removes it')


def _stop(arguments: argparse.Namespace) -> int:
    def stop(name: str) -> None:
        named.container(name).stop(arguments.time)
    return direct.each(arguments.containers, stop)


def _reset(arguments: argparse.Namespace) -> int:
    def reset(name: str) -> None:
        named.container(name).reset(force=arguments.force)
    return direct.each(arguments.containers, reset)


def _rm(arguments: argparse.Namespace) -> int:
    return direct.remove(arguments.containers, force=arguments.force)
