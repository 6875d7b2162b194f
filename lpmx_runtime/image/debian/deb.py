"""One package file: an `ar` archive of a control tar and a data tar (deb(5))."""
from __future__ import annotations

import bz2
import gzip
import io
import lzma
from pathlib import Path
from typing import BinaryIO, Iterator, NamedTuple, Optional

import zstandard

from ...errors import BootstrapFailed
from ...store import tar

_MAGIC = b"!<arch>\n"
_HEADER_SIZE = 60
_CONTROL_LIMIT = 16 << 20


class _Part(NamedTuple):
    """A member of the archive."""

    name: str
    offset: int
    size: int


class ControlFile(NamedTuple):
    """A file of the control tar; `mtime` in seconds."""

    mode: int
    mtime: int
    content: bytes


class _Slice(io.RawIOBase):
    """A part of an open file, read from its beginning to its end."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file = file
        self._left = size
        file.seek(offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._file.read(min(len(buffer), self._left))
        buffer[:len(data)] = data
        self._left -= len(data)
        return len(data)


class Deb:
    """A package file that is open. Close it, or use `with`.

    `control` are the control files by name: "control", "md5sums", "postinst" and so on.
    """

    def __init__(self, path: Path) -> None:
        self._label = path.name
        self._file = open(path, "rb")
        try:
            self._parts = self._read_parts()
            self.control = self._read_control()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Deb":
        return self

    def __exit__(self, *unused: object) -> None:
        self._file.close()

    def members(self) -> Iterator[tuple[tar.Member, tar.TarReader]]:
        """What the package installs; content is to be taken before the next one is."""
        stream = self._open("data.tar")
        reader = tar.TarReader(tar.Source(stream))
        try:
            for member in reader:
                yield member, reader
        except (tar.TarError, OSError, zstandard.ZstdError) as error:
            raise self._damaged(str(error)) from error

    def _read_parts(self) -> dict[str, _Part]:
        size = self._file.seek(0, io.SEEK_END)
        self._file.seek(0)
        if self._file.read(len(_MAGIC)) != _MAGIC:
            raise self._damaged("it is no package file")
        parts: dict[str, _Part] = {}
        at = len(_MAGIC)
        while at < size:
            self._file.seek(at)
            header = self._file.read(_HEADER_SIZE)
            length = header[48:58].strip()
            if len(header) < _HEADER_SIZE or header[58:] != b"`\n" or not length.isdigit():
                raise self._damaged("it has a broken header")
            name = header[:16].decode("ascii", "replace").strip().rstrip("/")
            at += _HEADER_SIZE
            if at + int(length) > size:
                raise self._damaged("it is cut short")
            parts.setdefault(name, _Part(name, at, int(length)))
            at += int(length) + (int(length) & 1)
        return parts

    def _open(self, stem: str) -> BinaryIO:
        """The uncompressed content of the member `stem`, whatever its compression."""
        part: Optional[_Part] = next(
            (part for name, part in self._parts.items()
             if name == stem or name.startswith(stem + ".")), None)
        if part is None:
            raise self._damaged(f"it has no {stem}")
        raw = io.BufferedReader(_Slice(self._file, part.offset, part.size), 1 << 18)  # type: ignore[type-var]
        suffix = part.name[len(stem):]
        if suffix == "":
            return raw
        if suffix == ".gz":
            return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
        if suffix in (".xz", ".lzma"):
            return lzma.LZMAFile(raw)  # type: ignore[return-value]
        if suffix == ".zst":
            return zstandard.ZstdDecompressor().stream_reader(raw)
        if suffix == ".bz2":
            return bz2.BZ2File(raw)  # type: ignore[return-value]
        raise self._damaged(f"its {part.name} is compressed in a way we cannot read")

    def _read_control(self) -> dict[str, ControlFile]:
        files: dict[str, ControlFile] = {}
        total = 0
        try:
            reader = tar.TarReader(tar.Source(self._open("control.tar")))
            for member in reader:
                name = member.name.decode("utf-8", "replace").lstrip("./")
                total += member.size
                if total > _CONTROL_LIMIT:
                    raise self._damaged("its control files are larger than any package's")
                if member.kind == tar.FILE and name and "/" not in name:
                    content = b"".join(piece for _, piece in reader.content(member))
                    files[name] = ControlFile(member.mode, member.mtime_ns // 10 ** 9, content)
        except (tar.TarError, OSError, zstandard.ZstdError) as error:
            raise self._damaged(str(error)) from error
        if "control" not in files:
            raise self._damaged("it has no control file")
        return files

    def _damaged(self, cause: str) -> BootstrapFailed:
        return BootstrapFailed(f'cannot read package file "{self._label}": {cause}',
                               hint="try again, or use another mirror")
