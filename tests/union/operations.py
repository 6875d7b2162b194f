"""Operations of a scenario: tuples that mean the same in every world.

`perform` makes the system calls of one and returns what a program could see of the
result, without what may differ between any two file systems. Descriptors are named by
the scenario's own numbers; -100 is the working directory.
"""
from __future__ import annotations

import errno
import os
import stat
import struct
from typing import Dict, List, Tuple

from .worlds import Room, World

HERE = -100
NOFOLLOW = 0x100
EMPTY_PATH = 0x1000
REMOVEDIR = 0x200
FOLLOW = 0x400
PATH = 0o10000000
TMPFILE = 0o20200000
NOREPLACE, EXCHANGE = 1, 2

NR = dict(read=0, write=1, open=2, close=3, stat=4, fstat=5, lstat=6, lseek=8, pread=17, pwrite=18,
          access=21, sendfile=40, fcntl=72, flock=73, truncate=76, ftruncate=77, getdents=78,
          getcwd=79, chdir=80, fchdir=81, rename=82, mkdir=83, rmdir=84, creat=85, link=86,
          unlink=87, symlink=88, readlink=89, chmod=90, fchmod=91, chown=92, fchown=93, lchown=94,
          umask=95, utime=132, mknod=133, statfs=137, fstatfs=138, chroot=161, setxattr=188,
          lsetxattr=189, fsetxattr=190, getxattr=191, lgetxattr=192, fgetxattr=193, listxattr=194,
          llistxattr=195, flistxattr=196, removexattr=197, lremovexattr=198, fremovexattr=199,
          getdents64=217, utimes=235, openat=257, mkdirat=258, mknodat=259, fchownat=260,
          futimesat=261, newfstatat=262, unlinkat=263, renameat=264, linkat=265, symlinkat=266,
          readlinkat=267, fchmodat=268, faccessat=269, utimensat=280, fallocate=285, dup=32,
          renameat2=316, copy_file_range=326, statx=332, openat2=437, faccessat2=439,
          fchmodat2=452, fsync=74, inotify_init=253, inotify_add_watch=254)

Operation = Tuple[object, ...]
Outcome = Tuple[object, ...]

#: Times before this were set on purpose, later ones are the clock's.
CLOCK = 1_500_000_000


def error(result: int) -> object:
    """A result as it is compared: the name of an errno, or that it worked."""
    return errno.errorcode.get(-result, str(result)) if result < 0 else "ok"


def shown(data: bytes) -> Dict[str, object]:
    """What a struct stat tells that is the same in every world."""
    dev, ino, nlink, mode, uid, gid, _, rdev, size, _, _, _, _, mtime, mtime_ns = \
        struct.unpack_from("<QQQIIIIQqqqQQQQ", data)
    kind = stat.S_IFMT(mode)
    told: Dict[str, object] = {"type": oct(kind), "mode": oct(mode & 0o7777), "uid": uid, "gid": gid}
    if kind != stat.S_IFDIR:
        told["nlink"] = nlink
    if kind in (stat.S_IFREG, stat.S_IFLNK):
        told["size"] = size
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        told["rdev"] = rdev
    told["mtime"] = (mtime, mtime_ns) if mtime < CLOCK else "now"
    return told


def identity_of(data: bytes) -> Tuple[int, int]:
    return struct.unpack_from("<QQ", data)  # type: ignore[return-value]


def names_in(data: bytes) -> List[Tuple[bytes, int, int, int]]:
    """(name, type, inode, next position) of each record of getdents64."""
    found, at = [], 0
    while at < len(data):
        ino, off, size, kind = struct.unpack_from("<QqHB", data, at)
        found.append((data[at + 19:at + size].split(b"\0", 1)[0], kind, ino, off))
        at += size
    return found


def read_directory(world: World, fd: int, room: int = 8192) -> Tuple[int, List[Tuple[bytes, int, int, int]]]:
    """All records from where the descriptor stands: 0 and the records, or -errno."""
    found = []
    while True:
        result, rooms = world.call(NR["getdents64"], fd, Room(room), room)
        if result <= 0:
            return result, found
        found += names_in(rooms[0][:result])


def _times(atime: int, mtime: int) -> bytes:
    return struct.pack("<qqqq", atime, 0, mtime, 123_000_000)


def perform(world: World, operation: Operation) -> Outcome:
    """Do it in `world` and tell what came of it."""
    name, *a = operation
    call, nr = world.call, NR

    def fd(number: object) -> int:
        return HERE if number == HERE else world.fds.get(number, -1)  # type: ignore[call-overload]

    def simple(*request: object) -> Outcome:
        return (error(call(*request)[0]),)

    if name == "openfile":
        # a descriptor of a lower directory stays where that was (differences.md)
        outcome = perform(world, ("open", *a))
        result, rooms = call(nr["fstat"], fd(a[0]), Room(144))
        if outcome == ("ok",) and stat.S_ISDIR(struct.unpack_from("<I", rooms[0], 24)[0]):
            return (outcome, perform(world, ("close", a[0])))
        return outcome
    if name == "open":
        slot, at, path, flags, mode = a
        result, _ = call(nr["openat"], fd(at), path, flags | os.O_CLOEXEC, mode)
        return _opened(world, slot, result)
    if name == "openat2":
        slot, at, path, flags, mode, resolve = a
        how = struct.pack("<QQQ", flags | os.O_CLOEXEC, mode, resolve)
        result, _ = call(nr["openat2"], fd(at), path, how, len(how))
        return _opened(world, slot, result)
    if name == "dup":
        result, _ = call(nr["dup"], fd(a[1]))
        return _opened(world, a[0], result)
    if name == "close":
        result = call(nr["close"], fd(a[0]))[0]
        world.fds.pop(a[0], None)
        return (error(result),)
    if name in ("read", "pread"):
        size = a[1]
        request = [nr[name], fd(a[0]), Room(size), size] + list(a[2:])
        result, rooms = call(*request)
        return (error(result), rooms[0][:result] if result >= 0 else b"")
    if name in ("write", "pwrite"):
        result, _ = call(nr[name], fd(a[0]), a[1], len(a[1]), *a[2:])
        return (error(result), result if result > 0 else 0)
    if name == "lseek":
        result, _ = call(nr["lseek"], fd(a[0]), a[1], a[2])
        return (error(result), result if result > 0 else 0)
    if name == "fsync":
        return simple(nr["fsync"], fd(a[0]))
    if name == "stat":
        at, path, flags = a
        result, rooms = call(nr["newfstatat"], fd(at), path, Room(144), flags)
        return (error(result), shown(rooms[0]) if not result else None)
    if name == "oldstat":
        result, rooms = call(nr["lstat" if a[1] else "stat"], a[0], Room(144))
        return (error(result), shown(rooms[0]) if not result else None)
    if name == "statx":
        at, path, flags = a
        result, rooms = call(nr["statx"], fd(at), path, flags, 0x7ff, Room(256))
        if result:
            return (error(result),)
        nlink, uid, gid, mode = struct.unpack_from("<IIIH", rooms[0], 16)
        return ("ok", oct(mode), uid, gid, nlink if not stat.S_ISDIR(mode) else 0)
    if name == "fstat":
        result, rooms = call(nr["fstat"], fd(a[0]), Room(144))
        return (error(result), shown(rooms[0]) if not result else None)
    if name == "list":
        call(nr["lseek"], fd(a[0]), 0, 0)
        result, found = read_directory(world, fd(a[0]), a[1] if len(a) > 1 else 8192)
        return (error(result), sorted((n, k) for n, k, _, _ in found))
    if name == "openlist":
        got, _ = call(nr["openat"], HERE, a[0], os.O_RDONLY | os.O_DIRECTORY, 0)
        if got < 0:
            return (error(got),)
        result, found = read_directory(world, got, a[1])
        call(nr["close"], got)
        return (error(result), sorted((n, k) for n, k, _, _ in found))
    if name == "openread":
        got, _ = call(nr["openat"], HERE, a[0], os.O_RDONLY | os.O_NONBLOCK, 0)
        if got < 0:
            return (error(got),)
        result, rooms = call(nr["pread"], got, Room(10000), 10000, 0)
        call(nr["close"], got)
        return (error(result), rooms[0][:result] if result >= 0 else b"")
    if name == "chownfile":
        # of what keeps an owner in the upper
        result, rooms = call(nr["newfstatat"], HERE, a[0], Room(144), 0)
        if result or stat.S_IFMT(struct.unpack_from("<I", rooms[0], 24)[0]) not in (stat.S_IFREG, stat.S_IFDIR):
            return (error(result),)
        return simple(nr["fchownat"], HERE, a[0], a[1], a[2], 0)
    if name == "access":
        at, path, mode = a
        return simple(nr["faccessat"], fd(at), path, mode)
    if name == "faccessat2":
        at, path, mode, flags = a
        return simple(nr["faccessat2"], fd(at), path, mode, flags)
    if name == "readlink":
        at, path, size = a
        result, rooms = call(nr["readlinkat"], fd(at), path, Room(size), size)
        return (error(result), rooms[0][:result] if result > 0 else b"")
    if name == "mkdir":
        at, path, mode = a
        return simple(nr["mkdirat"], fd(at), path, mode)
    if name == "mknod":
        at, path, mode, dev = a
        return simple(nr["mknodat"], fd(at), path, mode, dev)
    if name == "symlink":
        target, at, path = a
        return simple(nr["symlinkat"], target, fd(at), path)
    if name == "link":
        at, path, to_at, to, flags = a
        return simple(nr["linkat"], fd(at), path, fd(to_at), to, flags)
    if name == "linkfd":
        slot, to_at, to = a
        return simple(nr["linkat"], HERE, "/proc/self/fd/%d" % fd(slot), fd(to_at), to, FOLLOW)
    if name == "openfd":
        slot, old, flags = a
        result, _ = call(nr["openat"], HERE, "/proc/self/fd/%d" % fd(old), flags | os.O_CLOEXEC, 0)
        return _opened(world, slot, result)
    if name == "readfd":
        result, rooms = call(nr["readlinkat"], HERE, "/proc/self/fd/%d" % fd(a[0]), Room(4096), 4096)
        return (error(result), rooms[0][:result] if result > 0 else b"")
    if name == "unlink":
        at, path, flags = a
        return simple(nr["unlinkat"], fd(at), path, flags)
    if name == "rename":
        at, path, to_at, to, flags = a
        return simple(nr["renameat2"], fd(at), path, fd(to_at), to, flags)
    if name == "chmod":
        at, path, mode = a
        return simple(nr["fchmodat"], fd(at), path, mode)
    if name == "fchmodat2":
        at, path, mode, flags = a
        return simple(nr["fchmodat2"], fd(at), path, mode, flags)
    if name == "fchmod":
        return simple(nr["fchmod"], fd(a[0]), a[1])
    if name == "chown":
        at, path, uid, gid, flags = a
        return simple(nr["fchownat"], fd(at), path, uid, gid, flags)
    if name == "fchown":
        return simple(nr["fchown"], fd(a[0]), a[1], a[2])
    if name == "truncate":
        return simple(nr["truncate"], a[0], a[1])
    if name == "ftruncate":
        return simple(nr["ftruncate"], fd(a[0]), a[1])
    if name == "fallocate":
        return simple(nr["fallocate"], fd(a[0]), a[1], a[2], a[3])
    if name == "utimens":
        at, path, mtime, flags = a
        return simple(nr["utimensat"], fd(at), path, _times(mtime, mtime), flags)
    if name == "futimens":
        return simple(nr["utimensat"], fd(a[0]), 0, _times(a[1], a[1]), 0)
    if name in ("setxattr", "lsetxattr"):
        path, key, value, flags = a
        return simple(nr[name], path, key, value, len(value), flags)
    if name == "fsetxattr":
        slot, key, value, flags = a
        return simple(nr[name], fd(slot), key, value, len(value), flags)
    if name in ("getxattr", "lgetxattr", "fgetxattr"):
        target = fd(a[0]) if name[0] == "f" else a[0]
        result, rooms = call(nr[name], target, a[1], Room(256), 256)
        return (error(result), rooms[0][:result] if result >= 0 else b"")
    if name in ("listxattr", "llistxattr", "flistxattr"):
        target = fd(a[0]) if name[0] == "f" else a[0]
        result, rooms = call(nr[name], target, Room(4096), 4096)
        return (error(result), _user_names(rooms[0][:max(result, 0)]))
    if name in ("removexattr", "lremovexattr", "fremovexattr"):
        target = fd(a[0]) if name[0] == "f" else a[0]
        return simple(nr[name], target, a[1])
    if name == "chdir":
        return simple(nr["chdir"], a[0])
    if name == "fchdir":
        return simple(nr["fchdir"], fd(a[0]))
    if name == "getcwd":
        result, rooms = call(nr["getcwd"], Room(4096), 4096)
        return (error(result), rooms[0].split(b"\0", 1)[0] if result > 0 else b"")
    if name == "chroot":
        return simple(nr["chroot"], a[0])
    if name == "statfs":
        return (error(call(nr["statfs"], a[0], Room(120))[0]),)
    if name == "umask":
        return simple(nr["umask"], a[0])
    if name == "flock":
        return simple(nr["flock"], fd(a[0]), a[1])
    if name == "copy":
        result, _ = call(nr["copy_file_range"], fd(a[0]), 0, fd(a[1]), 0, a[2], 0)
        return (error(result), max(result, 0))
    if name == "sendfile":
        result, _ = call(nr["sendfile"], fd(a[0]), fd(a[1]), 0, a[2])
        return (error(result), max(result, 0))
    raise ValueError(name)


def _opened(world: World, slot: object, result: int) -> Outcome:
    if result >= 0:
        old = world.fds.pop(slot, None)  # type: ignore[call-overload]
        if old is not None:
            world.call(NR["close"], old)
        world.fds[slot] = result  # type: ignore[index]
    return (error(result),)


def _user_names(data: bytes) -> List[bytes]:
    """Attributes of the namespace "user", but for overlayfs's own."""
    return sorted(n for n in data.split(b"\0")
                  if n.startswith(b"user.") and not n.startswith(b"user.overlay."))
