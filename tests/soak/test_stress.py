"""A thousand rounds of threads, signals, forks and jumps, in every kind of view; of Go, too."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Callable, Iterator

import pytest
from languages.compare import Places
from languages.programs import GO_SOURCE, IMAGE
from languages.suites import WAYS
from programs.test_programs import REWRITTEN, VIEWS, Bench
from programs.test_programs import bench as bench  # a fixture
from programs.test_programs import comparable

ROUNDS = 1000

#: Programs of tests/programs whose subject are signals, and how they are linked.
SIGNALS = [(name, linking) for name, linkings in (
    ("sigsys", ("dynamic", "static", "musl-static")), ("interrupted", ("dynamic", "static", "musl")),
    ("waits", ("dynamic", "musl-static")), ("altstack", ("dynamic", "musl-static")),
    ("cancel", ("dynamic", "static"))) for linking in linkings]

#: How programs of Go are linked -> how they are made.
GO = {"static": "CGO_ENABLED=0 go build -o", "PIE": "go build -buildmode=pie -o",
      "cgo": "CGO_ENABLED=1 go build -tags netcgo,osusergo=false -o",
      "race detector": "CGO_ENABLED=1 go build -race -o"}

GO_ROUNDS = r"""
right=0; for i in $(seq %d); do
    said=$(timeout 60 ./program 2>&1) && [ "$said" = "$want" ] && right=$((right+1)) || printf '%%s\n' "$said" | tail -n 40
done; echo "right $right"
"""


@pytest.mark.parametrize("view", [*VIEWS, REWRITTEN])
@pytest.mark.parametrize("linking", ["dynamic", "static", "musl-static"])
def test_a_thousand_rounds(bench: Bench, record: Callable[..., None], view: str,
                           linking: str) -> None:
    """No wrong answer, no descriptor left, no deadlock (tests/programs/stress.c)."""
    program = Path(bench.program("stress", linking))
    said, count = "", 0
    for _ in range(ROUNDS // 50):
        done = bench.run([str(program)], view, ROUNDS="50")
        said = f"{done.returncode} {done.stdout}"
        if said != "0 descriptors left: 0\nfailures: 0\n":
            break
        count += 50
    record("stress", f"rounds, {linking}, {view}", count, "right" if count == ROUNDS else said)
    assert ROUNDS == count, said


@pytest.mark.parametrize("view", [*VIEWS, REWRITTEN])
@pytest.mark.parametrize("name, linking", SIGNALS)
def test_signals_a_thousand_times(bench: Bench, record: Callable[..., None], name: str,
                                  linking: str, view: str) -> None:
    """No start of a program about signals ends otherwise than outside, and none hangs."""
    program = str(bench.program(name, linking))
    outside = bench.run([program])
    expected = said = f"{outside.returncode} {comparable(outside.stdout)}"
    count = 0
    while count < ROUNDS and said == expected:
        done = bench.run([program], view)
        said = f"{done.returncode} {comparable(done.stdout)}"
        count += said == expected
    record("stress", f"{name}, {linking}, {view}", count, "right" if count == ROUNDS else said)
    assert (ROUNDS, expected) == (count, said)


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    made = Places()
    yield made
    made.close()


@pytest.mark.root
@pytest.mark.parametrize("kind", GO)
@pytest.mark.parametrize("way", [*WAYS, REWRITTEN])
def test_go_a_thousand_times(places: Places, record: Callable[..., None], way: str, kind: str) -> None:
    """Goroutines, programs started, signals for all and a profiler: each run is right, and none hangs."""
    place = places(IMAGE, way, True)
    printed = place.run(f"{GO_SOURCE}{GO[kind]} program . && {GO_ROUNDS % ROUNDS}").output
    found = re.search(r"^right (\d+)$", printed, re.MULTILINE)
    count = int(found[1]) if found else 0
    record("stress", f"Go, {kind}, {way}", count, "right" if count == ROUNDS else printed[-500:])
    assert ROUNDS == count, printed[-5000:]
