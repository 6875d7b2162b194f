"""Kernel specs in a bundle (lpmx_runtime/cli/bundle.py): carried as what they were made from.

A kernel.json names programs to run, and a bundle may be anybody's. So it has the settings
of the kernel's container, and the spec is made anew where it is loaded.
"""
from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from typing import Any, Mapping, Optional, Sequence

from lpmx_runtime.errors import KernelFailed, LpmxError
from lpmx_runtime.store import Store

from . import kernelspecs
from .connection import TRANSPORTS
from .session import Settings

#: What they are called in a bundle: that of the entry point.
NAME = "kernels"


def collect(store: Store, images: Sequence[str],
            containers: Sequence[str]) -> Optional[list[dict[str, Any]]]:
    """The kernel specs whose kernels run in these images, and in no container but these."""
    found = []
    for spec in kernelspecs.installed():
        config = json.loads((spec.folder / "kernel.json").read_text(encoding="utf-8"))[
            "metadata"]["kernel_provisioner"].get("config", {})
        if spec.image in images and config.get("container", "") in ("", *containers):
            found.append({"name": spec.name, "display_name": spec.display_name, "config": config})
    return found or None


def restore(store: Store, value: Any, images: Sequence[str],
            containers: Mapping[str, str]) -> list[str]:
    """Install the kernel specs that were carried; what was done, line by line."""
    if not isinstance(value, list):
        raise _damaged()
    said = []
    for carried in value:
        settings, transport, dropped = _settings(carried, images, containers)
        name = str(carried.get("name", ""))
        there = kernelspecs.default_directory() / name
        known = kernelspecs.read(there)
        ours = not there.exists() or (known is not None and known.image == settings.image)
        try:
            for spec in kernelspecs.install(
                    store, settings.image, settings, name=name if ours and name else None,
                    display_name=str(carried.get("display_name") or "") or None,
                    transport=transport):
                said.append(f'installed the kernel "{spec.display_name}" as {spec.name}')
        except LpmxError as error:
            said.append(str(error))
        said += [f'kernel "{name}": "{bind}" is not on this machine, and so not bound'
                 for bind in dropped]
    return said


def _settings(carried: Any, images: Sequence[str],
              containers: Mapping[str, str]) -> tuple[Settings, str, list[str]]:
    """The settings, checked; the transport; and what cannot be bound here."""
    config = carried.get("config") if isinstance(carried, dict) else None
    if not isinstance(config, dict):
        raise _damaged()
    transport = config.get("transport", TRANSPORTS[0])
    known = {one.name for one in fields(Settings)}
    try:
        settings = Settings.parse({key: value for key, value in config.items() if key in known})
    except ValueError:
        raise _damaged() from None
    if transport not in TRANSPORTS:
        raise _damaged()
    if settings.image not in images or (settings.container
                                        and settings.container not in containers):
        raise KernelFailed(f'cannot install kernel "{str(carried.get("name"))[:60]}": the bundle '
                           "does not have its image or its container",
                           hint="bundle them together")
    dropped = [bind for bind in settings.binds if not os.path.exists(_source(bind))]
    return replace(settings, container=containers.get(settings.container, ""), binds=tuple(
        bind for bind in settings.binds if bind not in dropped)), transport, dropped


def _source(bind: str) -> str:
    """The host's side of SRC[:DST[:ro]] or src=SRC,dst=DST."""
    first = bind.partition(",")[0]
    return os.path.expanduser(first.partition("=")[2] if first.startswith(("src=", "source="))
                              else bind.partition(":")[0])


def _damaged() -> KernelFailed:
    return KernelFailed("cannot install the kernels of the bundle: what it says of them makes no "
                        "sense", hint="install them with \"lpmx kernel install IMAGE\"")
