"""Package lists: the stanzas of Debian's `Packages` files and what they say.

A list of a whole suite has some 60 000 stanzas, of which an image needs a few
hundred: the text is searched for names at once and taken apart only on demand.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Iterator, NamedTuple, Optional

from ...errors import BootstrapFailed
from . import version

PRIORITIES = ("required", "important", "standard", "optional", "extra")

_NAME = re.compile(r"^Package: *(\S+) *$", re.MULTILINE)
_PROVIDES = re.compile(r"^Provides: *(.+(?:\n .*)*)", re.MULTILINE)
_RELATION = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)(?::([a-z0-9-]+))?\s*"
                       r"(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*(\S+?)\s*\))?")


def parse_stanza(text: str) -> dict[str, str]:
    """The fields of one stanza; continuation lines keep their line breaks."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        if line[:1] in (" ", "\t"):
            if name:
                fields[name] += "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    return fields


class Relation(NamedTuple):
    """A package that is asked for; `operator` is empty where any version will do."""

    name: str
    operator: str = ""
    version: str = ""

    def accepts(self, candidate: str) -> bool:
        return version.satisfies(candidate, self.operator, self.version)

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name


def parse_relations(text: str) -> tuple[tuple[Relation, ...], ...]:
    """A field such as Depends: groups that must all hold, each with its alternatives."""
    groups = []
    for group in text.replace("\n", " ").split(","):
        alternatives = []
        for part in group.split("|"):
            match = _RELATION.match(part)
            if match:
                alternatives.append(Relation(match[1], match[3] or "", match[4] or ""))
        if alternatives:
            groups.append(tuple(alternatives))
    return tuple(groups)


@dataclass(frozen=True)
class Package:
    """One package of a suite. Its fields are those of the stanza, by their names there."""

    fields: dict[str, str]

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    @cached_property
    def name(self) -> str:
        return self.fields["Package"]

    @cached_property
    def version(self) -> str:
        return self.fields.get("Version", "")

    @cached_property
    def architecture(self) -> str:
        return self.fields.get("Architecture", "all")

    @cached_property
    def essential(self) -> bool:
        return self.fields.get("Essential") == "yes"

    @cached_property
    def priority(self) -> str:
        return self.fields.get("Priority", "optional")

    @cached_property
    def size(self) -> int:
        return int(self.fields.get("Size", "0"))

    @cached_property
    def sha256(self) -> str:
        return self.fields.get("SHA256", "")

    @cached_property
    def filename(self) -> str:
        return self.fields.get("Filename", "")

    @cached_property
    def needs(self) -> tuple[tuple[Relation, ...], ...]:
        """Pre-Depends, then Depends."""
        return (parse_relations(self.fields.get("Pre-Depends", ""))
                + parse_relations(self.fields.get("Depends", "")))

    @cached_property
    def excludes(self) -> tuple[Relation, ...]:
        """Conflicts and Breaks."""
        text = ", ".join(self.fields[name] for name in ("Conflicts", "Breaks")
                         if name in self.fields)
        return tuple(relation for group in parse_relations(text) for relation in group)

    @cached_property
    def replaces(self) -> tuple[Relation, ...]:
        return tuple(relation for group in parse_relations(self.fields.get("Replaces", ""))
                     for relation in group)

    @cached_property
    def provides(self) -> tuple[Relation, ...]:
        return tuple(relation for group in parse_relations(self.fields.get("Provides", ""))
                     for relation in group)

    def is_a(self, relation: Relation) -> bool:
        """Whether the package is what `relation` names, by itself or as it claims.

        What is provided without a version has none (Debian Policy, 7.5).
        """
        if relation.name == self.name:
            return relation.accepts(self.version)
        return any(provided.name == relation.name
                   and (not relation.operator
                        or (provided.operator == "=" and relation.accepts(provided.version)))
                   for provided in self.provides)


class PackageList:
    """The packages of a suite, looked up by name and by what they provide.

    Of several versions of one package the latest counts.
    """

    def __init__(self) -> None:
        self._stanzas: dict[str, list[str]] = {}
        self._providers: dict[str, set[str]] = {}
        self._known: dict[str, Optional[Package]] = {}

    def add(self, text: str) -> None:
        """Add the stanzas of a `Packages` file."""
        for stanza in text.split("\n\n"):
            match = _NAME.search(stanza)
            if not match:
                continue
            self._stanzas.setdefault(match[1], []).append(stanza)
            self._known.pop(match[1], None)
            provides = _PROVIDES.search(stanza)
            if provides:
                for group in parse_relations(provides[1]):
                    self._providers.setdefault(group[0].name, set()).add(match[1])

    def __len__(self) -> int:
        return len(self._stanzas)

    def get(self, name: str) -> Optional[Package]:
        """The package of that very name."""
        if name not in self._known:
            found = [Package(parse_stanza(text)) for text in self._stanzas.get(name, ())]
            self._known[name] = max(found, key=lambda package: version.key(package.version),
                                    default=None)
        return self._known[name]

    def providers(self, name: str) -> list[Package]:
        """The packages that claim to be `name`, the more important ones first."""
        found = [self.get(provider) for provider in self._providers.get(name, ())]
        return sorted((package for package in found if package is not None),
                      key=lambda package: (not package.essential, _rank(package), package.name))

    def of_priority(self, *priorities: str) -> Iterator[Package]:
        """The packages of these priorities, and the essential ones."""
        wanted = re.compile(r"^(?:Priority: *(?:%s)|Essential: *yes) *$" % "|".join(priorities),
                            re.MULTILINE)
        for name, stanzas in self._stanzas.items():
            if any(wanted.search(stanza) for stanza in stanzas):
                package = self.get(name)
                if package is not None and (package.essential or package.priority in priorities):
                    yield package


def _rank(package: Package) -> int:
    return PRIORITIES.index(package.priority) if package.priority in PRIORITIES else 9


def check(package: Package) -> None:
    """Refuse a stanza that lacks what a download has to be checked against."""
    if (not re.fullmatch(r"[0-9a-f]{64}", package.sha256) or not package.size
            or not package.filename or ".." in package.filename.split("/")):
        raise BootstrapFailed(f'cannot use package "{package.name}": the package list does not '
                              "say where it is and what it hashes to",
                              hint="the mirror is damaged; use another one")
