"""The server itself, this host and the store: what there is, and its upkeep."""
from __future__ import annotations

from typing import Any

from lpmx_runtime import __version__, settings
from lpmx_runtime.store import Store

from . import description
from .handlers import Handler, operation
from .tasks import Beginning


class Openapi(Handler):
    path = "/openapi"

    @operation()
    async def get(self) -> Any:
        return description.document()


class Info(Handler):
    path = "/info"

    @operation()
    async def get(self) -> Any:
        def look(store: Store) -> dict[str, Any]:
            return {"version": __version__, "api": description.document()["info"]["version"],
                    "store": str(store.path), "site_stores": [str(one.path) for one in store.below],
                    "quota": settings.quota(), "call_log": settings.call_log()}
        return {**await self.with_store(look),
                "terminals": self.settings.get("terminal_manager") is not None,
                "permissions": {"write": await self.may("write"),
                                "execute": await self.may("execute")},
                "kept": self.extension.kept_seconds}


class Check(Handler):
    path = "/check"

    @operation()
    async def get(self) -> Any:
        def look() -> list[dict[str, Any]]:
            from lpmx_runtime.check import check
            return [finding._asdict() for finding in check(settings.store_path())]
        return await self.extension.slow(look)


class Usage(Handler):
    path = "/usage"

    @operation()
    async def get(self) -> Any:
        def look(store: Store) -> dict[str, Any]:
            from lpmx_runtime.store.usage import usage
            found = usage(store)
            return {"images": [image._asdict() for image in found.images],
                    "containers": [container._asdict() for container in found.containers],
                    "layers": found.layers, "unused": found.unused, "quota": settings.quota(),
                    "sites": [site._asdict() for site in found.sites]}
        return await self.slow(look)


class Collect(Beginning):
    path = "/gc"

    @operation()
    async def post(self) -> Any:
        return self.begin("gc", "Free what nothing needs")


HANDLERS = (Openapi, Info, Check, Usage, Collect)
