"""Run one scenario in several worlds and say where they differ.

The measure is the plain directory. Where overlayfs itself differs from it, either
answer is good. Differences that are on purpose are in docs/reference/differences.md.
"""
from __future__ import annotations

import re
from typing import Dict, List, Optional, Sequence

from .operations import LINE, LOOK, Operation, encode
from .worlds import OURS, Bench, hash_trees

LINKS = re.compile(rb" links=(\d+)")
TWICE = re.compile(rb" twice=\S+")

Answers = Dict[str, List[bytes]]


def differences(bench: Bench, operations: Sequence[Operation], *, look_every: int = 0,
                layers_too: bool = True) -> List[str]:
    """Do the operations in fresh worlds; every difference as one line of text.

    The tree is looked at in the end, and each so many operations if that is asked for. With
    `layers_too` the lower layers must be what they were; whoever runs many scenarios may look
    at them once, by `changed_layers`.
    """
    all_of_them = with_looks(operations, look_every)
    found = compared(all_of_them, answers_of(bench, all_of_them), bench.most_links)
    return found + (changed_layers(bench) if layers_too else [])


def with_looks(operations: Sequence[Operation], look_every: int = 0) -> List[Operation]:
    """The operations, and LOOK where the tree is looked at."""
    every = look_every or len(operations) or 1
    looking: List[Operation] = []
    for at in range(0, len(operations) or 1, every):
        looking += [*operations[at:at + every], LOOK]
    return looking


def answers_of(bench: Bench, operations: Sequence[Operation]) -> Answers:
    """What each of fresh worlds answers to the operations."""
    worlds = bench.fresh()
    batch = encode(operations)
    for world in worlds:
        world.send(batch)
    return {world.name: world.answers(len(operations)) for world in worlds}


def changed_layers(bench: Bench) -> List[str]:
    """Nothing, if the lower layers are what they were."""
    now = hash_trees(bench.lower_trees())
    if now == bench.lower_hash:
        return []
    bench.lower_hash = now
    return ["a lower layer has changed"]


def compared(operations: Sequence[Operation], answers: Answers, most_links: int) -> List[str]:
    """What is wrong about the first operation that differs: what follows follows from it."""
    ours = [name for name in answers if name in OURS]
    kernels = [answers[name] for name in answers if name not in OURS]
    differing = [name for name in ours if answers[name] != kernels[0]
                 or any(LINE + b"!" in answer for answer in answers[name])]
    for number, operation in enumerate(operations if differing else []):
        found: List[str] = []
        for name in differing:
            told, possible = answers[name][number], [those[number] for those in kernels]
            if operation == LOOK:
                found += [f"{name}: {fault}" for fault in _looks(told, possible, most_links)]
            elif not right(told, possible, most_links):
                found.append(f"{number} {operation}: {name} {_text(told)}, not "
                             + " or ".join(map(_text, dict.fromkeys(possible))))
        if found:
            return found
    return []


def _looks(told: bytes, possible: Sequence[bytes], most_links: int) -> List[str]:
    """Where a tree is odd, or neither of the right ones has the same."""
    if told in possible and LINE + b"!" not in told:
        return []
    tree, trees = _objects(told), [_objects(each) for each in possible]
    found = [_text(line[1:]) for line in told.split(LINE) if line[:1] == b"!"]
    for path in sorted(set(tree).union(*trees)):
        here = [each.get(path) for each in trees]
        if not right(tree.get(path), here, most_links):
            found.append(f"{_text(path)}: {_text(tree.get(path))}, not "
                         + " or ".join(map(_text, dict.fromkeys(here))))
    return found


def right(told: Optional[bytes], possible: Sequence[Optional[bytes]], most_links: int) -> bool:
    """Whether it is what the plain directory tells, or overlayfs, but for two things.

    A name that they list twice while names come and go is listed once.

    The number of links of a lower file some of whose names were removed is that of all its
    names in the image (docs/reference/differences.md): more than a plain directory tells, and
    at most what any file of the layers has.
    """
    if told in possible or told in [TWICE.sub(b"", each) for each in possible if each]:
        return True
    plain = possible[0]
    if told is None or plain is None or LINKS.sub(b"", told) != LINKS.sub(b"", plain):
        return False
    links, least = (int(match.group(1)) if match else 0
                    for match in (LINKS.search(told), LINKS.search(plain)))
    return least < links <= most_links


def _objects(look: bytes) -> Dict[bytes, bytes]:
    lines = (line.partition(b" ") for line in look.split(LINE) if line[:1] not in (b"", b"!"))
    return {path: facts for path, _, facts in lines}


def _text(data: Optional[bytes]) -> str:
    return "absent" if data is None else data.decode("ascii", "replace")


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
