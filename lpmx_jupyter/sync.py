"""Kernel specs kept in step with the store.

In a spec what is ours to say is brought up to date where its image, its kernel or this
installation has changed; what somebody added stays. It is removed only where its image was
removed from the store that it was made with. A store that is out of sight, and a spec that we
do not understand, are no reason to. Only specs of ours, in one directory, are looked at.
"""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple, Optional

from lpmx_runtime.errors import ImageUnknown, KernelFailed, LpmxError
from lpmx_runtime.progress import Sink, ignore
from lpmx_runtime.settings import site_stores
from lpmx_runtime.store import Image, Store

from . import detached, kernels, kernelspecs, support
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
    layers that are missing are made, which takes a network; without `remove` the spec of an
    image that is gone is left. What is as it should be is not touched, and what fails with one
    spec or image is told of that one. It blocks; several at once do no harm.

    Raises `KernelFailed` if the directory cannot be written.
    """
    above = directory or kernelspecs.default_directory()
    there = kernelspecs.installed(above)
    work = _Sync(store, above, layers, remove, progress)
    changes = [change for spec in there for change in [work.refresh(spec)] if change is not None]
    if add:
        known = {spec.image for spec in there}
        new = [image for image in store.images.list()
               if image.familiar not in known and support.layer_of(image) is None]
        if new:
            _must_be_writable(above)
        for image in new:
            changes += work.add(image)
    return changes


def _must_be_writable(above: Path) -> None:
    try:
        kernelspecs.make_directories(above)
        writable = os.access(above, os.W_OK | os.X_OK)
        cause = "permission denied"
    except OSError as error:
        writable, cause = False, os.strerror(error.errno or 0).lower()
    if not writable:
        raise KernelFailed(f'cannot install the kernel in "{above}": {cause}',
                           hint="name a place of your own with --prefix")


class _Sync:
    """One pass over a directory."""

    def __init__(self, store: Store, above: Path, layers: bool, remove: bool,
                 progress: Sink) -> None:
        self._store, self._above = store, above
        self._layers, self._remove = layers, remove
        self._progress = progress
        self._running = {one.name for one in detached.find(store)}

    def add(self, image: Image) -> list[Change]:
        """Install the kernels of an image that has none."""
        try:
            written = kernelspecs.install(self._store, image.familiar, Settings(),
                                          directory=self._above, layers=self._layers,
                                          progress=self._progress)
        except (LpmxError, OSError) as error:
            return [Change(image.familiar, "left", str(error).partition("\n")[0])]
        return [Change(spec.name, "written") for spec in written]

    def refresh(self, spec: Installed) -> Optional[Change]:
        """None for a spec that is as it should be."""
        try:
            before = json.loads((spec.folder / "kernel.json").read_text(encoding="utf-8"))
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
            return self._refresh(spec, before, settings, transport)
        except (LpmxError, OSError) as error:
            return Change(spec.name, "left", str(error).partition("\n")[0])

    def _refresh(self, spec: Installed, before: dict[str, Any], settings: Settings,
                 transport: str) -> Optional[Change]:
        store = self._store
        try:
            image = store.images.find(settings.image)
        except ImageUnknown:
            if settings.container and (store.containers / settings.container).is_dir():
                return None  # what it runs in is there
            return self._gone(spec, before, f'image "{settings.image}" is not in the store')
        kernel = self._kernel(image, settings)
        if kernel is None:
            return Change(spec.name, "left", f'image "{settings.image}" has no kernel '
                          f'"{settings.kernel}" any more: "lpmx kernel remove {spec.name}"')
        ours = kernelspecs.kernel_json(store, kernel, settings, spec.display_name, transport)
        after = merged(before, ours)
        if after == before:
            return None
        with kernelspecs.files(store, image, settings.container) as view:
            kernelspecs.write(spec.folder, after, view, kernel)
        return Change(spec.name, "written", _difference(before, after))

    def _kernel(self, image: Image, settings: Settings) -> Optional[Kernel]:
        """The kernel that the settings mean now; None if the image has it no more."""
        if self._layers and settings.kernel in ("", kernels.IMAGE_PYTHON):
            try:
                kernelspecs.support_layer(self._store, image, settings, progress=self._progress)
            except KernelFailed:
                # The host's Python runs it until there is one. The next would fail as well.
                self._layers = False
        if settings.kernel == kernels.HOST_PYTHON:
            return kernels.host_python(live=image.live)
        found = kernelspecs.offers_of(self._store, image, settings.container)
        return next((offer.kernel for offer in found
                     if (offer.chosen if not settings.kernel else
                         offer.kernel.name == settings.kernel)), None)

    def _gone(self, spec: Installed, before: dict[str, Any], why: str) -> Optional[Change]:
        """Remove the spec, if that is what the store says and not what it does not show."""
        made_with = before["metadata"].get(kernelspecs.STORE)
        missing = [place for place in site_stores() if not os.access(f"{place}/version", os.R_OK)]
        if spec.name in self._running:
            why += ", and a detached kernel of it runs"
        elif made_with != str(self._store.path):
            why += f', and the kernel was made with the store "{made_with or "?"}"'
        elif missing:
            why += f', and the site\'s store "{missing[0]}" cannot be read'
        elif self._remove:
            try:
                kernelspecs.take_away(spec.folder)
            except FileNotFoundError:
                pass
            return Change(spec.name, "removed", why)
        return Change(spec.name, "left", why)


def merged(before: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """A kernel.json with what is ours to say brought in, and the rest as it was."""
    metadata = {**before["metadata"], **ours["metadata"]}
    if "debugger" not in ours["metadata"]:
        metadata.pop("debugger", None)
    # the title is the user's, and so is how a front end is to present it
    own = {key: ours[key] for key in ("argv", "interrupt_mode", "language")}
    return {**before, **own, "metadata": metadata}


def _difference(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Which of its members were not as they should be."""
    return "other " + ", ".join(sorted(key for key in {**before, **after}
                                       if before.get(key) != after.get(key)))
