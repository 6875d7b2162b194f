"""lpmx build-sif: images and containers for Apptainer."""
from __future__ import annotations

import argparse

from .parsing import explain


def register_build(parser: argparse.ArgumentParser) -> None:
    """Make a Singularity image file for Apptainer."""
    explain(parser, ",\nwithout a program of this machine. Variables, labels, entrypoint and "
                    "command become what Apptainer\nhas for them; what is bound in a container is "
                    "left out.")
    parser.add_argument("--compression", choices=("gzip", "zstd"), default="gzip",
                        help="zstd is faster, and smaller; older systems cannot read it; default: "
                             "%(default)s")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument("name", metavar="CONTAINER|IMAGE",
                        help="a container of that name, else an image")
    parser.add_argument("file", metavar="FILE", help='the file to write; "-" is standard output')
    parser.set_defaults(run=_build)


def _build(arguments: argparse.Namespace) -> None:
    import os

    from ..image.build_sif import build_sif
    from ..store import Store
    from . import named
    from .output import progress, write_out
    store = Store.open()
    thing = named.container_or_image(store, arguments.name, failing="cannot make a Singularity "
                                     f'image of "{arguments.name}"')
    with progress(quiet=arguments.quiet) as sink:
        pieces = build_sif(store, thing, compression=arguments.compression, progress=sink)
        write_out(arguments.file, pieces, what="the Singularity image")
    if arguments.file != "-" and os.path.isfile(arguments.file):
        # it is a program, too, where Apptainer is installed
        mode = os.stat(arguments.file).st_mode
        os.chmod(arguments.file, mode | (mode & 0o444) >> 2)
