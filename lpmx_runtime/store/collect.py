"""Freeing what no image and no container needs any more."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

from ..errors import ImageInUse, StoreDamaged, StoreError, StoreLocked
from .files import in_each, needs_file, remove_abandoned
from .images import Image
from .index import chain_id

if TYPE_CHECKING:
    from .layout import Store

_PATIENCE = 10.0  # seconds that freeing waits for a pull to end


@dataclass(frozen=True)
class _Container:
    name: str
    image: str
    diff_ids: tuple[str, ...]
    config_digest: str


@dataclass
class Freed:
    """What `collect` removed."""

    layers: list[str] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)


def _record_of(store: "Store", path: Path) -> bytes:
    try:
        return path.read_bytes()
    except PermissionError:
        pass
    try:
        return Path(needs_file(store.containers, path.parent.name)).read_bytes()
    except OSError:
        raise StoreError("cannot tell which layers are needed: the container "
                         f'"{path.parent.name}" is another user\'s, who does not share it',
                         hint=f'ask whose it is ("ls -ld {path.parent}")') from None


def remove_image(store: "Store", text: str) -> Image:
    """Forget the image that `text` means and free what nobody else needs.

    Raises `ImageInUse` if a container uses it. While another process pulls, the
    image goes at once and its layers with the next call that frees something.
    """
    image = store.images.find(text, to_use=False)
    if image.live:
        raise ImageInUse('cannot remove image "host": it is this machine itself',
                         hint="it takes no space in the store")
    if image.place is not None:
        raise ImageInUse(f'cannot remove image "{image.familiar}": it is in the store '
                         f'"{image.place}", which is only read from here',
                         hint=f"whoever owns that store can: LPMX_STORE={image.place}")
    users = sorted(container.name for container in _containers(store)
                   if container.image == image.name)
    if users:
        raise ImageInUse(f'cannot remove image "{image.familiar}": container "{users[0]}" uses it',
                         hint=f'run "lpmx rm {" ".join(users)}" first')
    # A container made right now is safe: its own record keeps its layers.
    store.images.remove(image.name)
    try:
        collect(store, timeout=_PATIENCE)
    except StoreLocked:
        pass
    return image


def collect(store: "Store", *, timeout: float = 0) -> Freed:
    """Remove layers, blobs and indexes that no image and no container needs, nor what runs in one.

    Waits up to `timeout` seconds for those who rely on what they have found in
    the store, then raises `StoreLocked`.
    """
    freed = Freed()
    with store.lock("keep", timeout=timeout):
        images, containers = store.images.own(), list(_containers(store))
        chains = [image.diff_ids for image in images] \
            + [container.diff_ids for container in containers]
        layers = {diff_id for chain in chains for diff_id in chain}
        layers.update(_used_beside(store))
        blobs = {digest for image in images for digest in (image.digest, image.config_digest)}
        blobs |= {container.config_digest for container in containers}
        store.indexes.keep_only({chain_id(chain) for chain in chains})
        for diff_id in store.layers.list():
            if diff_id not in layers:
                try:
                    store.layers.remove(diff_id)
                except StoreError:
                    continue  # whoever shares the store and put it here must free it
                freed.layers.append(diff_id)
        for digest in store.blobs.list():
            if digest not in blobs:
                store.blobs.remove(digest)
                freed.blobs.append(digest)
    for directory in (store.images.directory, store.blobs.directory, store.indexes.directory):
        remove_abandoned(directory)
    store.clean()
    return freed


def _used_beside(store: "Store") -> Iterator[str]:
    """The layers that what runs in containers uses besides its image's: those that a file
    `*.layers` in a container's directory names, one diff ID on each line."""
    for path in in_each(store.containers, "*.layers"):
        try:
            yield from path.read_text(encoding="ascii").split()
        except (FileNotFoundError, NotADirectoryError):
            continue  # it has just ended
        except (OSError, ValueError) as error:
            raise StoreError(f'cannot tell which layers are needed: "{path}" cannot be read ({error})',
                             hint="ask whose container it is, or remove that one") from None


def _containers(store: "Store") -> Iterator[_Container]:
    """What the records of the containers say about their images."""
    for directory in store.containers.iterdir():
        path = directory / "container.json"
        try:
            record = json.loads(_record_of(store, path))
            yield _Container(directory.name, record["image"], tuple(record["diff_ids"]),
                             record.get("config_digest", ""))
        except (FileNotFoundError, NotADirectoryError):
            continue  # being made or removed, or a file of somebody's
        except (ValueError, KeyError, TypeError) as error:
            raise StoreDamaged(f'cannot tell which layers container "{directory.name}" needs: '
                               f'"{path}" is damaged ({error})',
                               hint=f'remove it with "lpmx rm -f {directory.name}"') from None
