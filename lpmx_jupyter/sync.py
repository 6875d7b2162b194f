"""Kernel specs kept in step with the store.

A spec is written anew where its image, its kernel or this installation has changed, and
removed where its image is gone. One that says what we do not understand stays as it is.
Only specs of ours, in one directory, are looked at.
"""
from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple, Optional

from lpmx_runtime.errors import ImageUnknown, KernelFailed, LpmxError
from lpmx_runtime.progress import Sink, ignore
from lpmx_runtime.store import Image, Store

from . import kernels, kernelspecs, support
from .connection import TRANSPORTS
from .kernels import Kernel
from .kernelspecs import Installed
from .session import Settings


class Change(NamedTuple):
    """What became of a kernel spec: `what` is "written", "removed" or "left"; `why` says why
    where that is not plain."""

    name: str
    what: str
    why: str = ""


def sync(store: Store, *, directory: Optional[Path] = None, add: bool = False, layers: bool = False,
         remove: bool = True, progress: Sink = ignore) -> list[Change]:
    """Bring the kernel specs in `directory`, by default the user's own, in step with the store.

    With `add` each image that has no spec there gets its kernels; with `layers` support
    layers that are missing are made, which takes a network. What is as it should be is not
    touched. Without `remove` a spec whose image or kernel is not to be seen is left alone. It
    blocks; several at once do no harm.

    Raises `KernelFailed` if the directory cannot be written.
    """
    above = directory or kernelspecs.default_directory()
    there = kernelspecs.installed(above)
    changes = [change for spec in there
               for change in [_refresh(store, spec, layers, remove, progress)] if change is not None]
    if add:
        known = {spec.image for spec in there}
        for image in store.images.list():
            if image.familiar not in known and support.layer_of(image) is None:
                changes += _add(store, image, above, layers, progress)
    return changes


def _add(store: Store, image: Image, above: Path, layers: bool, progress: Sink) -> list[Change]:
    try:
        written = kernelspecs.install(store, image.familiar, Settings(), directory=above,
                                      layers=layers, progress=progress)
    except KernelFailed:
        raise
    except LpmxError as error:
        return [Change(image.familiar, "left", error.message)]
    return [Change(spec.name, "written") for spec in written]


def _refresh(store: Store, spec: Installed, layers: bool, remove: bool,
             progress: Sink) -> Optional[Change]:
    """None for a spec that is as it should be."""
    path = spec.folder / "kernel.json"
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        config = dict(before["metadata"]["kernel_provisioner"].get("config", {}))
        transport = config.pop("transport", TRANSPORTS[0])
        settings = Settings.parse(config)
        if transport not in TRANSPORTS:
            raise ValueError("transport")
    except ValueError as error:
        return Change(spec.name, "left", f'its setting "{error}" is none that we know')
    except OSError:
        return None  # somebody removed it
    try:
        image = store.images.find(settings.image)
    except ImageUnknown:
        if settings.container and (store.containers / settings.container).is_dir():
            return None  # what it runs in is there
        return _remove(spec, f'image "{settings.image}" is not in the store') if remove else None
    try:
        kernel = _kernel(store, image, settings, layers, progress)
    except LpmxError as error:
        return Change(spec.name, "left", error.message)
    if kernel is None:
        why = f'image "{settings.image}" has no kernel "{settings.kernel}" any more'
        return _remove(spec, why) if remove else None
    values = kernelspecs.kernel_json(kernel, settings, spec.display_name, transport)
    if values == before:
        return None
    with kernelspecs.files(store, image, settings.container) as view:
        kernelspecs.write(spec.folder, values, view, kernel)
    return Change(spec.name, "written", _difference(before, values))


def _kernel(store: Store, image: Image, settings: Settings, layers: bool,
            progress: Sink) -> Optional[Kernel]:
    """The kernel that the settings mean now; None if the image has it no more."""
    if layers and settings.kernel in ("", kernels.IMAGE_PYTHON):
        try:
            kernelspecs.support_layer(store, image, settings, progress=progress)
        except KernelFailed:
            pass  # the host's Python runs it until there is one, or the next start says why
    found = kernelspecs.offers_of(store, image, settings.container)
    if settings.kernel == kernels.HOST_PYTHON:
        return kernels.host_python(live=image.live)
    return next((offer.kernel for offer in found
                 if (offer.chosen if not settings.kernel else
                     offer.kernel.name == settings.kernel)), None)


def _remove(spec: Installed, why: str) -> Change:
    try:
        shutil.rmtree(spec.folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        return Change(spec.name, "left", f"{why}, and it cannot be removed: "
                                         f"{os.strerror(error.errno or 0).lower()}")
    return Change(spec.name, "removed", why)


def _difference(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Which of its members were not as they should be."""
    return "other " + ", ".join(sorted(key for key in {**before, **after}
                                       if before.get(key) != after.get(key)))
