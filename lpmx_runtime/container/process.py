"""Running a contained program as a child: signals in, exit code out.

The program stays in our process group, so that the terminal's own signals and the
shell's job control reach it as they reach us. What comes from the kernel we
therefore leave alone; what other processes send to us we pass on. When the program
stops, we stop, and the shell sees a stopped job; when we are continued, so is it.
A program that leads a process group of its own, as an interactive shell does, is
continued by us, for nobody else knows of it.
"""
from __future__ import annotations

import os
import signal

from ..light import TYPE_CHECKING
from .launch import Launch, cannot_start

if TYPE_CHECKING:
    import subprocess
    from typing import Any

__all__ = ["Launch", "popen", "run"]

_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1,
              signal.SIGUSR2, signal.SIGWINCH, signal.SIGALRM, signal.SIGTSTP)
_SENT_BY_KERNEL = 0x80


def popen(launch: Launch, **options: Any) -> "subprocess.Popen[Any]":
    """Start the program; `options` go to subprocess.Popen."""
    import subprocess
    try:
        return subprocess.Popen(list(launch.argv), executable=launch.executable, env=launch.env,
                                **options)
    except OSError as error:
        if error.filename not in (None, launch.executable, launch.argv[0]):
            raise  # one of the options is at fault, such as cwd
        raise cannot_start(launch, error) from error


def run(launch: Launch) -> int:
    """Run the program in the foreground and return its exit code, 128+N for signal N."""
    waited = {*_FORWARDED, signal.SIGCHLD, signal.SIGCONT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    # Children of a process that ignores SIGCHLD are gone before one can ask for their code.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        try:
            child = os.posix_spawn(launch.executable, launch.argv, launch.env, setsigmask=before,
                                   setsigdef=(signal.SIGPIPE, signal.SIGXFSZ))
        except OSError as error:
            raise cannot_start(launch, error) from error
        return _wait(child, waited)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(child: int, waited: "set[signal.Signals]") -> int:
    while True:
        info = signal.sigwaitinfo(waited)
        if info.si_signo == signal.SIGCHLD:
            # One SIGCHLD may stand for several changes.
            pid, status = os.waitpid(child, os.WUNTRACED | os.WNOHANG)
            if not pid:
                continue
            if os.WIFSTOPPED(status):
                os.kill(os.getpid(), signal.SIGSTOP)
            elif os.WIFSIGNALED(status):
                return 128 + os.WTERMSIG(status)
            else:
                return os.WEXITSTATUS(status)
        elif info.si_signo == signal.SIGCONT:
            _continue(child)
        elif info.si_code != _SENT_BY_KERNEL:
            os.kill(child, info.si_signo)


def _continue(child: int) -> None:
    """Continue the program: its group, if that is not ours, for the shell continued ours.

    One that the shell has continued is left alone: it may be about to be stopped again.
    """
    group = os.getpgid(child)
    if group != os.getpgrp():
        os.killpg(group, signal.SIGCONT)
    elif not _was_continued(child):
        os.kill(child, signal.SIGCONT)


def _was_continued(child: int) -> bool:
    try:
        return os.waitid(os.P_PID, child, os.WCONTINUED | os.WNOHANG) is not None
    except ChildProcessError:  # it has ended
        return False
