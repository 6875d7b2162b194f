"""The store: one directory with everything that is kept, and who may do what at once.

    version             what layout this is (migrate.py)
    blobs/              manifests and image configs, by digest
    layers/             unpacked layers, by diff ID
    indexes/  grafts/   what belongs to a chain of layers, by chain ID
    images/             one record an image
    containers/         one directory a container (lpmx_runtime/container)
    locks/              lock files, by name
    tmp/                staging directories, each with a lock that lives as long
                        as the process that made it

Everything appears under its name at once and whole, so that readers need no
lock. Two rules remain. Whoever removes what no image needs holds the lock
`keep` alone; whoever relies on finding something here that no image of the
store names yet holds it shared (`Store.keeping`). And what lies in `tmp` belongs
to the holder of the lock beside it.

The store may be on a file system that several nodes share, and a group may
share it, or everybody read it: its directory's mode says so (files.py, `share`).

Below the user's store there may be others, a site's, which are looked into for
images, layers, blobs and indexes that it lacks. What is found there is used where
it is. Nothing is ever written there, and no lock is taken: who removes an image of
such a store must know that nobody runs it.
"""
from __future__ import annotations

import os
import time
from contextlib import contextmanager
from functools import cached_property

from ..errors import StoreError
from ..light import TYPE_CHECKING
from ..settings import quota, site_stores, store_location
from .files import STALE_SECONDS, make_directory, remove_tree, storing, write_file
from .images import Images
from .index import Indexes
from .layers import Layers
from .locks import Lock
from .migrate import check_version, migrate, version_file, version_of

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Iterator, Optional, Sequence

    from .blobs import Blobs
    from .files import StrPath

_DIRECTORIES = ("blobs", "layers", "indexes", "grafts", "images", "containers", "locks", "tmp")
_ALGORITHMS = ("sha256", "sha512")


class Store:
    """A store that is open. Cheap to open, and to have open several times.

    `place` is its directory. What has to start fast works with that, and without pathlib,
    which is slow to import; all else with the paths below.
    """

    def __init__(self, path: StrPath, below: Sequence["Store"] = (),
                 quota: Optional[int] = None) -> None:
        self.place = os.fspath(path)
        self.below = tuple(below)
        self.layers: Layers = Layers(self._at("layers"), self.staging,
                                     [one.layers for one in below], quota)
        self.indexes: Indexes = Indexes(self._at("indexes"), self._at("grafts"), self.layers,
                                        self.staging, [one.indexes for one in below])
        self.images: Images = Images(self._at("images"), self.layers,
                                     [one.images for one in below])

    def _at(self, *names: str) -> str:
        return os.path.join(self.place, *names)

    @property
    def path(self) -> Path:
        from pathlib import Path
        return Path(self.place)

    @property
    def containers(self) -> Path:
        return self.path / "containers"

    @cached_property
    def blobs(self) -> Blobs:
        from .blobs import Blobs
        return Blobs(self.path / "blobs", [one.blobs for one in self.below])

    @classmethod
    def open(cls, path: Optional[StrPath] = None) -> "Store":
        """The store at `path`, or the user's; made if there is none, migrated if it is of an
        older version. Below it are those of the setting `site_stores` that are there.

        Raises `StoreError` for a store of a newer version, and for a directory
        that holds something else.
        """
        place = store_location() if path is None else os.path.abspath(path)
        with storing(f'anything in "{place}"'):
            _prepare(place)
        return cls(place, [cls(site) for site in site_stores()
                           if site != place and _is_there(site)], quota())

    def lock(self, name: str, *, shared: bool = False, timeout: Optional[float] = None) -> Lock:
        """The store's lock `name`, to be held in a `with` block (locks.py)."""
        return Lock(self._at("locks", name), shared=shared, timeout=timeout)

    def keeping(self) -> Lock:
        """While this is held, nothing that is in the store is collected.

        For whoever counts on a layer or a blob before an image or a container
        is recorded that needs it.
        """
        return self.lock("keep", shared=True)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty directory in the store's file system, removed afterwards.

        What is made here can be renamed to where it belongs. If the process is
        killed meanwhile, the next one that stages something cleans up.
        """
        from pathlib import Path
        with self.aside() as place:
            yield Path(place)

    @contextmanager
    def aside(self) -> Iterator[str]:
        """The same."""
        with storing(f'anything in "{self.place}"'):
            self.clean()
        place = self._at("tmp", f"{_node()}.{os.getpid()}.{os.urandom(8).hex()}")
        with Lock(f"{place}.lock") as held:
            try:
                with storing(f'anything in "{self.place}"'):
                    make_directory(place)
                yield place
            finally:
                remove_tree(place)
                held.remove()

    def clean(self) -> None:
        """Remove what processes that were killed left in `tmp`."""
        for name in os.listdir(self._at("tmp")):
            stem, dot, suffix = name.rpartition(".")
            lock = self._at("tmp", name)
            if suffix == "lock" and _abandoned(lock, stem):
                try:
                    with Lock(lock, timeout=0) as held:
                        remove_tree(self._at("tmp", stem))
                        held.remove()
                except (StoreError, PermissionError):
                    pass  # somebody lives there, or it is another user's


def _node() -> str:
    return os.uname().nodename.partition(".")[0].replace("/", "_") or "localhost"


def _abandoned(lock: str, stem: str) -> bool:
    """Whether to try the lock at all. A shared file system may be mounted so that
    locks hold on one node only: what another node made must be old as well."""
    if stem.partition(".")[0] == _node():
        return True
    try:
        return time.time() - os.stat(lock).st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return False


def _version_in(path: str) -> bytes:
    with open(os.path.join(path, "version"), "rb") as file:
        return file.read()


def _prepare(path: str) -> None:
    try:
        found = _version_in(path)
    except FileNotFoundError:
        _create(path)
        return
    except NotADirectoryError:
        raise StoreError(f'cannot use "{path}" as the store: it is no directory',
                         hint="point LPMX_STORE at a directory") from None
    if found != version_file():
        migrate(path, found)
    for name in _DIRECTORIES:
        if not os.path.isdir(os.path.join(path, name)):  # somebody tidied up: an empty one, or `tmp`
            make_directory(os.path.join(path, name), may_exist=True)


def _is_there(site: str) -> bool:
    """Whether a site's store can be used. One that is not mounted on this node is none."""
    try:
        found = _version_in(site)
    except OSError:
        return False
    if found != version_file():
        check_version(site, found)
        raise StoreError(f'cannot use the site\'s store "{site}": it is of the older version '
                         f"{version_of(found)}",
                         hint=f"whoever owns it migrates it by any command with LPMX_STORE={site}")
    return True


def _create(path: str) -> None:
    """Make the layout. Several processes may do this at once; the version file,
    which says that all the rest is there, comes last."""
    os.makedirs(path, exist_ok=True)
    strange = sorted(name for name in os.listdir(path)
                     if name not in _DIRECTORIES + ("version", "lost+found") and name[0] != ".")
    if strange:
        raise StoreError(f'cannot use "{path}" as the store: it has other things in it '
                         f'("{strange[0]}")',
                         hint="point LPMX_STORE at a new or an empty directory")
    for name in _DIRECTORIES:
        make_directory(os.path.join(path, name), may_exist=True)
    for name in ("blobs", "layers", "indexes", "grafts"):
        for algorithm in _ALGORITHMS:
            make_directory(os.path.join(path, name, algorithm), may_exist=True)
    write_file(os.path.join(path, "version"), version_file())
