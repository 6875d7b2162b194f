"""GPUs: what this machine has, what of it a container gets, and how busy it is."""
from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any, Optional

from lpmx_runtime.container import Container, gpu, gpu_usage
from lpmx_runtime.store import Store

from .failures import RequestFailed
from .handlers import Handler, operation

_LEFT_TO_IMAGE = "the image has a library of this name of its own"


class Gpu(Handler):
    path = "/gpu"

    @operation()
    async def get(self) -> Any:
        image, container = self.query["image"], self.query["container"]
        if image is not None and container is not None:
            raise RequestFailed(HTTPStatus.BAD_REQUEST, "invalid-request",
                                "cannot judge the libraries for an image and a container at once",
                                hint="leave one of them out")
        if image is None and container is None:
            return await self.blocking(lambda: _described(gpu.find()))
        return await self.with_store(_of_image if container is None else _of_container,
                                     image or container)


def _of_image(store: Store, name: str) -> dict[str, Any]:
    image = store.images.find(name)
    return _described(gpu.judge(store, image, gpu.find()), image=image.familiar)


def _of_container(store: Store, name: str) -> dict[str, Any]:
    container = Container.open(store, name)
    with container.view() as view:
        found = gpu.judged(gpu.find(), gpu.glibc_of(view))
    injected = set((container.record.get("gpu") or {}).get("libraries", []))
    return _described(found, container=name, injected=injected,
                      asked=container.options.gpu and not container.record["live"])


def _described(found: gpu.Found, *, image: Optional[str] = None, container: Optional[str] = None,
               injected: Optional["set[str]"] = None, asked: bool = True) -> dict[str, Any]:
    libraries = [{**library._asdict(), "injected": None if injected is None
                  else library.name in injected} for library in found.libraries]
    for library in libraries if injected is not None and asked else ():
        if not library["injected"] and not library["refused"]:
            library["refused"] = _LEFT_TO_IMAGE
    return {"devices": list(found.devices),
            "drivers": [driver._asdict() for driver in gpu_usage.drivers()],
            "libraries": libraries, "icds": [icd._asdict() for icd in found.icds],
            "image": image, "container": container}


class Usage(Handler):
    path = "/gpu/usage"

    @operation()
    async def get(self) -> Any:
        found = await self.blocking(gpu_usage.usage)
        return {"time": time.time(), "devices": [one._asdict() for one in found]}


HANDLERS = (Gpu, Usage)
