"""What commands print: tables and JSON for results, progress and notes for people."""
from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import Any, Iterable, Iterator, Sequence

from ..progress import Sink, amount


def print_json(value: Any) -> None:
    """`value` as one JSON document on standard output."""
    json.dump(value, sys.stdout, indent=2, sort_keys=False)
    print()


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows in aligned columns, as wide as they need to be. What cells say may come from
    anybody's image or registry: nothing in them commands the terminal."""
    lines = [[_printable(str(cell)) for cell in row] for row in (headings, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def say(text: str) -> None:
    """One line of talk."""
    print(text, file=sys.stderr)


def size(number: float) -> str:
    """Bytes for people."""
    return amount(number, "bytes")


def ago(moment: float) -> str:
    """How long ago `moment` (seconds since 1970) was."""
    seconds = max(0.0, time.time() - moment)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Sink]:
    """A sink that draws on standard error while the block runs."""
    from ..progress import TerminalProgress, ignore
    if quiet:
        yield ignore
        return
    drawn = TerminalProgress()
    try:
        yield drawn
    finally:
        drawn.close()


def write_out(path: str, pieces: Iterable[bytes], *, what: str) -> None:
    """Write `pieces` to the file `path`, which appears whole or not at all; "-" is
    standard output, unless that is a terminal."""
    import os
    import stat

    from ..errors import InvalidSetting, WriteFailed
    from ..store.files import write_file
    if path == "-":
        if sys.stdout.isatty():
            raise InvalidSetting(f"cannot write {what}: it would go to the terminal",
                                 hint="name a file with --output, or redirect the output")
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    from pathlib import Path
    file = Path(path)
    try:
        if file.exists() and not stat.S_ISREG(file.stat().st_mode):
            with open(file, "wb") as special:   # a pipe, a device: nothing to put in its place
                special.writelines(pieces)
        else:
            write_file(Path(os.path.realpath(file)), pieces, shared=False)
    except OSError as error:
        raise WriteFailed(f'cannot write {what} to "{path}": '
                          f"{os.strerror(error.errno or 0).lower()}",
                          hint="check the directory, and that there is space in it") from error
