"""The extension as jupyter_server loads it: settings, routes, and what ends with the server."""
from __future__ import annotations

import asyncio
import os
import re
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Callable, Mapping, Optional, TypeVar

from jupyter_core.utils import ensure_async
from jupyter_server.extension.application import ExtensionApp
from lpmx_runtime.store import Store
from traitlets import Bool, Float, Integer, TraitError, Unicode, validate

from .. import detached
from ..sync import sync
from . import calls, containers, environment, events, gpu, images, kernels, tasks, upkeep
from .containers import Usage
from .description import pattern
from .environment import is_secret
from .events import Events
from .failures import RequestFailed
from .handlers import PREFIX, Handler, Unknown
from .kernels import Kernels, remove_plain_kernelspecs
from .sessions import Sessions
from .tasks import Tasks
from .watch import Watch

_T = TypeVar("_T")
_ASKERS = 4   # requests that may wait for registries at once
_SLOW = 4     # and for what may take long: programs that end, locks, comparing files
_ADOPTING = 10.0   # seconds that a server waits for the kernels of another before it answers

ROUTES: "tuple[type[Handler], ...]" = (
    *upkeep.HANDLERS, *events.HANDLERS, *tasks.HANDLERS, *images.HANDLERS, *containers.HANDLERS,
    *environment.HANDLERS, *calls.HANDLERS, *kernels.HANDLERS, *gpu.HANDLERS)


class LpmxExtension(ExtensionApp):  # type: ignore[misc]
    """Serves what openapi.yaml describes, below /lpmx/api."""

    name = "lpmx"
    load_other_extensions = True

    kept_seconds = Float(3600.0, min=0, help="How many seconds a task is kept after its end, for "
                                             "pages that are opened again.").tag(config=True)
    most_tasks = Integer(8, min=1, help="How many tasks (pulls, loads, commits, ...) may run at "
                                        "once.").tag(config=True)
    watch_seconds = Float(2.0, min=0.1, help="How many seconds pass between two looks for changes "
                                             "that others make, while a page is open.").tag(config=True)
    threads = Integer(8, min=1, help="How many requests may wait for files and programs at "
                                     "once.").tag(config=True)
    secret_names = Unicode(
        r"(?i)(^|_)tokens?($|_)|token$|secret|passw|passphrase|pass(code)?$|credential|cookie|jwt|"
        r"api_?key|private_?key|access_?key|connection_?string|(^|_)(key|pat|pwd|auth|dsn)$",
        help="Regular expression for names of variables whose values lists do not show unless "
             "they are asked for.").tag(config=True)

    sync_kernels = Bool(True, help="Keep kernel specs in step with the store, at the server's start "
                                   "and when images come and go: what is outdated is written anew, "
                                   "and with an image its specs go that have no settings.").tag(config=True)
    add_kernels = Bool(False, help="Give every image of the store kernels in the launcher without "
                                   "being asked.").tag(config=True)

    @validate("secret_names")
    def _valid_expression(self, proposal: Mapping[str, Any]) -> str:
        try:
            re.compile(proposal["value"])
        except re.error as error:
            raise TraitError(f"LpmxExtension.secret_names is no regular expression: {error}") from None
        return str(proposal["value"])

    def initialize_settings(self) -> None:
        self.started = os.urandom(8).hex()
        self.events = Events()
        self.tasks = Tasks(self)
        self.watch = Watch(self)
        self.usage = Usage()
        self._threads = ThreadPoolExecutor(self.threads, thread_name_prefix="lpmx")
        self._askers = ThreadPoolExecutor(_ASKERS, thread_name_prefix="lpmx-registry")
        self._slow = ThreadPoolExecutor(_SLOW, thread_name_prefix="lpmx-slow")
        self._ending = False
        self._later: set[asyncio.Future[Any]] = set()
        self._adopting: Optional[asyncio.Future[Any]] = None
        if self.serverapp is not None:
            self.sessions = Sessions(self.serverapp)
            loop: Any = self.serverapp.io_loop   # tornado has it typed as less than it is
            loop.add_callback(self.keep_kernels)
            self._adopt_first(loop.asyncio_loop)

    def initialize_handlers(self) -> None:
        self.handlers.extend((PREFIX + pattern(route.path), route) for route in ROUTES)
        self.handlers.append((PREFIX + r"/(.*)$", Unknown))

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Have the kernels that lived on when another server ended."""
        await (self._adopt() if self._adopting is None else self._adopting)

    def _adopt_first(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have them before the server answers anybody, if its loop does not run yet: a page that
        did not find its kernel would give it up. What takes too long goes on beside the answers."""
        if not loop.is_running():
            self._adopting = loop.create_task(self._adopt())
            loop.run_until_complete(asyncio.wait([self._adopting], timeout=_ADOPTING))

    async def _adopt(self) -> None:
        """Look after the detached kernels, with the sessions that they had."""
        assert self.serverapp is not None
        if self.serverapp.gateway_config.gateway_enabled:
            return   # it has the kernels of another machine
        adopted = await detached.adopt(self.serverapp.kernel_manager)
        await self.sessions.restore(adopted)
        self.sessions.watch()

    async def stop_extension(self) -> None:
        """End what runs: workers leave the store as it was."""
        self._ending = True
        self.watch.close()
        self.events.close()
        await self.tasks.close()
        for threads in (self._threads, self._askers, self._slow):
            threads.shutdown(wait=False, cancel_futures=True)

    # -- for the routes -------------------------------------------------------------------

    @property
    def secret(self) -> "re.Pattern[str]":
        """What the names of secret variables have in them."""
        return re.compile(self.secret_names)

    def masked(self, variables: Mapping[str, str]) -> dict[str, Any]:
        """Variables with null for the values of secret ones."""
        return {name: None if is_secret(name, value, self.secret) else value
                for name, value in variables.items()}

    async def blocking(self, work: Callable[[], _T]) -> _T:
        """Run what blocks in a thread."""
        return await self._run(self._threads, work)

    async def asking(self, work: Callable[[], _T]) -> _T:
        """Run what waits for a network in a thread of its own kind."""
        return await self._run(self._askers, work)

    async def slow(self, work: Callable[[], _T]) -> _T:
        """Run what may take long in a thread that nothing else waits for."""
        return await self._run(self._slow, work)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        if self._ending:   # kernels may take a while, and pages ask on
            raise RequestFailed(HTTPStatus.SERVICE_UNAVAILABLE, "server-ends",
                                "cannot answer: the server is being stopped",
                                hint="try again when it is back")
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def later(self, work: Callable[[], Any]) -> None:
        """Have something done that nobody waits for."""
        future = asyncio.ensure_future(self.blocking(work))
        self._later.add(future)
        future.add_done_callback(self._later.discard)

    async def keep_kernels(self, removed: Optional[str] = None) -> None:
        """Have the kernel specs in step with the store; `removed` is an image that was taken away.

        A spec whose image is not to be seen is otherwise left alone: it may be of another
        store, or of one that is not mounted now. So is one with settings of its own, which
        are good again with the image.
        """
        if not self.sync_kernels:
            return
        try:
            if removed is not None:
                await self.slow(lambda: remove_plain_kernelspecs(Store.open(), removed))
            for change in await self.slow(lambda: sync(Store.open(), add=self.add_kernels,
                                                       remove=False)):
                self.log.info("Kernel spec %s: %s%s", change.name, change.what,
                              f" ({change.why})" if change.why else "")
        except Exception as error:   # what was asked for is done all the same
            self.log.warning("Cannot keep kernel specs in step with the images: %s", error)

    async def kernels(self) -> Kernels:
        """What the server knows of its kernels."""
        server: Any = self.serverapp
        models: list[Any] = await ensure_async(server.kernel_manager.list_kernels())
        return Kernels({one["id"]: one for one in models}, await self.sessions.by_kernel())

    def server_path(self, text: str) -> str:
        """The absolute path on this machine that a request means."""
        assert self.serverapp is not None
        return os.path.normpath(os.path.join(self.serverapp.root_dir, os.path.expanduser(text)))
