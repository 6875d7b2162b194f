"""An image from a Debian mirror: made by an ordinary user, and as good as by root's tools.

LPMX_TEST_SUITES names the suites to try, "bookworm" if it is not set; a mirror is
what the machine's apt is configured with.
"""
from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
import signal
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from support import debs, images, layers, leftovers, nopriv
from support.gpg import Signer, make_signer
from support.images import CannotBuild
from support.mirror import Mirror, relist
from support.views import Layered

from lpmx_runtime.image.debian.release import unsigned_text
from lpmx_runtime.store import Store

SUITES = os.environ.get("LPMX_TEST_SUITES", "bookworm").split()

#: What mmdebstrap's recipes of support/images.py have beyond the base system. The last one
#: makes apt's answer for bookworm ours, too: apt takes it to merge /usr.
INCLUDED = {"bullseye": ["python3-venv", "ca-certificates"],
            "bookworm": ["python3-venv", "ca-certificates", "usrmerge"]}

SHADOW = "/etc/shadow"


@pytest.fixture(scope="session")
def upstream() -> str:
    try:
        return images.mirror()
    except CannotBuild as error:
        pytest.skip(str(error))


@pytest.fixture
def mirror(upstream: str) -> Iterator[Mirror]:
    made = Mirror(upstream)
    yield made
    made.close()


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    yield from make_signer(tmp_path_factory.mktemp("gpg"))


class Bootstrapped:
    """A store with one image, made by the command line."""

    def __init__(self, path: Path, suite: str, lpmx: Path) -> None:
        self.path = path
        self.suite = suite
        self._lpmx = lpmx
        includes = INCLUDED.get(suite, ["python3-venv", "ca-certificates"])
        self.made = self.run("bootstrap", f"debian:{suite}", "--include", ",".join(includes),
                             "--allow-expired")
        assert 0 == self.made.returncode, self.made.stderr

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([self._lpmx, *words], env={**os.environ, "LPMX_STORE": str(self.path)},
                              cwd="/", preexec_fn=nopriv.confine, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=300)

    def inside(self, script: str) -> str:
        """What a shell script prints in a fresh container of the image; it must succeed."""
        done = self.run("run", f"debian:{self.suite}", "--", "sh", "-ec", script)
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=SUITES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
         upstream: str, installed: Any, lower_hash: Callable) -> Iterator[Bootstrapped]:
    path = tmp_path_factory.mktemp(request.param) / "store"
    bootstrapped = Bootstrapped(path, request.param, installed.lpmx)
    before = lower_hash(path)
    yield bootstrapped
    assert [] == leftovers.wait_for_none([path]), "left behind by the tests"
    after = lower_hash(path)
    images.remove(path)
    assert before == after, "a lower layer changed"


def test_progress_is_shown_and_the_name_printed(made: Bootstrapped) -> None:
    """On a log, a line when something begins and when it ends."""
    told = made.made.stderr

    assert f"debian:{made.suite}\n" == made.made.stdout
    assert "signature verified" in told
    for what in ("Downloading", "Unpacking packages", "Configuring packages"):
        assert re.search(rf"^{what}.*: done", told, re.MULTILINE), told


def test_image_says_how_it_was_made(made: Bootstrapped, upstream: str) -> None:
    """Two layers with their history, a shell as its command."""
    image = Store.open(made.path).images.find(f"debian:{made.suite}")

    assert "bootstrapped" == image.origin and 2 == len(image.diff_ids)
    assert ["bash"] == image.config["config"]["Cmd"]
    assert any(text.startswith("PATH=/usr/local/sbin:") for text in image.config["config"]["Env"])
    assert 2 == len(image.config["history"])
    assert upstream.rstrip("/") in image.config["history"][0]["comment"]
    assert "yes" == image.config["config"]["Labels"]["org.lpmx.bootstrap.verified"]


def test_every_package_is_installed_and_unharmed(made: Bootstrapped) -> None:
    """As root of the image sees it: nothing half done, no file changed, no owner wrong."""
    states = made.inside("dpkg-query -W -f '${db:Status-Abbrev}\\n' | sort | uniq -c")

    assert re.fullmatch(r" *\d+ ii *\n", states)
    assert "" == made.inside("dpkg --audit; dpkg -V; apt-get check -qq")


def test_interpreters_run(made: Bootstrapped) -> None:
    """The shell's, perl's and Python's own libraries are found."""
    assert "42\n" == made.inside("perl -MList::Util=sum -e 'print sum(40, 2), qq(\\n)'")
    assert "ok\n" == made.inside("python3 -c 'import ssl, sqlite3, ctypes, venv; print(\"ok\")'")


def test_packages_can_be_installed(made: Bootstrapped, upstream: str) -> None:
    """apt finds the mirror, believes its signature, and a package works afterwards."""
    assert re.search(rf"^deb .*{re.escape(upstream.rstrip('/'))} {made.suite} main$",
                     made.inside("cat /etc/apt/sources.list"), re.MULTILINE)
    shown = made.inside("apt-get -qq update && apt-get -qq -y install --no-install-recommends file "
                        ">/dev/null 2>&1; dpkg -V; file -L /bin/sh")

    assert shown.startswith("/bin/sh: ELF 64-bit LSB")


def expected_differences(suite: str) -> dict[str, str]:
    """Patterns of paths, and why mmdebstrap's tree is not ours there."""
    found = {
        r"/dev/.*": "device nodes; a container has the host's",
        r"/etc/(hosts|machine-id|resolv.conf|hostname|fstab)": "of a machine, not of an image",
        r"/etc/apt/sources.list": "its options",
        r"/etc/(passwd-|group-|shadow-|gshadow-|subuid-|subgid-|\.pwd\.lock)": "older copies; locks",
        r"/var/lib/dpkg/(status-old|diversions-old|statoverride-old|arch|available)":
            "older copies; what dpkg makes when it is missing",
        r"/var/cache/debconf/.*-old": "older copies",
        r"/var/(cache/apt/archives|lib/apt/lists)/(lock|partial)": "apt's, made when it runs",
        r"/var/lib/apt/extended_states": "its order",
        r"/etc/shells": "the order of two scripts",
        r"/run/.*": "of a running system",
    }
    if suite == "bullseye":
        found[r".*\.pyc"] = "Python 3.9 writes the same code in more than one way"
    if suite == "bookworm":
        found[r"/usr/share/.*/usr-is-merged(/.*)?"] = "installed here so that nothing is converted"
        found[r"/var/lib/dpkg/(info/usr-is-merged\..*|status)"] = "the same"
        found[r"/(usr/)?lib(x?32)"] = "for foreign architectures, where usrmerge leaves them out"
        found[r"/usr/bin/(gunzip|uncompress)"] = "one file; usrmerge makes two of it"
    return found


def test_tree_is_the_one_that_mmdebstrap_makes(made: Bootstrapped, tmp_path: Path) -> None:
    """Types, modes, owners, link targets, hard links and content; what differs is explained."""
    try:
        theirs = read_tar(images.Cache().get(made.suite).tar)
    except (CannotBuild, FileNotFoundError, KeyError) as error:
        pytest.skip(f"needs the test image {made.suite}: {error}")
    store = Store.open(made.path)
    with Layered(store, tmp_path / "view",
                 store.images.find(f"debian:{made.suite}").diff_ids) as layered:
        ours = {path: comparable(facts) for path, facts in layered.shown().items()}
        ours[SHADOW] = ours[SHADOW][:3] + content_facts(SHADOW, layered.view.read(SHADOW))
    explained = re.compile("|".join(f"(?:{p})" for p in expected_differences(made.suite)) + r"\Z")

    differing = {path: (ours.get(path), theirs.get(path)) for path in {*ours, *theirs}
                 if ours.get(path) != theirs.get(path) and not explained.match(path)}

    assert {} == differing
    assert len(theirs) > 5000


def comparable(facts: tuple) -> tuple:
    """A fact of Layered.shown without time and attributes."""
    mode = int(facts[0], 8)
    if stat.S_ISREG(mode):
        return facts[:5] + facts[7:]
    return facts


def content_facts(path: str, content: bytes) -> tuple:
    """Size and hash of a file; without the days on which the accounts were made, where it has them."""
    if path == SHADOW:
        content = re.sub(rb"(?m)^([^:]*:[^:]*:)\d+:", rb"\1:", content)
    return len(content), hashlib.sha256(content).hexdigest()


def read_tar(path: Path) -> dict[str, tuple]:
    """The members of a tar, in the form of Layered.shown; names of one file share the first."""
    kinds = {tarfile.REGTYPE: stat.S_IFREG, tarfile.DIRTYPE: stat.S_IFDIR,
             tarfile.SYMTYPE: stat.S_IFLNK, tarfile.CHRTYPE: stat.S_IFCHR}
    found: dict[str, tuple] = {}
    names: dict[str, list[str]] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            name = "/" + os.path.normpath(member.name)
            if name == "/.":
                continue
            if member.islnk():
                names.setdefault("/" + os.path.normpath(member.linkname), []).append(name)
                continue
            mode = 0o777 if member.issym() else member.mode
            facts: tuple = (oct(kinds[member.type] | mode), member.uid, member.gid)
            if member.isreg():
                content = tar.extractfile(member)
                assert content is not None
                facts += content_facts(name, content.read())
            elif member.issym():
                facts += (member.linkname,)
            elif member.ischr():
                facts += (os.makedev(member.devmajor, member.devminor),)
            found[name] = facts
    for first, others in names.items():
        group = [first, *others]
        # a walk meets a file first in the directory that it visits first
        order = walk_order([*found, *others])
        facts = found[first] + (len(group), min(group, key=order.__getitem__))
        for name in group:
            found[name] = facts
    return found


def walk_order(paths: list[str]) -> dict[str, int]:
    """When Layered.shown meets a path: last directories first, names in order."""
    children: dict[str, list[str]] = {}
    for path in paths:
        children.setdefault(path.rpartition("/")[0], []).append(path)
    order: dict[str, int] = {}
    todo = [""]
    while todo:
        for path in sorted(children.get(todo.pop(), ())):
            order[path] = len(order)
            if path in children:
                todo.append(path)
    return order


# -- mirrors that are not as they should be


def names_in(store: Path) -> list[str]:
    """What the store holds: images, layers, blobs, indexes, and what is being made."""
    return sorted(str(path.relative_to(store)) for part in ("images", "layers", "blobs", "indexes",
                                                            "containers", "tmp")
                  for path in (store / part).rglob("*")
                  if path.parent.name not in ("layers", "blobs", "indexes")) if store.exists() else []


def flip(content: bytes) -> bytes:
    """One bit changed in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:]


@pytest.mark.parametrize("pattern,change,cause", [
    (r"InRelease$", lambda content: content.replace(b"Origin: Debian", b"Origin: Debiam"),
     "the signature of the mirror's Release file is wrong"),
    (r"InRelease$", lambda content: unsigned_text(content).encode(), "has no valid signature"),
    (r"Packages|by-hash", flip, "it is not what the Release file says"),
    (r"/mawk_.*\.deb$", flip, "it is not what the package list says"),
    (r"/mawk_.*\.deb$", lambda content: content[:-1], "it is not what the package list says"),
    (r"/mawk_.*\.deb$", lambda content: content + b"x", "it is larger than the"),
    (r"/mawk_.*\.deb$", lambda content: None, "the server does not have it (404"),
    (r"Release", lambda content: None, 'the mirror has no suite "bookworm"'),
])
def test_damaged_mirror_is_refused(lpmx: Callable, store: Path, mirror: Mirror, pattern: str,
                                   change: Callable, cause: str) -> None:
    """Whatever of it is wrong: the message says what, and the store stays empty."""
    mirror.change[pattern] = change

    done = lpmx("bootstrap", "debian:bookworm", "--variant", "minbase", "--mirror", mirror.url)

    assert 1 == done.returncode
    assert cause in done.stderr and "\nhint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == names_in(store)


@pytest.mark.parametrize("words,cause", [
    (["debian:nosuch"], 'the mirror has no suite "nosuch"'),
    (["debian:bookworm", "--include", "no-such-package"], 'has no package "no-such-package"'),
    (["ubuntu:22.04"], "we can make Debian images only"),
    (["debian@sha256:" + "0" * 64], "a digest names no suite"),
    (["debian:bookworm", "--keyring", "/nonexistent"], 'cannot read the keyring "/nonexistent"'),
])
def test_what_cannot_be_made_is_named(lpmx: Callable, store: Path, mirror: Mirror,
                                      words: list[str], cause: str) -> None:
    """Before anything is downloaded."""
    done = lpmx("bootstrap", *words, "--mirror", mirror.url)

    assert 1 == done.returncode
    assert cause in done.stderr and "\nhint: " in done.stderr
    assert [] == [path for path in mirror.asked if path.endswith(".deb")]
    assert [] == names_in(store)


def test_mirror_that_is_down(lpmx: Callable, store: Path) -> None:
    """Nobody listens on that port."""
    done = lpmx("bootstrap", "debian:bookworm", "--mirror", "http://127.0.0.1:9/debian")

    assert 1 == done.returncode
    assert 'cannot fetch "http://127.0.0.1:9/debian/dists/bookworm/InRelease": ' in done.stderr
    assert "connection refused" in done.stderr


def sign(mirror: Mirror, signer: Signer, change: Callable[[str], str]) -> None:
    """Let the mirror serve a changed Release file, signed by our key."""
    text = change(unsigned_text(mirror.file("dists/bookworm/InRelease")))
    signed = signer.clear_sign(text)
    mirror.change[r"InRelease$"] = lambda content: signed


def test_expired_package_list_is_refused(lpmx: Callable, store: Path, mirror: Mirror,
                                         signer: Signer) -> None:
    """Somebody may hold back updates; the option says that one knows."""
    sign(mirror, signer, lambda text: text.replace(
        "Codename:", "Valid-Until: Sat, 01 Jan 2022 00:00:00 UTC\nCodename:"))
    words = ["bootstrap", "debian:bookworm", "--mirror", mirror.url, "--keyring", signer.ring]

    done = lpmx(*words)
    allowed = lpmx(*words, "--allow-expired", "--include", "stop-here")

    assert 1 == done.returncode
    assert "was good until 01 January 2022 only" in done.stderr
    assert "--allow-expired" in done.stderr
    assert "note: the package list of bookworm expired on 01 January 2022" in allowed.stderr
    assert 'no package "stop-here"' in allowed.stderr


def test_key_that_the_host_does_not_have(lpmx: Callable, store: Path, mirror: Mirror,
                                         signer: Signer) -> None:
    """The hint says how to name it."""
    sign(mirror, signer, lambda text: text)

    done = lpmx("bootstrap", "debian:bookworm", "--mirror", mirror.url)

    assert 1 == done.returncode
    assert "signed by keys that are not known here" in done.stderr
    assert "--keyring" in done.stderr


def test_host_without_gpgv_says_so(lpmx: Callable, store: Path, mirror: Mirror,
                                   tmp_path: Path) -> None:
    """Nothing is verified then but hashes, and nobody can overlook it."""
    done = lpmx("bootstrap", "debian:bookworm", "--mirror", mirror.url, "--include", "stop-here",
                env={"PATH": str(tmp_path)})

    assert "note: the signature of" in done.stderr and "this host has no gpgv" in done.stderr
    assert "NOT verified" in done.stderr


def add_package(mirror: Mirror, signer: Signer, scratch: Path, name: str, *members: bytes,
                **scripts: bytes) -> None:
    """Let the mirror have one more package, listed and signed."""
    control = (f"Package: {name}\nVersion: 1\nArchitecture: all\n"
               "Maintainer: A <a@example.org>\nDescription: a package for a test\n").encode()
    content = debs.write(scratch / "package.deb", {"control": control, **scripts},
                         layers.tar(layers.directory(b"."), *members)).read_bytes()
    listed = "main/binary-amd64/Packages"
    packages = lzma.decompress(mirror.file(f"dists/bookworm/{listed}.xz")) + control + (
        f"Filename: pool/{name}.deb\nSize: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n").encode()
    sign(mirror, signer, lambda text: relist(text.replace("Acquire-By-Hash: yes\n", ""), listed,
                                             packages))
    mirror.change[rf"{listed}$"] = lambda _: packages
    mirror.change[rf"pool/{name}\.deb$"] = lambda _: content


def test_package_whose_script_fails(lpmx: Callable, store: Path, mirror: Mirror, signer: Signer,
                                    tmp_path: Path) -> None:
    """What the script said is shown; the store is as it was."""
    add_package(mirror, signer, tmp_path, "lpmx-broken",
                postinst=b"#!/bin/sh\necho out of cheese >&2\nexit 42\n")

    done = lpmx("bootstrap", "debian:bookworm", "--variant", "minbase", "--mirror", mirror.url,
                "--keyring", signer.ring, "--include", "lpmx-broken")

    assert 1 == done.returncode
    assert "configuring its packages ended with exit code 1" in done.stderr
    assert "out of cheese" in done.stderr and "lpmx-broken" in done.stderr
    assert [] == names_in(store)


def test_preinst_script_does_not_find_what_comes_after_it(
        lpmx: Callable, store: Path, mirror: Mirror, signer: Signer, tmp_path: Path) -> None:
    """A package may take files that are there already for an older installation's."""
    add_package(mirror, signer, tmp_path, "lpmx-wary", layers.directory(b"./opt"),
                layers.directory(b"./opt/wary"), layers.file(b"./opt/wary/new", b"new\n"),
                preinst=b"#!/bin/sh\nrm -rf /opt/wary\nmkdir -p /opt/made\necho $1 >/opt/made/by\n"
                        b"dpkg --compare-versions \"$DPKG_RUNNING_VERSION\" ge 1.20\n",
                postinst=b"#!/bin/sh\ncat /opt/wary/new /opt/made/by >/opt/both\n",
                md5sums=hashlib.md5(b"new\n").hexdigest().encode() + b"  opt/wary/new\n")

    lpmx("bootstrap", "debian:bookworm", "--variant", "minbase", "--mirror", mirror.url,
         "--keyring", signer.ring, "--include", "lpmx-wary", check=True)
    shown = lpmx("run", "debian:bookworm", "--", "sh", "-ec",
                 "cat /opt/both; dpkg -V; dpkg --audit; dpkg -L lpmx-wary", check=True)

    assert "new\ninstall\n/.\n/opt\n/opt/wary\n/opt/wary/new\n" == shown.stdout


@pytest.mark.parametrize("stage", ["Downloading", "Configuring"])
def test_interrupted_bootstrap_leaves_nothing(installed: Any, store: Path, mirror: Mirror,
                                              stage: str) -> None:
    """No process, no half of an image, nothing in the staging directory."""
    running = subprocess.Popen(
        [installed.lpmx, "bootstrap", "debian:bookworm", "--variant", "minbase", "--mirror",
         mirror.url], env={**os.environ, "LPMX_STORE": str(store)}, preexec_fn=nopriv.confine,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith(stage):
            break

    running.send_signal(signal.SIGINT)
    rest = running.communicate(timeout=60)[1]

    assert 130 == running.returncode
    assert "Traceback" not in rest
    assert [] == leftovers.wait_for_none([store])
    assert [] == names_in(store)


def test_image_can_be_described_by_scripts(made: Bootstrapped) -> None:
    """`lpmx inspect` shows where it is from."""
    shown = made.run("inspect", f"debian:{made.suite}")

    assert 0 == shown.returncode
    assert made.suite in json.dumps(json.loads(shown.stdout))
