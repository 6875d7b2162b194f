"""Files into containers and out of them, by the rules of `docker cp`.

A copy is a tar that one side writes and the other unpacks, so that a tar may take the
place of either. In a container everything goes through the core: copy-up, whiteouts and
owners are its business. Nothing on the way is followed out of the place that was named.
"""
from __future__ import annotations

import os
import posixpath
import secrets
import stat
from dataclasses import dataclass
from typing import Any, BinaryIO, Callable, ContextManager, Iterator, Optional, Union, cast

from .. import _native
from ..container import Container
from ..errors import CopyFailed
from ..store import Store, tar
from . import tarwriter
from .tarwriter import Stream
from .viewtar import Members

STREAM = "-"


class HostFiles:
    """The machine's own files, with those methods of a view that copying needs."""

    def __enter__(self) -> "HostFiles":
        return self

    def __exit__(self, *unused: object) -> None:
        pass

    lstat = staticmethod(os.lstat)
    stat = staticmethod(os.stat)
    fstat = staticmethod(os.fstat)
    listdir = staticmethod(os.listdir)
    mkdir = staticmethod(os.mkdir)
    unlink = staticmethod(os.unlink)
    rename = staticmethod(os.rename)
    link = staticmethod(os.link)
    symlink = staticmethod(os.symlink)
    readlink = staticmethod(os.readlink)
    chmod = staticmethod(os.chmod)
    truncate = staticmethod(os.truncate)

    @staticmethod
    def open(path: bytes, flags: int, mode: int = 0o600) -> int:
        return os.open(path, flags | os.O_CLOEXEC, mode)

    @staticmethod
    def listxattr(path: bytes) -> list[str]:
        return os.listxattr(path, follow_symlinks=False)

    @staticmethod
    def getxattr(path: bytes, name: str) -> bytes:
        return os.getxattr(path, name, follow_symlinks=False)

    @staticmethod
    def setxattr(path: bytes, name: str, value: bytes) -> None:
        os.setxattr(path, name, value, follow_symlinks=False)

    @staticmethod
    def mknod(path: bytes, mode: int, device: int = 0) -> None:
        if not stat.S_ISFIFO(mode):
            raise PermissionError(1, "a device", os.fsdecode(path))
        os.mknod(path, mode)

    @staticmethod
    def chown(path: bytes, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        """Files on this side belong to whoever copies."""

    @staticmethod
    def utime(path: bytes, atime_ns: int, mtime_ns: int, *, follow_symlinks: bool = True) -> None:
        os.utime(path, ns=(atime_ns, mtime_ns), follow_symlinks=follow_symlinks)


Files = Union[_native.View, HostFiles]


@dataclass(frozen=True)
class Place:
    """One side of a copy as it was written: a path, in a container if that is named."""

    text: str
    path: str
    container: Optional[str] = None

    @classmethod
    def parse(cls, text: str) -> "Place":
        """CONTAINER:PATH, a path of this machine, or "-". A path with a colon before its
        first slash is written "./a:b"."""
        before, colon, path = text.partition(":")
        if not colon or not before or "/" in before or before.startswith("."):
            return cls(text, text)
        if not path:
            raise CopyFailed(f'cannot copy with "{text}": there is no path',
                             hint="write CONTAINER:PATH")
        return cls(text, "/" + path.lstrip("/"), before)

    @property
    def is_stream(self) -> bool:
        return self.container is None and self.path == STREAM

    def opened(self, store: Store) -> ContextManager[Files]:
        return HostFiles() if self.container is None \
            else Container.open(store, self.container).view()

    @property
    def bytes(self) -> bytes:
        """The path in full; what it ends with is kept."""
        return os.fsencode(self.path if self.path.startswith("/")
                           else os.path.join(os.getcwd(), self.path))


def copy(store: Store, source: str, target: str, *, archive: bool = False, follow: bool = False,
         stdin: Optional[BinaryIO] = None, write: Optional[Callable[[bytes], object]] = None
         ) -> list[str]:
    """Copy `source` to `target`; what could not be copied (devices, to this machine).

    As with Docker a directory goes into one that is there, its content if the source
    ends with "/."; a file that is there is replaced. What is copied into a container
    belongs to root, with `archive` to whom it belonged, as does what comes from a tar
    ("-", read from `stdin`, or written by `write`). `follow` copies what a link at the
    source leads to.
    """
    from_place, to_place = Place.parse(source), Place.parse(target)
    failing = f'cannot copy "{source}" to "{target}"'
    if from_place.container is None and to_place.container is None:
        raise CopyFailed(f"{failing}: neither side is in a container",
                         hint="write CONTAINER:PATH for one of them")
    try:
        with from_place.opened(store) as reading, to_place.opened(store) as writing:
            if from_place.is_stream:
                assert stdin is not None
                unpacker = _Unpacker(writing, failing, owners=True)
                unpacker.into(_directory(writing, to_place, failing), stdin)
                return unpacker.left_out
            packed = _Packed(reading, from_place, failing, follow)
            if to_place.is_stream:
                assert write is not None
                for piece in packed.pieces(os.path.basename(packed.path) or b"."):
                    write(piece)
                return []
            above, name = _destination(writing, to_place, packed, failing)
            unpacker = _Unpacker(writing, failing, owners=archive)
            unpacker.into(above, cast(BinaryIO, Stream(packed.pieces(name))))
            return unpacker.left_out
    except OSError as error:
        place = f' ("{os.fsdecode(error.filename)}")' if error.filename else ""
        raise CopyFailed(f"{failing}: {os.strerror(error.errno or 0).lower()}{place}",
                         hint="check both paths") from error


class _Packed:
    """What is to be copied, as a tar."""

    def __init__(self, files: Any, place: Place, failing: str, follow: bool) -> None:
        self._files = files
        path = place.bytes
        self.content = path.endswith(b"/.") or path.strip(b"/") == b""
        look = files.stat if follow or path.endswith((b"/", b"/.")) else files.lstat
        try:
            self.status: Any = look(path)
        except OSError as error:
            raise CopyFailed(f'{failing}: "{place.text}" cannot be read, '
                             f"{os.strerror(error.errno or 0).lower()}",
                             hint="check the path") from None
        self.is_directory = stat.S_ISDIR(self.status.st_mode)
        if path.endswith((b"/", b"/.")) and not self.is_directory:
            raise CopyFailed(f'{failing}: "{place.text}" is no directory',
                             hint="leave the slash at its end out")
        self._follow = follow
        self.path = posixpath.normpath(path)

    def pieces(self, name: bytes) -> Iterator[bytes]:
        """The tar; what was named is called `name` in it."""
        members = Members(self._files)
        todo = [(self.path.lstrip(b"/"), name)]
        while todo:
            path, shown = todo.pop()
            status = self._files.lstat(b"/" + path)
            if path == self.path.lstrip(b"/"):
                status = self.status
                if self._follow and stat.S_ISREG(status.st_mode):
                    path = self._real(path)
            yield from members.add(path, status, name=shown,
                                   same=(status.st_dev, status.st_ino)
                                   if status.st_nlink > 1 else None)
            if stat.S_ISDIR(status.st_mode):
                names = sorted(map(os.fsencode, self._files.listdir(b"/" + path)), reverse=True)
                todo += [((path + b"/" if path else b"") + each, shown + b"/" + each)
                         for each in names]
        yield tarwriter.END

    def _real(self, path: bytes) -> bytes:
        """Where a link leads."""
        if isinstance(self._files, HostFiles):
            return os.path.realpath(b"/" + path).lstrip(b"/")
        return os.fsencode(self._files.resolve(b"/" + path).path).lstrip(b"/")


def _stat(files: Files, path: bytes) -> Any:
    try:
        return files.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _directory(files: Files, place: Place, failing: str) -> bytes:
    """The target of a tar: a directory that is there."""
    found = _stat(files, place.bytes)
    if found is None or not stat.S_ISDIR(found.st_mode):
        raise CopyFailed(f'{failing}: "{place.text}" is no directory',
                         hint="a tar is unpacked into a directory that is there")
    return place.bytes


def _destination(files: Files, place: Place, packed: _Packed, failing: str) -> tuple[bytes, bytes]:
    """The directory to unpack in, and what the copy is called there."""
    path = place.bytes
    found = _stat(files, path)
    if found is not None and stat.S_ISDIR(found.st_mode):
        return path, b"." if packed.content else os.path.basename(packed.path)
    if found is not None and packed.is_directory:
        raise CopyFailed(f'{failing}: "{place.text}" is there and no directory',
                         hint="name another target")
    if path.endswith((b"/", b"/.")) and not (found is None and packed.is_directory):
        raise CopyFailed(f'{failing}: "{place.text}" is no directory',
                         hint="make it first, or leave the slash at its end out")
    path = posixpath.normpath(path)
    above = _stat(files, os.path.dirname(path))
    if above is None or not stat.S_ISDIR(above.st_mode):
        shown = os.fsdecode(os.path.dirname(path))
        raise CopyFailed(f'{failing}: there is no directory "{shown}"', hint="make it first")
    return os.path.dirname(path), os.path.basename(path)


class _Unpacker:
    """Makes what a tar says, below one directory."""

    def __init__(self, files: Files, failing: str, *, owners: bool) -> None:
        self._files = files
        self._failing = failing
        self._owners = owners
        self._here = isinstance(files, HostFiles)
        self._times: list[tuple[bytes, int]] = []
        self.left_out: list[str] = []

    def into(self, top: bytes, stream: BinaryIO) -> None:
        """Unpack `stream` in the directory `top`."""
        self._top = top.rstrip(b"/") or b""
        self._sure = {b""}
        source = tar.Source(stream)
        reader = tar.TarReader(source)
        try:
            for member in reader:
                self._take(member, reader)
        except tar.TarError as error:
            raise CopyFailed(f"{self._failing}: {error}", hint="make the tar again") from None
        source.drain()   # whoever writes it must not find its pipe closed
        for path, mtime_ns in reversed(self._times):
            self._files.utime(path, mtime_ns, mtime_ns)

    def _take(self, member: tar.Member, reader: tar.TarReader) -> None:
        name = self._name(member.name)
        path = self._top + b"/" + name if name else self._top or b"/"
        if member.kind == tar.DIRECTORY:
            self._make_directory(name, member)
            return
        self._parents(name)
        if self._is_directory(path):
            self._refuse(name, "it is a directory there")
        if member.kind == tar.LINK:
            first = self._top + b"/" + self._name(member.target)
            self._remove(path)
            self._files.link(first, path)
            return
        # Made aside and renamed, so that whoever looks sees the old one or the new one.
        aside = os.path.dirname(path) + b"/.lpmx-" + secrets.token_hex(6).encode()
        try:
            self._make(aside, member, reader)
            self._files.rename(aside, path)
        except PermissionError:
            if not self._here or member.kind not in (tar.CHARACTER, tar.BLOCK_DEVICE):
                raise
            self.left_out.append(os.fsdecode(name))
        except BaseException:
            self._remove(aside)
            raise

    def _make(self, path: bytes, member: tar.Member, reader: tar.TarReader) -> None:
        if member.kind == tar.SYMLINK:
            self._files.symlink(member.target, path)
            self._own(path, member)
            self._files.utime(path, member.mtime_ns, member.mtime_ns, follow_symlinks=False)
            return
        if member.kind == tar.FILE:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            fd = self._files.open(path, flags, 0o600)
            try:
                for offset, piece in reader.content(member):
                    while piece:
                        written = os.pwrite(fd, piece, offset)
                        piece, offset = piece[written:], offset + written
                os.ftruncate(fd, member.size)
            finally:
                os.close(fd)
        else:
            kind = {tar.FIFO: stat.S_IFIFO, tar.CHARACTER: stat.S_IFCHR,
                    tar.BLOCK_DEVICE: stat.S_IFBLK}[member.kind]
            self._files.mknod(path, kind | 0o600, os.makedev(member.major, member.minor))
        self._describe(path, member)
        self._files.utime(path, member.mtime_ns, member.mtime_ns)

    def _make_directory(self, name: bytes, member: tar.Member) -> None:
        self._parents(name)
        path = self._top + b"/" + name if name else self._top or b"/"
        if not self._exists(path):
            self._files.mkdir(path, 0o700)
            self._describe(path, member)
            self._times.append((path, member.mtime_ns))
        elif name and not self._is_directory(path):
            self._refuse(name, "it is there and no directory")
        self._sure.add(name)

    def _describe(self, path: bytes, member: tar.Member) -> None:
        self._own(path, member)
        # A set-user-ID bit would hand the rights of whoever copies to anybody.
        self._files.chmod(path, member.mode & (0o1777 if self._here else 0o7777))
        for name, value in member.xattrs.items():
            try:
                self._files.setxattr(path, os.fsdecode(name), value)
            except OSError:
                pass   # not every file system has them

    def _own(self, path: bytes, member: tar.Member) -> None:
        uid, gid = (member.uid, member.gid) if self._owners else (0, 0)
        try:
            self._files.chown(path, uid, gid, follow_symlinks=False)
        except PermissionError:
            pass   # a container in which one is oneself

    def _parents(self, name: bytes) -> None:
        """Have the directories above `name`; none of them may be a link to elsewhere."""
        parts = name.split(b"/")[:-1]
        for count in range(1, len(parts) + 1):
            above = b"/".join(parts[:count])
            if above in self._sure:
                continue
            path = self._top + b"/" + above
            if not self._exists(path):
                self._files.mkdir(path, 0o755)
            elif not self._is_directory(path):
                self._refuse(above, "it is there and no directory")
            self._sure.add(above)

    def _exists(self, path: bytes) -> bool:
        try:
            self._files.lstat(path)
        except FileNotFoundError:
            return False
        return True

    def _is_directory(self, path: bytes) -> bool:
        return self._exists(path) and stat.S_ISDIR(self._files.lstat(path).st_mode)

    def _remove(self, path: bytes) -> None:
        try:
            self._files.unlink(path)
        except FileNotFoundError:
            pass

    def _name(self, name: bytes) -> bytes:
        """A member's name as a path below the directory."""
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            self._refuse(name, "it would land outside the target")
        return b"/".join(parts)

    def _refuse(self, name: bytes, cause: str) -> None:
        shown = name.decode("utf-8", "backslashreplace")[:200]
        raise CopyFailed(f'{self._failing}: "{shown}" cannot be made, {cause}',
                         hint="name another target")
