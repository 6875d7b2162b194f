"""Locks between processes that end with the process that holds them.

`flock` locks belong to an open file: the kernel drops them when the holder
ends, however it ends, so a crash leaves nothing to clean up. Linux carries
them over NFS to the server. Two threads of one process exclude each other as
two processes do, and a thread that takes a lock it already holds waits for
itself: take a lock once.
"""
from __future__ import annotations

import errno
import fcntl
import os
import time

from ..errors import StoreError, StoreFull, StoreLocked
from ..light import TYPE_CHECKING
from .files import READ_ONLY, share, unlink

if TYPE_CHECKING:
    from typing import Optional

    from .files import StrPath

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.1
#: Lock files are removed while others wait for them, but not so often in a row.
_TRIES = 1000


class Lock:
    """A lock on the file `path`, held inside a `with` block.

    `shared` holders exclude only the others. With `timeout` seconds given,
    `StoreLocked` says who is in the way instead of waiting for ever; 0 tries
    once.
    """

    def __init__(self, path: StrPath, *, shared: bool = False,
                 timeout: Optional[float] = None) -> None:
        self.path = os.fspath(path)
        self._kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._timeout = timeout
        self._fd = -1

    def __enter__(self) -> "Lock":
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        for _ in range(_TRIES):
            fd = self._open()
            try:
                self._wait(fd, deadline)
                if _still_there(fd, self.path):
                    self._fd = fd
                    self._sign()
                    return self
            except BaseException:
                os.close(fd)
                raise
            # The holder before us removed the file: what we hold is nobody's lock.
            os.close(fd)
        raise StoreError(f'cannot lock "{_name(self.path)}" in the store: "{self.path}" is never '
                         "the file that was opened",
                         hint="its file system tells files apart wrongly; move the store to "
                              "another one with LPMX_STORE")

    def __exit__(self, *unused: object) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)

    def remove(self) -> None:
        """Remove its file, which whoever holds it may, or who knows that nobody wants it."""
        unlink(self.path)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            # NFS grants an exclusive lock only on a file that is open for writing.
            fd = os.open(self.path, flags, 0o666)
            self._let_others(fd)
            return fd
        except PermissionError:
            if self._kind == fcntl.LOCK_EX:
                raise _unusable(self.path, errno.EACCES) from None
            return self._open_to_read()
        except OSError as error:
            raise _unusable(self.path, error.errno or 0) from error

    def _let_others(self, fd: int) -> None:
        """A group that shares the store shares the lock, whatever the umask of whoever
        comes first."""
        if os.fstat(fd).st_uid == os.geteuid():
            share(fd, os.path.dirname(self.path))

    def _open_to_read(self) -> int:
        """Sharing a lock takes no right to write, once the file is there."""
        try:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _unusable(self.path, error.errno or 0) from error

    def _wait(self, fd: int, deadline: Optional[float]) -> None:
        if deadline is None:
            try:
                fcntl.flock(fd, self._kind)
            except OSError as error:
                raise _unusable(self.path, error.errno or 0) from error
            return
        pause = _FIRST_PAUSE
        while True:
            try:
                fcntl.flock(fd, self._kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise StoreLocked(
                        f'cannot lock "{_name(self.path)}" in the store: '
                        f"{_holder(fd)} holds it",
                        hint="wait for it to end, then try again") from None
            except OSError as error:
                raise _unusable(self.path, error.errno or 0) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _sign(self) -> None:
        """Leave our process number in the file, for the message to whoever waits."""
        if self._kind == fcntl.LOCK_EX:
            try:
                os.ftruncate(self._fd, 0)
                os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
            except OSError:
                pass  # on a full disk the lock still holds, only nameless


def _name(path: str) -> str:
    """The lock's, for people."""
    return os.path.splitext(os.path.basename(path))[0]


def _unusable(path: str, number: int) -> StoreError:
    message = f'cannot lock "{_name(path)}" in the store: {os.strerror(number).lower()}'
    if number in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(message, hint="remove images with \"lpmx rmi\", or move the store with "
                                       "LPMX_STORE")
    if number in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
        return StoreError(message, hint="the store's file system does not do locks (flock); mount "
                                        "it with them, or move the store with LPMX_STORE")
    if number == errno.EROFS:
        return StoreError(message, hint=READ_ONLY)
    return StoreError(message, hint=f'check that "{os.path.dirname(path)}" can be written to')


def _still_there(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(fd: int) -> str:
    text = os.pread(fd, 20, 0).strip()
    return f"process {text.decode()}" if text.isdigit() else "another process"
