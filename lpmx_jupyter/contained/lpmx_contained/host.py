"""Programs outside the kernel, run from a cell: output as it comes, interrupts passed on."""
import codecs
import os
import selectors
import signal
import subprocess
import sys
import time
from typing import Any, List, Optional, Sequence

from . import core

TOOL = "/.lpmx/bin/lpmx"
#: How long an interrupted program gets before it is told more firmly.
_PATIENCE = ((3.0, signal.SIGTERM), (6.0, signal.SIGKILL))
#: What one that must not be hurried is told at each interrupt.
_STEPS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
#: How long to listen to what a finished program left running in the background.
_AFTERMATH = 0.2


class _Call:
    """One running program, its pipes and what was said to it."""

    def __init__(self, argv: Sequence[str], text: Optional[str], hurry: bool) -> None:
        self.hurry = hurry
        self.process = subprocess.Popen(
            list(argv), start_new_session=True,
            stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.selector = selectors.DefaultSelector()
        self.interrupted: Optional[float] = None
        self._firmness = 0
        self._left = b"" if text is None else text.encode("utf-8", "surrogateescape")
        for pipe, stream in ((self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr)):
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            self.selector.register(pipe, selectors.EVENT_READ, (stream, decoder))
        if text is not None:
            os.set_blocking(self.process.stdin.fileno(), False)
            self.selector.register(self.process.stdin, selectors.EVENT_WRITE, None)

    def signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def interrupt(self) -> None:
        """The person pressed stop: as Control-C in a terminal, then with more force."""
        if not self.hurry:
            self.interrupted = time.monotonic()
            self.signal(_STEPS[min(self._firmness, len(_STEPS) - 1)])
            self._firmness += 1
            if self._firmness < len(_STEPS):
                print("it is told to stop, and may have to finish what it does; "
                      "interrupt once more to end it", file=sys.stderr, flush=True)
        elif self.interrupted is None:
            self.interrupted = time.monotonic()
            self.signal(signal.SIGINT)
        else:
            self.signal(signal.SIGKILL)

    def insist(self) -> None:
        if not self.hurry or self.interrupted is None or self._firmness >= len(_PATIENCE):
            return
        after, number = _PATIENCE[self._firmness]
        if time.monotonic() - self.interrupted > after:
            self._firmness += 1
            self.signal(number)

    def pump(self, timeout: float) -> bool:
        """Move what can be moved; whether anything was."""
        ready = self.selector.select(timeout)
        for key, _ in ready:
            if key.data is None:
                self._feed(key.fileobj)
            else:
                self._show(key.fileobj, *key.data)
        return bool(ready)

    def _feed(self, pipe: Any) -> None:
        try:
            self._left = self._left[os.write(pipe.fileno(), self._left[:65536]):]
        except BrokenPipeError:
            self._left = b""
        if not self._left:
            self.selector.unregister(pipe)
            pipe.close()

    def _show(self, pipe: Any, stream: Any, decoder: Any) -> None:
        data = os.read(pipe.fileno(), 65536)
        text = decoder.decode(data, final=not data)
        if text:
            stream.write(text)
            stream.flush()
        if not data:
            self.selector.unregister(pipe)
            pipe.close()

    def output_open(self) -> bool:
        return any(key.data is not None for key in self.selector.get_map().values())

    def close(self) -> None:
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


def lpmx(*words: str) -> List[str]:
    """The command line of `lpmx`: the container's own, or where we are in none, the host's."""
    return [*([TOOL] if core.inside() else [sys.executable, "-m", "lpmx_runtime"]), *words]


def ask(argv: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run a program that is soon done: its exit code, and what it printed."""
    return subprocess.run(list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8", errors="replace")


def run(argv: Sequence[str], text: Optional[str] = None, hurry: bool = True) -> int:
    """Run a program and return its exit code (128+N for signal N).

    Its standard output and error go to sys.stdout and sys.stderr as they come, so
    that they appear under the cell; `text` is its standard input. An interrupt is
    passed on, and raised as KeyboardInterrupt once the program has ended; where it does
    not end by itself it is made to, unless there is no `hurry`: then by further interrupts.
    """
    call = _Call(argv, text, hurry)
    ended, interrupts = None, 0
    try:
        while True:
            try:
                while interrupts:
                    interrupts -= 1     # before: another one may come while this one is told
                    call.interrupt()
                call.insist()
                if ended is None and call.process.poll() is not None:
                    ended = time.monotonic()
                if ended is not None and not call.output_open():
                    break
                moved = call.pump(0.05 if call.output_open() else 0.02)
                if ended is not None and not moved and time.monotonic() - ended > _AFTERMATH:
                    break
            except KeyboardInterrupt:
                interrupts += 1
        code = call.process.wait()
    except BaseException:
        call.signal(signal.SIGKILL)
        call.process.wait()
        raise
    finally:
        call.close()
    code = 128 - code if code < 0 else code
    if call.interrupted is not None:
        raise Interrupted(code)
    return code


class Interrupted(KeyboardInterrupt):
    """The program was interrupted; `exit_code` is what it ended with."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code
