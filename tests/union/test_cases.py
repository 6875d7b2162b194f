"""Single operations and short stories, in every world."""
from __future__ import annotations

import os
from dataclasses import replace
from typing import Iterator

import pytest

from . import cases, cases_descriptors, cases_executed, cases_rights
from .layers import device, directory, fifo, regular
from .operations import HERE, PATH
from .scenario import answers_of, compared, differences
from .scenes import image, ordinary
from .worlds import SANITIZERS, Bench, identity

pytestmark = pytest.mark.root

CASES = {**cases.CASES, **cases_descriptors.CASES, **cases_rights.CASES}


@pytest.fixture(scope="module")
def indexed() -> Iterator[Bench]:
    """An image of three layers, in a plain directory, on overlayfs and in our view; there
    also through the core under sanitizers."""
    with Bench(image(), ["plain", "overlay", "python", "trap", "rewritten", "preload", *SANITIZERS]) as bench:
        yield bench


@pytest.fixture(scope="module")
def live() -> Iterator[Bench]:
    """A directory that is not indexed, as the machine's own "/" is for the image `host`."""
    with Bench(ordinary(image()), ["plain", "overlay", "live"]) as bench:
        yield bench


@pytest.fixture(scope="module")
def overlaid() -> Iterator[Bench]:
    """The same image on overlayfs alone and in our view."""
    with Bench(image(), ["overlay", "python", "trap"]) as bench:
        yield bench


@pytest.mark.parametrize("case", CASES)
def test_case_is_as_in_a_plain_directory(indexed: Bench, case: str) -> None:
    """Results, errors, metadata and the whole tree are those of the kernel."""
    assert [] == differences(indexed, CASES[case])


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("hard link")])
def test_case_is_as_in_a_plain_directory_over_a_live_one(live: Bench, case: str) -> None:
    """The same over a lower layer that is a directory of the machine."""
    assert [] == differences(live, CASES[case])


@pytest.fixture(scope="module")
def executing() -> Iterator[Bench]:
    """The image with programs in it, in those worlds in which they can be executed."""
    with Bench([*image(), cases_executed.layer()], ["plain", "overlay", "trap", "rewritten", "preload"]) as bench:
        yield bench


@pytest.mark.parametrize("case", cases_executed.EXECUTED)
def test_what_is_executed_is_as_in_a_plain_directory(executing: Bench, case: str) -> None:
    """By names and by descriptors, which may be all that is left of a program."""
    assert [] == differences(executing, cases_executed.EXECUTED[case])


@pytest.mark.parametrize("case", cases_rights.OVERLAY_CASES)
def test_case_is_as_on_overlayfs(overlaid: Bench, case: str) -> None:
    """What overlayfs does otherwise than other file systems is done as there."""
    operations = cases_rights.OVERLAY_CASES[case]
    assert [] == compared(operations, answers_of(overlaid, operations), overlaid.most_links)


def test_what_is_another_s_is_not_opened_with_o_creat_without_the_root_illusion() -> None:
    """In a sticky directory that all may write to, O_CREAT of a device or file of another is refused."""
    uid, gid = identity()
    layer = {"": directory(), "proc": directory(0o555), "tmp": directory(0o1777), "tmp/null": replace(device(1, 3, 0o666), uid=7),
             "tmp/fifo": replace(fifo(0o666), uid=7), "tmp/file": regular(b"x", 0o666, uid=7), "tmp/root": regular(b"x", 0o666), "tmp/own": regular(b"x", uid=uid, gid=gid)}

    with Bench([layer], ["plain", "self"]) as bench:
        plain, ours = bench.fresh()
        plain.ask(("become", uid, gid))

        for path in ("/tmp/null", "/tmp/fifo", "/tmp/file", "/tmp/root", "/tmp/own", "/tmp/new", "/tmp/new"):
            for flags in (0, PATH, os.O_CREAT, os.O_CREAT | os.O_EXCL):
                operation = ("open", 1, HERE, path, os.O_RDWR | os.O_NONBLOCK | flags, 0o600)
                assert (operation, plain.ask(operation)) == (operation, ours.ask(operation))
