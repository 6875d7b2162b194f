"""Attributes of what the index of the layers says to have none."""
from __future__ import annotations

import errno
import os
import struct
import zlib
from typing import Callable, Iterator, List, Union

import pytest
from lpmx_runtime import _native
from lpmx_runtime._native import View
from lpmx_runtime.store.index_format import BARE, ENTRY, HEADER, SUMMED

from .bare import Bare
from .cases import ACCESS
from .layers import Layer, directory, fifo, link, regular, same_as

NR_SETRESUID = 117
NAMES = ["user.x", "user.note", "security.capability", "security.selinux", "trusted.x", ACCESS,
         "system.other", "user.overlay.opaque", "user.lpmx.inode"]


@pytest.fixture
def bare() -> Iterator[Bare]:
    layer: Layer = {
        "": directory(), "proc": directory(0o555), "d": directory(), "d/first": regular(b"1"),
        "d/other": regular(b"2"), "d/noted": regular(b"3", xattrs={"user.note": b"said"}),
        "d/same": same_as("d/other"), "d/closed": regular(b"4", 0o600), "link": link("d/other"),
        "pipe": fifo(), "e": directory(xattrs={"user.note": b"said"}), "e/f": regular(b"5")}
    with Bare([layer, {"e/g": regular(b"6")}]) as bare:
        yield bare


def _told(view: View, path: str) -> List[Union[bytes, str, List[str]]]:
    """What each question about attributes is answered with."""
    def answer(ask: Callable[[], Union[bytes, List[str]]]) -> Union[bytes, str, List[str]]:
        try:
            return ask()
        except OSError as error:
            return errno.errorcode[error.errno or 0]

    return [answer(lambda: sorted(view.listxattr(path))),
            *(answer(lambda name=name: view.getxattr(path, name)) for name in NAMES)]  # type: ignore[misc]


def _forget(bare: Bare) -> None:
    """Have the index as it was before it said what has none."""
    data = bytearray(bare.index.read_bytes())
    head = HEADER.unpack_from(data)
    for at in range(head[10], head[10] + head[5] * ENTRY.size, ENTRY.size):
        row = list(ENTRY.unpack_from(data, at))
        row[6] &= ~BARE
        ENTRY.pack_into(data, at, *row)
    struct.pack_into("<Q", data, 24, zlib.crc32(data[SUMMED:]))
    bare.index.write_bytes(data)
    assert _native.index_check(bare.index) is None


PATHS = ["", "/d", "/d/first", "/d/other", "/d/noted", "/d/same", "/d/closed", "/link", "/pipe", "/e",
         "/e/f", "/e/g", "/absent", "/d/absent", "/d/other/x"]


@pytest.mark.parametrize("uid", [0, 1000])
def test_an_index_that_does_not_say_it_gives_the_same_answers(bare: Bare, uid: int) -> None:
    """The layers are asked, as before it could be said; to anybody."""
    answers = []
    for _ in range(2):
        with bare.view() as view:
            assert 0 == view.call(NR_SETRESUID, uid, uid, uid)
            answers.append([[(path, _told(view, path or "/")) for path in PATHS] for _ in range(2)])
        _forget(bare)

    assert answers[0][0] == answers[0][1]
    assert answers[0] == answers[1]
    found = dict(answers[0][0])
    assert ["user.note"] == found["/d/noted"][0] == found["/e"][0]
    assert b"said" == found["/d/noted"][2] == found["/e"][2]


def test_the_file_system_is_asked_once(bare: Bare) -> None:
    """Of each kind of object in a layer; what it says of the first holds for the others, unless
    the index does not say that they have none. Seen by what layers never do: one changes."""
    with bare.view() as view:
        for path in ("/d", "/d/first", "/link"):
            assert [] == view.listxattr(path)
            with pytest.raises(OSError, match="No data"):
                view.getxattr(path, "user.x")
        os.setxattr(bare.trees[0] / "d" / "other", "user.x", b"new")
        for path in ("/d/other", "/d/same"):
            assert [] == view.listxattr(path)
            with pytest.raises(OSError, match="No data"):
                view.getxattr(path, "user.x")
        # another layer, which was not asked yet
        os.setxattr(bare.trees[1] / "e" / "g", "user.x", b"new")
        assert ["user.x"] == view.listxattr("/e/g")
        assert b"new" == view.getxattr("/e/g", "user.x")
    # Python's next view may have another index, and knows nothing of this one's
    with bare.view() as view:
        assert ["user.x"] == view.listxattr("/d/other")
        assert b"new" == view.getxattr("/d/same", "user.x")
        assert [] == view.listxattr("/d/first")
    _forget(bare)
    with bare.view() as view:
        assert [] == view.listxattr("/d/first")
        assert ["user.x"] == view.listxattr("/d/other")
        assert b"new" == view.getxattr("/d/other", "user.x")


def test_what_the_file_system_adds_is_listed(bare: Bare) -> None:
    """As a label is, which every file has and no layer: an answer that is not empty is none to be
    remembered."""
    for name in ("first", "other"):
        os.setxattr(bare.trees[0] / "d" / name, "user.label", b"made")
    with bare.view() as view:
        for path in ("/d/first", "/d/other", "/d/first"):
            assert ["user.label"] == view.listxattr(path)


def test_what_is_copied_up_has_what_it_is_given(bare: Bare) -> None:
    """And what goes again is gone; its neighbours in the layer have nothing."""
    with bare.view() as view:
        assert [] == view.listxattr("/d/other") == view.listxattr("/d/first") == view.listxattr("/d")
        for path in ("/d/other", "/d"):
            view.setxattr(path, "user.x", b"given")
            assert b"given" == view.getxattr(path, "user.x")
            assert ["user.x"] == view.listxattr(path)
        assert b"given" == view.getxattr("/d/same", "user.x")
        assert [] == view.listxattr("/d/first")
        view.removexattr("/d/other", "user.x")
        assert [] == view.listxattr("/d/other") == view.listxattr("/d/same")
        view.rename("/d/first", "/moved")
        assert [] == view.listxattr("/moved")
        view.unlink("/d/other")
        with pytest.raises(FileNotFoundError):
            view.listxattr("/d/other")
