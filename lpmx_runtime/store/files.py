"""Files that appear whole or not at all, and trees that can be removed again.

Every file of the store is written under a name of its own beside the place
where it belongs, flushed to the disk and renamed into place. A reader never
sees half of one, and a crash leaves nothing but a name that starts with a dot
or lies in the store's `tmp`.
"""
from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager

from ..errors import StoreError, StoreFull
from ..light import TYPE_CHECKING
from ..oci.digest import is_digest

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Iterable, Iterator, Union

    StrPath = Union[str, os.PathLike[str]]

#: Nothing is written for so long, and no clock of a shared file system differs so much.
STALE_SECONDS = 24 * 3600

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EFBIG, errno.EMFILE,
            errno.ENFILE, errno.ENAMETOOLONG, errno.ESTALE)
READ_ONLY = ("the file system is mounted read-only: name this store in LPMX_SITE_STORES, whose images are "
             "used where they are, and point LPMX_STORE at another")
_HINTS = {
    errno.EFBIG: "a limit of this session is below the size of the file: look at \"ulimit -f\", of "
                 "which a container needs 16 MiB",
    errno.EROFS: READ_ONLY,
}


def in_each(directory: Path, pattern: str) -> list[Path]:
    """The files in the directories of `directory` whose names fit `pattern`, sorted.

    Directories that are removed meanwhile have none; `Path.glob` may raise for them.
    """
    import glob
    from pathlib import Path
    return sorted(map(Path, glob.glob(os.path.join(glob.escape(str(directory)), "*", pattern))))


def split_digest(digest: str) -> tuple[str, str]:
    """The algorithm and the hexadecimal part of `digest`.

    Digests come from manifests that anybody may have written and become names
    of files here, so nothing but a well-formed one gets through.
    """
    if not is_digest(digest):
        raise StoreError(f'cannot use "{digest}" as a digest: it is malformed',
                         hint='a digest looks like "sha256:" and 64 hexadecimal digits')
    algorithm, _, value = digest.partition(":")
    return algorithm, value


def digest_path(directory: StrPath, digest: str) -> str:
    """Where the thing named `digest` lies below `directory`."""
    return os.path.join(directory, *split_digest(digest))


def share(made: Union[int, StrPath], directory: StrPath) -> None:
    """Give the file or directory `made` to the group, if that may write `directory`, where
    it is, and to be read by all others if they may read that.

    A store is a group's if its directory says so, whatever the umask of whoever puts
    something in.
    """
    above = os.stat(directory).st_mode
    if not above & stat.S_IWGRP:
        return
    mode = os.stat(made).st_mode
    wanted = mode | (mode & stat.S_IRWXU) >> 3
    if above & stat.S_IROTH and above & stat.S_IXOTH:
        wanted |= (mode & (stat.S_IRUSR | stat.S_IXUSR)) >> 6
    if wanted != mode:
        os.chmod(made, stat.S_IMODE(wanted))


def make_directory(path: StrPath, *, may_exist: bool = False) -> None:
    """Make the directory `path` for those who may use the one that it is in."""
    try:
        os.mkdir(path)
    except FileExistsError:
        if may_exist and os.path.isdir(path):
            return
        raise
    share(path, os.path.dirname(path))


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Name the thing and the cause when the file system refuses to take it.

    Only what a file system says is translated; a connection that breaks while
    its bytes are being stored stays the registry's error.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(f"cannot store {what}: no space is left for the store",
                            hint="remove images with \"lpmx rmi\", or move the store with "
                                 "LPMX_STORE; what was stored before is unharmed") from error
        if error.errno in _REFUSED:
            place = f" ({os.fsdecode(error.filename)})" if error.filename else ""
            raise StoreError(f"cannot store {what}: {os.strerror(error.errno).lower()}{place}",
                             hint=_HINTS.get(error.errno, "check who owns the store's directory")
                             ) from error
        raise


def write_file(path: StrPath, content: Union[bytes, Iterable[bytes]], *, shared: bool = True) -> None:
    """Make `path` hold `content`; whoever reads it meanwhile sees the old or the new.

    The mode follows the umask, and `share`; outside a store it is the umask's alone, not
    `shared`.
    """
    directory, name = os.path.split(path)
    aside = os.path.join(directory, f".{name[:64]}.{os.urandom(6).hex()}")
    chunks = (content,) if isinstance(content, bytes) else content
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with open(fd, "wb") as file:
            if shared:
                share(fd, directory)
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.rename(aside, path)
    except BaseException:
        unlink(aside)
        raise
    sync_directory(directory)


def unlink(path: StrPath) -> None:
    """Remove a file; a missing one is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def remove_abandoned(directory: Path) -> None:
    """Remove, here and one level down, what killed processes left of `write_file`."""
    import time

    oldest = time.time() - STALE_SECONDS
    for aside in (*directory.glob(".*"), *directory.glob("*/.*")):
        try:
            about = aside.lstat()
            if stat.S_ISREG(about.st_mode) and about.st_mtime < oldest:
                aside.unlink()
        except (FileNotFoundError, PermissionError):
            pass    # somebody came first, or it is another user's


def sync_directory(path: StrPath) -> None:
    """Make the names in `path` survive a loss of power, where the file system can."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(fd)


def sync_tree(fd: int) -> None:
    """Make everything in the file system of `fd` survive a loss of power.

    One call for a tree of any size; flushing its files one by one takes minutes.
    """
    import ctypes

    if ctypes.CDLL(None, use_errno=True).syncfs(fd):
        number = ctypes.get_errno()
        if number in (errno.EIO, *_FULL):
            raise OSError(number, os.strerror(number))
        os.sync()  # a kernel or a sandbox without the call


def publish(made: StrPath, place: StrPath) -> bool:
    """Give the directory `made` the name `place`; False if that is taken."""
    make_directory(os.path.dirname(place), may_exist=True)
    sync_directory(made)
    try:
        os.rename(made, place)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    sync_directory(os.path.dirname(place))
    return True


def exchange(made: StrPath, place: StrPath) -> None:
    """Have the directories `made` and `place` change names."""
    import ctypes

    sync_directory(made)
    here, both = -100, 2   # AT_FDCWD, RENAME_EXCHANGE
    try:
        failed = ctypes.CDLL(None, use_errno=True).renameat2(
            here, os.fsencode(made), here, os.fsencode(place), both)
    except AttributeError:   # a C library without the call
        failed = -1
    if failed:
        os.rename(place, os.path.join(os.path.dirname(made), "exchanged"))
        os.rename(made, place)
    sync_directory(os.path.dirname(place))


def needs_file(containers: StrPath, name: str) -> str:
    """Where it is said which layers a container needs, if it is closed to a group's others."""
    return os.path.join(containers, f".{name}.needs")


def copy_file(source: Union[bytes, Path], target: Union[bytes, Path]) -> None:
    """Copy a regular file with its mode and times."""
    import shutil

    before = os.stat(source, follow_symlinks=False)
    shutil.copyfile(source, target, follow_symlinks=False)
    os.chmod(target, stat.S_IMODE(before.st_mode))
    os.utime(target, ns=(before.st_mtime_ns, before.st_mtime_ns))


def is_ours(path: StrPath) -> bool:
    """Whether we may remove the tree `path`, which is closed to all but its owner."""
    try:
        return os.geteuid() in (0, os.stat(path).st_uid)
    except FileNotFoundError:
        return True


def remove_tree(path: StrPath) -> None:
    """Remove `path` and all below it, read-only directories too; a missing one is fine.

    Works with directory descriptors and follows no symbolic link.
    """
    directory, name = os.path.split(path)
    try:
        parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove_name(parent, os.fsencode(name))
    finally:
        os.close(parent)


def remove_name(parent: int, name: bytes) -> None:
    """Remove `name` in the directory open as `parent`, whatever it is."""
    try:
        os.unlink(name, dir_fd=parent)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise
    _remove_directory(parent, name)


def _remove_directory(parent: int, name: bytes) -> None:
    """Remove a directory with its content, holding two descriptors at most.

    Image trees may be nested deeper than descriptors or the call stack reach,
    so the way back up is taken through "..".
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    os.chmod(name, 0o700, dir_fd=parent)
    here = os.open(name, flags, dir_fd=parent)
    names = [name]
    try:
        while names:
            below = _unlink_files(here)
            if below is not None:
                os.chmod(below, 0o700, dir_fd=here)
                here = _replace(here, os.open(below, flags, dir_fd=here))
                names.append(below)
                continue
            leaving = names.pop()
            if not names:
                break
            here = _replace(here, os.open("..", flags, dir_fd=here))
            os.rmdir(leaving, dir_fd=here)
    finally:
        os.close(here)
    os.rmdir(name, dir_fd=parent)


def _unlink_files(directory: int) -> Union[bytes, None]:
    """Remove what is no directory; return the name of one that is, or None."""
    found = None
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found = os.fsencode(entry.name)
            else:
                os.unlink(entry.name, dir_fd=directory)
    return found


def _replace(old: int, new: int) -> int:
    os.close(old)
    return new
