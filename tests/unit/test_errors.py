"""What all errors of ours have."""
from __future__ import annotations

import inspect

import pytest

from lpmx_runtime import errors
from lpmx_runtime.errors import LpmxError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)
         if issubclass(kind, LpmxError)]


def test_every_kind_has_a_code_of_its_own() -> None:
    """Scripts and HTTP tell them apart by it; the exit code is never that of success."""
    codes = [kind.code for kind in KINDS]

    assert sorted(set(codes)) == sorted(codes)
    assert all(kind.exit_code for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_keeps_message_and_hint(kind: type[LpmxError]) -> None:
    """Lines and tabs are text."""
    error = kind("cannot do it: so\n\tand so", hint="try ü")

    assert ("cannot do it: so\n\tand so", "try ü") == (str(error), error.hint)
    assert kind("cannot do it: so").hint is None


def test_a_message_cannot_command_a_terminal() -> None:
    """Names in it may be anybody's: a registry's tag, a file in an archive."""
    error = LpmxError("cannot do it: \x1b]0;title\x07 \x9b31m\r", hint="has \x1b[2J")

    assert "cannot do it: ?]0;title? ?31m?" == error.message
    assert "has ?[2J" == error.hint
