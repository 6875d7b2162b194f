"""Many package files as one layer: what dpkg would have unpacked, and its database.

The layer is a tar that is read while the packages are; nothing is unpacked twice
and no program runs. Afterwards dpkg sees packages as "unpacked": their files are
in place, their scripts have not run yet. The packages are in two parts, the second
to be hidden until the first ones are configured. Three things are done as dpkg does
them, in `archives.c` and `unpack.c` of its sources:

- A directory belongs to whoever brought it first. Where there is a symbolic
  link to a directory already, it stays, and what the package has in that
  directory lands behind it: that is how a merged /usr works.
- A file that two packages have belongs to the one that Replaces the other.
- The lists in /var/lib/dpkg/info have the names as the package wrote them.

Configuration files are put in place at once, and not as NAME.dpkg-new: there is
no older one that a person could have changed. The database has their hashes.
"""
from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Iterable, Iterator, Optional

from ...errors import BootstrapFailed
from ...store import tar
from .. import tarwriter
from ..tarwriter import header
from .deb import ControlFile, Deb
from .packages import Package, parse_stanza

DATABASE = b"var/lib/dpkg/"

_FOLLOW_LIMIT = 20
_TYPES = {tar.FILE: tarwriter.FILE, tar.LINK: tarwriter.LINK, tar.SYMLINK: tarwriter.SYMLINK,
          tar.CHARACTER: tarwriter.CHARACTER, tar.BLOCK_DEVICE: tarwriter.BLOCK_DEVICE,
          tar.DIRECTORY: tarwriter.DIRECTORY, tar.FIFO: tarwriter.FIFO}


@dataclass
class Unpacked:
    """One package as dpkg's database is to have it."""

    package: Package
    control: dict[str, ControlFile]
    paths: dict[bytes, None] = field(default_factory=dict)   # as written; in order
    conffiles: dict[bytes, str] = field(default_factory=dict)  # path -> MD5

    @property
    def file_stem(self) -> str:
        """What the package's files in dpkg's info directory are called."""
        package = self.package
        fields = parse_stanza(self.control["control"].content.decode("utf-8", "replace"))
        if fields.get("Multi-Arch") == "same":
            return f"{package.name}:{package.architecture}"
        return package.name


class LayerWriter:
    """The tar of the layer, produced piece by piece, each method giving some.

    What is our own belongs to no package and has the time `now`.
    """

    def __init__(self, what: str, now: int) -> None:
        self._what = what
        self._now = now
        self._kinds: dict[bytes, str] = {b"": tar.DIRECTORY}
        self._targets: dict[bytes, bytes] = {}
        self._owners: dict[bytes, tuple[Unpacked, bytes]] = {}
        self._resolved: dict[bytes, bytes] = {b"": b""}
        self._in_second = False
        self.first: list[Unpacked] = []
        self.second: list[Unpacked] = []
        #: Paths that only packages of the second part have.
        self.second_paths: set[bytes] = set()

    # -- what is asked for ------------------------------------------------------------

    def directory(self, path: bytes, mode: int = 0o755) -> Iterator[bytes]:
        """A directory of our own, if there is none yet."""
        path = self._resolve(path)
        if path not in self._kinds:
            self._note(path, tar.DIRECTORY)
            yield header(path + b"/", tarwriter.DIRECTORY, mode, mtime=self._now)

    def link(self, path: bytes, target: bytes) -> Iterator[bytes]:
        """A symbolic link of our own."""
        self._note(path, tar.SYMLINK, target)
        yield header(path, tarwriter.SYMLINK, 0o777, mtime=self._now, target=target)

    def file(self, path: bytes, content: bytes, mode: int = 0o644,
             mtime: Optional[int] = None) -> Iterator[bytes]:
        """A file of our own."""
        path = self.place(path)
        self._note(path, tar.FILE)
        yield header(path, tarwriter.FILE, mode, size=len(content),
                     mtime=self._now if mtime is None else mtime)
        yield content
        yield tarwriter.padding(len(content))

    def begin_second(self) -> None:
        """What follows belongs to packages that are to be hidden until the first ones
        are configured: their preinst scripts must not find their files."""
        self._in_second = True

    def has(self, path: bytes) -> bool:
        """Whether something is at `path`."""
        return self.place(path) in self._kinds

    def package(self, package: Package, deb: Deb) -> Iterator[bytes]:
        """All that the package installs, but its scripts' doings."""
        unpacked = Unpacked(package, deb.control)
        (self.second if self._in_second else self.first).append(unpacked)
        conffiles = _conffiles(deb.control)
        for member, reader in deb.members():
            name = _plain(member.name)
            unpacked.paths[b"/" + name if name else b"/."] = None
            if member.kind == tar.DIRECTORY:
                yield from self._take_directory(unpacked, name, member)
                continue
            path = self.place(name)
            if not self._may_take(unpacked, path):
                unpacked.paths.pop(b"/" + name, None)
                continue
            self._owners[path] = (unpacked, b"/" + name)
            target = member.target
            self._note(path, member.kind, target if member.kind == tar.SYMLINK else None)
            if member.kind == tar.LINK:
                target = self.place(_plain(target))
            yield _member_header(path, member, target)
            hasher = hashlib.md5() if b"/" + name in conffiles else None
            yield from _content(member, reader, hasher)
            if hasher is not None:
                unpacked.conffiles[b"/" + name] = hasher.hexdigest()

    def database(self) -> Iterator[bytes]:
        """dpkg's database: the first packages unpacked and none configured. Of the second
        ones there are the control files only (see `second_database`)."""
        info = DATABASE + b"info/"
        self._in_second = False
        for path in (DATABASE, info, DATABASE + b"updates/", DATABASE + b"triggers/"):
            yield from self.directory(path.rstrip(b"/"))
        yield from self.file(info + b"format", b"1\n")
        yield from self.file(DATABASE + b"available", b"")
        yield from self.file(DATABASE + b"status", _statuses(self.first))
        for name, content in _triggers(self.first).items():
            yield from self.file(DATABASE + b"triggers/" + name, content,
                                 0o600 if name == b"Lock" else 0o644)
        for part in (self.first, self.second):
            self._in_second = part is self.second
            for unpacked in part:
                yield from self._control_files(info + unpacked.file_stem.encode() + b".", unpacked)

    def _control_files(self, stem: bytes, unpacked: Unpacked) -> Iterator[bytes]:
        for name, control in unpacked.control.items():
            if name != "control":
                yield from self.file(stem + name.encode(), control.content, control.mode,
                                     control.mtime)
        yield from self.file(stem + b"list", b"".join(path + b"\n" for path in unpacked.paths))

    def second_database(self) -> tuple[bytes, dict[bytes, bytes]]:
        """What the database needs for the second packages to be unpacked, too: the end
        of the status file, and the files of the trigger directory that change."""
        before = _triggers(self.first)
        return _statuses(self.second), {
            name: content for name, content in _triggers([*self.first, *self.second]).items()
            if before.get(name) != content}

    @staticmethod
    def end() -> Iterator[bytes]:
        """The tar's end mark."""
        yield tarwriter.END

    # -- paths ------------------------------------------------------------------------

    def _note(self, path: bytes, kind: str, target: Optional[bytes] = None) -> None:
        """Remember that there is something at `path`; `target` for a symbolic link."""
        if self._in_second and path not in self._kinds:
            self.second_paths.add(path)
        self._kinds[path] = kind
        if target is not None:
            self._targets[path] = target
            self._resolved.clear()
        elif self._targets.pop(path, None) is not None:
            self._resolved.clear()

    def _take_directory(self, unpacked: Unpacked, name: bytes,
                        member: tar.Member) -> Iterator[bytes]:
        path = self._resolve(name)
        kind = self._kinds.get(path)
        if path == b"" and self.first == [unpacked]:
            yield _member_header(b"./", member)
        if kind == tar.DIRECTORY:
            return
        if kind is not None:
            raise self._clash(path, unpacked, self._owners.get(path))
        self._note(path, tar.DIRECTORY)
        yield _member_header(path + b"/", member)

    def place(self, path: bytes) -> bytes:
        """`path` with the links in its directory followed."""
        parent, _, name = path.rpartition(b"/")
        parent = self._resolve(parent)
        return parent + b"/" + name if parent else name

    def _resolve(self, path: bytes) -> bytes:
        """`path` with all links followed."""
        known = self._resolved.get(path)
        if known is not None:
            return known
        todo = path.split(b"/")[::-1]
        done: list[bytes] = []
        follows = 0
        while todo:
            part = todo.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                del done[-1:]
                continue
            done.append(part)
            target = self._targets.get(b"/".join(done))
            if target is not None:
                follows += 1
                if follows > _FOLLOW_LIMIT:
                    raise BootstrapFailed(f"cannot {self._what}: symbolic links lead in circles "
                                          f'at "/{path.decode("utf-8", "replace")}"')
                done.pop()
                if target.startswith(b"/"):
                    done.clear()
                todo += target.split(b"/")[::-1]
        self._resolved[path] = b"/".join(done)
        return self._resolved[path]

    def _may_take(self, unpacked: Unpacked, path: bytes) -> bool:
        """Whether the package may have `path`; takes it from whom it replaces."""
        kind = self._kinds.get(path)
        owner = self._owners.get(path)
        if kind is None or (owner is None and kind != tar.DIRECTORY):
            return True
        if kind == tar.DIRECTORY:
            return False  # as dpkg: a link never takes the place of a directory
        assert owner is not None
        other, listed = owner
        if other is unpacked or _replaces(unpacked.package, other.package):
            other.paths.pop(listed, None)
            if other is unpacked:
                other.paths[listed] = None
            return True
        if _replaces(other.package, unpacked.package):
            return False
        raise self._clash(path, unpacked, owner)

    def _clash(self, path: bytes, one: Unpacked,
               owner: Optional[tuple[Unpacked, bytes]]) -> BootstrapFailed:
        other = owner[0].package.name if owner else "the base system"
        return BootstrapFailed(f'cannot {self._what}: both {other} and {one.package.name} have '
                               f'"/{path.decode("utf-8", "replace")}"',
                               hint="leave out one of them")


def _plain(name: bytes) -> bytes:
    """A member's name, relative to the root: "./usr/bin/" is "usr/bin"."""
    return b"/".join(part for part in name.split(b"/") if part not in (b"", b"."))


def _replaces(one: Package, other: Package) -> bool:
    return any(other.is_a(relation) for relation in one.replaces)


def _conffiles(control: dict[str, ControlFile]) -> set[bytes]:
    """The configuration files that the package brings (deb-conffiles(5))."""
    return {line.strip() for line in _lines(control, "conffiles") if line.startswith(b"/")}


def _lines(control: dict[str, ControlFile], name: str) -> list[bytes]:
    return control[name].content.split(b"\n") if name in control else []


def _member_header(path: bytes, member: tar.Member, target: bytes = b"") -> bytes:
    return header(path, _TYPES[member.kind], member.mode, uid=member.uid, gid=member.gid,
                  mtime=member.mtime_ns // 10 ** 9, size=member.size, target=target,
                  major=member.major, minor=member.minor, xattrs=member.xattrs)


def _content(member: tar.Member, reader: tar.TarReader,
             hasher: "Optional[hashlib._Hash]") -> Iterator[bytes]:
    """The bytes of a file, holes filled, and the padding behind them."""
    at = 0
    for offset, piece in reader.content(member):
        if offset > at:
            yield bytes(offset - at)
        if hasher is not None:
            hasher.update(piece)
        yield piece
        at = offset + len(piece)
    if member.size > at:
        yield bytes(member.size - at)
    yield tarwriter.padding(member.size)


def _statuses(packages: Iterable[Unpacked]) -> bytes:
    return b"".join(_status(unpacked) for unpacked in packages)


def _status(unpacked: Unpacked) -> bytes:
    """The package's stanza in dpkg's status file."""
    text = unpacked.control["control"].content.decode("utf-8", "surrogateescape").strip("\n")
    lines = text.split("\n")
    first = next((n for n, line in enumerate(lines) if line.startswith("Package:")), 0)
    lines.insert(first + 1, "Status: install ok unpacked")
    if unpacked.conffiles:
        lines.append("Conffiles:")
        lines += [f" {path.decode('utf-8', 'surrogateescape')} {md5}"
                  for path, md5 in unpacked.conffiles.items()]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "surrogateescape")


def _triggers(packages: Iterable[Unpacked]) -> dict[bytes, bytes]:
    """The files of dpkg's trigger directory, from what packages are interested in
    (deb-triggers(5)): those of paths in one, each other in one of its own."""
    files: list[bytes] = []
    named: dict[bytes, list[bytes]] = {}
    for unpacked in packages:
        for line in _lines(unpacked.control, "triggers"):
            words = line.partition(b"#")[0].split()
            if len(words) != 2 or not words[0].startswith(b"interest"):
                continue
            who = unpacked.file_stem.encode()
            if words[0] == b"interest-noawait":
                who += b"/noawait"
            if words[1].startswith(b"/"):
                files.append(words[1] + b" " + who + b"\n")
            else:
                named.setdefault(words[1], []).append(who + b"\n")
    found = {name: b"".join(whos) for name, whos in named.items()}
    if files:
        found[b"File"] = b"".join(files)
    found[b"Unincorp"] = found[b"Lock"] = b""
    return found
