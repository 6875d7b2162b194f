"""`.env` files."""
from __future__ import annotations

import pytest
from lpmx_runtime.container import dotenv
from lpmx_runtime.errors import InvalidSetting


@pytest.mark.parametrize("text,value", [
    ("A=1", "1"),
    ("A=", ""),
    ("  export\tA = two words  # a comment", "two words"),
    ("A=a#b", "a#b"),
    ("A=#b", ""),
    ("A=x=y", "x=y"),
    ("A='$HOME # \\n'", "$HOME # \\n"),
    ('A="a \\"b\\"\\n\\tc \\$ \\\\ \\x" # more', 'a "b"\n\tc $ \\ \\x'),
    ('A="one\ntwo"', "one\ntwo"),
    ("A='one\ntwo'\n", "one\ntwo"),
    ('A="one\\\ntwo"', "onetwo"),
    ("A=1\r\nB=2\r\n", "1"),
    ("\ufeff# first\n\nA=1", "1"),
    ("A=1\nA=2", "2"),
    ("A=ü", "ü"),
])
def test_value_is_what_a_shell_would_read(text: str, value: str) -> None:
    """Quotes, comments, escapes and several lines; nothing is expanded."""
    assert value == dotenv.parse(text, "f")["A"]


@pytest.mark.parametrize("text,place", [
    ("no", "line 1: it is not NAME=VALUE"),
    ("A=1\n1B=2", "line 2: it is not NAME=VALUE"),
    ("A=1\n\n# c\nB='x", "line 4: its quote has no end"),
    ('A="x" y', "line 1: something follows its quote"),
    ('A="x\ny"\nB', "line 3: it is not NAME=VALUE"),
    ("A=\0", "line 1: there is a NUL byte in it"),
])
def test_line_that_is_none_is_named(text: str, place: str) -> None:
    """The first one, by its number."""
    with pytest.raises(InvalidSetting) as refused:
        dotenv.parse(text, "my.env")
    assert f'cannot read the variables in "my.env": {place}' == str(refused.value)
