"""Many packages become one layer, as dpkg would have unpacked them."""
from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Mapping

import pytest
from lpmx_runtime.errors import BootstrapFailed
from lpmx_runtime.image.debian.deb import Deb
from lpmx_runtime.image.debian.packages import Package, parse_stanza
from lpmx_runtime.image.debian.tree import LayerWriter
from support import debs, layers
from support.layers import directory, file, link, symlink

INFO = "var/lib/dpkg/info/"


class Layer:
    """A layer of packages made by hand."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self.writer = LayerWriter("make it", 1700000000)
        self._pieces: list[bytes] = []

    def merge_usr(self) -> None:
        self._pieces += self.writer.directory(b"usr")
        for name in (b"bin", b"lib"):
            self._pieces += self.writer.directory(b"usr/" + name)
            self._pieces += self.writer.link(name, b"usr/" + name)

    def add(self, name: str, *members: bytes, fields: str = "", **control: bytes) -> None:
        stanza = f"Package: {name}\nVersion: 1\nArchitecture: amd64\n{fields}"
        files: Mapping[str, bytes] = {"control": stanza.encode(), **control}
        path = debs.write(self._scratch / f"{name}.deb", files,
                          layers.tar(directory(b".", mode=0o755), *members))
        with Deb(path) as deb:
            self._pieces += self.writer.package(Package(parse_stanza(stanza)), deb)

    def read(self) -> dict[str, tarfile.TarInfo]:
        """The members by name; the last of a name counts."""
        pieces = [*self._pieces, *self.writer.database(), *self.writer.end()]
        self.tar = tarfile.open(fileobj=io.BytesIO(b"".join(pieces)))
        return {member.name: member for member in self.tar}

    def content(self, name: str) -> str:
        file = self.tar.extractfile(name)
        assert file is not None
        return file.read().decode()


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    return Layer(tmp_path)


def test_files_behind_the_links_of_a_merged_usr(layer: Layer) -> None:
    """A package that has /bin/a gets /usr/bin/a; its list has the name it knows."""
    layer.merge_usr()
    layer.add("a", directory(b"./bin"), file(b"./bin/a", b"x"), link(b"./bin/b", b"./bin/a"),
              directory(b"./lib"), directory(b"./lib/sub"), file(b"./lib/sub/c", b"y"))

    members = layer.read()

    assert members["bin"].issym() and "usr/bin" == members["bin"].linkname
    assert members["usr/bin/a"].isreg() and members["usr/lib/sub/c"].isreg()
    assert members["usr/bin/b"].islnk() and "usr/bin/a" == members["usr/bin/b"].linkname
    assert not {"bin/a", "lib/sub", "lib/sub/c"} & set(members)
    assert "/.\n/bin\n/bin/a\n/bin/b\n/lib\n/lib/sub\n/lib/sub/c\n" == layer.content(INFO + "a.list")


def test_a_directory_is_of_the_package_that_brings_it_first(layer: Layer) -> None:
    """Later ones do not change its mode."""
    layer.add("a", directory(b"./tmp", mode=0o1777))
    layer.add("b", directory(b"./tmp", mode=0o755), file(b"./tmp/x", b""))

    assert 0o1777 == layer.read()["tmp"].mode


def test_a_file_is_of_the_package_that_replaces_the_other(layer: Layer) -> None:
    """Whichever of the two comes first, and only its list has the file."""
    layer.add("old", file(b"./x", b"old"), file(b"./y", b"old"))
    layer.add("new", file(b"./x", b"new"), fields="Replaces: old (<< 2)\n")
    layer.add("older", file(b"./z", b"older"), fields="Replaces: newer\n")
    layer.add("newer", file(b"./z", b"newer"))

    layer.read()

    assert ["new", "old", "older"] == [layer.content(name) for name in ("x", "y", "z")]
    assert "/.\n/y\n" == layer.content(INFO + "old.list")
    assert "/.\n/x\n" == layer.content(INFO + "new.list")
    assert "/.\n" == layer.content(INFO + "newer.list")


def test_a_file_of_two_packages_is_refused(layer: Layer) -> None:
    """Without Replaces, as dpkg does; by whatever way they name it."""
    layer.merge_usr()
    layer.add("one", directory(b"./bin"), file(b"./bin/x", b""))

    with pytest.raises(BootstrapFailed, match='both one and two have "/usr/bin/x"'):
        layer.add("two", directory(b"./usr"), directory(b"./usr/bin"), file(b"./usr/bin/x", b""))


def test_links_that_lead_in_circles_are_refused(layer: Layer) -> None:
    """Instead of following them for ever."""
    layer.add("a", symlink(b"./x", b"y"), symlink(b"./y", b"x"))

    with pytest.raises(BootstrapFailed, match="symbolic links lead in circles"):
        layer.add("b", file(b"./x/file", b""))


def test_links_never_lead_out_of_the_layer(layer: Layer) -> None:
    """Absolute ones begin at its root, and ".." ends there."""
    layer.add("a", directory(b"./etc"), symlink(b"./one", b"/etc"), symlink(b"./two", b"../../etc"),
              file(b"./one/a", b""), file(b"./two/b", b""))

    assert {"etc/a", "etc/b"} < set(layer.read())


def test_packages_are_unpacked_in_the_database(layer: Layer) -> None:
    """Control files but "control", modes and times kept; the hash of what people may change."""
    layer.add("a", directory(b"./etc"), file(b"./etc/a.conf", b"hello\n"), file(b"./etc/b", b""),
              fields="Multi-Arch: same\nDescription: some\n thing\n",
              conffiles=b"/etc/a.conf\nremove-on-upgrade /etc/gone\n", postinst=b"#!/bin/sh\n")
    layer.add("b")

    members = layer.read()

    assert {"a:amd64.conffiles", "a:amd64.postinst", "a:amd64.list", "b.list", "format"} == \
        {name[len(INFO):] for name in members if name.startswith(INFO)}
    assert 0o755 == members[INFO + "a:amd64.postinst"].mode
    assert ("Package: a\nStatus: install ok unpacked\nVersion: 1\nArchitecture: amd64\n"
            "Multi-Arch: same\nDescription: some\n thing\nConffiles:\n"
            " /etc/a.conf b1946ac92492d2347c6235b4d2611184\n\n"
            "Package: b\nStatus: install ok unpacked\nVersion: 1\nArchitecture: amd64\n\n"
            ) == layer.content("var/lib/dpkg/status")


def test_triggers_that_packages_are_interested_in(layer: Layer) -> None:
    """Paths are in one file, others have their own."""
    layer.add("a", triggers=b"# comment\ninterest-noawait ldconfig\ninterest /usr/share/man\n"
                            b"activate-noawait other\n")
    layer.add("b", triggers=b"interest ldconfig\n", fields="Multi-Arch: same\n")

    members = layer.read()

    assert "a/noawait\nb:amd64\n" == layer.content("var/lib/dpkg/triggers/ldconfig")
    assert "/usr/share/man a\n" == layer.content("var/lib/dpkg/triggers/File")
    assert "var/lib/dpkg/triggers/other" not in members


def test_second_packages_can_be_hidden(layer: Layer) -> None:
    """What only they have is listed, and their part of the database is apart."""
    layer.add("a", directory(b"./usr"), directory(b"./usr/lib"), file(b"./usr/lib/a", b""),
              triggers=b"interest ldconfig\n")
    layer.writer.begin_second()
    layer.add("b", directory(b"./usr"), directory(b"./usr/lib"), directory(b"./usr/lib/b"),
              file(b"./usr/lib/b/b", b""), triggers=b"interest ldconfig\ninterest /man\n",
              preinst=b"#!/bin/sh\n")

    members = layer.read()
    status, triggers = layer.writer.second_database()

    assert {"usr/lib/b", "usr/lib/b/b", INFO + "b.list", INFO + "b.preinst", INFO + "b.triggers"} == \
        {path.decode() for path in layer.writer.second_paths}
    assert {path.decode() for path in layer.writer.second_paths} < set(members)
    assert "Package: b" not in layer.content("var/lib/dpkg/status")
    assert status.startswith(b"Package: b\nStatus: install ok unpacked\n")
    assert "a\n" == layer.content("var/lib/dpkg/triggers/ldconfig")
    assert {b"ldconfig": b"a\nb\n", b"File": b"/man b\n"} == triggers


def test_the_same_packages_make_the_same_layer(tmp_path: Path) -> None:
    """Byte by byte: the time is the suite's, not that of the making."""
    tars = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        layer = Layer(tmp_path / name)
        layer.merge_usr()
        layer.add("a", directory(b"./bin"), file(b"./bin/a", b"x"))
        layer.read()
        tars.append(layer.tar.fileobj.getvalue())

    assert tars[0] == tars[1]
