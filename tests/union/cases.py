"""Sequences of operations that once went wrong somewhere, or easily would."""
from __future__ import annotations

import os
import struct
from typing import Dict, List, Optional

from .operations import (EMPTY_PATH, EXCHANGE, FOLLOW, HERE, NOFOLLOW, NOREPLACE, PATH, REMOVEDIR,
                        TMPFILE, Operation)

R, W, RW = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
CREATE, EXCL, TRUNC, APPEND, DIR = (os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND,
                                    os.O_DIRECTORY)
NO_XDEV, NO_MAGIC, NO_LINKS, BENEATH, IN_ROOT = 1, 2, 4, 8, 16
STREAM, DGRAM = 1, 2
CAPABILITY = b"\x01\0\0\x02\0\x20" + bytes(14)   # cap_net_raw+ep, in the form of 20 bytes
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2
FIFO, SOCK, CHR, BLK, REG = 0o010000, 0o140000, 0o020000, 0o060000, 0o100000


def acl(owner: int, group: int, other: int, *, mask: int = -1, users: Optional[Dict[int, int]] = None,
        groups: Optional[Dict[int, int]] = None) -> bytes:
    """An access control list, as an attribute has it (acl(5))."""
    entries = [(0x01, owner, -1), *((0x02, mode, uid) for uid, mode in (users or {}).items()),
               (0x04, group, -1), *((0x08, mode, gid) for gid, mode in (groups or {}).items()),
               *([(0x10, mask, -1)] if mask >= 0 else []), (0x20, other, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


WIDE = acl(6, 5, 0, mask=7, users={1000: 7}, groups={50: 4})
NARROW = acl(7, 7, 4, mask=1, users={33: 6, 1000: 0})
CLOSED = acl(4, 6, 2, mask=6, groups={7: 7})


def _open_each(path: str) -> List[Operation]:
    """Every sensible and senseless way to open one name."""
    flags = [R, W, RW, R | CREATE, W | CREATE, W | CREATE | EXCL, W | TRUNC, R | DIR,
             W | DIR, PATH, PATH | os.O_NOFOLLOW, R | os.O_NOFOLLOW, W | CREATE | os.O_NOFOLLOW,
             R | CREATE | DIR, W | APPEND, R | TRUNC, PATH | W | CREATE, RW | CREATE | TRUNC]
    return [("open", 1, HERE, path, flag | os.O_NONBLOCK, 0o640) for flag in flags]


def _ask_each(path: str) -> List[Operation]:
    """Everything that can be asked about one name."""
    return [("stat", HERE, path, 0), ("stat", HERE, path, NOFOLLOW), ("statx", HERE, path, 0),
            ("statx", HERE, path, NOFOLLOW), ("oldstat", path, 0), ("oldstat", path, 1),
            ("access", HERE, path, 0), ("access", HERE, path, 4), ("access", HERE, path, 2),
            ("access", HERE, path, 1), ("faccessat2", HERE, path, 7, 0x200),
            ("faccessat2", HERE, path, 4, NOFOLLOW), ("readlink", HERE, path, 4096),
            ("readlink", HERE, path, 3), ("listxattr", path), ("llistxattr", path),
            ("getxattr", path, "user.note"), ("lgetxattr", path, "user.note"), ("statfs", path),
            ("realpath", path)]


def _change_each(path: str) -> List[Operation]:
    """Everything that can be changed about one name, name kept."""
    return [("chmod", HERE, path, 0o751), ("fchmodat2", HERE, path, 0o640, NOFOLLOW),
            ("chown", HERE, path, 5, 6, 0), ("chown", HERE, path, 7, 8, NOFOLLOW),
            ("truncate", path, 3), ("utimens", HERE, path, 1_100_000_000, 0),
            ("utimens", HERE, path, 1_200_000_000, NOFOLLOW),
            ("setxattr", path, "user.a", b"1", 0), ("lsetxattr", path, "user.b", b"2", 0),
            ("setxattr", path, "user.a", b"3", 1), ("setxattr", path, "user.c", b"4", 2),
            ("removexattr", path, "user.note"), ("lremovexattr", path, "user.b"),
            ("removexattr", path, "user.absent")]


NAMES = ["/etc/hosts", "/etc/absent", "/etc", "/etc/", "/etc/hosts/", "/etc/hosts/x", "/absent/x",
         "/links/absolute", "/links/relative", "/links/directory", "/links/directory/",
         "/links/directory/a", "/links/dangling", "/links/dangling/", "/links/loop1",
         "/links/loop1/x", "/links/chain", "/links/up/etc/hosts", "/links/up/links/up/data/one",
         "/bin/tool", "/lib/x.so", "/lib/../etc/hosts", "/etc/../etc/./hosts", "//etc///hosts",
         "/etc/..", "/..", "/.", "/etc/.", "", "/special/pipe", "/swap1", "/swap1/inside",
         "/swap2", "/swap2/inside", "/gone", "/gone/file", "/over/old1", "/over/new", "/back/old",
         "/back/new", "/etc/conf.d/b", "/etc/conf.d/c", "/usr/bin/su", "/etc/nothing",
         "/etc/readonly", "/data/two", "/" + "n" * 255, "/" + "n" * 256, "/etc/" + "x/" * 2500]

CASES: Dict[str, List[Operation]] = {}



def _make_each(path: str) -> List[Operation]:
    """Everything that can be put in the place of one name."""
    return [("mkdir", HERE, path, 0o755), ("mknod", HERE, path, REG | 0o600, 0),
            ("symlink", "target", HERE, path), ("link", HERE, "/etc/hosts", HERE, path, 0),
            ("mknod", HERE, path, FIFO | 0o622, 0), ("stat", HERE, path, NOFOLLOW)]


def _link_each(path: str) -> List[Operation]:
    return [("link", HERE, path, HERE, "/tmp/other", 0),
            ("link", HERE, path, HERE, "/tmp/followed", FOLLOW),
            ("chmod", HERE, "/tmp/other", 0o611), ("stat", HERE, path, NOFOLLOW)]


def _rename_each(path: str) -> List[Operation]:
    return [("rename", HERE, path, HERE, "/tmp/moved", 0),
            ("rename", HERE, "/etc/hosts", HERE, path, NOREPLACE),
            ("rename", HERE, "/etc/hosts", HERE, path, EXCHANGE),
            ("rename", HERE, "/etc/hosts", HERE, path, 0),
            ("rename", HERE, "/data/empty", HERE, path, 0),
            ("rename", HERE, "/tmp/moved", HERE, path, 0),
            ("rename", HERE, path, HERE, path, 0)]


def _remove_each(path: str) -> List[Operation]:
    return [("unlink", HERE, path, REMOVEDIR), ("unlink", HERE, path, 0),
            ("stat", HERE, path, NOFOLLOW), ("mkdir", HERE, path, 0o755),
            ("unlink", HERE, path, REMOVEDIR),
            ("open", 1, HERE, path, W | CREATE | EXCL, 0o644), ("unlink", HERE, path, 0)]


CASES["asked"] = [operation for name in NAMES for operation in _ask_each(name)]
for _name in NAMES:
    _label = (_name if len(_name) < 40 else _name[:10] + "...") or "nothing"
    CASES[_label] = _open_each(_name) + _change_each(_name) + _rename_each(_name)
    CASES[_label + ", made and removed"] = (_remove_each(_name) + _make_each(_name)
                                            + _link_each(_name))


#: A directory of 4004 bytes, and a file there of as many as a path can have.
_LEVEL = "d" * 199
_DEEP = "/tmp" + ("/" + _LEVEL) * 20
_LAST = _DEEP + "/" + "f" * (4095 - len(_DEEP) - 1)
_OTHER = _LAST[:-1] + "g"

CASES["as deep as a path reaches"] = (
    [("mkdir", HERE, _DEEP[:4 + 200 * n], 0o755) for n in range(1, 21)]
    + _make_each(_LAST) + _remove_each(_LAST) + _open_each(_LAST) + _change_each(_LAST)
    + _ask_each(_LAST) + _ask_each(_LAST + "/") + _ask_each(_LAST + "x")
    + [("link", HERE, _LAST, HERE, _OTHER, 0), ("rename", HERE, _OTHER, HERE, "/tmp/short", 0),
       ("rename", HERE, "/etc/hosts", HERE, _OTHER, 0), ("stat", HERE, _OTHER, 0),
       ("rename", HERE, _OTHER, HERE, _LAST, EXCHANGE), ("open", 2, HERE, _OTHER, RW, 0),
       ("write", 2, b"x"), ("fstat", 2), ("fchmod", 2, 0o604), ("fchown", 2, 3, 4), ("fstat", 2),
       ("fsetxattr", 2, "user.fd", b"1", 0), ("futimens", 2, 1_170_000_000), ("stat", HERE, _OTHER, 0),
       ("openfd", 3, 2, R), ("read", 3, 9), ("chdir", _DEEP), ("getcwd",),
       ("stat", HERE, "../" + _LEVEL, 0), ("open", 3, HERE, ".", RW | TMPFILE, 0o640),
       ("linkfd", 3, HERE, "named"), ("unlink", HERE, "named", 0), ("list", 1),
       ("rename", HERE, "/links", HERE, _DEEP + "/links", 0), ("readlink", HERE, "links/up", 100),
       ("stat", HERE, "links/relative", 0), ("stat", HERE, "links/chain", 0), ("openlist", _DEEP, 300),
       ("rename", HERE, _DEEP + "/links", HERE, "/links", 0), ("chdir", "/")])


def _by_and_by(name: str, levels: int) -> List[Operation]:
    """Into a tree deeper than a path reaches, with all there is to do, and out of it."""
    down = [step for _ in range(levels)
            for step in (("mkdir", HERE, name, 0o755), ("chdir", name))]
    out = [step for _ in range(levels)
           for step in (("chdir", ".."), ("unlink", HERE, name, REMOVEDIR))]
    inside: List[Operation] = [
        ("getcwd",), *_open_each("f"), *_ask_each("f"), *_change_each("f"), *_rename_each("f"),
        *_ask_each("../" + name), ("symlink", "../" + name + "/f", HERE, "l"), *_ask_each("l"),
        ("open", 1, HERE, ".", R | DIR, 0), ("stat", 1, "f", 0), ("list", 1), ("fchmod", 1, 0o700),
        ("fchown", 1, 7, 7), ("fstat", 1), ("stat", 1, "", EMPTY_PATH), ("readfd", 1),
        ("mkdir", 1, "sub", 0o755), ("rename", 1, "sub", 1, "sub2", 0), ("stat", 1, "sub2/..", 0),
        ("open", 2, 1, "g", RW | CREATE, 0o2640), ("write", 2, b"text"), ("fchown", 2, 1, 2),
        ("fstat", 2), ("openfd", 3, 2, R), ("link", 1, "g", 1, "h", 0), ("fstat", 2),
        ("unlink", 1, "h", 0), ("unlink", 1, "g", 0), ("fstat", 2), ("fchmod", 2, 0o600), ("fstat", 2),
        ("linkfd", 2, HERE, "again"), ("openat2", 3, 1, "sub2/../f", R, 0, BENEATH),
        ("openat2", 3, 1, "/f", R, 0, IN_ROOT), ("openat2", 3, 1, "l", R, 0, NO_LINKS),
        ("rename", HERE, "/etc", HERE, "etc", 0), ("stat", HERE, "etc/conf.d/a", 0),
        ("rename", HERE, "etc", HERE, "/etc", 0), ("stat", HERE, "/etc/conf.d/a", 0),
        ("chdir", "/"), ("fchdir", 1), ("getcwd",), ("stat", HERE, "f", 0),
        ("unlink", HERE, "sub2", REMOVEDIR), ("unlink", HERE, "l", 0), ("unlink", HERE, "f", 0),
        ("unlink", HERE, "again", 0), ("list", 1)]
    return down + inside + out


CASES["deeper than a path reaches"] = [("chdir", "/tmp")] + _by_and_by("n" * 150, 50)
CASES["deeper than a path reaches, in a directory that was lower"] = (
    [("chdir", "/deep/a/b")] + _by_and_by("n" * 200, 24))

CASES["forty links and no more"] = [
    ("symlink", "/etc/hosts", HERE, "/tmp/1"),
    *[("symlink", str(n), HERE, f"/tmp/{n + 1}") for n in range(1, 42)],
    *[(ask, HERE, f"/tmp/{n}", 0) for n in (39, 40, 41, 42) for ask in ("stat", "access")],
    *[("open", 1, HERE, f"/tmp/{n}", flags, 0) for n in (40, 41) for flags in (R, W, PATH, R | os.O_NOFOLLOW)],
    ("symlink", "/etc", HERE, "/tmp/d"), ("stat", HERE, "/tmp/d/../tmp/d/../tmp/38", 0),
    ("stat", HERE, "/tmp/d/../tmp/d/../tmp/39", 0), ("stat", HERE, "/tmp/40/", 0), ("stat", HERE, "/tmp/41/", NOFOLLOW)]
CASES["listed with little room"] = [
    operation for room in (0, 1, 23, 24, 31, 32, 40, 64, 300)
    for operation in (("openlist", "/etc/conf.d", room), ("openlist", "/over", room))]

CASES.update({
    "written through a link": [
        ("open", 1, HERE, "/links/relative", W | APPEND, 0), ("write", 1, b" more"),
        ("close", 1), ("open", 1, HERE, "/links/newfile", W | CREATE, 0o600), ("write", 1, b"x"),
        ("stat", HERE, "/tmp/made", 0), ("open", 2, HERE, "/links/newfile", W | CREATE | EXCL, 0o600)],
    "content survives copy-up": [
        ("open", 1, HERE, "/data/sparse", RW, 0), ("pwrite", 1, b"middle", 100_000),
        ("pread", 1, 5, 0), ("pread", 1, 6, 100_000), ("pread", 1, 3, 200_005),
        ("fstat", 1), ("fsync", 1)],
    "hard links stay links": [
        ("open", 1, HERE, "/data/h1", W | APPEND, 0), ("write", 1, b"!"), ("close", 1),
        ("open", 1, HERE, "/data/h2", R, 0), ("read", 1, 100), ("stat", HERE, "/data/h2", 0)],
    "hard links by chmod": [("chmod", HERE, "/data/h2", 0o600), ("stat", HERE, "/data/h1", 0)],
    "hard links renamed": [
        ("rename", HERE, "/data/h1", HERE, "/data/h2", 0), ("rename", HERE, "/data/h1", HERE, "/tmp/h", 0),
        ("chmod", HERE, "/tmp/h", 0o640), ("stat", HERE, "/data/h2", 0)],
    "hard link over a whiteout": [
        ("unlink", HERE, "/etc/hosts", 0), ("link", HERE, "/data/h1", HERE, "/etc/hosts", 0),
        ("stat", HERE, "/etc/hosts", 0), ("stat", HERE, "/data/h1", 0)],
    "one hard link removed": [
        ("open", 1, HERE, "/data/h1", RW, 0), ("unlink", HERE, "/data/h1", 0), ("fstat", 1),
        ("write", 1, b"X"), ("open", 2, HERE, "/data/h2", R, 0), ("read", 2, 20)],
    "a new directory over a removed one is empty": [
        ("unlink", HERE, "/back/new", 0), ("unlink", HERE, "/back", REMOVEDIR),
        ("mkdir", HERE, "/back", 0o700), ("open", 1, HERE, "/back", R, 0), ("list", 1),
        ("unlink", HERE, "/back", REMOVEDIR), ("mkdir", HERE, "/back", 0o755)],
    "directory with whiteouts is empty": [
        ("unlink", HERE, "/swap2/inside", 0), ("unlink", HERE, "/swap2", 0),
        ("unlink", HERE, "/swap2", REMOVEDIR), ("open", 1, HERE, "/swap2", W | CREATE, 0o600)],
    "directory that is not empty": [
        ("unlink", HERE, "/etc/conf.d", REMOVEDIR), ("unlink", HERE, "/etc/conf.d/a", 0),
        ("unlink", HERE, "/etc/conf.d/b", 0), ("unlink", HERE, "/etc/conf.d", REMOVEDIR),
        ("unlink", HERE, "/etc/conf.d/d", 0), ("unlink", HERE, "/etc/conf.d", REMOVEDIR)],
    "lower directory renamed": [
        ("rename", HERE, "/etc/conf.d", HERE, "/tmp/conf", 0), ("stat", HERE, "/etc/conf.d/a", 0),
        ("open", 1, HERE, "/tmp/conf/a", RW, 0), ("read", 1, 9), ("mkdir", HERE, "/etc/conf.d", 0o755),
        ("open", 2, HERE, "/etc/conf.d", R, 0), ("list", 2),
        ("rename", HERE, "/tmp/conf", HERE, "/etc/conf.d", 0), ("list", 2)],
    "deep lower directory renamed": [
        ("rename", HERE, "/deep/a", HERE, "/deep/z", 0), ("stat", HERE, "/deep/z/b/c/leaf", 0),
        ("rename", HERE, "/deep/z", HERE, "/deep/a", 0), ("stat", HERE, "/deep/a/b/third", 0),
        ("rename", HERE, "/deep", HERE, "/deep/a/in", 0), ("rename", HERE, "/deep/a/b", HERE, "/deep", 0),
        ("rename", HERE, "/deep/a/b", HERE, "/deep", EXCHANGE)],
    "renamed onto an empty directory": [
        ("rename", HERE, "/over", HERE, "/data/empty", 0), ("stat", HERE, "/data/empty/new", 0),
        ("stat", HERE, "/data/empty", 0), ("mkdir", HERE, "/over", 0o711),
        ("open", 1, HERE, "/over", R, 0), ("list", 1)],
    "renamed onto a directory of whiteouts": [
        ("unlink", HERE, "/swap2/inside", 0), ("rename", HERE, "/over", HERE, "/swap2", 0),
        ("open", 1, HERE, "/swap2", R, 0), ("list", 1), ("stat", HERE, "/over", 0)],
    "renamed onto what is full": [
        ("rename", HERE, "/over", HERE, "/swap2", 0), ("rename", HERE, "/over", HERE, "/swap1", 0),
        ("rename", HERE, "/swap1", HERE, "/over", 0), ("rename", HERE, "/over", HERE, "/absent/x", 0)],
    "exchanged": [
        ("rename", HERE, "/etc/hosts", HERE, "/data/one", EXCHANGE),
        ("rename", HERE, "/etc", HERE, "/data", EXCHANGE), ("stat", HERE, "/data/conf.d/a", 0),
        ("rename", HERE, "/etc", HERE, "/swap1", EXCHANGE), ("stat", HERE, "/swap1/empty", 0),
        ("rename", HERE, "/swap1", HERE, "/absent", EXCHANGE),
        ("rename", HERE, "/links/up", HERE, "/etc", EXCHANGE)],
    "rename of links": [
        ("rename", HERE, "/links/absolute", HERE, "/tmp/a", 0), ("open", 1, HERE, "/tmp/a", R, 0),
        ("rename", HERE, "/tmp/a/", HERE, "/tmp/b", 0), ("rename", HERE, "/links/directory/", HERE, "/tmp/c", 0),
        ("rename", HERE, "/etc/hosts", HERE, "/links/directory/", 0), ("rename", HERE, "/data", HERE, "/tmp/d/", 0),
        ("stat", HERE, "/tmp/d/one", 0)],
    "file without a name": [
        ("open", 1, HERE, "/tmp", RW | TMPFILE, 0o640), ("write", 1, b"hidden"), ("fstat", 1),
        ("linkfd", 1, HERE, "/tmp/named"), ("stat", HERE, "/tmp/named", 0),
        ("linkfd", 1, HERE, "/tmp/named"), ("unlink", HERE, "/etc/hosts", 0),
        ("linkfd", 1, HERE, "/etc/hosts"), ("fchmod", 1, 0o600), ("stat", HERE, "/etc/hosts", 0),
        ("open", 2, HERE, "/etc/conf.d", RW | TMPFILE | EXCL, 0o600), ("linkfd", 2, HERE, "/tmp/never"),
        ("open", 3, HERE, "/etc/hosts", RW | TMPFILE, 0o600), ("open", 3, HERE, "/tmp", R | TMPFILE, 0o600)],
    "descriptors of what is gone": [
        ("open", 1, HERE, "/tmp/f", RW | CREATE, 0o644), ("write", 1, b"data"), ("unlink", HERE, "/tmp/f", 0),
        ("fstat", 1), ("fchmod", 1, 0o600), ("fchown", 1, 3, 4), ("fstat", 1), ("futimens", 1, 1_000_000),
        ("fsetxattr", 1, "user.x", b"1", 0), ("fgetxattr", 1, "user.x"), ("ftruncate", 1, 2), ("fstat", 1)],
    "changes through a descriptor": [
        ("open", 1, HERE, "/data/one", R, 0), ("fchmod", 1, 0o604), ("fchown", 1, 9, 9),
        ("fsetxattr", 1, "user.y", b"2", 0), ("futimens", 1, 1_150_000_000), ("flistxattr", 1),
        ("fremovexattr", 1, "user.note"), ("stat", HERE, "/data/one", 0), ("ftruncate", 1, 0),
        ("write", 1, b"no")],
    "changes through a directory's descriptor": [
        ("open", 1, HERE, "/etc/conf.d", R | DIR, 0), ("fchmod", 1, 0o701), ("fchown", 1, 2, 2),
        ("stat", HERE, "/etc/conf.d", 0), ("fstat", 1), ("futimens", 1, 1_160_000_000), ("stat", HERE, "/etc/conf.d", 0)],
    "a descriptor of a lower file that was renamed since": [
        ("open", 1, HERE, "/data/one", R, 0), ("rename", HERE, "/data/one", HERE, "/moved", 0),
        ("futimens", 1, 1_170_000_000), ("fchmod", 1, 0o604), ("fsetxattr", 1, "user.y", b"2", 0),
        ("stat", HERE, "/moved", 0)],
    "a descriptor of a lower file whose name is another file's now": [
        ("open", 1, HERE, "/data/one", R, 0),
        ("rename", HERE, "/data/one", HERE, "/data/empty", EXCHANGE),
        ("futimens", 1, 1_170_000_000), ("fchmod", 1, 0o604), ("stat", HERE, "/data/one", 0),
        ("stat", HERE, "/data/empty", 0)],
    "a descriptor of a lower file that was removed": [
        ("open", 1, HERE, "/data/one", R, 0), ("unlink", HERE, "/data/one", 0),
        ("futimens", 1, 1_170_000_000), ("fchmod", 1, 0o604), ("fsetxattr", 1, "user.y", b"2", 0)],
    "descriptor of O_PATH": [
        ("open", 1, HERE, "/data/one", PATH, 0), ("read", 1, 3), ("fchmod", 1, 0o600), ("fstat", 1),
        ("fchown", 1, 1, 1), ("stat", 1, "", EMPTY_PATH), ("chown", 1, "", 8, 8, EMPTY_PATH),
        ("openfd", 2, 1, R), ("read", 2, 10), ("openfd", 3, 1, RW), ("write", 3, b"W"),
        ("link", 1, "", HERE, "/tmp/byfd", EMPTY_PATH), ("open", 4, HERE, "/links/loop1", PATH | os.O_NOFOLLOW, 0),
        ("readlink", 4, "", 100), ("stat", 4, "", EMPTY_PATH)],
    "opened again through /proc": [
        ("open", 1, HERE, "/etc/hosts", R, 0), ("openfd", 2, 1, W | APPEND), ("write", 2, b"::1\n"),
        ("readfd", 1), ("readfd", 2), ("open", 3, HERE, "/etc/hosts", R, 0), ("read", 3, 100),
        ("open", 4, HERE, "/proc/self/root/etc/hosts", R, 0), ("read", 4, 4),
        ("chdir", "/etc"), ("open", 5, HERE, "/proc/self/cwd/hosts", R, 0), ("read", 5, 4)],
    "relative to descriptors": [
        ("open", 1, HERE, "/etc", R | DIR, 0), ("stat", 1, "hosts", 0), ("open", 2, 1, "conf.d", R | DIR, 0),
        ("open", 3, 2, "new", W | CREATE, 0o644), ("mkdir", 2, "sub", 0o755), ("rename", 2, "a", 1, "moved", 0),
        ("unlink", 2, "b", 0), ("symlink", "../hosts", 2, "ln"), ("readlink", 2, "ln", 100),
        ("link", 1, "hosts", 2, "hl", 0), ("list", 2), ("list", 1), ("stat", 2, "..", 0), ("stat", 2, "../..", 0),
        ("open", 4, 3, "x", R, 0), ("stat", 99, "hosts", 0), ("stat", 99, "/etc/hosts", 0), ("unlink", 2, "sub", REMOVEDIR)],
    "working directory": [
        ("chdir", "/etc/conf.d"), ("getcwd",), ("stat", HERE, "a", 0), ("chdir", ".."), ("getcwd",),
        ("chdir", "/links/directory"), ("getcwd",), ("chdir", "../../lib/sub"), ("getcwd",),
        ("open", 1, HERE, ".", R | DIR, 0), ("chdir", "/"), ("fchdir", 1), ("getcwd",),
        ("open", 2, HERE, "made-here", W | CREATE, 0o600), ("chdir", "/etc/hosts"), ("chdir", "/absent"), ("getcwd",)],
    "working directory renamed": [
        ("mkdir", HERE, "/tmp/d", 0o755), ("chdir", "/tmp/d"), ("rename", HERE, "/tmp/d", HERE, "/tmp/e", 0),
        ("getcwd",), ("open", 1, HERE, "f", W | CREATE, 0o644), ("stat", HERE, "/tmp/e/f", 0),
        ("unlink", HERE, "f", 0), ("unlink", HERE, "/tmp/e", REMOVEDIR), ("getcwd",), ("stat", HERE, "f", 0),
        ("open", 2, HERE, "g", W | CREATE, 0o644)],
    "lower working directory removed": [
        ("chdir", "/back"), ("unlink", HERE, "new", 0), ("unlink", HERE, "../back", REMOVEDIR), ("getcwd",),
        ("open", 1, HERE, "g", W | CREATE, 0o644), ("stat", HERE, "new", 0)],
    "a lower directory renamed while it is open": [
        ("open", 1, HERE, "/deep/a", R | DIR, 0), ("rename", HERE, "/deep/a", HERE, "/moved", 0),
        ("stat", 1, "b/third", 0), ("open", 2, 1, "new", W | CREATE, 0o644), ("stat", HERE, "/moved/new", 0),
        ("fstat", 1), ("list", 1), ("readfd", 1), ("mkdir", HERE, "/deep/a", 0o755), ("stat", 1, "b", 0),
        ("rename", HERE, "/moved", HERE, "/deep/z", 0), ("mkdir", 1, "sub", 0o755), ("stat", HERE, "/deep/z/sub", 0),
        ("fchdir", 1), ("getcwd",), ("stat", HERE, "..", 0), ("stat", HERE, "../a", 0), ("fchmod", 1, 0o711),
        ("stat", HERE, "/deep/z", 0), ("stat", HERE, "/deep/a", 0), ("stat", HERE, "/proc/self/cwd/b", 0)],
    "a directory above a lower one renamed while it is open": [
        ("open", 1, HERE, "/deep/a/b", R | DIR, 0), ("chdir", "/deep/a"), ("rename", HERE, "/deep", HERE, "/tmp/deep", 0),
        ("stat", 1, "third", 0), ("stat", 1, "..", 0), ("list", 1), ("getcwd",), ("stat", HERE, "b/third", 0),
        ("open", 2, HERE, "made", W | CREATE, 0o600), ("stat", HERE, "/tmp/deep/a/made", 0), ("chdir", ".."), ("getcwd",),
        ("unlink", 1, "third", 0), ("list", 1), ("stat", HERE, "/deep", 0)],
    "a lower directory renamed by another process": [
        ("open", 1, HERE, "/deep/a", R | DIR, 0), ("chdir", "/deep/a/b"), ("fork", 1),
        ("in", 1, ("rename", HERE, "/deep/a", HERE, "/moved", 0)), ("stat", 1, "b/third", 0), ("getcwd",), ("stat", HERE, "third", 0),
        ("in", 1, ("rename", HERE, "/moved", HERE, "/tmp/again", 0)), ("stat", 1, "b/third", 0), ("getcwd",),
        ("open", 2, HERE, "made", W | CREATE, 0o600), ("in", 1, ("stat", HERE, "/tmp/again/b/made", 0)),
        ("in", 1, ("unlink", HERE, "/tmp/again/b/made", 0)), ("stat", HERE, "made", 0), ("end", 1)],
    "a lower directory removed and made anew while it is open": [
        ("open", 1, HERE, "/back", R | DIR, 0), ("unlink", HERE, "/back/new", 0), ("unlink", HERE, "/back", REMOVEDIR),
        ("mkdir", HERE, "/back", 0o700), ("open", 2, HERE, "/back/x", W | CREATE, 0o600), ("stat", 1, "x", 0),
        ("open", 3, 1, "y", W | CREATE, 0o600), ("list", 1), ("open", 3, HERE, "/back", R | DIR, 0), ("list", 3)],
    "a working directory that was removed": [
        ("mkdir", HERE, "/tmp/w", 0o755), ("chdir", "/tmp/w"), ("unlink", HERE, "/tmp/w", REMOVEDIR), ("getcwd",),
        ("open", 1, HERE, ".", R | DIR, 0), ("list", 1), ("open", 2, HERE, "f", W | CREATE, 0o600), ("stat", HERE, "./f", 0),
        ("mkdir", HERE, "d", 0o755), ("chdir", "."), ("access", HERE, ".", 4), ("open", 2, 1, ".", R | DIR, 0), ("chdir", ".."),
        ("getcwd",), ("stat", HERE, "w", 0)],
    "a lower working directory that was removed": [
        ("chdir", "/back"), ("unlink", HERE, "new", 0), ("unlink", HERE, "../back", REMOVEDIR), ("getcwd",),
        ("open", 1, HERE, ".", R | DIR, 0), ("list", 1), ("chdir", "."), ("chdir", ".."), ("getcwd",), ("stat", HERE, "etc/hosts", 0)],
    "listing while names go": [
        ("open", 1, HERE, "/etc/conf.d", R | DIR, 0), ("list", 1, 100), ("unlink", HERE, "/etc/conf.d/a", 0),
        ("list", 1, 100), ("open", 2, HERE, "/etc/conf.d/z", W | CREATE, 0o600), ("list", 1), ("list", 1, 10)],
    "listing of a removed directory": [
        ("open", 1, HERE, "/back", R | DIR, 0), ("unlink", HERE, "/back/new", 0),
        ("unlink", HERE, "/back", REMOVEDIR), ("list", 1), ("stat", 1, "new", 0)],
    "modes": [
        ("umask", 0o027), ("open", 1, HERE, "/tmp/a", W | CREATE, 0o6777), ("mkdir", HERE, "/tmp/d", 0o7777),
        ("mknod", HERE, "/tmp/n", REG | 0o4755, 0), ("mknod", HERE, "/tmp/p", FIFO | 0o666, 0),
        ("umask", 0), ("open", 2, HERE, "/tmp/ro", RW | CREATE, 0o444), ("write", 2, b"x"),
        ("open", 3, HERE, "/tmp/none", RW | CREATE, 0), ("open", 4, HERE, "/tmp/none", R, 0),
        ("chmod", HERE, "/tmp/a", 0o6755), ("chmod", HERE, "/tmp/d", 0o2775), ("chown", HERE, "/tmp/a", 5, 5, 0),
        ("stat", HERE, "/tmp/a", 0), ("mkdir", HERE, "/tmp/d/sub", 0o755), ("chown", HERE, "/tmp/d", 0, 50, 0),
        ("open", 5, HERE, "/tmp/d/f", W | CREATE, 0o644), ("mkdir", HERE, "/tmp/d/sub2", 0o700),
        ("chmod", HERE, "/tmp/d", 0), ("stat", HERE, "/tmp/d/f", 0), ("mknod", HERE, "/tmp/d/x", REG | 0o600, 0)],
    "copies and whiteouts under a umask that forbids everything": [
        ("umask", 0o777), ("open", 1, HERE, "/etc/hosts", W | CREATE | TRUNC, 0o666), ("write", 1, b"x"),
        ("chmod", HERE, "/data/two", 0o640), ("setxattr", "/data/one", "user.a", b"1", 0),
        ("unlink", HERE, "/over/new", 0), ("open", 2, HERE, "/over/new", RW | CREATE, 0o644),
        ("rename", HERE, "/usr", HERE, "/usr2", 0), ("mkdir", HERE, "/tmp/d", 0o755),
        ("open", 3, HERE, "/tmp/d/f", W | CREATE, 0o644), ("symlink", "f", HERE, "/tmp/d/l"),
        ("unlink", HERE, "/back/new", 0), ("unlink", HERE, "/back", REMOVEDIR), ("mkdir", HERE, "/back", 0o755),
        ("open", 4, HERE, "/back/f", W | CREATE, 0o644), ("stat", HERE, "/etc/hosts", 0), ("umask", 0o022)],
    "devices": [
        ("mknod", HERE, "/tmp/null", CHR | 0o666, os.makedev(1, 3)), ("mknod", HERE, "/tmp/disk", BLK | 0o660, os.makedev(8, 17)),
        ("stat", HERE, "/tmp/null", 0), ("chown", HERE, "/tmp/disk", 0, 6, 0), ("rename", HERE, "/tmp/disk", HERE, "/etc/disk", 0),
        ("link", HERE, "/etc/disk", HERE, "/data/disk", 0), ("open", 1, HERE, "/etc", R | DIR, 0), ("list", 1),
        ("mknod", HERE, "/tmp/bad", 0o030000 | 0o600, 0), ("mknod", HERE, "/tmp/dir", 0o040000 | 0o700, 0),
        ("truncate", "/tmp/null", 0), ("truncate", "/data/disk", 4096),
        ("stat", HERE, "/data/disk", 0)],
    "names like whiteouts": [
        ("open", 1, HERE, "/etc/.wh.hosts", W | CREATE, 0o644), ("mkdir", HERE, "/etc/.wh..wh..opq", 0o755),
        ("stat", HERE, "/etc/hosts", 0), ("open", 2, HERE, "/etc", R | DIR, 0), ("list", 2),
        ("rename", HERE, "/etc/.wh.hosts", HERE, "/data/.wh.one", 0), ("unlink", HERE, "/etc/.wh..wh..opq", REMOVEDIR),
        ("mknod", HERE, "/tmp/zero", CHR | 0o600, 0), ("stat", HERE, "/tmp/zero", 0), ("list", 2)],
    "attributes": [
        ("setxattr", "/data/one", "user.note", b"changed", 2), ("setxattr", "/data/one", "user.note", b"", 1),
        ("getxattr", "/data/one", "user.note"), ("setxattr", "/data", "user.dir", b"d", 0), ("listxattr", "/data"),
        ("setxattr", "/links/relative", "user.through", b"t", 0), ("lsetxattr", "/links/relative", "user.x", b"t", 0),
        ("getxattr", "/data/one", "user.through"), ("setxattr", "/data/one", "bad", b"t", 0),
        ("setxattr", "/special/pipe", "user.x", b"t", 0), ("getxattr", "/data/one", "user.absent"),
        ("setxattr", "/etc/readonly", "user.r", b"1", 0), ("getxattr", "/etc/nothing", "user.r")],
    "times": [
        ("utimens", HERE, "/etc", 1_200_000_001, 0), ("open", 1, HERE, "/etc/hosts", RW, 0), ("stat", HERE, "/etc", 0),
        ("chmod", HERE, "/etc/readonly", 0o400), ("stat", HERE, "/etc", 0), ("stat", HERE, "/etc/hosts", 0),
        ("write", 1, b"1"), ("stat", HERE, "/etc/hosts", 0), ("unlink", HERE, "/etc/shadow", 0), ("stat", HERE, "/etc", 0),
        ("utimens", HERE, "/links/absolute", 1_234_567_890, NOFOLLOW), ("stat", HERE, "/links/absolute", NOFOLLOW)],
    "resolved under rules": [
        ("open", 1, HERE, "/etc", R | DIR, 0), ("openat2", 2, 1, "hosts", R, 0, BENEATH), ("openat2", 2, 1, "/etc/hosts", R, 0, BENEATH),
        ("openat2", 2, 1, "../data/one", R, 0, BENEATH), ("openat2", 2, 1, "conf.d/../hosts", R, 0, BENEATH),
        ("openat2", 2, 1, "../../etc/hosts", R, 0, IN_ROOT), ("openat2", 2, 1, "/hosts", R, 0, IN_ROOT),
        ("openat2", 2, 1, "/etc/hosts", R, 0, IN_ROOT), ("open", 3, HERE, "/links", R | DIR, 0),
        ("openat2", 2, 3, "absolute", R, 0, NO_LINKS), ("openat2", 2, 3, "absolute", R, 0, IN_ROOT),
        ("openat2", 2, 3, "absolute", R, 0, BENEATH), ("openat2", 2, 3, "up/etc/hosts", R, 0, BENEATH),
        ("openat2", 2, 3, "up/links/up", PATH, 0, IN_ROOT), ("openat2", 2, 3, "directory/a", R, 0, NO_LINKS),
        ("openat2", 2, HERE, "/lib/x.so", R, 0, NO_LINKS), ("openat2", 2, HERE, "/usr/lib/x.so", R, 0, NO_LINKS),
        ("openat2", 2, HERE, "/proc/self/cwd", PATH, 0, NO_MAGIC), ("openat2", 2, HERE, "/proc/version", R, 0, NO_XDEV),
        ("openat2", 2, 1, "made", W | CREATE, 0o644, BENEATH), ("openat2", 2, 1, "x", R, 0o644, 0),
        ("openat2", 2, 1, "x", R, 0, 1 << 20), ("openat2", 2, 1, "x", 1 << 40, 0, 0), ("openat2", 2, 3, "loop1", R, 0, 0),
        ("openat2", 2, 3, "dangling", W | CREATE, 0o644, BENEATH), ("openat2", 2, 1, "hosts", PATH | W, 0, 0)],
    "appended and copied": [
        ("open", 1, HERE, "/data/one", R, 0), ("open", 2, HERE, "/etc/hosts", RW | APPEND, 0), ("copy", 1, 2, 3),
        ("sendfile", 2, 1, 3), ("lseek", 1, 0, 0), ("sendfile", 2, 1, 3), ("fallocate", 2, 0, 0, 100), ("fstat", 2),
        ("open", 3, HERE, "/tmp/c", RW | CREATE, 0o644), ("lseek", 1, 0, 0), ("copy", 1, 3, 100), ("fstat", 3), ("flock", 3, 2)],
    "emulated chroot": [
        ("chroot", "/deep"), ("stat", HERE, "/a/b/third", 0), ("chdir", "/a/.."), ("getcwd",), ("stat", HERE, "/../../a", 0),
        ("stat", HERE, "/etc", 0), ("symlink", "/a/b", HERE, "/short"), ("stat", HERE, "/short/second", 0),
        ("open", 1, HERE, "/short/made", W | CREATE, 0o600), ("getcwd",), ("chroot", "/absent"), ("chroot", "/a/b/third")],
    "replaced while open": [
        ("open", 1, HERE, "/etc/hosts", R, 0), ("open", 2, HERE, "/tmp/new", W | CREATE, 0o600), ("write", 2, b"new"),
        ("rename", HERE, "/tmp/new", HERE, "/etc/hosts", 0), ("read", 1, 100), ("openfd", 3, 1, R), ("read", 3, 100),
        ("stat", HERE, "/etc/hosts", 0), ("fstat", 2)],
    "file where a directory was": [
        ("unlink", HERE, "/back/new", 0), ("unlink", HERE, "/back", REMOVEDIR), ("open", 1, HERE, "/back", W | CREATE, 0o644),
        ("stat", HERE, "/back/new", 0), ("stat", HERE, "/back/old", 0), ("unlink", HERE, "/back", 0),
        ("symlink", "/etc", HERE, "/back"), ("stat", HERE, "/back/hosts", 0), ("unlink", HERE, "/back", 0), ("mkdir", HERE, "/back", 0o755),
        ("open", 2, HERE, "/back", R, 0), ("list", 2)],
    "merged directories moved twice": [
        ("rename", HERE, "/usr/lib", HERE, "/tmp/lib", 0), ("stat", HERE, "/lib/x.so", 0), ("mkdir", HERE, "/usr/lib", 0o755),
        ("rename", HERE, "/tmp/lib/sub", HERE, "/usr/lib/sub", 0), ("stat", HERE, "/lib/sub/y", 0),
        ("rename", HERE, "/usr", HERE, "/usr2", 0), ("stat", HERE, "/usr2/lib/sub/y", 0), ("symlink", "usr2", HERE, "/usr"),
        ("stat", HERE, "/bin/tool", 0), ("stat", HERE, "/lib/sub/y", 0)],
    "owners of links, fifos and sockets": [
        ("chown", HERE, "/links/absolute", 5, 6, NOFOLLOW), ("stat", HERE, "/links/absolute", NOFOLLOW),
        ("stat", HERE, "/etc/hosts", 0), ("rename", HERE, "/links/absolute", HERE, "/tmp/a", 0),
        ("link", HERE, "/tmp/a", HERE, "/tmp/b", 0), ("unlink", HERE, "/tmp/a", 0), ("stat", HERE, "/tmp/b", NOFOLLOW),
        ("mknod", HERE, "/tmp/p", FIFO | 0o4640, 0), ("chown", HERE, "/tmp/p", 7, 8, 0), ("stat", HERE, "/tmp/p", 0),
        ("chmod", HERE, "/tmp/p", 0o2711), ("chown", HERE, "/tmp/p", 0, 0, 0), ("stat", HERE, "/tmp/p", 0),
        ("open", 1, HERE, "/tmp/p", RW, 0), ("fchown", 1, 9, 9), ("fstat", 1), ("chmod", HERE, "/tmp/p", 0),
        ("open", 2, HERE, "/tmp/p", RW, 0), ("stat", HERE, "/tmp/p", 0),
        ("mknod", HERE, "/tmp/s", SOCK | 0o600, 0), ("chown", HERE, "/tmp/s", 1, 1, NOFOLLOW),
        ("symlink", "x", HERE, "/tmp/l"), ("chown", HERE, "/tmp/l", 3, -1, NOFOLLOW), ("rename", HERE, "/tmp/s", HERE, "/tmp/l", EXCHANGE),
        ("rename", HERE, "/tmp/l", HERE, "/etc/hosts", 0), ("stat", HERE, "/etc/hosts", 0), ("chown", HERE, "/special/pipe", 4, 4, 0),
        ("open", 3, HERE, "/tmp/s", PATH | os.O_NOFOLLOW, 0), ("chown", 3, "", 11, 12, EMPTY_PATH), ("stat", 3, "", EMPTY_PATH),
        ("chown", HERE, "/tmp/s", 1, 1, 1), ("fchmodat2", HERE, "/tmp/s", 0o600, NOFOLLOW)],
    "hard links of links": [
        ("link", HERE, "/links/relative", HERE, "/links/again", 0), ("rename", HERE, "/links/again", HERE, "/links/more", 0),
        ("chown", HERE, "/links/more", 3, 3, NOFOLLOW), ("stat", HERE, "/links/relative", NOFOLLOW),
        ("rename", HERE, "/links/more", HERE, "/links/relative", 0), ("unlink", HERE, "/links/more", 0)],
    "set-group-ID directories and what is no file": [
        ("chown", HERE, "/etc/conf.d", 0, 50, 0), ("chmod", HERE, "/etc/conf.d", 0o2775), ("symlink", "x", HERE, "/etc/conf.d/l"),
        ("mknod", HERE, "/etc/conf.d/p", FIFO | 0o600, 0), ("bind", 1, "/etc/conf.d/s", STREAM),
        ("unlink", HERE, "/etc/conf.d/a", 0), ("symlink", "x", HERE, "/etc/conf.d/a")],
    "names of sockets": [
        ("bind", 1, "/tmp/s", STREAM), ("sockname", 1), ("sockname", 1, 6), ("connect", 2, "/tmp/s", STREAM), ("sockname", 2),
        ("peername", 2), ("accept", 3, 1), ("sockname", 3), ("peername", 3), ("peercred", 3), ("peercred", 2), ("accept", 5, 1, 4),
        ("connect", 2, "/tmp/s", STREAM), ("accept", 5, 1, 4), ("bind", 6, "/tmp/s", STREAM), ("connect", 6, "/etc/hosts", STREAM),
        ("connect", 6, "/absent", STREAM), ("connect", 6, "/etc", STREAM), ("connect", 6, "/tmp/s", DGRAM), ("bind", 6, "/absent/s", STREAM),
        ("bind", 6, "/etc/hosts", STREAM), ("bind", 6, "/", STREAM), ("bind", 6, "/links/directory/s", STREAM), ("sockname", 6),
        ("connect", 2, "/etc/conf.d/s", STREAM), ("peername", 2), ("stat", HERE, "/tmp/s", 0), ("chmod", HERE, "/tmp/s", 0o700),
        ("rename", HERE, "/tmp/s", HERE, "/etc/t", 0), ("connect", 6, "/etc/t", STREAM), ("peername", 6), ("unlink", HERE, "/etc/t", 0),
        ("umask", 0o77), ("bind", 7, "/etc/t", STREAM), ("stat", HERE, "/etc/t", 0), ("unlink", HERE, "/etc/hosts", 0),
        ("bind", 8, "/etc/hosts", STREAM), ("sockname", 8), ("bind", 9, "/links/dangling", STREAM)],
    "names of sockets from the working directory": [
        ("chdir", "/etc/conf.d"), ("bind", 1, "s", DGRAM), ("sockname", 1), ("getcwd",), ("bind", 2, "./t", DGRAM), ("sendto", 2, "s", b"x"),
        ("recvfrom", 1), ("sendto", 2, "/etc/conf.d/s", b"y"), ("recvfrom", 1), ("bind", 4, "../conf.d/u", DGRAM), ("sendto", 4, "s", b"x"),
        ("recvfrom", 1), ("stat", HERE, "/etc/conf.d/t", 0), ("stat", HERE, "a", 0), ("chdir", "/deep/a"), ("bind", 3, "b/c/s", DGRAM),
        ("sockname", 3), ("sendto", 3, "../../etc/conf.d/s", b"z"), ("recvfrom", 1), ("getcwd",), ("unlink", HERE, "b/second", 0),
        ("bind", 5, "b/second", DGRAM), ("sockname", 5), ("stat", HERE, "b/second", 0)],
    "datagrams": [
        ("bind", 1, "/tmp/one", DGRAM), ("bind", 2, "/deep/two", DGRAM), ("sendto", 2, "/tmp/one", b"hello"), ("recvfrom", 1),
        ("sendmsg", 2, "/tmp/one", b"there", 0), ("recvmsg", 1, 0), ("sendmsg", 1, "/deep/two", b"many", 1), ("recvmsg", 2, 1),
        ("sendto", 2, "/tmp/one", b"a"), ("recvmsg", 1, 1), ("recvmsg", 1, 0), ("recvmsg", 1, 1), ("recvfrom", 1),
        ("sendmsg", 2, "/absent", b"x", 0), ("sendmsg", 2, "/absent", b"x", 1), ("connect", 3, "/deep/two", DGRAM),
        ("sendto", 3, "/tmp/one", b"anonymous"), ("recvfrom", 1), ("sendto", 3, "/tmp/one", b"anonymous"), ("recvmsg", 1, 0),
        ("sendmsg", 3, "", b"connected", 0), ("recvmsg", 2, 0)],
    "credentials of senders": [
        ("bind", 1, "/tmp/one", DGRAM), ("passcred", 1), ("connect", 2, "/tmp/one", DGRAM), ("sendmsg", 2, "", b"hello", 0), ("recvmsg", 1, 0),
        ("sendmsg", 2, "", b"said", 0, 1, 0, 0), ("recvmsg", 1, 0), ("sendmsg", 2, "", b"said", 1, 1, 0, 0), ("recvmsg", 1, 1)],
    "flags of chattr": [
        ("open", 1, HERE, "/data/one", R, 0), ("setflags", 1, 0x40), ("setflags", 1, 0x40), ("read", 1, 3), ("stat", HERE, "/data/one", 0),
        ("open", 2, HERE, "/etc/conf.d", R | DIR, 0), ("setflags", 2, 0x80), ("list", 2), ("open", 3, HERE, "/data/one", PATH, 0),
        ("setflags", 3, 0), ("open", 4, HERE, "/etc/hosts", R, 0), ("unlink", HERE, "/etc/hosts", 0),
        ("open", 5, HERE, "/tmp/new", RW | CREATE, 0o600), ("setflags", 5, 0x40)],
    "attributes that only root may have": [
        ("setxattr", "/usr/bin/tool", "security.capability", CAPABILITY, 0), ("getxattr", "/usr/bin/tool", "security.capability"),
        ("setxattr", "/usr/bin/tool", "security.capability", b"short", 0), ("setxattr", "/data/one", "trusted.x", b"t", 1),
        ("setxattr", "/data/one", "trusted.x", b"u", 1), ("getxattr", "/data/one", "trusted.x"), ("getxattr", "/data/one", "trusted.y"),
        ("listxattr", "/data/one"), ("removexattr", "/data/one", "trusted.x"), ("removexattr", "/data/one", "trusted.x"),
        ("rename", HERE, "/usr/bin/tool", HERE, "/tmp/tool", 0), ("getxattr", "/tmp/tool", "security.capability"),
        ("open", 1, HERE, "/tmp/tool", R, 0), ("fgetxattr", 1, "security.capability"), ("chown", HERE, "/tmp/tool", 0, 0, 0),
        ("getxattr", "/tmp/tool", "security.capability"), ("fsetxattr", 1, "trusted.y", b"1", 0), ("getxattr", "/tmp/tool", "trusted.y"),
        ("open", 2, HERE, "/etc/conf.d/a", R, 0), ("fsetxattr", 2, "security.capability", CAPABILITY, 0),
        ("getxattr", "/etc/conf.d/a", "security.capability"), ("fremovexattr", 2, "security.capability"),
        ("getxattr", "/etc/conf.d/a", "security.capability"), ("setxattr", "/data", "trusted.d", b"1", 0), ("getxattr", "/data", "trusted.d")],
    # asked twice: where the layers' index says that there are none, the first answer is remembered
    "attributes of what has none": [
        *2 * [step for path in ("/etc/hosts", "/etc/nothing", "/etc", "/", "/links/relative", "/links/directory", "/links/dangling", "/special/pipe", "/special/null",
                                "/data/one", "/data/h2", "/keep", "/swap2", "/absent", "/etc/hosts/", "/etc/hosts/x", "/absent/x", "/etc/conf.d/../hosts")
              for step in (*[(call, path, name) for call in ("getxattr", "lgetxattr")
                             for name in ("user.note", "user.none", "user.", "user", "trusted.t", "security.selinux", "security.capability", ACCESS, DEFAULT,
                                          "system.other", "other.name", "", "user." + "n" * 250, "user." + "n" * 251, "trusted.overlay.opaque",
                                          "user.overlay.opaque")],
                           ("listxattr", path), ("llistxattr", path), ("getxattr", path, "user.none", -1), ("listxattrat", HERE, path, 0),
                           ("listxattrat", HERE, path, NOFOLLOW), ("getxattrat", HERE, path, NOFOLLOW, "user.none"), ("getxattrat", HERE, path, 0, "user.none", 1))],
        ("setxattr", "/etc/hosts", "user.none", b"some", 0), ("getxattr", "/etc/hosts", "user.none"), ("listxattr", "/etc/hosts"),
        ("getxattr", "/etc/readonly", "user.none"), ("removexattr", "/etc/hosts", "user.none"), ("getxattr", "/etc/hosts", "user.none"),
        ("listxattr", "/etc/hosts"), ("setxattr", "/etc", "user.none", b"some", 0), ("listxattr", "/etc"), ("getxattr", "/etc/shadow", "user.none"),
        ("setxattr", "/data/h1", "user.none", b"some", 0), ("getxattr", "/data/h2", "user.none"), ("listxattr", "/data/h2"),
        ("rename", HERE, "/keep", HERE, "/tmp/kept", 0), ("getxattr", "/tmp/kept/old", "user.none"), ("listxattr", "/tmp/kept/old"), ("listxattr", "/tmp/kept/stay"),
        ("open", 1, HERE, "/etc/conf.d", R | DIR, 0), ("getxattrat", 1, "a", 0, "user.none"), ("listxattrat", 1, "b", 0), ("getxattrat", 1, "absent", 0, "user.none"),
        ("fork", 1), ("in", 1, ("become", 1000, 1000)),
        *[("in", 1, (call, path, *name)) for path in ("/etc/shadow", "/etc/nothing", "/data/empty/x", "/usr/bin/tool", "/data", "/special/null", "/links/dangling")
          for call, *name in (("getxattr", "user.none"), ("lgetxattr", "user.none"), ("getxattr", "trusted.t"), ("getxattr", "security.selinux"),
                              ("getxattr", ACCESS), ("listxattr",), ("llistxattr",))], ("end", 1)],
    "access control lists": [
        *[step for path in ("/etc/hosts", "/data/one", "/etc/nothing", "/usr/bin/su", "/data/h1", "/etc/conf.d", "/special/pipe", "/data")
          for step in (("getxattr", path, ACCESS), ("setxattr", path, ACCESS, WIDE, 0), ("stat", HERE, path, 0), ("getxattr", path, ACCESS),
                       ("listxattr", path), ("chmod", HERE, path, 0o2750), ("getxattr", path, ACCESS), ("stat", HERE, path, 0),
                       ("setxattr", path, ACCESS, CLOSED, 0), ("stat", HERE, path, 0), ("getxattr", path, ACCESS), ("getxattr", path, ACCESS, -1),
                       ("getxattr", path, ACCESS, 8), ("access", HERE, path, 6), ("open", 1, HERE, path, RW | os.O_NONBLOCK, 0),
                       ("fstat", 1), ("fgetxattr", 1, ACCESS), ("fchmod", 1, 0o440), ("fgetxattr", 1, ACCESS), ("fchown", 1, 7, 8),
                       ("chmod", HERE, path, 0o406), ("chown", HERE, path, 0, 0, 0), ("getxattr", path, ACCESS), ("fsetxattr", 1, ACCESS, NARROW, 0), ("fstat", 1),
                       ("flistxattr", 1), ("stat", HERE, path, 0), ("setxattr", path, ACCESS, acl(6, 4, 0), 0), ("getxattr", path, ACCESS),
                       ("stat", HERE, path, 0), ("setxattr", path, ACCESS, WIDE, 1), ("setxattr", path, ACCESS, CLOSED, 2),
                       ("fremovexattr", 1, ACCESS), ("removexattr", path, ACCESS), ("stat", HERE, path, 0), ("setxattr", path, ACCESS, CLOSED, 0),
                       ("setxattr", path, ACCESS, b"", 0), ("stat", HERE, path, 0), ("getxattr", path, ACCESS), ("setxattr", path, ACCESS, WIDE, 0))],
        ("rename", HERE, "/etc/hosts", HERE, "/tmp/hosts", 0), ("link", HERE, "/tmp/hosts", HERE, "/etc/again", 0), ("chmod", HERE, "/etc/again", 0o604),
        ("getxattr", "/tmp/hosts", ACCESS), ("rename", HERE, "/etc/conf.d", HERE, "/tmp/conf", 0), ("getxattr", "/tmp/conf", ACCESS),
        ("getxattr", "/data/h2", ACCESS), ("stat", HERE, "/data/h2", 0)],
    "access control lists that are none": [
        *[("setxattr", path, name, value, 0) for path in ("/etc/hosts", "/data", "/links/relative", "/absent", "/special/null") for name in (ACCESS, DEFAULT)
          for value in (b"", b"x", b"\2\0\0\0", b"\1\0\0\0", WIDE[:-1], WIDE[:-8], acl(6, 4, 0, users={5: 4}), acl(6, 4, 9), WIDE + WIDE[4:], acl(6, 4, 4))],
        ("lsetxattr", "/links/relative", ACCESS, WIDE, 0), ("lgetxattr", "/links/relative", ACCESS), ("lremovexattr", "/links/relative", ACCESS),
        ("removexattr", "/etc/hosts", ACCESS), ("removexattr", "/etc/hosts", DEFAULT), ("removexattr", "/data", DEFAULT), ("getxattr", "/etc/hosts", DEFAULT),
        ("setxattr", "/etc/hosts", "system.posix_acl_other", WIDE, 0), ("getxattr", "/etc/hosts", "system.posix_acl_other")],
    "another's in a sticky directory": [
        ("symlink", "/etc/hosts", HERE, "/tmp/link"), ("mknod", HERE, "/tmp/null", CHR | 0o666, 0x103), ("mknod", HERE, "/tmp/fifo", FIFO | 0o666, 0),
        ("mknod", HERE, "/tmp/socket", SOCK | 0o666, 0), ("open", 1, HERE, "/tmp/file", W | CREATE, 0o666),
        *[step for name in ("link", "null", "fifo", "socket", "file") for step in (
            ("chown", HERE, f"/tmp/{name}", 7, 7, NOFOLLOW),
            *[("open", 2, HERE, f"/tmp/{name}", RW | os.O_NONBLOCK | more, 0o600) for more in (0, CREATE, CREATE | os.O_NOFOLLOW, CREATE | EXCL, CREATE | TRUNC)])],
        ("chmod", HERE, "/tmp", 0o1775), ("open", 2, HERE, "/tmp/null", RW | CREATE, 0), ("open", 2, HERE, "/tmp/link", RW | CREATE | os.O_NOFOLLOW, 0),
        ("chmod", HERE, "/tmp", 0o777), ("open", 2, HERE, "/tmp/null", RW | CREATE, 0), ("chown", HERE, "/tmp", 7, 7, 0), ("chmod", HERE, "/tmp", 0o1777),
        ("open", 2, HERE, "/tmp/null", RW | CREATE, 0)],
    "changed by a name that is gone": [
        *[step for name, other in (("/data/h1", "/data/h2"), ("/data/h2", "/data/h1")) for step in (
            ("open", 1, HERE, name, R, 0), ("unlink", HERE, name, 0), ("fchmod", 1, 0o604), ("futimens", 1, 1_100_000_000), ("fsetxattr", 1, "user.a", b"1", 0),
            ("fstat", 1), ("stat", HERE, other, 0), ("getxattr", other, "user.a"))]],
    "changed by a name that a link has now": [
        ("open", 1, HERE, "/data/one", R, 0), ("symlink", "../etc", HERE, "/tmp/l"), ("rename", HERE, "/tmp/l", HERE, "/data/one", 0),
        ("fsetxattr", 1, "user.a", b"1", 0), ("fchmod", 1, 0o604), ("fchown", 1, 3, 4), ("futimens", 1, 1_100_000_000), ("stat", HERE, "/data/one", NOFOLLOW)],
    "another name by one that is gone": [
        ("open", 1, HERE, "/data/h1", R, 0), ("open", 2, HERE, "/data/h1", PATH, 0), ("unlink", HERE, "/data/h1", 0), ("linkfd", 1, HERE, "/tmp/again"),
        ("link", 2, "", HERE, "/tmp/more", EMPTY_PATH), ("stat", HERE, "/tmp/again", 0), ("stat", HERE, "/tmp", 0), ("chmod", HERE, "/tmp/again", 0o611),
        ("stat", HERE, "/data/h2", 0)],
    "access by lists": [
        ("open", 1, HERE, "/tmp", RW | TMPFILE, 0o4755), ("fsetxattr", 1, ACCESS, WIDE, 0), ("access", HERE, "/proc/self/fd/{1}", 7), ("faccessat2", 1, "", 7, EMPTY_PATH),
        ("open", 2, HERE, "/data/one", R, 0), ("fchmod", 2, 0o600), ("unlink", HERE, "/data/one", 0), ("access", HERE, "/proc/self/fd/{2}", 1), ("access", HERE, "/proc/self/fd/{2}", 6),
        ("setxattr", "/data", DEFAULT, acl(0, 0, 0), 0), ("bind", 3, "/data/socket", STREAM), ("stat", HERE, "/data/socket", 0), ("connect", 4, "/data/socket", STREAM),
        ("chdir", "/data"), ("bind", 5, "other", DGRAM), ("stat", HERE, "other", 0), ("sendto", 5, "/data/other", b"x"), ("access", HERE, "/data/other", 6)],
    "lists of a file without a name": [
        ("open", 1, HERE, "/etc/hosts", R, 0), ("unlink", HERE, "/etc/hosts", 0), ("fgetxattr", 1, ACCESS), ("fremovexattr", 1, ACCESS),
        ("fremovexattr", 1, DEFAULT), ("fremovexattr", 1, "user.none"), ("open", 2, HERE, "/tmp/new", RW | CREATE, 0o600),
        ("unlink", HERE, "/tmp/new", 0), ("fremovexattr", 2, ACCESS), ("fremovexattr", 2, DEFAULT), ("fremovexattr", 2, "user.none"),
        *[("fsetxattr", slot, name, value, how) for slot in (1, 2) for name in (ACCESS, DEFAULT) for value in (WIDE, b"", b"x") for how in (0, 1, 2)]],
    "access control lists of devices and what is open": [
        ("mknod", HERE, "/tmp/null", CHR | 0o660, os.makedev(1, 3)), ("setxattr", "/tmp/null", ACCESS, WIDE, 0), ("stat", HERE, "/tmp/null", 0),
        ("getxattr", "/tmp/null", ACCESS), ("chmod", HERE, "/tmp/null", 0o640), ("getxattr", "/tmp/null", ACCESS), ("rename", HERE, "/tmp/null", HERE, "/etc/null", 0),
        ("getxattr", "/etc/null", ACCESS), ("setxattr", "/special/null", ACCESS, NARROW, 0), ("getxattr", "/special/null", ACCESS), ("stat", HERE, "/special/null", 0),
        ("open", 1, HERE, "/data/two", R, 0), ("fgetxattr", 1, ACCESS), ("fsetxattr", 1, ACCESS, WIDE, 0), ("fgetxattr", 1, ACCESS), ("fstat", 1),
        ("getxattr", "/data/two", ACCESS), ("open", 2, HERE, "/tmp", RW | TMPFILE, 0o4640), ("fsetxattr", 2, ACCESS, CLOSED, 0), ("fstat", 2), ("fgetxattr", 2, ACCESS),
        ("linkfd", 2, HERE, "/tmp/named"), ("getxattr", "/tmp/named", ACCESS), ("stat", HERE, "/tmp/named", 0), ("open", 3, HERE, "/data", R | DIR, 0),
        ("fsetxattr", 3, DEFAULT, WIDE, 0), ("fgetxattr", 3, DEFAULT), ("open", 4, HERE, "/data/new", W | CREATE, 0o666), ("fgetxattr", 4, ACCESS), ("fremovexattr", 3, DEFAULT),
        ("setxattr", "/proc/self/fd/{4}", ACCESS, NARROW, 0), ("getxattr", "/proc/self/fd/{4}", ACCESS), ("fstat", 4), ("open", 5, HERE, "/data/new", PATH, 0),
        ("fgetxattr", 5, ACCESS), ("fsetxattr", 5, ACCESS, WIDE, 0), ("open", 6, HERE, "/data/one", R, 0), ("unlink", HERE, "/data/one", 0), ("fsetxattr", 6, ACCESS, WIDE, 0)],
    **{f"made in a directory with a default list, {name}": [
        ("umask", 0o077), *change, ("setxattr", "/etc/conf.d", DEFAULT, value, 0), ("getxattr", "/etc/conf.d", DEFAULT), ("stat", HERE, "/etc/conf.d", 0),
        *[step for path in ("/etc/conf.d/new", "/etc/conf.d/a")
          for step in (("open", 1, HERE, path, W | CREATE | EXCL, 0o666), ("fstat", 1), ("fgetxattr", 1, ACCESS), ("unlink", HERE, path, 0),
                       ("open", 1, HERE, path, W | CREATE | EXCL, 0o4751), ("fstat", 1), ("fgetxattr", 1, ACCESS), ("unlink", HERE, path, 0),
                       ("mkdir", HERE, path, 0o777), ("stat", HERE, path, 0), ("getxattr", path, ACCESS), ("getxattr", path, DEFAULT),
                       ("open", 1, HERE, path + "/below", W | CREATE, 0o640), ("fgetxattr", 1, ACCESS), ("unlink", HERE, path + "/below", 0), ("unlink", HERE, path, REMOVEDIR),
                       *[one for mode in (FIFO | 0o666, CHR | 0o644, SOCK | 0o755, REG | 0o604)
                         for one in (("mknod", HERE, path, mode, os.makedev(1, 3)), ("stat", HERE, path, NOFOLLOW), ("getxattr", path, ACCESS), ("unlink", HERE, path, 0))],
                       ("symlink", "x", HERE, path), ("stat", HERE, path, NOFOLLOW), ("listxattr", path), ("unlink", HERE, path, 0), ("bind", 2, path, DGRAM),
                       ("stat", HERE, path, 0), ("getxattr", path, ACCESS), ("unlink", HERE, path, 0), ("unlink", HERE, "/etc/conf.d/a", 0))],
        ("open", 3, HERE, "/etc/conf.d", RW | TMPFILE, 0o666), ("fstat", 3), ("fgetxattr", 3, ACCESS), ("linkfd", 3, HERE, "/etc/conf.d/named"),
        ("chmod", HERE, "/etc/conf.d/b", 0o640), ("getxattr", "/etc/conf.d/b", ACCESS), ("rename", HERE, "/etc/hosts", HERE, "/etc/conf.d/hosts", 0),
        ("getxattr", "/etc/conf.d/hosts", ACCESS), ("link", HERE, "/data/h1", HERE, "/etc/conf.d/h", 0), ("rename", HERE, "/deep", HERE, "/etc/conf.d/deep", 0),
        ("open", 4, HERE, "/etc/conf.d/deep/a/b/third", W | APPEND, 0), ("fstat", 4), ("fgetxattr", 4, ACCESS), ("mkdir", HERE, "/etc/conf.d/deep/sub", 0o777),
        ("getxattr", "/etc/conf.d/deep/sub", DEFAULT), ("umask", 0o022)]
       for name, value, change in (
           ("wide", WIDE, []), ("narrow", NARROW, [("chown", HERE, "/etc/conf.d", 0, 50, 0), ("chmod", HERE, "/etc/conf.d", 0o2775)]),
           ("closed", CLOSED, []), ("plain", acl(7, 5, 1), []))},
    "copied up below a directory with a default list": [
        ("setxattr", "/deep", DEFAULT, WIDE, 0), ("setxattr", "/etc", DEFAULT, CLOSED, 0), ("setxattr", "/", DEFAULT, NARROW, 0), ("open", 1, HERE, "/deep/a/b/third", RW, 0),
        ("fstat", 1), ("fgetxattr", 1, ACCESS), ("getxattr", "/deep/a", DEFAULT), ("getxattr", "/deep/a", ACCESS), ("chmod", HERE, "/etc/hosts", 0o600),
        ("getxattr", "/etc/hosts", ACCESS), ("mkdir", HERE, "/new", 0o777), ("getxattr", "/new", ACCESS), ("getxattr", "/new", DEFAULT), ("mkdir", HERE, "/deep/a/new", 0o777),
        ("getxattr", "/deep/a/new", ACCESS), ("open", 2, HERE, "/etc/hosts", W | TRUNC, 0), ("fgetxattr", 2, ACCESS), ("rename", HERE, "/etc/conf.d", HERE, "/etc/d", 0),
        ("getxattr", "/etc/d", DEFAULT), ("open", 3, HERE, "/data/h2", RW, 0), ("fgetxattr", 3, ACCESS), ("unlink", HERE, "/etc/shadow", 0),
        ("open", 4, HERE, "/etc/shadow", W | CREATE, 0o666), ("fgetxattr", 4, ACCESS), ("rename", HERE, "/etc", HERE, "/tmp/etc", 0), ("getxattr", "/tmp/etc", DEFAULT)],
    "attributes by the calls that have a directory": [
        ("open", 1, HERE, "/data", R | DIR, 0), ("open", 2, HERE, "/data/one", R, 0), ("open", 3, HERE, "/data/one", PATH, 0),
        *[step for at, path, flags in ((HERE, "/data/one", 0), (1, "one", 0), (1, "../etc/hosts", 0), (HERE, "/links/relative", 0), (HERE, "/links/relative", NOFOLLOW),
                                       (2, "", EMPTY_PATH), (3, "", EMPTY_PATH), (1, "", EMPTY_PATH), (1, "", 0), (HERE, "", EMPTY_PATH), (99, "", EMPTY_PATH),
                                       (99, "x", 0), (99, "/data/one", 0), (1, "absent", 0), (2, "x", 0), (1, "one", 0x200), (HERE, "/proc/self/fd/{2}", 0),
                                       (HERE, "/special/pipe", 0), (HERE, "/special/null", 0))
          for step in (("getxattrat", at, path, flags, "user.note"), ("setxattrat", at, path, flags, "user.a", b"1", 0), ("setxattrat", at, path, flags, "user.a", b"2", 1),
                       ("setxattrat", at, path, flags, "user.b", b"2", 2), ("getxattrat", at, path, flags, "user.a"), ("listxattrat", at, path, flags),
                       ("setxattrat", at, path, flags, ACCESS, WIDE, 0), ("getxattrat", at, path, flags, ACCESS), ("removexattrat", at, path, flags, ACCESS),
                       ("removexattrat", at, path, flags, "user.a"), ("removexattrat", at, path, flags, "user.a"))],
        ("getxattrat", 1, "one", 0, "user.note", 1), ("setxattrat", 1, "one", 0, "user.a", b"1", 0, 8), ("setxattrat", 1, "one", 0, "user.a", b"1", 0, 24),
        ("setxattrat", 1, "one", 0, "user.a", b"1", 0, 5000), ("setxattrat", 1, "one", 0, "trusted.t", b"1", 0), ("getxattrat", 1, "one", 0, "trusted.t"),
        ("setxattrat", 1, "one", 0, "", b"1", 0), ("setxattrat", 1, "one", 0, "user." + "n" * 251, b"1", 0), ("stat", HERE, "/data/one", 0)],
    "flags of chattr by the calls that have a directory": [
        ("open", 1, HERE, "/etc", R | DIR, 0), ("open", 2, HERE, "/data/two", R, 0), ("open", 3, HERE, "/data/two", PATH, 0),
        *[step for at, path, flags in ((HERE, "/data/one", 0), (1, "hosts", 0), (HERE, "/links/relative", 0), (HERE, "/links/relative", NOFOLLOW), (2, "", EMPTY_PATH),
                                       (3, "", EMPTY_PATH), (1, "", EMPTY_PATH), (1, "", 0), (HERE, "", EMPTY_PATH), (99, "", EMPTY_PATH), (1, "absent", 0),
                                       (HERE, "/special/pipe", 0), (HERE, "/special/null", 0), (1, "hosts", 0x200), (HERE, "/usr/bin/su", 0))
          for step in (("getfileattr", at, path, flags), ("setfileattr", at, path, flags, 0x80), ("getfileattr", at, path, flags), ("setfileattr", at, path, flags, 0))],
        ("getfileattr", 1, "hosts", 0, 16), ("getfileattr", 1, "hosts", 0, 5000), ("stat", HERE, "/data/two", 0), ("mknod", HERE, "/tmp/null", CHR | 0o666, os.makedev(1, 3)),
        ("getfileattr", HERE, "/tmp/null", 0), ("unlink", HERE, "/data/two", 0), ("setfileattr", 2, "", EMPTY_PATH, 0x80)],
    "all that statx tells": [
        ("open", 1, HERE, "/data/one", R, 0), ("open", 2, HERE, "/etc/conf.d", R | DIR, 0), ("open", 3, HERE, "/", R | DIR, 0), ("chmod", HERE, "/data/two", 0o600),
        ("mkdir", HERE, "/tmp/d", 0o755), ("chown", HERE, "/tmp/d", 3, 4, 0), ("open", 4, HERE, "/tmp/new", RW | CREATE, 0o644), ("open", 5, HERE, "/links/up", PATH | os.O_NOFOLLOW, 0),
        ("mknod", HERE, "/tmp/null", CHR | 0o666, os.makedev(1, 3)), ("chmod", HERE, "/back", 0o700),
        *[("statxall", at, path, flags | sync, mask)
          for at, path, flags in (*((HERE, path, NOFOLLOW) for path in ("/etc/hosts", "/data/two", "/tmp/new", "/tmp/d", "/", "/etc", "/back", "/tmp", "/links/up", "/special/pipe",
                                                                         "/special/null", "/tmp/null", "/proc", "/absent", "/data/h1")), *((slot, "", EMPTY_PATH) for slot in (1, 2, 3, 4, 5, 99)))
          for mask, sync in ((0x7ff, 0), (0xfff, 0x4000), (0x1000, 0), (0x4000, 0x2000), (0x2fff, 0), (0, 0), (0x8000_0000, 0), (0xfff, 0x6000), (0xfff, 0x8000))]],
    "file systems": [
        ("open", 1, HERE, "/data/one", R, 0), ("open", 2, HERE, "/etc/conf.d", R | DIR, 0), ("open", 3, HERE, "/tmp/new", RW | CREATE, 0o644), ("chmod", HERE, "/data/two", 0o600),
        ("open", 4, HERE, "/data/two", R, 0), ("open", 5, HERE, "/links/up", PATH | os.O_NOFOLLOW, 0), ("open", 6, HERE, "/data/one", PATH, 0), ("open", 7, HERE, "/", R | DIR, 0),
        ("open", 8, HERE, "/proc", R | DIR, 0), ("open", 9, HERE, "/special/pipe", RW, 0), ("open", 10, HERE, "/data/h1", R, 0), ("unlink", HERE, "/data/h1", 0),
        *[("fstatfs", slot) for slot in (*range(1, 11), 99)], *[("statfs", path) for path in ("/", "/etc", "/data/one", "/data/two", "/tmp/new", "/proc", "/links/absolute",
                                                                                       "/links/dangling", "/proc/self/fd/{1}", "/proc/self/fd/{3}", "/absent", "")]],
    "a list of libraries for all, which an index says is not there": [
        step for change in ([], [("open", 1, HERE, "/etc/ld.so.preload", W | CREATE, 0o644), ("write", 1, b"/lib/x.so")], [("rename", HERE, "/etc/ld.so.preload", HERE, "/etc/other", 0)],
                            [("symlink", "/etc/hosts", HERE, "/etc/ld.so.preload")], [("unlink", HERE, "/etc/ld.so.preload", 0)], [("rename", HERE, "/etc", HERE, "/old", 0)],
                            [("mkdir", HERE, "/etc", 0o755), ("mkdir", HERE, "/etc/ld.so.preload", 0o755)])
        for step in (*change, *_ask_each("/etc/ld.so.preload"), ("open", 2, HERE, "/etc/ld.so.preload", R, 0))],
    "times in every form": [
        ("utimensat", at, path, 1_100_000_000, access, 1_200_000_000, change, flags)
        for at, path, flags in ((HERE, "/data/one", 0), (HERE, "/etc/conf.d", 0), (HERE, "/links/absolute", NOFOLLOW), (HERE, "/links/relative", 0), (HERE, "/special/pipe", 0),
                                (HERE, "/usr/bin/su", 0), (HERE, "/absent", 0), (HERE, "", 0), (HERE, "", EMPTY_PATH), (99, "x", 0))
        for access in (5, NOW, OMIT, 10 ** 9, -1) for change in (7, NOW, OMIT, 10 ** 9)],
    "times by descriptors": [
        ("open", 1, HERE, "/data/one", R, 0), ("open", 2, HERE, "/data/one", PATH, 0), ("open", 3, HERE, "/links/absolute", PATH | os.O_NOFOLLOW, 0), ("open", 4, HERE, "/etc", R | DIR, 0),
        *[("utimensat", at, path, 1_100_000_000, access, 1_200_000_000, change, flags)
          for at, path, flags in ((1, "", EMPTY_PATH), (2, "", EMPTY_PATH), (3, "", EMPTY_PATH), (4, "hosts", 0), (4, "", EMPTY_PATH), (1, "x", 0), (4, "hosts", 0x400))
          for access, change in ((5, OMIT), (OMIT, 7), (NOW, OMIT), (5, 7), (OMIT, NOW), (OMIT, OMIT))],
        ("stat", HERE, "/data/one", 0), ("stat", HERE, "/links/absolute", NOFOLLOW), ("stat", HERE, "/etc", 0)],
    "owners in every form": [
        ("open", 1, HERE, "/data/two", R, 0), ("open", 2, HERE, "/data/two", PATH, 0), ("open", 3, HERE, "/links/chain", PATH | os.O_NOFOLLOW, 0), ("open", 4, HERE, "/usr/bin", R | DIR, 0),
        ("chdir", "/keep"),
        *[step for at, path, flags in ((HERE, "/usr/bin/su", 0), (HERE, "/usr/bin/wall", 0), (HERE, "/links/absolute", NOFOLLOW), (HERE, "/links/absolute", 0), (4, "tool", 0), (4, "tool", NOFOLLOW),
                                       (1, "", EMPTY_PATH), (2, "", EMPTY_PATH), (3, "", EMPTY_PATH), (HERE, "", EMPTY_PATH), (HERE, "", 0), (99, "", EMPTY_PATH), (1, "x", 0), (4, "su", 0x400),
                                       (HERE, "/etc/conf.d", 0), (HERE, "/special/pipe", 0), (HERE, "/proc/self/fd/{1}", 0), (HERE, "/absent", 0))
          for uid, gid, mode in ((-1, -1, 0o6755), (5, -1, 0o6755), (-1, 6, 0o6744), (-1, -1, 0o6744), (7, 8, 0o2710), (-1, -1, 0o1777), (0, 0, 0o4000))
          for step in (*([("chmod", HERE, path, mode)] if at == HERE and path and not flags else []), ("chown", at, path, uid, gid, flags), ("stat", at, path, flags))],
        ("fchown", 1, -1, 9), ("fstat", 1), ("fchmod", 1, 0o6711), ("fchown", 1, -1, -1), ("fstat", 1), ("fchown", 2, 1, 1), ("fchown", 99, 1, 1)],
    "set-ID bits and what is written": [
        *[step for path in ("/usr/bin/su", "/usr/bin/wall", "/tmp/new")
          for step in (("open", 1, HERE, path, RW | CREATE, 0o600), ("chmod", HERE, path, 0o6755), ("write", 1, b"x"), ("fstat", 1), ("truncate", path, 2), ("stat", HERE, path, 0),
                       ("ftruncate", 1, 1), ("fstat", 1), ("open", 2, HERE, path, W | TRUNC, 0), ("stat", HERE, path, 0), ("fallocate", 1, 0, 0, 10), ("fstat", 1))],
        ("chmod", HERE, "/tmp/new", 0o6777), ("chmod", HERE, "/data/two", 0o6777), ("chmod", HERE, "/data/h1", 0o6767), ("chmod", HERE, "/usr/bin/su", 0o6777), ("fork", 1), ("in", 1, ("become", 1000, 1000)),
        *[step for path in ("/tmp/new", "/data/h1", "/usr/bin/wall") for step in (("in", 1, ("truncate", path, 1)), ("stat", HERE, path, 0))],
        *[step for path in ("/data/two", "/usr/bin/su", "/usr/bin/wall") for step in (("in", 1, ("open", 3, HERE, path, W | TRUNC, 0)), ("stat", HERE, path, 0))], ("end", 1)],
    "what another user may do": [
        ("chmod", HERE, "/keep", 0o777), ("chown", HERE, "/keep/stay", 1000, 50, 0), ("chmod", HERE, "/keep/stay", 0o2775), ("chown", HERE, "/keep/old", 1000, 7, 0), ("fork", 1),
        ("setxattr", "/data/one", "user.a", b"1", 0), ("in", 1, ("become", 1000, 1000)),
        *[("in", 1, step) for step in (
            ("chmod", HERE, "/keep/old", 0o6755), ("stat", HERE, "/keep/old", 0), ("chown", HERE, "/keep/old", -1, 1000, 0), ("stat", HERE, "/keep/old", 0), ("chmod", HERE, "/keep/old", 0o6755),
            ("stat", HERE, "/keep/old", 0), ("chown", HERE, "/keep/old", -1, -1, 0), ("stat", HERE, "/keep/old", 0), ("chown", HERE, "/keep/old", -1, 7, 0), ("chown", HERE, "/keep/old", 5, -1, 0),
            ("chown", HERE, "/keep/old", 1000, 1000, 0), ("chown", HERE, "/etc/hosts", -1, -1, 0), ("chown", HERE, "/etc/hosts", 0, 0, 0), ("chmod", HERE, "/etc/hosts", 0o644),
            ("open", 1, HERE, "/keep/stay/new", RW | CREATE, 0o2755), ("fstat", 1), ("mkdir", HERE, "/keep/stay/d", 0o755), ("stat", HERE, "/keep/stay/d", 0), ("chmod", HERE, "/keep/stay", 0o2755),
            ("stat", HERE, "/keep/stay", 0), ("fchmod", 1, 0o2755), ("fstat", 1), ("utimensns", HERE, "/keep/old", 1_100_000_000, 5, 0), ("utimensns", HERE, "/etc/hosts", 1_100_000_000, 5, 0),
            ("utimensns", HERE, "/etc/hosts", 0, NOW, 0), ("utimensat", HERE, "/etc/hosts", 0, NOW, 0, OMIT, 0), ("setxattr", "/keep/old", "user.a", b"1", 0), ("setxattr", "/etc/hosts", "user.a", b"1", 0),
            ("setxattr", "/keep/old", ACCESS, WIDE, 0), ("getxattr", "/keep/old", ACCESS), ("stat", HERE, "/keep/old", 0), ("setxattr", "/etc/hosts", ACCESS, WIDE, 0), ("removexattr", "/etc/hosts", ACCESS),
            ("removexattr", "/keep/old", ACCESS), ("setxattrat", HERE, "/etc/hosts", 0, "user.a", b"1", 0), ("setfileattr", HERE, "/etc/hosts", 0, 0), ("setfileattr", HERE, "/keep/old", 0, 0x40),
            ("getfileattr", HERE, "/keep/old", 0), ("getxattr", "/data/one", "user.a"), ("getxattr", "/etc/shadow", "user.a"), ("setxattr", "/keep/stay", DEFAULT, NARROW, 0),
            ("open", 2, HERE, "/keep/stay/other", RW | CREATE, 0o666), ("fstat", 2), ("fgetxattr", 2, ACCESS), ("open", 3, HERE, "/etc/hosts", R, 0), ("fsetxattr", 3, ACCESS, WIDE, 0), ("fchmod", 3, 0o600),
            ("fchown", 3, 1000, -1), ("stat", HERE, "/etc/hosts", 0))], ("end", 1)],
    "who is asked for": [
        ("chmod", HERE, "/data/empty", 0o700), ("chmod", HERE, "/usr/bin/wall", 0o2711), ("open", 1, HERE, "/etc/shadow", PATH, 0), ("open", 2, HERE, "/etc", R | DIR, 0),
        *[step for who, (real, effective) in enumerate(((0, 0), (1000, 0), (0, 1000), (1000, 1000)))
          for step in (("fork", 1), ("in", 1, ("ids", real, effective)),
                       *[("in", 1, (*ask, mode, *flags)) for mode in (0, 1, 2, 4, 7, 8)
                         for ask, *flags in ((("access", HERE, "/etc/shadow"),), *((("faccessat2", at, path), flag) for at, path, flag in (
                             (HERE, "/etc/shadow", 0), (HERE, "/etc/shadow", 0x200), (2, "shadow", 0x200), (1, "", EMPTY_PATH), (1, "", EMPTY_PATH | 0x200), (HERE, "/data/empty", 0x200),
                             (HERE, "/usr/bin/wall", 0x200), (HERE, "/links/dangling", NOFOLLOW | 0x200), (HERE, "/links/absolute", NOFOLLOW), (HERE, "/etc/nothing", 0x200), (HERE, "/etc/hosts", 0x400),
                             (HERE, "/data/empty/x", 0x200), (HERE, "/special/pipe", 0x200), (HERE, "/special/null", 0x200))))], ("end", 1))]],
    "directories that are closed to others": [
        ("chmod", HERE, "/deep/a", 0o700), ("mkdir", HERE, "/tmp/closed", 0o700), ("open", 1, HERE, "/tmp/closed/x", W | CREATE, 0o644), ("umask", 0o077), ("mkdir", HERE, "/tmp/masked", 0o755),
        ("open", 1, HERE, "/tmp/masked/x", W | CREATE, 0o644), ("umask", 0o022), ("mkdir", HERE, "/tmp/moved", 0o755), ("mkdir", HERE, "/tmp/moved/in", 0o750), ("open", 1, HERE, "/tmp/moved/in/x", W | CREATE, 0o644),
        ("open", 1, HERE, "/data/empty/x", W | CREATE, 0o644), ("mkdir", HERE, "/tmp/owner", 0o077), ("chown", HERE, "/tmp/owner", 1000, 1000, 0), ("open", 1, HERE, "/tmp/owner/x", W | CREATE, 0o644), ("fork", 1),
        ("symlink", "/tmp/closed", HERE, "/tmp/link"), ("in", 1, ("become", 1000, 1000)),
        *[("in", 1, (*ask, 0)) for path in ("/deep/a/b/third", "/tmp/closed/x", "/tmp/masked/x", "/tmp/moved/in/x", "/data/empty/x", "/data/empty/absent", "/tmp/owner/x", "/tmp/link/x", "/tmp/closed/../moved",
                                            "/data/one", "/keep/stay/a", "/bin/tool") for ask in (("stat", HERE, path), ("access", HERE, path))],
        ("rename", HERE, "/tmp/moved", HERE, "/keep/moved", 0), ("rename", HERE, "/data", HERE, "/tmp/data", 0), ("chmod", HERE, "/keep", 0o744),
        *[("in", 1, (*ask, 0)) for path in ("/keep/moved/in/x", "/keep/stay/a", "/tmp/data/empty/x", "/tmp/data/one", "/keep") for ask in (("stat", HERE, path), ("access", HERE, path))],
        ("chmod", HERE, "/keep", 0o711), ("in", 1, ("stat", HERE, "/keep/moved/in/x", 0)), ("in", 1, ("stat", HERE, "/keep/stay/a", 0)), ("chmod", HERE, "/", 0o700), ("in", 1, ("stat", HERE, "/keep/stay/a", 0)),
        ("in", 1, ("stat", HERE, "/etc/hosts", 0)), ("chmod", HERE, "/", 0o755), ("in", 1, ("stat", HERE, "/etc/hosts", 0)), ("end", 1)],
    "descriptors of links, by their own links": [
        ("open", 1, HERE, "/links/relative", PATH | os.O_NOFOLLOW, 0), ("open", 4, HERE, "/proc/self/fd/{1}", PATH | os.O_NOFOLLOW, 0),
        *[step for slot in (1, 4) for step in (
            ("stat", HERE, "/proc/self/fd/{%d}" % slot, 0), ("statx", HERE, "/proc/self/fd/{%d}" % slot, 0), ("openfd", 2, slot, R), ("openfd", 2, slot, W | CREATE), ("openfd", 2, slot, W | TRUNC),
            ("openfd", 3, slot, PATH), ("stat", 3, "", EMPTY_PATH), ("readlink", 3, "", 8) if slot == 1 else ("close", 3), ("stat", HERE, "/proc/self/fd/{%d}/" % slot, 0),
            ("stat", HERE, "/proc/self/fd/{%d}/x" % slot, 0), ("truncate", "/proc/self/fd/{%d}" % slot, 0),
            ("getxattr", "/proc/self/fd/{%d}" % slot, "user.note"), ("setxattr", "/proc/self/fd/{%d}" % slot, "user.note", b"1", 0), ("chdir", "/proc/self/fd/{%d}" % slot),
            ("linkfd", slot, HERE, "/tmp/link%d" % slot), ("readlink", HERE, "/tmp/link%d" % slot, 100), ("rename", HERE, "/proc/self/fd/{%d}" % slot, HERE, "/tmp/x", 0))],
        ("chown", HERE, "/proc/self/fd/{1}", 3, 4, 0), ("stat", HERE, "/links/relative", NOFOLLOW), ("stat", HERE, "/data/one", 0), ("utimens", HERE, "/proc/self/fd/{1}", 1_100_000_000, 0),
        ("stat", HERE, "/links/relative", NOFOLLOW), ("chmod", HERE, "/proc/self/fd/{1}", 0o600), ("stat", HERE, "/data/one", 0)],
    "what lists allow to others": [
        ("chmod", HERE, "/data", 0o777), ("open", 1, HERE, "/tmp/new", W | CREATE, 0o600), ("setxattr", "/tmp/new", ACCESS, acl(6, 0, 0, mask=4, users={1000: 7, 1001: 2}), 0),
        *[("setxattr", path, ACCESS, value, 0) for path, value in (
            ("/etc/shadow", acl(6, 4, 0, mask=6, users={1000: 6})), ("/etc/hosts", acl(6, 4, 4, mask=4, users={1000: 0})), ("/data/two", acl(6, 0, 6, mask=0, users={1000: 7})),
            ("/keep", acl(7, 5, 5, mask=7, users={1000: 7})), ("/deep/a", acl(7, 5, 5, mask=5, users={1000: 0, 1001: 4})), ("/usr/bin/tool", acl(7, 5, 5, mask=5, users={1000: 4})),
            ("/data/one", acl(6, 4, 0, mask=6, groups={50: 6})), ("/etc/readonly", acl(4, 4, 4, mask=4, users={1000: 6})), ("/usr/lib", acl(7, 5, 0, mask=5, groups={50: 1, 1000: 4})),
            ("/data/h1", acl(6, 0, 6, mask=6, groups={50: 4, 33: 2})))],
        ("setxattr", "/keep", DEFAULT, acl(7, 0, 0, mask=7, users={1001: 5}), 0), ("mkdir", HERE, "/keep/sub", 0o777), ("open", 1, HERE, "/keep/sub/x", W | CREATE, 0o666),
        *[step for uid, gid in ((1000, 1000), (1001, 50), (1002, 33))
          for step in (("fork", 1), ("in", 1, ("become", uid, gid)), *[("in", 1, ask) for path in (
              "/etc/shadow", "/etc/hosts", "/data/two", "/deep/a", "/deep/a/b/third", "/usr/bin/tool", "/data/one", "/etc/readonly", "/usr/lib/x.so", "/data/h1", "/tmp/new", "/keep/sub/x", "/keep")
              for ask in (("open", 2, HERE, path, R, 0), ("open", 2, HERE, path, W, 0), ("open", 2, HERE, path, RW, 0), ("access", HERE, path, 4), ("access", HERE, path, 2), ("access", HERE, path, 1),
                          ("faccessat2", HERE, path, 6, 0x200), ("stat", HERE, path, 0), ("truncate", path, 3), ("getxattr", path, "user.a"), ("setxattr", path, "user.a", b"1", 0), ("chdir", path),
                          ("chdir", "/"), ("utimensns", HERE, path, 0, NOW, 0), ("openlist", path, 300), ("link", HERE, path, HERE, "/data/n%d" % uid, 0))],
              *[("in", 1, step) for step in (("open", 2, HERE, "/keep/made", W | CREATE, 0o644), ("mkdir", HERE, "/keep/d", 0o755), ("rename", HERE, "/keep/old", HERE, "/keep/older", 0),
                                             ("unlink", HERE, "/keep/made", 0), ("unlink", HERE, "/keep/d", REMOVEDIR))], ("end", 1))]],
    "long names of sockets": [
        ("mkdir", HERE, "/tmp/" + "d" * 70, 0o755), ("bind", 1, "/tmp/" + "d" * 70 + "/s", DGRAM), ("sockname", 1),
        ("bind", 2, "/tmp/" + "d" * 70 + "/t", DGRAM), ("sendto", 2, "/tmp/" + "d" * 70 + "/s", b"x"), ("recvfrom", 1),
        ("bind", 3, "/tmp/" + "n" * 100, DGRAM), ("stat", HERE, "/tmp/" + "n" * 100, 0), ("sockname", 3),
        ("sendto", 2, "/tmp/" + "n" * 100, b"x"), ("recvfrom", 3), ("connect", 4, "/tmp/" + "n" * 100, DGRAM), ("peername", 4),
        ("unlink", HERE, "/etc/hosts", 0), ("bind", 5, "/etc/hosts", DGRAM), ("sockname", 5)],
    "long names": [
        ("mkdir", HERE, "/tmp/" + "d" * 255, 0o755), ("open", 1, HERE, "/tmp/" + "d" * 255 + "/" + "e" * 255, W | CREATE, 0o600),
        ("mkdir", HERE, "/tmp/" + "d" * 256, 0o755), ("symlink", "t" * 4095, HERE, "/tmp/l"), ("stat", HERE, "/tmp/l", 0),
        ("readlink", HERE, "/tmp/l", 4096), ("symlink", "t" * 4096, HERE, "/tmp/l2"), ("rename", HERE, "/tmp/l", HERE, "/tmp/" + "x" * 256, 0)],
    "links of /proc are on another file system": [
        ("open", 1, HERE, "/etc/hosts", R, 0), ("rename", HERE, "/absent", HERE, "/proc/self/fd/{1}", 0),
        ("rename", HERE, "/proc/self/fd/{1}", HERE, "/absent", NOREPLACE), ("rename", HERE, "/etc", HERE, "/proc/self", 0),
        ("link", HERE, "/proc/self/fd/{1}", HERE, "/tmp/n", 0), ("link", HERE, "/proc/self/fd/{1}", HERE, "/tmp/n", FOLLOW),
        ("rename", HERE, "/proc", HERE, "/tmp/proc", 0), ("rename", HERE, "/tmp", HERE, "/proc", 0)],
    "flags of open that rule others out": [
        ("open", 1, HERE, "/etc/hosts", PATH | TMPFILE | CREATE, 0o600), ("open", 1, HERE, "/absent", PATH | TMPFILE, 0),
        ("open", 1, HERE, "/etc", PATH | TMPFILE, 0), ("open", 1, HERE, "/links/absolute", R | DIR | os.O_NOFOLLOW, 0),
        ("open", 1, HERE, "/links/directory", R | DIR | os.O_NOFOLLOW, 0), ("open", 1, HERE, "/links/absolute", W | os.O_NOFOLLOW, 0),
        ("open", 1, HERE, "/special/null", R | os.O_NOATIME, 0), ("open", 1, HERE, "/etc/hosts", R | os.O_NOATIME, 0)],
    "nameless, and reached by the link of a descriptor": [
        ("open", 1, HERE, "/tmp", RW | TMPFILE, 0o2755), ("stat", HERE, "/proc/self/fd/{1}", 0), ("statx", HERE, "/proc/self/fd/{1}", 0),
        ("chmod", HERE, "/proc/self/fd/{1}", 0o4701), ("chown", HERE, "/proc/self/fd/{1}", 7, 8, 0), ("oldstat", "/proc/self/fd/{1}", 0), ("fstat", 1),
        ("setxattr", "/proc/self/fd/{1}", "user.a", b"1", 0), ("getxattr", "/proc/self/fd/{1}", "user.a"), ("listxattr", "/proc/self/fd/{1}"),
        ("removexattr", "/proc/self/fd/{1}", "user.b"), ("removexattr", "/proc/self/fd/{1}", "user.a"), ("fgetxattr", 1, "user.a"),
        ("setxattr", "/proc/self/fd/{1}", ACCESS, CLOSED, 0), ("fstat", 1), ("getxattr", "/proc/self/fd/{1}", ACCESS), ("chmod", HERE, "/proc/self/fd/{1}", 0o300),
        ("setxattr", "/proc/self/fd/{1}", ACCESS, NARROW, 0), ("fstat", 1), ("removexattr", "/proc/self/fd/{1}", ACCESS), ("listxattr", "/proc/self/fd/{1}"),
        ("access", HERE, "/proc/self/fd/{1}", 7), ("linkfd", 1, HERE, "/tmp/named"), ("stat", HERE, "/tmp/named", 0)],
    "attributes of devices": [
        ("mknod", HERE, "/tmp/null", CHR | 0o666, os.makedev(1, 3)), ("mknod", HERE, "/tmp/disk", BLK | 0o660, os.makedev(8, 17)),
        *[(call, path, "user.a", *rest) for path in ("/tmp/null", "/tmp/disk", "/special/null")
          for call, rest in (("setxattr", (b"1", 0)), ("lsetxattr", (b"1", 2)), ("getxattr", ()), ("removexattr", ()))],
        ("listxattr", "/tmp/null"), ("chown", HERE, "/tmp/null", 3, 4, 0), ("stat", HERE, "/tmp/null", 0)],
    "nameless, and its directory is removed": [
        ("open", 1, HERE, "/data/empty", RW | TMPFILE, 0), ("unlink", HERE, "/data/empty", REMOVEDIR), ("fstat", 1), ("fchmod", 1, 0o4640),
        ("fchown", 1, 7, 8), ("fstat", 1), ("mkdir", HERE, "/tmp/d", 0o755), ("open", 2, HERE, "/tmp/d/f", RW | CREATE, 0o6755),
        ("unlink", HERE, "/tmp/d/f", 0), ("unlink", HERE, "/tmp/d", REMOVEDIR), ("fstat", 2), ("fchmod", 2, 0), ("fstat", 2)],
    "attributes of a lower file that has no name any more": [
        ("open", 1, HERE, "/data/two", R, 0), ("unlink", HERE, "/data/two", 0), ("fremovexattr", 1, "user.absent"),
        ("fsetxattr", 1, "user.absent", b"1", 2), ("open", 2, HERE, "/data/one", R, 0), ("unlink", HERE, "/data/one", 0),
        ("fsetxattr", 2, "user.note", b"1", 1), ("fsetxattr", 2, "user.note", b"1", 2)],
    "what is wrong with a socket comes before what is wrong with a name": [
        *[(call, slot, path, *rest) for slot in (4, 2, 3) for path in ("/absent/s", "/etc/hosts")
          for call, rest in (("sendto", (b"x",)), ("sendmsg", (b"x", 0, 0)))],
        ("bind", 2, "/tmp/stream", 1), ("bind", 3, "/tmp/datagrams", 2), ("open", 4, HERE, "/etc/hosts", R, 0),
        *[(call, slot, path, *rest) for slot in (4, 2, 3) for path in ("/absent/s", "/etc/hosts")
          for call, rest in (("sendto", (b"x",)), ("sendmsg", (b"x", 0, 0)), ("sendmsg", (b"x", 1, 0)))],
        ("connect", 1, "/tmp/stream", 1), ("sendto", 1, "/absent/s", b"x"), ("connect", 1, "/etc/hosts", 1), ("send", "/tmp", b"x")],
    "asked by a handle when the name is gone": [
        ("open", 1, HERE, "/tmp/f", W | CREATE, 0o4755), ("chown", HERE, "/tmp/f", 7, 8, 0), ("open", 2, HERE, "/tmp/f", PATH, 0),
        ("unlink", HERE, "/tmp/f", 0), ("fstat", 2), ("stat", 2, "", EMPTY_PATH), ("readfd", 2),
        ("open", 3, HERE, "/links/dangling", PATH | CREATE | EXCL, 0), ("open", 3, HERE, "/links/absolute", PATH | CREATE | EXCL, 0), ("fstat", 3)],
    "links of descriptors below a directory that is closed": [
        ("chmod", HERE, "/deep", 0o700), ("chmod", HERE, "/data/empty", 0o711), ("mkdir", HERE, "/tmp/closed", 0o700), ("mkdir", HERE, "/tmp/closed/in", 0o777),
        ("open", 9, HERE, "/tmp/closed/x", W | CREATE, 0o600), ("chmod", HERE, "/tmp/closed/x", 0o666), ("mkdir", HERE, "/tmp/closed/in/shut", 0o700),
        *[("open", slot, HERE, path, R, 0) for slot, path in enumerate(("/deep/a/b/second", "/deep/a/b", "/tmp/closed/x", "/tmp/closed/in", "/tmp/closed"), 1)],
        ("open", 6, HERE, "/deep/a/b/third", PATH, 0), ("fork", 1), ("chdir", "/deep/a/b"), ("fork", 2),
        *[("in", one, ("become", uid, uid)) for one, uid in ((1, 1000), (2, 1001))],
        *[("in", one, step) for one in (1, 2) for start in (*("/proc/self/fd/{%d}" % slot for slot in range(1, 7)), "/proc/self/cwd", "/proc/self/root")
          for step in (("stat", HERE, start, 0), ("access", HERE, start, 4), ("access", HERE, start, 2), ("open", 7, HERE, start, R, 0), ("open", 7, HERE, start, W, 0),
                       ("open", 7, HERE, start, RW | TRUNC, 0), ("open", 7, HERE, start, PATH, 0), ("truncate", start, 1), ("chmod", HERE, start, 0o600), ("getxattr", start, "user.a"),
                       ("stat", HERE, start + "/", 0), ("stat", HERE, start + "/x", 0), ("stat", HERE, start + "/../x", 0), ("stat", HERE, start + "/shut", 0),
                       ("stat", HERE, start + "/shut/x", 0), ("open", 7, HERE, start + "/made", W | CREATE, 0o600))],
        ("in", 1, ("symlink", "/proc/self/fd/{3}", HERE, "/tmp/l")), ("in", 1, ("openread", "/tmp/l")), ("in", 1, ("stat", HERE, "/tmp/closed/x", 0)),
        ("in", 1, ("unlink", HERE, "/tmp/l", 0)), ("end", 2), ("end", 1)],
    "what has no name is asked for its mode by its link": [
        ("fork", 1), ("in", 1, ("become", 1000, 1000)),
        *[("in", 1, step) for mode in (0o006, 0o060, 0o600, 0o400, 0o200, 0) for step in (
            ("open", 1, HERE, "/tmp", RW | TMPFILE, mode), ("open", 2, HERE, "/tmp/n", RW | CREATE | EXCL, mode), ("unlink", HERE, "/tmp/n", 0),
            *[("openfd", 3, slot, flags) for slot in (1, 2) for flags in (R, W, RW, R | TRUNC, W | CREATE, PATH)],
            *[("access", HERE, "/proc/self/fd/{%d}" % slot, want) for slot in (1, 2) for want in (4, 2, 6)], *[step for slot in (1, 2) for step in (
                ("truncate", "/proc/self/fd/{%d}" % slot, 3), ("utimensns", HERE, "/proc/self/fd/{%d}" % slot, 0, NOW, 0))])],
        ("in", 1, ("open", 1, HERE, "/data/empty", R | DIR, 0)), ("mkdir", HERE, "/tmp/d", 0o777), ("in", 1, ("open", 1, HERE, "/tmp/d", PATH, 0)), ("chmod", HERE, "/tmp/d", 0o744),
        ("unlink", HERE, "/tmp/d", REMOVEDIR), ("in", 1, ("chdir", "/proc/self/fd/{1}")), ("in", 1, ("openfd", 3, 1, R)),
        ("open", 1, HERE, "/etc/shadow", R, 0), ("open", 2, HERE, "/etc/hosts", R, 0), ("open", 4, HERE, "/data", R | DIR, 0), ("fork", 2), ("in", 2, ("become", 1000, 1000)),
        ("unlink", HERE, "/etc/shadow", 0), ("unlink", HERE, "/etc/hosts", 0), *[("in", 2, ("openfd", 3, slot, R)) for slot in (1, 2, 4)],
        ("openfd", 3, 1, R), ("end", 2), ("end", 1)],
    "who is asked for on the way": [
        ("chmod", HERE, "/deep", 0o700), ("mkdir", HERE, "/tmp/closed", 0o700), ("open", 1, HERE, "/tmp/closed/x", W | CREATE, 0o644), ("open", 1, HERE, "/deep/a/b/second", R, 0),
        ("mkdir", HERE, "/tmp/user", 0o700), ("chown", HERE, "/tmp/user", 1000, 1000, 0), ("open", 2, HERE, "/tmp/user/x", W | CREATE, 0o600), ("open", 3, HERE, "/deep", PATH, 0),
        *[step for real, effective in ((0, 0), (1000, 0), (0, 1000), (1000, 1000), (1001, 1000), (1000, 1001))
          for step in (("fork", 1), ("in", 1, ("ids", real, effective)),
                       *[("in", 1, ask) for mode in (0, 1, 2, 4) for path in ("/deep", "/deep/a/b/second", "/tmp/closed/x", "/tmp/closed/absent", "/tmp/user/x", "/tmp/user", "/proc/self/fd/{1}")
                         for ask in (("access", HERE, path, mode), ("faccessat2", HERE, path, mode, 0), ("faccessat2", HERE, path, mode, 0x200))],
                       ("in", 1, ("access", 3, "a", 0)), ("in", 1, ("faccessat2", 3, "a", 0, 0x200)), ("in", 1, ("stat", 3, "a", 0)), ("end", 1))]],
    "another root that may not be searched": [
        ("chmod", HERE, "/deep", 0o744), ("mkdir", HERE, "/tmp/closed", 0o700), ("fork", 1), ("in", 1, ("become", 1000, 1000)),
        *[("in", 1, ("chroot", path)) for path in ("/deep", "/deep/a", "/tmp/closed", "/tmp", "/etc/hosts", "/absent")], ("end", 1), ("chroot", "/deep"), ("stat", HERE, "/a", 0)],
})
