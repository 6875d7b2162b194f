"""The same scenario in several worlds, each a process that makes system calls.

    plain      the merged tree in an ordinary directory, entered by chroot
    overlay    kernel overlayfs over the same layers, entered by chroot
    python     our view through the core's Python binding
    trap       our view, a static program, so that the trap alone catches its calls
    preload    our view, a dynamic program with the preload library
    self       as `trap`, without the root illusion: as with `--user host`
    live       as `python`, the merged tree being one live directory below the upper
    address    our view through the core built with AddressSanitizer and UBSan
    thread     so with ThreadSanitizer, while another thread looks about in the view

Those of the kernel run as root, for whom they show what the root illusion shows to an
ordinary user; ours run as one.
"""
from __future__ import annotations

import atexit
import ctypes
import hashlib
import io
import multiprocessing
import os
import pwd
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Callable, Iterable, List, Optional, Sequence, Tuple

from lpmx_runtime import _native
from lpmx_runtime.store import Store

from .hosted import hosted
from .layers import Layer, as_change, as_lower, as_tar
from .operations import Operation, encode

HERE = Path(__file__).resolve().parent

KERNEL = ("plain", "overlay")
#: The hosted core, and how it is built: what a sanitizer finds ends the process.
SANITIZERS = {"address": "address,undefined", "thread": "thread"}
OURS = ("python", "trap", "rewritten", "preload", "self", "live", *SANITIZERS)
#: A process each that is in its view for life; the others can be taken to another.
PROGRAMS = ("trap", "rewritten", "preload", "self")
#: The first of these that there is: whom our worlds run as when root runs the tests.
USERS = (os.environ.get("LPMX_TEST_USER", ""), "lpmx-test", "tester", "nobody")


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


def scratch() -> Optional[Path]:
    """A place in memory for scenarios that need no disk, if files there can have attributes."""
    place = Path("/dev/shm")
    if "LPMX_TEST_SCRATCH" in os.environ or not os.access(place, os.W_OK):
        return None
    with tempfile.NamedTemporaryFile(dir=place) as file:
        try:
            os.setxattr(file.name, "user.lpmx", b"")
        except OSError:
            return None
    return place


class World:
    """A process that is in the scenario's tree and does what it is told."""

    #: Seconds that a process may take for a batch before it is held to be stuck.
    PATIENCE = 60

    def __init__(self, name: str, process: subprocess.Popen) -> None:
        self.name = name
        self.process = process
        assert process.stdin and process.stdout
        self._in, self._out = process.stdin, process.stdout

    def send(self, batch: bytes) -> None:
        """Have the operations of a batch done; `answers` tells what came of them."""
        try:
            self._in.write(batch)
            self._in.flush()
        except BrokenPipeError:
            pass    # answers will say so

    def answers(self, count: int) -> List[bytes]:
        """As many answers; of a process that ended or got stuck that it did, for all of them."""
        data = bytearray()
        while data.count(b"\n") < count:
            if not select.select([self._out], [], [], self.PATIENCE)[0]:
                self.process.kill()
                return [b"the process is stuck"] * count
            more = os.read(self._out.fileno(), 1 << 20)
            if not more:
                return [b"the process ended with status %d" % self.process.wait()] * count
            data += more
        return bytes(data).split(b"\n")[:count]

    def ask(self, operation: Operation) -> bytes:
        self.send(encode([operation]))
        return self.answers(1)[0]

    def close(self) -> None:
        """End the process; nothing is asked of it any more."""
        self.process.kill()
        try:
            self._in.close()
        except BrokenPipeError:
            pass    # what was still to be sent to one that had ended
        self._out.close()
        self.process.wait()


class Bench:
    """Layers in every form, and worlds made of them. Use as a context manager."""

    def __init__(self, layers: Sequence[Layer], names: Iterable[str],
                 place: Optional[Path] = None) -> None:
        self.layers = list(layers)
        self.names = list(names)
        #: The most names that one file has in a layer.
        self.most_links = max([1, *(1 + count for layer in self.layers for count in Counter(
            thing.target for thing in layer.values() if thing.kind == "hardlink").values())])
        self.root = Path(tempfile.mkdtemp(prefix="lpmx-union-", dir=place or os.environ.get(
            "LPMX_TEST_SCRATCH", "/var/tmp")))
        self.root.chmod(0o755)
        self.worlds: List[World] = []
        self._mounts: List[Path] = []
        self._maker: Optional[AsUser] = None
        self._remover: Optional[subprocess.Popen] = None
        self.place: Optional[Path] = None
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
            world.close()
        if self._maker:
            self._maker.close()
        if self._remover:
            self._remover.wait()
        for mount in reversed(self._mounts):
            _unmount(mount)
        subprocess.run(["chmod", "-R", "u+rwX", str(self.root)], check=False)
        subprocess.run(["rm", "-rf", str(self.root)], check=False)

    # -- making

    def _prepare(self) -> None:
        uid, gid = identity()
        ours = [name for name in self.names if name in OURS]
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
            filler = AsUser(_fill_store)
            try:
                diff_ids = filler.do(str(home), [as_tar(layer) for layer in self.layers])
            finally:
                filler.close()
            store = Store.open(home / "store")
            self.index = store.indexes.path(diff_ids)
            self.trees = store.indexes.trees(diff_ids)
        if ours:
            caller()
            for name in self.names:
                if name in SANITIZERS:
                    checked(name)
            self._maker = AsUser(self._make_view)
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
        """New worlds, in all of which nothing has happened yet; the old ones are gone."""
        before, mounts = self.place, self._mounts
        self._count += 1
        self._mounts = []
        self.place = self.root / ("run%d" % self._count)
        self.place.mkdir()
        kept = {world.name: world for world in self.worlds if world.process.poll() is None}
        self.worlds = []
        for name in self.names:
            place = self.place / name
            target = self._kernel(name, place) if name in KERNEL else self._ours(name, place)
            world = kept.pop(name, None)
            if world is None or name in PROGRAMS:   # whose view is for life
                if world:
                    world.close()
                world = self._start(name, target)
            self.worlds.append(world)
            if name not in PROGRAMS:
                world.ask(("enter", target))
        for mount in reversed(mounts):
            _unmount(mount)
        if self._remover:
            self._remover.wait()
        if before:  # while the new ones are at work
            self._remover = subprocess.Popen(["rm", "-rf", str(before)])
        return self.worlds

    def _kernel(self, name: str, place: Path) -> str:
        """A fresh directory for a world of the kernel to have as its root."""
        root = place / "root"
        if name == "plain":
            as_change(self.layers, root)
        else:
            for part in (root, place / "upper", place / "work"):
                part.mkdir(parents=True)
            lowers = ":".join(str(self.root / "lowers" / str(n))
                              for n in reversed(range(len(self.layers))))
            _mount("overlay", root, "overlay", 0,
                   f"lowerdir={lowers},upperdir={place}/upper,workdir={place}/work,userxattr")
            self._mounts.append(root)
        _mount("/proc", root / "proc", "", MS_BIND, "")
        self._mounts.append(root / "proc")
        return str(root)

    def _ours(self, name: str, place: Path) -> str:
        """A view file over a fresh upper."""
        for part in (place, place / "upper", place / "work"):
            part.mkdir()
            os.chown(part, *identity())
        assert self._maker
        return str(self._maker.do(name, str(place)))

    def _make_view(self, name: str, where: str) -> str:
        place = Path(where)
        fields = [("kind", "container"), ("name", name), ("directory", place),
                  ("loader", _native.loader_path()),
                  ("upper", place / "upper"), ("work", place / "work"),
                  ("control", place / "control")]
        if name != "self":
            fields += [("uid", 0), ("gid", 0)]
        if name == "live":
            fields.append(("layer", self.root / "live"))
        else:
            fields += [("layer", tree) for tree in self.trees]
            fields.append(("index", self.index))
        fields += [("bind", "rw\0/proc\0/proc"), ("bind", f"ro\0/.lpmx/bin\0{caller().parent}"),
                   ("bind", f"ro\0/.lpmx/lib\0{os.path.dirname(_native.preload_path())}")]
        if name == "preload":
            fields.append(("preload", _native.preload_path()))
        _native.control_create(place / "control")
        text = "lpmx-view 1\0" + "".join(f"{key}\0{value}\0" for key, value in fields)
        (place / "view").write_bytes(os.fsencode(text))
        with _native.View(place / "view") as view:
            view.make_bind_points()
        return str(place / "view")

    def _start(self, name: str, target: str) -> World:
        if name in KERNEL:
            return self._process(name, [str(caller())])
        if name in ("python", "live"):
            shared = caller().with_name("shared")
            return self._process(name, [sys.executable, str(HERE / "cffi_door.py"), str(shared)],
                                 user=True)
        if name in SANITIZERS:
            return self._process(name, [str(checked(name))], user=True,
                                 TSAN_OPTIONS="halt_on_error=1")
        program = "/.lpmx/bin/" + ("dynamic" if name == "preload" else "static")
        # call sites that trap a second time are rewritten
        more = {"LPMX_REWRITE": "2"} if name == "rewritten" else {}
        return self._process(name, [program], user=True, executable=str(_native.loader_path()),
                             LPMX_VIEW=target, LPMX_PROGRAM=program, LPMX_CWD="/", **more)

    def _process(self, name: str, argv: List[str], *, user: bool = False,
                 executable: Optional[str] = None, **variables: str) -> World:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1"}
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        environment.update(variables)
        return World(name, subprocess.Popen(
            argv, executable=executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=environment, cwd="/", preexec_fn=_become_user if user else None))


MS_BIND, MNT_DETACH = 4096, 2
_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    if _libc.mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags),
                   options.encode()):
        raise OSError(ctypes.get_errno(), "cannot mount", str(target))


def _unmount(target: Path) -> None:
    if _libc.umount2(os.fsencode(target), MNT_DETACH):
        raise OSError(ctypes.get_errno(), "cannot unmount", str(target))


def _become_user() -> None:
    uid, gid = identity()
    if not os.geteuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


class AsUser:
    """A process that is the ordinary user, and calls `function` as often as it is told."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        self._child = os.fork()
        if not self._child:
            status = 1
            try:
                self._ours.close()
                _become_user()
                os.environ["HOME"] = "/nonexistent"
                while True:
                    try:
                        arguments = theirs.recv()
                    except EOFError:
                        break
                    theirs.send(function(*arguments))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        theirs.close()

    def do(self, *arguments: object) -> object:
        """What the function returns."""
        self._ours.send(arguments)
        return self._ours.recv()

    def close(self) -> None:
        self._ours.close()
        os.waitpid(self._child, 0)


def _fill_store(home: str, tars: List[bytes]) -> List[str]:
    """The store and the chain of layers that the tars are in it."""
    store = Store.open(Path(home) / "store")
    diff_ids = [store.layers.add(io.BytesIO(tar)) for tar in tars]
    store.indexes.ensure(diff_ids)
    return [str(diff_id) for diff_id in diff_ids]


_CALLERS: List[Path] = []


def caller() -> Path:
    """The compiled caller, "static"; beside it are "dynamic", which brings its own libc as
    the view has none, and "shared"."""
    if not _CALLERS:
        place = Path(tempfile.mkdtemp(prefix="lpmx-caller-", dir=os.environ.get(
            "LPMX_TEST_SCRATCH", "/var/tmp")))
        place.chmod(0o755)
        flags = ["-O1", "-Wall", "-Wextra", "-Werror", *map(str, (HERE / "caller").glob("*.c"))]
        for name, special in (
                ("static", ["-static"]), ("shared", ["-DSHARED", "-shared", "-fPIC"]),
                ("dynamic", ["-DLIBC", "-Wl,--dynamic-linker=/.lpmx/bin/ld.so",
                             "-Wl,-rpath=/.lpmx/bin"])):
            subprocess.run(["gcc", "-o", str(place / name), *flags, *special], check=True)
        for library, name in (("ld-linux-x86-64.so.2", "ld.so"), ("libc.so.6", "libc.so.6")):
            found = subprocess.run(["gcc", "-print-file-name=" + library], check=True,
                                   stdout=subprocess.PIPE, text=True).stdout.strip()
            shutil.copy(os.path.realpath(found), place / name)
            (place / name).chmod(0o755)
        _CALLERS.append(place / "static")
        atexit.register(shutil.rmtree, place, True)
    return _CALLERS[0]


def checked(name: str) -> Path:
    """The caller with the core in it, built for a world of SANITIZERS."""
    return hosted("checked.c", sanitize=SANITIZERS[name],
                  options=["-DSHARED", *map(str, sorted((HERE / "caller").glob("*.c")))])


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
