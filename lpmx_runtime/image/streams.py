"""The bytes of a layer on their way into the store.

    blob -> Verified or BlobStream -> decompressed -> ReadAhead -> Layers.put

Each has `read(size)`, which returns some bytes, at most `size`, and none at
the end. A layer is only whole when its end was read: a stream that verifies
raises there, before the store gives the layer its name.
"""
from __future__ import annotations

import bz2
import io
import lzma
import threading
import zlib
from collections import deque
from typing import Any, Callable, Deque, Iterator, Optional, Protocol, Union, cast

import zstandard

from ..errors import DigestMismatch, LayerDamaged
from ..oci.digest import Verifier

CHUNK = 1 << 20
_INPUT = 1 << 16
_AHEAD = 4  # chunks between the thread that decompresses and the one that unpacks


class Stream(Protocol):
    """What a layer's bytes are read from."""

    def read(self, size: int) -> bytes: ...

    def close(self) -> None: ...


class Verified:
    """A stream of `size` bytes that must hash to `digest`: the last read raises otherwise."""

    def __init__(self, stream: Stream, digest: str, size: Optional[int], what: str,
                 *, failing: str) -> None:
        self._stream = stream
        self._verifier = Verifier(digest)
        self._size = size
        self._what = what
        self._failing = failing
        self._count = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._count += len(data)
        if self._size is not None and (self._count > self._size if data
                                       else self._count < self._size):
            more = "more than" if data else f"{self._count} of"
            raise DigestMismatch(f"{self._failing}: {self._what} has {more} the {self._size} "
                                 "bytes that its manifest states",
                                 hint="the copy is damaged; fetch it again")
        if data:
            self._verifier.update(data)
        else:
            self._verifier.check(self._what, failing=self._failing)
        return data

    def close(self) -> None:
        self._stream.close()


class Counted:
    """A stream that tells how many bytes have passed."""

    def __init__(self, stream: Stream, on_count: Callable[[int], None]) -> None:
        self._stream = stream
        self._on_count = on_count
        self._count = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if data:
            self._count += len(data)
            self._on_count(self._count)
        return data

    def close(self) -> None:
        self._stream.close()


def pieces(stream: Stream) -> Iterator[bytes]:
    """All that `stream` has."""
    while True:
        piece = stream.read(CHUNK)
        if not piece:
            return
        yield piece


# -- decompression


def decompressed(stream: Stream, what: str) -> Stream:
    """`stream` without its compression, which its first bytes tell.

    Media types are not asked: enough tools have written wrong ones. Raises
    `LayerDamaged`, naming `what`, where the data makes no sense. What follows
    the compressed data is read, too, so that digests cover it.
    """
    head = b""
    while len(head) < 6:
        data = stream.read(6 - len(head))
        if not data:
            break
        head += data
    source = _Prefixed(head, stream)
    if head.startswith(b"\x1f\x8b"):
        return _Members(source, _Inflater, "gzip", what)
    if head.startswith(b"\xfd7zXZ\0"):
        return _Members(source, lzma.LZMADecompressor, "xz", what)
    if head.startswith(b"BZh"):
        return _Members(source, bz2.BZ2Decompressor, "bzip2", what)
    # A frame, or one that decoders skip; some tools begin with those.
    if head.startswith(b"\x28\xb5\x2f\xfd") or head[1:4] == b"\x2a\x4d\x18":
        return _Zstandard(source, what)
    return source


def is_compressed(head: bytes) -> bool:
    """Whether `decompressed` would change a stream that begins with `head`, six bytes."""
    stream = io.BytesIO(head)
    return not isinstance(decompressed(stream, ""), _Prefixed)


class _Prefixed:
    def __init__(self, head: bytes, stream: Stream) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._stream.read(size)

    def close(self) -> None:
        self._stream.close()


class _Inflater:
    """zlib's decompressor with the manners of lzma's and bz2's."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)
        self.needs_input = True

    def decompress(self, data: bytes, max_length: int) -> bytes:
        result = self._object.decompress(self._object.unconsumed_tail + data, max_length)
        # A full result may have left more in the decompressor than the tail shows.
        self.needs_input = not self._object.unconsumed_tail and len(result) < max_length
        return result

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data


class _Members:
    """A compressed stream of one or more members, one behind the other.

    Parallel compressors write several, and estargz one for each file.
    """

    def __init__(self, source: Stream, make: Callable[[], Any], kind: str, what: str) -> None:
        self._source = source
        self._make = make
        self._kind = kind
        self._what = what
        self._member: Optional[Any] = make()
        self._input = b""

    def read(self, size: int) -> bytes:
        while True:
            member = self._member
            if member is None:
                if not self._next():
                    return b""
                continue
            if not self._input and member.needs_input:
                self._input = self._source.read(_INPUT)
                if not self._input:
                    raise _damaged(self._what, f"the {self._kind} data ends too early")
            try:
                data: bytes = member.decompress(self._input, size)
            except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
                raise _damaged(self._what, f"{self._kind}: {error}") from None
            self._input = member.unused_data if member.eof else b""
            if member.eof:
                self._member = None
            if data:
                return data

    def _next(self) -> bool:
        """Start the next member, if there is one. Zeros between or behind them are padding."""
        while True:
            self._input = self._input.lstrip(b"\0")
            if self._input:
                self._member = self._make()
                return True
            self._input = self._source.read(_INPUT)
            if not self._input:
                return False

    def close(self) -> None:
        self._source.close()


class _Zstandard:
    def __init__(self, source: Stream, what: str) -> None:
        self._source = source
        self._what = what
        self._reader = zstandard.ZstdDecompressor().stream_reader(
cast(Any, source), read_size=_INPUT, read_across_frames=True)

    def read(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except zstandard.ZstdError as error:
            raise _damaged(self._what, str(error)) from None

    def close(self) -> None:
        self._source.close()


def _damaged(what: str, cause: str) -> LayerDamaged:
    return LayerDamaged(f"cannot unpack {what}: its compressed data is damaged ({cause})",
                        hint="fetch the image again; if that does not help, it was pushed damaged")


# -- a thread of its own


class ReadAhead:
    """`stream`, read by a thread that stays a few chunks ahead of the reader.

    Decompressing and hashing leave the interpreter to others, so this is a
    second processor's work. Use it in a `with` block; after the block nobody
    reads from `stream` any more.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ready: Deque[Union[bytes, BaseException]] = deque()
        self._change = threading.Condition()
        self._over = False
        self._rest = memoryview(b"")
        self._thread = threading.Thread(target=self._run, name="lpmx-read-ahead", daemon=True)

    def __enter__(self) -> "ReadAhead":
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        with self._change:
            self._over = True
            self._change.notify_all()
        self._thread.join()

    def read(self, size: int = CHUNK) -> bytes:
        if not self._rest:
            with self._change:
                self._change.wait_for(lambda: bool(self._ready))
                item = self._ready[0]
                if isinstance(item, BaseException):
                    raise item
                if item:  # the end stays, for whoever asks again
                    self._ready.popleft()
                    self._change.notify_all()
            if len(item) <= size:
                return item
            self._rest = memoryview(item)
        data, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return data

    def _run(self) -> None:
        while True:
            item: Union[bytes, BaseException]
            try:
                item = self._stream.read(CHUNK)
            except BaseException as error:  # the reader's to deal with
                item = error
            with self._change:
                self._change.wait_for(lambda: self._over or len(self._ready) < _AHEAD)
                if self._over:
                    return
                self._ready.append(item)
                self._change.notify_all()
            if not item or isinstance(item, BaseException):
                return
