"""What is refused to whom: another user, an owner in other groups, root as another for files."""
from __future__ import annotations

import os
from typing import Dict, List

from .cases import ACCESS, CAPABILITY, CHR, CREATE, DIR, FIFO, RW, SOCK, R, W, acl
from .operations import EMPTY_PATH, EXCHANGE, HERE, PATH, TMPFILE, Operation

NULL = os.makedev(1, 3)


def _by(child: int, *operations: Operation) -> List[Operation]:
    return [("in", child, operation) for operation in operations]


def _another(child: int, uid: int = 1000, gid: int = 1000) -> List[Operation]:
    return [("fork", child), ("in", child, ("become", uid, gid))]


CASES: Dict[str, List[Operation]] = {
    "set-ID bits when an owner is said again": [
        ("chmod", HERE, "/data/two", 0o6755), ("chmod", HERE, "/data/h1", 0o2644), ("chown", HERE, "/data/one", 1000, 77, 0),
        ("chmod", HERE, "/data/one", 0o2666), ("mkdir", HERE, "/tmp/d", 0o755), ("chmod", HERE, "/tmp/d", 0o2755),
        ("mknod", HERE, "/tmp/p", FIFO | 0o600, 0), ("chmod", HERE, "/tmp/p", 0o6711), *_another(1),
        *[step for path in ("/usr/bin/su", "/usr/bin/wall", "/data/two", "/data/h1", "/etc/hosts", "/tmp/d", "/tmp/p", "/etc/conf.d")
          for step in (("in", 1, ("chown", HERE, path, -1, -1, 0)), ("stat", HERE, path, 0))],
        *_by(1, ("open", 2, HERE, "/data/two", R, 0), ("fchown", 2, -1, -1), ("fstat", 2)), ("stat", HERE, "/data/two", 0),
        *[step for owner, group in ((-1, -1), (1000, -1), (-1, 1000)) for mode in (0o2666, 0o6644, 0o2676)
          for step in (("chown", HERE, "/data/one", 1000, 77, 0), ("chmod", HERE, "/data/one", mode),
                       ("in", 1, ("chown", HERE, "/data/one", owner, group, 0)), ("stat", HERE, "/data/one", 0))],
        ("chown", HERE, "/data/one", 1000, 1000, 0), ("chmod", HERE, "/data/one", 0o6644), ("in", 1, ("chown", HERE, "/data/one", -1, -1, 0)),
        ("stat", HERE, "/data/one", 0), ("chmod", HERE, "/data/one", 0o6644), ("chown", HERE, "/data/one", 1000, 77, 0),
        ("stat", HERE, "/data/one", 0), ("end", 1)],
    "who may have attributes of the namespace user": [
        ("mkdir", HERE, "/tmp/sticky", 0o755), ("chmod", HERE, "/tmp/sticky", 0o1777), ("mkdir", HERE, "/tmp/closed", 0o755),
        ("chmod", HERE, "/tmp/closed", 0o1755), ("mkdir", HERE, "/tmp/own", 0o755), ("chown", HERE, "/tmp/own", 1000, 1000, 0),
        ("chmod", HERE, "/tmp/own", 0o1777), ("chmod", HERE, "/etc/conf.d", 0o1777), ("setxattr", "/tmp", "user.a", b"1", 0),
        ("setxattr", "/etc/conf.d", "user.a", b"1", 0),
        *[step for name, mode in (("null", CHR), ("fifo", FIFO), ("socket", SOCK), ("open", FIFO), ("device", CHR))
          for step in (("mknod", HERE, "/tmp/" + name, mode | 0o600, NULL), ("chmod", HERE, "/tmp/" + name, 0o666 if name in ("open", "device") else 0o600))],
        ("open", 5, HERE, "/etc/conf.d", R | DIR, 0), ("open", 6, HERE, "/tmp/sticky", R | DIR, 0), *_another(1),
        *[("in", 1, (call, path, "user.a", *rest))
          for path in ("/tmp", "/tmp/sticky", "/tmp/closed", "/tmp/own", "/etc/conf.d", "/tmp/null", "/tmp/fifo", "/tmp/socket", "/tmp/open",
                       "/tmp/device", "/special/pipe", "/special/null", "/links/dangling", "/etc/shadow", "/keep")
          for call, *rest in (("getxattr",), ("lgetxattr",), ("setxattr", b"1", 0), ("getxattr",), ("lsetxattr", b"1", 0), ("removexattr",),
                              ("lremovexattr",), ("setxattr", b"1", 2))],
        *_by(1, *[step for slot in (5, 6) for step in (
            ("fgetxattr", slot, "user.a"), ("fsetxattr", slot, "user.b", b"1", 0), ("fremovexattr", slot, "user.a"))],
             ("setxattrat", HERE, "/tmp/sticky", 0, "user.a", b"1", 0), ("removexattrat", HERE, "/tmp/fifo", 0, "user.a"),
             ("open", 7, HERE, "/tmp/open", RW | os.O_NONBLOCK, 0), ("fgetxattr", 7, "user.a"), ("fsetxattr", 7, "user.a", b"1", 0),
             ("fremovexattr", 7, "user.a")), ("end", 1),
        ("setxattr", "/tmp/fifo", "user.a", b"1", 0), ("getxattr", "/special/pipe", "user.a")],
    "attributes told by a descriptor": [
        ("chmod", HERE, "/data/one", 0o622), ("chmod", HERE, "/data", 0o755), ("open", 1, HERE, "/tmp/new", RW | CREATE, 0o600), ("fsetxattr", 1, "user.note", b"n", 0),
        ("chmod", HERE, "/tmp/new", 0o662), ("open", 2, HERE, "/data/one", R, 0), ("open", 3, HERE, "/etc/nothing", R, 0), ("open", 4, HERE, "/tmp", RW | TMPFILE, 0o600),
        ("fsetxattr", 4, "user.note", b"n", 0), ("open", 8, HERE, "/data/h1", R, 0), ("open", 9, HERE, "/tmp/new", PATH, 0), *_another(1),
        *_by(1, ("open", 5, HERE, "/data/one", W, 0), ("open", 6, HERE, "/tmp/new", W, 0), ("open", 7, HERE, "/etc/hosts", R, 0),
             *[step for slot in (1, 2, 3, 4, 5, 6, 7, 8, 9, 99) for step in (("fgetxattr", slot, "user.note"), ("fgetxattr", slot, "user.absent"), ("flistxattr", slot),
                                                                         ("fgetxattr", slot, "trusted.t"))]),
        ("in", 1, ("getxattr", "/proc/self/fd/{4}", "user.note")), ("rename", HERE, "/data/h1", HERE, "/data/h3", 0), ("chmod", HERE, "/data/h3", 0o600), ("in", 1, ("fgetxattr", 8, "user.note")),
        ("fgetxattr", 1, "user.note"), ("fgetxattr", 4, "user.note"), ("end", 1)],
    "links that are refused to another": [
        ("mkdir", HERE, "/tmp/another", 0o777), ("open", 1, HERE, "/tmp", RW | TMPFILE, 0o644), ("open", 2, HERE, "/tmp/gone", RW | CREATE, 0o644),
        ("unlink", HERE, "/tmp/gone", 0), ("open", 3, HERE, "/tmp", RW | TMPFILE, 0o666), ("chmod", HERE, "/proc/self/fd/{3}", 0o666), *_another(1),
        *_by(1, ("mkdir", HERE, "/tmp/own", 0o755), ("open", 6, HERE, "/tmp/file", RW | CREATE, 0o600), ("open", 7, HERE, "/tmp", RW | TMPFILE, 0o600),
             *[step for to in ("/keep/n", "/keep/old", "/absent/n", "/tmp/n") for step in (
                 *[("link", HERE, path, HERE, to, 0) for path in ("/tmp/own", "/tmp/another", "/keep", "/", "/proc", "/etc/hosts", "/etc/shadow", "/usr/bin/su", "/tmp/file",
                                                                  "/special/pipe", "/links/absolute")],
                 *[("linkfd", slot, HERE, to) for slot in (1, 2, 3, 6, 7)], ("unlink", HERE, "/tmp/n", 0))]), ("end", 1),
        ("link", HERE, "/etc", HERE, "/tmp/n", 0), ("link", HERE, "/etc", HERE, "/absent/n", 0),
        ("linkfd", 2, HERE, "/tmp/n"), ("linkfd", 1, HERE, "/tmp/n")],
    "a name by a descriptor that was opened as another": [
        ("chown", HERE, "/keep/old", 1000, 1000, 0), ("chown", HERE, "/keep", 1000, 1000, 0), ("open", 1, HERE, "/keep/old", R, 0), ("open", 2, HERE, "/keep/old", PATH, 0),
        ("open", 9, HERE, "/keep", RW | TMPFILE, 0o600), ("fchown", 9, 1000, 1000), *_another(1),
        *_by(1, ("open", 3, HERE, "/keep/old", R, 0), ("open", 4, HERE, "/keep/old", PATH, 0), ("open", 5, HERE, "/keep", RW | TMPFILE, 0o600),
             *[step for slot in (1, 2, 3, 4, 5, 9, 99) for step in (
                 ("link", slot, "", HERE, "/keep/n", EMPTY_PATH), ("link", slot, "", HERE, "/keep/stay", EMPTY_PATH), ("link", slot, "", HERE, "/etc/n", EMPTY_PATH),
                 ("link", slot, "", 99, "n", EMPTY_PATH), ("unlink", HERE, "/keep/n", 0), ("link", slot, "../keep/old", HERE, "/keep/n", EMPTY_PATH))]),
        ("in", 1, ("linkfd", 1, HERE, "/keep/m")), ("link", 1, "", HERE, "/tmp/n", EMPTY_PATH), ("fork", 2),
        *_by(2, ("open", 3, HERE, "/keep/old", R, 0), ("fsids", 1000, 1000), ("open", 4, HERE, "/keep/old", R, 0),
             *[("link", slot, "", HERE, f"/keep/f{slot}", EMPTY_PATH) for slot in (1, 3, 4)], ("fsids", 1000, 1000), ("link", 4, "", HERE, "/keep/g", EMPTY_PATH),
             ("fsids", 0, 0), ("link", 4, "", HERE, "/keep/h", EMPTY_PATH)), ("end", 1), ("end", 2)],
    "renames that are refused to another": [
        ("mkdir", HERE, "/tmp/to", 0o755), ("chmod", HERE, "/tmp/to", 0o777), ("open", 1, HERE, "/tmp/to/file", W | CREATE, 0o644), ("mkdir", HERE, "/tmp/to/empty", 0o755),
        ("mkdir", HERE, "/tmp/to/full", 0o755), ("mkdir", HERE, "/tmp/to/full/in", 0o755), ("symlink", "x", HERE, "/tmp/to/link"), ("mkdir", HERE, "/keep/d", 0o755),
        ("chmod", HERE, "/keep", 0o777), *_another(1), ("in", 1, ("mkdir", HERE, "/tmp/own", 0o755)), ("in", 1, ("chmod", HERE, "/tmp/own", 0o500)),
        *[("in", 1, ("rename", HERE, source, HERE, to, flags)) for source in ("/tmp/own", "/keep/d", "/keep/stay", "/keep/old")
          for to in ("/tmp/to/file", "/tmp/to/empty", "/tmp/to/full", "/tmp/to/link", "/tmp/to/absent/", "/etc/hosts", "/etc/conf.d") for flags in (0, EXCHANGE)
          if not (source == "/keep/old" and not flags and to in ("/tmp/to/file", "/tmp/to/link"))],
        ("in", 1, ("rename", HERE, "/tmp/own", HERE, "/tmp/sibling", 0)), ("end", 1)],
    "flags of chattr for what has none": [
        ("mknod", HERE, "/tmp/fifo", FIFO | 0o600, 0), ("chmod", HERE, "/tmp/fifo", 0o666), ("chmod", HERE, "/special/pipe", 0o666), ("open", 4, HERE, "/tmp/fifo", RW | os.O_NONBLOCK, 0),
        ("setflags", 4, 0), *_another(1),
        *[step for path in ("/tmp/fifo", "/special/pipe", "/etc/hosts", "/etc/conf.d", "/dev/null")
          for step in _by(1, ("open", 3, HERE, path, (R if path.startswith("/etc") else RW) | os.O_NONBLOCK, 0), ("setflags", 3, 0), ("setfileattr", 3, "", EMPTY_PATH, 0),
                          ("setfileattr", HERE, path, 0, 0), ("close", 3))], ("end", 1)],
    "devices and roots of who is another for files": [
        ("mkdir", HERE, "/tmp/closed", 0o755), ("chmod", HERE, "/tmp/closed", 0o744), ("fork", 2),
        *_by(2, ("fsids", 1000, 1000), ("mknod", HERE, "/tmp/device", CHR | 0o600, NULL), ("mknod", HERE, "/tmp/fifo", FIFO | 0o600, 0), ("mknod", HERE, "/etc/device", CHR | 0o600, NULL),
             ("chroot", "/tmp/closed"), ("chroot", "/data/empty"), ("chroot", "/etc/hosts"), ("fsids", 0, 0), ("mknod", HERE, "/tmp/device", CHR | 0o600, NULL), ("chroot", "/tmp/closed"),
             ("getcwd",)), *_another(1),
        *_by(1, ("mknod", HERE, "/tmp/other", CHR | 0o600, NULL), *[("chroot", path) for path in ("/tmp/closed", "/data/empty", "/etc", "/etc/hosts", "/absent", "/tmp/closed/x")]),
        ("end", 1), ("end", 2)],
    "attributes of root's own that nothing can carry": [
        ("mknod", HERE, "/tmp/fifo", FIFO | 0o600, 0), ("mknod", HERE, "/tmp/socket", SOCK | 0o600, 0), ("symlink", "x", HERE, "/tmp/link"),
        ("open", 1, HERE, "/tmp/fifo", RW, 0), ("open", 2, HERE, "/special/pipe", RW, 0),
        *[step for name in ("security.x", "trusted.x", "security.capability") for step in (
            *[(call, path, name) for path in ("/tmp/fifo", "/tmp/socket", "/tmp/link", "/special/pipe", "/special/null", "/links/relative", "/links/dangling")
              for call in ("lremovexattr", "lgetxattr")],
            ("removexattr", "/tmp/fifo", name), ("setxattr", "/tmp/fifo", name, CAPABILITY, 2), ("fremovexattr", 1, name), ("fremovexattr", 2, name), ("fsetxattr", 1, name, CAPABILITY, 2))],
        ("chmod", HERE, "/tmp/fifo", 0o666), *_another(1), *_by(1, ("removexattr", "/tmp/fifo", "security.x"), ("removexattr", "/tmp/fifo", "trusted.x")), ("end", 1)],
}

#: Where overlayfs does more than a plain directory, and so do we.
OVERLAY_CASES: Dict[str, List[Operation]] = {
    "set-group-ID when a list is taken away": [
        ("chown", HERE, "/data/one", 1000, 77, 0), ("chown", HERE, "/etc/conf.d", 1000, 77, 0), *_another(1),
        *[step for path in ("/data/one", "/etc/conf.d") for group in (77, 1000) for change in (("removexattr", path, ACCESS), ("setxattr", path, ACCESS, b"", 0))
          for step in (("chown", HERE, path, 1000, group, 0), ("chmod", HERE, path, 0o6674), ("setxattr", path, ACCESS, acl(6, 4, 4, mask=7, users={1: 7}), 0), ("stat", HERE, path, 0),
                       ("in", 1, change), ("stat", HERE, path, 0), ("chmod", HERE, path, 0o2644), change, ("stat", HERE, path, 0))],
        *_by(1, ("open", 2, HERE, "/data/one", R, 0)), ("chown", HERE, "/data/one", 1000, 77, 0), ("chmod", HERE, "/data/one", 0o2664),
        ("in", 1, ("fsetxattr", 2, ACCESS, b"x", 0)), ("stat", HERE, "/data/one", 0), ("in", 1, ("fremovexattr", 2, ACCESS)), ("stat", HERE, "/data/one", 0), ("end", 1)],
}
