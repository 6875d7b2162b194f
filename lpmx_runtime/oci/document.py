"""JSON that anybody may have written."""
from __future__ import annotations

import json

from ..errors import ImageDamaged, LpmxError
from ..light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Optional, Type

MAKE_AGAIN = "whoever made the image must make it again"


class Cause(Exception):
    """Why a document is refused, while it is not known yet what that makes fail.

    Caught where the document's readers end, and raised again there as `kind`
    with the beginning of the message.
    """

    def __init__(self, kind: Type[LpmxError], cause: str, hint: Optional[str]) -> None:
        super().__init__(cause)
        self.kind = kind
        self.hint = hint


def load_json(data: bytes) -> Any:
    """The JSON value in `data`; raises `Cause` where there is none."""
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError:
        cause = "it is nested too deeply"
    except ValueError as error:
        cause = f"it is not JSON ({error})"
    raise Cause(ImageDamaged, cause, MAKE_AGAIN)
