"""Layers are verified, whole or not there, and never change afterwards."""
from __future__ import annotations

import io
import os
import resource
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest
from support import layers
from support.layers import directory, file, link, symlink

from lpmx_runtime.errors import (
    DigestMismatch,
    LayerDamaged,
    LpmxError,
    StoreDamaged,
    StoreError,
    StoreFull,
    UnsafeMember,
)
from lpmx_runtime.store import Store
from lpmx_runtime.store.collect import collect
from lpmx_runtime.store.entries import read_attributes, read_entries
from lpmx_runtime.store.files import remove_tree

LAYER = layers.tar(directory(b"bin"), file(b"bin/tool", b"#!/bin/sh\n", mode=0o755),
                   symlink(b"sh", b"bin/tool"), link(b"same", b"bin/tool"),
                   file(b"named", xattrs={b"user.a": b"1", b"security.ima": b"\0"}))
LAYER_ID = layers.diff_id(LAYER)


@pytest.fixture
def opened(store: Path) -> Store:
    return Store.open(store)


def everything(store: Path) -> set[str]:
    """All that is in the store but empty directories and the files of locks."""
    return {str(path.relative_to(store)) for path in store.rglob("*")
            if not path.is_dir() and path.parent.name != "locks"}


def test_layer_is_stored_under_its_diff_id(opened: Store) -> None:
    """The tree, the entry list and the attributes."""
    tree = opened.layers.put(LAYER_ID, io.BytesIO(LAYER))

    assert opened.layers.tree(LAYER_ID) == tree
    assert "#!/bin/sh\n" == (tree / "same").read_text()
    assert [b"", b"bin", b"bin/tool", b"named", b"same", b"sh"] == \
        [entry.path for entry in read_entries(opened.layers.entries(LAYER_ID))]
    assert {b"named": {b"user.a": b"1", b"security.ima": b"\0"}} == \
        read_attributes(opened.layers.entries(LAYER_ID))
    assert [LAYER_ID] == opened.layers.list()
    assert opened.layers.has(LAYER_ID)


def test_layer_whose_diff_id_is_not_known_before(opened: Store) -> None:
    """`add` returns it: the digest of all bytes."""
    told: list[int] = []

    assert LAYER_ID == opened.layers.add(io.BytesIO(LAYER), on_bytes=told.append)
    assert len(LAYER) == sum(told)


def test_layer_that_is_there_is_not_read_again(opened: Store) -> None:
    """The stream is left alone."""
    opened.layers.put(LAYER_ID, io.BytesIO(LAYER))
    again = io.BytesIO(LAYER)

    opened.layers.put(LAYER_ID, again)

    assert 0 == again.tell()


def test_layer_of_no_bytes(opened: Store) -> None:
    """Some tools write empty layers as empty files."""
    assert layers.diff_id(b"") == opened.layers.add(io.BytesIO(b""))


def test_layers_tree_cannot_be_written(opened: Store) -> None:
    """Not even by its owner, by mistake."""
    tree = opened.layers.put(LAYER_ID, io.BytesIO(LAYER))

    with pytest.raises(PermissionError):
        (tree / "bin" / "new").write_text("x")
    with pytest.raises(PermissionError):
        (tree / "named").unlink()


def test_removed_layer_is_gone(opened: Store, store: Path) -> None:
    """Read-only directories and all."""
    opened.layers.put(LAYER_ID, io.BytesIO(LAYER))

    opened.layers.remove(LAYER_ID)
    opened.layers.remove(LAYER_ID)

    assert not opened.layers.has(LAYER_ID) and [] == opened.layers.list()
    assert {"version"} == everything(store)


def test_layer_that_is_not_there_is_named(opened: Store) -> None:
    """With what to do."""
    with pytest.raises(StoreDamaged, match=f"cannot use layer {LAYER_ID}") as caught:
        opened.layers.tree(LAYER_ID)

    assert caught.value.hint


@pytest.mark.parametrize("diff_id", ["", "sha256:", "sha256:../../../etc", "md5:" + "0" * 32,
                                     "sha256:" + "A" * 64, "sha256:" + "0" * 63])
def test_a_digest_that_is_none_is_refused(opened: Store, diff_id: str) -> None:
    """It comes from a manifest that anybody may have written."""
    for method in (opened.layers.has, opened.layers.remove, opened.layers.tree,
                   lambda name: opened.layers.put(name, io.BytesIO(LAYER))):
        with pytest.raises(StoreError, match="as a digest: it is malformed"):
            method(diff_id)


# -- bad input leaves the store as it was


@pytest.mark.parametrize("data,error,words", [
    (layers.tar(file(b"f", b"other")), DigestMismatch, "its bytes hash to sha256:"),
    (LAYER + b"\0", DigestMismatch, "its bytes hash to sha256:"),
    (LAYER[:700], LayerDamaged, "its tar ends"),
    (LAYER[:1024 + 5], LayerDamaged, "cut short in \"bin/tool\", at least 5 bytes are missing"),
    (layers.tar(file(b"../f")), UnsafeMember, "outside the layer"),
    (b"not a tar at all" * 100, LayerDamaged, "number that is none"),
])
def test_bad_layer_leaves_the_store_as_it_was(opened: Store, store: Path, data: bytes,
                                              error: type[LpmxError], words: str) -> None:
    """Each names the layer and the cause and gives a hint; nothing stays behind."""
    with pytest.raises(error) as caught:
        opened.layers.put(LAYER_ID, io.BytesIO(data))

    assert LAYER_ID in str(caught.value) and words in str(caught.value) and caught.value.hint
    assert {"version"} == everything(store)
    assert opened.layers.put(LAYER_ID, io.BytesIO(LAYER)).is_dir()


def test_stream_that_breaks_keeps_its_own_error(opened: Store, store: Path) -> None:
    """A connection that is cut is the registry's to explain."""
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError("cut")

    with pytest.raises(ConnectionResetError):
        opened.layers.put(LAYER_ID, Broken())
    assert {"version"} == everything(store)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of ours may grow over 64 KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_file_system_that_refuses(opened: Store, store: Path, small_files: None) -> None:
    """A limit of the process or of the disk: the cause is the system's, the store unharmed."""
    data = layers.tar(file(b"big", os.urandom(100_000)))

    with pytest.raises(StoreError, match="cannot store layer sha256:.*: file too large"):
        opened.layers.put(layers.diff_id(data), io.BytesIO(data))

    assert {"version"} == everything(store)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.root
def test_full_disk_leaves_the_store_as_it_was(small_disk: Path) -> None:
    """What was there before is unharmed and can be used; the message says what to do."""
    opened = Store.open(small_disk / "store")
    opened.layers.put(LAYER_ID, io.BytesIO(LAYER))
    before = everything(small_disk)
    data = layers.tar(*(file(b"f%d" % number, os.urandom(1 << 20)) for number in range(6)))

    with pytest.raises(StoreFull, match="no space is left for the store") as caught:
        opened.layers.put(layers.diff_id(data), io.BytesIO(data))

    assert layers.diff_id(data) in str(caught.value) and "lpmx rmi" in (caught.value.hint or "")
    assert before == everything(small_disk)
    with pytest.raises(StoreFull):
        opened.blobs.put(layers.diff_id(data), [data])
    assert before == everything(small_disk)
    assert opened.indexes.ensure([LAYER_ID]).is_file()


# -- several at once


def test_threads_store_layers_at_the_same_time(opened: Store, store: Path) -> None:
    """A pull puts several layers at once, and some of them twice."""
    tars = [layers.tar(*(file(b"d%d/f%d" % (number, n), b"x" * n) for n in range(100)))
            for number in range(4)]
    faults: list[BaseException] = []

    def put(data: bytes) -> None:
        try:
            opened.layers.put(layers.diff_id(data), io.BytesIO(data))
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=put, args=(data,)) for data in tars * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == faults
    assert sorted(map(layers.diff_id, tars)) == opened.layers.list()
    assert all(101 <= len(list(opened.layers.tree(layers.diff_id(data)).rglob("*")))
               for data in tars)
    assert [] == os.listdir(store / "tmp")


PUT = """
import io, sys
from pathlib import Path
from lpmx_runtime.store import Store
data = Path(sys.argv[2]).read_bytes()
store = Store.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(store.layers.put(sys.argv[3], io.BytesIO(data)))
"""


def test_processes_store_the_same_layer_at_the_same_time(store: Path, tmp_path: Path) -> None:
    """All get the same directory, and it is whole."""
    data = layers.tar(*(file(b"f%d" % n, b"x" * n) for n in range(500)))
    (tmp_path / "layer.tar").write_bytes(data)
    command = [sys.executable, "-c", PUT, str(store), str(tmp_path / "layer.tar"),
               layers.diff_id(data)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                 for _ in range(4)]
    for process in processes:
        assert process.stdout is not None and "ready\n" == process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = {process.communicate()[0].strip() for process in processes}

    assert [0] * 4 == [process.returncode for process in processes]
    assert {str(Store.open(store).layers.tree(layers.diff_id(data)))} == said
    assert 500 == len(os.listdir(said.pop()))
    assert [] == os.listdir(store / "tmp")


PUT_FROM_STDIN = """
import sys
from pathlib import Path
from lpmx_runtime.store import Store
Store.open(Path(sys.argv[1])).layers.put(sys.argv[2], sys.stdin.buffer)
"""


def test_process_killed_while_it_stores_a_layer(store: Path) -> None:
    """Nothing has a name, and the next one to store something finds a clean store."""
    data = layers.tar(*(file(b"d%d/f" % n, b"x" * 4000) for n in range(400)))
    process = subprocess.Popen([sys.executable, "-c", PUT_FROM_STDIN, str(store),
                                layers.diff_id(data)], stdin=subprocess.PIPE, bufsize=0)
    assert process.stdin is not None
    process.stdin.write(data[:len(data) * 2 // 3])
    while not list(store.glob("tmp/*/layer/tree/d100")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    process.stdin.close()
    opened = Store.open(store)

    assert [] == opened.layers.list() and [] != os.listdir(store / "tmp")

    opened.layers.put(LAYER_ID, io.BytesIO(LAYER))

    assert [LAYER_ID] == opened.layers.list() and [] == os.listdir(store / "tmp")


# -- whose it is


@pytest.mark.parametrize("umask,outer,tool", [(0o022, 0o755, 0o1755), (0o077, 0o700, 0o1755),
                                              (0o002, 0o775, 0o1755)])
def test_umask_decides_who_gets_in(store: Path, umask: int, outer: int, tool: int) -> None:
    """The directories of the store follow it; what is below keeps the layer's own modes."""
    before = os.umask(umask)
    try:
        tree = Store.open(store).layers.put(LAYER_ID, io.BytesIO(LAYER))
    finally:
        os.umask(before)

    for place in (store, store / "layers", tree.parent):
        assert outer == stat.S_IMODE(place.stat().st_mode)
    assert tool == stat.S_IMODE((tree / "bin/tool").stat().st_mode)


def test_group_of_a_shared_store_reads_private_files(store: Path) -> None:
    """With umask 0002 what root alone may read in the image is readable by the group."""
    data = layers.tar(directory(b"root", 0o700), file(b"root/key", b"k", mode=0o600))
    before = os.umask(0o002)
    try:
        tree = Store.open(store).layers.put(layers.diff_id(data), io.BytesIO(data))
    finally:
        os.umask(before)

    assert 0o550 == stat.S_IMODE((tree / "root").stat().st_mode)
    assert 0o1640 == stat.S_IMODE((tree / "root/key").stat().st_mode)


@pytest.fixture
def shared_store() -> Iterator[Path]:
    """A directory as an administrator makes it for a group: the group writes, and what
    is made in it belongs to the group."""
    place = Path(tempfile.mkdtemp(prefix="lpmx-shared-", dir="/tmp"))
    os.chown(place, 0, GROUP)
    place.chmod(0o2770)
    yield place
    remove_tree(place)


ALICE, BOB, STRANGER, GROUP = 61001, 61002, 61003, 62000


def as_user(user: int, function: Callable[[], object], group: int = GROUP,
            umask: int = 0o002) -> str:
    """What `function` returns, or the error it raises, when this user calls it."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([group])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            os.umask(umask)
            said = str(function())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode()[:4000])
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as found:
        return found.read()


@pytest.mark.root
@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_two_users_of_a_group_share_a_store(shared_store: Path, umask: int) -> None:
    """What one stores the other uses, private files of the image included, whatever the
    umask; each removes what is theirs, and a stranger sees nothing."""
    lower = layers.tar(directory(b"root", 0o700), file(b"root/key", b"secret", mode=0o600),
                       directory(b"usr/lib"), symlink(b"lib", b"usr/lib"))
    upper = layers.tar(file(b"lib/x", b"new", mode=0o600), link(b"same", b"root/key"))
    diff_ids = [layers.diff_id(lower), layers.diff_id(upper)]

    def alice() -> object:
        opened = Store.open(shared_store)
        return [opened.layers.add(io.BytesIO(data)) for data in (lower, upper)]

    def bob() -> object:
        opened = Store.open(shared_store)
        opened.layers.put(diff_ids[0], io.BytesIO(b"not read"))
        opened.indexes.ensure(diff_ids)
        grafts = opened.indexes.trees(diff_ids)[-1]
        assert "secret" == (opened.layers.tree(diff_ids[0]) / "root/key").read_text()
        assert "secret" == (grafts / "same").read_text() and "new" == (grafts / "usr/lib/x").read_text()
        return opened.layers.add(io.BytesIO(LAYER))

    def free() -> object:
        return collect(Store.open(shared_store)).layers

    assert str(diff_ids) == as_user(ALICE, alice, umask=umask)
    assert LAYER_ID == as_user(BOB, bob, umask=umask)
    assert "StoreError: cannot store anything in" in as_user(
        STRANGER, lambda: Store.open(shared_store), group=STRANGER)
    assert str(sorted(diff_ids)) == as_user(ALICE, free, umask=umask)
    assert [LAYER_ID] == Store.open(shared_store).layers.list()
    assert str([LAYER_ID]) == as_user(BOB, free, umask=umask)
    assert {"version"} == everything(shared_store)


@pytest.mark.parametrize("name", ["with blanks  in it", "na\u00efve \u65e5\u672c", "new\nline",
                                  "sto-re'\"$x;"])
def test_any_path_can_be_a_stores(tmp_path: Path, name: str) -> None:
    """Blanks, other alphabets, and what a shell would trip over."""
    opened = Store.open(tmp_path / name / "store")
    try:
        opened.layers.put(LAYER_ID, io.BytesIO(LAYER))

        assert opened.indexes.ensure([LAYER_ID]).is_file()
        assert "#!/bin/sh\n" == (opened.layers.tree(LAYER_ID) / "sh").read_text()
    finally:
        opened.layers.remove(LAYER_ID)
