"""Commands of the host that run a program in a container.

A command is a small script in a directory of the user's PATH. It goes through `lpmx
exec --here`, which becomes the contained program: arguments, descriptors, signals and
the exit code are the program's own. Where it can be, `lpmx` itself is the script's
interpreter, which reads the comments (native/front/exposed.c); to a shell the rest says
the same. `exposed.json` in the container's directory says
which there are, and they go when the container goes.
"""
from __future__ import annotations

import json
import os

from .. import settings
from ..errors import InvalidSetting, LinkFailed
from ..light import TYPE_CHECKING, NamedTuple
from . import record
from .host_calls import lpmx_by_python

if TYPE_CHECKING:
    from typing import Any, Optional

    from .lifecycle import Container

DEFAULT_DIRECTORY = "~/.local/bin"
_MARK = "# lpmx expose "
_SHELL = "/bin/sh"
#: What every kernel reads of the first line of a script, and how much a mark may be.
_INTERPRETER_LIMIT, _HEAD_LIMIT = 127, 1024


class Command(NamedTuple):
    """A command of the host, at `path`, that runs `program` in `container`."""

    path: str
    container: str
    program: str

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    @property
    def whole(self) -> bool:
        """Whether its file is there and as it was made."""
        return _is_ours(self.path, self.container)


def add(container: "Container", program: str, *, name: Optional[str] = None,
        directory: Optional[str] = None) -> tuple[Command, list[str]]:
    """Make the command `name` (the program's own name) in `directory`; and notes for people.

    Raises `LinkFailed` if the container has no such program, or something else is there.
    """
    chosen = os.path.basename(program) if name is None else name
    failing = f'cannot expose "{program}" of container "{container.name}"'
    if not chosen or "/" in chosen or "\0" in chosen or chosen in (".", ".."):
        raise InvalidSetting(f'{failing}: "{chosen}" cannot be the name of a command',
                             hint="give --as a name such as samtools")
    from .links import contained_program
    found = contained_program(container, program, failing)
    if "\n" in found:  # a directory of an image's PATH can have one, too
        raise InvalidSetting(f"{failing}: there is a line end in its path",
                             hint="give it another name in the container")
    place = os.path.abspath(os.path.expanduser(directory or DEFAULT_DIRECTORY))
    command = Command(os.path.join(place, chosen), container.name, found)
    if os.path.lexists(command.path) and not _is_ours(command.path, container.name):
        raise LinkFailed(f'{failing}: "{command.path}" is there already',
                         hint="give the command another name with --as, or remove that file")
    with container.store.lock(f"container-{container.name}"):
        try:
            os.makedirs(place, exist_ok=True)
            record.replace(command.path, os.fsencode(_script(container, command)), mode=0o755)
        except OSError as error:
            raise LinkFailed(f'{failing}: cannot write "{command.path}": '
                             f"{os.strerror(error.errno or 0).lower()}",
                             hint="name another directory with --dir") from None
        _keep(container, [*(one for one in of_container(container) if one.path != command.path),
                          command])
    return command, _notes(command)


def remove(container: "Container", name: str) -> Command:
    """Take the command `name`, a word or a path, away again."""
    with container.store.lock(f"container-{container.name}"):
        commands = of_container(container)
        path = os.path.abspath(os.path.expanduser(name)) if "/" in name else name
        found = [one for one in commands if path in (one.path, one.name)]
        if len(found) != 1:
            cause = ("there is no such command" if not found else
                     f"there are several: {', '.join(one.path for one in found)}")
            raise LinkFailed(f'cannot unexpose "{name}" of container "{container.name}": {cause}',
                             hint=f'"lpmx exposed {container.name}" shows them')
        _remove_file(found[0])
        _keep(container, [one for one in commands if one is not found[0]])
    return found[0]


def remove_all(container: "Container") -> None:
    """Take all of a container's commands away."""
    try:
        for command in of_container(container):
            _remove_file(command)
    except (OSError, LinkFailed):
        pass  # what is left says that its container is gone


def of_container(container: "Container") -> list[Command]:
    """Its commands, by path."""
    try:
        with open(os.path.join(container.place, record.EXPOSED), encoding="utf-8",
                  errors="surrogateescape") as file:
            found: Any = json.load(file)
        return sorted(Command(str(path), container.name, str(program)) for path, program in found)
    except FileNotFoundError:
        return []
    except (ValueError, TypeError):
        raise LinkFailed(f'cannot read the commands of container "{container.name}": '
                         f'"{container.directory / record.EXPOSED}" is damaged',
                         hint="remove the file, and expose the programs again") from None


def _keep(container: "Container", commands: list[Command]) -> None:
    record.replace(str(container.directory / record.EXPOSED),
                   json.dumps([[one.path, one.program] for one in commands]).encode())


def _script(container: "Container", command: Command) -> str:
    import shlex  # here, for every container that is removed looks for its commands
    store = str(container.store.path)
    lpmx = lpmx_command()
    lines = [f"#!{_interpreter(lpmx)}", f"{_MARK}{command.container} {command.program}"]
    if store != settings.default_store():
        if "\n" in store:
            lines[0] = f"#!{_SHELL}"
        else:
            lines.append(f"# store {store}")
        lines.append(f"export LPMX_STORE={shlex.quote(store)}")
    else:
        lines.append("unset LPMX_STORE")
    words = [*lpmx, "exec", "--here", command.container, "--", command.program]
    lines.append(f'exec {" ".join(map(shlex.quote, words))} "$@"')
    return "\n".join(lines) + "\n"


def _interpreter(lpmx: list[str]) -> str:
    """The front, where a script can name it: it is a path of no more and no other bytes."""
    path = lpmx[0]
    named = len(lpmx) == 1 and len(os.fsencode(path)) + 2 <= _INTERPRETER_LIMIT
    return path if named and not set(path) & set(" \t\n") else _SHELL


def lpmx_command() -> list[str]:
    """The command of this installation."""
    import sysconfig
    path = os.path.join(sysconfig.get_path("scripts"), "lpmx")
    return [path] if os.access(path, os.X_OK) else lpmx_by_python()


def _is_ours(path: str, container: str) -> bool:
    try:  # without waiting for a FIFO's other end
        with open(path, "rb", opener=lambda name, flags: os.open(
                name, flags | os.O_NONBLOCK | os.O_NOFOLLOW)) as file:
            first, _, rest = (file.read(_HEAD_LIMIT) or b"").partition(b"\n")
    except OSError:
        return False
    return (first.startswith(b"#!")
            and rest.startswith(os.fsencode(f"{_MARK}{container} ")))


def _remove_file(command: Command) -> None:
    if command.whole:
        os.unlink(command.path)


def _notes(command: Command) -> list[str]:
    directory = os.path.dirname(command.path)
    places = [os.path.realpath(one) for one in os.environ.get("PATH", "").split(":") if one]
    if os.path.realpath(directory) not in places:
        return [f'"{directory}" is not in your PATH: add it, or call "{command.path}"']
    import shutil
    first = shutil.which(command.name)
    if first is not None and os.path.realpath(first) != os.path.realpath(command.path):
        return [f'"{command.name}" is still "{first}" for you, which comes first in your PATH']
    return []
