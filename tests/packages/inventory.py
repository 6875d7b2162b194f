"""Every file of a tree with all that packages are particular about, and how two trees differ."""
from __future__ import annotations

import hashlib
import math
import tarfile
from dataclasses import dataclass, fields
from typing import IO, Dict, FrozenSet, Iterator, List, Tuple


@dataclass(frozen=True)
class File:
    """Facts of one name. `time` is not among those that must be equal; see `differences`."""

    kind: str
    mode: int
    owner: Tuple[int, int]
    target: str
    content: str
    device: Tuple[int, int]
    attributes: Tuple[Tuple[str, str], ...]
    same_file: FrozenSet[str]  # all names of the file, where it has several
    time: float


Tree = Dict[str, File]

KINDS = {tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.LNKTYPE: "file",
         tarfile.SYMTYPE: "link", tarfile.DIRTYPE: "directory", tarfile.FIFOTYPE: "fifo",
         tarfile.CHRTYPE: "character device", tarfile.BLKTYPE: "block device"}


#: What is the machine's, and what only lasts until the next boot.
LEFT_OUT = ("dev", "mnt", "proc", "run/*", "sys", "tmp/*")


def pack(top: str, *without: str) -> List[str]:
    """The command that writes all below `top` as a tar: a real program's word on every file."""
    left_out = [*LEFT_OUT, *(path.lstrip("/") for path in without)]
    return ["tar", "-C", top, "--numeric-owner", "--xattrs", "--xattrs-include=*", "--sort=name",
            *(f"--exclude=./{name}" for name in left_out), "-cf", "-", "."]


def read(stream: IO[bytes]) -> Tree:
    """The tree that a tar describes, the archive of it or of a part of it."""
    tree: Tree = {}
    names: Dict[str, set[str]] = {}  # first name of a file: all its names
    with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20,
                      errors="surrogateescape") as archive:
        for member in archive:
            name = "/" + member.name.removeprefix("./").removeprefix(".")
            if member.islnk():
                names.setdefault("/" + member.linkname.removeprefix("./"), set()).add(name)
                continue
            tree[name] = File(
                KINDS[member.type], member.mode, (member.uid, member.gid),
                member.linkname if member.issym() else "",
                _content(archive, member) if member.isreg() else "",
                (member.devmajor, member.devminor) if member.isdev() else (0, 0),
                tuple(sorted((key.removeprefix("SCHILY.xattr."), value)
                             for key, value in member.pax_headers.items()
                             if key.startswith("SCHILY.xattr."))),
                frozenset(), float(member.mtime))
            archive.members = []  # a stream of a hundred thousand is not to be remembered
        stream.read()  # the padding, so that the writer ends well
    for first, others in names.items():
        group = frozenset({first, *others})
        file = tree[first]
        for name in group:
            tree[name] = File(file.kind, file.mode, file.owner, file.target, file.content,
                              file.device, file.attributes, group, file.time)
    return tree


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    digest = hashlib.sha256()
    file = archive.extractfile(member)
    assert file is not None
    while block := file.read(1 << 20):
        digest.update(block)
    return f"{member.size} {digest.hexdigest()}"


@dataclass(frozen=True)
class Difference:
    """One fact of one name that is not the same in two trees."""

    path: str
    fact: str
    expected: object
    actual: object

    def __str__(self) -> str:
        return f"{self.path}: {self.fact} is {self.actual}, not {self.expected}"


FACTS = [field.name for field in fields(File) if field.name != "time"]


def differences(expected: Tree, actual: Tree, since: float = math.inf) -> Iterator[Difference]:
    """What is not the same, by name.

    The time of a file is a fact only where it is from before `since`, when the steps
    began: then a package or the image gave it.
    """
    for path in sorted(expected.keys() | actual.keys()):
        if path not in actual:
            yield Difference(path, "file", expected[path].kind, "missing")
        elif path not in expected:
            yield Difference(path, "file", "missing", actual[path].kind)
        else:
            one, two = expected[path], actual[path]
            for fact in FACTS:
                if getattr(one, fact) != getattr(two, fact):
                    yield Difference(path, fact, getattr(one, fact), getattr(two, fact))
            if one.time != two.time and min(one.time, two.time) < since:
                yield Difference(path, "time", one.time, two.time)
