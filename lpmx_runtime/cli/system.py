"""lpmx check, gpu: what this host has and allows."""
from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING

from .parsing import explain

if TYPE_CHECKING:
    from ..container.gpu import DriverLibrary


def register_check(parser: argparse.ArgumentParser) -> None:
    """Find out what works on this host."""
    explain(
        parser,
        ".\nEach thing that containers need is tried for real. Exits with 1 if something "
        "without\nwhich they cannot work is missing.")
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    parser.set_defaults(run=_check)


def register_gpu(parser: argparse.ArgumentParser) -> None:
    """Show GPUs and the driver libraries for containers."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("image", metavar="IMAGE", nargs="?",
                        help="also say which of the libraries this image's C library is new "
                             "enough for")
    parser.set_defaults(run=_gpu)


def _check(arguments: argparse.Namespace) -> int:
    from ..check import check
    from ..settings import store_path
    from . import output
    findings = check(store_path())
    if arguments.json:
        output.print_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            print(f"{finding.verdict:<8} {finding.subject}: {finding.found}")
            if finding.follows:
                print(textwrap.indent(textwrap.fill(finding.follows, 80), " " * 9))
    return int(any(finding.verdict == "missing" for finding in findings))


def _gpu(arguments: argparse.Namespace) -> None:
    from ..container import gpu
    from . import output
    found = gpu.find()
    if arguments.image:
        from ..store import Store
        store = Store.open()
        found = gpu.judge(store, store.images.find(arguments.image), found)
    if arguments.json:
        output.print_json(found.described())
        return
    if not found.devices:
        output.say("lpmx: no GPU device is visible on this machine")
    rows = [("device", path, "") for path in found.devices]
    # once for each file, whatever names it has
    rows += dict.fromkeys(("library", library.path, _remark(library))
                          for library in found.libraries)
    rows += [(f"{icd.kind} icd", icd.path, f"names {icd.library}") for icd in found.icds]
    if rows:
        output.print_table(("WHAT", "WHERE", "REMARK"), rows)


def _remark(library: "DriverLibrary") -> str:
    if library.refused:
        return f"{library.vendor}; not used: {library.refused}"
    return f"{library.vendor}; needs glibc {library.glibc or 'of any version'}"
