"""What a compose file asks for, brought about, looked at and taken away again.

A container of a project has labels that say so, with what it was made with. Whatever is
already as it should be is left as it is, so `up` may be run again at any time: after a
failure it goes on where it stopped.
"""
from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Callable, Optional

from ..container import Bind, Container, Options, binds, exposed, links, record
from ..errors import ComposeFailed, ContainerUnknown, ImageUnknown, LpmxError
from ..image.pull import pull
from ..progress import Sink, ignore
from ..store import Image, Store
from .file import Entry, Project

PROJECT, DEFINITION = "compose.project", "compose.definition"
#: In a container's directory: links and commands that the file asked for last time.
_MADE = "compose.json"

Tell = Callable[[str, str], None]


@dataclass(frozen=True)
class State:
    """How a container of the project is now; `image` is "" if it is not there.

    `known` is whether the file has it.
    """

    name: str
    image: str
    processes: tuple[int, ...]
    links: tuple[str, ...]
    commands: tuple[str, ...]
    known: bool


def up(store: Store, project: Project, *, recreate: bool = False, fetch: bool = True,
       progress: Sink = ignore, tell: Tell = lambda name, what: None) -> list[str]:
    """Have all containers of the project, their links and commands; notes for people.

    `tell` hears of each container, and what was done with it. Images that the store does
    not have are pulled if `fetch` says so. A container that was made otherwise than the
    file says now is an error, unless `recreate` says to make it again.
    """
    present = {entry.name: _present(store, project, entry, recreate) for entry in project.containers}
    images = {entry.name: _image(store, entry, fetch, progress) for entry in project.containers
              if present[entry.name] is None}
    notes: list[str] = []
    for entry in project.containers:
        container = present[entry.name]
        if container is None:
            again = _remove(store, project, entry.name)
            container = Container.create(
                store, images[entry.name], name=entry.name, options=_options(entry),
                labels={PROJECT: project.name, DEFINITION: json.dumps(entry.definition)})
            tell(entry.name, "made again" if again else "made")
        else:
            tell(entry.name, "there")
        _furnish(container, entry, notes)
    return notes


def down(store: Store, project: Project, *, timeout: float = 10, orphans: bool = False,
         tell: Tell = lambda name, what: None) -> list[str]:
    """End what runs in the file's containers and remove them, the last first; notes for people.

    Containers of the project that the file does not have go only if `orphans` says so: they
    may be another file's, which has the same name, as that of a folder.
    """
    order = [entry.name for entry in project.containers]
    ours = sorted(_of_project(store, project),
                  key=lambda one: order.index(one.name) if one.name in order else -1, reverse=True)
    notes = []
    for container in ours:
        if container.name not in order and not orphans:
            notes.append(orphan(container.name))
            continue
        container.remove(force=True, timeout=timeout)
        tell(container.name, "removed")
    return notes


def orphan(name: str) -> str:
    """What there is to say of a container of the project that the file does not have."""
    return (f'container "{name}" is of a project of this name, but not in the file: '
            '"lpmx compose down --remove-orphans" removes it, too')


def states(store: Store, project: Project) -> list[State]:
    """All containers of the project: the file's in their order, then those it has no more."""
    ours = {container.name: container for container in _of_project(store, project)}
    names = [entry.name for entry in project.containers]
    return [_state(name, ours.get(name), name in names)
            for name in [*names, *sorted(set(ours) - set(names))]]


def _state(name: str, container: Optional[Container], known: bool) -> State:
    if container is None:
        return State(name, "", (), (), (), known)
    return State(name, container.familiar,
                 tuple(process.pid for process in container.processes()),
                 tuple(f"{link.name}={link.target}" for link in links.of_container(container)),
                 tuple(command.path for command in exposed.of_container(container)), known)


def _of_project(store: Store, project: Project) -> list[Container]:
    return [one for one in Container.list(store) if one.labels.get(PROJECT) == project.name]


def _present(store: Store, project: Project, entry: Entry, recreate: bool) -> Optional[Container]:
    """The container as the file wants it; None if it is to be made."""
    try:
        container = Container.open(store, entry.name)
    except ContainerUnknown:
        return None
    failing = f'cannot bring up "{entry.name}"'
    if container.labels.get(PROJECT) != project.name:
        raise ComposeFailed(f'{failing}: there is a container of this name that "{project.path}" '
                            "did not make",
                            hint="give one of them another name, or remove it with "
                                 f'"lpmx rm {entry.name}"')
    made, wanted = _definition(container), entry.definition
    others = [key for key in wanted if key not in made or made[key] != wanted[key]]
    if not others:
        return container
    if recreate:
        return None
    raise ComposeFailed(f"{failing}: it was made with another value of {', '.join(others)}",
                        hint="--recreate makes it again; what was changed in it is lost then")


def _definition(container: Container) -> "dict[str, Any]":
    """What it was made with; nothing where its label does not say."""
    try:
        found = json.loads(container.labels.get(DEFINITION, ""))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _remove(store: Store, project: Project, name: str) -> bool:
    """Remove the container that is in the way, if there is one."""
    for container in _of_project(store, project):
        if container.name == name:
            container.stop()
            container.remove(force=True)
            return True
    return False


def _image(store: Store, entry: Entry, fetch: bool, progress: Sink) -> Image:
    try:
        return store.images.find(entry.image)
    except ImageUnknown:
        if not fetch:
            raise
        return pull(store, entry.image, progress=progress)


def _options(entry: Entry) -> Options:
    found: tuple[Bind, ...] = tuple(binds.parse(text) for text in entry.binds)
    return Options(binds=found, env=entry.env, user=entry.user, workdir=entry.workdir,
                   contain=entry.contain, preload=entry.preload, gpu=entry.gpu)


def _furnish(container: Container, entry: Entry, notes: list[str]) -> None:
    """Links and commands as the file has them; those that it had last time and has no more go."""
    before_links, before_commands = _made(container)
    known = {link.path: link for link in links.of_container(container)}
    paths: list[str] = []
    commands: list[str] = []
    try:
        for one in entry.links:
            link, more = links.add(container, one.name, one.target, cwd=one.cwd, env=one.env,
                                   passes=one.passes, over=one.over)
            paths.append(link.path)
            notes += more
        for each in entry.exposes:
            command, more = exposed.add(container, each.program, name=each.name,
                                        directory=each.directory)
            commands.append(command.path)
            notes += more
    except LpmxError:
        _keep(container, [*before_links, *paths], [*before_commands, *commands])
        raise
    for path in set(before_links) - set(paths):
        if path in known:
            links.remove(container, path)
    there = {command.path for command in exposed.of_container(container)}
    for path in set(before_commands) - set(commands):
        if path in there:
            exposed.remove(container, path)
    _keep(container, paths, commands)


def _keep(container: Container, paths: list[str], commands: list[str]) -> None:
    record.replace(str(container.directory / _MADE),
                   json.dumps({"links": paths, "commands": commands}).encode())


def _made(container: Container) -> "tuple[list[str], list[str]]":
    try:
        with open(os.path.join(container.directory, _MADE), encoding="utf-8") as file:
            found = json.load(file)
        return list(found["links"]), list(found["commands"])
    except (OSError, ValueError, KeyError, TypeError):
        return [], []  # then nothing is taken away
