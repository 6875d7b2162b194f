"""What goes by descriptors, rules, roots and /proc: every way with every kind of object."""
from __future__ import annotations

import os
from typing import Dict, List

from .operations import (EMPTY_PATH, EXCHANGE, FOLLOW, HERE, NOFOLLOW, NOREPLACE, PATH, REMOVEDIR,
                         TMPFILE, WHITEOUT, Operation)

R, W, RW = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
CREATE, EXCL, TRUNC, DIR, NONBLOCK = (os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_DIRECTORY,
                                      os.O_NONBLOCK)
NO_XDEV, NO_MAGIC, NO_LINKS, BENEATH, IN_ROOT, CACHED = 1, 2, 4, 8, 16, 32
FIFO, SOCK, REG = 0o010000, 0o140000, 0o100000
HANDLE_FID = 0x200

CASES: Dict[str, List[Operation]] = {}

# -- openat2: each set of rules for each kind of way

_WAYS = [(HERE, "/etc/hosts"), (HERE, "/links/absolute"), (HERE, "/links/up/etc/hosts"), (HERE, "/lib/x.so"),
         (HERE, "/etc/absent"), (HERE, "/links/dangling"), (HERE, "/proc/self/cwd"), (HERE, "/proc/version"),
         (HERE, "/proc/self/fd/{1}"), (HERE, "/proc/self/root/etc"), (HERE, "/.."), (HERE, "etc/hosts"),
         (1, "hosts"), (1, "conf.d/../hosts"), (1, ".."), (1, "../data/one"), (1, "/etc/hosts"), (1, "/hosts"),
         (2, "absolute"), (2, "relative"), (2, "directory/a"), (2, "up/etc/hosts"), (2, "up/links/absolute"),
         (2, "chain"), (2, "dangling"), (2, "loop1"), (2, "newfile"),
         (3, "self/cwd"), (3, "self/fd/{1}"), (3, ".."), (3, "version"), (3, "self/status"), (3, "self/root/etc/hosts")]
_BEFORE: List[Operation] = [
    ("open", 1, HERE, "/etc", R | DIR, 0), ("open", 2, HERE, "/links", R | DIR, 0), ("open", 3, HERE, "/proc", R | DIR, 0),
    # what is asked with CACHED is in the kernel's memory
    *[("stat", at, path, 0) for at, path in _WAYS], *[("stat", at, path, NOFOLLOW) for at, path in _WAYS]]


def _rules(flags: int, mode: int = 0) -> List[Operation]:
    # what only root may write to in /proc is the machine's to say
    return _BEFORE + [("openat2", 4, at, path, flags, mode, rules) for at, path in _WAYS for rules in range(64)
                      if not mode or path not in ("/proc/version", "version", "self/status")]


CASES["resolved under every set of rules"] = _rules(R | NONBLOCK)
CASES["resolved under every set of rules, as a handle"] = _rules(PATH)
CASES["resolved under every set of rules, and the link itself"] = _rules(PATH | os.O_NOFOLLOW)
CASES["resolved under every set of rules, and made"] = _rules(W | CREATE | NONBLOCK, 0o640)
CASES["resolved under rules, from memory"] = [
    *_BEFORE, *[("openat2", 4, HERE, "/etc/hosts", flags, mode, CACHED)
                for flags, mode in ((RW, 0), (R | TRUNC, 0), (W | TRUNC, 0), (R | DIR, 0), (W | CREATE, 0o600),
                                    (RW | os.O_APPEND, 0), (PATH, 0), (R | os.O_NOFOLLOW, 0))],
    ("openat2", 4, HERE, "/tmp", RW | TMPFILE, 0o600, CACHED), ("openat2", 4, HERE, "/tmp", R | DIR, 0, CACHED),
    ("openat2", 4, HERE, "/tmp", R | DIR, 0, CACHED | BENEATH), ("stat", HERE, "/etc/hosts", 0)]

# -- a root of the program's own, and what is outside of it

CASES["working outside the root"] = [
    ("open", 1, HERE, "/etc", R | DIR, 0), ("open", 2, HERE, "/deep", R | DIR, 0), ("open", 3, HERE, "/etc/hosts", R, 0),
    ("open", 4, HERE, "/data", PATH, 0), ("mkdir", HERE, "/deeper", 0o755), ("open", 5, HERE, "/deeper", R | DIR, 0),
    ("chdir", "/etc/conf.d"), ("chroot", "/deep"),
    ("getcwd",), ("readlink", HERE, "/proc/self/cwd", 4096), ("stat", HERE, "a", 0), ("stat", HERE, "..", 0),
    ("stat", HERE, "../hosts", 0), ("stat", HERE, "../../deep/a/b/third", 0), ("stat", HERE, "../../data/one", 0),
    ("stat", HERE, "/a/b/third", 0), ("stat", HERE, "/../a/b/third", 0), ("stat", HERE, "../../links/absolute", NOFOLLOW),
    ("stat", HERE, "../../links/absolute", 0), ("stat", HERE, "../../links/up/etc/hosts", 0),
    ("open", 6, HERE, "made", W | CREATE, 0o600), ("rename", HERE, "made", HERE, "/a/made", 0), ("stat", HERE, "/a/made", 0),
    *[("readfd", slot) for slot in range(1, 7)],
    ("fchdir", 1), ("getcwd",), ("fchdir", 5), ("getcwd",), ("readlink", HERE, "/proc/self/cwd", 4096), ("stat", HERE, "../deep/a", 0),
    ("fchdir", 2), ("getcwd",), ("chdir", ".."), ("getcwd",), ("chdir", "a/b"), ("getcwd",), ("stat", HERE, "../../../../a", 0),
    ("stat", 1, "..", 0), ("stat", 1, "../links/relative", 0), ("stat", 4, "../etc/conf.d/a", 0), ("openat2", 7, 1, "..", PATH, 0, BENEATH),
    ("openat2", 7, 1, "../data/one", R, 0, IN_ROOT), ("openat2", 7, 1, "/hosts", R, 0, IN_ROOT), ("chroot", ".."), ("getcwd",),
    ("fchdir", 4), ("chroot", "."), ("chdir", "/"), ("getcwd",), ("stat", HERE, "one", 0), ("stat", HERE, "/one", 0)]
CASES["a root whose name another begins with"] = [
    ("mkdir", HERE, "/deeper", 0o755), ("open", 1, HERE, "/deeper", R | DIR, 0), ("open", 2, HERE, "/deeper/f", RW | CREATE, 0o600),
    ("chroot", "/deep"), ("fchdir", 1), ("getcwd",), ("readfd", 1), ("readfd", 2), ("stat", HERE, "f", 0), ("stat", HERE, "../deeper/f", 0)]
CASES["a root in a forked process"] = [
    ("fork", 1), ("in", 1, ("root", "/deep")), ("in", 1, ("getcwd",)), ("in", 1, ("stat", HERE, "/a", 0)), ("stat", HERE, "/a", 0),
    ("in", 1, ("open", 1, HERE, "/a", R | DIR, 0)), ("in", 1, ("chroot", "/a/b")), ("in", 1, ("getcwd",)), ("in", 1, ("fchdir", 1)),
    ("in", 1, ("getcwd",)), ("in", 1, ("stat", HERE, "..", 0)), ("in", 1, ("stat", HERE, "../../etc/hosts", 0)), ("end", 1)]

# -- another process, by its directory in /proc

CASES["what /proc tells of another process"] = [
    ("open", 1, HERE, "/etc/hosts", R, 0), ("open", 2, HERE, "/deep/a", R | DIR, 0), ("open", 3, HERE, "/tmp/new", RW | CREATE, 0o600),
    ("write", 3, b"text"), ("open", 4, HERE, "/data/one", PATH, 0), ("chdir", "/etc/conf.d"), ("fork", 1), ("chdir", "/"),
    *[("readlink", HERE, "/proc/{1}/fd/{%d}" % slot, 4096) for slot in range(1, 5)],
    ("readlink", HERE, "/proc/{1}/cwd", 4096), ("readlink", HERE, "/proc/{1}/root", 4096), ("stat", HERE, "/proc/{1}/cwd", 0),
    ("stat", HERE, "/proc/{1}/cwd/a", 0), ("openread", "/proc/{1}/cwd/a"), ("openread", "/proc/{1}/cwd/../hosts"),
    ("openread", "/proc/{1}/root/etc/hosts"), ("stat", HERE, "/proc/{1}/root", 0), ("openlist", "/proc/{1}/cwd", 8192),
    *[("stat", HERE, "/proc/{1}/fd/{%d}" % slot, 0) for slot in range(1, 5)],
    *[("openread", "/proc/{1}/fd/{%d}" % slot) for slot in (1, 3, 4)],
    ("openlist", "/proc/{1}/fd/{2}", 8192), ("stat", HERE, "/proc/{1}/fd/{2}/b/third", 0),
    ("open", 5, HERE, "/proc/{1}/fd/{1}", W | os.O_APPEND, 0), ("write", 5, b"more"), ("openread", "/etc/hosts"),
    ("open", 6, HERE, "/proc/{1}/cwd/made", W | CREATE, 0o644), ("stat", HERE, "/etc/conf.d/made", 0),
    ("unlink", HERE, "/proc/{1}/cwd/a", 0), ("in", 1, ("stat", HERE, "a", 0)), ("chmod", HERE, "/proc/{1}/fd/{3}", 0o4711),
    ("stat", HERE, "/tmp/new", 0), ("truncate", "/proc/{1}/fd/{3}", 2), ("in", 1, ("fstat", 3)), ("chdir", "/proc/{1}/cwd"), ("getcwd",),
    ("in", 1, ("chdir", "/deep")), ("readlink", HERE, "/proc/{1}/cwd", 4096), ("stat", HERE, "/proc/{1}/cwd/a", 0), ("end", 1)]
CASES["what /proc tells of another process whose directories are moved"] = [
    ("open", 1, HERE, "/deep/a", R | DIR, 0), ("open", 2, HERE, "/deep/a/b/third", R, 0), ("chdir", "/deep/a/b"), ("fork", 1), ("chdir", "/"),
    ("rename", HERE, "/deep/a", HERE, "/moved", 0), ("readlink", HERE, "/proc/{1}/cwd", 4096), ("stat", HERE, "/proc/{1}/cwd/third", 0),
    ("readlink", HERE, "/proc/{1}/fd/{1}", 4096), ("stat", HERE, "/proc/{1}/fd/{1}/b/third", 0), ("openlist", "/proc/{1}/fd/{1}", 8192),
    ("mkdir", HERE, "/deep/a", 0o755), ("readlink", HERE, "/proc/{1}/fd/{1}", 4096), ("openlist", "/proc/{1}/fd/{1}", 8192),
    ("open", 3, HERE, "/proc/{1}/cwd/made", W | CREATE, 0o600), ("stat", HERE, "/moved/b/made", 0),
    ("in", 1, ("rename", HERE, "/moved", HERE, "/tmp/again", 0)), ("readlink", HERE, "/proc/{1}/cwd", 4096), ("end", 1)]

CASES["by the link of what has no name any more"] = [
    ("open", 1, HERE, "/back", R | DIR, 0), ("chdir", "/back"), ("fork", 1), ("unlink", HERE, "/back/new", 0), ("unlink", HERE, "/back", REMOVEDIR),
    ("open", 2, HERE, "/data/one", R, 0), ("open", 3, HERE, "/data/two", R, 0), ("open", 4, HERE, "/links/relative", PATH | os.O_NOFOLLOW, 0),
    ("rename", HERE, "/data/one", HERE, "/tmp/moved", 0), ("unlink", HERE, "/data/two", 0), ("rename", HERE, "/links/relative", HERE, "/tmp/l", 0),
    ("open", 5, HERE, "/deep/a/b/third", R, 0), ("rename", HERE, "/deep", HERE, "/tmp/deep", 0), ("mkdir", HERE, "/tmp/own", 0o755),
    ("open", 6, HERE, "/tmp/own", R | DIR, 0), ("unlink", HERE, "/tmp/own", REMOVEDIR),
    *[step for start in ("/proc/self/fd/{1}", "/proc/self/cwd", "/proc/{1}/cwd", "/proc/self/fd/{6}") for step in (
        ("readlink", HERE, start, 4096), ("stat", HERE, start + "/new", 0), ("open", 7, HERE, start + "/new", RW, 0), ("mkdir", HERE, start + "/x", 0o755),
        ("open", 7, HERE, start + "/x", W | CREATE, 0o600), ("stat", HERE, start + "/../etc/hosts", 0), ("openread", start + "/./../etc/hosts"),
        ("open", 7, HERE, start + "/.", R | DIR, 0), ("list", 7), ("open", 7, HERE, start, R | DIR, 0), ("list", 7), ("symlink", "x", HERE, start + "/l"),
        ("link", HERE, "/etc/hosts", HERE, start + "/h", 0), ("rename", HERE, "/etc/hosts", HERE, start + "/h", 0), ("unlink", HERE, start + "/new", 0))],
    *[step for slot in range(2, 6) for step in (
        # for writing: docs/reference/differences.md
        ("readfd", slot), ("openfd", 7, slot, R), *([("openfd", 7, slot, RW)] if slot != 3 else []), ("stat", HERE, "/proc/self/fd/{%d}" % slot, 0), ("chmod", HERE, "/proc/self/fd/{%d}" % slot, 0o601))],
    ("rename", HERE, "/tmp/moved", HERE, "/etc/again", 0), ("readfd", 2), ("unlink", HERE, "/etc/again", 0), ("readfd", 2),
    ("open", 8, HERE, "/etc/x (deleted)", RW | CREATE, 0o600), ("readfd", 8), ("openfd", 7, 8, RW), ("unlink", HERE, "/etc/x (deleted)", 0), ("readfd", 8)]
CASES["a link by its handle"] = [
    ("open", 1, HERE, "/links/directory", PATH | os.O_NOFOLLOW, 0), ("symlink", "/etc/conf.d", HERE, "/tmp/l"), ("open", 2, HERE, "/tmp/l", PATH | os.O_NOFOLLOW, 0),
    *[step for slot in (1, 2) for start in ["/proc/self/fd/{%d}" % slot] for step in (
        ("chdir", start), ("getcwd",), ("stat", HERE, start + "/", 0), ("stat", HERE, start + "/a", 0), ("openlist", start, 300), ("statfs", start),
        ("access", HERE, start, 7), ("open", 3, HERE, start, R | DIR, 0), ("open", 3, HERE, start, PATH, 0), ("fstat", 3), ("open", 3, HERE, start, PATH | DIR, 0),
        ("open", 3, HERE, start, W | CREATE | TRUNC, 0o600), ("chroot", start), ("connect", 4, start, 1), ("watched", start, "x"), ("listxattr", start),
        ("chown", HERE, start, 4, 5, 0), ("stat", HERE, start, 0), ("readlink", HERE, start, 100), ("mkdir", HERE, start, 0o755), ("unlink", HERE, start + "/a", 0),
        ("link", HERE, start, HERE, f"/tmp/h{slot}", FOLLOW), ("stat", HERE, f"/tmp/h{slot}", NOFOLLOW))]]

# -- handles of O_PATH, with everything that takes a descriptor

_EACH: List[Operation] = [
    ("read", 1, 3), ("pread", 1, 3, 0), ("write", 1, b"x"), ("pwrite", 1, b"x", 0), ("lseek", 1, 0, 0), ("fsync", 1), ("fdatasync", 1),
    ("syncfs", 1), ("fstat", 1), ("fstatfs", 1), ("fchmod", 1, 0o600), ("fchown", 1, 1, 1), ("ftruncate", 1, 1), ("fallocate", 1, 0, 0, 9),
    ("futimens", 1, 1_100_000_000), ("flock", 1, 2), ("lock", 1, 6, 0, 0, 1), ("lock", 1, 37, 0, 0, 1), ("copy", 1, 9, 3), ("copy", 9, 1, 3),
    ("sendfile", 1, 9, 3), ("sendfile", 9, 1, 3), ("splice", 1, 9, 3), ("splice", 9, 1, 3), ("clone", 9, 1), ("map", 1, 1, b"x"),
    ("map", 1, 0, b"x"), ("fsetxattr", 1, "user.a", b"1", 0), ("fgetxattr", 1, "user.note"), ("flistxattr", 1), ("fremovexattr", 1, "user.note"),
    ("setflags", 1, 0x40), ("advise", 1), ("ahead", 1), ("syncrange", 1), ("flags", 1), ("setfl", 1, os.O_APPEND), ("fdinfo", 1),
    ("list", 1), ("readfd", 1), ("dup", 2, 1), ("fstat", 2), ("fchdir", 1), ("getcwd",), ("chdir", "/"), ("stat", 1, "", EMPTY_PATH),
    ("statx", 1, "", EMPTY_PATH), ("access", 1, "", 4), ("faccessat2", 1, "", 4, EMPTY_PATH), ("faccessat2", 1, "", 4, EMPTY_PATH | 0x200),
    ("readlink", 1, "", 100), ("stat", 1, "x", 0), ("stat", 1, "b", 0), ("open", 3, 1, "x", R, 0), ("openfd", 3, 1, R | NONBLOCK), ("fstat", 3),
    ("openfd", 3, 1, RW | NONBLOCK), ("openfd", 3, 1, PATH), ("handle", 1, "", EMPTY_PATH | HANDLE_FID), ("fchmodat2", 1, "", 0o640, EMPTY_PATH),
    ("chown", 1, "", 8, 8, EMPTY_PATH), ("utimens", 1, "", 1_200_000_000, EMPTY_PATH), ("link", 1, "", HERE, "/tmp/linked", EMPTY_PATH),
    ("linkfd", 1, HERE, "/tmp/linked2"), ("stat", HERE, "/tmp/linked", NOFOLLOW), ("chmod", HERE, "/proc/self/fd/{1}", 0o604),
    ("setxattr", "/proc/self/fd/{1}", "user.p", b"1", 0), ("getxattr", "/proc/self/fd/{1}", "user.p"), ("truncate", "/proc/self/fd/{1}", 2),
    ("utimens", HERE, "/proc/self/fd/{1}", 1_100_000_000, 0), ("stat", HERE, "/proc/self/fd/{1}", 0)]
_SOURCE: List[Operation] = [("open", 9, HERE, "/tmp/source", RW | CREATE, 0o600), ("write", 9, b"source"), ("lseek", 9, 0, 0)]

for _name, _path in (("a lower file", "/data/one"), ("a lower directory", "/deep/a"), ("a lower link", "/links/relative"),
                     ("a dangling link", "/links/dangling"), ("a lower fifo", "/special/pipe"), ("a device", "/special/null"),
                     ("one of several names", "/data/h1"), ("a merged directory", "/etc/conf.d")):
    CASES[f"a handle of {_name}, with every call"] = [
        *_SOURCE, ("open", 1, HERE, _path, PATH | os.O_NOFOLLOW, 0), *_EACH, ("stat", HERE, _path, NOFOLLOW)]
for _name, _made in (("a new file", ("open", 8, HERE, "/tmp/n", RW | CREATE, 0o640)), ("a new directory", ("mkdir", HERE, "/tmp/n", 0o755)),
                     ("a new socket", ("mknod", HERE, "/tmp/n", SOCK | 0o600, 0)), ("a new fifo", ("mknod", HERE, "/tmp/n", FIFO | 0o600, 0)),
                     ("a new link", ("symlink", "x", HERE, "/tmp/n"))):
    CASES[f"a handle of {_name}, with every call"] = [
        *_SOURCE, _made, ("open", 1, HERE, "/tmp/n", PATH | os.O_NOFOLLOW, 0), *_EACH, ("stat", HERE, "/tmp/n", NOFOLLOW)]
for _name, _path in (("a lower file", "/data/one"), ("a lower directory", "/deep/a"), ("one of several names", "/data/h2")):
    CASES[f"{_name}, open for reading, with every call"] = [
        *_SOURCE, ("open", 1, HERE, _path, R, 0), *_EACH, ("stat", HERE, _path, NOFOLLOW)]

# -- a name for what has none, or another one

_MANY: List[Operation] = [
    ("open", 1, HERE, "/data/one", R, 0), ("open", 2, HERE, "/etc/hosts", RW, 0), ("open", 3, HERE, "/deep", RW | TMPFILE, 0o4640),
    ("write", 3, b"nameless"), ("open", 4, HERE, "/deep/a/b", RW | TMPFILE | EXCL, 0o600), ("open", 5, HERE, "/data", R | DIR, 0),
    ("open", 6, HERE, "/links/relative", PATH | os.O_NOFOLLOW, 0), ("open", 7, HERE, "/tmp/gone", RW | CREATE, 0o600), ("unlink", HERE, "/tmp/gone", 0),
    ("open", 8, HERE, "/special/pipe", PATH, 0), ("open", 9, HERE, "/data/two", R, 0), ("unlink", HERE, "/data/two", 0),
    ("open", 10, HERE, "/data/h1", R, 0), ("unlink", HERE, "/over/new", 0), ("mkdir", HERE, "/tmp/d", 0o2775), ("chown", HERE, "/tmp/d", 0, 50, 0),
    ("open", 11, HERE, "/tmp/d", W | TMPFILE, 0o2755), ("open", 12, HERE, "/proc/self/fd/{5}", W | TMPFILE, 0o600)]
_SLOTS = [*range(1, 13), 99]


def _asked(slot: int) -> List[Operation]:
    """What is open of a layer tells nothing of its copy (docs/reference/differences.md)."""
    return [] if slot in (1, 6, 8, 10) else [("fstat", slot)]


CASES["names by empty paths"] = _MANY + [
    step for slot in _SLOTS for step in (
        ("link", slot, "", HERE, f"/tmp/l{slot}", EMPTY_PATH), ("link", slot, "", HERE, "/over/new", EMPTY_PATH),
        ("link", slot, "", HERE, "/etc/shadow", EMPTY_PATH), ("link", slot, "", 5, f"at{slot}", EMPTY_PATH), ("link", slot, "", HERE, "/absent/l", EMPTY_PATH),
        ("link", slot, "", HERE, f"/tmp/f{slot}", EMPTY_PATH | FOLLOW), ("link", slot, "", HERE, f"/tmp/n{slot}", 0), *_asked(slot),
        ("unlink", HERE, "/over/new", 0))] + [("link", HERE, "", HERE, "/tmp/x", EMPTY_PATH)]
CASES["names by links of descriptors"] = _MANY + [
    step for slot in _SLOTS[:-1] for step in (
        ("linkfd", slot, HERE, f"/tmp/l{slot}"), ("linkfd", slot, HERE, "/over/new"), ("linkfd", slot, HERE, "/etc/shadow"),
        ("linkfd", slot, 5, f"at{slot}"), ("link", HERE, "/proc/self/fd/{%d}" % slot, HERE, f"/tmp/n{slot}", 0), *_asked(slot),
        ("unlink", HERE, "/over/new", 0), ("readfd", slot))]
CASES["nameless files of every kind of directory"] = [
    step for place in ("/tmp", "/deep/a/b", "/over", "/data/empty", "/back", "/etc/conf.d", "/links/directory", "/etc/hosts", "/absent", "/special/pipe",
                       "/links/dangling", "/tmp/") for step in (
        *[("open", 1, HERE, place, flags | TMPFILE, mode) for flags in (R, W, RW, RW | EXCL, RW | os.O_APPEND, RW | TRUNC, RW | os.O_NOFOLLOW)
          for mode in (0, 0o6777)],
        ("write", 1, b"x"), ("fstat", 1), ("readfd", 1), ("fsetxattr", 1, "user.t", b"1", 0), ("fchown", 1, 7, 8), ("fchmod", 1, 0o2711),
        ("linkfd", 1, HERE, "/tmp/from"), ("fstat", 1), ("stat", HERE, "/tmp/from", 0), ("unlink", HERE, "/tmp/from", 0), ("linkfd", 1, HERE, "/tmp/from"))]

# -- renames with each flag of each kind onto each kind

_THINGS = ["/etc/hosts", "/deep/a", "/links/relative", "/special/pipe", "/special/null", "/data/h1", "/data/empty", "/tmp/file", "/tmp/dir",
           "/tmp/full", "/tmp/socket", "/swap2", "/etc/conf.d", "/tmp/absent", "/back/new"]
_THINGS_MADE: List[Operation] = [
    ("open", 1, HERE, "/tmp/file", RW | CREATE, 0o600), ("mkdir", HERE, "/tmp/dir", 0o755), ("mkdir", HERE, "/tmp/full", 0o755),
    ("mknod", HERE, "/tmp/full/x", REG | 0o600, 0), ("mknod", HERE, "/tmp/socket", SOCK | 0o600, 0), ("unlink", HERE, "/back/new", 0)]
for _flags in (0, NOREPLACE, EXCHANGE, NOREPLACE | EXCHANGE, EXCHANGE | WHITEOUT, 8, 1 << 31):
    CASES[f"every kind renamed to every kind, with flags {_flags:x}"] = _THINGS_MADE + [
        step for one in _THINGS for other in _THINGS if one != other
        for step in (("rename", HERE, one, HERE, other, _flags), ("stat", HERE, one, NOFOLLOW), ("stat", HERE, other, NOFOLLOW),
                     ("rename", HERE, other, HERE, one, NOREPLACE if _flags != EXCHANGE else EXCHANGE))]

# -- content from one descriptor to another

CASES["content between lower and upper files"] = [
    ("open", 1, HERE, "/data/sparse", R, 0), ("open", 2, HERE, "/tmp/new", RW | CREATE, 0o600), ("open", 3, HERE, "/etc/hosts", RW, 0),
    ("open", 4, HERE, "/data/one", R, 0), ("open", 5, HERE, "/usr/lib/x.so", R, 0), ("open", 6, HERE, "/tmp/other", W | CREATE | os.O_APPEND, 0o600),
    *[step for source in (1, 3, 4, 5, 2) for target in (2, 3, 6, 4) if source != target for step in (
        ("lseek", source, 0, 0), ("copy", source, target, 100), ("copyat", source, 2, target, 5, 3000), ("sendfile", target, source, 7),
        ("splice", source, target, 50), ("fstat", target))],
    ("copyat", 2, 0, 2, 1000, 100), ("copyat", 2, 0, 2, 10, 100), ("clone", 4, 2), ("clone", 2, 4), ("clonerange", 5, 3, 0), ("clonerange", 2, 1, 0),
    ("pread", 2, 5000, 0), ("pread", 3, 5000, 0), ("pread", 4, 100, 0), ("stat", HERE, "/data/sparse", 0), ("open", 7, HERE, "/data", R | DIR, 0),
    ("copy", 7, 2, 5), ("copy", 2, 7, 5), ("sendfile", 2, 7, 5), ("splice", 7, 2, 5), ("flags", 1), ("flags", 3), ("flags", 6), ("fdinfo", 2),
    ("fdinfo", 6), ("setfl", 2, os.O_APPEND), ("flags", 2), ("copy", 5, 2, 5)]

# -- watches and handles

CASES["watched by marks"] = [
    ("marked", "/tmp", "n"), ("marked", "/data", "n"), ("marked", "/etc/conf.d", "n"), ("marked", "/links/directory", "n2"), ("mkdir", HERE, "/tmp/d", 0o755),
    ("marked", "/tmp/d", "n"), ("open", 1, HERE, "/deep/a/b", R | DIR, 0), ("marked", "/deep/a/b", "n", 1), ("marked", "/absent", "n"),
    ("markedfile", "/etc/hosts"), ("markedfile", "/etc/hosts"), ("markedfile", "/data/h1"), ("markedfile", "/tmp/absent"),
    ("open", 2, HERE, "/tmp/f", W | CREATE, 0o600), ("markedfile", "/tmp/f"), ("stat", HERE, "/etc/hosts", 0)]
CASES["marks that are refused"] = [
    ("open", 1, HERE, "/data/one", R, 0), ("open", 2, HERE, "/deep", R | DIR, 0), ("open", 3, HERE, "/data/one", PATH, 0),
    *[("mark", flags, mask, at, path) for flags in (1, 2, 1 | 4, 1 | 8, 0, 3, 0x80, 1 << 20) for mask in (2, 0, 0x100, 1 << 40)
      for at, path in ((HERE, "/data/one"), (HERE, "/links/absolute"), (HERE, "/absent"), (HERE, "/deep"), (1, ""), (2, ""), (3, ""),
                       (2, "a"), (99, "a"), (99, ""))],
    ("stat", HERE, "/data/one", 0)]
CASES["handles of objects"] = [
    ("handles", HERE, "/etc/hosts", HERE, "/links/absolute", HANDLE_FID | FOLLOW), ("handles", HERE, "/etc/hosts", HERE, "/links/absolute", HANDLE_FID),
    ("handles", HERE, "/etc/hosts", HERE, "/data/one", HANDLE_FID), ("handles", HERE, "/data/h1", HERE, "/data/h2", HANDLE_FID),
    ("open", 1, HERE, "/data/one", R, 0), ("handles", 1, "", HERE, "/data/one", HANDLE_FID | EMPTY_PATH), ("rename", HERE, "/data/one", HERE, "/tmp/one", 0),
    ("handles", 1, "", HERE, "/tmp/one", HANDLE_FID | EMPTY_PATH), ("open", 2, HERE, "/deep/a", PATH, 0),
    ("handles", 2, "", HERE, "/deep/a", HANDLE_FID | EMPTY_PATH), ("handle", HERE, "", HANDLE_FID), ("handle", HERE, "", HANDLE_FID | EMPTY_PATH),
    ("handle", HERE, "/absent", HANDLE_FID), ("handle", HERE, "/links/dangling", HANDLE_FID | FOLLOW), ("handle", 99, "", HANDLE_FID | EMPTY_PATH),
    ("handle", 99, "x", HANDLE_FID), ("handle", HERE, "/etc/hosts", 1 << 20), ("handle", HERE, "/absent", 1 << 20), ("handle", HERE, "/etc/hosts/x", HANDLE_FID),
    ("unlink", HERE, "/tmp/one", 0), ("handles", 1, "", 1, "", HANDLE_FID | EMPTY_PATH)]
