"""`%lpmx` and `%%lpmx`: the container, steered from a cell."""
from __future__ import annotations

import errno
import html
import shlex
from typing import Any, Dict, List, Optional

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class

from . import core, host, info
from .environment import LiveEnvironment

HELP = """%lpmx env set NAME=VALUE...   change variables for everything that runs in the container
%lpmx env unset NAME...       take variables away
%lpmx env list                what was changed while the container ran
%lpmx host COMMAND [ARG...]   run a program of the host; its exit code goes to _exit_code
%%lpmx host [COMMAND...]      the same with the cell as its input; without a command, sh runs the cell
%lpmx info                    which container, image and kernel this is"""

#: Variables that a program reads once, when it starts.
_READ_AT_START = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONHOME")


class Table(Dict[str, Any]):
    """A dictionary that shows itself as a table."""

    empty = "nothing"

    def __repr__(self) -> str:
        if not self:
            return self.empty
        width = max(map(len, self))
        return "\n".join(f"{name:<{width}}  {self._shown(value)}" for name, value in self.items())

    def _repr_html_(self) -> str:
        if not self:
            return html.escape(self.empty)
        rows = "".join(f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
                       f"<td style='text-align:left'>{html.escape(self._shown(value))}</td></tr>"
                       for name, value in self.items())
        return f"<table>{rows}</table>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    @staticmethod
    def _shown(value: Any) -> str:
        return "(unset)" if value is None else str(value)


class Variables(Table):
    """Live variables."""

    empty = "no variable was changed while the container ran"


@magics_class
class LpmxMagics(Magics):
    """The magic, bound to one kernel."""

    def __init__(self, shell: Any, live: LiveEnvironment) -> None:
        super().__init__(shell)
        self.live = live

    @line_cell_magic
    def lpmx(self, line: str, cell: Optional[str] = None) -> Any:
        """Steer the container this kernel runs in: `%lpmx --help`."""
        command, _, rest = line.strip().partition(" ")
        if command in ("", "help", "-h", "--help"):
            print(HELP)
            return None
        work = {"env": self._env, "host": self._host, "info": self._info}.get(command)
        if work is None:
            raise UsageError(f'cannot run "%lpmx {command}": there is no such command\n'
                             "hint: %lpmx --help lists them")
        if cell is not None and command != "host":
            raise UsageError(f'cannot run "%%lpmx {command}": it takes no cell\n'
                             f"hint: write %lpmx {command}, with one percent sign")
        try:
            return work(_words(rest), cell)
        except core.NotContained:
            raise UsageError("cannot ask the container: this kernel does not run in one\n"
                             'hint: choose a kernel named "LPMX: ..."') from None

    # -- commands

    def _env(self, words: List[str], _cell: Optional[str]) -> Optional[Variables]:
        if words[:1] == ["list"] and len(words) == 1:
            return Variables(sorted(core.environment().items()))
        if words[:1] == ["set"] and len(words) > 1:
            for pair in words[1:]:
                name, equals, value = pair.partition("=")
                if not equals or not name:
                    raise UsageError(f'cannot set "{pair}": it is not NAME=VALUE\n'
                                     "hint: write, for example, %lpmx env set OMP_NUM_THREADS=4")
                self._change(name, value)
            return None
        if words[:1] == ["unset"] and len(words) > 1:
            for name in words[1:]:
                self._change(name, None)
            return None
        raise UsageError("cannot change the environment: say set NAME=VALUE, unset NAME or list\n"
                         "hint: %lpmx --help")

    def _change(self, name: str, value: Optional[str]) -> None:
        verb = "unset" if value is None else "set"
        try:
            if value is None:
                self.live.unset(name)
            else:
                self.live.set(name, value)
        except core.NotContained:
            raise
        except (OSError, ValueError) as error:
            number = getattr(error, "errno", errno.EINVAL)
            cause = ("that cannot be the name of a variable" if number == errno.EINVAL else
                     "the container has no room for more changes" if number == errno.ENOSPC else
                     str(error))
            raise UsageError(f'cannot {verb} "{name}": {cause}\n'
                             "hint: use letters, digits and underscores, and not LPMX_ in front") from None
        if name in _READ_AT_START:
            print(f"{name} is read when a program starts: programs started from now on see it, "
                  "this kernel after a restart")

    def _host(self, words: List[str], cell: Optional[str]) -> None:
        if not words and cell is None:
            raise UsageError("cannot run a program of the host: none was named\n"
                             "hint: write %lpmx host COMMAND, or a script in a %%lpmx host cell")
        core.name()  # outside a container the tool is not there either
        try:
            code = host.run(words or ["sh"], cell)
        except host.Interrupted as interrupt:
            self.shell.user_ns["_exit_code"] = interrupt.exit_code
            raise KeyboardInterrupt from None
        self.shell.user_ns["_exit_code"] = code

    def _info(self, words: List[str], _cell: Optional[str]) -> Table:
        if words:
            raise UsageError('cannot understand "%lpmx info": it takes no arguments\n'
                             "hint: %lpmx --help")
        return Table(info.facts())


def _words(text: str) -> List[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"cannot read the arguments: {str(error).lower()}\n"
                         "hint: quote as you would for a shell") from None
