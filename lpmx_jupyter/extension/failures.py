"""Errors of the library as answers: message, hint, code, and a status that fits."""
from __future__ import annotations

from http import HTTPStatus
from typing import Any, Optional

from lpmx_runtime import errors
from lpmx_runtime.errors import LpmxError

#: The nearest class above an error's own decides.
_STATUS: dict[type[LpmxError], HTTPStatus] = {
    LpmxError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidReference: HTTPStatus.BAD_REQUEST,
    errors.InvalidSetting: HTTPStatus.BAD_REQUEST,
    errors.ImageUnknown: HTTPStatus.NOT_FOUND,
    errors.ImageInUse: HTTPStatus.CONFLICT,
    errors.RegistryError: HTTPStatus.BAD_GATEWAY,
    errors.NotFoundInRegistry: HTTPStatus.NOT_FOUND,
    errors.FetchFailed: HTTPStatus.BAD_GATEWAY,
    errors.StoreError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.StoreFull: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.StoreLocked: HTTPStatus.LOCKED,
    errors.ContainerUnknown: HTTPStatus.NOT_FOUND,
    errors.ContainerExists: HTTPStatus.CONFLICT,
    errors.ContainerRunning: HTTPStatus.CONFLICT,
    errors.WriteFailed: HTTPStatus.CONFLICT,
    errors.CallRefused: HTTPStatus.FORBIDDEN,
    errors.LinkFailed: HTTPStatus.CONFLICT,
    errors.NativeError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


class RequestFailed(LpmxError):
    """A request that only the server refuses, with its own code and status."""

    def __init__(self, status: HTTPStatus, code: str, message: str,
                 hint: Optional[str] = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


def status_of(error: LpmxError) -> int:
    """The HTTP status that tells of `error`."""
    if isinstance(error, RequestFailed):
        return int(error.status)
    return int(next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS))


def described(error: LpmxError) -> dict[str, Any]:
    """The schema `Error`."""
    return {"message": error.message, "hint": error.hint, "code": error.code}


#: For what the server itself refuses before any of our code is asked.
_CODES = {400: "invalid-request", 401: "forbidden", 403: "forbidden", 404: "not-found",
          405: "method-not-allowed", 413: "too-large", 429: "too-busy"}


def code_of(status: int) -> str:
    """The code of an answer with this status that no `LpmxError` caused."""
    return _CODES.get(status, "internal" if status >= 500 else "invalid-request")
