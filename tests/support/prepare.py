"""What root does before the tests, which run as an ordinary user.

    python3 -m support.prepare

Makes the user `lpmx-test`, copies the sources to a place that this user may read
and write (a checkout in root's home is neither), and builds the test images there.
Prints the copy's path as its last line. A second run copies what changed.
"""
from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Iterable

from . import images

USER = "lpmx-test"
MANIFEST = ".copied"


def account() -> pwd.struct_passwd:
    """The user that runs tests, made if there is none."""
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", USER], check=True)
        return pwd.getpwnam(USER)


def place(checkout: Path) -> Path:
    """Where the user's copy of the checkout is."""
    return Path(account().pw_dir, "checkouts", f"{zlib.crc32(bytes(checkout)):08x}")


def sources(checkout: Path) -> list[str]:
    """The files of the checkout that are, or may become, part of the repository."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={checkout}", "-C", str(checkout), "ls-files", "-z",
         "--cached", "--others", "--exclude-standard"],
        stdout=subprocess.PIPE, check=True).stdout
    names = (os.fsdecode(name) for name in listed.split(b"\0") if name)
    return sorted(name for name in names if os.path.lexists(checkout / name))


def copy(checkout: Path, names: Iterable[str], target: Path, user: pwd.struct_passwd) -> None:
    """Make `target` hold the files `names`, and no longer those of an earlier copy that are gone."""
    own(target, user)
    manifest = target / MANIFEST
    before = set(manifest.read_text().split("\n")) if manifest.exists() else set()
    for gone in before - set(names) - {""}:
        (target / gone).unlink(missing_ok=True)
    for name in names:
        old, new = checkout / name, target / name
        about = old.lstat()
        try:
            there = new.lstat()
            if (there.st_mtime_ns, there.st_size) == (about.st_mtime_ns, about.st_size):
                continue
        except FileNotFoundError:
            own(new.parent, user)
        shutil.copy2(old, new, follow_symlinks=False)
        os.chown(new, user.pw_uid, user.pw_gid, follow_symlinks=False)
    manifest.write_text("\n".join(names))


def own(directory: Path, user: pwd.struct_passwd) -> None:
    """Have the directory, and what is above it in the user's home, and let the user own it."""
    if not directory.exists():
        own(directory.parent, user)
        directory.mkdir()
        os.chown(directory, user.pw_uid, user.pw_gid)


def main() -> None:
    os.umask(0o022)
    user = account()
    checkout = images.CHECKOUT
    target = place(checkout)
    copy(checkout, sources(checkout), target, user)
    cache = Path(os.environ.get("LPMX_TEST_CACHE") or target / ".cache" / "tests")
    own(cache, user)
    os.environ["LPMX_TEST_CACHE"] = str(cache)
    subprocess.run([sys.executable, "-m", "support.images"], check=True, stdout=sys.stderr)
    print(target)


if __name__ == "__main__":
    main()
