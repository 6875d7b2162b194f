"""Turn the tar of a layer into a tree that we own, whatever the tar says.

How the tree shows what an ordinary user cannot store is the on-disk
convention of native/include/lpmx_abi.h; what a layer means is the OCI image
spec, "Image Layer Filesystem Changeset".

What is in the tree so far is known in memory, as nodes. Member names are
resolved there, never by the kernel:

- A name is taken relative to the layer's root, "." and ".." removed as in a
  URL; one that climbs above the root is refused.
- Where a symbolic link of this layer stands for a directory in the middle of a
  name, it is followed within the layer, as umoci and containerd do within the
  root file system. One whose target leads outside ends at the root.
- The path that comes out has only real directories, made by us. It is opened
  one component at a time with O_NOFOLLOW, from a descriptor of the root.

Whiteouts and opaque markers concern the layers below only, so their place
among the members does not matter. They are listed, not stored. Members of old
storage drivers (".wh..wh." and then anything but "opq") are passed over.
"""
from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import NamedTuple, Optional

from ..errors import LayerDamaged, UnsafeMember
from . import tar
from .entries import IMPLIED, LOWER_LINK, OBJECT, OPAQUE, WHITEOUT, Attributes, Entry
from .files import remove_name
from .recipe import SPARE, TREE, Writer

MEMBER_LIMIT = 2_000_000
PATH_LIMIT, NAME_LIMIT, FOLLOW_LIMIT = 4095 - 64, 255, 40

_WHITEOUT, _OPAQUE, _DRIVER = b".wh.", b".wh..wh..opq", b".wh..wh."

_TYPES = {tar.FILE: stat.S_IFREG, tar.SYMLINK: stat.S_IFLNK, tar.CHARACTER: stat.S_IFCHR,
          tar.BLOCK_DEVICE: stat.S_IFBLK, tar.DIRECTORY: stat.S_IFDIR, tar.FIFO: stat.S_IFIFO}

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# Attributes by which an upper directory or a mount says things to us and to
# overlayfs; a layer must not be able to say them in our name.
_RESERVED = (b"user.overlay.", b"user.containers.", b"user.lpmx.")


class Unpacked(NamedTuple):
    """What a layer has and hides, the attributes of its members, and the names of the
    files that the recipe counts."""

    entries: list[Entry]
    attributes: Attributes
    names: list[bytes]


def unpack(source: tar.Source, tree: int, label: str, *, shared: bool = False,
           recipe: Optional[Recipe] = None) -> Unpacked:
    """Unpack `source` into the empty directory open as `tree`; list what it has.

    `label` names the layer in messages. If `shared`, the group of the files may
    read, and pass, whatever their owner may. `recipe` is told where content is, and
    gets content that a later member replaces. Raises `UnsafeMember` for a member that
    has no place inside the layer and `LayerDamaged` for a tar that makes no
    sense; the directory then holds what came before. Reads up to the tar's end
    mark: what follows is the caller's to drain.
    """
    unpacker = _Unpacker(source, tree, label, shared, recipe)
    try:
        unpacker.run()
    except tar.TarError as error:
        raise LayerDamaged(f"cannot unpack {label}: {error}",
                           hint="fetch the image again") from error
    finally:
        unpacker.close()
    entries, attributes = unpacker.entries()
    return Unpacked(entries, attributes, unpacker.names())


class Recipe(NamedTuple):
    """Who writes down how the tar is made again, and the directory, not made yet, for
    content without a name."""

    writer: Writer
    spare: Path


class _Node:
    """An object of the layer; the names that hard links give it share it. `content` is
    its number in the recipe, -1 without any."""

    __slots__ = ("mode", "uid", "gid", "size", "mtime_ns", "target", "major", "minor",
                 "xattrs", "kind", "content")

    def __init__(self, mode: int, kind: int = OBJECT) -> None:
        self.mode = mode
        self.kind = kind
        self.content = -1
        self.uid = self.gid = self.size = self.mtime_ns = self.major = self.minor = 0
        self.target = b""
        self.xattrs: dict[bytes, bytes] = {}

    def describe(self, member: tar.Member) -> None:
        self.kind = OBJECT
        self.mode = member.mode | _TYPES[member.kind]
        self.uid, self.gid = member.uid, member.gid
        self.size, self.mtime_ns = member.size, member.mtime_ns
        self.major, self.minor = member.major, member.minor
        self.xattrs = member.xattrs

    def mode_on_disk(self, shared: bool) -> int:
        """See the on-disk conventions; besides, nobody but the owner may write."""
        group = 0o070 if shared else 0
        if stat.S_ISDIR(self.mode):
            real = (self.mode | 0o500) & 0o555
            return real | real >> 3 & group
        if not stat.S_ISREG(self.mode):
            return stat.S_ISVTX | 0o600 | 0o040 & group
        real = (self.mode | 0o600) & 0o755
        return stat.S_ISVTX | real | real >> 3 & group & 0o050


class _Directory(_Node):
    """A directory, which has one name only. Implied until a member describes it."""

    __slots__ = ("children", "path")

    def __init__(self, path: bytes) -> None:
        super().__init__(stat.S_IFDIR | 0o755, IMPLIED)
        self.children: dict[bytes, _Node] = {}
        self.path = path


class _Unpacker:
    """The state of one unpacking. Holds a descriptor of one directory at a time."""

    def __init__(self, source: tar.Source, tree: int, label: str, shared: bool,
                 recipe: Optional[Recipe]) -> None:
        self._source = source
        self._recipe = recipe
        self._names: list[bytes] = []
        self._tree = tree
        self._label = label
        self._shared = shared
        self._root = _Directory(b"")
        self._whiteouts: set[bytes] = set()
        self._opaque: set[bytes] = set()
        self._count = 0
        self._resolved: dict[bytes, _Directory] = {}   # parents of members, by name as written
        self._open_path, self._open_fd = b"", tree

    def close(self) -> None:
        if self._open_fd != self._tree:
            os.close(self._open_fd)
        self._open_path, self._open_fd = b"", self._tree

    def run(self) -> None:
        reader = tar.TarReader(self._source)
        for member in reader:
            self._count += 1
            if self._count > MEMBER_LIMIT:
                raise LayerDamaged(f"cannot unpack {self._label}: it has more than "
                                   f"{MEMBER_LIMIT} members",
                                   hint="build the image again with fewer files")
            self._take(member, reader)
        self._finish_directories()

    # -- members ------------------------------------------------------------------

    def _take(self, member: tar.Member, reader: tar.TarReader) -> None:
        parts = self._components(member.name, member.name)
        if not parts:
            self._take_root(member)
            return
        name = parts.pop()
        if name.startswith(_WHITEOUT) or any(part.startswith(_DRIVER) for part in parts):
            self._hide(parts, name, member)
            return
        parent = self._parent(parts, member)
        if len(parent.path) + len(name) > PATH_LIMIT:
            raise self._unsafe(member.name, "its path is too long")
        if member.kind is tar.DIRECTORY:
            self._take_directory(parent, name, member)
        elif member.kind is tar.LINK:
            self._take_link(parent, name, member)
        else:
            self._discard(parent, name)
            node = _Node(0)
            node.describe(member)
            if member.kind is tar.SYMLINK:
                self._make_symlink(parent, name, node, member)
            else:
                self._make_file(parent, name, node, member, reader)
            parent.children[name] = node

    def _take_root(self, member: tar.Member) -> None:
        if member.kind is not tar.DIRECTORY:
            raise self._unsafe(member.name, "it would take the place of the layer's root")
        self._root.describe(member)

    def _hide(self, parts: list[bytes], name: bytes, member: tar.Member) -> None:
        """Note a whiteout or an opaque marker (OCI layer spec, "Whiteouts")."""
        if name == _OPAQUE:
            directory = self._marked(parts, member)
            if directory is not None:
                self._opaque.add(directory)
            return
        if name.startswith(_DRIVER) or any(part.startswith(_DRIVER) for part in parts):
            return
        hidden = name[len(_WHITEOUT):]
        if hidden in (b"", b".", b".."):
            raise self._unsafe(member.name, "it hides no name that can exist")
        directory = self._marked(parts, member)
        if directory is not None:
            self._whiteouts.add(_join(directory, hidden))

    def _marked(self, parts: list[bytes], member: tar.Member) -> Optional[bytes]:
        """The path of the directory that a marker is in; None if this layer has no
        directory there, which by itself hides all that the layers below have."""
        try:
            return self._follow(parts, member)[1]
        except (LayerDamaged, UnsafeMember):
            return None

    def _take_directory(self, parent: _Directory, name: bytes, member: tar.Member) -> None:
        node = parent.children.get(name)
        if not isinstance(node, _Directory):
            self._discard(parent, name)
            node = self._make_directory(parent, name)
        node.describe(member)

    def _make_directory(self, parent: _Directory, name: bytes) -> _Directory:
        node = _Directory(_join(parent.path, name))
        os.mkdir(name, 0o700, dir_fd=self._open(parent.path))
        parent.children[name] = node
        self._count += 1
        return node

    def _make_symlink(self, parent: _Directory, name: bytes, node: _Node,
                      member: tar.Member) -> None:
        if not member.target or b"\0" in member.target or len(member.target) > 4095:
            raise self._unsafe(member.name, "it is a symbolic link without a usable target")
        node.target = member.target
        node.size = len(member.target)
        node.mode = stat.S_IFLNK | 0o777
        fd = self._open(parent.path)
        os.symlink(member.target, name, dir_fd=fd)
        os.utime(name, ns=(node.mtime_ns, node.mtime_ns), dir_fd=fd, follow_symlinks=False)

    def _make_file(self, parent: _Directory, name: bytes, node: _Node, member: tar.Member,
                   reader: tar.TarReader) -> None:
        """Make a regular file, or the empty one that stands for a device or a FIFO."""
        fd = os.open(name, _CREATE_FLAGS, 0o600, dir_fd=self._open(parent.path))
        try:
            if member.stored:
                self._number(node)
                for offset, piece in reader.content(member):
                    if node.content >= 0:
                        self._source.mark(node.content, offset, len(piece))
                    _write(fd, piece, offset)
            if member.extents is not None:
                os.ftruncate(fd, member.size)
            if member.xattrs:
                _store_attributes(fd, member.xattrs)
            os.fchmod(fd, node.mode_on_disk(self._shared))
            os.utime(fd, ns=(node.mtime_ns, node.mtime_ns))
        finally:
            os.close(fd)

    def _number(self, node: _Node) -> None:
        """Give a file whose content comes its number in the recipe."""
        if self._recipe is not None:
            node.content = self._recipe.writer.add_file()
            self._names.append(b"")

    def _take_link(self, parent: _Directory, name: bytes, member: tar.Member) -> None:
        """Make a hard link, or note one whose other name only a lower layer has."""
        parts = self._components(member.target, member.name)
        if not parts:
            raise self._unsafe(member.name, "it is a hard link to the layer's root")
        last = parts.pop()
        directory, path = self._follow(parts, member)
        target = directory.children.get(last) if directory else None
        if directory is None or target is None:
            self._discard(parent, name)
            node = _Node(stat.S_IFREG, LOWER_LINK)
            node.target = _join(path, last)
            parent.children[name] = node
            return
        if isinstance(target, _Directory):
            raise self._unsafe(member.name, "it is a hard link to a directory")
        old = parent.children.get(name)
        if old is target:
            return
        if isinstance(old, _Directory) and (directory.path + b"/").startswith(old.path + b"/"):
            raise self._unsafe(member.name, "it is a hard link to a file in the directory "
                                            "that it would replace")
        self._discard(parent, name)
        if target.kind != LOWER_LINK:
            self._link(directory.path, last, parent.path, name)
        parent.children[name] = target

    def _link(self, from_path: bytes, from_name: bytes, to_path: bytes, to_name: bytes) -> None:
        source = os.dup(self._open(from_path))
        try:
            target = self._open(to_path)
            try:
                os.link(from_name, to_name, src_dir_fd=source, dst_dir_fd=target,
                        follow_symlinks=False)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EXDEV):
                    raise
                # A file system without hard links: a copy has the same content,
                # and the link group tells what they are.
                _copy(source, from_name, target, to_name)
        finally:
            os.close(source)

    def _discard(self, parent: _Directory, name: bytes) -> None:
        """Remove what an earlier member put here; the last one of a name counts."""
        old = parent.children.pop(name, None)
        if old is None or old.kind == LOWER_LINK:
            return
        self._spare(parent, name, old)
        if isinstance(old, _Directory):
            self.close()  # the open directory may be inside
        if isinstance(old, _Directory) or stat.S_ISLNK(old.mode):
            self._resolved.clear()
        remove_name(self._open(parent.path), name)

    def _spare(self, parent: _Directory, name: bytes, old: _Node) -> None:
        """Move content that the recipe needs out of what is being removed."""
        todo = [(parent, name, old)]
        while todo and self._recipe is not None:
            parent, name, old = todo.pop()
            if isinstance(old, _Directory):
                todo += [(old, below, node) for below, node in old.children.items()]
            elif old.content >= 0 and not self._names[old.content]:
                self._recipe.spare.mkdir(exist_ok=True)
                os.rename(name, os.fsencode(self._recipe.spare / str(old.content)),
                          src_dir_fd=self._open(parent.path))
                self._names[old.content] = SPARE + b"%d" % old.content

    # -- names ----------------------------------------------------------------------

    def _components(self, path: bytes, name: bytes) -> list[bytes]:
        """`path`, relative to the layer's root, as a list of plain names."""
        if b"\0" in path:
            raise self._unsafe(name, "its name has a NUL in it")
        parts: list[bytes] = []
        for part in path.split(b"/"):
            if part == b"..":
                if not parts:
                    raise self._unsafe(name, "it would land outside the layer")
                parts.pop()
            elif part and part != b".":
                if len(part) > NAME_LIMIT:
                    raise self._unsafe(name, "its name is too long")
                parts.append(part)
        return parts

    def _parent(self, parts: list[bytes], member: tar.Member) -> _Directory:
        """The directory `parts`, made if it is missing."""
        key = b"/".join(parts)
        node = self._resolved.get(key)
        if node is None:
            node = self._resolved[key] = self._walk(parts, member, make=True)[0]
        return node

    def _follow(self, parts: list[bytes],
                member: tar.Member) -> tuple[Optional[_Directory], bytes]:
        """The directory `parts`, None if this layer lacks it, and its path."""
        last, missing = self._walk(parts, member, make=False)
        path = last.path
        for part in missing:
            path = _join(path, part)
        return (None if missing else last), path

    def _walk(self, parts: list[bytes], member: tar.Member,
              make: bool) -> tuple[_Directory, list[bytes]]:
        """Resolve `parts`, links of this layer followed: the last directory that the
        layer has, and the names that it lacks below that.

        What is missing is made, or taken to be what its name says: a lower layer may
        have it, which is the index's business.
        """
        stack = [self._root]
        missing: list[bytes] = []   # below the last of `stack`
        todo = parts[::-1]
        follows = 0
        while todo:
            part = todo.pop()
            if part == b"..":
                if missing:
                    missing.pop()
                elif len(stack) > 1:
                    stack.pop()
                continue
            if not part or part == b".":
                continue
            child = None if missing else stack[-1].children.get(part)
            if child is None and make:
                if len(part) > NAME_LIMIT or len(stack[-1].path) + len(part) > PATH_LIMIT:
                    raise self._unsafe(member.name, "its path is too long")
                child = self._make_directory(stack[-1], part)
            if child is None:
                missing.append(part)
            elif isinstance(child, _Directory):
                stack.append(child)
            elif stat.S_ISLNK(child.mode) and child.kind != LOWER_LINK:
                follows += 1
                if follows > FOLLOW_LIMIT:
                    raise self._unsafe(member.name, "symbolic links lead in circles there")
                if child.target.startswith(b"/"):
                    del stack[1:]
                todo += child.target.split(b"/")[::-1]
            else:
                raise LayerDamaged(f"cannot unpack {self._label}: {_show(member.name)} lies in "
                                   f"{_show(_join(stack[-1].path, part))}, which is no directory",
                                   hint="the image was made by a tool that is broken; build it "
                                        "again")
        return stack[-1], missing

    def _open(self, path: bytes) -> int:
        """A descriptor of the directory `path`, valid until the next call."""
        if path == self._open_path:
            return self._open_fd
        above, _, name = path.rpartition(b"/")
        if above == self._open_path and name:
            fd = os.open(name, _DIRECTORY_FLAGS, dir_fd=self._open_fd)
            self.close()
        else:
            self.close()
            fd = os.dup(self._tree)
            for part in path.split(b"/") if path else ():
                try:
                    below = os.open(part, _DIRECTORY_FLAGS, dir_fd=fd)
                finally:
                    os.close(fd)
                fd = below
        self._open_path, self._open_fd = path, fd
        return fd

    # -- the end --------------------------------------------------------------------

    def _directories(self) -> list[_Directory]:
        """All directories, each before those in it."""
        found = [self._root]
        for node in found:
            found += [child for child in node.children.values() if isinstance(child, _Directory)]
        return found

    def _finish_directories(self) -> None:
        """Give directories their times and modes, now that nothing is added to them."""
        for node in reversed(self._directories()):
            fd = self._open(node.path)
            if node.xattrs:
                _store_attributes(fd, node.xattrs)
            os.fchmod(fd, node.mode_on_disk(self._shared))
            os.utime(fd, ns=(node.mtime_ns, node.mtime_ns))

    def entries(self) -> tuple[list[Entry], Attributes]:
        """What the layer has and hides, and the attributes of its members."""
        found = [_entry(b"", self._root, 0)]
        attributes: Attributes = {b"": self._root.xattrs} if self._root.xattrs else {}
        named: list[tuple[bytes, _Node]] = [
            (_join(directory.path, name), child)
            for directory in self._directories() for name, child in directory.children.items()]
        groups = self._link_groups([node for _, node in named])
        for path, node in named:
            found.append(_entry(path, node, groups.get(id(node), 0)))
            if node.xattrs:
                attributes[path] = node.xattrs
        found += [Entry(path, b"", WHITEOUT) for path in self._whiteouts]
        found += [Entry(path, b"", OPAQUE) for path in self._opaque]
        return found, attributes

    def names(self) -> list[bytes]:
        """Where in the layer's directory the content is of each file of the recipe."""
        for directory in self._directories():
            for name, node in directory.children.items():
                if node.content >= 0 and not self._names[node.content]:
                    self._names[node.content] = TREE + _join(directory.path, name)
        return self._names

    @staticmethod
    def _link_groups(nodes: list[_Node]) -> dict[int, int]:
        seen: set[int] = set()
        groups: dict[int, int] = {}
        for node in nodes:
            key = id(node)
            if key in seen:
                groups.setdefault(key, len(groups) + 1)
            seen.add(key)
        return groups

    def _unsafe(self, name: bytes, cause: str) -> UnsafeMember:
        return UnsafeMember(f"cannot unpack member {_show(name)} of {self._label}: {cause}",
                            hint="do not use this image: its layers were made to do harm, "
                                 "or by a tool that is broken")


def _entry(path: bytes, node: _Node, group: int) -> Entry:
    size = 0 if isinstance(node, _Directory) else node.size
    return Entry(path, node.target, node.kind, node.mode, node.uid, node.gid, size,
                 node.mtime_ns, node.major, node.minor, group)


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name


def _show(name: bytes) -> str:
    return '"' + name.decode("utf-8", "backslashreplace")[:200] + '"'


def _write(fd: int, piece: bytes, offset: int) -> None:
    written = os.pwrite(fd, piece, offset)
    while written < len(piece):
        piece, offset = piece[written:], offset + written
        written = os.pwrite(fd, piece, offset)


def _store_attributes(fd: int, xattrs: dict[bytes, bytes]) -> None:
    """Keep attributes with the file, where the file system takes them.

    Those that only root may have get a name that the user's may have (lpmx_abi.h,
    LPMX_XATTR_ROOT). All of them are in the entry list anyhow.
    """
    for name, value in xattrs.items():
        kept = b"user.lpmx.root." + name if name.startswith((b"security.", b"trusted.")) else name
        if (kept is not name or (name.startswith(b"user.") and not name.startswith(_RESERVED))) \
                and b"\0" not in name:
            try:
                os.setxattr(fd, kept, value)
            except OSError:
                return


def _copy(from_directory: int, from_name: bytes, to_directory: int, to_name: bytes) -> None:
    before = os.stat(from_name, dir_fd=from_directory, follow_symlinks=False)
    if stat.S_ISLNK(before.st_mode):
        os.symlink(os.readlink(from_name, dir_fd=from_directory), to_name, dir_fd=to_directory)
        return
    source = os.open(from_name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=from_directory)
    try:
        target = os.open(to_name, _CREATE_FLAGS, 0o600, dir_fd=to_directory)
        try:
            while os.sendfile(target, source, None, tar.CHUNK):
                pass
            os.fchmod(target, stat.S_IMODE(before.st_mode))
            os.utime(target, ns=(before.st_mtime_ns, before.st_mtime_ns))
        finally:
            os.close(target)
    finally:
        os.close(source)
