"""A compose file: what is said in it, checked, and in which order it is done.

    name: mapping                        of the whole; default: the folder's name
    containers:
      tools:
        image: ghcr.io/acme/tools:2
        exposes: [samtools]
      pipeline:
        image: debian:bookworm
        environment: {THREADS: 4}
        links:
          samtools: tools:/usr/bin/samtools
          squeue: {target: "host:squeue", pass: ["SLURM_*"]}

All scalars are read as the text that they are: YAML would make a number of 10:30 and a
truth of `no`. Keys that are not known are errors.
"""
from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Mapping, NoReturn, Optional, Sequence

import yaml

from ..errors import ComposeFailed

NAMES = ("lpmx-compose.yaml", "lpmx-compose.yml")
_CONTAINER_KEYS = ("image", "environment", "binds", "user", "workdir", "contain", "preload", "gpu",
                   "links", "exposes", "depends_on")
_LINK_KEYS = ("target", "cwd", "environment", "pass", "over")
_EXPOSE_KEYS = ("program", "dir")
_PROJECT = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}\Z")


@dataclass(frozen=True)
class LinkEntry:
    """A link that a container is to have; see `container.links.Link`."""

    name: str
    target: str
    cwd: Optional[str] = None
    env: Mapping[str, str] = field(default_factory=dict)
    passes: Optional[tuple[str, ...]] = None
    over: bool = False


@dataclass(frozen=True)
class ExposeEntry:
    """A command of the host that is to run `program`."""

    name: str
    program: str
    directory: Optional[str] = None


@dataclass(frozen=True)
class Entry:
    """One container of the file. `binds` as `lpmx run --bind` takes them."""

    name: str
    image: str
    env: Mapping[str, str]
    binds: tuple[str, ...]
    user: Optional[str]
    workdir: Optional[str]
    contain: bool
    preload: bool
    gpu: bool
    links: tuple[LinkEntry, ...]
    exposes: tuple[ExposeEntry, ...]
    depends_on: tuple[str, ...]

    @property
    def definition(self) -> "dict[str, Any]":
        """What it is made with, and cannot change afterwards."""
        return {"image": self.image, "environment": dict(self.env), "binds": list(self.binds),
                "user": self.user, "workdir": self.workdir, "contain": self.contain,
                "preload": self.preload, "gpu": self.gpu}

    def needs(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that must be there before it."""
        linked = [link.target.partition(":")[0] for link in self.links]
        return [name for name in names
                if name in self.depends_on or (name in linked and name != self.name)]


@dataclass(frozen=True)
class Project:
    """A whole file; `containers` are in the order in which they are made."""

    name: str
    path: Path
    containers: tuple[Entry, ...]


def find(path: Optional[str]) -> Path:
    """The file that was named, or the usual one of the working directory."""
    if path is not None:
        return Path(path)
    for name in NAMES:
        if os.path.exists(name):
            return Path(name)
    raise ComposeFailed(f'cannot find a compose file: there is no "{NAMES[0]}" here',
                        hint="name one with --file")


def load(path: Path) -> Project:
    """Read a compose file. Raises `ComposeFailed` with the place of what is wrong."""
    reader = _Reader(path)
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.load(file, Loader=_Loader)  # no type is guessed and none is made
    except OSError as error:
        reader.refuse((error.strerror or "").lower(), "name a readable file with --file")
    except (yaml.YAMLError, ValueError) as error:
        reader.refuse(" ".join(str(error).split()), "it must be a YAML document")
    return reader.project(content)


class _Loader(yaml.BaseLoader):
    """Every scalar is text; a key that is there twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, key in enumerate(keys):
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, "a key is not a word",
                                                        node.start_mark)
            if key in keys[:position]:
                raise yaml.constructor.ConstructorError(None, None, f'"{key}" is there twice',
                                                        node.start_mark)
        return super().construct_mapping(node, deep)


def _mapping(loader: _Loader, node: Any) -> Any:
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class _Reader:
    """Takes a document apart; every refusal says where."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def refuse(self, cause: str, hint: str, where: str = "") -> NoReturn:
        place = f"{where}: " if where else ""
        raise ComposeFailed(f'cannot use the compose file "{self.path}": {place}{cause}', hint=hint)

    def project(self, content: Any) -> Project:
        top = self._mapping(content, "the file", ("name", "containers"))
        name = self._word(top.get("name") or os.path.basename(self.path.resolve().parent), "name")
        if not _PROJECT.match(name):
            self.refuse(f'"{name}" cannot be a name', 'give it another with "name: WORD"', "name")
        containers = self._mapping(top.get("containers"), "containers")
        if not containers:
            self.refuse("it has none", 'write "containers:" and at least one below it', "containers")
        entries = {key: self._entry(key, value) for key, value in containers.items()}
        return Project(name, self.path, tuple(self._ordered(entries)))

    def _entry(self, name: str, content: Any) -> Entry:
        where = f"containers.{name}"
        if not _PROJECT.match(name) or name == "host":
            self.refuse("this cannot be the name of a container", "use another word", where)
        found = self._mapping(content, where, _CONTAINER_KEYS)
        if not found.get("image"):
            self.refuse("it has no image", 'write "image: REFERENCE"', where)
        return Entry(
            name=name, image=self._word(found["image"], f"{where}.image"),
            env=self._variables(found.get("environment"), f"{where}.environment"),
            binds=tuple(map(self._bind, self._list(found.get("binds"), f"{where}.binds"))),
            user=self._optional(found, "user", where), workdir=self._optional(found, "workdir", where),
            contain=self._truth(found, "contain", False, where),
            preload=self._truth(found, "preload", True, where),
            gpu=self._truth(found, "gpu", True, where),
            links=tuple(self._link(key, value, f"{where}.links.{key}") for key, value in
                        self._mapping(found.get("links"), f"{where}.links").items()),
            exposes=tuple(self._exposes(found.get("exposes"), f"{where}.exposes")),
            depends_on=tuple(self._list(found.get("depends_on"), f"{where}.depends_on")))

    def _link(self, name: str, content: Any, where: str) -> LinkEntry:
        if isinstance(content, str):
            content = {"target": content}
        found = self._mapping(content, where, _LINK_KEYS)
        target = self._optional(found, "target", where) or ""
        if not all(target.partition(":")):
            self.refuse(f'its target "{target}" is not host:PROGRAM or CONTAINER:PROGRAM',
                        "write, for example, squeue: host:/usr/bin/squeue", where)
        passes = found.get("pass")
        return LinkEntry(name, target, self._optional(found, "cwd", where),
                         self._variables(found.get("environment"), f"{where}.environment"),
                         None if passes is None else tuple(self._list(passes, f"{where}.pass")),
                         self._truth(found, "over", False, where))

    def _exposes(self, content: Any, where: str) -> Iterable[ExposeEntry]:
        if isinstance(content, dict):
            for name, value in content.items():
                place = f"{where}.{name}"
                found = self._mapping({"program": value} if isinstance(value, str) else value, place,
                                      _EXPOSE_KEYS)
                yield ExposeEntry(name, self._word(found.get("program"), place),
                                  self._optional(found, "dir", place))
            return
        for program in self._list(content, where):
            yield ExposeEntry(os.path.basename(program), program)

    def _bind(self, text: str) -> str:
        """Paths that begin with a dot are the file's neighbours."""
        return str(self.path.resolve().parent / text) if text.startswith(".") else text

    def _ordered(self, entries: "dict[str, Entry]") -> Iterable[Entry]:
        """Each behind those that it needs, else as in the file."""
        done: list[str] = []

        def visit(name: str, above: Sequence[str]) -> None:
            if name in above:
                circle = " -> ".join([*above[above.index(name):], name])
                self.refuse(f"its containers need each other in a circle: {circle}",
                            'make one of the links afterwards, with "lpmx link"', "containers")
            if name not in done:
                for other in entries[name].needs(entries):
                    visit(other, [*above, name])
                done.append(name)

        for name, entry in entries.items():
            for other in entry.depends_on:
                if other not in entries:
                    self.refuse(f'"{other}" is not in the file', "name one of its containers",
                                f"containers.{name}.depends_on")
            visit(name, [])
        return [entries[name] for name in done]

    # -- the kinds of values

    def _mapping(self, content: Any, where: str,
                 known: Optional[Sequence[str]] = None) -> "dict[str, Any]":
        if content is None or content == "":
            return {}
        if not isinstance(content, dict):
            self.refuse("it is not a mapping", "write KEY: VALUE lines", where)
        for key in content:
            if known is not None and key not in known:
                self.refuse(f'there is no such key as "{key}"', f"known are: {', '.join(known)}", where)
        return content

    def _list(self, content: Any, where: str) -> list[str]:
        if content is None or content == "":
            return []
        if not isinstance(content, list):
            self.refuse("it is not a list", "write [ONE, ANOTHER]", where)
        return [self._word(one, where) for one in content]

    def _word(self, content: Any, where: str) -> str:
        if not isinstance(content, str) or not content or "\0" in content:
            self.refuse("a word is missing", "write one, in quotes if it has special characters", where)
        return content

    def _optional(self, found: "dict[str, Any]", key: str, where: str) -> Optional[str]:
        return self._word(found[key], f"{where}.{key}") if key in found else None

    def _truth(self, found: "dict[str, Any]", key: str, usual: bool, where: str) -> bool:
        if key not in found:
            return usual
        if found[key] not in ("true", "false"):
            self.refuse("it is neither true nor false", "write one of them", f"{where}.{key}")
        return bool(found[key] == "true")

    def _variables(self, content: Any, where: str) -> "dict[str, str]":
        if isinstance(content, list):
            pairs = [self._word(one, where).partition("=") for one in content]
            for name, equals, _ in pairs:
                if not equals:
                    self.refuse(f'"{name}" is not NAME=VALUE', "write NAME=VALUE", where)
            found: "dict[str, Any]" = {name: value for name, _, value in pairs}
        else:
            found = self._mapping(content, where)
        for name, value in found.items():
            if not isinstance(value, str) or not name or "=" in name or "\0" in name + value:
                self.refuse(f'"{name}" cannot be a variable', "write NAME: VALUE", where)
        return found
