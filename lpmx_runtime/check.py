"""`lpmx check`: what containers need of a host, each tried for real.

Nothing is concluded from version numbers or configuration where it can be tried: a
program is started under the filter, a file gets an attribute. A finding says what was
found and, where it is not the best, what follows from it.
"""
from __future__ import annotations

import errno
import fcntl
import mmap
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Iterator, NamedTuple, Optional

from . import _native
from .container import inside, record
from .container.spec import Bind, ViewSpec
from .errors import LpmxError
from .store import Store
from .store.files import READ_ONLY
from .store.verify import verify

OK, LIMITED, MISSING = "ok", "limited", "missing"

_FICLONE = 0x40049409
_MINIMUM_KERNEL = (3, 5)
_TIMEOUT = 20
_PAGE_SIZE = 4096


class Finding(NamedTuple):
    """One thing that was tried: `verdict` is "ok", "limited" (works, with a drawback) or
    "missing" (containers do not work without it)."""

    subject: str
    verdict: str
    found: str
    follows: str = ""


def check(store: Path) -> list[Finding]:
    """Try everything; `store` is where the store is or would be."""
    place = _existing(store)
    findings = [_kernel(), _proc()]
    findings += _containers(place)
    if not os.access(place, os.W_OK | os.X_OK):
        findings.append(Finding("store", MISSING, f'"{place}" cannot be written to',
                                READ_ONLY if os.statvfs(place).f_flag & os.ST_RDONLY else
                                "point LPMX_STORE at a directory of your own"))
        return findings
    with tempfile.TemporaryDirectory(prefix=".lpmx-check-", dir=place) as scratch:
        findings.append(_room(store, place))
        if (store / "version").exists():
            findings.append(_content(store))
        for try_it in (_execution, _locks, _attributes, _hard_links, _whiteouts, _clones):
            findings.append(try_it(Path(scratch)))
    return findings


def _existing(path: Path) -> Path:
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def _content(path: Path) -> Finding:
    """Whether what is in the store is whole."""
    try:
        store = Store.open(path)
        faults = list(verify(store))
        images, layers = len(store.images.list()), len(store.layers.list())
    except LpmxError as error:
        return Finding("content of the store", MISSING, str(error), error.hint or "")
    if not faults:
        return Finding("content of the store", OK,
                       f"{images} image{'s' * (images != 1)} of {layers} "
                       f"layer{'s' * (layers != 1)}, all whole")
    first = faults[0]
    more = f" (and {len(faults) - 1} more faults)" if faults[1:] else ""
    return Finding("content of the store", LIMITED, f"{first.thing}: {first.cause}{more}",
                   first.remedy)


# -- the kernel ---------------------------------------------------------------------------


def _kernel() -> Finding:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2]
                    if part.isdigit())
    found = f"Linux {release}, {platform.machine()}"
    if numbers and numbers < _MINIMUM_KERNEL:
        return Finding("kernel", MISSING, found, "Linux 3.5 is the first with seccomp filters")
    if platform.machine() not in ("x86_64", "aarch64"):
        return Finding("kernel", MISSING, found, "programs for this machine are not supported")
    size = os.sysconf("SC_PAGE_SIZE")
    if size != _PAGE_SIZE:
        return Finding("kernel", MISSING, f"{found}, with pages of {size >> 10} KiB",
                       "the loader is built for pages of 4 KiB, and this kernel does not start it; "
                       "images can still be pulled")
    return Finding("kernel", OK, found)


def _proc() -> Finding:
    try:
        os.readlink("/proc/self/exe")
        with open("/proc/self/maps", "rb") as file:
            file.read(1)
    except OSError as error:
        return Finding("/proc", MISSING, _cause(error),
                       "programs cannot be told their own paths; mount /proc")
    return Finding("/proc", OK, "it is mounted and shows our own processes")


# -- the three ways into the core ---------------------------------------------------------


def _containers(place: Path) -> Iterator[Finding]:
    """The ways, tried where containers can be: in another one, where it shows the host."""
    outer = inside.container()
    found = [each for each in (tempfile.gettempdir(), str(place))
             if inside.is_hosts(each) and os.access(each, os.W_OK | os.X_OK)]
    if outer is not None and not (found and inside.is_hosts(str(record.LOADER))):
        yield Finding("container in a container", MISSING, f'this is container "{outer}", whose files '
                      "are not those of the host", "containers cannot be made here; run \"lpmx host lpmx "
                      '...\", or bind the store and what lpmx is installed in, each at its own path')
        return
    if outer is not None:
        yield Finding("container in a container", OK, f'this is container "{outer}", and the host shows '
                      "through where containers are")
    with tempfile.TemporaryDirectory(prefix="lpmx-check-", dir=found[0] if found else None) as scratch:
        yield from _ways(Path(scratch))


def _ways(scratch: Path) -> Iterator[Finding]:
    try:
        loader, tool = _native.loader_path(), _native.tool_path()
        view = _view(scratch, loader)
    except (LpmxError, OSError) as error:
        yield Finding("loader", MISSING, str(error), "install the package again")
        return
    trapped, refused = _start(loader, view, [tool, "info"])
    if trapped is None:
        yield Finding("loader", MISSING, refused,
                      "the installation must be on a file system from which programs can be "
                      f'executed: "{loader}"')
        return
    yield Finding("loader", OK, "it can be executed")
    trap = _trap(trapped)
    yield trap
    if trap.verdict == OK:
        yield _preload(loader, view)
        yield _set_user_id(loader, view)


def _view(scratch: Path, loader: str) -> Path:
    """A view that shows this machine."""
    (scratch / "upper").mkdir()
    (scratch / "work").mkdir()
    _native.control_create(scratch / "control")
    native = os.path.dirname(loader)
    binds = [Bind(native, "/.lpmx/bin", True), Bind(native, "/.lpmx/lib", True),
             Bind("/proc", "/proc"), Bind("/dev", "/dev")]
    path = scratch / "view"
    path.write_bytes(ViewSpec(
        kind="container", name="check", loader=loader, directory=scratch, layers=["/"],
        upper=scratch / "upper", work=scratch / "work", control=scratch / "control",
        preload=_native.preload_path(), binds=binds).encode())
    return path


def _start(loader: str, view: Path,
           argv: list[str]) -> "tuple[Optional[subprocess.CompletedProcess[str]], str]":
    """Run a program in the view: the result, or None and why it could not be started."""
    environment = {"LPMX_VIEW": str(view), "LPMX_PROGRAM": argv[0], "PATH": "/usr/bin:/bin"}
    try:
        return subprocess.run(argv, executable=loader, env=environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=_TIMEOUT, check=False), ""
    except OSError as error:
        return None, f"it cannot be executed: {_cause(error)}"
    except subprocess.TimeoutExpired:
        return None, f"a program did not end within {_TIMEOUT} seconds"


def _trap(result: "subprocess.CompletedProcess[str]") -> Finding:
    """The contained command has no C library: only a trap can bring it to the core."""
    if result.returncode == 0 and "check" in result.stdout:
        return Finding("trap", OK, "system calls of every program are trapped, by seccomp")
    if result.returncode < 0:
        found = f"a trapped program was killed by signal {-result.returncode}"
    else:
        lines = result.stderr.strip().splitlines() or [f"it ended with {result.returncode}"]
        found = lines[0].rpartition(": ")[2]
    return Finding("trap", MISSING, found,
                   "no program can be run in a container here: it would see the host instead. "
                   "Images can still be pulled. Whoever runs this machine, or the container that "
                   "this is, must allow seccomp filters (a kernel with CONFIG_SECCOMP_FILTER, "
                   "and nothing that forbids the call seccomp)")


def _preload(loader: str, view: Path) -> Finding:
    """Whether the library is really in a dynamic program's memory."""
    program = next((path for path in ("/bin/cat", "/usr/bin/cat") if os.path.exists(path)), None)
    if program is None:
        return Finding("preload", LIMITED, "there is no cat to try it with")
    result, refused = _start(loader, view, [program, "/proc/self/maps"])
    if result is not None and "/preload.so\n" in result.stdout:
        return Finding("preload", OK, "calls of dynamic programs take the fast way")
    lines = result.stderr.strip().splitlines() if result is not None else [refused]
    return Finding("preload", LIMITED, lines[-1] if lines else "it is not loaded",
                   "every call is trapped instead: right, but slower, and programs that run do "
                   "not see a change of the live environment")


def _set_user_id(loader: str, view: Path) -> Finding:
    """What sudo, su and their like are in a container, as the kernel says it of a program there."""
    program = next((path for path in ("/bin/cat", "/usr/bin/cat") if os.path.exists(path)), None)
    result, _ = _start(loader, view, [program, "/proc/self/status"]) if program else (None, "")
    if result is None or "NoNewPrivs:\t1\n" not in result.stdout:
        return Finding("set-user-ID programs", LIMITED, "this host does not tell what they may do",
                       "they are never given another user's rights by a container")
    return Finding("set-user-ID programs", OK, "sudo, su and their like run, without the rights of "
                                               "their owners (no_new_privs)")


# -- the store's file system ----------------------------------------------------------------


def _room(store: Path, place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    found = f'"{store}" has {free / (1 << 30):.1f} GiB free'
    if free < 1 << 30:
        return Finding("store", LIMITED, found,
                       "images need from 100 MiB to several GiB; LPMX_STORE moves the store")
    return Finding("store", OK, found)


def _execution(scratch: Path) -> Finding:
    """The loader maps programs; a file system mounted noexec does not let it."""
    path = scratch / "program"
    path.write_bytes(b"\xc3" * mmap.PAGESIZE)
    try:
        with open(path, "rb") as file:
            mmap.mmap(file.fileno(), mmap.PAGESIZE, flags=mmap.MAP_PRIVATE,
                      prot=mmap.PROT_READ | mmap.PROT_EXEC).close()
    except OSError as error:
        return Finding("programs in the store", MISSING,
                       f"they cannot be mapped to be executed ({_cause(error)}): the file "
                       "system is mounted noexec",
                       "no program of an image can run; point LPMX_STORE at another file system")
    return Finding("programs in the store", OK, "they can be executed")


def _locks(scratch: Path) -> Finding:
    with open(scratch / "lock", "wb") as first, open(scratch / "lock", "wb") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return Finding("locks", MISSING, f"flock is refused: {_cause(error)}",
                           "two processes cannot share the store; on Lustre, the mount option "
                           '"flock" is needed')
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return Finding("locks", OK, "flock excludes others")
    return Finding("locks", MISSING, "flock is granted to two at once",
                   "two processes that change the store may damage it: use one at a time")


def _attributes(scratch: Path) -> Finding:
    path = scratch / "attribute"
    path.mkdir()
    try:
        os.setxattr(path, "user.overlay.opaque", b"y")
        if os.getxattr(path, "user.overlay.opaque") == b"y":
            return Finding("user attributes", OK, "owners, devices and replaced directories are "
                                                  "remembered with the files")
        found = "they are not kept"
    except OSError as error:
        found = f"they cannot be set: {_cause(error)}"
    return Finding("user attributes", MISSING, found,
                   "what chown, mknod and the replacing of directories change in a container "
                   "cannot be remembered; point LPMX_STORE at another file system")


def _hard_links(scratch: Path) -> Finding:
    path = scratch / "linked"
    path.touch()
    try:
        os.link(path, scratch / "link")
    except OSError as error:
        return Finding("hard links", LIMITED, f"they cannot be made: {_cause(error)}",
                       "images take more room, and programs in containers cannot make them")
    return Finding("hard links", OK, "they can be made")


def _whiteouts(scratch: Path) -> Finding:
    try:
        os.mknod(scratch / "whiteout", stat.S_IFCHR, 0)
    except OSError as error:
        return Finding("whiteouts", OK if error.errno == errno.EPERM else LIMITED,
                       f"device 0/0 is refused ({_cause(error)})",
                       "what is deleted is remembered by an attribute instead")
    return Finding("whiteouts", OK, "device 0/0 can be made, as overlayfs does")


def _clones(scratch: Path) -> Finding:
    with open(scratch / "source", "wb") as source:
        source.write(b"x" * 65536)
    with open(scratch / "source", "rb") as source, open(scratch / "clone", "wb") as clone:
        try:
            fcntl.ioctl(clone.fileno(), _FICLONE, source.fileno())
        except OSError:
            return Finding("reflinks", LIMITED, "this file system has none",
                           "the first change of a big file of an image copies it")
    return Finding("reflinks", OK, "a changed file shares what is unchanged")


def _cause(error: OSError) -> str:
    return os.strerror(error.errno or 0).lower()


