"""Running a contained program as a child: signals in, exit code out."""
from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from typing import Any, Optional

from ..errors import RunFailed

#: Forwarded to the program. Those a terminal sends reach it directly.
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1,
              signal.SIGUSR2, signal.SIGWINCH, signal.SIGALRM)
_SENT_BY_KERNEL = 0x80


@dataclass(frozen=True)
class Launch:
    """What to execute for a contained program to start."""

    executable: str
    argv: tuple[str, ...]
    env: dict[str, str]

    def exec(self) -> None:
        """Become the program; returns only by raising OSError."""
        os.execve(self.executable, list(self.argv), self.env)


def popen(launch: Launch, **options: Any) -> "subprocess.Popen[Any]":
    """Start the program; `options` go to subprocess.Popen."""
    try:
        return subprocess.Popen(list(launch.argv), executable=launch.executable, env=launch.env,
                                **options)
    except OSError as error:
        raise RunFailed(f'cannot start the loader "{launch.executable}": '
                        f"{os.strerror(error.errno or 0).lower()}",
                        hint='run "lpmx check"; the installation must be on a file system '
                             "from which programs can be executed") from error


def run(launch: Launch, *, stdin: Optional[int] = None) -> int:
    """Run the program in the foreground and return its exit code, 128+N for signal N.

    The program stays in our process group, so the terminal's own signals and job
    control reach it as they reach us; what others send to us is passed on.
    """
    waited = set(_FORWARDED) | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    try:
        child = popen(launch, stdin=stdin,
                      preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before))
        while child.poll() is None:
            info = signal.sigwaitinfo(waited)
            if info.si_signo == signal.SIGCHLD or info.si_code == _SENT_BY_KERNEL:
                continue
            if child.poll() is None:
                child.send_signal(info.si_signo)
        code = child.returncode
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return 128 - code if code < 0 else code
