"""One block in LZO1X (Documentation/staging/lzo.rst of the kernel), as squashfs has them.

Python's library has none, and what is compressed so is rare: slow, and no dependency.
"""
from __future__ import annotations

from .lz4 import Damaged


class _Block:
    """What is read, and what it was made of so far."""

    def __init__(self, data: bytes, limit: int) -> None:
        self.data, self.limit = data, limit
        self.at = 0
        self.out = bytearray()

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def word(self) -> int:
        return self.byte() | self.byte() << 8

    def length(self, bits: int, mask: int) -> int:
        """A length in the `mask`'s bits of an instruction, or if they are 0 behind it."""
        if bits & mask:
            return bits & mask
        length = mask
        while True:
            byte = self.byte()
            if byte:
                return length + byte
            length += 255
            if length > self.limit:
                raise Damaged("a length goes too far")

    def literals(self, count: int) -> None:
        if self.at + count > len(self.data) or len(self.out) + count > self.limit:
            raise Damaged("literals are cut short")
        self.out += self.data[self.at:self.at + count]
        self.at += count

    def copy(self, distance: int, count: int) -> None:
        if not 0 < distance <= len(self.out) or len(self.out) + count > self.limit:
            raise Damaged("a copy goes too far")
        start = len(self.out) - distance
        part = bytes(self.out[start:start + min(distance, count)])
        self.out += (part * (count // distance + 1))[:count]


def decompress(data: bytes, limit: int) -> bytes:
    """What `data` was made of; raises `Damaged` if that is more than `limit` bytes."""
    block = _Block(data, limit)
    try:
        _run(block)
    except IndexError:
        raise Damaged("it is cut short") from None
    return bytes(block.out)


def _run(block: _Block) -> None:
    # how many literals the instruction before has copied; 4: more than three
    state = 0
    if block.data[0] > 17:
        count = block.byte() - 17
        block.literals(count)
        state = min(count, 4)
    while True:
        code = block.byte()
        if code < 16 and not state:
            block.literals(block.length(code, 15) + 3)
            state = 4
            continue
        if code < 16:
            distance = (block.byte() << 2) + (code >> 2) + 1
            if state == 4:
                block.copy(distance + 2048, 3)
            else:
                block.copy(distance, 2)
            state = code & 3
        elif code < 32:
            count = block.length(code, 7) + 2
            word = block.word()
            distance = 16384 + ((code & 8) << 11) + (word >> 2)
            if distance == 16384:
                return
            block.copy(distance, count)
            state = word & 3
        elif code < 64:
            count = block.length(code, 31) + 2
            word = block.word()
            block.copy((word >> 2) + 1, count)
            state = word & 3
        else:
            count = 3 + (code >> 5 & 1) if code < 128 else 5 + (code >> 5 & 3)
            block.copy((block.byte() << 3) + (code >> 2 & 7) + 1, count)
            state = code & 3
        block.literals(state)
