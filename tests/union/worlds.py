"""The same scenario in several worlds, each a process that makes system calls.

    plain      the merged tree in an ordinary directory, entered by chroot
    overlay    kernel overlayfs over the same layers, entered by chroot
    python     our view through the core's Python binding
    trap       our view, a static program, so that the trap alone catches its calls
    preload    our view, a dynamic program with the preload library
    live       as `python`, the merged tree being one live directory below the upper

Those of the kernel run as root, for whom they show what the root illusion shows to an
ordinary user; ours run as one.
"""
from __future__ import annotations

import atexit
import hashlib
import io
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Optional, Sequence, Tuple

from lpmx_runtime import _native
from lpmx_runtime.store import Store

from .layers import Layer, as_change, as_lower, as_tar

HERE = Path(__file__).resolve().parent

KERNEL = ("plain", "overlay")
OURS = ("python", "trap", "preload", "live")
#: The first of these that there is: whom our worlds run as when root runs the tests.
USERS = (os.environ.get("LPMX_TEST_USER", ""), "lpmx-test", "tester", "nobody")

Arg = object  # int, bytes, str (a path) or Room


class Room(int):
    """That many bytes of memory for the answer."""


def identity() -> Tuple[int, int]:
    """Whom our worlds run as."""
    if os.geteuid():
        return os.geteuid(), os.getegid()
    for name in USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise RuntimeError("there is no ordinary user to run as; set LPMX_TEST_USER")


class World:
    """A process that is in the scenario's tree and does what it is told."""

    def __init__(self, name: str, process: subprocess.Popen) -> None:
        self.name = name
        self.process = process
        self.fds: Dict[int, int] = {}   # the scenario's descriptors -> the process's
        assert process.stdin and process.stdout
        self._in, self._out = process.stdin, process.stdout

    def calls(self, requests: Sequence[Sequence[Arg]]) -> List[Tuple[int, List[bytes]]]:
        """Make system calls, one after the other: result or -errno, and the rooms."""
        lines = []
        for request in requests:
            words = []
            for arg in request:
                if isinstance(arg, Room):
                    words.append("+%d" % arg)
                elif isinstance(arg, int):
                    words.append("%d" % arg)
                else:
                    data = os.fsencode(arg) if isinstance(arg, str) else bytes(arg)  # type: ignore[call-overload]
                    words.append("=" + data.hex())
            lines.append(" ".join(words))
        self._in.write(("\n".join(lines) + "\n\n").encode())
        self._in.flush()
        answers = []
        for request in requests:
            line = self._out.readline()
            if not line:
                raise RuntimeError(f"the process of world {self.name!r} ended "
                                   f"(status {self.process.wait()}) at {request!r}")
            words = line.split()
            answers.append((int(words[0]), [bytes.fromhex(w.decode()) for w in words[1:]]))
        return answers

    def call(self, *request: Arg) -> Tuple[int, List[bytes]]:
        return self.calls([request])[0]

    def close(self) -> None:
        self._in.close()
        self._out.close()
        self.process.wait(timeout=30)


class Bench:
    """Layers in every form, and worlds made of them. Use as a context manager."""

    def __init__(self, layers: Sequence[Layer], names: Iterable[str]) -> None:
        self.layers = list(layers)
        self.names = list(names)
        self.root = Path(tempfile.mkdtemp(prefix="lpmx-union-", dir=os.environ.get(
            "LPMX_TEST_SCRATCH", "/var/tmp")))
        self.root.chmod(0o755)
        self.worlds: List[World] = []
        self._mounts: List[Path] = []
        self._bases: Dict[str, Path] = {}
        self._count = 0

    def __enter__(self) -> "Bench":
        try:
            self._prepare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused: object) -> None:
        for world in self.worlds:
            world.process.kill()
            world.process.wait()
        for mount in reversed(self._mounts):
            subprocess.run(["umount", "-l", str(mount)], check=False)
        subprocess.run(["chmod", "-R", "u+rwX", str(self.root)], check=False)
        subprocess.run(["rm", "-rf", str(self.root)], check=False)

    # -- making

    def _prepare(self) -> None:
        uid, gid = identity()
        ours = [name for name in self.names if name in OURS]
        if "plain" in self.names:
            self._bases["plain"] = self.root / "merged"
        if "live" in self.names:
            as_change(self.layers, self.root / "live")
            self._give(self.root / "live")
        if "overlay" in self.names:
            for number, layer in enumerate(self.layers):
                as_lower(layer, self.root / "lowers" / str(number))
        if set(ours) - {"live"}:
            home = self.root / "home"
            home.mkdir()
            os.chown(home, uid, gid)
            # the store belongs to the ordinary user, as does all that is done in it
            _as_user(_fill_store, home, [as_tar(layer) for layer in self.layers])
            store = Store.open(home / "store")
            diff_ids = (home / "chain").read_text().split()
            self.index = store.indexes.path(diff_ids)
            self.trees = store.indexes.trees(diff_ids)
        self.lower_hash = hash_trees(self.lower_trees())

    def lower_trees(self) -> List[Path]:
        """Every lower layer there is: nothing that is done may change them."""
        trees = list(getattr(self, "trees", []))
        if (self.root / "live").exists():
            trees.append(self.root / "live")
        return trees

    def _give(self, tree: Path) -> None:
        uid, gid = identity()
        for place, directories, files in os.walk(tree):
            for name in directories + files + ["."]:
                os.chown(os.path.join(place, name), uid, gid, follow_symlinks=False)

    def fresh(self) -> List[World]:
        """New worlds, in all of which nothing has happened yet."""
        for world in self.worlds:
            world.close()
        for mount in reversed(self._mounts):
            subprocess.run(["umount", "-l", str(mount)], check=True)
        self._mounts = []
        self._count += 1
        place = self.root / ("run%d" % self._count)
        place.mkdir()
        self.place = place
        self.worlds = [getattr(self, "_start_" + ("kernel" if name in KERNEL else "ours"))(
            name, place / name) for name in self.names]
        for world in self.worlds:
            world.calls([(95, 0o022), (80, "/")])  # umask, chdir
        return self.worlds

    def _start_kernel(self, name: str, place: Path) -> World:
        root = place / "root"
        if name == "plain":
            as_change(self.layers, root)
        else:
            for part in (root, place / "upper", place / "work"):
                part.mkdir(parents=True)
            lowers = ":".join(str(self.root / "lowers" / str(n))
                              for n in reversed(range(len(self.layers))))
            subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                            f"lowerdir={lowers},upperdir={place}/upper,workdir={place}/work,"
                            "userxattr", str(root)], check=True)
            self._mounts.append(root)
        subprocess.run(["mount", "--rbind", "/proc", str(root / "proc")], check=True)
        self._mounts.append(root / "proc")
        return self._start(name, [str(caller("static")), "--root", str(root)])

    def _start_ours(self, name: str, place: Path) -> World:
        uid, gid = identity()
        _as_user(self._make_view, name, place)
        view = place / "view"
        if name in ("python", "live"):
            return self._start(name, [sys.executable, str(HERE / "cffi_door.py"), str(view)],
                               user=True)
        kind = "dynamic" if name == "preload" else "static"
        return self._start(name, ["/.lpmx/bin/" + caller(kind).name], user=True,
                           executable=str(_native.loader_path()),
                           LPMX_VIEW=str(view), LPMX_PROGRAM="/.lpmx/bin/" + caller(kind).name,
                           LPMX_CWD="/")

    def _make_view(self, name: str, place: Path) -> Path:
        for part in ("upper", "work"):
            (place / part).mkdir(parents=True)
        fields = [("kind", "container"), ("name", name), ("directory", place),
                  ("loader", _native.loader_path()),
                  ("upper", place / "upper"), ("work", place / "work"),
                  ("control", place / "control"), ("uid", 0), ("gid", 0)]
        if name == "live":
            fields.append(("layer", self.root / "live"))
        else:
            fields += [("layer", tree) for tree in self.trees]
            fields.append(("index", self.index))
        fields += [("bind", "rw\0/proc\0/proc"), ("bind", f"ro\0/.lpmx/bin\0{caller('static').parent}"),
                   ("bind", f"ro\0/.lpmx/lib\0{_native.preload_path().parent}")]
        if name == "preload":
            fields.append(("preload", _native.preload_path()))
        _native.control_create(place / "control")
        text = "lpmx-view 1\0" + "".join(f"{key}\0{value}\0" for key, value in fields)
        (place / "view").write_bytes(os.fsencode(text))
        with _native.View(place / "view") as view:
            view.make_bind_points()
        return place / "view"

    def _start(self, name: str, argv: List[str], *, user: bool = False,
               executable: Optional[str] = None, **variables: str) -> World:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1"}
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        environment.update(variables)
        return World(name, subprocess.Popen(
            argv, executable=executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=environment, cwd="/", preexec_fn=_become_user if user else None))


def _become_user() -> None:
    uid, gid = identity()
    if not os.geteuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def _as_user(function: Callable[..., object], *args: object) -> None:
    """Call `function` in a child process that is the ordinary user."""
    place = args[-1] if isinstance(args[-1], Path) else args[0]
    if isinstance(place, Path) and not place.exists():
        place.mkdir()
        os.chown(place, *identity())
    child = os.fork()
    if not child:
        status = 1
        try:
            _become_user()
            function(*args)
            status = 0
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"could not do {function} as an ordinary user")


def _fill_store(home: Path, tars: List[bytes]) -> None:
    os.environ["HOME"] = str(home)
    store = Store.open(home / "store")
    diff_ids = [store.layers.add(io.BytesIO(tar)) for tar in tars]
    store.indexes.ensure(diff_ids)
    (home / "chain").write_text(" ".join(diff_ids))


_CALLERS: Dict[str, Path] = {}


def caller(kind: str) -> Path:
    """The compiled caller.c. The dynamic one brings its own libc, for the view has none."""
    if not _CALLERS:
        place = Path(tempfile.mkdtemp(prefix="lpmx-caller-", dir=os.environ.get(
            "LPMX_TEST_SCRATCH", "/var/tmp")))
        place.chmod(0o755)
        flags = ["-O1", "-w", "-pthread", str(HERE / "caller.c")]
        subprocess.run(["gcc", "-static", "-o", str(place / "static"), *flags], check=True)
        subprocess.run(["gcc", "-DLIBC", "-o", str(place / "dynamic"), *flags,
                        "-Wl,--dynamic-linker=/.lpmx/bin/ld.so", "-Wl,-rpath=/.lpmx/bin"],
                       check=True)
        for library, name in (("ld-linux-x86-64.so.2", "ld.so"), ("libc.so.6", "libc.so.6")):
            found = subprocess.run(["gcc", "-print-file-name=" + library], check=True,
                                   stdout=subprocess.PIPE, text=True).stdout.strip()
            shutil.copy(os.path.realpath(found), place / name)
            (place / name).chmod(0o755)
        _CALLERS.update({kind: place / kind for kind in ("static", "dynamic")})
        atexit.register(shutil.rmtree, place, True)
    return _CALLERS[kind]


def hash_trees(trees: Iterable[Path]) -> str:
    """All that can be told about the trees, but for access times."""
    total = hashlib.sha256()
    for tree in trees:
        for place, directories, files in sorted(os.walk(tree)):
            directories.sort()
            for name in sorted(directories + files) + ["."]:
                path = os.path.join(place, name)
                st = os.lstat(path)
                told = [path, st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_ino,
                        st.st_mtime_ns, st.st_ctime_ns]
                if stat.S_ISLNK(st.st_mode):
                    told.append(os.readlink(path))
                else:
                    told += [(key, os.getxattr(path, key)) for key in sorted(os.listxattr(path))]
                total.update(repr(told).encode())
                if stat.S_ISREG(st.st_mode):
                    with open(path, "rb") as file:
                        total.update(file.read())
    return total.hexdigest()
