"""lpmx bundle: images and containers in one file, and what other packages add to it.

Another package has something of its own carried along by an entry point in the group
`lpmx.bundle`. Its name is the key of what is carried, and it stands for a module with

    def collect(store, images, containers) -> value that JSON can express, or None
    def restore(store, value, images, containers) -> list of lines that tell what was done

`images` are names as people write them; `containers` are names, for `restore` a mapping
of those in the bundle to those that they have now.
"""
from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from .parsing import explain, found_elsewhere

if TYPE_CHECKING:
    from ..container import Container
    from ..store import Image, Store

GROUP = "lpmx.bundle"


def register(parser: argparse.ArgumentParser) -> None:
    """Write images and containers into one file for a machine without a network."""
    explain(
        parser,
        '.\n"lpmx load" takes all of it into another store, and needs nothing else for it: images, '
        "containers\nwith what was changed in them, their options, live variables and links, and "
        "kernel specs of\nJupyter. Layers that several have are in it once. Other tools read it as an OCI "
        "archive. Variables are in\nit as they are, secret ones too; what is bound in a container "
        "is not.")
    parser.add_argument("-o", "--output", metavar="FILE", default="-",
                        help="default: standard output")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument("names", metavar="CONTAINER|IMAGE", nargs="+",
                        help="a container of that name, else an image")
    parser.set_defaults(run=_bundle)


def _bundle(arguments: argparse.Namespace) -> None:
    from ..image.bundle import bundle
    from ..store import Store
    from . import named
    from .output import progress, write_out
    store = Store.open()
    things = [named.container_or_image(store, name, failing=f'cannot bundle "{name}"')
              for name in arguments.names]
    with progress(quiet=arguments.quiet) as sink:
        write_out(arguments.output, bundle(store, things, extras=collect(store, things),
                                           progress=sink), what="the bundle")


def collect(store: "Store", things: "Sequence[Image | Container]") -> Mapping[str, Any]:
    """What other packages have a bundle of these things carry, by their names."""
    from ..store import Image
    images = sorted({thing.familiar for thing in things})
    containers = [thing.name for thing in things if not isinstance(thing, Image)]
    found = {name: point.load().collect(store, images, containers)
             for name, point in found_elsewhere(GROUP).items()}
    return {name: value for name, value in found.items() if value is not None}


def restore(store: "Store", extras: Mapping[str, Any], images: "Sequence[Image]",
            containers: "Mapping[str, str]") -> list[str]:
    """Hand what a bundle carried to the packages that had it carried; what they say.
    `containers` says what those of the bundle are called here."""
    from ..errors import LpmxError
    points = found_elsewhere(GROUP)
    said = []
    for name, value in extras.items():
        if name not in points:
            said.append(f'"{name[:40]}" of the bundle is for a package that is not installed here')
            continue
        try:
            said += points[name].load().restore(store, value,
                                                [image.familiar for image in images], containers)
        except LpmxError as error:   # the images and containers are here all the same
            said.append(str(error))
    return said
