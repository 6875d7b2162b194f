"""Does what caller.c does, through the core's Python binding: `cffi_door.py VIEW`."""
from __future__ import annotations

import sys

from lpmx_runtime._native import View

_ROOM = 65536


def main() -> None:
    """Answer requests from standard input until it ends."""
    out = sys.stdout.buffer
    with View(sys.argv[1]) as view:
        for line in sys.stdin.buffer:
            words = line.split()
            if not words:
                out.flush()
                continue
            args, rooms = [], []
            for word in words[1:]:
                if word[:1] == b"=":
                    args.append(bytes.fromhex(word[1:].decode()) + b"\0")
                elif word[:1] == b"+":
                    rooms.append(bytearray(int(word[1:])))
                    args.append(rooms[-1])
                else:
                    args.append(int(word))
            result = view.call(int(words[0]), *args)
            out.write(b" ".join([b"%d" % result] + [room.hex().encode() for room in rooms]) + b"\n")


if __name__ == "__main__":
    main()
