"""Server-sent events (WHATWG HTML, "Server-sent events"): one stream of everything that happens."""
from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable

from jupyter_server.base.websocket import WebSocketMixin
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from .handlers import WRITTEN, Handler, operation

if TYPE_CHECKING:
    from .app import LpmxExtension

#: What a listener may be behind before it is taken for gone: it comes back and gets all anew.
_BEHIND = 1000
_HEARTBEAT = 15.0


def encoded(event: str, value: Any) -> str:
    """An event as it goes over the wire."""
    return f"event: {event}\ndata: {json.dumps(value)}\n\n"


class Events:
    """Hands what happens to all who listen. Of the server's loop only."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[str | None]] = set()

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def publish(self, event: str, value: Any) -> None:
        """Tell everybody."""
        if not self._listeners:
            return
        text = encoded(event, value)
        for queue in list(self._listeners):
            try:
                queue.put_nowait(text)
            except asyncio.QueueFull:
                self.drop(queue)

    def listen(self, first: Callable[[], str]) -> "asyncio.Queue[str | None]":
        """A queue that begins with `first` and gets all that comes after it; None is its end."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(_BEHIND)
        queue.put_nowait(first())
        self._listeners.add(queue)
        return queue

    def drop(self, queue: "asyncio.Queue[str | None]") -> None:
        """End what one listener hears."""
        if queue in self._listeners:
            self._listeners.discard(queue)
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    def close(self) -> None:
        """End what everybody hears."""
        for queue in list(self._listeners):
            self.drop(queue)


def _hello(extension: "LpmxExtension") -> str:
    return encoded("hello", {"server": extension.started, "tasks": extension.tasks.described()})


async def _texts(extension: "LpmxExtension", queue: "asyncio.Queue[str | None]") -> AsyncIterator[str]:
    """What a listener is told, and a sign of life where nothing happens; until the server ends.

    Nothing before the watch has looked once, and knows what a change is one from: who hears
    `hello` hears of each change made after it.
    """
    await extension.watch.wake()
    while True:
        try:
            text = await asyncio.wait_for(queue.get(), _HEARTBEAT)
        except asyncio.TimeoutError:
            text = ":\n\n"
        if text is None:
            return
        yield text


class Stream(Handler):
    path = "/events"

    @operation()
    async def get(self) -> Any:
        """Tell everything until the listener goes or the server ends."""
        extension = self.extension
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")   # nginx would keep it back
        self._queue = queue = extension.events.listen(lambda: _hello(extension))
        try:
            async for text in _texts(extension, queue):
                self.write(text)
                await self.flush()
        except StreamClosedError:
            pass
        finally:
            extension.events.drop(queue)
        if not self.connection.stream.closed():
            self.finish(set_content_type="text/event-stream")
        return WRITTEN

    def on_connection_close(self) -> None:
        if hasattr(self, "_queue"):
            self.extension.events.drop(self._queue)
        super().on_connection_close()


class Socket(WebSocketMixin, WebSocketHandler, Handler):  # type: ignore[misc]
    """The same over a websocket, of which a browser has more than the six connections that it
    makes to a server for all its tabs."""

    path = "/events/socket"

    @operation()
    async def get(self) -> Any:  # type: ignore[override]
        await super().get()
        return WRITTEN

    def open(self) -> None:
        """Tell everything from now on."""
        extension = self.extension
        self._queue = extension.events.listen(lambda: _hello(extension))
        self._telling = asyncio.ensure_future(self._tell(self._queue))

    async def _tell(self, queue: "asyncio.Queue[str | None]") -> None:
        try:
            async for text in _texts(self.extension, queue):
                await self.write_message(text)
        except WebSocketClosedError:
            pass
        finally:
            self.extension.events.drop(queue)
            self.close()

    def on_message(self, message: Any) -> None:
        """Nobody is to say anything here."""

    def on_close(self) -> None:
        if hasattr(self, "_queue"):
            self.extension.events.drop(self._queue)


HANDLERS = (Stream, Socket)
