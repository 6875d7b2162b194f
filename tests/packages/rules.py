"""What may differ between two places in which the same steps were taken, and why."""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable

from .inventory import Difference


@dataclass(frozen=True)
class Rule:
    """Names that match `path` whole may differ in these facts."""

    path: str
    facts: tuple[str, ...]
    reason: str

    def allows(self, difference: Difference) -> bool:
        return difference.fact in self.facts \
            and re.fullmatch(self.path, difference.path) is not None


RULES = (
    Rule(r"/etc/hosts|/etc/resolv\.conf", ("file", "mode", "content", "time"),
         "a container shows the machine's"),
    Rule(r"/etc|/tmp", ("time",), "what the container shows there was made in them"),
    Rule(r"/var/log/(apt/.*|dpkg\.log|alternatives\.log|fontconfig\.log)", ("content",),
         "lines with the time of day"),
    Rule(r"/var/cache/apt/(src)?pkgcache\.bin", ("content",),
         "apt's cache has the times and inodes of the lists it was made of"),
    Rule(r"/var/cache/ldconfig/aux-cache", ("content",),
         "ldconfig's cache has inodes and change times"),
    Rule(r"/var/cache/fontconfig/.*\.cache-\d+", ("content",),
         "fontconfig's caches have the change times of the directories"),
    Rule(r"/var/cache/fontconfig/[0-9a-f]{8}-.*\.cache-\d+", ("file",),
         "bullseye's fontconfig names them by the random number of the directory"),
    Rule(r"/usr/(local/)?share/fonts/(.*/)?\.uuid|/etc/machine-id|/var/lib/dbus/machine-id",
         ("content",), "a random number"),
    Rule(r"/etc/ssl/certs/java/cacerts", ("content",),
         "a key store has the time when each certificate came into it"),
    Rule(r"/var/lib/texmf/ls-R", ("content",), "names in the order of the directory, by ls -U"),
    Rule(r"/var/lib/texmf/web2c/.*\.(base|fmt|log)", ("content",),
         "formats and logs of TeX and Metafont have the time"),
    Rule(r"(/root/\.rpmdb|/var/lib/rpm)/.*", ("content",),
         "rpm's database has the time of each installation"),
    Rule(r"/root/.*\.pyc", ("content",),
         "compiled by a step, with the time when the step made the source"),
    Rule(r"/usr/lib/jvm/.*/classes(_nocoops)?\.jsa", ("content",),
         "Java's archive of classes has addresses of the process that wrote it"),
    Rule(r"/root/\.npm/_logs/.*", ("file", "content"), "npm's logs have the time in their names"),
    Rule(r"/root/java/a\.jar", ("content",), "an archive with the times of its files"),
)


def unexplained(found: Iterable[Difference]) -> list[str]:
    """Those that no rule allows, in words."""
    return [str(each) for each in found if not any(rule.allows(each) for rule in RULES)]
