"""lpmx diff, commit, export, cp: what is in a container, to be kept elsewhere."""
from __future__ import annotations

import argparse
from . import named
from .direct import our_exit_code
from .parsing import explain


def register_diff(parser: argparse.ArgumentParser) -> None:
    """Show what was changed in a container."""
    explain(
        parser,
        ".\nOne path a line: A is new, C is changed, D is gone. A directory is changed when "
        "something\nin it is.")
    parser.add_argument("--content", action="store_true",
                        help="leave out what has the same content, mode and owner as in the image, "
                             "and only another time")
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    parser.add_argument("container", metavar="CONTAINER", help="name of a container")
    parser.set_defaults(run=_diff)


def register_install(parser: argparse.ArgumentParser) -> None:
    """Install packages of the image's distribution into a container."""
    explain(
        parser,
        ", by the package manager that the image has: apt-get, dnf,\nyum, apk, zypper, pacman... "
        "It asks nothing; lists of packages that are missing or a day old are\nfetched first.")
    parser.add_argument("container", metavar="CONTAINER", help="name of a container")
    parser.add_argument("packages", metavar="PACKAGE", nargs="+", help="name of a package")
    parser.set_defaults(run=_install)


def register_commit(parser: argparse.ArgumentParser) -> None:
    """Make an image of a container."""
    explain(
        parser,
        ".\nThe image has the layers of the container's image and one more, with what was changed. "
        "The\nsame changes make the same layer; with SOURCE_DATE_EPOCH set, the same image.\n"
        "Programs may run meanwhile: each file is one that the container had while this ran, "
        "but not\nall are of the same moment. What is bound in the container is not in the image.")
    parser.add_argument("-c", "--change", metavar="INSTRUCTION", action="append", default=[],
                        help="change the image's config, as in a Dockerfile: 'ENV A=1', "
                             "'CMD [\"python3\"]'; also ENTRYPOINT, WORKDIR, USER, LABEL, EXPOSE, "
                             "VOLUME, STOPSIGNAL")
    parser.add_argument("-a", "--author", metavar="NAME", help="who made it, for the history")
    parser.add_argument("-m", "--message", metavar="TEXT", help="a remark for the history")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true",
                        help="print what was stored as JSON instead of its name")
    parser.add_argument("container", metavar="CONTAINER", help="name of a container")
    parser.add_argument("name", metavar="NAME[:TAG]", help="name of the image")
    parser.set_defaults(run=_commit)


def register_export(parser: argparse.ArgumentParser) -> None:
    """Write the files of a container or an image into a tar."""
    explain(parser, ".\nWithout layers and without what is bound in the container; "
                    '"lpmx load" makes an image of it again.')
    parser.add_argument("-o", "--output", metavar="FILE", default="-",
                        help="default: standard output")
    parser.add_argument("name", metavar="CONTAINER|IMAGE",
                        help="a container of that name, else an image")
    parser.set_defaults(run=_export)


def register_cp(parser: argparse.ArgumentParser) -> None:
    """Copy files into a container or out of it."""
    explain(
        parser,
        ".\nOne side, or both, is CONTAINER:PATH. A directory goes into a directory that is there; "
        "with\n/. at the end of SRC, only what is in it does. What is copied into a container "
        "belongs to\nroot; what comes out, to you.")
    parser.add_argument("-a", "--archive", action="store_true",
                        help="keep the numbers of owners, into a container")
    parser.add_argument("-L", "--follow-link", action="store_true",
                        help="copy what a link leads to, if SRC is one")
    parser.add_argument("source", metavar="SRC",
                        help='a path, CONTAINER:PATH, or "-": the tar on standard input')
    parser.add_argument("target", metavar="DST",
                        help='a path, CONTAINER:PATH, or "-": a tar to standard output')
    parser.set_defaults(run=_cp)


# -- what they do ----------------------------------------------------------------------


def _diff(arguments: argparse.Namespace) -> None:
    from ..image.diff import differences
    from . import output
    found = differences(named.container(arguments.container), content=arguments.content)
    if arguments.json:
        output.print_json([difference._asdict() for difference in found])
    else:
        for difference in found:
            print(difference.kind, difference.path)


def _install(arguments: argparse.Namespace) -> int:
    from ..container import packages
    with our_exit_code():
        return packages.install(named.container(arguments.container), arguments.packages)


def _commit(arguments: argparse.Namespace) -> None:
    from ..image.commit import commit
    from .images import print_images
    from .output import progress
    container = named.container(arguments.container)
    with progress(quiet=arguments.quiet) as sink:
        image = commit(container.store, container, arguments.name, changes=arguments.change,
                       author=arguments.author, message=arguments.message, progress=sink)
    print_images(image, json=arguments.json)


def _export(arguments: argparse.Namespace) -> None:
    from ..image.export import export_container, export_image
    from ..store import Image, Store
    from .output import write_out
    store = Store.open()
    found = named.container_or_image(store, arguments.name,
                                     failing=f'cannot export "{arguments.name}"')
    pieces = (export_image(store, found) if isinstance(found, Image)
              else export_container(found))
    write_out(arguments.output, pieces, what=f'the files of "{arguments.name}"')


def _cp(arguments: argparse.Namespace) -> None:
    import sys

    from ..image.copy import copy
    from ..store import Store
    from .output import say
    left_out = copy(Store.open(), arguments.source, arguments.target, archive=arguments.archive,
                    follow=arguments.follow_link, stdin=sys.stdin.buffer,
                    write=sys.stdout.buffer.write)
    sys.stdout.flush()
    for name in left_out:
        say(f'lpmx: "{name}" is a device and was left out')
