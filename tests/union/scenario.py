"""Run one scenario in several worlds and say where they differ.

The measure is the plain directory. Where overlayfs itself differs from it, either
answer is good. Differences that are on purpose are in docs/reference/differences.md.
"""
from __future__ import annotations

from typing import Dict, List, Sequence

from . import tree as trees
from .operations import Operation, perform
from .worlds import OURS, Bench, World, hash_trees


def differences(bench: Bench, operations: Sequence[Operation], *,
                look_every: int = 0) -> List[str]:
    """Do the operations in fresh worlds; every difference as one line of text."""
    worlds = {world.name: world for world in bench.fresh()}
    found: List[str] = []
    for number, operation in enumerate(operations):
        outcomes = {name: perform(world, operation) for name, world in worlds.items()}
        right = [outcomes[name] for name in outcomes if name not in OURS]
        for name in outcomes:
            if name in OURS and outcomes[name] not in right:
                found.append(f"{number} {operation}: {name} {outcomes[name]}, not "
                             + " or ".join(map(str, right)))
        if found or (look_every and number % look_every == look_every - 1):
            found += _look(worlds)
        if found:
            return found
    found += _look(worlds)
    for world in worlds.values():
        world.fds.clear()
    now = hash_trees(bench.lower_trees())
    if now != bench.lower_hash:
        found.append("a lower layer has changed")
        bench.lower_hash = now
    return found


def _look(worlds: Dict[str, World]) -> List[str]:
    taken = {name: trees.take(world) for name, world in worlds.items()}
    plain, overlay = taken["plain"], taken.get("overlay")
    found = []
    for name, tree in taken.items():
        if name not in OURS:
            continue
        found += [f"{name}: {fault}" for fault in tree.faults]
        devices = {inode[0] for inode in tree.inodes.values()}
        if len(devices) > 1:
            found.append(f"{name}: several devices: {devices}")
        for path in sorted(set(plain.objects) | set(tree.objects)):
            told, right = tree.objects.get(path), plain.objects.get(path)
            if told != right and not (overlay and told == overlay.objects.get(path, 0)):
                found.append(f"{name}: {path}: {_only(told, right)}, not {_only(right, told)}")
        if tree.links() != plain.links() and not (overlay and tree.links() == overlay.links()):
            found.append(f"{name}: names of one file: {tree.links()}, not {plain.links()}")
    return found


def _only(one: object, other: object) -> object:
    """What of `one` is not in `other`."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {k: v for k, v in one.items() if k not in other or other[k] != v}
    return one


def smallest(bench: Bench, operations: Sequence[Operation]) -> List[Operation]:
    """As few of the operations as still differ."""
    kept = list(operations)
    size = len(kept) // 2
    while size:
        at = 0
        while at < len(kept):
            fewer = kept[:at] + kept[at + size:]
            if differences(bench, fewer):
                kept = fewer
            else:
                at += size
        size //= 2
    return kept
