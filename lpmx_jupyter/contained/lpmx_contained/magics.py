"""`%lpmx` and `%%lpmx`: the container, steered from a cell."""
import errno
import json
import shlex
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class

from . import core, host, info
from .environment import LiveEnvironment
from .tables import Rows, Table, Variables

HELP = """Variables of everything that runs in the container, changed at once:
%lpmx env set NAME=VALUE...       give variables a value
%lpmx env unset NAME...           take variables away
%lpmx env load FILE               give the values in a .env file
%lpmx env list                    what was changed while the container ran
%lpmx env history                 each change, with its time

Programs elsewhere; their exit code goes to _exit_code, an interrupt goes to them:
%lpmx host COMMAND [ARG...]       run a program of the host
%lpmx call CONTAINER COMMAND...   run a program in another container
%lpmx run IMAGE COMMAND...        run a program in a new container of an image
%%lpmx host [COMMAND...]          the same with the cell as its input; without a command, sh
                                  runs the cell (so %%lpmx call and %%lpmx run, which need one)

This container and others:
%lpmx link NAME=host:PROGRAM      a program of the host under a name in here, for all who run here
%lpmx link NAME=CONTAINER:PROGRAM the same of another container
%lpmx unlink NAME, %lpmx links    take such a name away, list them
%lpmx expose PROGRAM              a command of the host that runs a program in here
%lpmx unexpose NAME, %lpmx exposed
%lpmx install PACKAGE...           install packages by the image's package manager
%lpmx commit NAME                 make an image of this container
%lpmx ps                          containers, and what runs in them
%lpmx images                      images
%lpmx gpu                         GPUs and their driver libraries
%lpmx info                        which container, image and kernel this is

%lpmx COMMAND --help explains install, link, expose, commit, run, ps and gpu."""

#: Variables that a program reads once, when it starts.
_READ_AT_START = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONHOME")
_ENV_ACTIONS = ("set", "unset", "load", "list", "history")

#: Lists: the columns of each, of the objects that `lpmx COMMAND --json` prints.
_LISTS: Dict[str, Tuple[str, ...]] = {
    "ps": ("name", "image", "processes"),
    "links": ("name", "target", "path"),
    "exposed": ("name", "program", "path"),
    "images": ("familiar", "digest"),
}
#: Commands about this container, whose name comes first, and others that are the host's.
_OWN = ("link", "unlink", "links", "expose", "unexpose", "exposed", "commit")
_TOLD = ("link", "unlink", "expose", "unexpose", "commit")


@magics_class
class LpmxMagics(Magics):
    """The magic, bound to one kernel."""

    def __init__(self, shell: Any, live: LiveEnvironment) -> None:
        super().__init__(shell)
        self.live = live
        self.commands: Dict[str, Callable[[str, List[str], Optional[str]], Any]] = {
            "env": self._env, "host": self._host, "call": self._elsewhere, "run": self._elsewhere,
            "info": self._info, "gpu": self._plain, "install": self._install}
        self.commands.update({name: self._list for name in _LISTS})
        self.commands.update({name: self._told for name in _TOLD})

    @line_cell_magic
    def lpmx(self, line: str, cell: Optional[str] = None) -> Any:
        """Steer the container this kernel runs in: `%lpmx --help`."""
        command, _, rest = line.strip().partition(" ")
        if command in ("", "help", "-h", "--help"):
            print(HELP)
            return None
        work = self.commands.get(command)
        if work is None:
            raise UsageError(f'cannot run "%lpmx {command}": there is no such command\n'
                             "hint: %lpmx --help lists them")
        if cell is not None and command not in ("host", "call", "run"):
            raise UsageError(f'cannot run "%%lpmx {command}": it takes no cell\n'
                             f"hint: write %lpmx {command}, with one percent sign")
        try:
            return work(command, _words(rest), cell)
        except core.NotContained:
            raise UsageError("cannot ask the container: this kernel does not run in one\n"
                             'hint: choose a kernel named "LPMX: ..."') from None

    # -- variables

    def _env(self, _command: str, words: List[str], _cell: Optional[str]) -> Any:
        action, rest = (words or [""])[0], words[1:]
        if action == "list" and not rest:
            return Variables(sorted(core.environment().items()))
        if action == "history" and not rest:
            core.name()  # outside a container there is none
            changes = self._json("env", "history")
            for change in changes:
                change["when"] = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(change["time"]))
            return Rows(changes, ("when", "pid", "name", "value"),
                        "no variable was changed while the container ran")
        if action == "load" and len(rest) == 1:
            self._load(rest[0])
            return None
        if action == "set" and rest:
            for pair in rest:
                name, equals, value = pair.partition("=")
                if not equals or not name:
                    raise UsageError(f'cannot set "{pair}": it is not NAME=VALUE\n'
                                     "hint: write, for example, %lpmx env set OMP_NUM_THREADS=4")
                self._change(name, value)
            return None
        if action == "unset" and rest:
            for name in rest:
                self._change(name, None)
            return None
        raise UsageError("cannot change the environment: say set NAME=VALUE, unset NAME, load FILE, "
                         "list or history\nhint: %lpmx --help")

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

    def _load(self, path: str) -> None:
        core.name()  # outside a container there is nothing to change
        # The container's command opens the file, which the host may not see.
        names = self._ask(host.lpmx("env", "load", path)).split()
        self.live.take(names)
        print(" ".join(names))

    # -- programs elsewhere

    def _host(self, _command: str, words: List[str], cell: Optional[str]) -> None:
        if not words and cell is None:
            raise UsageError("cannot run a program of the host: none was named\n"
                             "hint: write %lpmx host COMMAND, or a script in a %%lpmx host cell")
        core.name()  # outside a container the tool is not there either
        self._run(host.lpmx("host", *(words or ["sh"])), cell)

    def _elsewhere(self, command: str, words: List[str], cell: Optional[str]) -> None:
        options = [word for word in words[:1] if word.startswith("-")]
        if not options and len(words) < 2:
            place = "CONTAINER" if command == "call" else "IMAGE"
            raise UsageError(f"cannot run a program elsewhere: %lpmx {command} needs a "
                             f"{place.lower()} and a command\n"
                             f"hint: write %lpmx {command} {place} COMMAND")
        self._run(host.lpmx("exec" if command == "call" else "run",
                            *(["--here"] if command == "call" and not options else []), *words), cell)

    def _run(self, argv: List[str], text: Optional[str], hurry: bool = True) -> None:
        try:
            code = host.run(argv, text, hurry)
        except host.Interrupted as interrupt:
            self.shell.user_ns["_exit_code"] = interrupt.exit_code
            raise KeyboardInterrupt from None
        self.shell.user_ns["_exit_code"] = code

    # -- what the host's command does

    def _own_name(self) -> List[str]:
        """The name of this container, where we are in one."""
        return [core.name()] if core.inside() else []

    def _plain(self, command: str, words: List[str], _cell: Optional[str]) -> None:
        self._run(host.lpmx(command, *words), None)

    def _told(self, command: str, words: List[str], _cell: Optional[str]) -> None:
        """A command that is soon done, and whose failure is an error of the cell."""
        if "--help" in words or "-h" in words:
            self._plain(command, ["--help"], None)
        else:
            print(self._ask(host.lpmx(command, *self._own_name(), *words)), end="")

    def _install(self, command: str, words: List[str], _cell: Optional[str]) -> None:
        """A package manager takes its time, and what it has begun it must finish."""
        if not words:
            raise UsageError("cannot install anything: no package was named\n"
                             "hint: write, for example, %lpmx install graphviz")
        if "--help" in words or "-h" in words:
            return self._plain(command, ["--help"], None)
        self._run(host.lpmx(command, core.name(), *words), None, hurry=False)

    def _list(self, command: str, words: List[str], _cell: Optional[str]) -> Any:
        if words:
            return self._plain(command, words, None)
        own = self._own_name() if command in _OWN else []
        return Rows(self._json(command, *own), _LISTS[command], f"no {command}")

    def _json(self, *words: str) -> List[Dict[str, Any]]:
        found: List[Dict[str, Any]] = json.loads(self._ask(host.lpmx(*words, "--json")))
        return found

    def _ask(self, argv: List[str]) -> str:
        """What a command prints; its two lines of failure become ours, its notes are shown."""
        done = host.ask(argv)
        self.shell.user_ns["_exit_code"] = done.returncode
        if done.returncode:
            text = done.stderr.strip() or f"{' '.join(argv)} ended with exit code {done.returncode}"
            raise UsageError(text[len("lpmx: "):] if text.startswith("lpmx: ") else text)
        if done.stderr:
            print(done.stderr, end="")
        return done.stdout

    def _info(self, _command: str, words: List[str], _cell: Optional[str]) -> Table:
        if words:
            raise UsageError('cannot understand "%lpmx info": it takes no arguments\n'
                             "hint: %lpmx --help")
        return Table(info.facts())

    def candidates(self, before: List[str]) -> List[str]:
        """What may come behind the words `before`; nothing where nothing can be said."""
        try:
            return self._candidates(before)
        except (OSError, UsageError, ValueError):
            return []

    def _candidates(self, before: List[str]) -> List[str]:
        if not before:
            return [*self.commands, "--help"]
        if before == ["env"]:
            return list(_ENV_ACTIONS)
        if before[:2] == ["env", "unset"]:
            return [name for name, value in core.environment().items() if value is not None]
        if before[:2] == ["env", "set"]:
            return [f"{name}=" for name in core.environment()]
        lists = {("call",): ("ps", "name"), ("run",): ("images", "familiar"),
                 ("unlink",): ("links", "name"), ("unexpose",): ("exposed", "name")}
        if tuple(before) in lists:
            command, key = lists[tuple(before)]
            own = self._own_name() if command in _OWN else []
            return [str(one[key]) for one in self._json(command, *own)]
        return []


def _words(text: str) -> List[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"cannot read the arguments: {str(error).lower()}\n"
                         "hint: quote as you would for a shell") from None
