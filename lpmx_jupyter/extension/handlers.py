"""What all routes have in common.

A route is a class with a `path` of openapi.yaml and a method for each of its operations.
`@operation` makes it one: only a known user who may do it gets through, what was sent is
checked against the description, what the method returns is answered as JSON, and an
`LpmxError` becomes message, hint and code.
"""
from __future__ import annotations

import functools
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Mapping, NamedTuple, Optional, TypeVar, cast

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import ensure_async
from lpmx_runtime.errors import LpmxError
from lpmx_runtime.store import Store
from tornado import web

from . import description
from .description import Invalid, Operation
from .failures import RequestFailed, code_of, described, status_of

if TYPE_CHECKING:
    from .app import LpmxExtension

RESOURCE = "lpmx"
PREFIX = "/lpmx/api"
_T = TypeVar("_T")
_Method = Callable[..., Awaitable[Any]]

#: Returned by methods that have written their answer themselves.
WRITTEN = object()


class Answer(NamedTuple):
    """What a method returns that answers with another success than the usual one."""

    status: int
    value: Any


def operation(action: Optional[str] = None) -> Callable[[_Method], _Method]:
    """Make a method the operation of its class's path and its own name.

    Who may read (GET) or write (all else) the resource `lpmx` may use it, or who may do
    `action` with it. What the method returns is answered with the status that the
    description has for it; None with 204. It finds the checked parameters in `self.query`
    and `self.body`, and gets those of the path.
    """
    def make(method: _Method) -> _Method:
        @functools.wraps(method)
        async def checked(self: Handler, **path: str) -> None:
            here = self.check_request(method.__name__, path)
            value = await method(self, **path)
            if isinstance(value, Answer):
                self._answer(value.status, value.value)
            elif value is not WRITTEN:
                self._answer(here.success, value)

        guarded: Any = web.authenticated(authorized(action=action)(checked))
        guarded.operation = True
        return cast(_Method, guarded)
    return make


class Handler(APIHandler):
    """A route below /lpmx/api."""

    auth_resource = RESOURCE
    path = ""
    #: Whether the body is read by the handler itself, piece by piece.
    streams = False

    query: dict[str, Any]
    body: dict[str, Any]

    @property
    def connection(self) -> Any:
        """The request's connection; tornado has it typed as less than it is."""
        return self.request.connection

    @property
    def extension(self) -> "LpmxExtension":
        found: "LpmxExtension" = self.settings["lpmx"]
        return found

    async def blocking(self, work: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        """Run what blocks in a thread, beside the server's loop."""
        return await self.extension.blocking(functools.partial(work, *arguments, **named))

    async def asking(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """As `blocking`, for what waits for a network: it holds up nothing else."""
        return await self.extension.asking(functools.partial(work, *arguments))

    async def with_store(self, work: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        """As `blocking`; the user's store comes first."""
        return await self.blocking(lambda: work(Store.open(), *arguments, **named))

    async def slow(self, work: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        """As `with_store`, for what may take long: it holds up nothing quick."""
        return await self.extension.slow(lambda: work(Store.open(), *arguments, **named))

    async def may(self, action: str) -> bool:
        """Whether this user may do `action` with the resource."""
        allowed = self.authorizer.is_authorized(self, self.current_user, action, RESOURCE)
        return bool(await ensure_async(allowed))

    async def changed(self) -> None:
        """Have listeners told what this request changed."""
        await self.extension.watch.look()

    def check_request(self, method: str, path: Mapping[str, str]) -> Operation:
        """Have what was sent in `query` and `body`; the operation. Raises `RequestFailed`."""
        here = description.by_path()[self.path][method]
        try:
            here.read_path(path)
            self.query = here.read_query(self._query())
            if not self.streams:
                self.body = here.read_body(self.request.body)
        except Invalid as error:
            raise RequestFailed(HTTPStatus.BAD_REQUEST, "invalid-request",
                                f"cannot {here.method} {here.path}: {error}",
                                hint=f"GET {PREFIX}/openapi describes it") from None
        return here

    # -- as the base class wants it -----------------------------------------------------

    async def prepare(self, **unused: Any) -> None:  # type: ignore[override]
        """Nothing is done because a page elsewhere leads here, though it could not read what is
        answered: browsers tell (W3C Fetch Metadata, "Sec-Fetch-Site"). "same-site" is another
        port, too, and may be another user's server. Of a request with an origin the server has
        judged that. Where to log in is never told (`unused`): it is no page."""
        await super().prepare()
        headers = self.request.headers
        site = headers.get("Sec-Fetch-Site", "none")
        if site not in ("none", "same-origin") and "Origin" not in headers:
            raise web.HTTPError(403, "A page of another site must not ask this.")

    def update_api_activity(self) -> None:
        """What a panel asks for by itself does not keep an idle server from being ended."""
        if self.request.method != "GET":
            super().update_api_activity()

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, LpmxError):
            super().log_exception(typ, value, tb)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        super().send_error(status_of(error) if isinstance(error, LpmxError) else status_code,
                           **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """The schema `Error`, whatever went wrong."""
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, LpmxError):
            value = described(error)
        elif isinstance(error, web.HTTPError) and status_code < 500:
            value = {"message": error.log_message or error.reason or self._reason, "hint": None,
                     "code": code_of(status_code)}
        else:
            value = {"message": f"cannot {self.request.method.lower()} {self.path}: the server "
                                "failed unexpectedly",
                     "hint": "its log says more", "code": "internal"}
        self.finish(json.dumps(value))

    # -- reading and writing ------------------------------------------------------------

    def _query(self) -> dict[str, list[str]]:
        try:
            return {name: [value.decode() for value in values]
                    for name, values in self.request.query_arguments.items()}
        except UnicodeDecodeError:
            raise Invalid("a parameter is not text") from None

    def _answer(self, status: int, value: Any) -> None:
        if value is None:
            self.set_status(204)
            self.finish()
            return
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(value))


class Unknown(Handler):
    """What is below /lpmx/api and is no route."""

    path = "/"

    @web.authenticated
    @authorized(action="read")  # type: ignore[untyped-decorator]
    async def get(self, rest: str) -> None:
        raise RequestFailed(HTTPStatus.NOT_FOUND, "not-found",
                            f'cannot find "{PREFIX}/{rest[:200]}": there is no such route',
                            hint=f"GET {PREFIX}/openapi tells which there are")

    post = put = patch = delete = get
