"""What names on a command line stand for in the user's store."""
from __future__ import annotations

from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from ..container import Container
    from ..store import Image, Store


def container(name: str) -> "Container":
    """The container `name`, in order."""
    from ..container import Container
    from ..store import Store
    return Container.open(Store.open(), name)


def container_or_image(store: "Store", name: str, *, failing: str,
                       to_use: bool = True) -> "Union[Container, Image]":
    """A container of that name, else an image (`Images.find`): containers have names of their own."""
    from ..container import Container
    from ..errors import ContainerUnknown, ImageUnknown
    try:
        return Container.open(store, name)
    except ContainerUnknown:
        pass
    try:
        return store.images.find(name, to_use=to_use)
    except ImageUnknown as error:
        from difflib import get_close_matches
        near = get_close_matches(name, [one.name for one in Container.list(store)], 1)
        hint = (f'was container "{near[0]}" meant? {error.hint}' if near
                else f'{error.hint}; "lpmx ps" lists the containers')
        raise ImageUnknown(f"{failing}: there is no container and no image of this name",
                           hint=hint) from None
