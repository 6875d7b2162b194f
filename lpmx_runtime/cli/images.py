"""lpmx pull, push, tags, load, save, bootstrap, images, inspect, rmi: images of the store."""
from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Union

from . import named
from .parsing import explain

if TYPE_CHECKING:
    from ..store import Image, Store


def register_pull(parser: argparse.ArgumentParser) -> None:
    """Get an image from a registry."""
    explain(
        parser,
        ".\nLayers that the store has are not fetched again; a layer whose connection breaks goes "
        "on where\nit stopped. A registry on this machine is spoken to over plain HTTP.")
    parser.add_argument("reference", metavar="REFERENCE",
                        help="such as ubuntu:18.04 or ghcr.io/acme/solver:2.4")
    parser.add_argument("--platform", metavar="OS/ARCH[/VARIANT]",
                        help="take the image for another platform than this machine's")
    parser.add_argument("--insecure", action="store_true",
                        help="speak plain HTTP, or HTTPS with any certificate, to the registry")
    _add_talk(parser)
    parser.set_defaults(run=_pull)


def register_push(parser: argparse.ArgumentParser) -> None:
    """Put an image into a registry."""
    explain(
        parser,
        ".\nBlobs that the registry has are not sent again; what breaks off goes on where it "
        "stopped.\nA registry on this machine is spoken to over plain HTTP.")
    parser.add_argument("image", metavar="IMAGE", help="a name, or the beginning of a digest")
    parser.add_argument("destination", metavar="DESTINATION", nargs="?",
                        help="another name than the image's to push it to")
    parser.add_argument("--compression", choices=("gzip", "zstd", "none"), default="gzip",
                        help="of layers that the registry does not have; default: %(default)s")
    parser.add_argument("--insecure", action="store_true",
                        help="speak plain HTTP, or HTTPS with any certificate, to the registry")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true",
                        help="print the reference and the digest as JSON instead of the digest")
    parser.set_defaults(run=_push)


def register_tags(parser: argparse.ArgumentParser) -> None:
    """List the tags that a registry has of a repository."""
    parser.add_argument("repository", metavar="REPOSITORY",
                        help="such as ubuntu or ghcr.io/acme/solver")
    parser.add_argument("--insecure", action="store_true",
                        help="speak plain HTTP, or HTTPS with any certificate, to the registry")
    parser.add_argument("--json", action="store_true", help="print a list of texts as JSON")
    parser.set_defaults(run=_tags)


def register_load(parser: argparse.ArgumentParser) -> None:
    """Get images from a file."""
    from pathlib import Path
    explain(parser, ", and of a bundle the containers, too")
    parser.add_argument("file", metavar="FILE",
                        help='a bundle ("lpmx bundle"), a docker-archive ("docker save"), an OCI '
                             "archive, an OCI layout directory, a Singularity image file, or a root "
                             'file system in a tar or in squashfs; "-" is standard input')
    parser.add_argument("--name", metavar="REFERENCE",
                        help="name for the image; for a file with one image")
    parser.add_argument("--platform", metavar="OS/ARCH[/VARIANT]",
                        help="take the image for another platform than this machine's")
    parser.add_argument("--rename", metavar="OLD=NEW", action="append", default=[],
                        help="call the container OLD of a bundle NEW")
    parser.add_argument("--keyring", metavar="FILE", type=Path,
                        help="take a Singularity image file only if it is signed with a key in "
                             "FILE, of PGP or PEM; needs gpgv or openssl")
    parser.add_argument("--expose", action="store_true",
                        help="of a bundle, make the commands that its containers had on the PATH, "
                             'as "lpmx expose" does')
    parser.add_argument("--images-only", action="store_true",
                        help="of a bundle, leave all but the images out")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true",
                        help="print what was stored as JSON instead of its name; of a bundle with "
                             "containers, an object with both")
    parser.set_defaults(run=_load)


def register_bootstrap(parser: argparse.ArgumentParser) -> None:
    """Make an image from a package mirror."""
    from pathlib import Path
    explain(
        parser,
        ".\nNeeds no privilege and no other program: packages are fetched, verified and "
        "unpacked,\nthen configured inside a container.")
    parser.add_argument("release", metavar="DISTRIBUTION:SUITE", help="such as debian:bookworm")
    parser.add_argument("--mirror", metavar="URL",
                        help="package mirror; default: a setting, or the one this machine uses")
    parser.add_argument("--include", metavar="PACKAGE[,PACKAGE...]", action="append", default=[],
                        help="more packages to install")
    parser.add_argument("--variant", choices=("python", "minbase", "standard"), default="python",
                        help="which packages to begin with: the base system (minbase), with "
                             "Python (python), with what a login needs (standard); "
                             "default: %(default)s")
    parser.add_argument("--keyring", metavar="FILE", type=Path,
                        help="keys to verify the mirror's signature with; default: those that "
                             "this machine has")
    parser.add_argument("--allow-expired", action="store_true",
                        help="take a package list that was good until some day in the past only")
    _add_talk(parser)
    parser.set_defaults(run=_bootstrap)


def register_images(parser: argparse.ArgumentParser) -> None:
    """List images."""
    parser.add_argument("-q", "--quiet", action="store_true",
                        help="print names only; not together with --json")
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    parser.set_defaults(run=_images)


def register_save(parser: argparse.ArgumentParser) -> None:
    """Write images into a file."""
    explain(parser, ".\nLayers that several of them have are in the file once. Docker, Podman, "
                    'skopeo, umoci and\n"lpmx load" read it.')
    parser.add_argument("-o", "--output", metavar="FILE", default="-",
                        help="default: standard output")
    parser.add_argument("--format", choices=("oci-archive", "docker-archive"),
                        default="oci-archive", dest="form", help="default: %(default)s")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument("images", metavar="IMAGE", nargs="+",
                        help="a name, or the beginning of a digest")
    parser.set_defaults(run=_save)


def register_inspect(parser: argparse.ArgumentParser) -> None:
    """Show everything about an image or a container."""
    explain(parser, " as a list of JSON objects")
    parser.add_argument("names", metavar="NAME", nargs="+",
                        help="a container, an image, or the beginning of an image's digest")
    parser.set_defaults(run=_inspect)


def register_history(parser: argparse.ArgumentParser) -> None:
    """Show the steps in which an image was made, and their sizes."""
    parser.add_argument("--no-trunc", action="store_true", help="do not shorten the commands")
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    parser.add_argument("image", metavar="IMAGE", help="a name, or the beginning of a digest")
    parser.set_defaults(run=_history)


def register_rmi(parser: argparse.ArgumentParser) -> None:
    """Remove images."""
    explain(parser, ", and what of the store no other image needs")
    parser.add_argument("images", metavar="IMAGE", nargs="+",
                        help="a name, or the beginning of a digest")
    parser.set_defaults(run=_rmi)


def _add_talk(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true",
                        help="print what was stored as JSON instead of its name")


# -- what they do ----------------------------------------------------------------------


def described(image: "Image") -> dict[str, Any]:
    """What scripts get to know about an image."""
    return {"name": image.name, "familiar": image.familiar, "digest": image.digest,
            "config_digest": image.config_digest, "diff_ids": list(image.diff_ids),
            "size": image.size, "origin": image.origin, "added": image.added, "live": image.live,
            "store": image.place}


def print_images(images: "Union[Image, list[Image]]", *, json: bool) -> None:
    """What was stored: names, or JSON of the one or the list."""
    several = images if isinstance(images, list) else [images]
    if json:
        from .output import print_json
        found = [described(image) for image in several]
        print_json(found if isinstance(images, list) else found[0])
    else:
        for image in several:
            print(image.familiar)


def _pull(arguments: argparse.Namespace) -> None:
    from ..image.pull import pull
    from ..store import Store
    from .output import progress
    with progress(quiet=arguments.quiet) as sink:
        image = pull(Store.open(), arguments.reference, platform=arguments.platform,
                     insecure=arguments.insecure, progress=sink)
    print_images(image, json=arguments.json)


def _push(arguments: argparse.Namespace) -> None:
    from ..image.push import push
    from ..store import Store
    from .output import print_json, progress
    with progress(quiet=arguments.quiet) as sink:
        pushed = push(Store.open(), arguments.image, arguments.destination,
                      compression=arguments.compression, insecure=arguments.insecure,
                      progress=sink)
    if arguments.json:
        print_json({"reference": pushed.reference, "digest": pushed.digest})
    else:
        print(pushed.digest)


def _tags(arguments: argparse.Namespace) -> None:
    from ..oci.reference import Reference
    from ..registry.client import Repository
    from .output import print_json
    reference = Reference.parse(arguments.repository)
    with Repository(reference, failing=f'cannot list the tags of "{arguments.repository}"',
                    insecure=arguments.insecure) as repository:
        tags = repository.all_tags()
    if arguments.json:
        print_json(tags)
    else:
        for tag in tags:
            print(tag)


def _load(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    from ..errors import InvalidSetting
    from ..image.archive import load_all
    from ..store import Store
    from . import bundle
    from .output import print_json, progress, say
    renamed = {}
    for text in arguments.rename:
        old, equals, new = text.partition("=")
        if not old or not equals or not new:
            raise InvalidSetting(f'cannot use "{text}" with --rename: it is not OLD=NEW',
                                 hint="write the name in the bundle first")
        renamed[old] = new
    store = Store.open()
    with progress(quiet=arguments.quiet) as sink:
        loaded = load_all(store, Path(arguments.file), name=arguments.name,
                          platform=arguments.platform, containers=not arguments.images_only,
                          renamed=renamed, keyring=arguments.keyring, expose=arguments.expose,
                          progress=sink)
    before = {new: old for old, new in renamed.items()}
    for line in bundle.restore(store, loaded.extras, loaded.images,
                               {before.get(one.name, one.name): one.name
                                for one in loaded.containers}):
        say(f"lpmx: {line}")
    if arguments.json and loaded.containers:
        print_json({"images": [described(image) for image in loaded.images],
                    "containers": [container.name for container in loaded.containers]})
        return
    print_images(loaded.images, json=arguments.json)
    for container in loaded.containers:
        print(container.name)


def _bootstrap(arguments: argparse.Namespace) -> None:
    from ..image.bootstrap import bootstrap
    from ..store import Store
    from .output import progress
    include = tuple(name for text in arguments.include for name in text.split(",") if name)
    with progress(quiet=arguments.quiet) as sink:
        image = bootstrap(Store.open(), arguments.release, mirror=arguments.mirror,
                          include=include, variant=arguments.variant,
                          keyring=arguments.keyring, allow_expired=arguments.allow_expired,
                          progress=sink)
    print_images(image, json=arguments.json)


def _save(arguments: argparse.Namespace) -> None:
    from ..image.save import save
    from ..store import Store
    from .output import progress, write_out
    with progress(quiet=arguments.quiet) as sink:
        pieces = save(Store.open(), arguments.images, form=arguments.form, progress=sink)
        write_out(arguments.output, pieces, what="the archive")


def _images(arguments: argparse.Namespace) -> None:
    from ..store import Store
    from . import output
    store = Store.open()
    images = store.images.list()
    if arguments.json:
        output.print_json([described(image) for image in images])
    elif arguments.quiet:
        for image in images:
            print(image.familiar)
    else:
        places = bool(store.below)
        output.print_table(("IMAGE", "DIGEST", "LAYERS", "SIZE", "ORIGIN", "ADDED",
                            *(["STORE"] if places else [])),
                           [(image.familiar, image.digest[7:19], str(len(image.diff_ids)),
                             output.size(image.size), image.origin, output.ago(image.added),
                             *([image.place or "yours"] if places else []))
                            for image in images])


def _inspect(arguments: argparse.Namespace) -> None:
    from ..store import Store
    from .output import print_json
    store = Store.open()
    print_json([_inspected(store, name) for name in arguments.names])


def _inspected(store: "Store", name: str) -> dict[str, Any]:
    from ..store import Image
    found = named.container_or_image(store, name, failing=f'cannot inspect "{name}"', to_use=False)
    if isinstance(found, Image):
        from ..image.history import history
        return {"kind": "image", **described(found), "config": dict(found.config),
                "steps": [] if found.live else [
                    {"created": step.created, "created_by": step.created_by,
                     "comment": step.comment, "diff_id": step.diff_id, "size": step.size,
                     "store": step.place} for step in history(store, found)]}
    return {"kind": "container", "directory": str(found.directory), **found.record,
            "processes": [process.pid for process in found.processes()]}


def _history(arguments: argparse.Namespace) -> None:
    from ..image.history import history
    from ..oci.digest import short
    from ..store import Store
    from . import output
    store = Store.open()
    steps = history(store, store.images.find(arguments.image, to_use=False))
    if arguments.json:
        output.print_json([step._asdict() for step in steps])
        return
    width = 10 ** 6 if arguments.no_trunc else 70
    output.print_table(("LAYER", "CREATED", "SIZE", "MADE BY"),
                       [(short(step.diff_id) if step.diff_id else "", step.created[:19],
                         output.size(step.size) if step.diff_id else "",
                         " ".join((step.created_by or step.comment).split())[:width])
                        for step in steps])


def _rmi(arguments: argparse.Namespace) -> None:
    from ..store import Store
    from ..store.collect import remove_image
    store = Store.open()
    for text in arguments.images:
        print(remove_image(store, text).familiar)
