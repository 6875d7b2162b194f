"""Calls that must start fast, in their plainest form.

    lpmx exec [--here] CONTAINER [--] COMMAND [ARG...]
    lpmx run [--rm] IMAGE [--] [COMMAND [ARG...]]
    lpmx create [--name NAME] IMAGE
    lpmx rm [-f] CONTAINER...

Most of what a short command costs is importing Python modules, and here is nothing to parse that
would need argparse. All other calls are left to run.py and containers.py, which do their work by the
functions below, too.

`lpmx exec` itself (native/front) does without Python where a start file tells it how, and
comes here otherwise. With a container that is in order there is nothing to look up: that
needs neither the store nor the compiled core.
"""
from __future__ import annotations

import os
import sys

from ..errors import LpmxError
from ..light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Callable, Mapping, Optional, Sequence

    from ..container import Container, Options

_CANNOT_RUN = 125
_FRONT, _BEHIND_IT = "lpmx", "lpmx-python"


class our_exit_code:
    """In this block, whatever keeps a program from running ends with 125, so that
    scripts can tell it from the program's own failure."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, LpmxError) and error.exit_code < _CANNOT_RUN:
            error.exit_code = _CANNOT_RUN


def call(words: Sequence[str]) -> Optional[int]:
    """The exit code of a call that is so simple; None if this one is not."""
    plain = _PLAIN.get(words[0]) if words else None
    return plain(words[1:]) if plain is not None else None


def _exec(words: Sequence[str]) -> None:
    here = words[:1] == ["--here"]
    words = words[here:]
    if len(words) < 2 or words[0].startswith("-"):
        return
    command = words[2:] if words[1] == "--" else words[1:]
    if not command:
        return
    from ..container import launch, record
    from ..settings import store_location
    with our_exit_code():
        containers = os.path.join(store_location(), "containers")
        directory, values = record.read(containers, words[0])
        if record.is_current(directory, values):
            front = _front()
            if front is not None:
                from ..container import start
                start.write(containers, words[0], front)
            launch.prepare(directory, values, command, environ=os.environ,
                           entrypoint=False, here=here).exec()


def _front() -> Optional[str]:
    """The program that has us do what it leaves to Python; None if we were started otherwise."""
    directory, name = os.path.split(os.path.realpath(sys.argv[0]))
    return os.path.join(directory, _FRONT) if name == _BEHIND_IT else None


def _run(words: Sequence[str]) -> Optional[int]:
    words = words[words[:1] == ["--rm"]:]
    if not words or words[0].startswith("-"):
        return None
    return run(words[0], words[2:] if words[1:2] == ["--"] else words[1:])


def run(image: str, command: Sequence[str], *, name: Optional[str] = None,
        options: "Optional[Options]" = None, remove: bool = True,
        entrypoint: Optional[Sequence[str]] = None) -> int:
    """Run a program in a new container of `image`, and return its exit code."""
    from ..container import process
    with our_exit_code():
        container = create(image, name, options, temporary=remove)
        try:
            launch = container.launch(command, entrypoint=entrypoint)
            if launch.argv[0].startswith("-"):
                _refuse_option(container, launch.argv[0], image)
            return process.run(launch)
        finally:
            if remove:
                container.remove(force=True, timeout=1)
                container.sweep(container.store)


def _refuse_option(container: "Container", word: str, image: str) -> None:
    """An option of ours that is behind the image is the program, as with Docker; there is hardly
    one of that name."""
    from ..container.links import contained_program
    from ..errors import LinkFailed, ProgramMissing
    try:
        contained_program(container, word, "")
    except LinkFailed:
        raise ProgramMissing(f'cannot run "{word}" in container "{container.name}": there is no '
                             "such program",
                             hint=f'options of "lpmx run" come before the image: lpmx run {word} '
                                  f"... {image}") from None


def _create(words: Sequence[str]) -> Optional[int]:
    name = words[1] if words[:1] == ["--name"] and len(words) > 1 else None
    words = words[2 * (name is not None):]
    if len(words) != 1 or words[0].startswith("-") or (name or "").startswith("-"):
        return None
    print(create(words[0], name).name)
    return 0


def create(image: str, name: Optional[str] = None, options: "Optional[Options]" = None, *,
           temporary: bool = False) -> "Container":
    """Make a container of `image`."""
    from ..container import Container, Options
    from ..store import Store
    store = Store.open()
    return Container.create(store, store.images.find(image), name=name,
                            options=Options() if options is None else options, temporary=temporary)


def _rm(words: Sequence[str]) -> Optional[int]:
    force = words[:1] == ["-f"]
    words = words[force:]
    if not words or any(word.startswith("-") for word in words):
        return None
    return remove(words, force=force)


def remove(names: Sequence[str], *, force: bool) -> int:
    """Remove containers; the exit code."""
    from ..container import Container
    from ..store import Store
    store = Store.open()
    return each(names, lambda name: Container.find(store, name, damaged=force).remove(force=force))


def each(names: Sequence[str], work: Callable[[str], object]) -> int:
    """Do `work` for every name, also after one has failed; the first failure's code."""
    code = 0
    for name in names:
        try:
            work(name)
            print(name)
        except LpmxError as error:
            print(f"lpmx: {error.message}", file=sys.stderr)
            if error.hint:
                print(f"hint: {error.hint}", file=sys.stderr)
            code = code or error.exit_code
    return code


_PLAIN: "Mapping[str, Callable[[Sequence[str]], Optional[int]]]" = {
    "exec": _exec, "run": _run, "create": _create, "rm": _rm}
