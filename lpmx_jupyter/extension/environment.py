"""The variables of a container, seen and changed while it runs."""
from __future__ import annotations

import os
import re
from typing import Any, Mapping, Optional

from lpmx_runtime.container import Container, dotenv
from lpmx_runtime.errors import InvalidSetting
from lpmx_runtime.store import Store
from tornado import web

from .handlers import RESOURCE, Handler, operation

_LONGEST = 1 << 20
#: An address with a password in it.
_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/:\s]*:[^@\s]+@", re.IGNORECASE)


def is_secret(name: str, value: Optional[str], pattern: "re.Pattern[str]") -> bool:
    """Whether a variable's value is not for everybody who looks at the screen."""
    return bool(pattern.search(name) or _PASSWORD.search(value or ""))


def listed(variables: "list[tuple[Mapping[str, Any], str, Optional[str]]]",
           pattern: "re.Pattern[str]", secrets: bool) -> list[dict[str, Any]]:
    """Variables or changes: what is told of each besides its name and value, these two, and
    whether the value is kept back."""
    found = []
    for about, name, value in variables:
        secret = is_secret(name, value, pattern)
        masked = secret and not secrets and value is not None
        found.append({**about, "name": name, "value": None if masked else value,
                      "secret": secret, "masked": masked, "unset": value is None})
    return found


class _Variables(Handler):
    """What the routes of variables share."""

    async def secrets(self) -> bool:
        """Whether secret ones are to be shown; who may only read may not ask for that."""
        asked = bool(self.query.get("secrets"))
        if asked and not await self.may("write"):
            raise web.HTTPError(403, f"User is not authorized to write on resource: {RESOURCE}.")
        return asked

    async def variables(self, container: str, *, secrets: bool) -> list[dict[str, Any]]:
        def look(store: Store) -> list[dict[str, Any]]:
            found = Container.open(store, container).environment.list()
            return listed([({"origin": one.origin}, one.name, one.value) for one in found],
                          self.extension.secret, secrets)
        return await self.with_store(look)


class Environment(_Variables):
    path = "/containers/{container}/environment"

    @operation()
    async def get(self, container: str) -> Any:
        return await self.variables(container, secrets=await self.secrets())

    @operation()
    async def patch(self, container: str) -> Any:
        given, gone = self.body.get("set", {}), self.body.get("unset", [])
        both = sorted(set(given) & set(gone))
        if both:
            raise InvalidSetting(f'cannot set and unset "{both[0]}" of container "{container}" at '
                                 "once", hint="leave one of them out")

        def change(store: Store) -> None:
            variables = Container.open(store, container).environment
            variables.load(given)
            for name in gone:
                variables.unset(name)
        await self.with_store(change)
        await self.changed()
        return await self.variables(container, secrets=False)


class Load(_Variables):
    path = "/containers/{container}/environment/load"

    @operation()
    async def post(self, container: str) -> Any:
        path = self.extension.server_path(self.body["path"]) if "path" in self.body else None

        def load(store: Store) -> None:
            variables = Container.open(store, container).environment
            text = self.body["text"] if path is None else _read(path)
            variables.load(dotenv.parse(text, path or "what was sent"))
        await self.with_store(load)
        await self.changed()
        return await self.variables(container, secrets=False)


def _read(path: str) -> str:
    """The text of a file, which must be one: of a pipe one could wait for ever."""
    if os.path.exists(path) and (not os.path.isfile(path) or os.path.getsize(path) > _LONGEST):
        raise InvalidSetting(f'cannot read the variables in "{path}": it is no file of at most 1 MiB',
                             hint="name a file of NAME=VALUE lines")
    return dotenv.read(path)


class History(_Variables):
    path = "/containers/{container}/environment/history"

    @operation()
    async def get(self, container: str) -> Any:
        secrets = await self.secrets()

        def look(store: Store) -> list[dict[str, Any]]:
            found = Container.open(store, container).environment.history()
            return listed([({"time": one.time, "pid": one.pid}, one.name, one.value)
                           for one in found], self.extension.secret, secrets)
        return await self.with_store(look)


HANDLERS = (Environment, Load, History)
