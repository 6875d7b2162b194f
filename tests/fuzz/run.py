"""The core's readers under libFuzzer: `fuzz_core.py [SECONDS [TARGET...]]`, or `make fuzz`.

Each target runs for SECONDS (60) under AddressSanitizer and UBSan, from seeds that a small
container gives; then come the readers of a store in Python, from seeds of theirs. What is
found stays in the directory that is named. Needs clang with its run-time libraries.
"""
from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, Tuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from lpmx_runtime._native import View  # noqa: E402
from lpmx_runtime.errors import LpmxError  # noqa: E402
from lpmx_runtime.store import entries  # noqa: E402
from union.bare import Bare  # noqa: E402
from union.hosted import HERE as UNION  # noqa: E402
from union.hosted import hosted  # noqa: E402
from union.scenes import image  # noqa: E402

TARGETS = ["INDEX", "CONTROL", "VIEW", "PATHS"]


def _lived_in(view: View) -> None:
    """Some changes, so that the upper has whatever it can have."""
    view.unlink("/etc/conf.d/a")
    view.symlink("../etc", "/tmp/link")
    view.rename("/deep", "/moved")
    view.write("/etc/hosts", b"changed")
    view.environment_set("A", "live")
    view.exec_map_set("/usr/bin/x", "host:/bin/true")


def _seeds(bare: Bare, target: str, place: Path) -> None:
    place.mkdir()
    if target == "INDEX":
        (place / "index").write_bytes(bare.index.read_bytes())
    elif target == "VIEW":
        (place / "view").write_bytes(bare.file.read_bytes())
        text = b"lpmx-view 1\0kind\0container\0layer\0/\0uid\0" + b"0\0bind\0rw\0/proc\0/proc\0"
        (place / "small").write_bytes(text)
    elif target == "PATHS":
        for number, path in enumerate(["/etc/../etc/./hosts", "/links/loop1/x", "links/up/links/chain",
                                       "/tmp/link/hosts", "/moved/a/b/c/leaf", "//./..//data/h1/",
                                       "/proc/self/cwd/etc", "/proc/self/root/../etc"]):
            (place / str(number)).write_text(path)
    else:
        (place / "none").write_bytes(b"\1\0\0\0" + bytes(8))
        (place / "two").write_bytes(b"\x21\0\0\0\xff\xff\x7f\0\0\0\0\0" * 2)


def fuzz_core(bare: Bare, target: str, seconds: int) -> Tuple[int, str]:
    """Executions, and "" or where that is which made it fail."""
    program = hosted(os.path.relpath(HERE / "fuzz_core.c", UNION), compiler="clang",
                     sanitize="address,undefined,fuzzer-no-link",
                     options=[f"-DTARGET={target}", "-fsanitize=fuzzer", "-w"])
    found = Path(tempfile.mkdtemp(prefix=f"lpmx-fuzz-{target.lower()}-"))
    _seeds(bare, target, found / "corpus")
    done = subprocess.run(
        [str(program), f"-max_total_time={seconds}", "-print_final_stats=1", "-timeout=10",
         "-rss_limit_mb=4096", f"-artifact_prefix={found}/", str(found / "corpus")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env={**os.environ, "LPMX_FUZZ_VIEW": str(bare.file), "LPMX_FUZZ_CONTROL": str(bare.control),
             "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"})
    runs = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    (found / "log").write_text(done.stdout)
    return int(runs.group(1)) if runs else 0, "" if not done.returncode else str(found)


def _mutated(chance: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.choice([1, 1, 2, 8])):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(5)
        if kind == 0 and data:
            data[at % len(data)] = chance.randrange(256)
        elif kind == 1:
            data[at:at] = chance.choice([b"\n", b" ", b"/", b"..", b"\0", b"-1", b"9" * 30, b'"', b"\\",
                                         b"{", b"[", b"null", b".wh.", b"\xff"])
        elif kind == 2:
            del data[at:at + chance.randrange(1, 20)]
        elif kind == 3:
            data[at:at] = data[:chance.randrange(1, 60)]
        else:
            del data[at:]
    return bytes(data)


def fuzz_entries(bare: Bare, seconds: int) -> Tuple[int, str]:
    """The list of a layer's entries, however damaged: read, or one of our errors."""
    place = Path(tempfile.mkdtemp(prefix="lpmx-fuzz-entries-")) / "list"
    seeds = [path.read_bytes() for path in _lists(bare)]
    chance, runs, end = random.Random(1), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = _mutated(chance, chance.choice(seeds))
        place.write_bytes(data)
        runs += 1
        try:
            for _ in entries.read_entries(place):
                pass
            entries.read_attributes(place)
        except LpmxError:
            continue
        except Exception as error:
            return runs, f"{place}: {type(error).__name__}: {error}"
    return runs, ""


def _lists(bare: Bare) -> List[Path]:
    return [bare.store.layers.entries(diff_id) for diff_id in bare.diff_ids]


PYTHON: Dict[str, Callable[[Bare, int], Tuple[int, str]]] = {"entries": fuzz_entries}


def main() -> int:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    wanted = sys.argv[2:] or [*TARGETS, *PYTHON]
    failed = 0
    with Bare(image()) as bare:
        with bare.view() as view:
            _lived_in(view)
        for target in wanted:
            runs, where = (PYTHON[target](bare, seconds) if target in PYTHON
                           else fuzz_core(bare, target, seconds))
            print(f"{target}: {runs:,} executions: {where or 'nothing found'}", flush=True)
            failed += bool(where)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
