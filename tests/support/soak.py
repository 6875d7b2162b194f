"""The results of `make soak`: rows that its tests record, kept and shown in the docs.

    python3 -m support.soak [--after COMMAND...]

Runs the command, if there is one, and whatever becomes of that takes the rows that were recorded since
(in this checkout and, for root, in the copy that support.prepare makes) over into
docs/reference/soak.json, and writes docs/reference/soak.md and docs/reference/programs.md from that. A
row replaces the older one of the same subject and what; all others stay, with their own date and
commit, so a part can be run alone.
"""
from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence, TextIO

from . import images, matrix, prepare

Row = Dict[str, Any]

CHECKOUT = images.CHECKOUT
TESTS = CHECKOUT / "tests" / "soak"
RESULTS = CHECKOUT / "docs" / "reference" / "soak.json"
PAGE = CHECKOUT / "docs" / "reference" / "soak.md"
MATRIX = CHECKOUT / "docs" / "reference" / "programs.md"
#: Rows that are not taken over yet; relative to a checkout.
RECORDED = Path(".cache", "soak-rows")

HEAD = """# What was run at length

Made by `make soak` from what the modules of `tests/soak` recorded; do not edit. Each row tells when, at
which commit and on which kernel it was last run.

| subject | what | count | result | time | date | commit | kernel |
|---|---|--:|---|--:|---|---|---|
"""


def row(subject: str, what: str, count: int, result: str, seconds: float, **more: object) -> Row:
    """A row as it is kept, but for the commit, which a copied checkout does not know."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"subject": subject, "what": what, "count": count, "result": result,
            "seconds": round(seconds), "date": now.strftime("%Y-%m-%d %H:%M"),
            "kernel": os.uname().release, **more}


def add(recorded: Row, checkout: Path = CHECKOUT) -> None:
    """Keep the row until `main` takes it over; several processes may do so at once."""
    with _opened(checkout) as file:
        file.write(json.dumps(recorded) + "\n")


def can_add(checkout: Path = CHECKOUT) -> bool:
    """Whether rows of this user are kept at all: to be known before hours of work."""
    try:
        _opened(checkout).close()
    except PermissionError:
        return False
    return True


def _opened(checkout: Path) -> TextIO:
    """The file of rows. Root's session and a user's both write it: whose checkout it is,
    that is the file's owner, too."""
    place = checkout / RECORDED
    place.parent.mkdir(exist_ok=True)
    file = place.open("a")
    if not os.geteuid():
        owner = checkout.stat()
        for each in (place.parent, place):
            os.chown(each, owner.st_uid, owner.st_gid)
    return file


def take(checkouts: Iterable[Path]) -> List[Row]:
    """All rows recorded in these checkouts, which forget them."""
    found: List[Row] = []
    for place in (checkout / RECORDED for checkout in checkouts):
        if place.exists():
            found += [json.loads(line) for line in place.read_text().splitlines()]
            place.unlink()
    return found


def merged(old: Iterable[Row], new: Iterable[Row]) -> List[Row]:
    """One row for each subject and what, the newest, in order."""
    rows = {(str(each["subject"]), str(each["what"])): each for each in [*old, *new]}
    return [rows[key] for key in sorted(rows)]


def page(rows: Iterable[Row]) -> str:
    """The document."""
    return HEAD + "".join(
        f"| {r['subject']} | {r['what']} | {r['count']:,} | {r['result']} | "
        f"{_duration(int(r['seconds']))} | {r['date']} | {r['commit']} | {r['kernel']} |\n"
        for r in rows)


def _duration(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def commit() -> str:
    """What is checked out; "-dirty" behind it if something is changed."""
    done = subprocess.run(
        ["git", "-c", f"safe.directory={CHECKOUT}", "-C", str(CHECKOUT), "describe", "--always",
         "--exclude=*", "--dirty"], stdout=subprocess.PIPE, text=True)
    return done.stdout.strip() or "unknown"


def run(command: Sequence[str]) -> int:
    """Run it to its end, telling it if we are to end; its exit status."""
    child = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal tells the command, too
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    code = child.wait()
    return 128 - code if code < 0 else code


def main() -> int:
    reader = argparse.ArgumentParser()
    reader.add_argument("--after", nargs=argparse.REMAINDER, default=[])
    after = reader.parse_args().after
    code = run(after) if after else 0
    keep()
    return code


def keep() -> None:
    """Take over what was recorded, and write the pages."""
    places = [CHECKOUT] + ([prepare.place(CHECKOUT)] if not os.getuid() else [])
    new = take(places)
    for each in new:
        each["commit"] = commit()
    old = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    rows = merged(old, new)
    # a line a row, so that rows of two people can be merged
    RESULTS.write_text("[\n" + ",\n".join(json.dumps(each) for each in rows) + "\n]\n")
    PAGE.write_text(page(rows))
    MATRIX.write_text(matrix.page(rows))


if __name__ == "__main__":
    sys.exit(main())
