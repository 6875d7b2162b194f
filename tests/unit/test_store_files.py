"""Files appear whole; trees can be removed whatever they are."""
from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest
from support import layers

from lpmx_runtime.errors import DigestMismatch, StoreError, StoreFull
from lpmx_runtime.store.blobs import Blobs
from lpmx_runtime.store.files import in_each, publish, remove_tree, storing, write_file


def test_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    """A reader never sees half of it."""
    path = tmp_path / "f"
    write_file(path, b"a" * 100_000)
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for letter in b"bcdefg":
        write_file(path, (bytes([letter]) * 1000 for _ in range(100)))
    done.set()
    reader.join()

    assert seen and all(content == content[:1] * 100_000 for content in seen)
    assert ["f"] == os.listdir(tmp_path)


def test_writing_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """And nothing beside it."""
    path = tmp_path / "f"
    write_file(path, b"old")

    def broken() -> Iterator[bytes]:
        yield b"new"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        write_file(path, broken())

    assert b"old" == path.read_bytes()
    assert ["f"] == os.listdir(tmp_path)


@pytest.mark.parametrize("umask,mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_mode_follows_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    """A group can share what it may write."""
    before = os.umask(umask)
    try:
        write_file(tmp_path / "f", b"x")
    finally:
        os.umask(before)

    assert mode == stat.S_IMODE((tmp_path / "f").stat().st_mode)


@pytest.mark.parametrize("number,error,words", [
    (errno.ENOSPC, StoreFull, "no space is left for the store"),
    (errno.EDQUOT, StoreFull, "no space is left for the store"),
    (errno.EACCES, StoreError, r"permission denied \(/there\)"),
    (errno.EROFS, StoreError, r"read-only file system \(/there\)"),
    (errno.EIO, StoreError, r"input/output error \(/there\)"),
])
def test_what_a_file_system_refuses_is_named(number: int, error: type[StoreError],
                                             words: str) -> None:
    """The thing, the cause and the next step."""
    with pytest.raises(error, match=f"cannot store the thing: {words}") as caught:
        with storing("the thing"):
            raise OSError(number, os.strerror(number), "/there")

    assert caught.value.hint


def test_other_errors_stay_what_they_are() -> None:
    """A broken connection is not the store's."""
    with pytest.raises(ConnectionResetError):
        with storing("the thing"):
            raise ConnectionResetError(errno.ECONNRESET, "reset")


def test_directory_that_goes_while_it_is_looked_into_has_no_files(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers come and go while a server lists the kernels in them."""
    for name in ("going", "staying[1]"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kernel-1.json").touch()
        (tmp_path / name / "record.json").touch()
    scandir = os.scandir

    def removing(path: Any) -> Any:
        if str(path).endswith("going"):
            shutil.rmtree(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", removing)

    assert [tmp_path / "staying[1]" / "kernel-1.json"] == in_each(tmp_path, "kernel-*.json")


def test_tree_with_everything_in_it_is_removed(tmp_path: Path) -> None:
    """Closed directories, links that point outside, names in no encoding."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "f").write_text("x")
    (tree / "link").symlink_to(outside)
    (tree / "a" / "up").symlink_to("../..")
    os.mkfifo(tree / "pipe")
    with open(os.fsencode(tree) + b"/\xff", "wb"):
        pass
    (tree / "a" / "b").chmod(0)
    (tree / "a").chmod(0)
    tree.chmod(0)

    remove_tree(tree)
    remove_tree(tree)

    assert ["outside"] == os.listdir(tmp_path)
    assert ["kept"] == os.listdir(outside)


def test_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    """5000 directories, each of which can only be reached from the one above."""
    tree = tmp_path / "tree"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for _ in range(5000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)

    remove_tree(tree)

    assert [] == os.listdir(tmp_path)


def test_removing_a_file_or_a_link_removes_that(tmp_path: Path) -> None:
    """Whatever a link points to is left alone."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "l").symlink_to("kept")
    (tmp_path / "f").touch()

    remove_tree(tmp_path / "l")
    remove_tree(tmp_path / "f")

    assert ["kept"] == os.listdir(tmp_path)


def test_directory_takes_its_name_only_once(tmp_path: Path) -> None:
    """Whoever comes second finds the name taken and the first one's content there."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "by").write_text(name)

    assert publish(tmp_path / "first", tmp_path / "sha256" / "it")
    assert not publish(tmp_path / "second", tmp_path / "sha256" / "it")

    assert "first" == (tmp_path / "sha256" / "it" / "by").read_text()


# -- blobs


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    (tmp_path / "blobs").mkdir()
    return Blobs(tmp_path / "blobs")


def test_blob_is_stored_under_its_digest(blobs: Blobs) -> None:
    """Laid out as an OCI image layout."""
    digest = layers.diff_id(b"{}")

    path = blobs.put(digest, [b"{", b"}"])

    assert blobs.directory / "sha256" / digest[7:] == path == blobs.path(digest)
    assert blobs.has(digest) and [digest] == blobs.list()
    with blobs.open(digest) as file:
        assert b"{}" == file.read()


def test_blob_that_is_not_what_its_name_says_is_not_stored(blobs: Blobs) -> None:
    """The message has both digests."""
    with pytest.raises(DigestMismatch) as caught:
        blobs.put(layers.diff_id(b"{}"), [b"{ }"])

    assert layers.diff_id(b"{}") in str(caught.value) and layers.diff_id(b"{ }") in str(caught.value)
    assert [] == blobs.list() and [] == list((blobs.directory / "sha256").iterdir())


def test_sha512_is_a_digest_too(blobs: Blobs) -> None:
    """The image spec registers both."""
    import hashlib

    digest = "sha512:" + hashlib.sha512(b"x").hexdigest()
    blobs.put(digest, [b"x"])

    assert [digest] == blobs.list()


def test_removed_blob_is_gone(blobs: Blobs) -> None:
    """Opening it says what to do."""
    digest = layers.diff_id(b"x")
    blobs.put(digest, [b"x"])

    blobs.remove(digest)
    blobs.remove(digest)

    assert not blobs.has(digest)
    with pytest.raises(StoreError, match=f"cannot open blob {digest}: the store does not have it"):
        blobs.open(digest)
