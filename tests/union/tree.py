"""A whole tree as a program sees it, taken through a world's own system calls."""
from __future__ import annotations

import os
import stat
from typing import Dict, List, Tuple

from .operations import HERE, NOFOLLOW, NR, _user_names, identity_of, read_directory, shown
from .worlds import Room, World

#: Not the scenario's.
SKIPPED = {b"/proc", b"/.lpmx"}


class Tree:
    """What is where (`objects`), and what is odd about how it is told (`faults`)."""

    def __init__(self) -> None:
        self.objects: Dict[str, Dict[str, object]] = {}
        self.inodes: Dict[str, Tuple[int, int]] = {}
        self.faults: List[str] = []

    def links(self) -> List[List[str]]:
        """The names of each file that has several."""
        groups: Dict[Tuple[int, int], List[str]] = {}
        for path, inode in self.inodes.items():
            if self.objects[path]["type"] != oct(stat.S_IFDIR):
                groups.setdefault(inode, []).append(path)
        return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def take(world: World) -> Tree:
    """The tree of `world`, from its root."""
    tree = Tree()
    result, rooms = world.call(NR["newfstatat"], HERE, "/", Room(144), NOFOLLOW)
    assert not result, result
    tree.objects["/"] = shown(rooms[0])
    tree.inodes["/"] = identity_of(rooms[0])
    _directory(world, tree, b"", identity_of(rooms[0]), identity_of(rooms[0]))
    return tree


def _directory(world: World, tree: Tree, path: bytes, own: Tuple[int, int],
               above: Tuple[int, int]) -> None:
    where = os.fsdecode(path or b"/")
    fd, _ = world.call(NR["openat"], HERE, path or b"/", os.O_RDONLY | os.O_DIRECTORY, 0)
    if fd < 0:
        tree.faults.append(f"{where}: cannot be opened: {fd}")
        return
    result, rooms = world.call(NR["fstat"], fd, Room(144))
    if result or identity_of(rooms[0]) != own:
        tree.faults.append(f"{where}: fstat and stat tell of two objects")
    result, records = read_directory(world, fd)
    world.call(NR["close"], fd)
    if result:
        tree.faults.append(f"{where}: cannot be listed: {result}")
    names = [record[0] for record in records]
    if len(set(names)) != len(names):
        tree.faults.append(f"{where}: a name is listed twice: {sorted(names)}")
    for name, inode in ((b".", own[1]), (b"..", above[1])):
        numbers = [record[2] for record in records if record[0] == name]
        if numbers != [inode] and not (name == b".." and not path):
            tree.faults.append(f"{where}: {name!r} is listed with inodes {numbers}, not {inode}")
    wanted = [record for record in sorted(records)
              if record[0] not in (b".", b"..") and path + b"/" + record[0] not in SKIPPED]
    answers = world.calls([(NR["newfstatat"], HERE, path + b"/" + record[0], Room(144), NOFOLLOW)
                           for record in wanted])
    for (name, kind, inode, _), (result, rooms) in zip(wanted, answers):
        below = path + b"/" + name
        key = os.fsdecode(below)
        if result:
            tree.faults.append(f"{key}: is listed and cannot be asked about: {result}")
            continue
        told = tree.objects[key] = shown(rooms[0])
        tree.inodes[key] = identity_of(rooms[0])
        mode = int(str(told["type"]), 8)
        if kind != mode >> 12:
            tree.faults.append(f"{key}: is listed as type {kind}, but is {mode >> 12}")
        if inode != tree.inodes[key][1]:
            tree.faults.append(f"{key}: is listed with inode {inode}, but has {tree.inodes[key][1]}")
        if stat.S_ISLNK(mode):
            result, rooms = world.call(NR["readlinkat"], HERE, below, Room(4096), 4096)
            told["target"] = rooms[0][:result] if result > 0 else result
            continue
        if stat.S_ISREG(mode):
            _content(world, tree, below, told)
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            _attributes(world, below, told)
        if stat.S_ISDIR(mode):
            _directory(world, tree, below, tree.inodes[key], own)


def _content(world: World, tree: Tree, path: bytes, told: Dict[str, object]) -> None:
    fd, _ = world.call(NR["openat"], HERE, path, os.O_RDONLY, 0)
    if fd < 0:
        told["content"] = fd
        return
    (result, rooms), (size, data), _ = world.calls([
        (NR["fstat"], fd, Room(144)), (NR["pread"], fd, Room(16384), 16384, 0), (NR["close"], fd)])
    told["content"] = data[0][:size] if size >= 0 else size
    key = os.fsdecode(path)
    if result or shown(rooms[0]) != {k: v for k, v in told.items() if k != "content"}:
        tree.faults.append(f"{key}: fstat tells {shown(rooms[0])}, stat {told}")
    elif identity_of(rooms[0]) != tree.inodes[key]:
        tree.faults.append(f"{key}: fstat and stat tell of two objects")


def _attributes(world: World, path: bytes, told: Dict[str, object]) -> None:
    result, rooms = world.call(NR["llistxattr"], path, Room(4096), 4096)
    names = _user_names(rooms[0][:max(result, 0)])
    values = {}
    for name in names:
        result, rooms = world.call(NR["lgetxattr"], path, name, Room(1024), 1024)
        values[name] = rooms[0][:result] if result >= 0 else result
    if values:
        told["xattrs"] = values
