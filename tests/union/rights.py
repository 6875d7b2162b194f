"""Who may do what: a caller, an object and a call, by chance, each time new ones.

The caller is root, a user in some groups, or who runs the container and is shown as nobody
else (`--user host`). The object is of a layer, was copied up, or is new, in a directory that is so, too;
it belongs to the caller, to one of its groups, or to others, and has any mode. What comes of
the call is told, and what root, or that user, then sees of the object and its directory.

What differs on purpose (docs/reference/differences.md) is not asked for:

- a device that is open is the machine's;
- what was opened for reading tells nothing once it was changed by its name;
- set-ID bits stay when a user writes to a file, cuts it or makes room in it through a descriptor;
- `fchdir` to a directory that may not be searched.
"""
from __future__ import annotations

import os
import random
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from .cases import ACCESS, CAPABILITY, CHR, DEFAULT, FIFO, NOW, OMIT, REG, SOCK, acl
from .layers import Layer, device, directory, fifo, link, regular
from .operations import (EMPTY_PATH, EXCHANGE, FOLLOW, HERE, NOFOLLOW, NOREPLACE, PATH, REMOVEDIR, TMPFILE,
                         Operation, encode)
from .scenario import right
from .worlds import KERNEL, Bench

#: What the user of layers is, where somebody has to be the one who asks.
USER, GROUP = 1000, 50
CALLERS = [(USER, 1000), (USER, 1000, GROUP), (USER, 1000, GROUP, 77), (1001, GROUP), (1001, 1001, 77),
           (1002, GROUP, 1000), (USER, GROUP), (1002, 1002)]
OWNERS = [(0, 0), (USER, 1000), (USER, GROUP), (0, GROUP), (0, 1000), (1001, 77), (1001, GROUP), (USER, 0),
          (USER, 77), (1002, 1002)]
FILES = [0o644, 0o600, 0o666, 0o640, 0o660, 0o444, 0, 0o755, 0o711, 0o4755, 0o6755, 0o2755, 0o4711, 0o6777,
         0o2644, 0o2666, 0o6666, 0o2745, 0o066, 0o006, 0o060, 0o777, 0o1644, 0o070, 0o007, 0o100, 0o010, 0o001, 0o4666]
DIRECTORIES = [0o755, 0o700, 0o777, 0o1777, 0o2775, 0o3777, 0o311, 0o444, 0o500, 0o711, 0o070, 0o007, 0o2750,
               0o1770]
#: The directories that all is in: owner, group, mode.
PARENTS = [(0, 0, 0o755), (0, 0, 0o1777), (0, 0, 0o777), (USER, 1000, 0o755), (USER, 1000, 0o1777),
           (1001, GROUP, 0o1775), (0, GROUP, 0o2775), (0, GROUP, 0o2777), (USER, GROUP, 0o3777), (0, GROUP, 0o770),
           (0, 0, 0o700), (0, 0, 0o711), (USER, 1000, 0o500), (USER, 1000, 0o300), (0, 1000, 0o1770),
           (0, 0, 0o744), (0, 77, 0o2757), (1001, 1001, 0o1777), (USER, 1000, 0o077), (0, GROUP, 0o707)]
KINDS = ["file"] * 8 + ["directory"] * 4 + ["link", "fifo", "socket", "device"]
OPENS = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, 3]
CREATE, EXCL, TRUNC = os.O_CREAT, os.O_EXCL, os.O_TRUNC
#: The caller of a call, if it is not root; the slot of what it opens.
FIRST, SECOND, OPENED = 1, 2, 4


def program() -> bytes:
    """One that ends at once, and says so (caller/names.c)."""
    with tempfile.TemporaryDirectory() as place:
        source, built = Path(place, "end.s"), Path(place, "end")
        source.write_text(".globl _start\n_start: mov $231, %eax\n mov $242, %edi\n syscall\n")
        subprocess.run(["gcc", "-static", "-nostdlib", "-s", "-Wl,--build-id=none", "-o", str(built), str(source)],
                       check=True)
        return built.read_bytes()


class HostBench(Bench):
    """Our worlds have no root illusion, as with `--user host`."""

    def _make_view(self, name: str, where: str) -> str:
        place = Path(super()._make_view(name, where))
        place.write_bytes(place.read_bytes().replace(b"uid\x000\x00gid\x000\x00", b""))
        # as a container's, which is that of its image
        upper = Path(where) / "upper"
        os.setxattr(upper, "user.containers.override_stat", b"0:0:0755")
        upper.chmod(0o1755)
        return str(place)


class Rights:
    """Operations, and for each the number of the story it belongs to."""

    def __init__(self, seed: int, count: int, executable: bytes, user: Optional[Tuple[int, int]] = None) -> None:
        """`user`: who asks, in all stories, and is not root before."""
        self.random = random.Random(seed)
        self.executable, self.user = executable, user
        self.layers: List[Layer] = [{"": directory(), "proc": directory(0o555)}, {"": directory()}]
        self.operations: List[Operation] = []
        self.stories: List[int] = []
        self.story = 0
        self.parents: List[Tuple[str, str]] = []
        for state in ("lower", "merged") if user else ("lower", "copied", "merged", "upper"):
            for number in range(len(PARENTS)):
                self._parent(state, number)
        for number in range(count):
            if number % 40 == 0:
                self._callers()
            self.story += 1
            self._tell()

    def _do(self, *operations: Operation) -> None:
        self.operations += operations
        self.stories += [self.story] * len(operations)

    def _ids(self, uid: int, gid: int) -> Tuple[int, int]:
        if not self.user:
            return uid, gid
        return self.user[0] if uid == USER else uid, self.user[1] if gid == 1000 else gid

    def _parent(self, state: str, number: int) -> None:
        uid, gid, mode = PARENTS[number]
        uid, gid = self._ids(uid, gid)
        name = f"{state}{number}"
        self.parents.append((state, name))
        if state == "upper":
            self._do(("mkdir", HERE, "/" + name, 0o755), ("chown", HERE, "/" + name, uid, gid, 0),
                     ("chmod", HERE, "/" + name, mode))
            return
        for layer in self.layers if state == "merged" else self.layers[:1]:
            layer[name] = directory(mode, uid=uid, gid=gid)
        if state == "copied":
            self._do(("chmod", HERE, "/" + name, mode))

    def _callers(self) -> None:
        self.story += 1
        for who in (FIRST,) if self.user else (FIRST, SECOND):
            self._do(("fork", who), self.become() if self.user else ("in", who, ("become", *self.random.choice(CALLERS))),
                     ("in", who, ("umask", self.random.choice([0o022, 0, 0o077]))))

    def as_ours(self) -> List[Operation]:
        """The same for a world in which it is that user who does all from the start."""
        return [("in", FIRST, ("close", 0)) if self.user and each == self.become() else each for each in self.operations]

    def become(self) -> Operation:
        return ("in", FIRST, ("become", *(self.user or ())))

    # -- objects

    def _object(self) -> Tuple[str, str, str]:
        """The path of a new one, its kind, and its directory."""
        r = self.random
        state, parent = r.choice(self.parents)
        kind = r.choice(KINDS[:-2] if self.user else KINDS)
        uid, gid = self._ids(*r.choice(OWNERS))
        mode = r.choice(DIRECTORIES if kind == "directory" else FILES)
        path = f"/{parent}/o{len(self.stories)}"
        content = self.executable if r.random() < 0.4 else b"content"
        target = r.choice(["/lower0", "nowhere", "../merged2"])
        if self.user or not (state == "upper" or kind == "socket" or r.random() < 0.3):
            things = {"file": regular(content, mode, uid=uid, gid=gid, xattrs={"user.n": b"v"}), "fifo": fifo(mode),
                      "directory": directory(mode, uid=uid, gid=gid), "link": link(target), "device": device(1, 3, mode)}
            self.layers[r.randrange(2) if state == "merged" else 0][path[1:]] = things[kind]
            if not self.user and r.random() < 0.4:
                self._do(("utimens", HERE, path, 1_100_000_000, NOFOLLOW) if kind in ("file", "directory")
                         else ("chown", HERE, path, uid, gid, NOFOLLOW))
            return path, kind, parent
        made: Dict[str, Sequence[Operation]] = {
            "file": [("open", 1, HERE, path, os.O_WRONLY | CREATE | EXCL, 0o600), ("write", 1, content), ("close", 1)],
            "directory": [("mkdir", HERE, path, 0o700), ("mknod", HERE, path + "/in", REG | 0o644, 0)],
            "link": [("symlink", target, HERE, path)], "fifo": [("mknod", HERE, path, FIFO | 0o600, 0)],
            "socket": [("mknod", HERE, path, SOCK | 0o600, 0)], "device": [("mknod", HERE, path, CHR | 0o600, 0x103)]}
        self._do(*made[kind], ("chown", HERE, path, uid, gid, NOFOLLOW))
        if kind != "link":
            self._do(("chmod", HERE, path, mode))
        if kind in ("file", "directory") and r.random() < 0.15:
            users, groups = {r.choice([USER, 1001]): r.randrange(8)}, {r.choice([GROUP, 77]): r.randrange(8)}
            self._do(("setxattr", path, ACCESS, acl(*(r.randrange(8) for _ in range(3)), mask=r.randrange(8),
                                                    users=users, groups=groups), 0))
        return path, kind, parent

    # -- calls

    def _tell(self) -> None:
        r = self.random
        path, kind, parent = self._object()
        new = f"/{parent if r.random() < 0.5 else r.choice(self.parents)[1]}/n{len(self.stories)}"
        who = FIRST if self.user else r.choice([FIRST, FIRST, SECOND, SECOND, None])
        other = ""
        chance = r.random()
        if chance < 0.28:
            calls = self._opened(path, new, kind)
        elif chance < 0.35:
            other = self._object()[0]
            calls = [("rename", HERE, path, HERE, other, r.choice([0, NOREPLACE, EXCHANGE]))]
        else:
            calls = [r.choice(self._named(path, new, kind, parent, who is None))]
        for call in calls:
            if r.random() < 0.08 and call[0] != "bind":
                call = ("old", call)
            self._do(call if who is None else ("in", who, call))
            if call[0] == "chdir":
                back: List[Operation] = [("getcwd",), ("chdir", "/")]
                self._do(*(each if who is None else ("in", who, each) for each in back))
        for seen in (path, new, other, "/" + parent):
            if seen:
                look: Operation = ("stat", HERE, seen, NOFOLLOW)
                self._do(("in", FIRST, look) if self.user else look)

    def _opened(self, path: str, new: str, kind: str) -> List[Operation]:
        """Open it, and do something with that."""
        r = self.random
        flags = r.choice(OPENS) | os.O_NONBLOCK
        for flag, often in ((TRUNC, 0.15), (CREATE, 0.2), (EXCL, 0.08), (os.O_NOATIME, 0.12), (PATH, 0.12),
                            (os.O_DIRECTORY, 0.08), (os.O_NOFOLLOW, 0.15), (os.O_APPEND, 0.05)):
            if r.random() < often:
                flags |= flag
        link_of_it = "/proc/self/fd/{%d}" % OPENED
        uses: List[Operation] = [
            ("fchmod", OPENED, r.choice(FILES)), ("fchown", OPENED, r.choice([-1, 0, USER, 1001]), r.choice([GROUP, 1000, 77, 0])),
            ("futimens", OPENED, 1_150_000_000), ("fsetxattr", OPENED, ACCESS, acl(6, 4, 4), 0),
            ("openfd", 5, OPENED, r.choice(OPENS[:3]) | os.O_NONBLOCK),
            ("chown", OPENED, "", r.choice([0, USER]), r.choice([-1, GROUP, 77]), EMPTY_PATH),
            ("utimensat", OPENED, "", 5, r.choice([NOW, 5]), 5, r.choice([NOW, OMIT, 5]), EMPTY_PATH),
            ("fchmodat2", OPENED, "", 0o640, EMPTY_PATH), ("access", HERE, link_of_it, r.randrange(8)), ("stat", OPENED, "..", 0),
            ("faccessat2", OPENED, "", r.randrange(8), r.choice([EMPTY_PATH, EMPTY_PATH | 0x200])),
            ("chmod", HERE, link_of_it, 0o644), ("utimensns", HERE, link_of_it, 0, NOW, 0)]
        uses += [("linkfd", OPENED, HERE, new), ("fsetxattr", OPENED, "user.a", b"1", 0), ("fremovexattr", OPENED, "user.n"), ("fgetxattr", OPENED, "user.n")]
        if kind in ("file", "directory"):
            uses += [("setfileattr", OPENED, "", EMPTY_PATH, 0x40)]
        # what an earlier story has left there is none of this one's
        return [("close", OPENED), ("open", OPENED, HERE, path, flags, 0o2751), *([] if kind == "device" else [r.choice(uses)]), ("close", OPENED)]

    def _named(self, path: str, new: str, kind: str, parent: str, root: bool) -> List[Operation]:
        """All that can be done with a name, once each."""
        r = self.random
        below = path + "/in"
        calls: List[Operation] = [
            ("access", HERE, path, r.randrange(8)), ("faccessat2", HERE, path, r.randrange(8), r.choice([0, 0x200, NOFOLLOW, 0x200 | NOFOLLOW])),
            ("unlink", HERE, path, 0), ("unlink", HERE, path, REMOVEDIR), ("unlink", HERE, path, REMOVEDIR if kind == "directory" else 0),
            ("rename", HERE, path, HERE, new, r.choice([0, 0, NOREPLACE, EXCHANGE])), ("open", OPENED, HERE, new, os.O_RDWR | CREATE | r.choice([0, EXCL]), r.choice(FILES)),
            ("mkdir", HERE, new, r.choice(DIRECTORIES)), ("mknod", HERE, new, r.choice([FIFO, SOCK, REG, CHR]) | r.choice(FILES), 0x103),
            ("symlink", "x", HERE, new), ("bind", 6, new, r.choice([1, 2])), ("chmod", HERE, path, r.choice(FILES + DIRECTORIES)),
            ("chmod", HERE, path, r.choice([0o6777, 0o2755, 0o1644, 0o4711])), ("fchmodat2", HERE, path, r.choice(FILES), NOFOLLOW),
            ("chown", HERE, path, r.choice([0, USER, 1001]), r.choice([-1, GROUP, 1000, 77, 0]), r.choice([0, NOFOLLOW])),
            ("chown", HERE, path, -1, r.choice([GROUP, 1000, 77]), 0), ("utimens", HERE, path, 1_200_000_000, r.choice([0, NOFOLLOW])),
            ("utimensns", HERE, path, 0, NOW, 0), ("utimensat", HERE, path, 5, r.choice([NOW, OMIT, 5]), 5, r.choice([NOW, OMIT, 5]), r.choice([0, NOFOLLOW])),
            ("utime", path, r.choice([0, 1_200_000_000])), ("utimes", path, 0), ("futimesat", HERE, path, r.choice([0, 1_200_000_000])),
            ("truncate", path, r.choice([0, 3, 100, -1])), ("setxattr", path, ACCESS, acl(6, 4, 4, mask=6, users={USER: 7}), 0), ("getxattr", path, ACCESS),
            ("setxattr", path, DEFAULT, acl(7, 5, 5), 0), ("removexattr", path, DEFAULT), ("listxattr", path), ("stat", HERE, path, 0), ("readlink", HERE, path, 100),
            ("getfileattr", HERE, path, 0), ("chdir", path), ("openlist", path, 300), ("statfs", path), ("connect", 6, path, r.choice([1, 2])), ("send", path, b"x"),
            ("open", OPENED, HERE, path, os.O_RDWR | TMPFILE, 0o2755), ("open", OPENED, HERE, "/" + parent, os.O_RDWR | TMPFILE, r.choice(FILES)),
            ("creat", OPENED, path, 0o644), ("openread", path), ("stat", HERE, below, 0), ("open", OPENED, HERE, below, os.O_RDONLY, 0),
            ("open", OPENED, HERE, path + "/made", os.O_WRONLY | CREATE, 0o644), ("unlink", HERE, below, 0), ("mkdir", HERE, path + "/sub", 0o755),
            ("openat2", OPENED, HERE, path, os.O_RDWR | os.O_NONBLOCK, 0, r.choice([0, 4, 8, 16])), ("stat", HERE, path + "/..", 0), ("stat", HERE, path + "/", 0),
            ("mkdir", HERE, path, 0o755), ("symlink", "x", HERE, path), ("mknod", HERE, path, FIFO | 0o600, 0), ("bind", 6, path, 1)]
        if kind != "device":
            calls += [("execute", HERE, path, r.choice([0, NOFOLLOW]))]
        calls += 2 * [("link", HERE, path, HERE, new, r.choice([0, FOLLOW])), ("chown", HERE, path, -1, -1, 0), ("removexattr", path, ACCESS)]
        calls += [("setxattr", path, "user.a", b"1", r.choice([0, 1, 2])), ("lsetxattr", path, "user.a", b"1", 0), ("getxattr", path, "user.n"),
                  ("getxattr", path, "user.none"), ("lgetxattr", path, "user.n"), ("removexattr", path, "user.n"), ("removexattr", path, "user.none")]
        if kind in ("file", "directory"):
            calls += [("setfileattr", HERE, path, 0, 0x40), ("setxattr", path, "security.capability", CAPABILITY, 0), ("setxattr", path, "trusted.a", b"1", 0), ("setxattr", path, "security.x", b"1", 0),
                      ("getxattr", path, "trusted.a"), ("getxattr", path, "security.capability"), ("removexattr", path, "trusted.a"), ("removexattr", path, "security.x")]
        if root:
            calls += [("watched", path, "w"), ("handles", HERE, path, HERE, path, 0x200)]
        return calls


def different(rights: Rights, names: Sequence[str], place: Optional[Path] = None) -> List[str]:
    """Each story in which ours answer otherwise than a plain directory and overlayfs: all of it."""
    kind = HostBench if rights.user else Bench
    with kind(rights.layers, names, place) as bench:
        worlds = bench.fresh()
        for world in worlds:
            world.send(encode(rights.operations if world.name in KERNEL else rights.as_ours()))
        told = {world.name: world.answers(len(rights.operations)) for world in worlds}
    ours = [name for name in names if name not in KERNEL]
    wrong = {story for number, story in enumerate(rights.stories) for name in ours
             if rights.operations[number] != rights.become()
             and not right(told[name][number], [told[each][number] for each in names if each in KERNEL], 1)}
    return [f"{story} {operation}: " + ", ".join(f"{name} {told[name][number].decode()}" for name in names)
            for number, (story, operation) in enumerate(zip(rights.stories, rights.operations)) if story in wrong]
