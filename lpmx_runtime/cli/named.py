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


def container_or_image(store: "Store", name: str, *, failing: str) -> "Union[Container, Image]":
    """A container of that name, else an image: containers have names of their own."""
    from ..container import Container
    from ..errors import ContainerUnknown, ImageUnknown
    try:
        return Container.open(store, name)
    except ContainerUnknown:
        pass
    try:
        return store.images.find(name)
    except ImageUnknown as error:
        raise ImageUnknown(f"{failing}: there is no container and no image of this name",
                           hint=error.hint) from None
