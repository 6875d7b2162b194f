"""Files of ours that were damaged: never believed, never a crash, never a wrong file."""
from __future__ import annotations

import errno
import os
import random
import stat
import struct
from pathlib import Path
from typing import Callable, Iterable, Iterator, Sequence

import pytest
from lpmx_runtime import _native
from lpmx_runtime._native import View

from .bare import Bare, start
from .scenes import image

ROUNDS = 150


@pytest.fixture(scope="module")
def bare() -> Iterator[Bare]:
    with Bare(image()) as bare:
        yield bare


def _use(view: View) -> None:
    """Ask for everything; any answer that is an error is fine."""
    for path in ("/", "/etc", "/etc/conf.d", "/data", "/usr/lib", "/links/up/etc"):
        try:
            names = view.listdir(path)
        except OSError:
            continue
        for name in names[:100]:
            for ask in (view.lstat, view.stat, view.readlink, view.listxattr):
                try:
                    ask(f"{path}/{name}")
                except OSError:
                    pass
    for path in ("/data/h1", "/links/chain", "/absent/x", "/deep/a/b/c/leaf"):
        try:
            view.read(path, 100)
        except OSError:
            pass


def _mutations(whole: bytes, seed: int, first: int = 0) -> Iterator[bytes]:
    """The file with bits changed, numbers replaced, pieces cut off or moved."""
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 1, 3, 20])):
            at = chance.randrange(first, len(data))
            kind = chance.randrange(4)
            if kind == 0:
                data[at] ^= 1 << chance.randrange(8)
            elif kind == 1:
                data[at:at + 4] = chance.choice([b"\xff" * 4, bytes(4), b"\0\0\0\x80",
                                                 chance.randbytes(4)])
            elif kind == 2:
                size = chance.randrange(1, 200)
                data[at:at + size] = data[first:first + size]
            else:
                del data[at:]
                break
            if at >= len(data) - 8:
                break
        yield bytes(data)


def _fed(bare: Bare, place: Path, forms: Iterable[bytes], *, errors: Sequence[int] = (),
         use: Callable[[View], object] = _use) -> None:
    """Open the view with each damaged form of the file at `place`, and use it. It may be refused,
    with one of these errors if that matters."""
    whole = place.read_bytes()

    def run() -> None:
        aside = place.with_name("damaged")
        for data in forms:
            aside.write_bytes(data)
            os.rename(aside, place)     # as what is mapped never shrinks
            try:
                with bare.view() as view:
                    use(view)
            except OSError as error:
                assert not errors or error.errno in errors, data[:200]

    try:
        status = os.waitpid(start(run), 0)[1]
    finally:
        place.unlink()
        place.write_bytes(whole)
    assert 0 == status


def test_index_with_damage_anywhere(bare: Bare) -> None:
    """Whatever an index holds, a reader neither crashes nor leaves the layers."""
    _fed(bare, bare.index, _mutations(bare.index.read_bytes(), 1))


def test_index_with_damage_in_its_head(bare: Bare) -> None:
    """So for the numbers that all else hangs on."""
    whole = bare.index.read_bytes()
    chance = random.Random(7)

    def forms() -> Iterator[bytes]:
        for _ in range(ROUNDS):
            data = bytearray(whole)
            at = chance.randrange(8, 128)
            data[at:at + 4] = chance.choice([b"\xff" * 4, bytes(4), chance.randbytes(4),
                                             chance.randrange(len(data)).to_bytes(4, "little")])
            yield bytes(data)

    _fed(bare, bare.index, forms(), errors=[errno.EIO])


def test_links_whose_text_lies_outside_the_index(bare: Bare) -> None:
    """A link that says to be longer than the file is cannot be read, and nor can what it leads to."""
    whole = bare.index.read_bytes()
    count, = struct.unpack_from("<I", whole, 32)
    first, = struct.unpack_from("<Q", whole, 56)
    data = bytearray(whole)
    for at in range(first, first + 80 * count, 80):
        if stat.S_ISLNK(struct.unpack_from("<I", data, at + 24)[0]):
            struct.pack_into("<I", data, at + 12, 0xffffff00)
            struct.pack_into("<I", data, at + 36, 4000)

    def use(view: View) -> None:
        for ask in (view.readlink, view.stat):
            with pytest.raises(OSError) as raised:
                ask("/links/absolute")
            assert errno.EIO == raised.value.errno

    _fed(bare, bare.index, [bytes(data)], use=use)


def test_a_changed_index_is_told_from_a_whole_one(bare: Bare) -> None:
    """The check that the store makes finds every change."""
    whole = bare.index.read_bytes()
    place = bare.root / "index.damaged"

    assert _native.index_check(bare.index) is None
    for data in _mutations(whole, 2):
        place.write_bytes(data)
        assert data == whole or _native.index_check(place)


def test_view_file_with_damage(bare: Bare) -> None:
    """A view file that makes no sense is refused, or means something harmless."""
    _fed(bare, bare.file, _mutations(bare.file.read_bytes(), 3))


def test_control_page_with_damage(bare: Bare) -> None:
    """A page of another size or kind is refused; its tables can hold anything."""
    whole = bare.control.read_bytes()
    chance = random.Random(4)
    # the sets are believed, so the damage is in the head, and from the tables on
    tables = 512 + 2 * (1 << 17)

    def forms() -> Iterator[bytes]:
        for _ in range(ROUNDS):
            data = bytearray(whole)
            for _ in range(5):
                at = chance.choice([chance.randrange(0, 32), chance.randrange(tables, tables + 33000)])
                data[at:at + 8] = chance.choice([b"\xff" * 8, chance.randbytes(8),
                                                 chance.randrange(9 << 20).to_bytes(8, "little")])
            yield bytes(data)

    def use(view: View) -> None:
        _use(view)
        view.environment_list()
        view.exec_map_list()
        view.environment_set("NAME", "value")

    _fed(bare, bare.control, forms(), errors=[errno.EIO, errno.EINVAL, errno.ENOSPC], use=use)


def _ask(view: View) -> None:
    view.lstat("/etc")
    view.listdir("/etc")


def test_files_of_ours_cut_at_every_length(bare: Bare) -> None:
    """The view file at each byte; of the larger ones the heads, and lengths everywhere."""
    chance = random.Random(8)
    for place in (bare.file, bare.index, bare.control):
        whole = place.read_bytes()
        lengths = (range(len(whole)) if place == bare.file else
                   [*range(0, 200), *chance.sample(range(200, len(whole)), 20), len(whole) - 1])
        _fed(bare, place, (whole[:length] for length in lengths),
             errors=[errno.EINVAL, errno.EIO, errno.ENOENT], use=_ask)


def test_view_file_with_any_byte_changed(bare: Bare) -> None:
    """It is refused, or is a view file that says something else."""
    whole = bare.file.read_bytes()
    chance = random.Random(9)

    def forms() -> Iterator[bytes]:
        for place in range(len(whole)):
            data = bytearray(whole)
            data[place] ^= 1 << chance.randrange(8)
            yield bytes(data)

    _fed(bare, bare.file, forms(), use=_ask)


def test_a_file_that_is_replaced_while_it_is_mapped(bare: Bare) -> None:
    """Whoever has a view open keeps what it has, though all three files are gone."""
    with bare.view() as view:
        for place in (bare.file, bare.index, bare.control):
            place.rename(place.with_name("kept." + place.name))
        try:
            assert b"127.0.0.1 localhost\n" == view.read("/etc/hosts")
            view.write("/tmp/made", b"made")
            assert b"made" == view.read("/tmp/made")
        finally:
            for place in (bare.file, bare.index, bare.control):
                place.with_name("kept." + place.name).rename(place)


def test_records_of_the_upper_with_damage(bare: Bare) -> None:
    """Attributes that say nonsense are as if there were none, or are what they say."""
    chance = random.Random(5)
    with bare.view() as view:
        view.write("/tmp/recorded", b"x", 0o444)
        place = bare.upper / "tmp" / "recorded"
        for _ in range(ROUNDS):
            text = chance.choice([b"", b":", b"1:2", b"1:2:", b"1:2:777777777777", b"0:0:644:char",
                                  b"0:0:644:char-", b"0:0:644:char-1", b"99999999999999999999:0:0",
                                  chance.randbytes(chance.randrange(1, 80))])
            os.setxattr(place, "user.containers.override_stat", text)
            os.setxattr(place, "user.lpmx.inode", chance.choice([b"", b"x", b"0", b"9" * 60]))
            view.lstat("/tmp/recorded")
            view.listdir("/tmp")
            try:
                view.read("/tmp/recorded")
            except OSError as error:
                assert errno.ENXIO == error.errno
