"""The sessions of the tests (tests/support/sessions.py): none's failure is lost, and none's words."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import leftovers

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
import shutil
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


#: As pytest, for the sessions: waits until it is told to end, and takes its time to clear away.
PYTEST = """#!{python}
import os, signal, sys
try:
    open({begun!r} + str("unconfined" in sys.argv), "w").close()
    signal.pause()
except KeyboardInterrupt:
    print("cleared away")
"""


@pytest.mark.parametrize("target", ["sessions", "soak"])
def test_make_that_is_ended_ends_the_sessions(tmp_path: Path, target: str) -> None:
    """make tells only what it has started itself, and so must they all; it waits for that."""
    checkout = tmp_path / "checkout"
    shutil.copytree(TESTS / "support", checkout / "tests/support",
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TESTS.parent / "Makefile", checkout)
    (checkout / "docs/reference").mkdir(parents=True)
    pytest_ = tmp_path / "pytest"
    pytest_.write_text(PYTEST.format(python=sys.executable, begun=str(tmp_path / "begun")))
    pytest_.chmod(0o755)
    for which in (True, False):
        os.mkfifo(f"{tmp_path}/begun{which}")

    # what is before the sessions has been made, and what they need is there
    make = subprocess.Popen(
        ["make", "-C", str(checkout), target, f"PYTEST={pytest_}", "TESTS=tests/unit",
         "MAKE=make -o set-up", "TEST_PACKAGES=", "SOAK_PACKAGES="],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env={name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")})
    try:
        for which in (True, False):
            (tmp_path / f"begun{which}").read_bytes()
        make.terminate()
        said = make.communicate(timeout=60)[0]  # when nobody has its output any more
    finally:
        leftovers.end([tmp_path])

    assert make.returncode, said
    assert 2 == said.count("cleared away"), said


def test_session_that_is_ended_clears_away(tmp_path: Path) -> None:
    """SIGTERM is to a session what Ctrl-C is: its fixtures come to their ends."""
    (tmp_path / "conftest.py").symlink_to(TESTS / "conftest.py")
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {TESTS}\n")
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    (tmp_path / "test_it.py").write_text(
        "import signal, pytest\n"
        "@pytest.fixture\ndef thing():\n    yield\n    print('cleared away')\n"
        f"def test(thing):\n    open({str(begun)!r}, 'w').close()\n    signal.pause()\n")

    session = subprocess.Popen([str(Path(sys.executable).parent / "pytest"), "-p", "no:cacheprovider", "-s",
                                str(tmp_path)], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    begun.read_bytes()
    session.terminate()
    said = session.communicate(timeout=60)[0]

    assert 2 == session.returncode, said
    assert "cleared away" in said


def test_what_is_left_is_ended(tmp_path: Path) -> None:
    """Whatever uses something of the session's directories does not outlive it."""
    left = subprocess.Popen(["sh", "-c", "echo begun; read line"], cwd=tmp_path,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert left.stdout is not None and b"begun\n" == left.stdout.readline()
        assert {left.pid: "sh -c echo begun; read line"} == leftovers.processes([tmp_path])

        leftovers.end([tmp_path])

        assert -signal.SIGKILL == left.wait(timeout=60)
        assert [] == leftovers.wait_for_none([tmp_path])
    finally:
        left.kill()
        left.communicate()
