"""Calls that change a file system, each with what is there before it (trials.py)."""
from __future__ import annotations

import os
import struct
from typing import Dict, List

from lpmx_runtime._native import NR, View

from .layers import Layer, directory, link, regular, same_as
from .trials import Story

HERE = -100
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
#: user::rw-, user:1000:rwx, group::r-x, mask::rwx, other::---
LIST = struct.pack("<I" + 5 * "HHi", 2, 1, 6, -1, 2, 7, 1000, 4, 5, -1, 16, 7, -1, 32, 0, -1)
BIG = bytes(range(256)) * 300
TIMES = b"\0\x94\x35\x77\0\0\0\0\1\2\3\0\0\0\0\0" * 2
NOREPLACE, EXCHANGE = 1, 2


def image() -> Layer:
    return {
        "": directory(), "proc": directory(0o555), "tmp": directory(0o1777),
        "d": directory(0o750, uid=3), "d/f": regular(BIG, 0o640, uid=5, xattrs={"user.n": b"v"}),
        "d/g": regular(b"g"), "d/l": link("f"), "d/sub": directory(), "d/sub/x": regular(b"x"),
        "h1": regular(b"names", uid=7), "h2": same_as("h1"), "d/h3": same_as("h1"),
        "empty": directory(), "e": directory(), "e/y": regular(b"y", 0o4755),
    }


def _emptied(view: View) -> None:
    """A directory of the layer with nothing but whiteouts in it."""
    view.unlink("/e/y")


def _own(view: View) -> None:
    """Things that only the upper has."""
    view.write("/new", b"new")
    view.mkdir("/own")
    view.write("/own/z", b"z")


def _removed(view: View) -> None:
    view.unlink("/d/g")


def _recorded(view: View) -> None:
    view.chown("/d/f", 11, 12)


def _default_list(view: View) -> None:
    """What is made in a directory gets a list; a name there has a whiteout."""
    view.unlink("/d/g")
    view.setxattr("/d", DEFAULT, LIST)


def _both(view: View) -> None:
    _own(view)
    _emptied(view)


def _call(name: str, *args: object) -> List:
    return [[NR[name], *args]]


def _rename(source: str, target: str, flags: int = 0) -> List:
    return _call("renameat2", HERE, source, HERE, target, flags)


def _open(path: str, flags: int, mode: int = 0o640) -> List:
    return _call("openat", HERE, path, flags, mode)


def _then(path: str, *rest: object) -> List:
    """A call by a descriptor that is open for reading."""
    return [[NR["openat"], HERE, path, os.O_RDONLY, 0], list(rest)]


FCHMOD, FSETXATTR, FCHOWN, STATX = 91, 190, 93, 332

STORIES: Dict[str, Story] = {
    "open for writing": Story(None, _open("/d/f", os.O_RDWR)),
    "open and truncate": Story(None, _open("/d/f", os.O_WRONLY | os.O_TRUNC)),
    "open one of several names": Story(None, _open("/h1", os.O_WRONLY)),
    "create": Story(None, _open("/d/sub/new", os.O_WRONLY | os.O_CREAT)),
    "create over a whiteout": Story(_removed, _open("/d/g", os.O_RDWR | os.O_CREAT | os.O_EXCL)),
    "create with a special mode": Story(None, _open("/d/new", os.O_WRONLY | os.O_CREAT, 0o4711)),
    "truncate": Story(None, _call("truncate", "/d/f", 5)),
    "chmod": Story(None, _call("fchmodat", HERE, "/d/f", 0o4711)),
    "chmod of what has a record": Story(_recorded, _call("fchmodat", HERE, "/d/f", 0o600)),
    "chmod of one of several names": Story(None, _call("fchmodat", HERE, "/h2", 0o600)),
    "chmod of a directory": Story(None, _call("fchmodat", HERE, "/d", 0o700)),
    "chmod by descriptor": Story(None, _then("/d/f", FCHMOD, "$", 0o600)),
    "chown": Story(None, _call("fchownat", HERE, "/d/f", 1, 2, 0)),
    "chown of a new file": Story(_own, _call("fchownat", HERE, "/new", 1, 2, 0)),
    "chown back": Story(_recorded, _call("fchownat", HERE, "/d/f", 0, 0, 0)),
    "chown by descriptor": Story(None, _then("/d/f", FCHOWN, "$", 1, 2)),
    "utimes": Story(None, _call("utimensat", HERE, "/d/f", TIMES, 0)),
    "utimes of a symlink": Story(None, _call("utimensat", HERE, "/d/l", TIMES, 0x100)),
    "setxattr": Story(None, _call("lsetxattr", "/d/f", "user.a", b"1", 1, 0)),
    "setxattr by descriptor": Story(None, _then("/d/f", FSETXATTR, "$", "user.a", b"1", 1, 0)),
    "set an access list": Story(None, _call("lsetxattr", "/d/g", ACCESS, LIST, len(LIST), 0)),
    "set an access list by descriptor": Story(None, _then("/d/g", FSETXATTR, "$", ACCESS, LIST, len(LIST), 0)),
    "create over a whiteout where a default list is": Story(_default_list, _open("/d/g", os.O_RDWR | os.O_CREAT, 0o666)),
    "mkdir over a whiteout where a default list is": Story(_default_list, _call("mkdirat", HERE, "/d/g", 0o755)),
    "mknod where a default list is": Story(_default_list, _call("mknodat", HERE, "/d/null", 0o20666, 0x103)),
    "unlink": Story(None, _call("unlinkat", HERE, "/d/f", 0)),
    "unlink what was copied up": Story(_recorded, _call("unlinkat", HERE, "/d/f", 0)),
    "unlink one of several names": Story(None, _call("unlinkat", HERE, "/h1", 0)),
    "unlink what is new": Story(_own, _call("unlinkat", HERE, "/new", 0)),
    "rmdir": Story(None, _call("unlinkat", HERE, "/empty", 0x200)),
    "rmdir of what was emptied": Story(_emptied, _call("unlinkat", HERE, "/e", 0x200)),
    "mkdir": Story(None, _call("mkdirat", HERE, "/d/sub/new", 0o1777)),
    "mkdir over a whiteout": Story(_removed, _call("mkdirat", HERE, "/d/g", 0o755)),
    "mknod": Story(None, _call("mknodat", HERE, "/d/null", 0o20666, 0x103)),
    "mknod over a whiteout": Story(_removed, _call("mknodat", HERE, "/d/g", 0o10600, 0)),
    "symlink": Story(None, _call("symlinkat", "to", HERE, "/d/sub/new")),
    "symlink over a whiteout": Story(_removed, _call("symlinkat", "to", HERE, "/d/g")),
    "link": Story(None, _call("linkat", HERE, "/d/f", HERE, "/tmp/f", 0)),
    "link over a whiteout": Story(_removed, _call("linkat", HERE, "/d/f", HERE, "/d/g", 0)),
    "link of a symlink": Story(None, _call("linkat", HERE, "/d/l", HERE, "/l", 0)),
    "rename": Story(None, _rename("/d/f", "/d/sub/f")),
    "rename over another": Story(None, _rename("/d/f", "/d/sub/x")),
    "rename over a whiteout": Story(_removed, _rename("/d/f", "/d/g", NOREPLACE)),
    "rename of one of several names": Story(None, _rename("/h1", "/h4")),
    "rename of what is new": Story(_own, _rename("/new", "/d/new")),
    "rename of what is new over a lower file": Story(_own, _rename("/new", "/d/f")),
    "rename of a symlink": Story(None, _rename("/d/l", "/l")),
    "rename a directory": Story(None, _rename("/d", "/tmp/d")),
    "rename a new directory": Story(_own, _rename("/own", "/tmp/own")),
    "rename a directory over an empty one": Story(None, _rename("/d", "/empty")),
    "rename a new directory over an emptied one": Story(_both, _rename("/own", "/e")),
    "rename a directory over an emptied one": Story(_emptied, _rename("/d", "/e")),
    "rename a directory over a whiteout": Story(_removed, _rename("/e", "/d/g")),
    "exchange files": Story(None, _rename("/d/f", "/d/g", EXCHANGE)),
    "exchange directories": Story(None, _rename("/d", "/e", EXCHANGE)),
    "exchange a file and a directory": Story(_own, _rename("/new", "/e", EXCHANGE)),
    "set a variable": Story(None, [[-1, "NAME", "value"]]),
    "change a variable": Story(lambda view: view.environment_set("NAME", "old"),
                               [[-1, "NAME", "value"]]),
    "unset a variable": Story(lambda view: view.environment_set("NAME", "old"), [[-2, "NAME"]]),
    "set the exec map": Story(None, [[-3, "/usr/bin/x", "host:/usr/bin/x"]]),
    "unset the exec map": Story(lambda view: view.exec_map_set("/x", "host:/x"), [[-4, "/x"]]),
}
