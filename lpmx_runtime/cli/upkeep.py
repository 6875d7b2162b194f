"""lpmx df, gc, verify: what is in the store, and whether it is in order."""
from __future__ import annotations

import argparse

from .parsing import explain


def register_df(parser: argparse.ArgumentParser) -> None:
    """Show what takes space in the store."""
    explain(parser, ".\nLayers are in the store once, however many images have them: what is SHARED "
                    "is freed with the\nlast of them. What a site's store has takes no space in yours.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_df)


def register_gc(parser: argparse.ArgumentParser) -> None:
    """Free what no image and no container needs."""
    explain(parser, ".\nDone anyway whenever an image is removed; this is for what a killed "
                    "program left. Programs may\nrun in containers meanwhile.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_gc)


def register_verify(parser: argparse.ArgumentParser) -> None:
    """Find out whether all in the store is as it was."""
    explain(parser, ".\nEvery byte is hashed again. Exits with 1 if something is not as it was and "
                    "stays so.")
    parser.add_argument("--quick", action="store_true",
                        help="compare names, types and sizes only")
    parser.add_argument("--repair", action="store_true",
                        help="get what is damaged again from the registry that it came from")
    parser.add_argument("--insecure", action="store_true",
                        help="speak plain HTTP, or HTTPS with any certificate, to registries")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    parser.set_defaults(run=_verify)


def _df(arguments: argparse.Namespace) -> None:
    from .. import settings
    from ..store import Store
    from ..store.usage import usage
    from . import output
    found = usage(Store.open())
    if arguments.json:
        output.print_json({"images": [image._asdict() for image in found.images],
                           "containers": [container._asdict() for container in found.containers],
                           "layers": found.layers, "unused": found.unused,
                           "sites": [site._asdict() for site in found.sites]})
        return
    output.print_table(("IMAGE", "SIZE", "SHARED", "OWN"),
                       [(image.name, output.size(image.size), output.size(image.shared),
                         output.size(image.size - image.shared)) for image in found.images])
    if found.containers:
        print()
        output.print_table(("CONTAINER", "SIZE"),
                           [(container.name, output.size(container.size))
                            for container in found.containers])
    print(f"\nlayers: {output.size(found.layers)}, of which no image needs "
          f"{output.size(found.unused)}")
    if settings.quota() is not None:
        print(f"quota of the layers: {output.size(settings.quota() or 0)}")
    if found.sites:
        print()
        output.print_table(("SITE'S STORE", "IMAGES", "LAYERS"),
                           [(site.path, str(site.images), output.size(site.layers))
                            for site in found.sites])


def _gc(arguments: argparse.Namespace) -> None:
    from ..container import Container
    from ..store import Store
    from ..store.collect import collect
    from . import output
    store = Store.open()
    containers = Container.sweep(store)
    freed = collect(store, timeout=10)
    if arguments.json:
        output.print_json({"layers": freed.layers, "blobs": freed.blobs,
                           "containers": containers})
    else:
        for kind, names in (("layer", freed.layers), ("blob", freed.blobs),
                            ("container", containers)):
            for name in names:
                print(f"{kind} {name}")


def _verify(arguments: argparse.Namespace) -> int:
    from ..image.repair import repair
    from ..oci.digest import short
    from ..progress import Note
    from ..store import Store
    from ..store.verify import verify
    from . import output
    store = Store.open()
    with output.progress(quiet=arguments.quiet) as sink:
        faults = list(verify(store, content=not arguments.quick,
                             on_layer=lambda diff_id: sink(Note(f"layer {short(diff_id)}"))))
        outcomes = {outcome.thing: outcome.failure for outcome in repair(
            store, faults, insecure=arguments.insecure, progress=sink)} if arguments.repair else {}
    rows = [{**fault._asdict(), "repaired": outcomes.get(fault.thing, "") is None}
            for fault in faults]
    if arguments.json:
        output.print_json(rows)
    else:
        for fault, row in zip(faults, rows):
            print(f"{fault.thing}: {fault.cause}")
            failure = outcomes.get(fault.thing)
            print("  repaired" if row["repaired"] else
                  f"  {failure}" if failure else f"  hint: {fault.remedy}")
    return int(not all(row["repaired"] for row in rows))
