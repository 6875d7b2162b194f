"""What leads out of a container and into it, carried in a bundle: links and exposed commands.

Both mean something on the machine where they are made again, and so they are made by the same
functions, under the same rules, as when somebody types them; what cannot be made is told.
"""
from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence

from ..container import Container, exposed, links
from ..errors import LpmxError
from ..progress import Note, Sink


@dataclass(frozen=True)
class Carried:
    """Of one container: links, without when they were made, and commands as (name, program)."""

    links: "tuple[links.Link, ...]" = ()
    commands: "tuple[tuple[str, str], ...]" = ()


def collect(container: Container) -> "dict[str, Any]":
    """The members of a JSON object that says all of it."""
    return {
        "links": [{"path": link.path, "target": link.target, "cwd": link.cwd,
                   "env": dict(link.env), "passes": link.passes}
                  for link in links.of_container(container)],
        "exposed": [[command.name, command.program]
                    for command in exposed.of_container(container)]}


def parse(about: Mapping[str, Any]) -> Optional[Carried]:
    """What `collect` said; None if it makes no sense. Nothing was said by older versions."""
    said, commands = about.get("links", []), about.get("exposed", [])
    if not isinstance(said, list) or not isinstance(commands, list):
        return None
    found = [_link(value) for value in said]
    if None in found or not all(isinstance(one, list) and len(one) == 2 and all(map(_is_word, one))
                                for one in commands):
        return None
    return Carried(tuple(link for link in found if link is not None),
                   tuple((name, program) for name, program in commands))


def _link(value: Any) -> Optional[links.Link]:
    try:
        path, target, cwd = value["path"], value["target"], value["cwd"]
        env, passes = value["env"], value["passes"]
        variables = [*env, *env.values()]
    except (KeyError, TypeError, AttributeError):
        return None
    if not all(map(_is_word, (path, target, *([] if cwd is None else [cwd])))) or not (
            passes is None or isinstance(passes, list)):
        return None
    if not path.startswith("/") or ":" not in target or not all(
            is_text(text) for text in (*variables, *(passes or ()))):
        return None
    return links.Link(path, target, cwd, env, None if passes is None else tuple(passes))


def _is_word(value: Any) -> bool:
    return is_text(value) and value != ""


def is_text(value: Any) -> bool:
    """Whether it is what a program or the kernel can be given."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return True


def make(containers: "Sequence[tuple[Container, Carried]]", names: Mapping[str, str],
         expose: bool, progress: Sink) -> None:
    """Make the links, and with `expose` the commands; both are told, and so is what cannot be.
    `names` says what containers of the bundle are called here."""
    for container, carried in containers:
        for link in carried.links:
            place, _, program = link.target.partition(":")
            progress(Note(_linked(container, link, f"{names.get(place, place)}:{program}")))
        for name, program in carried.commands:
            progress(Note(_exposed(container, name, program, expose)))


def _linked(container: Container, link: links.Link, target: str) -> str:
    try:
        made, _ = links.add(container, link.path, target, cwd=link.cwd, env=link.env,
                            passes=link.passes, over=True)
    except LpmxError as error:
        return str(error)
    except OSError as error:  # no path can be so
        return (f'cannot link "{link.path}" in container "{container.name}": '
                f"{os.strerror(error.errno or 0).lower()}")
    return f'"{made.path}" of container "{container.name}" is linked to "{made.target}"'


def _exposed(container: Container, name: str, program: str, expose: bool) -> str:
    if not expose:  # as a shell reads it: the words are those of whoever made the bundle
        words = map(shlex.quote, (container.name, program, "--as", name))
        return (f'container "{container.name}" had a command on the PATH; '
                f'"lpmx expose {" ".join(words)}" makes it, or load --expose')
    try:
        command, _ = exposed.add(container, program, name=name)
    except LpmxError as error:
        return str(error)
    except OSError as error:
        return (f'cannot expose "{program}" of container "{container.name}": '
                f"{os.strerror(error.errno or 0).lower()}")
    return f'"{command.path}" runs "{program}" of container "{container.name}"'
