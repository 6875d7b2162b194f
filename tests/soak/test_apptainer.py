"""Singularity image files, to and from the real Apptainer: the same files, the same runscript."""
from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator, Optional

import pytest
from support import images, nopriv, trees
from union.worlds import identity

from .conftest import Record

pytestmark = pytest.mark.root

#: Those that a kernel mounts; lzma it does not.
COMPRESSIONS = ("gzip", "zstd", "xz", "lz4", "lzo")

#: In namespaces of its own with the machine as its root: a chroot is refused by Apptainer.
ENTER = """
root=$1; shared=$2; shift 2
mount --bind "$root" "$root"; mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"
mount -t sysfs sys "$root/sys"; mkdir -p "$root/w" "$root/.old"; mount --bind "$shared" "$root/w"
cd "$root"; pivot_root . .old; umount -l /.old
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$@"
"""

DEFINITION = """Bootstrap: docker-archive
From: /w/image.tar

%environment
    export WHERE="a definition file"
%labels
    Purpose test
%help
    What it is for.
%runscript
    echo "running with $# words: $* in $WHERE"
%apprun greet
    echo "greetings from $SCIF_APPNAME: $*"
%appenv greet
    export TONE=polite
"""

#: All that is of the image: without what either side binds or writes for the machine, and the
#: working directory, which is made for a container that has none.
LISTING = r"""
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/tmp -o -path /root \
    -o -path /run -o -path /w -o -path /.singularity.d \) -prune \
    -o \( -path /etc/hosts -o -path /etc/resolv.conf -o -path /etc/passwd -o -path /etc/group \
    -o -path /etc/localtime -o -path /etc/hostname -o -path /etc/nsswitch.conf \
    -o -path /srv/work -o -path /.exec -o -path /.test -o -path /.run -o -path /.shell -o -path /singularity -o -path /environment \
    -o -path /etc/machine-id -o -path /etc/timezone -o -path /etc -o -path / -o -path /home -o -path /mnt \) \
    -o -type f -printf '%m %s ' -exec sha256sum {} \; \
    -o -type l -printf 'link %l %p\n' -o -printf '%y %m %p\n' | sort
"""

#: Extended attributes of all files of the image, those of Apptainer's session apart.
ATTRIBUTES = """
import os
for top, directories, files in os.walk("/"):
    if top == "/":
        directories[:] = sorted(set(directories) - {"proc", "sys", "dev", "tmp", "root", "run", "w"})
    for name in sorted([*directories, *files]):
        path = os.path.join(top, name)
        try:
            keys = sorted(os.listxattr(path, follow_symlinks=False))
        except OSError:
            continue   # a squashfs in which nothing has any, a link of overlayfs
        for key in keys:
            if key.startswith(("user.", "security.capability")):
                print(path, key, os.getxattr(path, key, follow_symlinks=False))
"""

#: Capabilities for a file, as setcap keeps them: cap_net_raw, permitted and effective.
GIVE_CAPABILITIES = """
import os, struct
os.setxattr("/opt/new", "security.capability", struct.pack("<5I", 0x2000001, 1 << 13, 0, 0, 0))
os.setxattr("/opt/new", "user.colour", b"green")
os.setxattr("/srv", "user.colour", b"blue")
"""


class Machine:
    """Where Apptainer is; `shared` is /w there."""

    def __init__(self, top: Path) -> None:
        self.root, self.shared = top / "machine", top / "w"
        for each in (self.root, self.shared):
            each.mkdir()
        subprocess.run(["tar", "-C", self.root, "--numeric-owner", "-p", "-xf",
                        images.Cache().get("apptainer").tar], check=True)
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        configuration = self.root / "etc/apptainer/apptainer.conf"
        configuration.write_text(configuration.read_text().replace(
            "root default capabilities = full", "root default capabilities = no"))

    def build(self, *words: object) -> None:
        """With all capabilities, which sections of a definition need, and the root of a
        namespace has."""
        self.run("unshare", "-U", "--map-users=0,0,65536", "--map-groups=0,0,65536", "--setuid",
                 "0", "--setgid", "0", "-m", "apptainer", "build", *words)

    def run(self, *words: object) -> str:
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-euc", ENTER, "sh",
             self.root, self.shared, *(str(word) for word in words)], cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=1200)
        assert 0 == done.returncode, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout


class Ours:
    """lpmx as an ordinary user under the killing filter."""

    def __init__(self, top: Path) -> None:
        self.user = pwd.getpwuid(identity()[0])
        self.home = top / "home"
        self.home.mkdir()
        os.chown(self.home, self.user.pw_uid, self.user.pw_gid)
        self.layers = self.home / "store/layers/sha256"

    def __call__(self, *words: object, code: Optional[int] = 0) -> str:
        """What it said; of one that may fail, `code` None, its messages, too."""
        done = subprocess.run(
            [sys.executable, nopriv.__file__, "--kill", "--user", self.user.pw_name, "env", "-i",
             "PATH=/usr/bin:/bin", "LC_ALL=C", f"HOME={self.home}", f"LPMX_STORE={self.home}/store",
             Path(sys.executable).with_name("lpmx"), *(str(word) for word in words)], cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=1200)
        if code is None:
            return done.stdout + done.stderr
        assert code == done.returncode, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    def digests(self) -> dict[str, str]:
        return {path.name: trees.digest(path) for path in sorted(self.layers.iterdir())}


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("apptainer")
    for each in (path, *path.parents):
        if each.stat().st_uid == os.getuid() and each != Path("/") and not each.stat().st_mode & 1:
            each.chmod(each.stat().st_mode | 0o11)
    yield path
    images.remove(path)


@pytest.fixture(scope="module")
def machine(top: Path) -> Machine:
    made = Machine(top)
    shutil.copy(images.Cache().archive("layered", "docker-archive"), made.shared / "image.tar")
    (made.shared / "full.def").write_text(DEFINITION)
    return made


@pytest.fixture(scope="module")
def ours(top: Path) -> Ours:
    return Ours(top)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_apptainer_makes_is_the_same_here(compression: str, machine: Machine, ours: Ours,
                                               record: Record) -> None:
    """Files, modes and content; the runscript with its words, the environment, an app."""
    name = f"{compression}.sif"
    machine.build("--mksquashfs-args", f"-comp {compression}", f"/w/{name}", "/w/full.def")
    os.chmod(machine.shared / name, 0o644)
    image = f"sif:{compression}"

    ours("load", "-q", "--name", image, machine.shared / name)
    before = ours.digests()
    theirs = machine.run("apptainer", "exec", "--containall", f"/w/{name}", "sh", "-c", LISTING)
    here = ours("run", "--contain", image, "--", "sh", "-c", LISTING)
    said = machine.run("apptainer", "run", f"/w/{name}", "a b", "c")
    app = machine.run("apptainer", "run", "--app", "greet", f"/w/{name}")

    count = len(theirs.splitlines())
    odd = set(theirs.splitlines()) ^ set(here.splitlines())
    record("images", f"Apptainer's {compression} file, loaded", count,
           f"{len(odd)} files differ" if odd else "the same files")
    assert not odd and count > 5000
    assert "running with 2 words: a b c in a definition file\n" == said
    assert said == ours("run", "--entrypoint", "/.singularity.d/runscript", image, "--", "a b", "c")
    assert app == ours("run", "-e", "APPTAINER_APPNAME=greet", image)
    assert before == ours.digests()


def test_what_is_made_here_apptainer_runs(machine: Machine, ours: Ours, record: Record) -> None:
    """An image's and a changed container's files, and its command."""
    ours("load", "-q", "--name", "made:1", machine.shared / "image.tar")
    ours("create", "--contain", "--name", "changed", "made:1")
    ours("exec", "changed", "sh", "-c", "echo new >/opt/new; rm -rf /usr/share/man; chmod 700 /srv")
    ours("exec", "changed", "python3", "-c", GIVE_CAPABILITIES)
    ours("env", "set", "changed", "LIVE=yes")
    for what, run in (("made:1", ["run", "--contain", "--entrypoint", "sh", "made:1", "--"]),
                      ("changed", ["exec", "changed", "sh"])):
        file = ours.home / f"{what.partition(':')[0]}.sif"
        ours("build-sif", "-q", what, file)
        shutil.copy(file, machine.shared / file.name)
        here = ours(*run, "-c", LISTING)
        theirs = machine.run("apptainer", "exec", "--containall", f"/w/{file.name}", "sh", "-c",
                             LISTING)
        count = len(here.splitlines())
        odd = set(theirs.splitlines()) ^ set(here.splitlines())
        record("images", f"build-sif of {'an image' if ':' in what else 'a container'}, "
               "in Apptainer", count, f"{len(odd)} files differ" if odd else "the same files")
        assert not odd and count > 5000
        kept = ours(*["python3" if word == "sh" else word for word in run], "-c", ATTRIBUTES)
        assert kept == machine.run("apptainer", "exec", "--containall", f"/w/{file.name}", "python3",
                                   "-c", ATTRIBUTES)
        assert ("/opt/new security.capability" in kept) == (what == "changed")
    assert "hello you from " in machine.run("apptainer", "run", "/w/made.sif", "you")
    assert "yes\n" == machine.run("apptainer", "exec", "/w/changed.sif", "sh", "-c", "echo $LIVE")


def test_signatures_of_apptainer(machine: Machine, ours: Ours, record: Record) -> None:
    """By a PGP key and by bare ones of every kind; what was changed afterwards is refused."""
    keys = {"rsa": ["RSA"], "ecdsa": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "ed25519": ["ED25519"]}
    ours("load", "-q", "--name", "signed:1", machine.shared / "image.tar")
    ours("build-sif", "-q", "signed:1", ours.home / "plain.sif")
    for kind, words in keys.items():
        subprocess.run(["openssl", "genpkey", "-algorithm", *words, "-out",
                        machine.shared / f"{kind}.key"], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", machine.shared / f"{kind}.key", "-pubout", "-out",
                        ours.home / f"{kind}.pem"], check=True)
    machine.run("apptainer", "key", "newpair", "--name", "Tester", "--email", "t@site", "--comment",
                "", "--password", "", "--push=false")
    machine.run("sh", "-euc", "echo 0 | apptainer key export --armor /w/pgp.pem")
    shutil.copy(machine.shared / "pgp.pem", ours.home / "pgp.pem")
    for kind in ("pgp", *keys):
        shutil.copy(ours.home / "plain.sif", machine.shared / f"{kind}.sif")
        machine.run("apptainer", "sign", *(["--keyidx", "0"] if kind == "pgp" else
                                           ["--key", f"/w/{kind}.key"]), f"/w/{kind}.sif")
        os.chmod(ours.home / f"{kind}.pem", 0o644)
        for each in ("pgp", *keys):
            said = ours("load", "-q", "--name", f"{each}:1", "--keyring", ours.home / f"{each}.pem",
                        machine.shared / f"{kind}.sif", code=0 if each == kind else None)
            assert (each == kind) == (said.strip() == f"{each}:1"), said
    with open(machine.shared / "rsa.sif", "r+b") as file:
        file.seek(100_000)
        file.write(b"changed")
    assert "it is not what was signed" in ours(
        "load", "--name", "rsa:2", "--keyring", ours.home / "rsa.pem", machine.shared / "rsa.sif",
        code=None)
    record("images", "Apptainer's signatures, PGP, RSA, ECDSA and Ed25519", 1 + len(keys),
           "verified, and refused with another key")


def test_an_overlay_of_squashfs_in_the_file(machine: Machine, ours: Ours, record: Record) -> None:
    """Added by `apptainer sif add`; Apptainer runs it, and here are the same files."""
    ours("load", "-q", "--name", "below:1", machine.shared / "image.tar")
    ours("build-sif", "-q", "below:1", ours.home / "over.sif")
    shutil.copy(ours.home / "over.sif", machine.shared / "over.sif")
    machine.run("sh", "-euc", "mkdir -p /w/up/usr/share /w/up/opt /w/up/srv; cd /w/up; echo new >opt/new; "
                "mknod usr/share/man c 0 0; mknod etc-gone c 0 0; chmod 700 srv; "
                "mksquashfs /w/up /w/up.sqfs -quiet -no-progress >/dev/null; "
                "apptainer sif add --datatype 4 --parttype 4 --partfs 1 --partarch 2 --groupid 1 "
                "/w/over.sif /w/up.sqfs")
    os.chmod(machine.shared / "over.sif", 0o644)

    ours("load", "-q", "--name", "over:1", machine.shared / "over.sif")

    theirs = machine.run("apptainer", "exec", "--containall", "/w/over.sif", "sh", "-c", LISTING)
    here = ours("run", "--contain", "--entrypoint", "sh", "over:1", "--", "-c", LISTING)
    odd = set(theirs.splitlines()) ^ set(here.splitlines())
    record("images", "a squashfs overlay in Apptainer's file, loaded", len(theirs.splitlines()),
           f"{len(odd)} files differ" if odd else "the same files")
    assert not odd and "d 755 /usr/share/man\n" not in here and "/opt/new" in here
