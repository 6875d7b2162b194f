"""The sessions of the tests, side by side: as many at a time as there are processors for them.

    python3 -m support.sessions --pytest COMMAND [--user NAME] [TEST...]

Run in the checkout that is tested. As root there is a session of the tests marked `root`,
and the others run as the user NAME, who gets what root has made in the checkout. What a
session says is shown when it has ended, and until then is in .cache/sessions. Exits 0 if none
has a failure and one has tests.

Ctrl-C, and SIGTERM, end them all as they end one: each clears away what it has made, which is
waited for.
"""
from __future__ import annotations

import argparse
import grp
import os
import pwd
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

#: The parts of the confined session that are sessions of their own, the longest first;
#: the last session has what is in none of them.
APART = ("tests/jupyter", "tests/union", "tests/programs", "tests/images")
LOGS = Path(".cache", "sessions")
#: How pytest ends when all passed, and when there was nothing to run.
PASSED, NOTHING = 0, 5
INTERRUPTED = 130


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
                                    stderr=subprocess.STDOUT, start_new_session=True,
                                    **self.account)

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


class Sessions:
    """Sessions that wait, those that run, and how the others ended."""

    def __init__(self, waiting: Sequence[Session], at_once: int) -> None:
        self.waiting = list(waiting)
        self.at_once = at_once
        self.running: Dict[int, Tuple[Session, "subprocess.Popen[bytes]", float]] = {}
        self.codes: Dict[str, int] = {}
        self.interrupted = False

    def run(self) -> int:
        """Run them all; the exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup
                signal.signal(number, self.interrupt)
        while self.running or self.waiting and not self.interrupted:
            if self.waiting and len(self.running) < self.at_once and not self.interrupted:
                self.start(self.waiting.pop(0))
            else:
                self.wait()
        if self.interrupted:
            return INTERRUPTED
        failed = [name for name, code in self.codes.items() if code not in (PASSED, NOTHING)]
        if failed:
            print(f"== not well: {', '.join(failed)}", flush=True)
        elif PASSED not in self.codes.values():
            print("== there was nothing to run", flush=True)
        return 0 if not failed and PASSED in self.codes.values() else 1

    def start(self, session: Session) -> None:
        print(f"== {session.name}: started; it writes to {session.log}", flush=True)
        child = session.start()
        late = self.interrupted
        # kept: of children that nobody has any more, subprocess itself takes the status
        self.running[child.pid] = (session, child, time.monotonic())
        if late:
            os.killpg(child.pid, signal.SIGINT)

    def wait(self) -> None:
        """Until one of them has ended."""
        pid, status = os.wait()
        session, child, since = self.running.pop(pid)
        code = child.returncode = self.codes[session.name] = os.waitstatus_to_exitcode(status)
        session.show(code, time.monotonic() - since)

    def interrupt(self, number: int, frame: Any) -> None:
        """Start no more; those that run are no part of the terminal's group, and are told here."""
        self.interrupted = True
        for pid in list(self.running):
            try:
                os.killpg(pid, signal.SIGINT)
            except ProcessLookupError:
                pass  # it has just ended


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
    found = wanted(shlex.split(given.pytest), given.tests, user)
    try:
        return Sessions(found, len(os.sched_getaffinity(0))).run()
    finally:
        if given.user:
            subprocess.run(["find", ".", "-user", "root", "-exec", "chown", "-h", given.user, "{}", "+"],
                           check=False)


if __name__ == "__main__":
    sys.exit(main())
