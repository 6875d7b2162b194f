"""The compiled core, as Python sees it: the same union, without starting a program.

`View` runs file system calls in a view exactly as a contained program's would run,
and raises `OSError` with the kernel's error numbers, as the functions of `os` do.
"""
from __future__ import annotations

import os
import struct

from ..errors import NativeError
from ..light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Iterator, Optional, Union

    _PathLike = Union[str, bytes, "os.PathLike[str]"]

try:
    from ._core import ffi as _ffi
    from ._core import lib as _lib
except ImportError as error:  # pragma: no cover - only in a broken installation
    raise NativeError(f"cannot load the native core: {error}",
                      hint="install it on a file system that is not mounted noexec"
                      if "failed to map segment" in str(error) else
                      "install the wheel again, or build it with a C compiler") from error

_MACHINE = os.uname().machine

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_REMOVEDIR = 0x200

_HERE = os.path.dirname(os.path.realpath(__file__))

#: Numbers of the calls used here, which differ between architectures.
_NUMBERS = {
    "x86_64": dict(openat=257, newfstatat=262, mkdirat=258, mknodat=259, unlinkat=263,
                   renameat2=316, linkat=265, symlinkat=266, readlinkat=267, fchmodat=268,
                   fchownat=260, faccessat=269, utimensat=280, truncate=76, getdents64=217,
                   lgetxattr=192, lsetxattr=189, llistxattr=195, lremovexattr=198, fstat=5,
                   statfs=137),
    "aarch64": dict(openat=56, newfstatat=79, mkdirat=34, mknodat=33, unlinkat=35,
                    renameat2=276, linkat=37, symlinkat=36, readlinkat=78, fchmodat=53,
                    fchownat=54, faccessat=48, utimensat=88, truncate=45, getdents64=61,
                    lgetxattr=9, lsetxattr=6, llistxattr=12, lremovexattr=15, fstat=80,
                    statfs=43),
}
NR = _NUMBERS.get(_MACHINE, {})


def _binary(name: str) -> str:
    path = os.path.join(_HERE, name)
    if not os.path.exists(path):
        raise NativeError(f'cannot find the native program "{name}": it is not installed',
                          hint="install the wheel; a source tree alone has no native parts")
    return path


def loader_path() -> str:
    """The program that starts every contained program."""
    return _binary("loader")


def preload_path() -> str:
    """The library that makes calls of dynamic programs fast."""
    return _binary("preload.so")


def tool_path() -> str:
    """The `lpmx` command for inside containers."""
    return _binary("lpmx")


class Stat(NamedTuple):
    """What stat tells in a view; times in nanoseconds."""

    st_dev: int
    st_ino: int
    st_nlink: int
    st_mode: int
    st_uid: int
    st_gid: int
    st_rdev: int
    st_size: int
    st_blocks: int
    st_atime_ns: int
    st_mtime_ns: int
    st_ctime_ns: int


_STAT_X86_64 = struct.Struct("<QQQIIIIQqqqQQQQQQ24x")
_STAT_AARCH64 = struct.Struct("<QQIIIIQQqiiqQQQQQQ8x")


def _stat(data: bytes) -> Stat:
    if _MACHINE == "aarch64":
        (dev, ino, mode, nlink, uid, gid, rdev, _, size, _, _, blocks,
         at, atn, mt, mtn, ct, ctn) = _STAT_AARCH64.unpack(data)
    else:
        (dev, ino, nlink, mode, uid, gid, _, rdev, size, _, blocks,
         at, atn, mt, mtn, ct, ctn) = _STAT_X86_64.unpack(data)
    second = 1_000_000_000
    return Stat(dev, ino, nlink, mode, uid, gid, rdev, size, blocks,
                at * second + atn, mt * second + mtn, ct * second + ctn)


class Node(NamedTuple):
    """One resolved path: where the object of the view really is."""

    path: str
    host: str
    place: str
    mode: int


_PLACES = {_lib.CORE_ABSENT: "absent", _lib.CORE_UPPER: "upper",
           _lib.CORE_LOWER: "lower", _lib.CORE_BIND: "bind"}


def _check(result: int, *names: _PathLike) -> int:
    if result < 0:
        filename = os.fsdecode(names[0]) if names else None
        raise OSError(-result, os.strerror(-result), filename)
    return result


class View:
    """A view file opened for calls from this process, made as root if the view has the
    root illusion, whoever its programs are. Close it, or use `with`."""

    def __init__(self, path: _PathLike) -> None:
        self._view = _ffi.new("struct core_view *")
        self._task = _ffi.new("struct core_task *")
        self._open = False
        _check(_lib.core_view_open(self._view, os.fsencode(path)), path)
        self._open = True
        _lib.core_task_init(self._task, self._view)
        _lib.core_task_root(self._task)
        self._task.check_pointers = 0

    def close(self) -> None:
        if self._open:
            self._open = False
            _lib.core_view_close(self._view)

    def __enter__(self) -> "View":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    # -- calls

    def call(self, nr: int, *args: object) -> int:
        """Run system call `nr`; bytes and buffers are passed by address. Returns >= 0 or -errno."""
        words = _ffi.new("long[6]")
        keep = []
        for position, value in enumerate(args):
            if isinstance(value, int):
                words[position] = value
            elif value is not None:
                data = (_ffi.new("char[]", value) if isinstance(value, bytes)
                        else _ffi.from_buffer(value))
                keep.append(data)
                words[position] = int(_ffi.cast("intptr_t", data))
        return int(_lib.core_call(self._task, nr, words))

    def _named(self, name: str, *args: object) -> int:
        encoded = [os.fsencode(a) if isinstance(a, (str, os.PathLike)) else a for a in args]
        paths = [a for a in args if isinstance(a, (str, bytes, os.PathLike))]
        return _check(self.call(NR[name], *encoded), *paths)

    def open(self, path: _PathLike, flags: int, mode: int = 0o777, *, dirfd: int = AT_FDCWD) -> int:
        return self._named("openat", dirfd, path, flags | os.O_CLOEXEC, mode)

    def stat(self, path: _PathLike, *, follow_symlinks: bool = True,
             dirfd: int = AT_FDCWD) -> Stat:
        data = bytearray(144 if _MACHINE == "x86_64" else 128)
        self._named("newfstatat", dirfd, path, data, 0 if follow_symlinks else AT_SYMLINK_NOFOLLOW)
        return _stat(bytes(data))

    def fstat(self, fd: int) -> Stat:
        data = bytearray(144 if _MACHINE == "x86_64" else 128)
        _check(self.call(NR["fstat"], fd, data))
        return _stat(bytes(data))

    def lstat(self, path: _PathLike) -> Stat:
        return self.stat(path, follow_symlinks=False)

    def exists(self, path: _PathLike) -> bool:
        """Whether `path` leads to something in the view."""
        try:
            self.stat(path)
        except OSError:
            return False
        return True

    def access(self, path: _PathLike, mode: int) -> bool:
        return self.call(NR["faccessat"], AT_FDCWD, os.fsencode(path), mode) == 0

    def mkdir(self, path: _PathLike, mode: int = 0o777) -> None:
        self._named("mkdirat", AT_FDCWD, path, mode)

    def makedirs(self, path: str, mode: int = 0o755) -> None:
        """Have the directory `path` (absolute) and those above it."""
        at = ""
        for name in path.strip("/").split("/"):
            at += "/" + name
            if not self.exists(at):
                self.mkdir(at, mode)

    def mknod(self, path: _PathLike, mode: int, device: int = 0) -> None:
        self._named("mknodat", AT_FDCWD, path, mode, device)

    def unlink(self, path: _PathLike) -> None:
        self._named("unlinkat", AT_FDCWD, path, 0)

    def rmdir(self, path: _PathLike) -> None:
        self._named("unlinkat", AT_FDCWD, path, AT_REMOVEDIR)

    def rename(self, source: _PathLike, target: _PathLike, flags: int = 0) -> None:
        self._named("renameat2", AT_FDCWD, source, AT_FDCWD, target, flags)

    def link(self, source: _PathLike, target: _PathLike) -> None:
        self._named("linkat", AT_FDCWD, source, AT_FDCWD, target, 0)

    def symlink(self, text: _PathLike, path: _PathLike) -> None:
        self._named("symlinkat", text, AT_FDCWD, path)

    def readlink(self, path: _PathLike) -> str:
        data = bytearray(4096)
        length = self._named("readlinkat", AT_FDCWD, path, data, len(data))
        return os.fsdecode(bytes(data[:length]))

    def chmod(self, path: _PathLike, mode: int) -> None:
        self._named("fchmodat", AT_FDCWD, path, mode)

    def chown(self, path: _PathLike, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        self._named("fchownat", AT_FDCWD, path, uid, gid,
                    0 if follow_symlinks else AT_SYMLINK_NOFOLLOW)

    def truncate(self, path: _PathLike, size: int) -> None:
        self._named("truncate", path, size)

    def utime(self, path: _PathLike, atime_ns: int, mtime_ns: int, *,
              follow_symlinks: bool = True) -> None:
        second = 1_000_000_000
        times = bytearray(struct.pack("<qqqq", *divmod(atime_ns, second), *divmod(mtime_ns, second)))
        self._named("utimensat", AT_FDCWD, path, times,
                    0 if follow_symlinks else AT_SYMLINK_NOFOLLOW)

    def getxattr(self, path: _PathLike, name: str) -> bytes:
        data = bytearray(65536)
        length = self._named("lgetxattr", path, name.encode(), data, len(data))
        return bytes(data[:length])

    def setxattr(self, path: _PathLike, name: str, value: bytes) -> None:
        self._named("lsetxattr", path, name.encode(), value, len(value), 0)

    def removexattr(self, path: _PathLike, name: str) -> None:
        self._named("lremovexattr", path, name.encode())

    def listxattr(self, path: _PathLike) -> list[str]:
        data = bytearray(65536)
        length = self._named("llistxattr", path, data, len(data))
        return [os.fsdecode(n) for n in bytes(data[:length]).split(b"\0") if n]

    def listdir(self, path: _PathLike) -> list[str]:
        """The names in a directory, "." and ".." left out."""
        return [name for name, _ in self.scandir(path)]

    def scandir(self, path: _PathLike) -> list[tuple[str, int]]:
        """Names and DT_* types, as getdents64 gives them."""
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return [(os.fsdecode(name), kind) for name, kind in self._entries(fd)
                    if name not in (b".", b"..")]
        finally:
            os.close(fd)

    def _entries(self, fd: int) -> Iterator[tuple[bytes, int]]:
        data = bytearray(32768)
        while True:
            length = _check(self.call(NR["getdents64"], fd, data, len(data)))
            if not length:
                return
            at = 0
            while at < length:
                _, _, size, kind = struct.unpack_from("<QqHB", data, at)
                yield bytes(data[at + 19:at + size]).split(b"\0", 1)[0], kind
                at += size

    def read(self, path: _PathLike, limit: Optional[int] = None) -> bytes:
        """The content of a file of the view, at most `limit` bytes of it."""
        with open(self.open(path, os.O_RDONLY), "rb") as file:
            return file.read() if limit is None else file.read(limit)

    def write(self, path: _PathLike, data: bytes, mode: int = 0o644) -> None:
        """Make the file hold `data`."""
        with open(self.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)

    # -- what only a runtime asks

    def resolve(self, path: _PathLike, *, follow_symlinks: bool = True,
                may_be_absent: bool = False) -> Node:
        """Where `path` leads: its canonical name and the host's file behind it."""
        node = _ffi.new("struct core_node *")
        flags = 0 if follow_symlinks else _lib.CORE_NOFOLLOW
        flags |= _lib.CORE_MAY_BE_ABSENT if may_be_absent else 0
        _check(_lib.core_resolve(self._task, AT_FDCWD, os.fsencode(path), flags, node), path)
        return Node(os.fsdecode(_ffi.string(node.path)) or "/", os.fsdecode(_ffi.string(node.host)),
                    _PLACES[node.place], node.mode)

    def from_host(self, path: _PathLike) -> str:
        """The view's path of a host path; FileNotFoundError if it is not in the view."""
        buffer = _ffi.new("char[]", 4096)
        _check(_lib.core_from_host(self._view, os.fsencode(path), buffer, 4096), path)
        return os.fsdecode(_ffi.string(buffer)) or "/"

    def make_bind_points(self) -> None:
        """Have an empty directory or file in the upper wherever a bind appears."""
        _check(_lib.core_bind_points(self._view))

    def rebuild_control(self) -> None:
        """Fill the control page's sets from what is in the upper."""
        _check(_lib.core_control_rebuild(self._view))

    def environment_set(self, name: str, value: str) -> None:
        """Give a live variable a value; ValueError for a name that cannot be one."""
        self._environment(_lib.core_environment_set(self._view, os.fsencode(name),
                                                    os.fsencode(value)), name)

    def environment_unset(self, name: str) -> None:
        self._environment(_lib.core_environment_unset(self._view, os.fsencode(name)), name)

    def _environment(self, result: int, name: str) -> None:
        if result == -22:
            raise ValueError(f'"{name}" cannot be the name of a variable')
        _check(result)

    def environment_list(self) -> dict[str, Optional[str]]:
        """The live variables; None for one that is unset."""
        return self._table(_lib.core_environment_list)

    def environment_history(self) -> list[tuple[int, float, int, str, Optional[str]]]:
        """All changes of live variables since the control page was made, oldest first: a
        growing number, seconds since 1970, the process that made it, name and value (None:
        unset)."""
        change = _ffi.new("struct core_change *")
        found = []
        while _lib.core_environment_history(self._view, change):
            found.append((int(change.generation), change.time / 1e9, int(change.pid),
                          os.fsdecode(_ffi.string(change.name)),
                          None if change.value == _ffi.NULL
                          else os.fsdecode(_ffi.string(change.value))))
        return sorted(found, key=lambda one: one[0])

    def call_allowed(self, called: str) -> tuple[bool, Optional[str]]:
        """Whether the site allows a call of "host:PATH" or "container:NAME:PATH" from here, and
        the rule that refuses it (None: none allows it)."""
        rule = _ffi.new("const char **")
        allowed = bool(_lib.core_call_allowed(self._view, os.fsencode(called), rule))
        return allowed, None if rule[0] == _ffi.NULL else os.fsdecode(_ffi.string(rule[0]))

    def exec_map_set(self, path: str, target: str) -> None:
        _check(_lib.core_exec_map_set(self._view, os.fsencode(path), os.fsencode(target)), path)

    def exec_map_unset(self, path: str) -> None:
        _check(_lib.core_exec_map_unset(self._view, os.fsencode(path)), path)

    def exec_map_list(self) -> dict[str, str]:
        return {path: target for path, target in self._table(_lib.core_exec_map_list).items()
                if target is not None}

    def _table(self, function: object) -> dict[str, Optional[str]]:
        position = _ffi.new("uint32_t *")
        name, value = _ffi.new("const char **"), _ffi.new("const char **")
        found: dict[str, Optional[str]] = {}
        while function(self._view, position, name, value):  # type: ignore[operator]
            found[os.fsdecode(_ffi.string(name[0]))] = (
                None if value[0] == _ffi.NULL else os.fsdecode(_ffi.string(value[0])))
        return found


def control_create(path: _PathLike) -> None:
    """Make a fresh control page at `path`, replacing what is there at once."""
    _check(_lib.core_control_create(os.fsencode(path)), path)


def control_ensure(view_file: _PathLike, *, alone: bool) -> bool:
    """Have a control page that can be believed, before a container's first process starts.

    A page that is missing, damaged, or was last filled before the machine was booted
    is made and filled from the upper; then the answer is True. `alone`: no process of
    the container lives, so that what killed ones left in the work directory goes, too.
    """
    return _check(_lib.core_control_ensure(os.fsencode(view_file), alone), view_file) == 1


def index_check(path: _PathLike) -> Optional[str]:
    """None if the index file is sound, else what is wrong with it."""
    with open(path, "rb") as file:
        data = file.read()
    why = _ffi.new("const char **")
    if _lib.core_index_check(_ffi.from_buffer(data), len(data), why) == 0:
        return None
    return str(_ffi.string(why[0]).decode())
