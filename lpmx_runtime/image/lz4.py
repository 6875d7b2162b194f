"""One block in LZ4 (the block format of lz4.github.io), as squashfs has them: without a frame.

Python's library has none, and what is compressed so is rare: slow, and no dependency.
"""
from __future__ import annotations


class Damaged(ValueError):
    """The data is no block of its kind, or a larger one than was expected."""


def decompress(data: bytes, limit: int) -> bytes:
    """What `data` was made of; raises `Damaged` if that is more than `limit` bytes."""
    out, at = bytearray(), 0
    try:
        while True:
            token = data[at]
            at += 1
            literal, at = _length(data, at, token >> 4)
            if at + literal > len(data):
                raise Damaged("literals are cut short")
            out += data[at:at + literal]
            at += literal
            if at == len(data):
                break
            offset = data[at] | data[at + 1] << 8
            match, at = _length(data, at + 2, token & 15)
            match += 4
            if not 0 < offset <= len(out) or len(out) + match > limit:
                raise Damaged("a copy goes too far")
            start = len(out) - offset
            if offset >= match:
                out += out[start:start + match]
            else:
                out += (bytes(out[start:]) * (match // offset + 1))[:match]
    except IndexError:
        raise Damaged("it is cut short") from None
    if len(out) > limit:
        raise Damaged("it is too long")
    return bytes(out)


def _length(data: bytes, at: int, nibble: int) -> "tuple[int, int]":
    """A length that may go on in bytes of 255; and where it ends."""
    if nibble < 15:
        return nibble, at
    while True:
        byte = data[at]
        at += 1
        nibble += byte
        if byte != 255:
            return nibble, at
