"""os.environ, kept in step with the container's live environment.

Python copies the environment once, when it starts, so a change made elsewhere
(by `lpmx env set` in a terminal, by another kernel) would not show. Before each
cell we look at the generation counter of the container's control page, which
costs no more than reading a number, and bring os.environ up to date.

A variable that the notebook itself assigned stays the notebook's, as it does for
every program of the container (native/core/environment.c).
"""
import os
import re
from typing import Any, Dict, Iterable, Optional

from . import core


_READ_INSIDE_LIBC = re.compile(r"(TZ|LANG|LANGUAGE|LC_.*)\Z").match


class LiveEnvironment:
    """The container's variables, as this Python process sees and changes them."""

    def __init__(self) -> None:
        self._seen: Optional[int] = None
        self._ours: Dict[str, Optional[str]] = dict(os.environ)

    def before_cell(self, *unused: Any) -> None:
        """For IPython's pre_run_cell event. Never keeps a cell from running."""
        try:
            self.follow()
        except OSError:
            pass

    def follow(self) -> None:
        """Take over what was changed since the last time."""
        generation = core.generation()
        if generation is None or generation == self._seen:
            return
        for name, value in core.environment().items():
            if os.environ.get(name) == self._ours.get(name):
                self._put(name, value)
        self._seen = generation

    def set(self, name: str, value: str) -> None:
        """Give `name` a value here and in everything that runs in the container."""
        core.environment_set(name, value)
        self._put(name, value)

    def unset(self, name: str) -> None:
        """Take `name` away, here and everywhere in the container."""
        core.environment_unset(name)
        self._put(name, None)

    def take(self, names: Iterable[str]) -> None:
        """Take over what was set for `names`, also those that this program has set itself."""
        live = core.environment()
        for name in names:
            if name in live:
                self._put(name, live[name])

    def _put(self, name: str, value: Optional[str]) -> None:
        """Have os.environ say `value`.

        Where libc says so by itself (the preload library's getenv), its own copy
        is left alone. It would count as assigned by this program, and programs that
        a long cell starts would not see the changes after this one. Time zone and
        locale libc reads past its getenv: they are nowhere but in that copy.
        """
        data = getattr(os.environ, "_data", None)
        if data is not None and core.getenv(name) == value and not _READ_INSIDE_LIBC(name):
            key = os.environ.encodekey(name)
            if value is None:
                data.pop(key, None)
            else:
                data[key] = os.environ.encodevalue(value)
        elif value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
        self._ours[name] = value
