"""The index: one file that answers for any path of a chain of merged layers.

The format is that of native/include/lpmx_abi.h, "the index". An index depends
on the layers' entry lists alone, is named by the chain ID (OCI image spec,
"Layer ChainID") and never changes; every process of every container of the
chain maps the same file.
"""
from __future__ import annotations

import os

from ..errors import UnsupportedImage
from ..light import TYPE_CHECKING
from ..oci.digest import digest_of
from .files import digest_path, is_ours, make_directory, storing, write_file
from .index_format import ENTRY, HEADER, MAGIC, NO_LD_PRELOAD, SUMMED, VERSION

if TYPE_CHECKING:
    from pathlib import Path
    from typing import AbstractSet, Callable, ContextManager, Sequence

    from .files import StrPath
    from .layers import Layers

LAYER_LIMIT = 255  # the core's 256, less one for the grafts


def chain_id(diff_ids: Sequence[str]) -> str:
    """The name of a chain of layers, base first. No layers at all are a chain, too."""
    chain = diff_ids[0] if diff_ids else ""
    if not chain.startswith("sha256:"):
        chain = digest_of(chain.encode())
    for diff_id in diff_ids[1:]:
        chain = digest_of(f"{chain} {diff_id}".encode())
    return chain


class Indexes:
    """The store's `indexes` directory, and `grafts` beside it; an index of a store `below`
    is used where it is."""

    def __init__(self, directory: StrPath, grafts: StrPath, layers: "Layers",
                 staging: Callable[[], ContextManager[Path]],
                 below: Sequence["Indexes"] = ()) -> None:
        self._place = os.fspath(directory)
        self._grafts = os.fspath(grafts)
        self._layers = layers
        self._staging = staging
        self._below = below
        self._found: dict[str, "Indexes"] = {}

    @property
    def directory(self) -> Path:
        from pathlib import Path
        return Path(self._place)

    @property
    def grafts(self) -> Path:
        from pathlib import Path
        return Path(self._grafts)

    def path(self, diff_ids: Sequence[str]) -> Path:
        """Where the index of the chain is, or would be."""
        from pathlib import Path
        return Path(self.place(diff_ids))

    def place(self, diff_ids: Sequence[str]) -> str:
        """The same, for who is in a hurry."""
        chain = chain_id(diff_ids)
        return digest_path(self._home(chain)._place, chain)

    def _home(self, chain: str) -> "Indexes":
        """The store whose index of the chain is used: the own one's, if there is any, else
        a good one below; else it is to be the own one's."""
        if self._below and not os.path.exists(digest_path(self._place, chain)):
            if chain not in self._found:
                self._found[chain] = next(
                    (one for one in self._below
                     if _usable(digest_path(one._place, chain), chain, ours=False)), self)
            return self._found[chain]
        return self

    def ensure(self, diff_ids: Sequence[str]) -> Path:
        """The index of the chain, built if there is none, one of another version or a
        damaged one.

        Two processes may build one at once: both write the same bytes aside
        and rename them into place.
        """
        from pathlib import Path
        return Path(self._ensure(chain_id(diff_ids), diff_ids))

    def _ensure(self, chain: str, diff_ids: Sequence[str]) -> str:
        home = self._home(chain)
        path = digest_path(home._place, chain)
        if home is self and not _usable(path, chain):
            self._build(list(diff_ids), path)
        return path

    def rebuild(self, diff_ids: Sequence[str]) -> None:
        """Have the index of the chain anew, in one step, in this store."""
        self._build(list(diff_ids), digest_path(self._place, chain_id(diff_ids)))

    def trees(self, diff_ids: Sequence[str]) -> list[Path]:
        """The directories that a view file must name as its layers (`lower`)."""
        from pathlib import Path
        return [Path(tree) for tree in self.lower(diff_ids)[1]]

    def lower(self, diff_ids: Sequence[str]) -> tuple[str, list[str]]:
        """What a view file must name: the index, which is there then (`ensure`), and as
        layers the trees of the chain, base first, and one more where the index needs grafts."""
        chain = chain_id(diff_ids)
        index = self._ensure(chain, diff_ids)
        trees = [self._layers.part(diff_id, "tree") for diff_id in diff_ids]
        grafts = os.path.join(digest_path(self._home(chain)._grafts, chain), "tree")
        return index, trees + [grafts] if os.path.isdir(grafts) else trees

    def keep_only(self, chains: set[str]) -> None:
        """Remove the indexes and grafts of all chains but these. Grafts that another
        member of a group made are left to that one."""
        for index in self.directory.glob("*/[!.]*"):
            if f"{index.parent.name}:{index.name}" not in chains:
                index.unlink(missing_ok=True)
        for grafts in self.grafts.glob("*/[!.]*"):
            if f"{grafts.parent.name}:{grafts.name}" not in chains and is_ours(grafts):
                with self._staging() as aside:
                    os.rename(grafts, aside / "grafts")

    def _build(self, diff_ids: list[str], path: str) -> None:
        # What only building needs is loaded for it.
        from .entries import read_raw_and_attributed
        from .grafts import make_grafts
        from .index_table import Table
        from .merge import MergedTree

        if len(diff_ids) > LAYER_LIMIT:
            raise UnsupportedImage(f"cannot index an image of {len(diff_ids)} layers: "
                                   f"{LAYER_LIMIT} are the most we handle",
                                   hint="build the image again with its layers squashed")
        tree = MergedTree()
        for diff_id in diff_ids:
            listed, attributed = read_raw_and_attributed(self._layers.entries(diff_id))
            tree.add(listed, f"layer {diff_id}", attributed)
        table = Table(tree)
        chain = chain_id(diff_ids)
        with storing(f"the index of {chain}"):
            if table.grafts:
                make_grafts(digest_path(self._grafts, chain), table.grafts,
                            [self._layers.tree(diff_id) for diff_id in diff_ids], self._staging,
                            [self._layers.is_own(diff_id) for diff_id in diff_ids])
            make_directory(os.path.dirname(path), may_exist=True)
            write_file(path, table.file(bytes.fromhex(chain.partition(":")[2])))

    def write_without(self, diff_id: str, hidden: AbstractSet[bytes], path: Path) -> None:
        """Write to `path` an index of one layer as if it had none of the paths `hidden`.

        For whoever makes a layer and has to show a part of it first.
        """
        from .entries import read_raw_and_attributed
        from .index_table import Table
        from .merge import MergedTree

        tree = MergedTree()
        listed, attributed = read_raw_and_attributed(self._layers.entries(diff_id))
        tree.add((entry for entry in listed if entry[0] not in hidden), f"layer {diff_id}",
                 attributed)
        table = Table(tree)
        if table.grafts:
            raise ValueError("a layer with links that need grafts")
        write_file(path, table.file(bytes.fromhex(chain_id([diff_id]).partition(":")[2])))


_CHECKED = "user.lpmx.checked"


def _usable(path: str, chain: str, *, ours: bool = True) -> bool:
    """Whether a whole index of `chain` and of our version is there.

    What the head says must be all that it could say. The checksum is computed once
    after each boot, and whenever the file was touched: a mark on it says so, if it is
    `ours` and where it may be written.
    """
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not _frame_is_right(file.read(HEADER.size), status.st_size, chain):
                return False
            mark = f"{_boot()}:{status.st_mtime_ns}".encode()
            if _mark(file.fileno()) == mark:
                return True
            import mmap  # these two only here, which one in thousands comes to
            import zlib
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
                if zlib.crc32(memoryview(data)[SUMMED:]) != HEADER.unpack_from(data)[4]:
                    return False
            if ours:
                _set_mark(file.fileno(), mark)
            return True
    except FileNotFoundError:
        return False
    except PermissionError:
        if ours:
            raise
        return False


def _frame_is_right(header: bytes, size: int, chain: str) -> bool:
    if len(header) < HEADER.size:
        return False
    (magic, version, header_size, file_size, checksum, entries, slots, children, _,
     slots_at, entries_at, children_at, strings_at, strings_size, near, near_slots, near_at,
     flags, _, name) = HEADER.unpack(header)
    at = HEADER.size
    for offset, length in ((near_at, 4 * near_slots), (strings_at, entries_at - strings_at),
                           (entries_at, ENTRY.size * entries), (slots_at, 4 * slots),
                           (children_at, 4 * children)):
        if offset != at or length < 0:
            return False
        at += length + -length % 8
    return bool((magic, version, header_size) == (MAGIC, VERSION, HEADER.size)
                and file_size == size == strings_at + strings_size and at <= size
                and flags & ~NO_LD_PRELOAD == 0 and near <= entries and 2 * near <= near_slots
                and checksum >> 32 == 0 and "sha256:" + name.hex() == chain)


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _mark(fd: int) -> bytes:
    try:
        return os.getxattr(fd, _CHECKED)
    except OSError:
        return b""


def _set_mark(fd: int, mark: bytes) -> None:
    try:
        os.setxattr(fd, _CHECKED, mark)
    except OSError:
        pass    # another's store, or a file system without: checked again, then
