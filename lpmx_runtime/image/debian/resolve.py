"""What belongs together: the packages an image needs, and in which order they come.

Enough for the packages of one suite, which were made to be installed together:
choices are made once, in the order in which they come up, and never taken back.
"""
from __future__ import annotations

from typing import Iterable, Optional, Sequence

from ...errors import BootstrapFailed
from .packages import Package, PackageList, Relation, parse_relations


class Resolution:
    """The packages chosen so far, by name."""

    def __init__(self, packages: PackageList, what: str) -> None:
        self._packages = packages
        self._what = what
        self.chosen: dict[str, Package] = {}
        self._claimed: dict[str, list[Package]] = {}

    def add(self, names: Iterable[str]) -> None:
        """Choose the packages `names` and all that they need."""
        wanted: list[Package] = []
        for name in names:
            package = self._candidate(Relation(name))
            if package is None:
                raise BootstrapFailed(f'cannot {self._what}: the suite has no package "{name}"',
                                      hint="check the name and the suite")
            wanted.append(package)
        # All that is asked for by name first: it may settle a choice of others.
        for package in wanted:
            self._choose(package)
        for package in wanted:
            self._close(package)

    def check(self) -> None:
        """Refuse what says of itself that it does not go together."""
        for package in self.chosen.values():
            for relation in package.excludes:
                for other in self._holders(relation):
                    if other is not package:
                        raise BootstrapFailed(
                            f"cannot {self._what}: {package.name} {package.version} does not "
                            f"go with {other.name} {other.version}",
                            hint="leave out one of them")

    def before(self, base: Iterable[str]) -> set[str]:
        """`base`, and whatever has to be configured before others may be unpacked: what
        they Pre-Depend on, with all that needs."""
        found = set(base)
        todo = [answer for package in self.chosen.values() if package.name not in found
                for answer in self._answers(package, "Pre-Depends")]
        while todo:
            package = todo.pop()
            if package.name not in found:
                found.add(package.name)
                todo += self._answers(package, "Pre-Depends", "Depends")
        return found

    def in_order(self) -> list[Package]:
        """The chosen packages, each after those it needs; in circles as they come.

        base-files is first: what it says about the directories that all
        packages share is what counts.
        """
        ordered: dict[str, Package] = {}
        first = [self.chosen[name] for name in ("base-files", "base-passwd") if name in self.chosen]
        for package in first:
            ordered[package.name] = package
        rest = sorted(self.chosen.values(), key=lambda package: (not package.essential,
                                                                 package.name))
        for package in rest:
            self._place(package, ordered, set())
        return list(ordered.values())

    # -- choices --------------------------------------------------------------------

    def _choose(self, package: Package) -> None:
        if package.name not in self.chosen:
            self.chosen[package.name] = package
            for provided in package.provides:
                self._claimed.setdefault(provided.name, []).append(package)

    def _close(self, package: Package) -> None:
        """Choose what `package` needs, and what that needs."""
        todo = [package]
        seen: set[str] = set()
        while todo:
            package = todo.pop()
            if package.name in seen:
                continue
            seen.add(package.name)
            for group in package.needs:
                answer = self._satisfied(group)
                if answer is None:
                    answer = self._answer(group)
                    if answer is None:
                        raise BootstrapFailed(
                            f"cannot {self._what}: {package.name} needs "
                            f"{' or '.join(map(str, group))}, which the suite does not have",
                            hint="the mirror may be in the middle of an update; try again later")
                    self._choose(answer)
                todo.append(answer)

    def _holders(self, relation: Relation) -> list[Package]:
        found = []
        named = self.chosen.get(relation.name)
        if named is not None and relation.accepts(named.version):
            found.append(named)
        found += [package for package in self._claimed.get(relation.name, ())
                  if package.name != relation.name and package.is_a(relation)]
        return found

    def _satisfied(self, group: Sequence[Relation]) -> Optional[Package]:
        for relation in group:
            for package in self._holders(relation):
                return package
        return None

    def _answers(self, package: Package, *fields: str) -> list[Package]:
        """The chosen packages that satisfy what `package` has in these fields."""
        found = [self._satisfied(group) for field in fields
                 for group in parse_relations(package.fields.get(field, ""))]
        return [answer for answer in found if answer is not None]

    def _answer(self, group: Sequence[Relation]) -> Optional[Package]:
        for relation in group:
            package = self._candidate(relation)
            if package is not None:
                return package
        return None

    def _candidate(self, relation: Relation) -> Optional[Package]:
        named = self._packages.get(relation.name)
        if named is not None and relation.accepts(named.version) and self._fits(named):
            return named
        for package in self._packages.providers(relation.name):
            if package.is_a(relation) and self._fits(package):
                return package
        return None

    def _fits(self, package: Package) -> bool:
        """Whether nothing chosen so far excludes `package`, or the other way round."""
        if package.name in self.chosen:
            return True
        if any(other.name != package.name
               for relation in package.excludes for other in self._holders(relation)):
            return False
        return not any(package.is_a(relation)
                       for other in self.chosen.values() for relation in other.excludes)

    # -- order ------------------------------------------------------------------------

    def _place(self, package: Package, ordered: dict[str, Package], above: set[str]) -> None:
        """Append `package` behind what it needs; what is being placed already is a circle."""
        if package.name in ordered or package.name in above:
            return
        above.add(package.name)
        for answer in self._answers(package, "Pre-Depends", "Depends"):
            self._place(answer, ordered, above)
        above.discard(package.name)
        ordered[package.name] = package
