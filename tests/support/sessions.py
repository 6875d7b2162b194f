"""The sessions of the tests, side by side: as many at a time as there are processors.

    python3 -m support.sessions --pytest COMMAND [--user NAME] [TEST...]

Run in the checkout that is tested. As root there is a session of the tests marked `root`,
and the others run as the user NAME. What a session says is shown when it has ended, and
until then is in .cache/sessions. Exits 0 if none has a failure.
"""
from __future__ import annotations

import argparse
import grp
import os
import pwd
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence

#: The parts of the confined session that are sessions of their own, the longest first;
#: the last session has what is in none of them.
APART = ("tests/jupyter", "tests/union", "tests/programs", "tests/images")
LOGS = Path(".cache", "sessions")
#: How pytest ends when all passed, and when there was nothing to run.
PASSED, NOTHING = 0, 5


@dataclass
class Session:
    """One run of pytest: its command, and as whom (options of Popen)."""

    name: str
    command: Sequence[str]
    account: Dict[str, Any]

    @property
    def log(self) -> Path:
        return LOGS / f"{self.name.replace(' ', '-').replace('/', '-')}.log"

    def start(self) -> "subprocess.Popen[bytes]":
        with open(self.log, "wb") as log:
            return subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=subprocess.STDOUT, **self.account)

    def show(self, code: int, seconds: float) -> None:
        print(f"== {self.name}: exit status {code} after {seconds:.0f} s", flush=True)
        sys.stdout.buffer.write(self.log.read_bytes())
        sys.stdout.flush()


def own_account() -> Dict[str, Any]:
    """A session as the caller, but without what finds this module: what is installed is tested."""
    return {"env": {name: value for name, value in os.environ.items()
                    if name not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}}


def account(name: str) -> Dict[str, Any]:
    """A session as another user."""
    user = pwd.getpwnam(name)
    groups = [group.gr_gid for group in grp.getgrall() if name in group.gr_mem]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups,
            "env": {**own_account()["env"], "HOME": user.pw_dir, "USER": name, "LOGNAME": name}}


def wanted(pytest: Sequence[str], tests: Sequence[str], user: Dict[str, Any]) -> List[Session]:
    """The sessions, those first that take longest."""
    pytest = [*pytest, "-p", "no:cacheprovider"]
    confined = [sys.executable, "tests/support/nopriv.py", "--kill", *pytest]
    found = [Session("unconfined", [*pytest, "-m", "unconfined", *tests], user)]
    if tests:
        found.append(Session("confined", [*confined, *tests], user))
    else:
        found += [Session(f"confined {part}", [*confined, part], user) for part in APART]
        found.append(Session("confined others",
                             [*confined, *(f"--ignore={part}" for part in APART)], user))
    if os.getuid() == 0:
        found.insert(2, Session("root", [*pytest, *tests], own_account()))
    return found


def run(waiting: List[Session], at_once: int) -> bool:
    """Run them all; whether all is well."""
    well = True
    running: Dict[int, Any] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            session = waiting.pop(0)
            print(f"== {session.name}: started; it writes to {session.log}", flush=True)
            running[session.start().pid] = (session, time.monotonic())
        pid, status = os.wait()
        session, since = running.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        session.show(code, time.monotonic() - since)
        well = well and code in (PASSED, NOTHING)
    return well


def main() -> int:
    reader = argparse.ArgumentParser()
    reader.add_argument("--pytest", required=True)
    reader.add_argument("--user")
    reader.add_argument("tests", nargs="*")
    given = reader.parse_args()
    user = account(given.user) if given.user else own_account()
    LOGS.mkdir(parents=True, exist_ok=True)
    if given.user:
        for place in (LOGS.parent, LOGS):
            os.chown(place, user["user"], user["group"])
    sessions = wanted(shlex.split(given.pytest), given.tests, user)
    return 0 if run(sessions, os.cpu_count() or 1) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # those of the terminal's group have it, too, and end
        sys.exit(130)
