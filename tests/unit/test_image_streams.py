"""The way of a layer's bytes: decompressed, verified, read ahead."""
from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import random
import threading
from typing import Callable

import pytest
import zstandard

from lpmx_runtime.errors import DigestMismatch, LayerDamaged
from lpmx_runtime.image.streams import (
    CHUNK,
    ReadAhead,
    Verified,
    decompressed,
    is_compressed,
    pieces,
)

CONTENT = random.Random(5).randbytes(300_000) + bytes(3 << 20) + b"end"


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def zstd_unsized(data: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return compressor.compress(data) + compressor.flush()


SKIPPABLE = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"words"

COMPRESS = {"gzip": gzip.compress, "zstd": zstd, "unsized zstd": zstd_unsized,
            "xz": lzma.compress, "bzip2": bz2.compress}


class Trickle(io.RawIOBase):
    """A stream that gives a few bytes at a time, as networks do."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self._random = random.Random(7)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, self._random.choice((1, 2, 3, 5000, 100_000))))


def content(data: bytes) -> bytes:
    return b"".join(pieces(decompressed(Trickle(data), "layer 1")))


@pytest.mark.parametrize("kind", COMPRESS)
def test_compression_is_told_by_the_first_bytes(kind: str) -> None:
    """Whatever the media type said."""
    assert CONTENT == content(COMPRESS[kind](CONTENT))
    assert is_compressed(COMPRESS[kind](CONTENT)[:6])


@pytest.mark.parametrize("data", [b"", b"a", b"short", CONTENT])
def test_what_is_not_compressed_comes_as_it_is(data: bytes) -> None:
    """Also a stream too short to tell."""
    assert data == content(data)
    assert not is_compressed(data[:6])


@pytest.mark.parametrize("kind", COMPRESS)
def test_several_members_are_one_stream(kind: str) -> None:
    """Parallel compressors write many, and estargz one a file."""
    compress = COMPRESS[kind]
    parts = [CONTENT[:10], b"", CONTENT[10:1000], CONTENT[1000:]]

    assert CONTENT == content(b"".join(compress(part) for part in parts))


def test_many_small_members() -> None:
    """Ten thousand of them, as in an image in estargz form."""
    parts = [b"%d\n" % number for number in range(10_000)]

    assert b"".join(parts) == content(b"".join(gzip.compress(part, 1) for part in parts))


def test_zstd_may_have_frames_to_skip() -> None:
    """Before, between and after the others; they say things to other tools."""
    data = SKIPPABLE + zstd(CONTENT[:99]) + SKIPPABLE + zstd(CONTENT[99:]) + SKIPPABLE

    assert CONTENT == content(data)


def test_zeros_after_compressed_data_are_padding() -> None:
    """Some tools fill their last block."""
    assert CONTENT == content(gzip.compress(CONTENT) + bytes(1000))


@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
@pytest.mark.parametrize("cut", [7, 1000, -1])
def test_compressed_data_that_ends_too_early_is_damaged(kind: str, cut: int) -> None:
    """Never a short layer without a word."""
    with pytest.raises(LayerDamaged, match="cannot unpack layer 1: its compressed data is damaged "
                                           r"\(the .* data ends too early\)"):
        content(COMPRESS[kind](CONTENT)[:cut])


@pytest.mark.parametrize("kind", COMPRESS)
def test_compressed_data_with_a_wrong_byte_is_damaged(kind: str) -> None:
    """Or its content differs, which the diff ID shows."""
    data = bytearray(COMPRESS[kind](CONTENT))
    data[len(data) // 2] ^= 0xff
    try:
        assert CONTENT != content(bytes(data))
    except LayerDamaged as error:
        assert "cannot unpack layer 1: its compressed data is damaged" in error.message


def test_rubbish_after_compressed_data_is_damage() -> None:
    """What is no member and no padding."""
    with pytest.raises(LayerDamaged):
        content(gzip.compress(CONTENT) + b"rubbish")


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_a_bomb_does_not_fill_the_memory(compress: Callable[[bytes], bytes]) -> None:
    """No read gives more than was asked for, whatever a few bytes stand for."""
    stream = decompressed(io.BytesIO(compress(bytes(200 << 20))), "layer 1")

    assert {True} == {len(piece) <= CHUNK for piece in pieces(stream)}


# -- verified


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def verified(data: bytes, name: str, size: int) -> bytes:
    return b"".join(pieces(Verified(Trickle(data), name, size, "layer 1", failing="cannot do it")))


def test_verified_bytes_pass() -> None:
    """All of them."""
    assert CONTENT == verified(CONTENT, digest(CONTENT), len(CONTENT))


@pytest.mark.parametrize("data, size, cause", [
    (b"x" + CONTENT[1:], len(CONTENT), "the bytes of layer 1 hash to sha256:"),
    (CONTENT[:-1], len(CONTENT), f"layer 1 has {len(CONTENT) - 1} of the {len(CONTENT)} bytes"),
    (CONTENT + b"x", len(CONTENT), f"layer 1 has more than the {len(CONTENT)} bytes"),
])
def test_other_bytes_do_not(data: bytes, size: int, cause: str) -> None:
    """Changed, too few, too many."""
    with pytest.raises(DigestMismatch) as refused:
        verified(data, digest(CONTENT), size)

    assert refused.value.message.startswith("cannot do it: ")
    assert cause in refused.value.message


# -- read ahead


def test_reading_ahead_changes_nothing() -> None:
    """The same bytes, in pieces no larger than asked for."""
    with ReadAhead(Trickle(CONTENT)) as ahead:
        parts = []
        while True:
            part = ahead.read(777_777)
            if not part:
                break
            assert len(part) <= 777_777
            parts.append(part)

        assert CONTENT == b"".join(parts)
        assert b"" == ahead.read(1)


class Endless:
    """A stream without end that counts what was read."""

    def __init__(self) -> None:
        self.count = 0

    def read(self, size: int) -> bytes:
        self.count += 1
        return bytes(size)

    def close(self) -> None:
        pass


def test_reading_ahead_is_bounded_and_ends() -> None:
    """A few chunks, not the whole layer; after the block nobody reads any more."""
    source = Endless()
    before = threading.active_count()

    with ReadAhead(source) as ahead:
        assert bytes(CHUNK) == ahead.read(CHUNK)
    count = source.count

    assert count <= 8
    assert before == threading.active_count()
    assert count == source.count


class Failing:
    """A stream that breaks."""

    def read(self, size: int) -> bytes:
        raise DigestMismatch("the end")

    def close(self) -> None:
        pass


def test_an_error_of_the_stream_reaches_the_reader() -> None:
    """Each time it asks."""
    with ReadAhead(Failing()) as ahead:
        for _ in range(2):
            with pytest.raises(DigestMismatch, match="the end"):
                ahead.read(1)
