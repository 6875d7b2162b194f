"""Programs on a terminal: control characters, jobs, the window's size, shells in shells.

Each test types at a real bash on a pseudo-terminal, as a person would.
"""
from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import termios
import time

import pytest

PROMPT = "<outside>"
PATIENCE = 30


class Terminal:
    """A shell on a terminal of its own: `type`, then `expect` what appears."""

    def __init__(self, argv, env):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if not self.pid:
            try:
                os.execve(argv[0], argv, env)
            finally:
                os._exit(127)

    def type(self, text):
        os.write(self.fd, text.encode())

    def line(self, text):
        self.type(text + "\n")

    def expect(self, pattern):
        """Wait until `pattern` appears; what was before it and the match are used up."""
        end = time.monotonic() + PATIENCE
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not ready:
                pytest.fail(f"{pattern!r} did not appear; there was {self.seen!r}")
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                pytest.fail(f"the terminal closed before {pattern!r}; there was {self.seen!r}")
            self.seen += data.decode("utf-8", "replace")

    def code(self):
        """The exit code of the last command."""
        self.line("echo code $?")
        found = self.expect(r"\ncode (\d+)\r\n" + PROMPT)
        return int(found.group(1))

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self):
        os.close(self.fd)
        for _ in range(100):
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return
            time.sleep(0.05)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal(loaded, installed):
    """A shell whose $RUN and $EXEC run something in a container of the tiny image."""
    image = loaded("tiny")
    bash = shutil.which("bash")
    env = {**os.environ, "LPMX_STORE": str(loaded.path), "PS1": PROMPT, "TERM": "xterm",
           "RUN": f"{installed.lpmx} run {image}", "EXEC": f"{installed.lpmx} exec terminal",
           "LPMX": str(installed.lpmx)}
    terminal = Terminal([bash, "--norc", "--noprofile", "-i"], env)
    terminal.line(f"bind 'set enable-bracketed-paste off' 2>/dev/null; $LPMX create --name terminal {image} >/dev/null; echo made")
    terminal.expect("made\r\n" + PROMPT)
    yield terminal
    terminal.line("")
    terminal.line("$LPMX rm -f terminal; echo all-$((1+1))gone")
    terminal.expect("all-2gone")
    terminal.line("exit")
    terminal.close()


BOTH = pytest.mark.parametrize("how", ["$RUN", "$EXEC"])


@BOTH
def test_program_is_on_the_terminal(terminal, how):
    """It is a terminal, of the size that the window has."""
    terminal.resize(33, 77)

    terminal.line(f"{how} sh -c 'test -t 0 && test -t 1 && test -t 2 && stty size'")

    terminal.expect("\n33 77\r\n" + PROMPT)


@BOTH
def test_interrupt_ends_the_program(terminal, how):
    """Ctrl-C: the program dies of SIGINT, and lpmx with its code."""
    terminal.line(f"{how} sh -c 'echo star''ted; exec sleep 1000'")
    terminal.expect("started\r\n")

    terminal.type("\x03")

    terminal.expect(PROMPT)
    assert 130 == terminal.code()


@BOTH
def test_interrupt_that_the_program_handles_is_handled(terminal, how):
    """Nothing of ours dies in its place."""
    terminal.line(f"{how} sh -c 'trap \"echo caught; exit 5\" INT; echo star''ted; "
                  "while :; do read -t 1 x; done'")
    terminal.expect("started\r\n")

    terminal.type("\x03")

    terminal.expect("caught\r\n")
    terminal.expect(PROMPT)
    assert 5 == terminal.code()


@BOTH
def test_quit_and_end_of_file_reach_the_program(terminal, how):
    """Ctrl-\\ and Ctrl-D."""
    terminal.line(f"{how} sh -c 'echo star''ted; exec sleep 1000'")
    terminal.expect("started\r\n")
    time.sleep(0.5)  # a shell takes no notice of it; the program that follows does
    terminal.type("\x1c")
    terminal.expect(PROMPT)
    assert 131 == terminal.code()

    terminal.line(f"{how} sh -c 'echo star''ted; exec cat'")
    terminal.expect("started\r\n")
    terminal.line("typed")
    terminal.expect("typed\r\ntyped\r\n")
    terminal.type("\x04")
    terminal.expect(PROMPT)


@BOTH
def test_program_is_a_job_of_the_shell(terminal, how):
    """Ctrl-Z stops it, fg continues it, bg lets it run in the background."""
    terminal.line(f"{how} sh -c 'echo star''ted; exec cat'")
    terminal.expect("started\r\n")

    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect(PROMPT)
    terminal.line("echo outside-$((40+2))")
    terminal.expect("outside-42\r\n" + PROMPT)
    terminal.line("fg")
    terminal.expect("cat.*\r\n")
    terminal.line("inside")
    terminal.expect("inside\r\ninside\r\n")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect(PROMPT)
    terminal.line("bg")
    terminal.expect(PROMPT)
    # It reads, and is stopped for that; a shell's `read` may only ask whether it could. A stop
    # that came after "fg" would count there.
    terminal.line("until jobs | grep -q Stopped; do :; done; echo at-re''st")
    terminal.expect("at-rest\r\n" + PROMPT)
    terminal.line("fg")
    terminal.expect("fg\r\n.*cat.*\r\n")
    terminal.type("\x04")
    terminal.expect(PROMPT)
    assert 0 == terminal.code()


@BOTH
def test_program_that_handles_the_stop_stops_when_it_likes(terminal, how):
    """An editor puts the terminal in order first; nobody may take the terminal before."""
    script = ("trap \"sleep 0.3; echo tidied; trap - TSTP; kill -TSTP $$; echo back\" TSTP; "
              "echo star''ted; while :; do read -t 1 x; done")  # a child would be stopped, too
    terminal.line(f"{how} sh -c '{script}'")
    terminal.expect("started\r\n")

    terminal.type("\x1a")

    terminal.expect("tidied\r\n")
    terminal.expect("Stopped")
    terminal.expect(PROMPT)
    terminal.line("fg")
    terminal.expect("back\r\n")
    terminal.type("\x03")
    terminal.expect(PROMPT)


@BOTH
def test_new_size_of_the_window_is_told(terminal, how):
    """SIGWINCH reaches the program, and it sees the new size."""
    terminal.resize(20, 60)
    terminal.line(f"{how} sh -c 'trap \"stty size\" WINCH; echo star''ted; "
                  "while :; do read -t 1 x; done'")
    terminal.expect("started\r\n")

    terminal.resize(50, 132)

    terminal.expect("50 132\r\n")
    terminal.type("\x03")
    terminal.expect(PROMPT)


@BOTH
def test_shell_inside_has_jobs_of_its_own(terminal, how):
    """Ctrl-Z in it stops its program and not it."""
    terminal.line(f"PS1='<in''side>' {how} env PS1='<in''side>' sh")
    terminal.expect("<inside>")

    terminal.line("sleep 1000")
    time.sleep(0.3)
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect("<inside>")
    terminal.line("fg")
    terminal.expect("fg\r\nsleep 1000\r\n")
    time.sleep(0.3)
    terminal.type("\x03")
    terminal.expect("<inside>")
    terminal.line("exit 4")

    terminal.expect(PROMPT)
    assert 4 == terminal.code()


@pytest.mark.parametrize("place", ["host", "terminal2"])
def test_linked_program_is_a_job_of_the_shell_inside(terminal, place):
    """Of the host or of another container: the same terminal, Ctrl-Z, fg, Ctrl-D, Ctrl-C."""
    terminal.line("$LPMX create --name terminal2 ${RUN##* } >/dev/null; "
                  f"$LPMX link terminal far={place}:/bin/sh >/dev/null; echo link''ed")
    terminal.expect("linked\r\n" + PROMPT)
    terminal.line("PS1='<in''side>' $EXEC env PS1='<in''side>' sh")
    terminal.expect("<inside>")

    terminal.line("far -c 'test -t 0 && test -t 2 && echo star''ted; exec cat'")
    terminal.expect("started\r\n")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect("<inside>")
    terminal.line("fg")
    terminal.expect("fg\r\n.*\r\n")
    terminal.line("typed")
    terminal.expect("typed\r\ntyped\r\n")
    terminal.type("\x04")
    terminal.expect("<inside>")
    terminal.line("far -c 'trap \"echo caught; exit 5\" INT; echo star''ted; while :; do read x; done'; "
                  "echo code $?")
    terminal.expect("started\r\n")
    terminal.type("\x03")
    terminal.expect("caught\r\n")
    terminal.expect("code 5\r\n<inside>")

    terminal.line("exit 4")
    terminal.expect(PROMPT)
    assert 4 == terminal.code()
    terminal.line("$LPMX rm -f terminal2; echo gone")
    terminal.expect("gone\r\n")


@BOTH
def test_program_in_the_background_is_stopped_when_it_reads(terminal, how):
    """The terminal belongs to the foreground; fg gives it over."""
    terminal.line(f"{how} sh -c 'read x; echo got-$x' &")
    terminal.expect(PROMPT)
    for _ in range(100):
        terminal.line("jobs")
        if "Stopped" in terminal.expect(r"(Stopped|Running).*\n").group():
            break
        time.sleep(0.1)

    terminal.expect(PROMPT)
    terminal.line("fg")
    terminal.expect("got-.*\r\n")
    terminal.line("answer")

    terminal.expect("got-answer\r\n")
    terminal.expect(PROMPT)
