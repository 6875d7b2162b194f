"""How a layer's tar is made again, byte for byte, from its unpacked tree.

A diff ID is the digest of one tar, and no two writers make the same one: another
tar of the same tree would be another layer. So all of a tar that is not the content
of a file of the tree (headers, padding, members that are only listed, what follows
the end) is kept beside the tree, in order, with the places where content goes.

    header | steps, compressed | names, compressed

A step is FRAME, a length and so many bytes of the tar; CONTENT, the number of a file,
and an offset and a length in it; or END. Names are paths in the layer's directory,
joined by NUL: "tree/bin/sh", or "spare/7" for content that a later member of the
same tar took the name of.
"""
from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any, BinaryIO, Iterator, NamedTuple, Optional, Sequence

from ..errors import StoreDamaged

VERSION = 1
_MAGIC = b"LPMXTAR\0"
_HEADER = struct.Struct("<8sIIQQQ")  # ..., 0, size of the tar, of the steps, of the names
_FRAME, _CONTENT, _END = b"F", b"C", b"E"
_LENGTH = struct.Struct("<cI")
_PLACE = struct.Struct("<cIQQ")
_PIECE = 1 << 20
_LEVEL = 3
_NAMES_LIMIT = 1 << 30
_OFFSET_LIMIT = 1 << 63

TREE, SPARE = b"tree/", b"spare/"


class Writer:
    """Writes a recipe to the new file `file`; what it is told comes in the order of the tar."""

    def __init__(self, file: BinaryIO) -> None:
        import zstandard

        self._file = file
        self._size = 0
        self._files = 0
        self._last: Optional[list[int]] = None   # number, offset, length of content
        file.write(bytes(_HEADER.size))
        self._steps: Any = zstandard.ZstdCompressor(level=_LEVEL).stream_writer(
            file, closefd=False)  # type: ignore[arg-type]

    def add_file(self) -> int:
        """The number of one more file whose content comes."""
        self._files += 1
        return self._files - 1

    def frame(self, data: bytes) -> None:
        """Bytes of the tar that are no file's content."""
        if data:
            self._flush()
            self._size += len(data)
            self._steps.write(_LENGTH.pack(_FRAME, len(data)))
            self._steps.write(data)

    def content(self, number: int, offset: int, length: int) -> None:
        """That content of file `number` comes here."""
        self._size += length
        last = self._last
        if last is not None and last[0] == number and last[1] + last[2] == offset:
            last[2] += length
            return
        self._flush()
        self._last = [number, offset, length]

    def finish(self, names: Sequence[bytes]) -> None:
        """Complete the file; `names` are those of all files, by number."""
        import zstandard

        if len(names) != self._files:
            raise ValueError("every file needs a name")
        self._flush()
        self._steps.write(_END)
        self._steps.close()
        steps = self._file.tell() - _HEADER.size
        packed = zstandard.ZstdCompressor(level=_LEVEL).compress(b"\0".join(names))
        self._file.write(packed)
        self._file.seek(0)
        self._file.write(_HEADER.pack(_MAGIC, VERSION, 0, self._size, steps, len(packed)))

    def _flush(self) -> None:
        if self._last is not None:
            self._steps.write(_PLACE.pack(_CONTENT, *self._last))
            self._last = None


class _Head(NamedTuple):
    size: int
    steps: int
    names: int


def tar_size(recipe: Path) -> int:
    """The size of the tar that `recipe` makes."""
    with _opened(recipe) as file:
        return _head(recipe, file).size


def make_tar(recipe: Path) -> Iterator[bytes]:
    """The tar, in pieces. Raises `StoreDamaged` where the layer is not what it was; that
    the bytes are the right ones only their digest tells."""
    import zstandard

    directory = os.open(recipe.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _opened(recipe) as file:
            head = _head(recipe, file)
            file.seek(_HEADER.size + head.steps)
            try:
                packed = file.read(head.names)
                if zstandard.frame_content_size(packed) > _NAMES_LIMIT:
                    raise _damaged(recipe, "its recipe is damaged")
                names = zstandard.ZstdDecompressor().decompress(packed).split(b"\0")
                file.seek(_HEADER.size)
                steps = zstandard.ZstdDecompressor().stream_reader(
                    file, closefd=False)  # type: ignore[arg-type]
                yield from _follow(recipe, _Exactly(recipe, steps), names, directory)
            except zstandard.ZstdError as error:
                raise _damaged(recipe, f"its recipe is damaged ({error})") from None
    finally:
        os.close(directory)


class _Exactly:
    """A stream of which so many bytes are wanted or none."""

    def __init__(self, recipe: Path, stream: Any) -> None:
        self._recipe = recipe
        self._stream = stream

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._stream.read(size - len(data))
            if not piece:
                raise _damaged(self._recipe, "its recipe is cut short")
            data += piece
        return data


def _follow(recipe: Path, steps: _Exactly, names: Sequence[bytes],
            directory: int) -> Iterator[bytes]:
    while (kind := steps.read(1)) != _END:
        if kind == _FRAME:
            left = int.from_bytes(steps.read(4), "little")
            while left:
                piece = steps.read(min(left, _PIECE))
                left -= len(piece)
                yield piece
        elif kind == _CONTENT:
            _, number, offset, length = _PLACE.unpack(kind + steps.read(_PLACE.size - 1))
            if number >= len(names):
                raise _damaged(recipe, "its recipe is damaged")
            yield from _content(recipe, names[number], directory, offset, length)
        else:
            raise _damaged(recipe, "its recipe is damaged")


def _content(recipe: Path, name: bytes, directory: int, offset: int,
             length: int) -> Iterator[bytes]:
    if offset + length >= _OFFSET_LIMIT:
        raise _damaged(recipe, "its recipe is damaged")
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        raise _unreadable(recipe, name, error) from None
    try:
        while length:
            try:
                piece = os.pread(fd, min(length, _PIECE), offset)
            except OSError as error:
                raise _unreadable(recipe, name, error) from None
            if not piece:
                raise _damaged(recipe, f'its file "{os.fsdecode(name)}" is cut short')
            yield piece
            offset += len(piece)
            length -= len(piece)
    finally:
        os.close(fd)


def _opened(recipe: Path) -> BinaryIO:
    try:
        return open(recipe, "rb")
    except FileNotFoundError:
        raise _damaged(recipe, "the store has no recipe for its tar") from None


def _head(recipe: Path, file: BinaryIO) -> _Head:
    data = file.read(_HEADER.size)
    if len(data) < _HEADER.size or data[:8] != _MAGIC:
        raise _damaged(recipe, "its recipe is none")
    _, version, _, size, steps, names = _HEADER.unpack(data)
    if version != VERSION:
        raise _damaged(recipe, f"its recipe has version {version}, and we read version {VERSION}")
    if _HEADER.size + steps + names != os.fstat(file.fileno()).st_size:
        raise _damaged(recipe, "its recipe is cut short")
    return _Head(size, steps, names)


def _unreadable(recipe: Path, name: bytes, error: OSError) -> StoreDamaged:
    return _damaged(recipe, f'its file "{os.fsdecode(name)}" cannot be read, '
                            f"{os.strerror(error.errno or 0).lower()}")


def _damaged(recipe: Path, cause: str) -> StoreDamaged:
    layer = f"{recipe.parent.parent.name}:{recipe.parent.name}"
    return StoreDamaged(f"cannot make the tar of layer {layer}: {cause}",
                        hint='remove its image with "lpmx rmi" and get it again')
