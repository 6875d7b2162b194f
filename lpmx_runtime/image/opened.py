"""A container's files without what is bound among them, and those of its image alone."""
from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional

from .._native import View
from ..container import Container, ViewSpec
from ..container.identity import Identity
from ..errors import CommitFailed
from ..store import Image, Store
from ..store.files import storing
from .changes import places_of_binds

_ROOT = Identity(0, 0, "root", "/root")


@dataclass(frozen=True)
class Opened:
    """`view` shows what programs of the container see where nothing is bound, `lower`
    what its image has; `places` are paths that are in the upper for the binds only."""

    view: View
    lower: View
    upper: Path
    places: frozenset[bytes]


@contextmanager
def opened_container(container: Container, *, failing: str) -> Iterator[Opened]:
    """Look into `container`; programs may run in it.

    Raises `CommitFailed` at the end, with `failing` as the beginning of the message, if
    the container was removed meanwhile: then what was seen is not all that there was.
    """
    try:
        before = os.stat(container.directory)
        spec = container.spec(_ROOT).but(binds=())
    except FileNotFoundError:
        raise _removed(failing) from None
    with ExitStack() as stack:
        aside = stack.enter_context(container.store.staging())
        view = stack.enter_context(_view(aside / "view", spec))
        lower = stack.enter_context(_view(aside / "lower", _of_image(spec)))
        binds = [os.fsencode(bind.at).lstrip(b"/") for bind in container.spec().binds
                 if not bind.at.startswith("/.lpmx/")]
        yield Opened(view, lower, container.upper,
                     places_of_binds(container.upper, view, lower, binds))
        if not _is_still(container.directory, before):
            raise _removed(failing)


def _removed(failing: str) -> CommitFailed:
    return CommitFailed(f"{failing}: it was removed meanwhile",
                        hint='run "lpmx ps" to see what there is')


@contextmanager
def opened_image(store: Store, image: Image) -> Iterator[View]:
    """Look into an image of the store."""
    index, layers = store.indexes.lower(image.diff_ids)
    spec = ViewSpec(kind="container", name="image", loader="/", uid=0, gid=0, index=index,
                    layers=layers)
    with store.staging() as aside, _view(aside / "view", spec) as view:
        yield view


def _of_image(spec: ViewSpec) -> ViewSpec:
    return spec.but(upper=None, work=None, control=None)


@contextmanager
def _view(path: Path, spec: ViewSpec) -> Iterator[View]:
    with storing("a view"):
        path.write_bytes(spec.encode())
    with View(path) as view:
        yield view


def _is_still(directory: Path, before: os.stat_result) -> bool:
    after: Optional[os.stat_result]
    try:
        after = os.stat(directory)
    except FileNotFoundError:
        return False
    return os.path.samestat(before, after)
