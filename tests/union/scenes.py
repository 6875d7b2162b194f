"""The layers that most scenarios begin with: everything an image can do to a path."""
from __future__ import annotations

from dataclasses import replace
from typing import List

from .layers import (LONG_AGO, WHITEOUT, Layer, device, directory, fifo, link, opaque, regular,
                    same_as)

HOLE = b"begin" + bytes(200_000) + b"end"


def image() -> List[Layer]:
    """Three layers: a base, one that takes away and replaces, one that puts back."""
    base: Layer = {
        "": directory(),
        "proc": directory(0o555),
        "tmp": directory(0o1777),
        "keep": directory(),
        "keep/old": regular(b"kept"),
        "keep/stay": directory(),
        "keep/stay/a": regular(b"stays"),
        "usr": directory(),
        "usr/bin": directory(),
        "usr/bin/tool": regular(b"#!/bin/sh\necho tool\n", 0o755),
        "usr/bin/su": regular(b"set user id", 0o4755),
        "usr/bin/wall": regular(b"set group id", 0o2755, gid=5),
        "usr/lib": directory(),
        "usr/lib/x.so": regular(b"x" * 5000),
        "usr/lib/sub": directory(),
        "usr/lib/sub/y": regular(b"y"),
        "bin": link("usr/bin"),
        "lib": link("/usr/lib"),
        "etc": directory(),
        "etc/hosts": regular(b"127.0.0.1 localhost\n"),
        "etc/shadow": regular(b"secret", 0o640, gid=42),
        "etc/readonly": regular(b"look", 0o444),
        "etc/nothing": regular(b"hidden", 0o000),
        "etc/conf.d": directory(),
        "etc/conf.d/a": regular(b"a"),
        "etc/conf.d/b": regular(b"b"),
        "etc/conf.d/c": regular(b"c"),
        "data": directory(0o755, uid=33, gid=33),
        "data/one": regular(b"one", uid=33, gid=33, xattrs={"user.note": b"first"}),
        "data/two": regular(b"two"),
        "data/sparse": regular(HOLE, mtime=LONG_AGO + 5),
        "data/h1": regular(b"many names", mtime=LONG_AGO + 7),
        "data/h2": same_as("data/h1"),
        "data/empty": directory(0o700),
        "deep": directory(),
        "deep/a": directory(),
        "deep/a/b": directory(),
        "deep/a/b/c": directory(),
        "deep/a/b/c/leaf": regular(b"leaf"),
        "links": directory(),
        "links/absolute": link("/etc/hosts"),
        "links/relative": link("../data/one"),
        "links/directory": link("/etc/conf.d"),
        "links/up": link(".."),
        "links/chain": link("absolute"),
        "links/loop1": link("loop2"),
        "links/loop2": link("loop1"),
        "links/dangling": link("/nowhere/at/all"),
        "links/newfile": link("../tmp/made"),
        "special": directory(),
        "special/pipe": fifo(),
        "special/null": device(1, 3, 0o666),
        "over": directory(),
        "over/old1": regular(b"old"),
        "over/old2": directory(),
        "over/old2/x": regular(b"x"),
        "swap1": directory(),
        "swap1/inside": regular(b"inside"),
        "swap2": regular(b"was a file"),
        "gone": directory(),
        "gone/file": regular(b"gone"),
        "back": directory(),
        "back/old": regular(b"old"),
    }
    second: Layer = {
        "etc": directory(),
        "etc/conf.d": directory(0o750),
        "etc/conf.d/b": WHITEOUT,
        "etc/conf.d/d": regular(b"d"),
        "etc/conf.d/.wh.looks": regular(b"not a whiteout") if False else regular(b"e", 0o600),
        "data": directory(0o755, uid=33, gid=33),
        "data/two": regular(b"two, again", 0o600),
        "over": opaque(),
        "over/new": regular(b"new"),
        "swap1": regular(b"is a file now"),
        "swap2": directory(),
        "swap2/inside": regular(b"inside now"),
        "gone": WHITEOUT,
        "back": WHITEOUT,
        "usr": directory(),
        "usr/lib": directory(),
        "usr/lib/z.so": regular(b"z"),
        "deep": directory(),
        "deep/a": directory(),
        "deep/a/b": directory(),
        "deep/a/b/second": regular(b"2"),
    }
    del second["etc/conf.d/.wh.looks"]
    third: Layer = {
        "etc": directory(),
        "etc/conf.d": directory(0o755),
        "etc/conf.d/b": regular(b"b is back"),
        "etc/conf.d/c": WHITEOUT,
        "back": directory(0o711),
        "back/new": regular(b"new"),
        "deep": directory(),
        "deep/a": directory(),
        "deep/a/b": directory(),
        "deep/a/b/third": regular(b"3", 0o640, uid=1000, gid=1000),
    }
    return [base, second, third]


def ordinary(layers: List[Layer]) -> List[Layer]:
    """The same layers with nothing in them that an ordinary user cannot have on disk, nor
    hard links, which are known only of indexed layers: files are in their places."""
    plain: List[Layer] = []
    for layer in layers:
        plain.append({path: replace(thing, uid=0, gid=0, mode=(thing.mode & 0o777) | 0o700,
                                    kind={"device": "regular", "hardlink": "regular"}.get(
                                        thing.kind, thing.kind))
                      for path, thing in layer.items()})
    return plain
