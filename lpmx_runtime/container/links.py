"""Programs of the host, or of another container, by names in a container.

A link is a path of the container that means a program elsewhere. Two things make it:
an entry in the exec map of the control page, which leads to a call file (lpmx_abi.h)
that says what is executed in which view and with which variables; and, where the
container has nothing of that name, a small executable file in its place, so that
shells and `execvp` find it. Whoever executes the name becomes the program: nothing
stands between them.

The call files, `links/` in the container's directory, are what a link is. The exec
map is made from them again when the control page had to be (`restore`).
"""
from __future__ import annotations

import os
import shlex
import shutil
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, NoReturn, Optional, Sequence

from ..errors import CallRefused, ContainerUnknown, InvalidSetting, LinkFailed, LpmxError
from . import environment, record
from .launch import PRIVATE, refresh_host_environment

if TYPE_CHECKING:
    from .. import _native
    from .lifecycle import Container

MAGIC = b"lpmx-call 1"
HOST = "host"
_USUAL = "/usr/local/bin"
_MARK = b"#!/bin/sh\n# lpmx link\n"
_FILE_NAME_LIMIT = 255


@dataclass(frozen=True)
class Link:
    """A name in a container that is a program elsewhere.

    `path` is where it is in the container, `target` "host:PATH" or "CONTAINER:PATH".
    The program starts in its caller's working directory, or in `cwd`. It gets what
    programs of its place get, the caller's variables that match `passes` (NAME,
    PREFIX* or *; None: those that mean the same everywhere), and `env` over both.
    """

    path: str
    target: str
    cwd: Optional[str] = None
    env: Mapping[str, str] = field(default_factory=dict)
    passes: Optional[tuple[str, ...]] = None
    created: float = 0.0

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def place(self) -> str:
        """ "host", or the container that has the program."""
        return self.target.partition(":")[0]

    @property
    def program(self) -> str:
        return self.target.partition(":")[2]

    @property
    def called(self) -> str:
        """What the site's rules call it."""
        return self.target if self.place == HOST else f"container:{self.target}"


def parse(text: str) -> tuple[str, str]:
    """NAME=PLACE:PROGRAM: the name or path in the container, and the target as it was typed."""
    name, equals, target = text.partition("=")
    place, colon, program = target.partition(":")
    if not name or not equals or not place or not colon or not program:
        raise InvalidSetting(f'cannot use the link "{text}": it is not NAME=host:PROGRAM or '
                             "NAME=CONTAINER:PROGRAM",
                             hint="write, for example, squeue=host:/usr/bin/squeue")
    if "\0" in text:
        raise InvalidSetting(f'cannot use the link "{text}": there is a NUL byte in it',
                             hint="leave it out")
    return name, target


def of_container(container: "Container") -> list[Link]:
    """Its links, by path."""
    return sorted((_read(path) for path in _files(container)), key=lambda link: link.path)


def _files(container: "Container") -> list[Path]:
    try:
        return [path for path in (container.directory / record.LINKS).iterdir()
                if path.name.startswith("%2F")]
    except FileNotFoundError:
        return []


# -- making and taking away -------------------------------------------------------------


def add(container: "Container", name: str, target: str, *, cwd: Optional[str] = None,
        env: Optional[Mapping[str, str]] = None, passes: Optional[Sequence[str]] = None,
        over: bool = False) -> tuple[Link, list[str]]:
    """Make `name`, a word or an absolute path of the container, mean `target`; the link, and
    notes for people.

    A link of that place is replaced. A program of the container's own that is there is
    put in the shade only if `over` says so.

    Raises `CallRefused` if the site does not allow such calls, `LinkFailed` if there is no
    such program or no such place.
    """
    failing = f'cannot link "{name}" in container "{container.name}"'
    if cwd is not None and not cwd.startswith("/"):
        raise InvalidSetting(f'{failing}: the directory "{cwd}" does not start with /',
                             hint="give --cwd an absolute path")
    for pattern in passes or ():
        if not pattern or "=" in pattern or "*" in pattern[:-1]:
            raise InvalidSetting(f'{failing}: "{pattern}" is not NAME, PREFIX* or *',
                                 hint="write, for example, --pass 'MY_*'")
    for variable in PRIVATE:
        if variable in (env or ()):
            raise InvalidSetting(f'{failing}: the variable "{variable}" is what lpmx tells itself',
                                 hint="leave it out")
    notes: list[str] = []
    target = _find_target(container, target, failing, notes)
    with container.store.lock(f"container-{container.name}"), container.view() as view:
        known = {link.path: link for link in of_container(container)}
        path = _place(container, view, name, known, failing)
        link = Link(path, target, cwd, dict(env or {}), None if passes is None else tuple(passes),
                    time.time())
        allow(view, link.called, failing)
        _refuse_circle(container, link, failing)
        _show(container, view, link, known, over, failing)
        file = _file(container, path, failing)
        file.parent.mkdir(exist_ok=True)
        _write(container, link, file)
        _map(view, path, str(file))
    return link, notes


def remove(container: "Container", name: str) -> Link:
    """Take the link `name`, a word or a path, away again."""
    with container.store.lock(f"container-{container.name}"), container.view() as view:
        found = [link for link in of_container(container) if name in (link.path, link.name)]
        if len(found) != 1:
            cause = ("there is no link of this name" if not found else
                     f"there are several: {', '.join(link.path for link in found)}")
            raise LinkFailed(f'cannot unlink "{name}" in container "{container.name}": {cause}',
                             hint=f'"lpmx links {container.name}" shows them')
        [link] = found
        view.exec_map_unset(link.path)
        _hide(view, link.path)
        _file(container, link.path, "").unlink(missing_ok=True)
    return link


def restore(container: "Container") -> None:
    """Make the exec map from the call files, and these for where everything is now."""
    links = of_container(container)
    if not links:
        return
    for other in {link.place for link in links} - {HOST, container.name}:
        try:
            type(container).open(container.store, other)
        except LpmxError:
            pass  # who calls it is told that it is gone
    with container.store.lock(f"container-{container.name}"), container.view() as view:
        for link in links:
            file = _file(container, link.path, "")
            _write(container, link, file)
            _map(view, link.path, str(file))


def show(container: "Container") -> None:
    """Have the files in the links' places again, after the container's own are gone."""
    with container.store.lock(f"container-{container.name}"), container.view() as view:
        known = {link.path: link for link in of_container(container)}
        for link in known.values():
            try:
                view.makedirs(os.path.dirname(link.path))
                _show(container, view, link, known, True, "")
            except (OSError, LinkFailed):
                continue  # the image has something there; who names the path still gets the link


def allow(view: "_native.View", called: str, failing: str) -> None:
    """Raise `CallRefused` unless the site allows this call."""
    allowed, rule = view.call_allowed(called)
    if not allowed:
        from ..settings import SITE_FILE
        cause = (f'the rule "{rule}" of "allowed_calls" in "{SITE_FILE}" refuses it' if rule else
                 f'no rule of "allowed_calls" in "{SITE_FILE}" allows "{called}"')
        raise CallRefused(f"{failing}: {cause}", hint="ask those who administer this machine")


# -- where it leads ---------------------------------------------------------------------


def _find_target(container: "Container", target: str, failing: str, notes: list[str]) -> str:
    place, _, program = target.partition(":")
    if place == HOST:
        return f"{HOST}:{_host_program(program, failing, notes)}"
    try:
        other = type(container).open(container.store, place)
    except ContainerUnknown:
        raise LinkFailed(f'{failing}: there is no container "{place}"',
                         hint='run "lpmx ps" to see what there is') from None
    # what it calls on the host gets these
    if not (other.directory / record.HOST_ENVIRONMENT).exists():
        refresh_host_environment(str(other.directory), os.environ)
    return f"{place}:{contained_program(other, program, failing)}"


def _host_program(program: str, failing: str, notes: list[str]) -> str:
    if "/" in program and not program.startswith("/"):
        raise LinkFailed(f'{failing}: "{program}" is neither a name nor an absolute path',
                         hint="give the program's absolute path on the host")
    path = shutil.which(program)
    if path is None:
        raise LinkFailed(f'{failing}: the host has no program "{program}"',
                         hint="give the path of an executable file of the host")
    if os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID):
        notes.append(f'"{path}" changes its user or group: called from a container, it runs as you')
    return os.path.normpath(path)


def contained_program(other: "Container", program: str, failing: str) -> str:
    """The path of `program`, a name or an absolute path, in a container.

    Raises `LinkFailed`, its message begun by `failing`, if it has none.
    """
    with other.view() as view:
        if program.startswith("/"):
            places = [program]
        elif "/" in program:
            places = []
        else:
            places = [f"{directory}/{program}" for directory in _path(other)]
        for place in map(os.path.normpath, places):
            if _executable(view, place):
                return place
    raise LinkFailed(f'{failing}: container "{other.name}" has no program "{program}"',
                     hint=f'look for it with "lpmx exec {other.name} ls /usr/bin"')


def _refuse_circle(container: "Container", link: Link, failing: str) -> None:
    """Raise `LinkFailed` if the link would lead, by others, to itself: who calls it would be
    executed over and over, and never be a program."""
    way = [f"{container.name}:{link.path}"]
    one: Optional[Link] = link
    while one is not None and one.place != HOST:
        try:
            other = type(container).find(container.store, one.place)
            with other.view() as view:  # a link may be meant as it is typed, too (execmap.c)
                paths = (one.program, view.resolve(one.program).path)
            known = {link.path: link for link in of_container(other)}
        except (LpmxError, OSError):
            return  # it ends there
        path = next((path for path in paths if path in known or f"{one.place}:{path}" in way),
                    paths[1])
        way.append(f"{one.place}:{path}")
        if way[-1] in way[:-1]:
            raise LinkFailed(f'{failing}: it would lead to itself: {" -> ".join(way)}',
                             hint="link to the program, not to a link")
        one = known.get(path)


def _executable(view: "_native.View", path: str) -> bool:
    try:
        mode = view.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o111)


# -- where it is ------------------------------------------------------------------------


def _path(container: "Container") -> list[str]:
    """The directories where programs of the container look for others."""
    [value] = [variable.value for variable in container.environment.list()
               if variable.name == "PATH"] or [None]
    return [directory for directory in (value or environment.DEFAULT_PATH).split(":")
            if directory.startswith("/") and directory != environment.OWN_PROGRAMS]


def _place(container: "Container", view: "_native.View", name: str, known: Mapping[str, Link],
           failing: str) -> str:
    """The canonical path of the container that `name` stands for."""
    if name.startswith("/"):
        path = os.path.normpath(name)
    elif "/" in name or name in (".", ".."):
        raise InvalidSetting(f'{failing}: "{name}" is neither a name nor an absolute path',
                             hint="give a name such as squeue, or /opt/tools/squeue")
    else:
        path = f"{_directory(container, view, name, known)}/{name}"
    above, last = os.path.split(path)
    try:
        view.makedirs(above)
        node = view.resolve(above)
    except OSError as error:
        raise LinkFailed(f'{failing}: "{above}" cannot be made: '
                         f"{os.strerror(error.errno or 0).lower()}",
                         hint="name another path, such as /opt/links/NAME") from None
    if node.place == "bind":
        raise LinkFailed(f'{failing}: "{above}" is a directory of the host',
                         hint="name a path that is the container's own, such as /usr/local/bin/NAME")
    return f"{node.path.rstrip('/')}/{last}"


def _directory(container: "Container", view: "_native.View", name: str,
               known: Mapping[str, Link]) -> str:
    """The usual one, unless programs would find another `name` before it or not look there."""
    for directory in _path(container):
        if directory == _USUAL or f"{directory}/{name}" in known:
            return directory
        if _executable(view, f"{directory}/{name}"):
            break
    for directory in _path(container):
        if not view.exists(directory) or view.resolve(directory).place != "bind":
            return directory
    return _USUAL


def _show(container: "Container", view: "_native.View", link: Link, known: Mapping[str, Link],
          over: bool, failing: str) -> None:
    """Have an executable file in the link's place."""
    there = view.resolve(link.path, follow_symlinks=False, may_be_absent=True).place != "absent"
    ours = there and _is_ours(view, link.path)
    if there and not ours and link.path not in known and not over:
        raise LinkFailed(f'{failing}: the container has "{link.path}" already',
                         hint="--over puts the link in its place until it is unlinked")
    if there and not ours and not _executable(view, link.path):
        raise LinkFailed(f'{failing}: "{link.path}" is there and is not executable',
                         hint="name another path")
    if not there or ours:
        content = _placeholder(container, link)
        if not ours or view.read(link.path) != content:
            view.write(link.path, content, 0o755)
            view.chmod(link.path, 0o755)


def _placeholder(container: "Container", link: Link) -> bytes:
    message = (f'lpmx: cannot run "{link.name}": it was a link to "{link.target}" in container '
               f'"{container.name}", and this is only its place')
    return _MARK + os.fsencode(
        f"echo {shlex.quote(message)} >&2\n"
        "echo 'hint: \"lpmx link\" makes such a link' >&2\nexit 127\n")


def _is_ours(view: "_native.View", path: str) -> bool:
    try:
        return stat.S_ISREG(view.lstat(path).st_mode) and view.read(path, len(_MARK)) == _MARK
    except OSError:
        return False


def _hide(view: "_native.View", path: str) -> None:
    if _is_ours(view, path):
        view.unlink(path)


def _map(view: "_native.View", path: str, file: str) -> None:
    target = f"call:{file}"
    if view.exec_map_list().get(path) != target:
        view.exec_map_set(path, target)


# -- call files -------------------------------------------------------------------------


def _file(container: "Container", path: str, failing: str) -> Path:
    name = path.replace("%", "%25").replace("/", "%2F")
    if len(os.fsencode(name)) > _FILE_NAME_LIMIT:
        raise InvalidSetting(f"{failing}: the path is too long", hint="name a shorter one")
    return container.directory / record.LINKS / name


def _write(container: "Container", link: Link, file: Path) -> None:
    """For nobody else to read: of a copy of this machine it has all of our variables."""
    record.replace(str(file), _encode(container, link), mode=0o600)


def _encode(container: "Container", link: Link) -> bytes:
    """The call file: what the loader reads, and what makes the same link again."""
    fields: list[tuple[str, str]] = []
    if link.place == HOST:
        fields.append(("view", str(container.directory / record.HOST_VIEW)))
    else:
        fields.append(("view", str(container.store.containers / link.place / record.VIEW)))
    fields += [("program", link.program), ("called", link.called)]
    if link.cwd:
        fields.append(("cwd", link.cwd))
    fields += [("path", link.path), ("created", repr(link.created))]
    if link.passes is None:
        fields.append(("passes", "default"))
    fields += _host_variables(container, link) if link.place == HOST else \
        _contained_variables(container, link)
    fields += [("own", f"{name}={value}") for name, value in link.env.items()]
    fields += [("env", f"{name}={value}") for name, value in link.env.items()]
    if any("\0" in value for _, value in fields):
        raise InvalidSetting(f'cannot link "{link.path}": there is a NUL byte in what is asked for',
                             hint="leave it out")
    return b"\0".join([MAGIC, *(os.fsencode(part) for pair in fields for part in pair)]) + b"\0"


def _same_everywhere(without: "set[str]") -> list[str]:
    return [*(name for name in environment.KEPT if name not in without),
            *(f"{prefix}*" for prefix in environment.KEPT_PREFIXES)]


def _passed(link: Link, without: "set[str]") -> list[tuple[str, str]]:
    patterns = _same_everywhere(without) if link.passes is None else link.passes
    return [("pass", pattern) for pattern in patterns]


def _host_variables(container: "Container", link: Link) -> list[tuple[str, str]]:
    """The environment that the container was started from, and what of the caller's crosses."""
    everything, some = _split(_passed(link, set(environment.IMAGE_FIRST)))
    return [*everything, ("base", str(container.directory / record.HOST_ENVIRONMENT)), *some]


def _split(passed: list[tuple[str, str]]) -> "tuple[list[tuple[str, str]], list[tuple[str, str]]]":
    """"*" comes before what the place itself says: PATH and HOME are its own."""
    return [one for one in passed if one[1] == "*"], [one for one in passed if one[1] != "*"]


def _contained_variables(container: "Container", link: Link) -> list[tuple[str, str]]:
    """As a program gets them that `lpmx exec` starts there, but with the caller's for the host's."""
    try:
        other = type(container).find(container.store, link.place)
    except LpmxError:
        return []
    asked = other.record["options"]["env"]
    image = other.record["config"]["env"]
    base = environment.of_program(other.record, os.environ if other.record["live"] else {},
                                  other.record["identity"])
    everything, some = _split(_passed(link, {name for name in environment.IMAGE_FIRST
                                             if name in image}))
    return [*everything,
            *(("env", f"{name}={variable.value}") for name, variable in base.items()
              if variable.value is not None and name not in PRIVATE),
            *some,
            *(("env", f"{name}={value}") for name, value in asked.items()
              if name not in PRIVATE)]


def _read(path: Path) -> Link:
    fields = path.read_bytes().split(b"\0")
    if fields[0] != MAGIC:
        _damaged(path)
    found: dict[str, list[str]] = {}
    for key, value in zip(fields[1::2], fields[2::2]):
        found.setdefault(os.fsdecode(key), []).append(os.fsdecode(value))
    try:
        [called], [place] = found["called"], found["path"]
        target = called[len("container:"):] if called.startswith("container:") else called
        return Link(place, target, found.get("cwd", [None])[0],
                    dict(_pair(one) for one in found.get("own", ())),
                    None if "passes" in found else tuple(found.get("pass", ())),
                    float(found["created"][0]))
    except (KeyError, ValueError):
        _damaged(path)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _damaged(path: Path) -> NoReturn:
    raise LinkFailed(f'cannot read the link in "{path}": it is damaged',
                     hint="remove the file, and make the link again") from None
