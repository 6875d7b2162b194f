"""Locks exclude threads and processes alike and end with whoever holds them."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest

from lpmx_runtime.errors import StoreError, StoreLocked
from lpmx_runtime.store.locks import Lock

HOLD = """
import sys
from pathlib import Path
from lpmx_runtime.store.locks import Lock
with Lock(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a process that holds the lock until it is told or killed."""
    processes = []

    def start(path: Path, kind: str = "alone") -> "subprocess.Popen[str]":
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), kind], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdout is not None and "held\n" == process.stdout.readline()
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_lock_of_another_process_is_in_the_way(tmp_path: Path, holder: Callable) -> None:
    """The message names the lock and the process."""
    process = holder(tmp_path / "images")

    with pytest.raises(StoreLocked, match=f'cannot lock "images" in the store: process {process.pid}'):
        Lock(tmp_path / "images", timeout=0).__enter__()


def test_lock_ends_with_the_process_that_holds_it(tmp_path: Path, holder: Callable) -> None:
    """Killed without a chance to clean up."""
    process = holder(tmp_path / "l")
    process.send_signal(signal.SIGKILL)
    process.wait()

    with Lock(tmp_path / "l", timeout=0):
        pass


def test_waiting_ends_when_the_holder_lets_go(tmp_path: Path, holder: Callable) -> None:
    """With and without a limit."""
    for timeout in (None, 30.0):
        process = holder(tmp_path / "l")
        threading.Timer(0.1, process.communicate, ["go\n"]).start()

        with Lock(tmp_path / "l", timeout=timeout):
            assert str(os.getpid()) == (tmp_path / "l").read_text().strip()


def test_waiting_ends_when_its_time_is_over(tmp_path: Path, holder: Callable) -> None:
    """Not much later than asked for."""
    holder(tmp_path / "l")
    start = time.monotonic()

    with pytest.raises(StoreLocked):
        Lock(tmp_path / "l", timeout=0.2).__enter__()

    assert 0.2 <= time.monotonic() - start < 5


def test_those_who_share_do_not_exclude_each_other(tmp_path: Path, holder: Callable) -> None:
    """But whoever wants it alone."""
    holder(tmp_path / "l", "shared")

    with Lock(tmp_path / "l", shared=True, timeout=0):
        with pytest.raises(StoreLocked, match="another process holds it"):
            Lock(tmp_path / "l", timeout=0).__enter__()


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    """A counter that is read and written under the lock loses nothing."""
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        for _ in range(50):
            with Lock(tmp_path / "l"):
                counter.write_text(str(int(counter.read_text()) + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert "200" == counter.read_text()


def test_lock_file_that_is_removed_by_its_holder(tmp_path: Path) -> None:
    """Whoever waited for it does not hold a lock that nobody else sees."""
    path = tmp_path / "l"
    inside: list[int] = []

    def take() -> None:
        with Lock(path):
            inside.append(1)
            assert 1 == len(inside)
            time.sleep(0.01)
            path.unlink()
            inside.pop()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not path.exists() and [] == inside


def test_sharing_takes_no_right_to_write(tmp_path: Path) -> None:
    """In a store that is another's, as long as the file is there."""
    path = tmp_path / "l"
    path.touch()
    path.chmod(0o444)

    with Lock(path, shared=True):
        pass
    with pytest.raises(StoreError, match='cannot lock "l" in the store: permission denied'):
        Lock(path).__enter__()


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    """Says so, whichever kind of lock is asked for."""
    closed = tmp_path / "closed"
    closed.mkdir(0o555)

    for shared in (True, False):
        with pytest.raises(StoreError, match='cannot lock "l" in the store') as caught:
            Lock(closed / "l", shared=shared).__enter__()
        assert caught.value.hint
    closed.chmod(0o755)


def test_file_that_is_never_the_one_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that numbers files anew each time is an error, not a wait for ever."""
    monkeypatch.setattr(os.path, "samestat", lambda one, other: False)

    with pytest.raises(StoreError) as raised:
        with Lock(tmp_path / "keep.lock"):
            pytest.fail("the lock was had")

    assert f'cannot lock "keep" in the store: "{tmp_path}/keep.lock" is never the file that ' \
        "was opened" == str(raised.value)
    assert "LPMX_STORE" in (raised.value.hint or "")
