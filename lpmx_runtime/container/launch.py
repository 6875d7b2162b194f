"""From a container's record and a command to what the kernel must execute.

The loader is executed with the program's own arguments; private variables tell it
the view and the program (lpmx_abi.h). Nothing is left to do afterwards, so whoever
launches may become the program.
"""
from __future__ import annotations

import errno
import os
import signal

from ..errors import RunFailed
from ..light import TYPE_CHECKING, NamedTuple
from . import record as records

if TYPE_CHECKING:
    from typing import Any, Mapping, NoReturn, Optional, Sequence, Union

#: What the loader is told by us alone, never by an image (native/loader/stack.c).
PRIVATE = ("LPMX_VIEW", "LPMX_PROGRAM", "LPMX_STATE", "LPMX_START", "LPMX_CWD", "LPMX_NO_TRAP",
           "LPMX_TRACE", "LPMX_CALL", "LPMX_REFUSED", "LPMX_TRACED", "LPMX_REWRITE",
           "LPMX_SINCE", "LPMX_FILE", "LPMX_INTERPRETER")


class Launch(NamedTuple):
    """What to execute for a contained program to start."""

    executable: str
    argv: tuple[str, ...]
    env: dict[str, str]

    def exec(self) -> NoReturn:
        """Become the program.

        Python ignores SIGPIPE and SIGXFSZ for itself; a program expects them as they are.
        """
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        try:
            os.execve(self.executable, self.argv, self.env)
        except OSError as error:
            raise cannot_start(self, error) from error


def cannot_start(launch: Launch, error: OSError) -> RunFailed:
    """Why the kernel would not execute the loader."""
    if error.errno == errno.E2BIG:
        return RunFailed(f'cannot run "{launch.argv[0]}": the argument list is too long',
                         hint="pass fewer arguments or a smaller environment")
    hint = ('run "lpmx check"; the installation must be on a file system from which programs can be '
            "executed")
    if error.errno in (errno.EAGAIN, errno.ENOMEM):
        hint = 'a limit of processes or of memory is reached: look at "ulimit -a", and at what the job may use'
    return RunFailed(f'cannot start the loader "{launch.executable}": '
                     f"{os.strerror(error.errno or 0).lower()}", hint=hint)


def command(record: Mapping[str, Any], argv: Sequence[str],
            entrypoint: Union[None, bool, Sequence[str]]) -> tuple[str, ...]:
    """The words to execute: as Docker puts entrypoint and command together.

    `entrypoint` False leaves the image's out, a list takes its place (and then the
    image's default command is not meant either).
    """
    config = record["config"]
    words = list(argv)
    if entrypoint is None or entrypoint is True:
        words = [*config["entrypoint"], *(words or config["cmd"])]
    elif entrypoint:
        words = [*entrypoint, *words]
    if not words:
        raise RunFailed(f'cannot run container "{record["name"]}": no program was named, and '
                        f'image "{record["familiar"]}" has no default one',
                        hint="name a program, such as /bin/sh")
    for word in words:
        if "\0" in word:
            raise RunFailed("cannot run a command with a NUL byte in it: "
                            "no program can be given one", hint="leave it out")
    return tuple(words)


def prepare(directory: str, record: Mapping[str, Any], argv: Sequence[str] = (), *,
            environ: Mapping[str, str], env: Optional[Mapping[str, str]] = None,
            cwd: Optional[str] = None, entrypoint: Union[None, bool, Sequence[str]] = None,
            view_file: Optional[str] = None, identity: Optional[Mapping[str, Any]] = None,
            here: bool = False) -> Launch:
    """The launch of a command in the container whose view file is current.

    `environ` is the caller's own environment, `env` what was asked for on top, `cwd`
    the directory in the container (None: the container's, else the caller's own if
    the container shows it, else "/"). `here`: the caller's own and no other, as a
    linked program has it (native/loader/first.c).
    """
    from . import environment
    words = command(record, argv, entrypoint)
    refresh_host_environment(directory, environ)
    variables = environment.of_program(record, environ, identity or record["identity"])
    values = {name: variable.value for name, variable in variables.items()}
    since = records.live_generation(os.path.join(directory, records.CONTROL))
    values.update(_live(directory))
    values.update(env or {})
    wanted = {"LPMX_VIEW": view_file or os.path.join(directory, records.VIEW),
              "LPMX_PROGRAM": words[0]}
    if since is not None:
        wanted["LPMX_SINCE"] = str(since)   # changes from now on are new to the program
    directory_inside = cwd or directory_of(record)
    if here:
        wanted["LPMX_CALL"] = called_from()
    elif directory_inside:
        wanted["LPMX_CWD"] = directory_inside
    if "LPMX_NO_TRAP" in environ:
        wanted["LPMX_NO_TRAP"] = environ["LPMX_NO_TRAP"]
    if environ.get("LPMX_REWRITE"):
        wanted["LPMX_REWRITE"] = environ["LPMX_REWRITE"]
    if environ.get("LPMX_TRACE"):
        wanted["LPMX_TRACE"] = _trace(environ["LPMX_TRACE"])
    # the private ones come last, as the loader puts them (native/loader/vectors.c)
    program = {name: value for name, value in values.items()
               if value is not None and name not in PRIVATE}
    return Launch(records.LOADER, words, {**program, **wanted})


def directory_of(record: Mapping[str, Any]) -> str:
    """Where in the container its programs begin; "" for where their caller is."""
    return record["options"]["workdir"] or record["config"]["working_dir"] or ""


def called_from() -> str:
    """The directory that a program which is to start `here` is called from."""
    try:
        return os.getcwd()
    except OSError:
        return "/"  # it was removed: there is none


def _trace(path: str) -> str:
    """The file that intercepted calls are told to (native/core/trace.c), which is there now.

    The loader cannot complain: once a program runs, its descriptors are its own.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise RunFailed(f'cannot trace into "{path}": {(error.strerror or "").lower()}',
                        hint="let LPMX_TRACE name a file that can be written, or unset it") from error
    return os.path.abspath(path)


def _live(directory: str) -> "dict[str, Optional[str]]":
    """The variables that were changed while the container ran."""
    if not records.has_live_variables(os.path.join(directory, records.CONTROL)):
        return {}
    from .. import _native
    with _native.View(os.path.join(directory, records.VIEW)) as view:
        return view.environment_list()


def refresh_host_environment(directory: str, environ: Mapping[str, str]) -> None:
    """Let host calls have the environment of whoever launched something last.

    From inside a container there is none to take: the file stays as it is.
    """
    from .environment import INSIDE, SECRET
    if INSIDE in environ:
        return
    content = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in environ.items()
                       if name not in SECRET)
    records.replace(os.path.join(directory, records.HOST_ENVIRONMENT), content, mode=0o600)


