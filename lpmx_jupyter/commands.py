"""`lpmx kernel`: kernel specs from the command line."""
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Optional


def register(parser: argparse.ArgumentParser) -> None:
    """make images into Jupyter kernels."""
    verbs = parser.add_subparsers(metavar="COMMAND", required=False)
    parser_of_install = verbs.add_parser(
        "install", help="make an image a kernel of Jupyter",
        description="Write the kernel specs of an image, so that JupyterLab, Notebook, VS Code, "
                    "papermill and\nothers offer its kernels.",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    _add_install(parser_of_install)
    listing = verbs.add_parser(
        "list", help="list kernels that run in images", allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="List the kernel specs that are installed. With IMAGE, the kernels that it can "
                    "have: those that\n\"lpmx kernel install\" takes are chosen, and --kernel forces "
                    "another.")
    listing.add_argument("image", metavar="IMAGE", nargs="?",
                         help="an image of the store, or \"host\"")
    listing.add_argument("--container", metavar="NAME", default="",
                         help="with what was installed into the container NAME")
    _add_place(listing)
    listing.add_argument("--json", action="store_true", help="print them as JSON")
    listing.set_defaults(run=_list)
    _add_bundle(verbs.add_parser(
        "bundle", help="write images with all that their kernels need into one file",
        description="Write images, their kernel specs and the support layers of their Pythons "
                    "into one file, on a\nmachine that has a network. \"lpmx load\" takes all of it "
                    "into a store elsewhere.",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False))
    syncing = verbs.add_parser(
        "sync", help="bring kernel specs in step with the store",
        description="Write kernel specs anew whose image or kernel has changed, and remove those "
                    "whose image is\ngone. Support layers that are missing are made where there is a "
                    "network.",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    _add_place(syncing)
    syncing.add_argument("--all", action="store_true",
                         help="install the kernels of images that have no kernel spec, too")
    syncing.add_argument("--no-layers", action="store_false", dest="layers",
                         help="make no support layers")
    syncing.add_argument("--json", action="store_true", help="print what was done as JSON")
    syncing.set_defaults(run=_sync)
    stopping = verbs.add_parser(
        "stop", help="end kernels that live on without a server",
        description="End kernels that were installed with --detach and that no server looks after.",
        allow_abbrev=False)
    stopping.add_argument("kernel", metavar="KERNEL",
                          help="the kernel's id, or the name of its container")
    stopping.set_defaults(run=_stop)
    removing = verbs.add_parser("remove", help="take kernels away from Jupyter again",
                                allow_abbrev=False)
    removing.add_argument("kernel", metavar="KERNEL", help="an image, or the name of a kernel spec")
    _add_place(removing)
    removing.set_defaults(run=_remove)


def _add_install(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE",
                        help='an image of the store, or "host" for a copy of this machine')
    _add_place(parser)
    parser.add_argument("--name", metavar="NAME", help="name of the kernel spec's folder")
    parser.add_argument("--display-name", metavar="TEXT", help="what launchers show")
    parser.add_argument("--kernel", metavar="NAME", default="",
                        help='only this kernel of the image; "image-python" for its Python with a '
                             'support layer, "host-python" for the host\'s Python')
    parser.add_argument("--transport", choices=("ipc", "tcp"), default="ipc",
                        help="connect through private sockets (ipc, the default) or ports")
    add_settings(parser)
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=_install)


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="an image of the store")
    parser.add_argument("-o", "--output", metavar="FILE", default="-",
                        help="default: standard output")
    parser.add_argument("--support-only", action="store_true",
                        help="only the support layers: the images are there already")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.set_defaults(run=_bundle)


def _add_place(parser: argparse.ArgumentParser) -> None:
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--prefix", metavar="DIR",
                       help="in DIR/share/jupyter/kernels; default: where your own kernels are")
    place.add_argument("--sys-prefix", action="store_true", help="in the environment of this Python")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The options that a kernel's container has, for installing and for launching."""
    parser.add_argument("--container", metavar="NAME", default="",
                        help="share the container NAME with other kernels, and keep it; default: "
                             "each kernel has its own")
    parser.add_argument("-v", "--bind", metavar="SRC[:DST[:ro]]", action="append", default=[],
                        help="show SRC of the host as DST")
    parser.add_argument("-e", "--env", metavar="NAME[=VALUE]", action="append", default=[],
                        help="set a variable; without =VALUE, to what it is here")
    parser.add_argument("-u", "--user", metavar="USER", default="",
                        help='be this user of the image, or "host" to stay oneself')
    parser.add_argument("--contain", action="store_true",
                        help="do not show the home directory, the notebook's folder and /tmp")
    parser.add_argument("--no-preload", action="store_false", dest="preload",
                        help="do not use the preload library: slower, the same otherwise")
    parser.add_argument("--detach", action="store_true",
                        help="let the kernel live on when the Jupyter server ends: the next finds it")
    parser.add_argument("--no-gpu", action="store_false", dest="gpu",
                        help="do not show the driver libraries of GPUs")


def settings_of(arguments: argparse.Namespace) -> "object":
    """The `Settings` that `add_settings` asked for."""
    from lpmx_runtime.container import binds, environment

    from .session import Settings
    for text in arguments.bind:
        binds.parse(text)
    return Settings(image=arguments.image, kernel=arguments.kernel, container=arguments.container,
                    binds=tuple(arguments.bind),
                    env=dict(environment.parse(text, os.environ) for text in arguments.env),
                    user=arguments.user, contain=arguments.contain, preload=arguments.preload,
                    gpu=arguments.gpu, detach=arguments.detach)


def _directory(arguments: argparse.Namespace) -> Optional[Path]:
    from .kernelspecs import prefix_directory
    if arguments.sys_prefix:
        return prefix_directory(sys.prefix)
    return None if arguments.prefix is None else prefix_directory(os.path.abspath(arguments.prefix))


def _install(arguments: argparse.Namespace) -> None:
    from lpmx_runtime.cli.output import print_json, progress
    from lpmx_runtime.store import Store

    from . import kernelspecs
    with progress() as sink:
        written = kernelspecs.install(
            Store.open(), arguments.image, settings_of(arguments),  # type: ignore[arg-type]
            directory=_directory(arguments), name=arguments.name,
            display_name=arguments.display_name, transport=arguments.transport, progress=sink)
    if arguments.json:
        print_json([_described(spec) for spec in written])
        return
    for spec in written:
        print(f'installed "{spec.display_name}" as {spec.name} in {spec.folder.parent}')
        if spec.note:
            print(spec.note, file=sys.stderr)


def _list(arguments: argparse.Namespace) -> None:
    from lpmx_runtime.cli.output import print_json, print_table

    from . import kernelspecs
    if arguments.image is not None:
        return _list_offers(arguments)
    found = kernelspecs.installed(_directory(arguments))
    if arguments.json:
        print_json([_described(spec) for spec in found])
    else:
        print_table(("NAME", "TITLE", "IMAGE", "KERNEL", "PLACE"),
                    [(spec.name, spec.display_name, spec.image, spec.kernel or "(best)",
                      str(spec.folder))
                     for spec in found])


def _bundle(arguments: argparse.Namespace) -> None:
    from lpmx_runtime.cli.output import progress, write_out
    from lpmx_runtime.image.bundle import bundle
    from lpmx_runtime.store import Store

    from . import bundled, kernelspecs
    store = Store.open()
    images = [store.images.find(text) for text in arguments.images]
    with progress(quiet=arguments.quiet) as sink:
        needed = [kernelspecs.support_layer(store, image, progress=sink) for image in images]
        things = [layer.image for layer in needed if layer is not None]
        specs = None
        if not arguments.support_only:
            things += images
            specs = bundled.collect(store, [image.familiar for image in images], [])
        write_out(arguments.output,
                  bundle(store, things, extras={bundled.NAME: specs} if specs else {},
                         progress=sink), what="the bundle")


def _sync(arguments: argparse.Namespace) -> None:
    from lpmx_runtime.cli.output import print_json, progress
    from lpmx_runtime.store import Store

    from .sync import sync
    with progress(quiet=arguments.json) as sink:
        changes = sync(Store.open(), directory=_directory(arguments), add=arguments.all,
                       layers=arguments.layers, progress=sink)
    if arguments.json:
        print_json([change._asdict() for change in changes])
        return
    for change in changes:
        print(f"{change.what} {change.name}" + (f": {change.why}" if change.why else ""))


def _stop(arguments: argparse.Namespace) -> None:
    from lpmx_runtime.errors import KernelFailed
    from lpmx_runtime.store import Store

    from . import detached
    store = Store.open()
    there = detached.find(store)
    chosen = [one for one in there if arguments.kernel in (one.kernel_id, one.container)]
    if not chosen:
        listed = ", ".join(f"{one.kernel_id} in {one.container}" for one in there)
        raise KernelFailed(f'cannot stop kernel "{arguments.kernel}": no detached kernel without a '
                           "server has that id or container",
                           hint=f"there are: {listed or 'none'}")
    for one in chosen:
        detached.end(store, one)
        print(f"ended {one.kernel_id} in {one.container}")


def _list_offers(arguments: argparse.Namespace) -> None:
    """The kernels that an image can have, and why."""
    from lpmx_runtime.cli.output import print_json, print_table
    from lpmx_runtime.store import Store

    from . import kernelspecs
    store = Store.open()
    found = kernelspecs.offers_of(store, store.images.find(arguments.image), arguments.container)
    if arguments.json:
        print_json([{"name": offer.kernel.name, "language": offer.kernel.language,
                     "chosen": offer.chosen, "kind": offer.kernel.kind,
                     "place": offer.kernel.place, "why": offer.why} for offer in found])
    else:
        print_table(("NAME", "LANGUAGE", "CHOSEN", "RUNS ON", "WHY"),
                    [(offer.kernel.name, offer.kernel.language, "yes" if offer.chosen else "-",
                      offer.kernel.place, offer.why) for offer in found])


def _remove(arguments: argparse.Namespace) -> None:
    from . import kernelspecs
    for spec in kernelspecs.remove(arguments.kernel, directory=_directory(arguments)):
        print(f'removed "{spec.display_name}" ({spec.folder})')


def _described(spec: "object") -> "dict[str, str]":
    return {name: str(value) for name, value in vars(spec).items()}
