"""Random sequences of operations, the same for the same seed and layers.

Where the view is known to differ (docs/reference/differences.md), what would only show that
again is not generated. The rules are these, and no others:

- slots 0-3 hold files opened in any way. One may be a layer's that was copied up since, so
  nothing is read or asked through them; slots 4-7 hold files opened for writing, and all is
  done there;
- slots 8 and 9 hold directories, and the working directory is one, that nobody moves or removes:
  `KEPT`; a process has such a directory for its root, and then gives sockets no names.
"""
from __future__ import annotations

import fcntl
import os
import random
import socket
from typing import Callable, Dict, List, Sequence, Tuple

from .cases import ACCESS, CLOSED, DEFAULT, NARROW, WIDE, acl
from .layers import Layer
from .operations import (EMPTY_PATH, EXCHANGE, FOLLOW, HERE, NOFOLLOW, NOREPLACE, PATH, REMOVEDIR,
                         TMPFILE, WHITEOUT, Operation)

KEPT = ["/keep", "/keep/stay"]
MADE = ["/tmp/d", "/tmp/d/e", "/tmp/d/e/a"]
NAMES = ["a", "b", "c", "d", "e", "old1", "new", "inside", "file", "one", "two", "h1", "h2",
         "hosts", "readonly", "sub", "leaf", "x.so", "tool", "old", ".wh.a", ".wh..wh..opq",
         "conf.d", "empty", "absolute", "relative", "directory", "dangling", "sparse", "n" * 255]
ATTRIBUTES = ["user.a", "user.note"]
LISTS = [WIDE, NARROW, CLOSED, acl(6, 4, 4), acl(7, 5, 5, mask=5, groups={8: 6}), acl(0, 0, 0), b""]
MODES = [0o644, 0o600, 0o755, 0o700, 0o444, 0, 0o777, 0o1777, 0o2755, 0o4755, 0o640, 0o300]
TIMES = [1_100_000_000, 1_200_000_000, 1_300_000_000]
OPENS = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, 3]
FLAGS = [os.O_CREAT, os.O_EXCL, os.O_NOCTTY, os.O_TRUNC, os.O_APPEND, os.O_DSYNC, os.O_DIRECT,
         os.O_DIRECTORY, os.O_NOFOLLOW, os.O_NOATIME, PATH, TMPFILE]
HANDLE_FID = 0x200
RESOLVE = [0, 1, 2, 4, 8, 16, 4 | 8, 4 | 16, 8 | 16, 2 | 4, 1 | 16]
STREAM, DATAGRAM = int(socket.SOCK_STREAM), int(socket.SOCK_DGRAM)
LOCKS = [(fcntl.F_SETLK, fcntl.F_RDLCK), (fcntl.F_SETLK, fcntl.F_WRLCK), (fcntl.F_SETLK, fcntl.F_UNLCK),
         (fcntl.F_GETLK, fcntl.F_WRLCK), (37, fcntl.F_RDLCK), (37, fcntl.F_WRLCK),
         (37, fcntl.F_UNLCK), (36, fcntl.F_WRLCK)]  # 36, 37: F_OFD_GETLK, F_OFD_SETLK


OF_SOCKETS = ["bind", "connect", "send", "sendto", "sendmsg", "recvfrom", "recvmsg", "accept",
              "sockname", "peername"]


def _innermost(operation: Operation) -> Operation:
    """What is done, without how or by whom."""
    while isinstance(operation[-1], tuple):
        operation = operation[-1]
    return operation


class Generator:
    """Makes one operation after the other."""

    def __init__(self, seed: int, layers: Sequence[Layer]) -> None:
        self.random = random.Random(seed)
        found: Dict[str, None] = {}
        for layer in layers:
            found.update((("/" + path if path else ""), None) for path, thing in layer.items()
                         if thing.kind in ("directory", "opaque", "symlink") and path != "proc")
        self.directories = [*found, *MADE]
        self.movable = [path for path in self.directories if path and path not in KEPT + ["/tmp"]]
        self.likely = ["/" + path for layer in layers for path, thing in layer.items()
                       if thing.kind != "whiteout" and path and "/" + path not in ["/proc", "/tmp", *KEPT]]
        self.processes: List[int] = []
        self.rooted: List[int] = []     # those with a root of their own
        self.under = False      # a descriptor stands for the working directory
        self.making = False     # the path is one to put something at
        self.kinds: List[Callable[[], Operation]] = []
        for weight, kind in self._weights():
            self.kinds += [kind] * weight

    def _weights(self) -> List[Tuple[int, Callable[[], Operation]]]:
        return [
            (20, self.make_file), (16, self.open), (10, self.open_for_writing), (12, self.write),
            (6, self.read), (6, self.truncate), (16, self.mkdir), (9, self.symlink),
            (11, self.link), (18, self.unlink), (13, self.rmdir), (28, self.rename), (8, self.chmod),
            (6, self.chown), (8, self.times), (8, self.set_attribute), (3, self.get_attribute),
            (14, self.stat), (8, self.list), (3, self.working_directory), (4, self.readlink),
            (4, self.mknod), (6, self.by_descriptor), (3, self.temporary), (3, self.access),
            (2, self.close), (5, self.resolved), (4, self.socket), (2, self.watched),
            (4, self.copy), (4, self.map), (2, self.holes), (3, self.fallocate), (4, self.lock),
            (3, self.reopen), (7, self.access_list), (3, self.attribute_at), (2, self.held), (1, self.umask), (1, self.statfs)]

    def sequence(self, count: int) -> List[Operation]:
        return [self.one() for _ in range(count)]

    def one(self) -> Operation:
        """Any operation, in any process, some by another way than most."""
        r = self.random
        chance = r.random()
        if chance < 0.01:
            return self.fork()
        if chance < 0.1:
            operation: Operation = ("old", r.choice(self.kinds)())
        elif chance < 0.2:
            self.under = True
            operation = ("under", self.directory(), r.choice(self.kinds)())
            self.under = False
        else:
            operation = r.choice(self.kinds)()
        if not self.processes or r.random() < 0.6:
            return operation
        process = r.choice(self.processes)
        if process in self.rooted and _innermost(operation)[0] in OF_SOCKETS:
            return ("in", process, ("getcwd",))
        return ("in", process, operation)

    # -- parts

    def path(self) -> str:
        r = self.random
        chance = r.random()
        if self.under:
            name = r.choice(NAMES)
            return r.choice([name, name, name, "../" + name, "./" + name, name + "/" + r.choice(NAMES)])
        if chance < 0.06:
            return r.choice(self.movable)
        if chance < 0.1 and not self.making:
            return "/proc/self/fd/{%d}" % self.written()
        if chance < 0.11 and not self.making:
            return r.choice(["/proc/self/root", "/proc/self/cwd"]) + self._below()
        if chance < 0.13 and self.processes and not self.making:
            number = r.choice(self.processes)
            ways = ["cwd/.", "cwd/" + r.choice(NAMES)]
            if number not in self.rooted:   # which only the process itself knows
                ways += ["root/.", "root" + self._below()]
            return "/proc/{%d}/" % number + r.choice(ways)
        path = self._below()
        chance = r.random()
        if chance < 0.03:
            path += "/"
        elif chance < 0.05:
            path += "/."
        elif chance < 0.07:
            path += "/.."
        elif chance < 0.1:
            path = path.replace("/", "/./", 1)
        elif chance < 0.16:
            path = path[1:]     # from the working directory
        return path

    def _below(self) -> str:
        r = self.random
        if self.making or r.random() < 0.3:
            path = r.choice(self.directories) + "/" + r.choice(NAMES)
            if self.making:
                # made or moved there, or taken away and put back, perhaps
                self.likely[r.randrange(len(self.likely))] = path
            return path
        return r.choice(self.likely)

    def new(self) -> str:
        """A path that something is put at, and that will be asked for."""
        self.making = True
        path = self.path()
        self.making = False
        return path

    def directory(self) -> str:
        return self.random.choice(self.directories) or "/"

    def at(self) -> int:
        if self.under or self.random.random() < 0.9:
            return HERE
        return self.random.choice([0, 4, 8, 9])

    def slot(self) -> int:
        """One of any file."""
        return self.random.randrange(8)

    def written(self) -> int:
        """One of a file that was opened for writing."""
        return self.random.randrange(4, 8)

    def mode(self) -> int:
        return self.random.choice(MODES)

    def data(self) -> bytes:
        return bytes([self.random.randrange(97, 123)]) * self.random.choice([1, 3, 10, 5000])

    def some(self, flags: Sequence[int], chance: float) -> int:
        chosen = 0
        for flag in flags:
            if self.random.random() < chance:
                chosen |= flag
        return chosen

    # -- making and opening

    def make_file(self) -> Operation:
        flags = self.random.choice(OPENS[:3]) | os.O_CREAT | os.O_NONBLOCK
        flags |= self.some([os.O_EXCL, os.O_TRUNC, os.O_APPEND, os.O_NOFOLLOW], 0.2)
        if self.random.random() < 0.05:
            return ("creat", self.random.randrange(4), self.new(), self.mode())
        return ("openfile", self.random.randrange(4), self.at(), self.new(), flags, self.mode())

    def open(self) -> Operation:
        flags = self.random.choice(OPENS) | os.O_NONBLOCK | self.some(FLAGS, 0.12)
        return ("openfile", self.random.randrange(4), self.at(), self.path(), flags, self.mode())

    def open_for_writing(self) -> Operation:
        flags = os.O_RDWR | os.O_NONBLOCK | self.some([os.O_CREAT, os.O_TRUNC, os.O_APPEND], 0.2)
        return ("openfile", self.written(), self.at(), self.path(), flags, self.mode())

    def resolved(self) -> Operation:
        r = self.random
        flags = os.O_RDWR | os.O_NONBLOCK | self.some([os.O_CREAT, os.O_TRUNC, os.O_EXCL], 0.3)
        mode = self.mode() & 0o777 if flags & os.O_CREAT else 0
        path, rules = r.choice([self.path(), r.choice(NAMES)]), r.choice(RESOLVE)
        return ("openfile2", self.written(), r.choice([HERE, 8, 9]), path, flags, mode, rules)

    def reopen(self) -> Operation:
        r = self.random
        return r.choice([("openfd", self.written(), self.written(), os.O_RDWR | os.O_NONBLOCK),
                         ("dup", self.written(), self.written())])

    def temporary(self) -> Operation:
        if self.random.random() < 0.5:
            return ("open", self.written(), HERE, self.directory(), os.O_RDWR | TMPFILE
                    | self.some([os.O_EXCL], 0.2), self.mode())
        return self.random.choice([
            ("linkfd", self.slot(), self.at(), self.new()),
            ("link", self.slot(), "", self.at(), self.new(), EMPTY_PATH)])

    def held(self) -> Operation:
        r = self.random
        slot = r.choice([8, 9])
        return r.choice([
            ("open", slot, HERE, r.choice(KEPT), os.O_RDONLY | os.O_DIRECTORY, 0),
            ("open", slot, HERE, r.choice(KEPT), PATH | os.O_DIRECTORY, 0),
            ("list", slot, r.choice([300, 8192])), ("fstat", slot), ("fchmod", slot, 0o755),
            ("stat", slot, "", EMPTY_PATH), ("stat", slot, "..", 0), ("fchown", slot, 7, 0),
            ("fsetxattr", slot, "user.held", b"h", 0), ("openat2", 8, slot, "stay", os.O_RDONLY, 0, 8),
            ("readfd", slot)])

    # -- content

    def write(self) -> Operation:
        r = self.random
        if r.random() < 0.2:
            return ("write", self.slot(), self.data())
        return ("pwrite", self.slot(), self.data(), r.choice([0, 2, 100, 100_000]))

    def read(self) -> Operation:
        r = self.random
        return r.choice([("openread", self.path()), ("openread", self.path()),
                         ("pread", self.written(), 5000, r.choice([0, 3])), ("read", self.written(), 100),
                         ("lseek", self.written(), r.choice([0, 5, -1]), r.choice([0, 1, 2]))])

    def truncate(self) -> Operation:
        size = self.random.choice([0, 1, 100, 7000, -1])
        if self.random.random() < 0.5:
            return ("truncate", self.path(), size)
        return ("ftruncate", self.slot(), size)

    def copy(self) -> Operation:
        r = self.random
        one, other, size = self.written(), self.slot(), r.choice([3, 5000])
        return r.choice([("copy", one, other, size), ("sendfile", other, one, size),
                         ("copyat", one, r.choice([0, 2]), other, r.choice([0, 9]), size),
                         ("splice", one, other, size)])

    def map(self) -> Operation:
        return ("map", self.written(), self.random.randrange(2), self.data()[:10])

    def holes(self) -> Operation:
        return ("holes", self.written())

    def fallocate(self) -> Operation:
        r = self.random     # 1: keep the size, 3: punch a hole, 16: zeros
        return ("fallocate", self.slot(), r.choice([0, 1, 3, 16, 17]), r.choice([0, 4096]),
                r.choice([100, 4096, 20_000]))

    def lock(self) -> Operation:
        r = self.random
        if r.random() < 0.4:
            return ("flock", self.written(), r.choice([fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_UN])
                    | fcntl.LOCK_NB)
        command, kind = r.choice(LOCKS)
        return ("lock", self.written(), command, kind, r.choice([0, 10]), r.choice([0, 5]))

    # -- names

    def mkdir(self) -> Operation:
        return ("mkdir", self.at(), self.new(), self.mode())

    def symlink(self) -> Operation:
        target = self.random.choice(["/etc/hosts", "../data", "a", "/tmp/d", "b/c", "..", "/",
                                     self.directory(), self._below()])
        return ("symlink", target, self.at(), self.new())

    def link(self) -> Operation:
        return ("link", self.at(), self.path(), self.at(), self.new(),
                self.random.choice([0, FOLLOW]))

    def unlink(self) -> Operation:
        return ("unlink", self.at(), self.itself(), 0)

    def itself(self) -> str:
        """A path to use without following a link in the end: the links of /proc are its own."""
        while True:
            path = self.path()
            if not path.startswith("/proc/self/"):
                return path

    def _movable(self, chance: float) -> str:
        if not self.under and self.random.random() < chance:
            return self.random.choice(self.movable)
        return self.path()

    def rmdir(self) -> Operation:
        return ("unlink", HERE, self._movable(0.5), REMOVEDIR)

    def rename(self) -> Operation:
        flags = self.random.choice([0] * 12 + [NOREPLACE] * 4 + [EXCHANGE] * 4
                                   + [NOREPLACE | EXCHANGE, EXCHANGE | WHITEOUT, 8])
        target = self.new() if self.random.random() < 0.6 else self._movable(0.3)
        return ("rename", self.at(), self._movable(0.25), self.at(), target, flags)

    def mknod(self) -> Operation:
        kind = self.random.choice([0o010000, 0o140000, 0o100000, 0o020000])
        device = os.makedev(1, 3) if kind == 0o020000 else 0
        return ("mknod", self.at(), self.new(), kind | self.random.choice([0o644, 0o600]), device)

    def readlink(self) -> Operation:
        path = self.path()
        # what has no name any more has another text in /proc than outside
        if self.random.random() < 0.5 and not path.startswith("/proc"):
            return ("realpath", path)
        return ("readlink", self.at(), path, self.random.choice([100, 2]))

    # -- metadata

    def chmod(self) -> Operation:
        if self.random.random() < 0.2:
            return ("fchmodat2", self.at(), self.itself(), self.mode(),
                    self.random.choice([0, NOFOLLOW]))
        return ("chmod", self.at(), self.path(), self.mode())

    def chown(self) -> Operation:
        r = self.random
        return ("chown", self.at(), self.itself(), r.choice([0, 7, 1000, -1]), r.choice([0, 8, -1]),
                r.choice([0, NOFOLLOW]))

    def times(self) -> Operation:
        r = self.random
        at, path, when, flags = self.at(), self.itself(), r.choice(TIMES), r.choice([0, NOFOLLOW])
        omit, now = (1 << 30) - 2, (1 << 30) - 1
        return r.choice([("utimens", at, path, when, flags), ("utimens", at, path, when, flags),
                         ("utimensns", at, path, when, r.choice([omit, now, 7, 1_000_000_000]), flags),
                         ("utime", path, when), ("utimes", path, when),
                         ("futimesat", at, path, r.choice([when, 0]))])

    def set_attribute(self) -> Operation:
        r = self.random
        name, value, flags = r.choice(ATTRIBUTES), self.data()[:20], r.choice([0, 0, 1, 2])
        form = r.choice(["", "", "l", "f"])
        where = {"f": self.slot, "l": self.itself, "": self.path}[form]()
        if r.random() < 0.6:
            return (form + "setxattr", where, name, value, flags)
        return (form + "removexattr", where, name)

    def get_attribute(self) -> Operation:
        r = self.random
        form = r.choice(["", "l", "f"])
        where = {"f": self.written, "l": self.itself, "": self.path}[form]()
        return r.choice([(form + "listxattr", where),
                         (form + "getxattr", where, r.choice(ATTRIBUTES), r.choice([256, 2, -1]))])

    def access_list(self) -> Operation:
        r = self.random
        name, value = r.choice([ACCESS, ACCESS, DEFAULT]), r.choice(LISTS)
        form = r.choice(["", "", "", "l", "f"])
        where = {"f": self.slot, "l": self.itself, "": self.path}[form]()
        chance = r.random()
        if chance < 0.2:
            # by any of the descriptors but those that may be of what was copied up since
            return (form + "getxattr", self.written() if form == "f" else where, name)
        if chance < 0.3:
            return (form + "removexattr", where, name)
        if r.random() < 0.3:
            return ("setxattr", self.directory(), DEFAULT, value, 0)
        return (form + "setxattr", where, name, value, r.choice([0, 0, 1, 2]))

    def attribute_at(self) -> Operation:
        r = self.random
        at, path, flags = self.at(), self.itself(), r.choice([0, NOFOLLOW])
        if r.random() < 0.3:
            at, path, flags = self.written(), "", EMPTY_PATH
        name = r.choice([*ATTRIBUTES, ACCESS])
        return r.choice([("setxattrat", at, path, flags, r.choice(ATTRIBUTES), self.data()[:9], r.choice([0, 1, 2])),
                         ("getxattrat", at, path, flags, name), ("listxattrat", at, path, flags),
                         ("removexattrat", at, path, flags, name), ("fstatfs", self.written())])

    def by_descriptor(self) -> Operation:
        slot = self.slot()
        return self.random.choice([
            ("fchmod", slot, self.mode()), ("fchown", slot, 7, 8), ("futimens", slot, TIMES[0]),
            ("fsetxattr", slot, "user.fd", b"1", 0), ("fsync", slot), ("fdatasync", slot),
            ("fstat", self.written()), ("readfd", self.written()), ("fdinfo", self.written()),
            ("flags", self.written()), ("fstatfs", slot)])

    def umask(self) -> Operation:
        return ("umask", self.random.choice([0o022, 0o027, 0, 0o077]))

    # -- asking

    def stat(self) -> Operation:
        r = self.random
        at, path, flags = self.at(), self.path(), r.choice([0, NOFOLLOW])
        return r.choice([("stat", at, path, flags), ("statx", at, path, flags),
                         ("oldstat", path, r.randrange(2)), ("same", self.slot(), at, path, 0)])

    def list(self) -> Operation:
        r = self.random
        room = r.choice([300, 400, 8192])
        return r.choice([("openlist", self.directory(), room), ("positions", self.directory(), room),
                         ("meanwhile", self.directory(), room, r.choice(NAMES), r.choice(NAMES))])

    def access(self) -> Operation:
        r = self.random
        if r.random() < 0.5:
            return ("access", self.at(), self.path(), r.randrange(8))
        return ("faccessat2", self.at(), self.itself(), r.randrange(8), r.choice([0, NOFOLLOW, 0x200]))

    def statfs(self) -> Operation:
        return ("statfs", self.path())

    def working_directory(self) -> Operation:
        r = self.random
        return r.choice([("chdir", r.choice(["/", *KEPT])), ("getcwd",), ("fchdir", r.choice([8, 9]))])

    def close(self) -> Operation:
        return ("close", self.slot())

    # -- sockets, watches, processes

    def socket(self) -> Operation:
        r = self.random
        slot, kind = r.randrange(10, 13), r.choice([STREAM, DATAGRAM])
        return r.choice([
            ("bind", slot, self.new(), kind), ("bind", slot, self.new(), kind),
            ("connect", slot, self.path(), kind), ("connect", slot, self.path(), kind),
            ("send", self.path(), b"hello"), ("sendto", slot, self.path(), b"to"),
            ("sendmsg", slot, self.path(), b"message", r.randrange(2), 0), ("recvfrom", slot),
            ("recvmsg", slot, 0), ("accept", 13, slot, r.randrange(2)), ("peercred", r.choice([slot, 13])),
            ("sockname", r.choice([slot, 13])), ("peername", r.choice([slot, 13]))])

    def watched(self) -> Operation:
        r = self.random
        return r.choice([("watched", self.directory(), r.choice(NAMES)), ("marked", self.directory(), r.choice(NAMES)),
                         ("handles", HERE, self.itself(), HERE, self.itself(), HANDLE_FID)])

    def fork(self) -> Operation:
        r = self.random
        if self.processes and r.random() < 0.5:
            process = r.choice(self.processes)
            if r.random() < 0.3:
                self.rooted.append(process)
                return ("in", process, ("root", r.choice(KEPT)))
            self.processes.remove(process)
            return ("end", process)
        process = r.choice([1, 2])
        if process not in self.processes:
            self.processes.append(process)
        self.rooted = [each for each in self.rooted if each != process]
        return ("fork", process)
