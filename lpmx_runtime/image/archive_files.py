"""The files inside an image archive, be it a directory or a tar.

Names are those of the archive's own documents, which anybody may have
written: none of them leads out of it.
"""
from __future__ import annotations

import os
import posixpath
import stat
import tarfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Optional

from ..errors import ArchiveDamaged
from .streams import Stream

_MEMBER_LIMIT = 500_000
_LINK_LIMIT = 16


class ArchiveFiles(ABC):
    """Files by name, to be read by several threads at once."""

    def __init__(self, failing: str) -> None:
        self.failing = failing

    @abstractmethod
    def size(self, name: str) -> Optional[int]:
        """The size of the file `name`; None if there is no such file."""

    @abstractmethod
    def open(self, name: str) -> Stream:
        """The bytes of the file `name`."""

    def read(self, name: str, limit: int) -> bytes:
        """All of a small file, a document."""
        size = self.size(name)
        if size is None:
            raise self.damaged(f'it has no file "{name}"')
        if size > limit:
            raise self.damaged(f'its file "{name}" has {size} bytes, more than any tool writes')
        stream, data = self.open(name), b""
        try:
            while len(data) < size:
                piece = stream.read(size - len(data))
                if not piece:
                    raise self.damaged(f'its file "{name}" is cut short')
                data += piece
        finally:
            stream.close()
        return data

    def damaged(self, cause: str) -> ArchiveDamaged:
        return ArchiveDamaged(f"{self.failing}: {cause}",
                              hint="make or copy the archive again")

    @abstractmethod
    def close(self) -> None:
        """Close what is open; streams must be closed before."""


class DirectoryFiles(ArchiveFiles):
    """A directory, such as an OCI image layout."""

    def __init__(self, path: Path, failing: str) -> None:
        super().__init__(failing)
        self._path = path.resolve()

    def _place(self, name: str) -> Optional[Path]:
        path = (self._path / name.lstrip("/")).resolve()
        return path if self._path in path.parents and path.is_file() else None

    def size(self, name: str) -> Optional[int]:
        path = self._place(name)
        return None if path is None else path.stat().st_size

    def open(self, name: str) -> Stream:
        path = self._place(name)
        if path is None:
            raise self.damaged(f'it has no file "{name}"')
        return open(path, "rb", buffering=0)

    def close(self) -> None:
        pass


class TarFiles(ArchiveFiles):
    """A tar on disk that is not compressed. Links between its members are followed:
    archives keep a layer that they have twice only once."""

    def __init__(self, path: Path, failing: str) -> None:
        super().__init__(failing)
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._members = self._list()
        except BaseException:
            os.close(self._fd)
            raise

    def _list(self) -> dict[str, tarfile.TarInfo]:
        members: dict[str, tarfile.TarInfo] = {}
        try:
            with open(self._fd, "rb", closefd=False) as file, \
                    tarfile.open(fileobj=file, mode="r:", errors="surrogateescape") as tar:
                for member in tar:
                    members[_normal(member.name)] = member
                    if len(members) > _MEMBER_LIMIT:
                        raise self.damaged(f"it has more than {_MEMBER_LIMIT} members")
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            raise self.damaged(f"it is no tar, or a damaged one ({error})") from None
        end = max((member.offset_data + member.size for member in members.values()
                   if member.isreg() and not member.issparse()), default=0)
        if end > os.fstat(self._fd).st_size:
            raise self.damaged("it is cut short")
        return members

    def _member(self, name: str) -> Optional[tarfile.TarInfo]:
        name = _normal(name)
        for _ in range(_LINK_LIMIT):
            member = self._members.get(name)
            if member is None:
                return None
            if member.issym():
                name = _normal(posixpath.join(posixpath.dirname(name), member.linkname))
            elif member.islnk():
                name = _normal(member.linkname)
            else:
                return member if member.isreg() and not member.issparse() else None
        return None

    @property
    def total(self) -> int:
        """The size of the tar itself."""
        return os.fstat(self._fd).st_size

    def whole(self) -> Stream:
        """The tar itself."""
        return _Section(self._fd, 0, self.total)

    def names(self) -> list[str]:
        """Of all members, as paths from the root."""
        return list(self._members)

    def has(self, name: str) -> bool:
        """Whether there is something called `name`, of whatever kind, or something below it."""
        return name in self._members or any(each.startswith(f"{name}/") for each in self._members)

    def size(self, name: str) -> Optional[int]:
        member = self._member(name)
        return None if member is None else member.size

    def open(self, name: str) -> Stream:
        member = self._member(name)
        if member is None:
            raise self.damaged(f'it has no file "{name}"')
        return _Section(self._fd, member.offset_data, member.size)

    def close(self) -> None:
        os.close(self._fd)


class _Section:
    """A part of an open file, with a place of its own."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd = fd
        self._at = offset
        self._end = offset + size

    def read(self, size: int) -> bytes:
        data = os.pread(self._fd, min(size, self._end - self._at), self._at)
        self._at += len(data)
        return data

    def close(self) -> None:
        pass


def _normal(name: str) -> str:
    """`name` as a path from the archive's root; none climbs above that."""
    return posixpath.normpath("/" + name).lstrip("/")


def is_regular(path: Path) -> bool:
    return stat.S_ISREG(os.stat(path).st_mode)
