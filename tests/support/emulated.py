"""A machine of aarch64, emulated by qemu: a Debian in memory, and what is put into it.

    Machine(images.get("emulated").tar).run("lpmx check", {"usr/bin/lpmx": (content, 0o755)})

It has no disk and no network. A script is run there by an ordinary user, and what it prints
into a pipe is on the console. Slow: what takes a second here takes from twenty to a hundred there.
"""
from __future__ import annotations

import io
import re
import stat
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import BinaryIO, Dict, Iterator, Mapping, Tuple

#: Path without its first slash -> content, mode.
Files = Mapping[str, Tuple[bytes, int]]

#: What is of no use there.
LEFT_OUT = re.compile(r"\./(boot|usr/lib/modules|usr/share/(doc|man|locale|bug|lintian)|var|usr/lib/firmware)(/|$)"
                      r"|.*/__pycache__/|.*/(test|idlelib|ensurepip|lib2to3)/")

INIT = """#!/bin/busybox sh
export PATH=/usr/local/bin:/usr/bin:/bin HOME=/home/user
busybox mkdir -p /proc /sys /dev /tmp /home/user /run
busybox mount -t proc proc /proc; busybox mount -t sysfs sys /sys; busybox mount -t devtmpfs dev /dev
busybox mkdir -p /dev/shm /dev/pts; busybox mount -t devpts pts /dev/pts; busybox mount -t tmpfs shm /dev/shm
busybox mount -t tmpfs -o mode=1777 tmp /tmp; busybox ip link set lo up; busybox chmod 1777 /dev/shm
echo 'root:x:0:0:root:/root:/bin/sh
user:x:1000:1000::/home/user:/bin/sh' >/etc/passwd; echo 'root:x:0:
user:x:1000:' >/etc/group
busybox chown -R 1000:1000 /home/user; cd /home/user
echo; echo "== begin"
python3 -c 'import os; os.setgroups([]); os.setgid(1000); os.setuid(1000); os.execv("/bin/sh", ["sh", "/script"])' 2>&1 |
    busybox cat
echo "== end"
busybox poweroff -f
"""


def entry(out: BinaryIO, name: str, mode: int, data: bytes = b"", owner: int = 0) -> None:
    """One of a cpio archive of the kind that the kernel unpacks for itself ("newc")."""
    encoded = name.encode() + b"\0"
    fields = (0, mode, owner, owner, 1, 1_700_000_000, len(data), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % each for each in fields) + encoded
    for part in (head, data):
        out.write(part + b"\0" * (-len(part) % 4))


class Machine:
    """What it begins with; each run is a machine of its own."""

    def __init__(self, tar: Path) -> None:
        self.base = io.BytesIO()
        self.kernel = b""
        with tarfile.open(tar) as opened:
            for member in opened:
                if re.match(r"\./boot/vmlinuz-", member.name):
                    self.kernel = self._content(opened, member)
                elif not LEFT_OUT.match(member.name):
                    self._add(opened, member)

    @staticmethod
    def _content(opened: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        file = opened.extractfile(member)  # of a hard link, what it leads to
        return file.read() if file is not None else b""

    def _add(self, opened: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = member.name[2:] or "."
        if member.isdir():
            entry(self.base, name, stat.S_IFDIR | member.mode)
        elif member.issym():
            entry(self.base, name, stat.S_IFLNK | 0o777, member.linkname.encode())
        elif member.isfile() or member.islnk():
            entry(self.base, name, stat.S_IFREG | member.mode, self._content(opened, member))

    def run(self, script: str, files: Files, timeout: int = 7200) -> str:
        """What the script prints there."""
        with tempfile.TemporaryDirectory(prefix="emulated-") as scratch:
            kernel, memory = Path(scratch, "kernel"), Path(scratch, "memory")
            kernel.write_bytes(self.kernel)
            with memory.open("wb") as out:
                out.write(self.base.getbuffer())
                for each in parents([*files, "script", "init"]):
                    entry(out, each, stat.S_IFDIR | 0o755, owner=1000 * each.startswith("home/user/"))
                for name, (content, mode) in files.items():
                    entry(out, name, stat.S_IFREG | mode, content, 1000 * name.startswith("home/user/"))
                entry(out, "script", stat.S_IFREG | 0o755, script.encode())
                entry(out, "init", stat.S_IFREG | 0o755, INIT.encode())
                entry(out, "TRAILER!!!", 0)
            said = self._boot(kernel, memory, timeout)
        found = re.search(r"^== begin\n(.*)^== end$", said, re.MULTILINE | re.DOTALL)
        assert found, said[-3000:]
        return found[1]

    @staticmethod
    def _boot(kernel: Path, memory: Path, timeout: int) -> str:
        try:
            done = subprocess.run(
                ["qemu-system-aarch64", "-M", "virt", "-cpu", "max", "-smp", "2", "-m", "2G",
                 "-accel", "tcg,thread=multi", "-nic", "none", "-nographic", "-no-reboot",
                 "-kernel", str(kernel), "-initrd", str(memory), "-append",
                 "console=ttyAMA0 loglevel=1 random.trust_cpu=on panic=-1 rdinit=/init"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
            said = done.stdout
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"") + b"\nstopped: too late\n"
        return said.decode(errors="replace").replace("\r", "")


def parents(names: "list[str]") -> Iterator[str]:
    """The directories above, from above; those that are there stay."""
    seen = {""}
    for name in names:
        parts = name.split("/")[:-1]
        for n in range(len(parts)):
            directory = "/".join(parts[:n + 1])
            if directory not in seen:
                seen.add(directory)
                yield directory


class Built:
    """The native parts, and programs, as the compiler for aarch64 of this machine makes them."""

    COMPILER = "aarch64-linux-gnu-gcc"

    def __init__(self, checkout: Path, into: Path) -> None:
        self.native = into / "native"
        self.into = into
        self.checkout = checkout
        subprocess.run(["make", "-s", "-C", str(checkout / "native"), f"CC={self.COMPILER}",
                        f"BUILD={self.native}"], check=True)

    def part(self, name: str) -> bytes:
        return (self.native / name).read_bytes()

    def program(self, source: Path, *flags: str) -> bytes:
        made = self.into / "program"
        subprocess.run([self.COMPILER, "-D_GNU_SOURCE", "-O1", "-w", "-pthread", *flags, "-o", str(made),
                        str(source)], check=True)
        return made.read_bytes()

    def module(self, source: Path) -> bytes:
        """The compiled core of Python, from what cffi wrote: of Python's headers only names count."""
        made, headers = self.into / "_core.abi3.so", self.into / "headers"
        python = next(path for path in sorted(Path("/usr/include").glob("python3.*"))
                      if (path / "Python.h").exists())
        (headers / "aarch64-linux-gnu").mkdir(parents=True, exist_ok=True)
        link = headers / "aarch64-linux-gnu" / python.name
        if not link.is_symlink():
            link.symlink_to(next(Path("/usr/include").glob(f"*-linux-gnu/{python.name}")))
        subprocess.run([self.COMPILER, "-shared", "-fPIC", "-std=gnu11", "-O1", "-w", "-ffreestanding",
                        "-fno-strict-aliasing", "-fvisibility=hidden", "-DPy_LIMITED_API=0x03090000",
                        f"-I{headers}", f"-I{python}", f"-I{self.checkout / 'native' / 'include'}",
                        "-o", str(made), str(source),
                        *map(str, sorted((self.checkout / "native" / "core").glob("*.c")))], check=True)
        return made.read_bytes()


def view(kind: str, directory: str, **more: str) -> bytes:
    """A view file of the whole machine."""
    fields: "list[Tuple[str, str]]" = [
        ("kind", "host" if kind == "host" else "container"), ("name", "bench"), ("directory", directory),
        ("loader", "/lpmx/loader")]
    if kind != "host":
        fields += [("layer", "/"), ("upper", f"{directory}/upper"), ("work", f"{directory}/work"),
                   ("hostview", "/lpmx/host")]
        fields += [("bind", f"rw\0{at}\0{at}") for at in ("/proc", "/dev", "/sys", "/tmp")]
        fields += [("bind", "ro\0/.lpmx/lib\0/lpmx")]
    fields += list(more.items())
    return b"lpmx-view 1\0" + b"".join(f"{key}\0{value}\0".encode() for key, value in fields)


def files_below(top: Path, at: str, pattern: str = "*.py") -> Dict[str, Tuple[bytes, int]]:
    """The files of a directory as they are put into a machine."""
    return {f"{at}/{path.relative_to(top)}": (path.read_bytes(), 0o644) for path in top.rglob(pattern)}
