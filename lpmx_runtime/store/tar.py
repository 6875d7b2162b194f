"""A reader of tar streams as real tools write them.

Layers come from a dozen writers. Some leave out the end blocks or the padding
of the last member, some write names in no known encoding, and all of them use
extensions: PAX records, GNU long names, sparse files, numbers in base 256. This
reader takes what GNU tar and the container tools take, works on a stream that
cannot seek, and reports names and link targets as the bytes they are.

    reader = TarReader(source)
    for member in reader:
        for offset, data in reader.content(member): ...

A member's content must be taken, if at all, before the next member is.
"""
from __future__ import annotations

import lzma
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Callable, Iterator, Optional

if TYPE_CHECKING:
    from ..oci.digest import Digester
    from .recipe import Writer

BLOCK = 512
CHUNK = 1 << 20

# Extended headers and sparse maps are held in memory: a writer that needs more
# than this for one member is attacking us. Go's reader has the same bound.
_EXTENSION_LIMIT = 1 << 20
_EXTENTS_LIMIT = 1 << 16

FILE, LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = (
    "file", "link", "symlink", "character", "block", "directory", "fifo")

_KINDS = {b"0": FILE, b"\0": FILE, b"7": FILE, b"S": FILE, b"1": LINK, b"2": SYMLINK,
          b"3": CHARACTER, b"4": BLOCK_DEVICE, b"5": DIRECTORY, b"D": DIRECTORY, b"6": FIFO}
_IGNORED = b"VNA"  # volume label, old GNU names, Solaris access lists

_SIZE_LIMIT = _TIME_LIMIT = 2 ** 63 - 1


class TarError(Exception):
    """The stream is no tar, or a damaged one; the text says what is wrong with "it"."""


@dataclass
class Member:
    """One member: what its headers say, with every extension applied."""

    name: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int                     # of the file, holes included
    target: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    stored: int = 0               # bytes of content in the stream
    extents: Optional[list[tuple[int, int]]] = None  # of a sparse file: offset, length


class Source:
    """A stream read once from end to end, with no seeking.

    `on_bytes` is told, for each piece read, how many bytes it had; `digester` gets all
    bytes, `recipe` all but those that are told to be a file's content (`mark`).
    """

    def __init__(self, stream: BinaryIO, on_bytes: Optional[Callable[[int], object]] = None,
                 digester: Optional[Digester] = None, recipe: Optional[Writer] = None) -> None:
        self._stream = stream
        self._on_bytes = on_bytes
        self._recipe = recipe
        self._marks: list[tuple[int, int, int, int]] = []
        self._digester = digester
        self._buffer = b""
        self._at = 0
        self.count = 0

    def mark(self, number: int, offset: int, length: int) -> None:
        """Say that the `length` bytes read last are content of file `number`, at `offset`."""
        self._marks.append((self._at - length, number, offset, length))

    def _pass_on(self) -> None:
        """Tell the recipe what was in the buffer. No piece of content is in two."""
        if self._recipe is not None:
            at = 0
            for start, number, offset, length in self._marks:
                self._recipe.frame(self._buffer[at:start])
                self._recipe.content(number, offset, length)
                at = start + length
            self._recipe.frame(self._buffer[at:] if at else self._buffer)
            self._marks.clear()

    def _fill(self) -> bool:
        self._pass_on()
        try:
            self._buffer = self._stream.read(CHUNK) or b""
        except (EOFError, zlib.error, lzma.LZMAError) as error:
            raise TarError(f"its compressed data is damaged ({error})") from error
        self._at = 0
        length = len(self._buffer)
        if not length:
            return False
        if self._digester is not None:
            self._digester.update(self._buffer)
        self.count += length
        if self._on_bytes is not None:
            self._on_bytes(length)
        return True

    def some(self, limit: int) -> bytes:
        """At least one byte and at most `limit`; none at the end of the stream."""
        if self._at >= len(self._buffer) and not self._fill():
            return b""
        start = self._at
        self._at = end = min(start + limit, len(self._buffer))
        return self._buffer[start:end]

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end of the stream."""
        end = self._at + size
        if end <= len(self._buffer):
            piece = self._buffer[self._at:end]
            self._at = end
            return piece
        pieces = []
        while size:
            piece = self.some(size)
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def skip(self, size: int) -> int:
        """Pass over `size` bytes; returns how many the stream was short of."""
        while size:
            piece = min(size, len(self._buffer) - self._at)
            if piece:
                self._at += piece
                size -= piece
            elif not self._fill():
                break
        return size

    def drain(self) -> None:
        """Read to the end: the digest covers what follows the tar's end, too."""
        while self._fill():
            pass
        self._buffer = b""
        self._at = 0


class TarReader:
    """The members of a tar stream, in order. Raises `TarError` where it makes no sense."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._global: dict[bytes, bytes] = {}
        self._pending = 0    # content of the current member not read yet
        self._padding = 0    # what follows it up to the next header

    def __iter__(self) -> Iterator[Member]:
        while True:
            member = self._next()
            if member is None:
                return
            yield member

    def content(self, member: Member) -> Iterator[tuple[int, bytes]]:
        """The pieces of a file's content, each with its place; holes are left out."""
        for offset, length in member.extents or [(0, member.stored)]:
            while length:
                piece = self._source.some(length)
                if not piece:
                    raise _cut(member.name, self._pending)
                self._pending -= len(piece)
                yield offset, piece
                offset += len(piece)
                length -= len(piece)

    # -- headers ----------------------------------------------------------------

    def _next(self) -> Optional[Member]:
        """The next member, its extended headers gathered; None at the end."""
        self._pass_content()
        records: list[tuple[bytes, bytes]] = []
        long_name = long_target = None
        while True:
            header = self._header()
            if header is None:
                return None
            kind = header[156:157]
            size = _number(header[124:136])
            if size < 0:
                raise TarError("a header in its tar has a negative size")
            if kind in (b"x", b"X"):
                records += _pax_records(self._extension(size))
            elif kind == b"g":
                self._global.update(_pax_records(self._extension(size)))
            elif kind == b"L":
                long_name = self._extension(size).rstrip(b"\0")
            elif kind == b"K":
                long_target = self._extension(size).rstrip(b"\0")
            elif kind in _IGNORED:
                self._expect(size)
                self._pass_content()
            else:
                return self._member(header, kind, size, records, long_name, long_target)

    def _header(self) -> Optional[bytes]:
        """The next header block; None at the end, marked or not."""
        header = self._source.read(BLOCK)
        if not header.strip(b"\0"):
            # One block of zeros ends the tar if nothing or another one follows.
            if self._source.read(BLOCK).strip(b"\0"):
                raise TarError("its tar goes on after an end mark")
            return None
        if len(header) < BLOCK:
            raise TarError("its tar ends in the middle of a header")
        expected = _number(header[148:156])
        fixed = header[:148] + b" " * 8 + header[156:]
        if expected != sum(fixed):
            # Some old writers summed the bytes as signed numbers.
            if expected != sum(fixed) - 256 * sum(byte > 127 for byte in fixed):
                raise TarError("a header in its tar has a wrong checksum")
        return header

    def _extension(self, size: int) -> bytes:
        if size > _EXTENSION_LIMIT:
            raise TarError(f"an extended header of {size} bytes is larger than any tool writes")
        data = self._source.read(size)
        if len(data) < size:
            raise TarError("its tar ends in an extended header")
        self._source.skip(-size % BLOCK)
        return data

    def _expect(self, stored: int) -> None:
        self._pending = stored
        self._padding = -stored % BLOCK

    def _pass_content(self) -> None:
        if self._pending and self._source.skip(self._pending):
            raise _cut(b"", self._pending)
        # A last member without its padding is complete all the same.
        if self._padding:
            self._source.skip(self._padding)
        self._pending = self._padding = 0

    def _member(self, header: bytes, kind_byte: bytes, size: int,
                records: list[tuple[bytes, bytes]], long_name: Optional[bytes],
                long_target: Optional[bytes]) -> Member:
        kind = _KINDS.get(kind_byte)
        if kind is None:
            raise TarError(f"its tar has a member of the unknown type {kind_byte!r}")
        name = long_name if long_name is not None else _name(header)
        member = Member(
            name=name, kind=kind, mode=_number(header[100:108]) & 0o7777,
            uid=_number(header[108:116]), gid=_number(header[116:124]),
            mtime_ns=_number(header[136:148]) * 10 ** 9, size=size, stored=size,
            target=long_target if long_target is not None else _text(header[157:257]))
        if kind in (CHARACTER, BLOCK_DEVICE):
            member.major, member.minor = _number(header[329:337]), _number(header[337:345])
        pax = {**self._global, **dict(records)}
        if pax:
            _apply(member, pax)
        if kind is FILE and member.name.endswith(b"/"):
            # How tar wrote directories before it had a type for them. The name in the
            # header alone tells nothing: a long one may be cut off behind any slash.
            kind = member.kind = DIRECTORY
        member.mtime_ns = max(-_TIME_LIMIT, min(member.mtime_ns, _TIME_LIMIT))
        _check(member)
        if kind_byte in b"123456":
            # Links and the like have no content, whatever size they state.
            member.size = member.stored = 0
        self._expect(member.stored)
        if kind is FILE:
            self._sparse(member, kind_byte, header, records, pax)
        if kind is DIRECTORY:
            member.size = 0
        return member

    # -- sparse files -------------------------------------------------------------

    def _sparse(self, member: Member, kind_byte: bytes, header: bytes,
                records: list[tuple[bytes, bytes]], pax: dict[bytes, bytes]) -> None:
        """Fill in `extents` if `member` is sparse, in GNU's old form or its PAX forms."""
        if kind_byte == b"S":
            extents = self._old_sparse_map(header)
            member.size = _number(header[483:495])
        elif pax.get(b"GNU.sparse.major") == b"1":
            extents = self._inline_sparse_map(member)
            member.size = _decimal(pax.get(b"GNU.sparse.realsize", b""))
        elif b"GNU.sparse.map" in pax:
            numbers = [_decimal(text) for text in pax[b"GNU.sparse.map"].split(b",") if text]
            extents = list(zip(numbers[::2], numbers[1::2]))
            member.size = _decimal(pax.get(b"GNU.sparse.size", b""))
        elif b"GNU.sparse.size" in pax:
            offsets = [_decimal(v) for k, v in records if k == b"GNU.sparse.offset"]
            lengths = [_decimal(v) for k, v in records if k == b"GNU.sparse.numbytes"]
            extents = list(zip(offsets, lengths))
            member.size = _decimal(pax[b"GNU.sparse.size"])
        else:
            return
        member.name = pax.get(b"GNU.sparse.name", member.name)
        end = 0
        for offset, length in extents:
            if offset < end or length < 0:
                raise _bad_map(member.name)
            end = offset + length
        if not end <= member.size <= _SIZE_LIMIT or sum(length for _, length in extents) != member.stored:
            raise _bad_map(member.name)
        member.extents = [extent for extent in extents if extent[1]] or [(0, 0)]

    def _old_sparse_map(self, header: bytes) -> list[tuple[int, int]]:
        """The map of GNU's type `S`: four extents in the header, then blocks of 21."""
        extents = _extents(header, 386, 4)
        more = header[482]
        while more:
            block = self._source.read(BLOCK)
            if len(block) < BLOCK or len(extents) > _EXTENTS_LIMIT:
                raise TarError("the map of a sparse file is damaged")
            extents += _extents(block, 0, 21)
            more = block[504]
        return extents

    def _inline_sparse_map(self, member: Member) -> list[tuple[int, int]]:
        """The map of PAX form 1.0: decimal lines at the start of the content, in whole blocks."""
        text, wanted = b"", 1
        numbers: list[int] = []
        while len(numbers) < wanted:
            block = self._source.read(BLOCK)
            if len(block) < BLOCK or self._pending < BLOCK:
                raise _bad_map(member.name)
            self._pending -= BLOCK
            member.stored -= BLOCK
            *lines, text = (text + block).split(b"\n")
            for line in lines:
                if len(numbers) == wanted:
                    break
                numbers.append(_decimal(line))
                if len(numbers) == 1:
                    wanted += 2 * numbers[0]
                    if numbers[0] > _EXTENTS_LIMIT:
                        raise _bad_map(member.name)
        return list(zip(numbers[1::2], numbers[2::2]))


# -- fields -----------------------------------------------------------------------

def _text(raw: bytes) -> bytes:
    return raw.split(b"\0", 1)[0]


def _number(raw: bytes) -> int:
    """A numeric field: octal text, or base 256 where the first byte's high bit is set."""
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big") & ((1 << (8 * len(raw) - 1)) - 1)
        if raw[0] & 0x40:
            value -= 1 << (8 * len(raw) - 1)
        return value
    digits = raw.split(b"\0", 1)[0].strip() or raw.strip(b" \0")
    if not digits:
        return 0
    try:
        return int(digits, 8)
    except ValueError:
        raise TarError(f"a header in its tar has a number that is none ({raw!r})") from None


def _name(header: bytes) -> bytes:
    """The name with its prefix, where the header's form has one."""
    name = _text(header[:100])
    if header[257:263] != b"ustar\0":
        return name
    # The old "star" keeps times in the last 24 bytes of the prefix.
    prefix = header[345:476] if header[508:512] == b"tar\0" else header[345:500]
    prefix = _text(prefix)
    return prefix + b"/" + name if prefix else name


def _pax_records(data: bytes) -> list[tuple[bytes, bytes]]:
    """The records of an extended header in order; a key may come more than once."""
    records, at = [], 0
    while at < len(data) and data[at] != 0:
        space = data.find(b" ", at, at + 20)
        end = at + _decimal(data[at:space]) if space > 0 else 0
        key, equals, value = data[space + 1:end].partition(b"=")
        if not space < end <= len(data) or not equals or not value.endswith(b"\n"):
            raise TarError("an extended header in its tar is damaged")
        records.append((key, value[:-1]))
        at = end
    return records


def _apply(member: Member, pax: dict[bytes, bytes]) -> None:
    """Let PAX records override the header. An empty value means the header's own."""
    for key, value in pax.items():
        if key.startswith(b"SCHILY.xattr."):
            member.xattrs[key[13:]] = value
        elif not value:
            continue
        elif key == b"path":
            member.name = value
        elif key == b"linkpath":
            member.target = value
        elif key == b"size":
            member.size = member.stored = _decimal(value)
        elif key == b"uid":
            member.uid = _decimal(value)
        elif key == b"gid":
            member.gid = _decimal(value)
        elif key == b"mtime":
            member.mtime_ns = _seconds(value)


_ID_LIMIT = 2 ** 32 - 1


def _check(member: Member) -> None:
    if member.size > _SIZE_LIMIT:
        problem = "a size that no file can have"
    elif not 0 <= member.uid < _ID_LIMIT or not 0 <= member.gid < _ID_LIMIT:
        problem = "an owner that Linux has no number for"
    elif not 0 <= member.major < 2 ** 32 or not 0 <= member.minor < 2 ** 32:
        problem = "a device number that Linux does not have"
    else:
        return
    raise TarError(f"{_show(member.name)} has {problem}")


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise TarError(f"an extended header in its tar has a number that is none ({text[:40]!r})")
    return int(text)


_SECONDS = re.compile(rb"(-?)(\d{1,19})(?:\.(\d*))?\Z")


def _seconds(text: bytes) -> int:
    """Nanoseconds from decimal seconds, exactly; a float would lose the last digits."""
    match = _SECONDS.match(text)
    if not match:
        raise TarError(f"an extended header in its tar has a time that is none ({text[:40]!r})")
    sign, whole, fraction = match.groups()
    nanoseconds = int(whole) * 10 ** 9 + int(((fraction or b"") + b"0" * 9)[:9])
    return -nanoseconds if sign else nanoseconds


def _extents(block: bytes, at: int, count: int) -> list[tuple[int, int]]:
    """Up to `count` pairs of 12-byte numbers; an empty field ends them."""
    found = []
    for place in range(at, at + 24 * count, 24):
        if not block[place]:
            break
        found.append((_number(block[place:place + 12]), _number(block[place + 12:place + 24])))
    return found


def _show(name: bytes) -> str:
    return '"' + name.decode("utf-8", "backslashreplace")[:200] + '"'


def _bad_map(name: bytes) -> TarError:
    return TarError(f"the map of the sparse file {_show(name)} is damaged")


def _cut(name: bytes, missing: int) -> TarError:
    where = f" in {_show(name)}" if name else ""
    return TarError(f"its tar is cut short{where}, at least {missing} bytes are missing")
