"""Tars of layers, byte by byte: what no well-behaved writer would write as well."""
from __future__ import annotations

import hashlib
from typing import Mapping, Optional

BLOCK = 512
END = bytes(2 * BLOCK)


def header(name: bytes, *, kind: bytes = b"0", size: int = 0, mode: int = 0o644, uid: int = 0,
           gid: int = 0, mtime: int = 0, target: bytes = b"", major: int = 0, minor: int = 0,
           magic: bytes = b"ustar\x0000", prefix: bytes = b"") -> bytes:
    """One header block, of the ustar form unless `magic` says another."""
    block = bytearray(BLOCK)

    def put(at: int, length: int, value: bytes) -> None:
        assert len(value) <= length
        block[at:at + len(value)] = value

    put(0, 100, name)
    put(100, 8, b"%07o\0" % mode)
    put(108, 8, number(uid, 8))
    put(116, 8, number(gid, 8))
    put(124, 12, number(size, 12))
    put(136, 12, number(mtime, 12))
    put(156, 1, kind)
    put(157, 100, target)
    put(257, 8, magic)
    put(329, 8, b"%07o\0" % major)
    put(337, 8, b"%07o\0" % minor)
    put(345, 155, prefix)
    return sign(block)


def sign(block: bytes) -> bytes:
    """The block with the checksum it should have."""
    cleared = block[:148] + b" " * 8 + block[156:]
    return bytes(cleared[:148] + b"%06o\0 " % sum(cleared) + cleared[156:])


def number(value: int, length: int) -> bytes:
    """A numeric field: octal where that is wide enough, else base 256."""
    if 0 <= value < 8 ** (length - 1):
        return b"%0*o\0" % (length - 1, value)
    return bytes([0x80 if value >= 0 else 0xff]) + value.to_bytes(length - 1, "big", signed=value < 0)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def extended(records: Mapping[bytes, bytes], kind: bytes = b"x") -> bytes:
    """A PAX extended header for the member that follows; kind "g" is for all of them."""
    text = b""
    for key, value in records.items():
        length = len(key) + len(value) + 3
        while len(b"%d" % length) + len(key) + len(value) + 3 != length:
            length = len(b"%d" % length) + len(key) + len(value) + 3
        text += b"%d %s=%s\n" % (length, key, value)
    return header(b"PaxHeaders/x", kind=kind, size=len(text)) + padded(text)


def gnu_long(text: bytes, kind: bytes = b"L") -> bytes:
    """GNU's long name ("L") or long link target ("K") for the member that follows."""
    text += b"\0"
    return header(b"././@LongLink", kind=kind, size=len(text), magic=b"ustar  \0") + padded(text)


def file(name: bytes, content: bytes = b"", *, xattrs: Optional[Mapping[bytes, bytes]] = None,
         **fields: int) -> bytes:
    before = extended({b"SCHILY.xattr." + key: value for key, value in xattrs.items()}) \
        if xattrs else b""
    return before + header(name, size=len(content), **fields) + padded(content)


def directory(name: bytes, mode: int = 0o755, **fields: int) -> bytes:
    return header(name + b"/", kind=b"5", mode=mode, **fields)


def symlink(name: bytes, target: bytes) -> bytes:
    return header(name, kind=b"2", mode=0o777, target=target)


def link(name: bytes, target: bytes) -> bytes:
    return header(name, kind=b"1", target=target)


def device(name: bytes, kind: bytes, major: int, minor: int, mode: int = 0o666) -> bytes:
    """A character ("3") or block ("4") device, or a FIFO ("6")."""
    return header(name, kind=kind, major=major, minor=minor, mode=mode)


def whiteout(name: bytes) -> bytes:
    above, slash, last = name.rpartition(b"/")
    return file(above + slash + b".wh." + last, mode=0)


def opaque(name: bytes) -> bytes:
    return file((name + b"/" if name else b"") + b".wh..wh..opq", mode=0)


def tar(*members: bytes, end: bytes = END) -> bytes:
    return b"".join(members) + end


def diff_id(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
