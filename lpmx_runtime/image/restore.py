"""What a layer changes, made in the files of a container.

The layer is in the store: its names were checked when it was unpacked, each of them is
there once, and its entry list says all that its tree cannot show. In the container
everything goes through the core, so that owners, devices, deletions and links are what
programs of the container would have made.
"""
from __future__ import annotations

import errno
import os
import stat
from typing import Iterator

from .._native import Stat, View
from ..errors import ArchiveDamaged
from ..store import Store
from ..store.entries import (
    IMPLIED,
    LOWER_LINK,
    OPAQUE,
    WHITEOUT,
    Attributes,
    Entry,
    read_attributes,
    read_entries,
)
from .viewtar import data_extents, look

_PIECE = 1 << 20


def restore(view: View, store: Store, diff_id: str, *, failing: str) -> None:
    """Do to the files of `view`, in which nothing may be bound, what the layer `diff_id` of
    the store says."""
    listed = store.layers.entries(diff_id)
    tree = os.open(store.layers.tree(diff_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    writer = _Writer(view, tree, read_attributes(listed))
    at = b""
    try:
        # Whiteouts hide what is below the layer, wherever in it they are written.
        for entry in read_entries(listed):
            at = entry.path
            writer.hide(entry)
        for entry in read_entries(listed):
            at = entry.path
            writer.make(entry)
        writer.finish()
    except OSError as error:
        shown = at.decode("utf-8", "backslashreplace")[:200]
        raise ArchiveDamaged(f'{failing}: "/{shown}" cannot be made, '
                             f"{os.strerror(error.errno or 0).lower()}",
                             hint="check that there is space for the store; if there is, make "
                                  "the bundle again") from error
    finally:
        os.close(tree)


class _Writer:
    def __init__(self, view: View, tree: int, attributes: Attributes) -> None:
        self._view = view
        self._tree = tree
        self._attributes = attributes
        self._links: dict[int, bytes] = {}
        self._directories: list[Entry] = []

    def hide(self, entry: Entry) -> None:
        """What the layer hides of those below it, if this entry says so."""
        if entry.kind == WHITEOUT:
            self._remove(entry.path)
        elif entry.kind == OPAQUE and entry.path:
            before = look(self._view, entry.path)
            self._remove(entry.path)
            if before is not None and stat.S_ISDIR(before.st_mode):
                # One that is made where another was shows nothing of that.
                self._view.mkdir(b"/" + entry.path, 0o755)
                self._view.chown(b"/" + entry.path, before.st_uid, before.st_gid)
                self._view.chmod(b"/" + entry.path, stat.S_IMODE(before.st_mode))
        elif entry.kind == OPAQUE:
            for path in list(self._names(b"")):
                self._remove(path)

    def make(self, entry: Entry) -> None:
        """The object of this entry, if it has one."""
        if entry.kind in (WHITEOUT, OPAQUE):
            return
        path = b"/" + entry.path
        if entry.kind == LOWER_LINK:
            self._remove(entry.path)
            self._view.link(b"/" + entry.target, path)
        elif entry.kind == IMPLIED:
            if not self._is_directory(look(self._view, entry.path)):
                self._remove(entry.path)
                self._view.mkdir(path, 0o755)
        elif stat.S_ISDIR(entry.mode):
            if not self._is_directory(look(self._view, entry.path)):
                self._remove(entry.path)
                self._view.mkdir(path, 0o700)
            self._directories.append(entry)
            self._describe(entry)
        else:
            self._remove(entry.path)
            first = self._links.setdefault(entry.link_group, entry.path) if entry.link_group \
                else entry.path
            if first != entry.path:
                self._view.link(b"/" + first, path)
            else:
                self._make_file(entry, path)

    def finish(self) -> None:
        """The times of directories, which everything made in them changed."""
        for entry in reversed(self._directories):
            self._view.utime(b"/" + entry.path, entry.mtime_ns, entry.mtime_ns)

    def _make_file(self, entry: Entry, path: bytes) -> None:
        if stat.S_ISLNK(entry.mode):
            self._view.symlink(entry.target, path)
            self._own(entry)
        else:
            if stat.S_ISREG(entry.mode):
                self._copy(entry, path)
            else:
                self._view.mknod(path, stat.S_IFMT(entry.mode) | 0o600,
                                 os.makedev(entry.rdev_major, entry.rdev_minor))
            self._describe(entry)
        self._view.utime(path, entry.mtime_ns, entry.mtime_ns, follow_symlinks=False)

    def _copy(self, entry: Entry, path: bytes) -> None:
        source = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC,
                         dir_fd=self._tree)
        try:
            target = self._view.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW,
                                     0o600)
            try:
                size = os.fstat(source).st_size
                extents = data_extents(source, size)
                for at, length in [(0, size)] if extents is None else extents:
                    _copy_part(source, target, at, length)
                os.ftruncate(target, size)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _describe(self, entry: Entry) -> None:
        path = b"/" + entry.path
        self._own(entry)
        self._view.chmod(path, stat.S_IMODE(entry.mode))
        for name, value in self._attributes.get(entry.path, {}).items():
            try:
                self._view.setxattr(path, os.fsdecode(name), value)
            except OSError:
                pass   # not every file system has them

    def _own(self, entry: Entry) -> None:
        try:
            self._view.chown(b"/" + entry.path, entry.uid, entry.gid, follow_symlinks=False)
        except PermissionError:
            pass   # a container in which one is oneself

    def _remove(self, path: bytes) -> None:
        """Have nothing at `path`, whatever is below it."""
        found = look(self._view, path)
        if found is None:
            return
        if not self._is_directory(found):
            self._view.unlink(b"/" + path)
            return
        todo, directories = [path], []
        while todo:
            directory = todo.pop()
            directories.append(directory)
            for name in self._names(directory):
                if self._is_directory(look(self._view, name)):
                    todo.append(name)
                else:
                    self._view.unlink(b"/" + name)
        for directory in reversed(directories):
            self._view.rmdir(b"/" + directory)

    def _names(self, path: bytes) -> Iterator[bytes]:
        prefix = path + b"/" if path else b""
        for name in self._view.listdir(b"/" + path):
            yield prefix + os.fsencode(name)

    @staticmethod
    def _is_directory(status: "Stat | None") -> bool:
        return status is not None and stat.S_ISDIR(status.st_mode)


def _copy_part(source: int, target: int, at: int, length: int) -> None:
    while length:
        piece = os.pread(source, min(length, _PIECE), at)
        if not piece:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        while piece:
            written = os.pwrite(target, piece, at)
            piece, at, length = piece[written:], at + written, length - written
