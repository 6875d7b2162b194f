"""`lpmx install` and `%lpmx install`: packages by the package manager of the image."""
from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from lpmx_runtime.container import packages
from lpmx_runtime.errors import RunFailed
from support import debs, layers
from support.imagetree import Tree
from support.notebooks import Jupyter

BULLSEYE_SOURCES = "/etc/apt/sources.list"


class Named:
    """As much of a container as a message needs."""

    name, familiar = "work", "some:1"


def planned(tree: Tree, *names: str) -> list[str]:
    with tree.view() as view:
        return [" ".join(step.argv) for step in packages.planned(view, names, Named())]  # type: ignore[arg-type]


@pytest.mark.parametrize("program,command", [
    ("/usr/bin/dnf", "dnf -y install a b"),
    ("/usr/bin/microdnf", "microdnf -y install a b"),
    ("/bin/yum", "yum -y install a b"),
    ("/sbin/apk", "apk add --no-cache a b"),
    ("/usr/bin/zypper", "zypper --non-interactive install a b"),
    ("/usr/bin/pacman", "pacman -Sy --noconfirm --needed a b"),
])
def test_each_package_manager_is_told_to_ask_nothing(tmp_path: Path, program: str,
                                                     command: str) -> None:
    """The one that the image has is used."""
    tree = Tree(tmp_path)
    tree.program(program)

    assert [command] == planned(tree, "a", "b")


def test_apt_fetches_lists_that_are_missing_or_old(tmp_path: Path) -> None:
    """And mends first what an interrupted installation left."""
    tree = Tree(tmp_path)
    tree.program("/usr/bin/apt-get")
    install = "apt-get -q -y install --no-install-recommends a"
    assert ["apt-get -q update", install] == planned(tree, "a")

    lists = tree.file("/var/lib/apt/lists/mirror_InRelease").parent
    assert [install] == planned(tree, "a")

    os.utime(lists, (0, 0))
    tree.file("/var/lib/dpkg/updates/0001")
    assert ["dpkg --configure -a", "apt-get -q update", install] == planned(tree, "a")


def test_image_without_a_package_manager_says_so(tmp_path: Path) -> None:
    """The message names those that are known."""
    with pytest.raises(RunFailed, match="no package manager that we know") as raised:
        planned(Tree(tmp_path), "a")

    assert "apt-get, dnf" in str(raised.value.hint)


def repository(at: Path, script: str) -> None:
    """A repository of one package, `lpmx-sample`, whose script runs when it is configured."""
    at.mkdir()
    control = (b"Package: lpmx-sample\nVersion: 1\nArchitecture: all\n"
               b"Maintainer: A <a@example.org>\nDescription: a package for a test\n")
    package = debs.write(at / "lpmx-sample.deb", {"control": control, "postinst": script.encode()},
                         layers.tar(layers.directory(b"."),
                                    layers.file(b"./usr-share-sample", b"here\n"))).read_bytes()
    (at / "Packages").write_bytes(control + (
        f"Filename: ./lpmx-sample.deb\nSize: {len(package)}\n"
        f"SHA256: {hashlib.sha256(package).hexdigest()}\n").encode())


def test_package_is_installed_from_a_cell_as_it_says_what_it_does(jupyter: Jupyter) -> None:
    """Real apt, a package of ours; one interrupt asks it to stop, another ends it with
    all that it started, and the next attempt mends what that left."""
    repository(jupyter.folder / "repository",
               "#!/bin/sh\necho configuring; [ -e /go ] || sleep 1000\n")
    kernel = jupyter.start(jupyter.install("bullseye", kernel="host-python"))
    kernel.text(f"open({BULLSEYE_SOURCES!r}, 'w').write("
                f"'deb [trusted=yes] file:{jupyter.folder}/repository ./\\n')")
    said = "%lpmx install lpmx-sample"

    message = kernel.begin(said, "configuring")
    for sign in ("told to stop", "told to stop"):
        kernel.manager.interrupt_kernel()
        kernel.wait_for(message, sign)
    assert "KeyboardInterrupt" == kernel.reply(message)["ename"]
    assert "True" == kernel.text("print(_exit_code != 0)")

    kernel.text("open('/go', 'w').close()")
    assert "configuring" in kernel.text(said)
    assert "0 here" == kernel.text("print(_exit_code, open('/usr-share-sample').read())")
    assert "install ok installed" in kernel.text(
        "!dpkg-query -W -f '${Status}' lpmx-sample")
    kernel.text("%lpmx install no-such-package")
    assert "100" == kernel.text("print(_exit_code)")
    assert "cannot install anything" in kernel.run("%lpmx install").error


def test_command_installs_for_kernels_that_are_not_python(loaded: Any, lpmx: Any) -> None:
    """What the magic does is a command, and its failures are its own."""
    lpmx("create", "--name", "plain", loaded("tiny"), store=loaded.path, check=True)

    def install(*names: str) -> "subprocess.CompletedProcess[str]":
        done: "subprocess.CompletedProcess[str]" = lpmx("install", "plain", *names, store=loaded.path)
        assert 125 == done.returncode
        return done

    assert install("a").stderr.startswith('lpmx: cannot install packages in container "plain"')
    assert install("--", "-a").stderr.startswith('lpmx: cannot install "-a" in container "plain"')
    lpmx("rm", "plain", store=loaded.path, check=True)
