"""Random sequences of operations, the same for the same seed."""
from __future__ import annotations

import os
import random
from typing import Callable, List

from .operations import (EXCHANGE, FOLLOW, HERE, NOFOLLOW, NOREPLACE, PATH, REMOVEDIR, TMPFILE,
                        Operation)

DIRECTORIES = ["", "/etc", "/etc/conf.d", "/data", "/data/empty", "/deep/a", "/deep/a/b",
               "/deep/a/b/c", "/links", "/over", "/swap2", "/back", "/usr/lib", "/usr/lib/sub",
               "/usr/bin", "/tmp", "/tmp/d", "/tmp/d/e", "/links/directory", "/lib", "/bin",
               "/links/up/data", "/gone"]
NAMES = ["a", "b", "c", "d", "e", "old1", "old2", "new", "inside", "file", "one", "two", "h1", "h2",
         "hosts", "readonly", "sub", "leaf", "second", "third", "x.so", "tool", "old", ".wh.a",
         "conf.d", "empty", "absolute", "relative", "directory", "dangling", "sparse"]
TOPS = ["/etc", "/data", "/deep", "/over", "/swap1", "/swap2", "/back", "/links", "/usr", "/gone"]
ATTRIBUTES = ["user.a", "user.note"]
MODES = [0o644, 0o600, 0o755, 0o700, 0o444, 0, 0o777, 0o1777, 0o2755, 0o4755, 0o640]
TIMES = [1_100_000_000, 1_200_000_000, 1_300_000_000]
OPENS = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR]


class Generator:
    """Makes one operation after the other. Descriptors 0-3 are its own."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.kinds: List[Callable[[], Operation]] = []
        for weight, kind in ((10, self.make_file), (8, self.open), (6, self.write), (3, self.read),
                             (3, self.truncate), (7, self.mkdir), (4, self.symlink), (5, self.link),
                             (9, self.unlink), (6, self.rmdir), (14, self.rename), (4, self.chmod),
                             (3, self.chown), (3, self.utimens), (3, self.xattr), (6, self.stat),
                             (3, self.list), (2, self.chdir), (2, self.readlink), (2, self.mknod),
                             (3, self.by_fd), (1, self.temporary), (1, self.access), (1, self.close)):
            self.kinds += [kind] * weight

    def sequence(self, count: int) -> List[Operation]:
        return [self.random.choice(self.kinds)() for _ in range(count)]

    # -- parts

    def path(self) -> str:
        r = self.random
        if r.random() < 0.06:
            return r.choice(TOPS)
        path = r.choice(DIRECTORIES) + "/" + r.choice(NAMES)
        chance = r.random()
        if chance < 0.03:
            path += "/"
        elif chance < 0.05:
            path += "/."
        elif chance < 0.07:
            path += "/.."
        elif chance < 0.1:
            path = path.replace("/", "/./", 1)
        elif chance < 0.14:
            path = path[1:] if path[0] == "/" else path   # from the working directory
        return path

    def at(self) -> int:
        return HERE if self.random.random() < 0.92 else self.slot()

    def slot(self) -> int:
        return self.random.randrange(4)

    def mode(self) -> int:
        return self.random.choice(MODES)

    def data(self) -> bytes:
        return bytes([self.random.randrange(97, 123)]) * self.random.choice([1, 3, 10, 5000])

    # -- operations

    def make_file(self) -> Operation:
        flags = self.random.choice(OPENS) | os.O_CREAT | os.O_NONBLOCK
        for flag in (os.O_EXCL, os.O_TRUNC, os.O_APPEND, os.O_NOFOLLOW):
            if self.random.random() < 0.2:
                flags |= flag
        return ("openfile", self.slot(), self.at(), self.path(), flags, self.mode())

    def open(self) -> Operation:
        flags = self.random.choice(OPENS) | os.O_NONBLOCK
        for flag in (os.O_DIRECTORY, os.O_TRUNC, os.O_APPEND, os.O_NOFOLLOW, PATH):
            if self.random.random() < 0.12:
                flags |= flag
        return ("openfile", self.slot(), self.at(), self.path(), flags, 0)

    def write(self) -> Operation:
        return ("pwrite", self.slot(), self.data(), self.random.choice([0, 2, 100]))

    def read(self) -> Operation:
        return ("openread", self.path())

    def truncate(self) -> Operation:
        size = self.random.choice([0, 1, 100, 7000])
        if self.random.random() < 0.5:
            return ("truncate", self.path(), size)
        return ("ftruncate", self.slot(), size)

    def mkdir(self) -> Operation:
        return ("mkdir", self.at(), self.path(), self.mode())

    def symlink(self) -> Operation:
        target = self.random.choice(["/etc/hosts", "../data", "a", "/tmp/d", "b/c", "/usr/lib", ".."])
        return ("symlink", target, self.at(), self.path())

    def link(self) -> Operation:
        return ("link", self.at(), self.path(), self.at(), self.path(),
                self.random.choice([0, FOLLOW]))

    def unlink(self) -> Operation:
        return ("unlink", self.at(), self.path(), 0)

    def rmdir(self) -> Operation:
        path = self.random.choice(DIRECTORIES[1:]) if self.random.random() < 0.5 else self.path()
        return ("unlink", HERE, path, REMOVEDIR)

    def rename(self) -> Operation:
        source = self.random.choice(DIRECTORIES[1:]) if self.random.random() < 0.25 else self.path()
        target = self.random.choice(DIRECTORIES[1:]) if self.random.random() < 0.2 else self.path()
        flags = self.random.choice([0, 0, 0, NOREPLACE, EXCHANGE])
        return ("rename", HERE, source, HERE, target, flags)

    def chmod(self) -> Operation:
        return ("chmod", self.at(), self.path(), self.mode())

    def chown(self) -> Operation:
        return ("chown", self.at(), self.path(), self.random.choice([0, 7, 1000]),
                self.random.choice([0, 8]), self.random.choice([0, NOFOLLOW]))

    def utimens(self) -> Operation:
        return ("utimens", self.at(), self.path(), self.random.choice(TIMES),
                self.random.choice([0, NOFOLLOW]))

    def xattr(self) -> Operation:
        name = self.random.choice(ATTRIBUTES)
        if self.random.random() < 0.6:
            return ("setxattr", self.path(), name, self.data()[:20], self.random.choice([0, 1, 2]))
        return ("removexattr", self.path(), name)

    def stat(self) -> Operation:
        return ("stat", self.at(), self.path(), self.random.choice([0, NOFOLLOW]))

    def list(self) -> Operation:
        return ("openlist", self.random.choice(DIRECTORIES) or "/", self.random.choice([80, 400, 8192]))

    def chdir(self) -> Operation:
        return ("chdir", self.random.choice(DIRECTORIES) or "/")

    def readlink(self) -> Operation:
        return ("readlink", self.at(), self.path(), 100)

    def mknod(self) -> Operation:
        kind = self.random.choice([0o010000, 0o140000, 0o100000, 0o020000])
        device = os.makedev(1, 3) if kind == 0o020000 else 0
        return ("mknod", self.at(), self.path(), kind | self.random.choice([0o644, 0o600]), device)

    def by_fd(self) -> Operation:
        slot = self.slot()
        return self.random.choice([
            ("fchmod", slot, self.mode()), ("fchown", slot, 7, 8), ("futimens", slot, TIMES[0]),
            ("fsetxattr", slot, "user.fd", b"1", 0), ("fsync", slot)])

    def temporary(self) -> Operation:
        if self.random.random() < 0.5:
            directory = self.random.choice(DIRECTORIES) or "/"
            return ("open", self.slot(), HERE, directory, os.O_RDWR | TMPFILE, 0o640)
        return ("linkfd", self.slot(), HERE, self.path())

    def access(self) -> Operation:
        return ("access", self.at(), self.path(), self.random.randrange(8))

    def close(self) -> Operation:
        return ("close", self.slot())
