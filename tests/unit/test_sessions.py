"""The sessions of the tests (tests/support/sessions.py): none's failure is lost, and none's words."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent

#: Two at once, each of which has ended when the next is started, and not been waited for.
RUN = """
import os, sys
from pathlib import Path
from support import sessions

class Quick(sessions.Session):
    def start(self):
        child = super().start()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        return child

sessions.LOGS = Path(sys.argv[1])
kind, at_once = {"quick": (Quick, 2), "one by one": (sessions.Session, 1)}[sys.argv[2]]
sys.exit(sessions.Sessions([kind(f"session {number}", [sys.executable, "-c", code], {})
                            for number, code in enumerate(sys.argv[3:])], at_once).run())
"""

WAITS = """
import signal
try:
    open({!r}, "w").close()
    signal.pause()
except KeyboardInterrupt:
    print("cleared away")
"""


def start(folder: Path, how: str, *codes: str) -> "subprocess.Popen[str]":
    """Sessions that are this Python code each."""
    return subprocess.Popen([sys.executable, "-c", RUN, str(folder), how, *codes], text=True,
                            env={**os.environ, "PYTHONPATH": str(TESTS)}, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


@pytest.mark.parametrize("ends, expected", [
    (["0", "5"], 0), (["1", "0"], 1), (["0", "4"], 1), (["5", "5"], 1),
    (["__import__('os').kill(__import__('os').getpid(), 9)", "0"], 1)],
    ids=["passed", "failed", "misused", "nothing", "killed"])
def test_sessions_are_well_if_each_is_and_one_has_tests(tmp_path: Path, ends: list[str],
                                                        expected: int) -> None:
    """Whatever becomes of the others; what each has said is shown in one piece."""
    codes = [f"print('all of ' * 9000 + 'number {number}', flush=True); raise SystemExit({end})"
             for number, end in enumerate(ends)]

    sessions = start(tmp_path, "quick", *codes)
    said = sessions.communicate(timeout=60)[0]

    assert expected == sessions.returncode
    for number in range(len(ends)):
        assert "all of " * 9000 + f"number {number}\n" in said
    told = "== not well: session " in said or "== there was nothing to run\n" in said
    assert told == (expected == 1)


def test_interrupted_sessions_clear_away_what_they_have_made(tmp_path: Path) -> None:
    """That is waited for and shown; no other is started."""
    begun = tmp_path / "begun"
    os.mkfifo(begun)

    sessions = start(tmp_path, "one by one", WAITS.format(str(begun)), "print('started all the same')")
    begun.read_bytes()
    sessions.send_signal(signal.SIGINT)
    said = sessions.communicate(timeout=60)[0]

    assert 130 == sessions.returncode, said
    assert "cleared away" in said and "started all the same" not in said
