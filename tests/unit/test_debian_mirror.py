"""The host's apt configuration names the mirror, in both of its forms."""
from __future__ import annotations

from pathlib import Path

import pytest
from lpmx_runtime.image.debian.mirror import Mirror, deb822_sources, host_mirrors, one_line_sources

DEB822 = """\
# the distribution
Types: deb deb-src
URIs: http://mirror.example/debian
# a comment in the middle
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
"""
ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb [ arch=amd64 signed-by=/etc/keys/a.gpg ] https://line.example/debian/ trixie main contrib # why
deb-src http://line.example/debian trixie main
deb cdrom:[Debian 12]/ bookworm main
nonsense
"""


def test_deb822_sources() -> None:
    """Stanzas that are switched off or of sources do not count."""
    assert [("http://mirror.example/debian", ("bookworm", "bookworm-updates")),
            ("http://mirror.example/debian-security", ("bookworm-security",))] == \
        [(mirror.url, mirror.suites) for mirror in deb822_sources(DEB822)]


def test_one_line_sources() -> None:
    """Options in brackets are read, comments are not."""
    assert Mirror("https://line.example/debian", ("trixie",), (Path("/etc/keys/a.gpg"),)) == \
        next(one_line_sources(ONE_LINE))


def test_mirrors_that_are_known_to_have_the_suite_come_first(tmp_path: Path) -> None:
    """Archives of security updates and drives are no mirrors."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "old.sources.save").write_text("Types: deb\n")

    assert ["http://mirror.example/debian", "https://line.example/debian"] == \
        [mirror.url for mirror in host_mirrors("bookworm", tmp_path)]
    assert ["https://line.example/debian", "http://mirror.example/debian"] == \
        [mirror.url for mirror in host_mirrors("trixie", tmp_path)]


@pytest.mark.parametrize("content", [None, "", "\0\0\xff"])
def test_a_host_without_apt_has_no_mirrors(tmp_path: Path, content: str) -> None:
    """Whatever is there or not."""
    if content is not None:
        (tmp_path / "sources.list").write_text(content, encoding="latin-1")

    assert [] == host_mirrors("bookworm", tmp_path)
