"""Parts of files."""
from __future__ import annotations

import os


def read_at(fd: int, at: int, size: int) -> bytes:
    """The `size` bytes of an open file that begin at `at`; fewer only where the file ends.

    Raises OSError.
    """
    data = b""
    while len(data) < size:
        piece = os.pread(fd, size - len(data), at + len(data))
        if not piece:
            break
        data += piece
    return data
