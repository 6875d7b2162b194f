"""What commands print."""
from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from lpmx_runtime.cli.output import print_table, write_out
from lpmx_runtime.progress import Note, TaskStarted, TerminalProgress


@pytest.mark.parametrize(("cell", "shown"), [
    ("\x1b[2Jgone", "\ufffd[2Jgone"), ("two\nlines", "two\ufffdlines"),
    ("caf\xe9 \u4e2d", "caf\xe9 \u4e2d"), ("no text \udcff", "no text \ufffd")])
def test_a_cell_commands_no_terminal(capsys: pytest.CaptureFixture[str], cell: str,
                                     shown: str) -> None:
    print_table(("ONE", "TWO"), [(cell, "x")])

    heading, row = capsys.readouterr().out.splitlines()
    assert shown == row[:-1].rstrip()
    assert heading.index("TWO") == row.index("x", len(shown))


def test_a_note_commands_no_terminal() -> None:
    """It quotes what anybody's file may say, and so does the name of what goes on."""
    said = io.StringIO()
    progress = TerminalProgress(said)

    progress(Note("caf\xe9 \x1b[2J\x9b2Jgone\tor\nnot"))
    progress(TaskStarted("task", "layer\r\x1b]0;title\x07", None))

    assert "caf\xe9 ?[2J?2Jgone\tor\nnot\nlayer??]0;title? ...\n" == said.getvalue()


def test_what_is_written_is_as_open_as_the_umask_says(tmp_path: Path) -> None:
    """Also into a directory that everybody may write, such as /tmp."""
    tmp_path.chmod(0o1777)
    before = os.umask(0o077)
    try:
        write_out(str(tmp_path / "file"), [b"secret"], what="the file")
    finally:
        os.umask(before)

    assert 0o600 == stat.S_IMODE((tmp_path / "file").stat().st_mode)
