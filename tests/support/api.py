"""The server extension, spoken to over HTTP, every answer held against its description."""
from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Iterator, Mapping, Optional
from urllib.parse import quote

import requests

from . import images as images_module
from . import leftovers
from .labserver import PATIENCE, LabServer
from .notebooks import Jupyter, jupyter_in

TINY = "lpmx-test-tiny:1"


@contextmanager
def own_store(root: Path, images: Any) -> Iterator[Jupyter]:
    """A user's Jupyter below `root` with a store of its own, in which there is a tiny image.
    Afterwards nothing may run in it, and it is removed."""
    from lpmx_runtime.image.archive import load
    from lpmx_runtime.store import Store
    store = root / "store"
    with jupyter_in(root, SimpleNamespace(path=store)) as own:
        load(Store.open(store), images.get("tiny").layout, name=TINY)
        yield own
    left = leftovers.wait_for_none([store])
    images_module.remove(store)
    assert [] == left


#: Lets a request be one of somebody who may do nothing, or only read.
AUTHORIZER = '''
from jupyter_server.auth import Authorizer

class ByHeader(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        allowed = handler.request.headers.get("X-Test-May")
        return resource != "lpmx" or allowed is None or action in allowed.split()

c.ServerApp.authorizer_class = ByHeader
c.LpmxExtension.watch_seconds = 0.2
'''


class ApiServer(LabServer):
    """A plain Jupyter server with nothing but the extension, and terminals."""

    program = "jupyter-server"
    options = ()

    def __init__(self, folder: Path, runtime: Path) -> None:
        config = folder.parent / "server_config.py"
        config.write_text(AUTHORIZER)
        super().__init__(folder, runtime, f"--config={config}", "--ServerApp.base_url=/user/me/")
        self.answered: set[str] = set()

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request below /lpmx/api, as it is."""
        return self._session.request(method, f"{self.url}lpmx/api{path}", timeout=PATIENCE,
                                     **options)

    def ask(self, method: str, path: str, body: Any = None, *, status: Optional[int] = None,
            query: Optional[Mapping[str, Any]] = None, data: Any = None, may: Optional[str] = None,
            **names: str) -> Any:
        """The JSON that an operation answers, which must be as it is described: `path` is that
        of the description, `names` go into it. `status` is what is expected, else a success."""
        from lpmx_jupyter.extension import description
        operation = description.by_path()[path][method.lower()]
        where = path.format(**{name: quote(text, safe="") for name, text in names.items()})
        answer = self.send(method, where, json=body, data=data, params=query,
                           headers={} if may is None else {"X-Test-May": may})
        if status is None:
            assert answer.status_code < 400, answer.text
        else:
            assert status == answer.status_code, answer.text
        value = answer.json() if answer.content else None
        if answer.status_code < 400:
            operation.check_answer(answer.status_code, value)
            self.answered.add(operation.id)
        else:
            description.check("Error", value)
        return value

    def finish(self, task: Mapping[str, Any], state: str = "succeeded") -> Any:
        """The task when it has ended, as it must."""
        deadline = time.monotonic() + PATIENCE
        found = dict(task)
        while found["finished"] is None:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
            found = self.ask("GET", "/tasks/{task}", task=found["id"])
        assert state == found["state"], found
        return found

    def events(self) -> "Listener":
        """A stream of events that has begun."""
        return Listener(self)


class Listener:
    """What a browser tab hears."""

    def __init__(self, server: ApiServer) -> None:
        self._answer = server.send("GET", "/events", stream=True)
        assert "text/event-stream" == self._answer.headers["Content-Type"], self._answer.text
        self._passed: list[tuple[str, Any]] = []
        self._lines: Iterator[bytes] = self._answer.iter_lines(chunk_size=1)
        self.hello = self.next("hello")

    def next(self, kind: str, fits: Callable[[Any], bool] = lambda value: True) -> Any:
        """The value of the first event of that kind that fits and was not asked for yet."""
        from lpmx_jupyter.extension import description
        for one in self._passed:
            if one[0] == kind and fits(one[1]):
                self._passed.remove(one)
                return one[1]
        event = ""
        deadline = time.monotonic() + PATIENCE
        for line in self._lines:
            assert time.monotonic() < deadline, f"{kind} does not come, but {self._passed}"
            word, _, rest = line.decode().partition(": ")
            if word == "event":
                event = rest
            elif word == "data":
                value = json.loads(rest)
                description.check({"hello": "EventHello", "task": "Task", "changed": "EventChanged",
                                   "forgotten": "EventForgotten"}[event], value)
                if event == kind and fits(value):
                    return value
                self._passed.append((event, value))
        raise AssertionError(f"the stream ended without {kind}")

    def changed(self, what: str, container: Optional[str] = None) -> None:
        """Wait until it is told that this has changed."""
        self.next("changed", lambda value: value == {"what": what, "container": container})

    def close(self) -> None:
        self._answer.close()
