"""Layers: the unpacked trees, each with the list of all that the layer says.

    layers/sha256/<diff ID>/tree/      names and content, read-only
    layers/sha256/<diff ID>/entries    the entry list (entries.py)
    layers/sha256/<diff ID>/recipe     how its tar is made again (recipe.py)
    layers/sha256/<diff ID>/spare/     content that only the tar has, if any

A layer is whole and verified before it has its name, and never changes
afterwards; every image and every container that needs it shares it.
"""
from __future__ import annotations

import os
import stat

from ..errors import DigestMismatch, StoreDamaged, StoreError
from ..light import TYPE_CHECKING
from ..oci.digest import Digester, Verifier
from .files import (
    digest_path,
    exchange,
    is_ours,
    make_directory,
    publish,
    share,
    split_digest,
    storing,
    sync_tree,
)

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO, Callable, ContextManager, Iterator, Optional, Sequence

    from .files import StrPath
    from .quota import Quota


class Layers:
    """The store's `layers` directory, and those of other stores, `below`, in which a layer
    is used where it is."""

    def __init__(self, directory: StrPath, staging: Callable[[], ContextManager[Path]],
                 below: Sequence["Layers"] = (), quota: Optional[int] = None) -> None:
        self._place = os.fspath(directory)
        self._staging = staging
        self._below = below
        self._quota = quota
        self._counted: "Optional[Quota]" = None

    @property
    def directory(self) -> Path:
        from pathlib import Path
        return Path(self._place)

    def put(self, diff_id: str, stream: BinaryIO, *,
            on_bytes: Optional[Callable[[int], object]] = None) -> Path:
        """Unpack the uncompressed tar `stream` as the layer `diff_id`; return its tree.

        Two processes or threads may store the same layer at once. Each unpacks
        into a staging directory of its own and renames it into place; whoever
        comes second finds the name taken, drops its copy and returns the first
        one's. No lock is held meanwhile, so a slow disk holds up nobody else. A
        layer that is here already is not read again.

        Raises `DigestMismatch` if the bytes do not hash to `diff_id`,
        `LayerDamaged` and `UnsafeMember` for a tar that makes no sense or means
        harm, `StoreFull` and `StoreError` where the file system refuses. The
        store is then as it was.
        """
        split_digest(diff_id)
        if not self.has(diff_id):
            self._take(stream, f"layer {diff_id}", on_bytes, diff_id)
        return self.tree(diff_id)

    def add(self, stream: BinaryIO, *, label: str = "the layer",
            on_bytes: Optional[Callable[[int], object]] = None) -> str:
        """Unpack `stream` as a layer whose diff ID is not known before; return that.

        `label` names the layer in messages.
        """
        return self._take(stream, label, on_bytes, None)

    def replace(self, diff_id: str, stream: BinaryIO) -> None:
        """Put a layer that is damaged, or missing, here anew; it changes in one step.

        What programs have open stays what it is, and what they open then is sound.
        """
        self._take(stream, f"layer {diff_id}", None, diff_id, replace=True)

    def has(self, diff_id: str) -> bool:
        """Whether the layer is here or in a store below, whole."""
        return self._home(diff_id, "entries") is not None

    def is_own(self, diff_id: str) -> bool:
        """Whether the layer is in this store itself, whole."""
        return self._is_there(diff_id, "entries")

    def place(self, diff_id: str) -> Optional[str]:
        """The store below that the layer is used from; None: this one."""
        home = self._home(diff_id, "entries")
        return None if home is self or home is None else os.path.dirname(home._place)

    def tree(self, diff_id: str) -> Path:
        """The directory with the layer's names and content."""
        from pathlib import Path
        return Path(self.part(diff_id, "tree"))

    def entries(self, diff_id: str) -> Path:
        """The file with the layer's entry list."""
        from pathlib import Path
        return Path(self.part(diff_id, "entries"))

    def part(self, diff_id: str, name: str) -> str:
        """A part of the layer, for who is in a hurry."""
        home = self._home(diff_id, name)
        if home is None:
            raise StoreDamaged(f"cannot use layer {diff_id}: the store does not have it",
                               hint="pull or load its image again")
        return os.path.join(digest_path(home._place, diff_id), name)

    def tar_size(self, diff_id: str) -> int:
        """The size of the layer's tar."""
        from .recipe import tar_size
        return tar_size(self.entries(diff_id).with_name("recipe"))

    def tar(self, diff_id: str) -> Iterator[bytes]:
        """The layer's tar, as it came, in pieces. Raises `StoreDamaged` at the end, or
        before, if the layer is not what it was."""
        from .recipe import make_tar
        split_digest(diff_id)
        verifier = Verifier(diff_id)
        for piece in make_tar(self.entries(diff_id).with_name("recipe")):
            verifier.update(piece)
            yield piece
        if not verifier.agrees:
            raise StoreDamaged(f"cannot make the tar of layer {diff_id}: its files are not what "
                               "they were",
                               hint='remove its image with "lpmx rmi" and get it again')

    def list(self) -> list[str]:
        """The diff IDs of all layers of this store itself."""
        return sorted(f"{algorithm.name}:{layer.name}"
                      for algorithm in self.directory.iterdir() if algorithm.is_dir()
                      for layer in algorithm.iterdir() if not layer.name.startswith("."))

    def remove(self, diff_id: str) -> None:
        """Remove the layer; a missing one is fine.

        It loses its name before its content, so that nobody sees half of it. What
        another member of a group stored only that one can remove: `StoreError`.
        """
        place = digest_path(self._place, diff_id)
        with storing(f"the removal of layer {diff_id}"), self._staging() as aside:
            if not is_ours(place):
                raise StoreError(f"cannot remove layer {diff_id}: another user stored it",
                                 hint="ask whoever shares the store with you")
            size = self._own_size(diff_id) if self._counted is not None else 0
            try:
                os.rename(place, aside / "layer")
            except FileNotFoundError:
                return
            if self._counted is not None:
                self._counted.give_back(size)

    def _bounded(self, label: str,
                 on_bytes: Optional[Callable[[int], object]]) -> "_Bounded":
        """What counts the bytes of one layer against the quota, if there is one."""
        if self._quota is not None and self._counted is None:
            from .quota import Quota
            self._counted = Quota(self._quota, lambda: sum(map(self._own_size, self.list())))
        return _Bounded(self._counted, label, on_bytes)

    def _own_size(self, diff_id: str) -> int:
        from .recipe import tar_size
        try:
            return tar_size(self.directory / "/".join(split_digest(diff_id)) / "recipe")
        except StoreError:
            return 0   # removed since, or damaged

    def _home(self, diff_id: str, name: str) -> "Optional[Layers]":
        """Which of the stores has this part of the layer, the own one first."""
        if self._is_there(diff_id, name):
            return self
        for one in self._below:
            try:
                if one._is_there(diff_id, name):
                    return one
            except StoreError:
                continue   # closed to us: as if it were not there
        return None

    def _is_there(self, diff_id: str, name: str) -> bool:
        try:
            os.stat(os.path.join(digest_path(self._place, diff_id), name))
        except FileNotFoundError:
            return False
        except PermissionError:
            raise StoreError(f"cannot use layer {diff_id}: it is another user's, who does not "
                             "share it",
                             hint="the directories of a store for a group must be its, and open "
                                  "to it: chgrp -R GROUP STORE; chmod g+rwxs STORE") from None
        return True

    def _take(self, stream: BinaryIO, label: str, on_bytes: Optional[Callable[[int], object]],
              diff_id: Optional[str], *, replace: bool = False) -> str:
        # What only a pull needs is loaded by a pull.
        from . import tar
        from .entries import write_entries
        from .recipe import Writer
        from .unpack import Recipe, unpack

        digester = Digester(split_digest(diff_id)[0] if diff_id else "sha256")
        with storing(label), self._bounded(label, on_bytes) as count, self._staging() as aside:
            made = aside / "layer"
            tree = made / "tree"
            for directory in (made, tree):
                make_directory(directory)
            fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with open(made / "recipe", "wb") as file:
                    share(file.fileno(), made)
                    recipe = Writer(file)
                    source = tar.Source(stream, count, digester, recipe)
                    listed, attributes, names = unpack(
                        source, fd, label, shared=_shared(made),
                        recipe=Recipe(recipe, made / "spare"))
                    source.drain()  # tar stops at its end mark; the digest covers the rest, too
                    recipe.finish(names)
                found = digester.actual
                if diff_id is not None and found != diff_id:
                    raise DigestMismatch(f"cannot store {label}: its bytes hash to {found}",
                                         hint="the copy is damaged or is another thing; "
                                              "fetch it again")
                write_entries(made / "entries", listed, attributes)
                sync_tree(fd)
            finally:
                os.close(fd)
            place = digest_path(self._place, found)
            if replace and os.path.exists(place):
                exchange(made, place)   # and the damaged one goes with the staging directory
            elif publish(made, place):
                count.keep()
            elif not self.is_own(found):
                self.remove(found)  # half of one, which nothing of ours leaves behind
                publish(made, place)
                count.keep()
        return found


class _Bounded:
    """Counts the bytes of one layer; what is not kept is given back at the end."""

    def __init__(self, quota: "Optional[Quota]", label: str,
                 on_bytes: Optional[Callable[[int], object]]) -> None:
        self._quota = quota
        self._label = label
        self._on_bytes = on_bytes
        self._count = 0

    def __call__(self, count: int) -> None:
        if self._quota is not None:
            self._count += count
            self._quota.take(count, self._label)
        if self._on_bytes is not None:
            self._on_bytes(count)

    def keep(self) -> None:
        self._count = 0

    def __enter__(self) -> "_Bounded":
        return self

    def __exit__(self, *unused: object) -> None:
        if self._quota is not None:
            self._quota.give_back(self._count)


def _shared(directory: Path) -> bool:
    """Whether a group may write what we make, so that all in it must be able to
    read a layer: says the mode that `directory` has got (files.py, `share`)."""
    return bool(os.stat(directory).st_mode & stat.S_IWGRP)
