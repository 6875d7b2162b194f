"""What commands print."""
from __future__ import annotations

import pytest

from lpmx_runtime.cli.output import print_table


@pytest.mark.parametrize(("cell", "shown"), [
    ("\x1b[2Jgone", "\ufffd[2Jgone"), ("two\nlines", "two\ufffdlines"),
    ("caf\xe9 \u4e2d", "caf\xe9 \u4e2d"), ("no text \udcff", "no text \ufffd")])
def test_a_cell_commands_no_terminal(capsys: pytest.CaptureFixture[str], cell: str,
                                     shown: str) -> None:
    print_table(("ONE", "TWO"), [(cell, "x")])

    heading, row = capsys.readouterr().out.splitlines()
    assert shown == row[:-1].rstrip()
    assert heading.index("TWO") == row.index("x", len(shown))
