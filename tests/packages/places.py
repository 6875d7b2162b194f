"""Two places made from one image, in which the same steps are taken.

    Chroot       the image's tar unpacked by root, entered by root with chroot
    Container    the image in a store of an ordinary user, entered by that user with
                 `lpmx exec`, under the filter that kills who tries something privileged

Both show /proc, /sys and /dev of the machine, and as /mnt a directory that the steps
are given.
"""
from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable, Optional, Sequence, TypeVar

from support import nopriv, trees
from support.images import Built, remove
from union.worlds import identity

from . import inventory

Result = TypeVar("Result")

#: The seed: Python 3.9 writes constant sets into a .pyc in the order of their hashes.
ENVIRONMENT = ("HOME=/root", "LC_ALL=C", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive",
               "PYTHONHASHSEED=0",
               "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")

#: Seconds; a step that hangs is ended, and has failed.
LIMIT = "5400"


class PlaceFailed(Exception):
    """A place could not be made or read; the message has what was printed."""


@dataclass(frozen=True)
class Done:
    """What a script printed, how it ended, and the CPU seconds of all its processes."""

    output: str
    code: int
    seconds: float


class Place:
    """A place in which scripts run. Use as a context manager: it is removed at the end."""

    name: str

    def __init__(self, built: Built, given: Optional[Path] = None) -> None:
        self._top = Path(tempfile.mkdtemp(prefix=f"lpmx-{self.name}-", dir=os.environ.get(
            "LPMX_TEST_SCRATCH", "/var/tmp")))
        self._top.chmod(0o755)
        self._given = given or self._top / "nothing"
        try:
            if not given:
                self._given.mkdir()
            self._make(built)
        except BaseException:
            remove(self._top)
            raise

    def _make(self, built: Built) -> None:
        """Make the place below `_top`."""
        raise NotImplementedError

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *unused: object) -> None:
        remove(self._top)

    def command(self, *words: str, user: str = "root") -> list[str]:
        """What the machine executes so that these words are executed in the place."""
        raise NotImplementedError

    def run(self, script: str, user: str = "root") -> Done:
        """Run a shell script as that user of the place."""
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                ["timeout", LIMIT, *self.command("sh", "-c", "umask 022\n" + script, user=user)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")
            # not process.wait(): the kernel counts the time of the descendants here only
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            return Done(output.read().decode(errors="replace"), process.returncode,
                        used.ru_utime + used.ru_stime)

    def read(self, words: Sequence[str], reader: Callable[[IO[bytes]], Result]) -> Result:
        """Run a command as the place's root, and give what it prints to `reader`."""
        with tempfile.TemporaryFile() as errors:
            with subprocess.Popen(["timeout", LIMIT, *self.command(*words)], cwd="/",
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=errors) as process:
                assert process.stdout is not None
                result = reader(process.stdout)
            if process.returncode:
                errors.seek(0)
                raise PlaceFailed(f"{self.name}: {words[0]} ended with {process.returncode}\n"
                                 + errors.read().decode(errors="replace")[-4000:])
        return result

    def tree(self, top: str = "/", *without: str) -> inventory.Tree:
        """Every file below `top`, as the place's own tar sees it."""
        return self.read(inventory.pack(top, *without), inventory.read)


class Chroot(Place):
    """The image's root file system in a directory, entered by the machine's root."""

    name = "chroot"

    def _make(self, built: Built) -> None:
        self.root = self._top / "root"
        self.root.mkdir()
        subprocess.run(["tar", "-C", str(self.root), "--numeric-owner", "-p", "--xattrs",
                        "--xattrs-include=*", "-xf", str(built.tar)], check=True)

    def command(self, *words: str, user: str = "root") -> list[str]:
        # in namespaces of its own, so that neither a mount nor a process is left, nor shared memory;
        # and no more than the container's root may it be nicer again than whoever runs the test
        enter = ('root=$1; given=$2; user=$3; shift 3; mount --bind "$given" "$root/mnt"; '
                 'mount --rbind /dev "$root/dev"; mount --rbind /sys "$root/sys"; '
                 'mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"; '
                 'mount -t proc proc "$root/proc"; exec setpriv --bounding-set -sys_nice '
                 'chroot --userspec="$user" "$root" "$@"')
        return ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "sh", "-ec", enter, "sh",
                str(self.root), str(self._given), user, "env", "-i", *ENVIRONMENT, *words]


class Container(Place):
    """A container of the image, in a store that belongs to an ordinary user.

    `preload=False` leaves its programs to the trap alone, `rewrite=True` has their call sites
    rewritten; `confined=False` leaves the
    killing filter out, for programs that have their own tracers. `beside` is another of the
    same image, in whose store this one is made; that one is removed after it.
    """

    name = "container"

    def __init__(self, built: Built, given: Optional[Path] = None, *, preload: bool = True,
                 rewrite: bool = False, confined: bool = True,
                 beside: Optional["Container"] = None) -> None:
        self._preload, self._rewrite = preload, rewrite
        self._confined, self._beside = confined, beside
        super().__init__(built, given)

    def _make(self, built: Built) -> None:
        self._user = pwd.getpwuid(identity()[0])
        self.store = self._beside.store if self._beside else self._top / "store"
        self._container = self._top.name
        os.chown(self._top, self._user.pw_uid, self._user.pw_gid)
        if not self._beside:
            self._lpmx("load", str(built.layout))
        self._lpmx("create", "--name", self._container, "--contain", "--no-gpu",
                   *([] if self._preload else ["--no-preload"]),
                   *(["--rewrite"] if self._rewrite else []),
                   "-v", f"{self._given}:/mnt:ro", built.reference)
        self._layers = self._beside._layers if self._beside else self.layers()

    def __exit__(self, *unused: object) -> None:
        try:
            self._lpmx("rm", "-f", self._container)
        finally:
            super().__exit__()

    def command(self, *words: str, user: str = "root") -> list[str]:
        return self._as_user("exec", "-u", user, "-w", "/", self._container,
                             "env", "-i", *ENVIRONMENT, *words)

    def layers(self) -> dict[str, str]:
        """A digest of every layer, which must never change."""
        return {path.name: trees.digest(path)
                for path in sorted((self.store / "layers" / "sha256").iterdir())}

    def layers_changed(self) -> bool:
        return self._layers != self.layers()

    def _as_user(self, *arguments: str) -> list[str]:
        become = [sys.executable, nopriv.__file__, "--kill", "--user", self._user.pw_name] \
            if self._confined else ["runuser", "-u", self._user.pw_name, "--"]
        return [*become, "env", f"HOME={self._top}", f"LPMX_STORE={self.store}",
                str(Path(sys.executable).with_name("lpmx")), *arguments]

    def _lpmx(self, *arguments: str) -> None:
        done = subprocess.run(self._as_user(*arguments), stdin=subprocess.DEVNULL, cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise PlaceFailed(f"lpmx {' '.join(arguments)}: {done.stdout}")

