"""Where packages come from: the address asked for, or those in the host's apt configuration."""
from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from .packages import parse_stanza

APT = Path("/etc/apt")

_OPTION = re.compile(r"\[(.*?)\]")


@dataclass(frozen=True)
class Mirror:
    """The root of an archive. `suites` and `keyrings` are what the host's configuration
    says about it, as far as it does."""

    url: str
    suites: tuple[str, ...] = ()
    keyrings: tuple[Path, ...] = ()

    def address(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/{path}"


def host_mirrors(suite: str, apt: Path = APT) -> list[Mirror]:
    """The host's archives on the web, those first that are known to have `suite`.

    Archives of security updates are no mirrors of a suite and left out.
    """
    found: dict[str, Mirror] = {}
    for mirror in _configured(apt):
        if not mirror.url.startswith(("http://", "https://")):
            continue
        if any("security" in name for name in mirror.suites) or "security" in mirror.url:
            continue
        known = found.get(mirror.url)
        if known is not None:
            mirror = Mirror(mirror.url, known.suites + mirror.suites,
                            known.keyrings + mirror.keyrings)
        found[mirror.url] = mirror
    return sorted(found.values(), key=lambda mirror: suite not in mirror.suites)


def _configured(apt: Path) -> Iterator[Mirror]:
    files = [apt / "sources.list"]
    if (apt / "sources.list.d").is_dir():
        files += sorted((apt / "sources.list.d").iterdir())
    for path in files:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if path.suffix == ".list":
            yield from one_line_sources(text)
        elif path.suffix == ".sources":
            yield from deb822_sources(text)


def one_line_sources(text: str) -> Iterator[Mirror]:
    """The mirrors of lines such as "deb [options] URL suite component..." (sources.list(5))."""
    for line in text.split("\n"):
        line = line.partition("#")[0].strip()
        options = _OPTION.search(line)
        parts = _OPTION.sub(" ", line, count=1).split()
        if len(parts) < 3 or parts[0] != "deb":
            continue
        pairs = dict(pair.partition("=")[::2] for pair in shlex.split(options[1])) if options else {}
        keys = tuple(Path(key) for key in pairs.get("signed-by", "").split(",")
                     if key.startswith("/"))
        yield Mirror(parts[1].rstrip("/"), (parts[2],), keys)


def deb822_sources(text: str) -> Iterator[Mirror]:
    """The mirrors of stanzas with Types, URIs and Suites (sources.list(5))."""
    text = "\n".join(line for line in text.split("\n") if not line.startswith("#"))
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = {name.lower(): value for name, value in parse_stanza(stanza).items()}
        if "deb" not in fields.get("types", "").split():
            continue
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        keys = tuple(Path(key) for key in fields.get("signed-by", "").split()
                     if os.path.isabs(key))
        for url in fields.get("uris", "").split():
            yield Mirror(url.rstrip("/"), tuple(fields.get("suites", "").split()), keys)
