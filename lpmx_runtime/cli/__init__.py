"""The command line `lpmx COMMAND ...`: parse, call the library, print, exit.

How a command is made, ours or another package's. A **command** is a function

    def register(parser: argparse.ArgumentParser) -> None

It gets an empty parser for its one command, adds arguments or sub-commands to it,
and names the function that does the work:

    parser.set_defaults(run=install)
    def install(arguments: argparse.Namespace) -> Optional[int]: ...

`run` returns the exit code (None: 0). It reports a failure by raising an
`LpmxError`; `main` prints its message and hint on standard error and exits with
its code. Results go to standard output, talk to standard error, and `--json`
makes results readable for scripts (`output.py` has the helpers). A register
function may be called only to print help or to generate `docs/reference/cli.md`:
it imports what it needs to parse, and `run` imports the rest.

A command whose last arguments are another program's says so by
`parser.set_defaults(command_after=N)`: whatever follows the Nth positional
argument is not looked at and arrives, as a list, in `arguments.command`.

Another package registers a command through the entry-point group `lpmx.commands`:
the entry point's name is the command, its value such a register function, and the
first line of its docstring the line of help that `lpmx --help` shows. In
pyproject.toml:

    [project.entry-points."lpmx.commands"]
    kernel = "lpmx_jupyter.commands:register"
    lab = "lpmx_jupyter.commands:register_lab"

The commands of this package are in the table below instead, so that the module of
one is imported only when it is used: `lpmx exec` must start as fast as it can.
"""
from __future__ import annotations

import os
import sys

from ..errors import LpmxError
from ..light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import IO, Optional, Sequence

#: command -> module of this package, its register function, the line of help.
COMMANDS = {
    "pull": ("images", "register_pull", "get an image from a registry"),
    "push": ("images", "register_push", "put an image into a registry"),
    "tags": ("images", "register_tags", "list the tags that a registry has of a repository"),
    "search": ("search", "register", "look for repositories in a registry"),
    "login": ("logins", "register_login", "log in to a registry"),
    "logout": ("logins", "register_logout", "forget the login for a registry"),
    "load": ("images", "register_load", "get images from a file"),
    "save": ("images", "register_save", "write images into a file"),
    "bundle": ("bundle", "register", "write images and containers into one file for a machine "
               "without a network"),
    "build-sif": ("sif", "register_build", "make a Singularity image file for Apptainer"),
    "bootstrap": ("images", "register_bootstrap", "make an image from a package mirror"),
    "images": ("images", "register_images", "list images"),
    "inspect": ("images", "register_inspect", "show everything about an image or a container"),
    "history": ("images", "register_history", "show the steps in which an image was made"),
    "rmi": ("images", "register_rmi", "remove images"),
    "run": ("run", "register_run", "run a program in a new container"),
    "create": ("run", "register_create", "make a container and run nothing yet"),
    "exec": ("run", "register_exec", "run a program in a container"),
    "install": ("changes", "register_install", "install packages of the image's distribution into a "
                "container"),
    "ps": ("containers", "register_ps", "list containers and what runs in them"),
    "diff": ("changes", "register_diff", "show what was changed in a container"),
    "commit": ("changes", "register_commit", "make an image of a container"),
    "export": ("changes", "register_export", "write the files of a container or an image into a tar"),
    "cp": ("changes", "register_cp", "copy files into a container or out of it"),
    "stop": ("containers", "register_stop", "end what runs in containers"),
    "reset": ("containers", "register_reset", "bring containers back to what their images have"),
    "rm": ("containers", "register_rm", "remove containers"),
    "env": ("environment", "register_env", "change a container's variables while it runs"),
    "link": ("calls", "register_link", "give a container a program of the host or of another one"),
    "unlink": ("calls", "register_unlink", "take such programs away again"),
    "links": ("calls", "register_links", "list a container's links"),
    "expose": ("calls", "register_expose", "make a command of a container's program"),
    "unexpose": ("calls", "register_unexpose", "take such commands away again"),
    "exposed": ("calls", "register_exposed", "list the commands made of containers' programs"),
    "compose": ("compose", "register", "set up containers, their links and commands from a file"),
    "df": ("upkeep", "register_df", "show what takes space in the store"),
    "gc": ("upkeep", "register_gc", "free what no image and no container needs"),
    "verify": ("upkeep", "register_verify", "find out whether all in the store is as it was"),
    "completion": ("completion", "register", "print what makes a shell complete names"),
    "check": ("system", "register_check", "find out what works on this host"),
    "gpu": ("system", "register_gpu", "show GPUs and the driver libraries for containers"),
}
GROUP = "lpmx.commands"

_INSIDE = "/.lpmx/bin/lpmx"
_INTERRUPTED = 130
_MISUSED = 125


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    _forget_own_locale()
    try:
        code = _dispatch(words)
        _flush(sys.stdout)  # here, so that a full disk is told as other errors are
        return code
    except LpmxError as error:
        print(f"lpmx: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # Whoever read our output has enough; what is still buffered has no reader.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 0
        place = f' "{os.fsdecode(error.filename)}"' if error.filename else ""
        print(f"lpmx: cannot go on{place}: {os.strerror(error.errno or 0).lower()}",
              file=sys.stderr)
        print('hint: run "lpmx check"', file=sys.stderr)
        return _MISUSED
    except KeyboardInterrupt:
        return _INTERRUPTED


def command() -> int:
    """`lpmx-python`: one command line, and the end of the process.

    Python takes all its modules down one by one when it ends, which costs as much as
    starting it. Where nobody counts on that, the process just ends.
    """
    code = main()
    threads = sys.modules.get("threading")
    if not _at_exit() and (threads is None or threads.active_count() == 1):
        for stream in (sys.stdout, sys.stderr):
            try:
                _flush(stream)
            except OSError:
                pass  # there was another error, and that is told
        os._exit(code)
    return code


def _flush(stream: "Optional[IO[str]]") -> None:
    if stream is not None:  # closed when we were started
        stream.flush()


def _at_exit() -> int:
    """How many functions wait for the end of the process."""
    import atexit
    return int(getattr(atexit, "_ncallbacks", lambda: 1)())


def _forget_own_locale() -> None:
    """Take away the LC_CTYPE that Python sets where the locale is C (PEP 538): programs are
    to have what the caller has."""
    if os.environ.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8"):
        try:
            with open("/proc/self/environ", "rb") as file:
                given = file.read()
        except OSError:
            return
        if b"\0LC_CTYPE=" not in b"\0" + given:
            del os.environ["LC_CTYPE"]


def _dispatch(words: list[str]) -> int:
    from . import direct
    code = direct.call(words)
    if code is not None:
        return code
    from . import parsing
    if not words or words[0] in ("-h", "--help", "help"):
        print(parsing.overview(), end="")
        return 0
    if words[0] in ("-V", "--version"):
        from .. import __version__
        print(f"lpmx {__version__}")
        return 0
    parser = parsing.parser_of(words[0])
    if parser is None and words[0] in ("host", "info") and os.path.exists(_INSIDE):
        # The command that only containers have; an installation of ours may hide it.
        os.execv(_INSIDE, ["lpmx", *words])
    if parser is None:
        print(f'lpmx: cannot run "{words[0]}": there is no such command', file=sys.stderr)
        print(f'hint: {parsing.nearest(words[0])}"lpmx --help" lists the commands', file=sys.stderr)
        return _MISUSED
    arguments = parsing.parse(parser, words[1:])
    run = getattr(arguments, "run", None)
    if run is None:
        parser.print_help(sys.stderr)
        return _MISUSED
    return run(arguments) or 0
