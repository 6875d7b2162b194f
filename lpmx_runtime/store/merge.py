"""The merged view of a chain of layers, as a tree of nodes in memory.

Layers are added base first, each from its entry list alone (OCI image spec,
"Applying Changesets"): first what it hides of the layers below, then what it
has. A directory over a directory merges and takes the upper one's metadata; any
other meeting of two objects hides the lower one.

A member below a directory that its layer does not list ("lib/x" without "lib")
goes where the lower layers say that directory is: if they have `lib` as a link
to `usr/lib`, to `usr/lib/x`, as umoci and containerd do. Its file then lies at
another path of its layer's tree than the merged one; so does a hard link to a
file of a lower layer. `Node.path` tells where. (A layer that means one place by
two such names contradicts itself; no tool writes one, and the later name wins.)
"""
from __future__ import annotations

import stat
from typing import AbstractSet, Iterable, Optional

from ..errors import LayerDamaged
from .entries import IMPLIED, LOWER_LINK, OPAQUE, WHITEOUT, RawEntry, Record

FOLLOW_LIMIT = 40

_IMPLIED_RECORD = (IMPLIED, stat.S_IFDIR | 0o755, 0, 0, 0, 0, 0, 0, 0)
_TYPE, _DIRECTORY, _SYMLINK = 0o170000, stat.S_IFDIR, stat.S_IFLNK


class Node:
    """An object of the merged view.

    `layer` and `path` say which tree has it and where. `group` is 0, or the same
    for all names of one file. `bare` says that its layer knows of no attribute of it.
    """

    __slots__ = ("record", "target", "layer", "path", "group", "bare")

    def __init__(self, record: Record, target: bytes, layer: int, path: Optional[bytes],
                 bare: bool) -> None:
        self.record = record
        self.target = target
        self.layer = layer
        self.path = path
        self.group = record[8] and layer << 32 | record[8]
        self.bare = bare


class Directory(Node):
    """A directory; its `path` is None if no tree has it, `merged` says that more
    than one layer does. The root is in itself."""

    __slots__ = ("children", "parent", "merged")

    def __init__(self, record: Record, layer: int, path: Optional[bytes],
                 parent: Optional["Directory"], bare: bool = True) -> None:
        super().__init__(record, b"", layer, path, bare)
        self.children: dict[bytes, Node] = {}
        self.parent = parent or self
        self.merged = False


class MergedTree:
    """The layers added so far. `root` is its root directory."""

    def __init__(self) -> None:
        self.root = Directory(_IMPLIED_RECORD, 0, b"", None)
        self.layer_count = 0
        self._groups = 0

    def add(self, entries: Iterable[RawEntry], label: str,
            attributed: AbstractSet[bytes]) -> None:
        """Put a layer, named `label` in messages, over what is here. The paths `attributed`
        are those of which it says attributes."""
        listed = list(entries)
        number = self.layer_count
        self.layer_count += 1
        links = self._link_targets(listed, label)
        if number:
            self._hide(listed)
        self._add_objects(listed, number, links, label, attributed)

    # -- what a layer hides ---------------------------------------------------------

    def _hide(self, listed: list[RawEntry]) -> None:
        """Apply whiteouts and opaque markers to the layers below."""
        hidden = [(path, record[0]) for path, _, record in listed
                  if record[0] == WHITEOUT or record[0] == OPAQUE]
        if not hidden:
            return
        own = {path for path, _, record in listed
               if record[0] != WHITEOUT and record[0] != OPAQUE and record[0] != IMPLIED}
        for path, kind in hidden:
            if kind == WHITEOUT:
                above, _, name = path.rpartition(b"/")
                directory = self._lower_directory(above, own)
                if directory is not None:
                    directory.children.pop(name, None)
            else:
                directory = self._lower_directory(path, own)
                if directory is not None:
                    directory.children = {}

    def _lower_directory(self, path: bytes, own: set[bytes]) -> Optional[Directory]:
        """The directory that a layer means by `path`: a link of a lower layer is
        followed unless the layer itself, which has the names `own`, replaces it."""
        here = self.root
        done = b""
        for name in path.split(b"/") if path else ():
            done = done + b"/" + name if done else name
            below = here.children.get(name) if done in own else self._enter(here, name, None)
            if not isinstance(below, Directory):
                return None
            here = below
        return here

    # -- what a layer has -----------------------------------------------------------

    def _add_objects(self, listed: list[RawEntry], number: int, links: dict[bytes, Node],
                     label: str, attributed: AbstractSet[bytes]) -> None:
        directories: dict[bytes, Directory] = {b"": self.root}
        for path, target, record in listed:
            kind, bare = record[0], path not in attributed
            if kind == WHITEOUT or kind == OPAQUE:
                continue
            if not path:
                if kind != IMPLIED or not number:
                    self._describe(self.root, record, number, path, bare)
                continue
            cut = path.rfind(b"/")
            parent = directories[path[:cut] if cut > 0 else b""]
            name = path[cut + 1:]
            if record[1] & _TYPE != _DIRECTORY:
                if kind == LOWER_LINK:
                    parent.children[name] = self._linked(links[path])
                else:
                    parent.children[name] = Node(record, target, number, path, bare)
                continue
            old = parent.children.get(name)
            if isinstance(old, Directory):
                if kind != IMPLIED:
                    self._describe(old, record, number, path, bare)
                directories[path] = old
            elif old is not None and kind == IMPLIED and self._is_link(old):
                entered = self._enter(parent, name, number)
                if entered is None:
                    raise _bad(label, path, "symbolic links lead in circles there")
                directories[path] = entered
            else:
                directories[path] = node = Directory(record, number, path, parent, bare)
                parent.children[name] = node

    @staticmethod
    def _describe(node: Directory, record: Record, number: int, path: bytes,
                  bare: bool) -> None:
        node.merged = number > 0
        node.record, node.layer, node.path, node.bare = record, number, path, bare

    # -- hard links to lower layers -------------------------------------------------

    def _link_targets(self, listed: list[RawEntry], label: str) -> dict[bytes, Node]:
        """What the layer's links to lower files mean, before it hides any of them."""
        found: dict[bytes, Node] = {}
        for path, target, record in listed:
            if record[0] != LOWER_LINK:
                continue
            above, _, name = target.rpartition(b"/")
            directory = self._lower_directory(above, set())
            node = directory.children.get(name) if directory is not None else None
            if node is None or isinstance(node, Directory):
                raise _bad(label, path, f"it is a hard link to {_show(target)}, which is no "
                                        "file of a layer below")
            found[path] = node
        return found

    def _linked(self, target: Node) -> Node:
        """Another name for `target`."""
        if not target.group:
            self._groups -= 1
            target.group = self._groups
        node = Node(target.record, target.target, target.layer, target.path, target.bare)
        node.group = target.group
        return node

    # -- symbolic links -------------------------------------------------------------

    @staticmethod
    def _is_link(node: Node) -> bool:
        return node.record[1] & _TYPE == _SYMLINK

    def _enter(self, directory: Directory, name: bytes,
               number: Optional[int]) -> Optional[Directory]:
        """The directory `name` of `directory`, links followed inside the view.

        What is missing on the way is made for layer `number`, or makes the
        answer None if that is None. So does a circle of links.
        """
        here, todo, follows = directory, [name], 0
        while todo:
            part = todo.pop()
            if not part or part == b".":
                continue
            if part == b"..":
                here = here.parent
                continue
            child = here.children.get(part)
            if child is not None and self._is_link(child):
                follows += 1
                if follows > FOLLOW_LIMIT:
                    return None
                if child.target.startswith(b"/"):
                    here = self.root
                todo += child.target.split(b"/")[::-1]
                continue
            if not isinstance(child, Directory):
                if number is None:
                    return None
                child = Directory(_IMPLIED_RECORD, number, None, here)
                here.children[part] = child
            here = child
        return here


def _bad(label: str, path: bytes, cause: str) -> LayerDamaged:
    return LayerDamaged(f"cannot merge {label} with the layers below it, at {_show(path)}: {cause}",
                        hint="the image was made by a tool that is broken; build it again")


def _show(name: bytes) -> str:
    return '"' + name.decode("utf-8", "backslashreplace")[:200] + '"'
