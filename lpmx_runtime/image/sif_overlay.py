"""What a writable overlay inside a Singularity image file changes, as the tar of a layer.

Apptainer keeps it in an ext3 file system, below `upper`, in the format of kernel overlayfs or
of fuse-overlayfs; what they say of deletions becomes whiteouts (OCI layer spec).
"""
from __future__ import annotations

import stat
from typing import Iterator

from ..errors import ArchiveDamaged
from . import overlay_format, tarwriter
from .ext import Ext, Inode

_UPPER = b"upper"
_DEPTH_MAX = 4096
_KINDS = {stat.S_IFREG: tarwriter.FILE, stat.S_IFDIR: tarwriter.DIRECTORY,
          stat.S_IFLNK: tarwriter.SYMLINK, stat.S_IFIFO: tarwriter.FIFO,
          stat.S_IFCHR: tarwriter.CHARACTER, stat.S_IFBLK: tarwriter.BLOCK_DEVICE}


def overlay_tar(system: Ext, failing: str) -> Iterator[bytes]:
    """The pieces of the tar; it has no members where nothing was changed."""
    upper = next((number for name, number in system.names(system.root()) if name == _UPPER), None)
    if upper is not None and stat.S_ISDIR(system.inode(upper).mode):
        yield from _Changes(system, failing).members(system.inode(upper))
    yield tarwriter.END


class _Changes:
    def __init__(self, system: Ext, failing: str) -> None:
        self._system = system
        self._failing = failing
        self._first: dict[int, bytes] = {}
        self._known: set[int] = set()

    def members(self, upper: Inode) -> Iterator[bytes]:
        """All below `upper`, whose root is not a member."""
        stack = [(b"", self._entries(upper))]
        while stack:
            prefix, names = stack[-1]
            entry = next(names, None)
            if entry is None:
                stack.pop()
                continue
            name, number = entry
            inode = self._system.inode(number)
            path = prefix + name
            kind = _KINDS.get(stat.S_IFMT(inode.mode))
            if kind is None:
                continue   # a socket
            if kind == tarwriter.CHARACTER and self._system.device(inode) == (0, 0):
                yield overlay_format.whiteout(prefix, name)
                continue
            if kind != tarwriter.DIRECTORY:
                yield from self._member(path, kind, inode)
                continue
            if inode.number in self._known or len(stack) > _DEPTH_MAX:
                raise ArchiveDamaged(f"{self._failing}: a directory of its overlay is in two "
                                     "places, or inside itself", hint="make the file again")
            self._known.add(inode.number)
            attributes = self._system.attributes(inode)
            yield self._header(path + b"/", kind, inode, attributes)
            yield overlay_format.opaque(path + b"/", attributes)
            stack.append((path + b"/", self._entries(inode)))

    def _entries(self, directory: Inode) -> "Iterator[tuple[bytes, int]]":
        return iter(sorted(self._system.names(directory)))

    def _member(self, path: bytes, kind: bytes, inode: Inode) -> Iterator[bytes]:
        first = self._first.setdefault(inode.number, path) if inode.links > 1 else path
        if first != path:
            yield tarwriter.header(path, tarwriter.LINK, stat.S_IMODE(inode.mode), target=first)
            return
        attributes = self._system.attributes(inode)
        if kind != tarwriter.FILE:
            yield self._header(path, kind, inode, attributes)
            return
        extents = self._system.extents(inode)
        length = sum(size for _, size in extents)
        holes = tarwriter.sparse_map(extents) if length < inode.size else b""
        length += len(holes)
        yield self._header(path, kind, inode, attributes, size=length,
                           real_size=inode.size if holes else None)
        yield holes
        yield from self._system.content(inode)
        yield tarwriter.padding(length)

    def _header(self, path: bytes, kind: bytes, inode: Inode, attributes: "dict[bytes, bytes]", *,
                size: int = 0, real_size: "int | None" = None) -> bytes:
        overlay_format.check_here(path, attributes, self._failing)
        major, minor = self._system.device(inode) if kind in (
            tarwriter.CHARACTER, tarwriter.BLOCK_DEVICE) else (0, 0)
        mode, uid, gid = overlay_format.override(
            attributes, (stat.S_IMODE(inode.mode), inode.uid, inode.gid))
        return tarwriter.header(
            path, kind, mode, uid=uid, gid=gid, mtime=inode.mtime, size=size, real_size=real_size,
            target=self._system.target(inode) if kind == tarwriter.SYMLINK else b"",
            major=major, minor=minor, xattrs=overlay_format.files_own(attributes))
