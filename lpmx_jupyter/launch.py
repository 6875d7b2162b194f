"""A kernel in a container, started by its argv alone: `python -m lpmx_jupyter.launch`.

For front ends that ignore provisioners, such as VS Code. They start this process,
signal it and wait for it as if it were the kernel. So the signals it gets go to the
kernel, its end is the kernel's end, and should it be killed the kernel is killed by
the system; what is then left is cleared away when the next kernel starts.
"""
from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import uuid
from typing import Optional, Sequence

from lpmx_runtime.cli.parsing import Parser
from lpmx_runtime.container import process, signals
from lpmx_runtime.errors import LpmxError

from .commands import add_settings, settings_of
from .session import KernelSession, variables_for

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
              signal.SIGUSR2)
_PR_SET_PDEATHSIG = 1


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run a kernel from its start to its end; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments, more = _parser().parse_known_args(words)
    try:
        return _run(arguments, more)
    except LpmxError as error:
        print(f"lpmx: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m lpmx_jupyter.launch", allow_abbrev=False)
    parser.add_argument("-f", dest="connection_file", metavar="FILE", required=True,
                        help="the connection file")
    parser.add_argument("--image", metavar="IMAGE", default="", help="an image of the store")
    parser.add_argument("--kernel", metavar="NAME", default="", help="one of its kernels")
    add_settings(parser)
    return parser


def _run(arguments: argparse.Namespace, more: Sequence[str]) -> int:
    held = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    session = KernelSession.begin(settings_of(arguments),  # type: ignore[arg-type]
                                  kernel_id=uuid.uuid4().hex, folder=os.getcwd())
    try:
        connection_file = os.path.abspath(arguments.connection_file)
        launch = session.launch(session.kernel(), connection_file, arguments=more,
                                env={**variables_for(os.environ, ()),
                                     "JPY_PARENT_PID": str(os.getpid())})
        if session.warning:
            print(f"lpmx: {session.warning}", file=sys.stderr, flush=True)
        return _wait(launch, held)
    finally:
        session.leave()


def _wait(launch: process.Launch, held: "set[int | signal.Signals]") -> int:
    """Start the program and see to it until it ends: its exit code, 128+N for signal N."""
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def begin() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)

    waited = {*_FORWARDED, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    # A group of its own: a signal to ours must not reach it twice.
    child = process.popen(launch, start_new_session=True, preexec_fn=begin)
    while child.poll() is None:
        info = signal.sigwaitinfo(waited)
        if info.si_signo != signal.SIGCHLD and child.poll() is None:
            signals.to_group(child.pid, child.pid, info.si_signo)
    return 128 - child.returncode if child.returncode < 0 else child.returncode


if __name__ == "__main__":
    sys.exit(main())
