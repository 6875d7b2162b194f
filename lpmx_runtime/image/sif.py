"""Singularity image files: which of their parts is the image, and what it says of itself.

The layout is that of SIF version 01 (github.com/apptainer/sif, pkg/sif): a header, a table of
descriptors, data. The part that is the image is found by its descriptor, never by its place.
"""
from __future__ import annotations

import json
import os
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, Callable, Optional

from ..errors import ArchiveDamaged

_HEADER = struct.Struct("<32s10s3s3s16s8q")
_DESCRIPTOR = struct.Struct("<i?3I7q128s384s")
_PARTITION = struct.Struct("<2i3s")
_MAGIC = b"SIF_MAGIC\0"
_MAGIC_AT = 32
_DESCRIPTORS_MAX = 4096

PARTITION, SIGNATURE, OCI_INDEX, OCI_BLOB = 0x4004, 0x4005, 0x400A, 0x400B
#: These bits say that a number is a group's.
GROUPS = 0xF0000000
_SQUASHFS, _EXT3, _ENCRYPTED = 1, 2, 5
_PRIMARY, _OVERLAY = 2, 4
# Of files that are written here, as Apptainer writes them.
_LAUNCH = b"#!/usr/bin/env run-singularity\n"
_TABLE_AT, _TABLE_ENTRIES = 4096, 48
#: Where the first part of such a file can be.
DATA_AT = 36864
_ARCHITECTURES = {b"01": "386", b"02": "amd64", b"03": "arm", b"04": "arm64", b"05": "ppc64",
                  b"06": "ppc64le", b"10": "s390x", b"11": "riscv64"}
_FILE_SYSTEMS = {1: "squashfs", 2: "ext3", 3: "an archive", 4: "raw data", 5: "encrypted"}

#: What is read of a root file system to know what it says of itself.
ABOUT = (".singularity.d/labels.json", ".singularity.d/runscript")
#: The image's own scripts; those beside them are Apptainer's, for its own way to run.
_ENVIRONMENT = re.compile(r"\.singularity\.d/env/(?:10-docker2singularity|9[01]-environment)\.sh\Z")

# export NAME="${NAME:-"VALUE"}", as images made from Docker's say it; export NAME="VALUE"; NAME=VALUE
_DEFAULTED = re.compile(r'^\s*export\s+(\w+)="\$\{\1:-"?(.*?)"?\}"\s*$')
_PLAIN = re.compile(r"""^\s*(?:export\s+)?([A-Za-z_]\w*)=(?:"([^"$`\\]*)"|'([^']*)'|([^\s"'$`\\;&|<>()]*))\s*;?\s*$""")

#: Runs the runscript with what the shell scripts of the image say of the environment, or the
#: one of the app that a variable names (SCIF, the scientific file system): by either name, of
#: which those scripts know the one that was current when the image was made.
RUN = ("/bin/sh", "-c", 'app=${APPTAINER_APPNAME:-${SINGULARITY_APPNAME:-}}; '
       '[ -z "$app" ] || export APPTAINER_APPNAME="$app" SINGULARITY_APPNAME="$app"; '
       'for file in /.singularity.d/env/*.sh; do [ -r "$file" ] && . "$file"; done; '
       'app="/scif/apps/$app/scif/runscript"; '
       '[ -x "$app" ] && exec "$app" "$@"; exec /.singularity.d/runscript "$@"', "runscript")


@dataclass(frozen=True)
class Part:
    """Where the squashfs file system is, and for which architecture, as OCI calls it."""

    offset: int
    size: int
    architecture: Optional[str]


def is_sif(head: bytes) -> bool:
    """Whether a file that begins so is a Singularity image file."""
    return head[_MAGIC_AT:_MAGIC_AT + len(_MAGIC)] == _MAGIC


@dataclass(frozen=True)
class Descriptor:
    """A part of the file: what it is, its number, the group that it is in, what it is linked
    to, and where. `extra` is what its kind has to say of it, `signed` what a signature of it
    covers besides its data, without the part's number."""

    kind: int
    id: int
    group: int
    link: int
    offset: int
    size: int
    extra: bytes
    signed: "tuple[bytes, bytes]"


def descriptors(fd: int, failing: str) -> "list[Descriptor]":
    """The parts of the open file. Raises `ArchiveDamaged`, beginning with `failing`, where
    its table makes no sense."""
    size = os.fstat(fd).st_size
    head = os.pread(fd, _HEADER.size, 0)
    if len(head) < _HEADER.size:
        raise _damaged(failing, "it is cut short")
    _, _, version, _, _, _, _, _, total, at, length, _, _ = _HEADER.unpack(head)
    if version[:2] != b"01":
        raise _damaged(failing, f"it is of version {version[:2].decode('latin-1')} of SIF, and 01 can be read")
    if not 0 < total <= _DESCRIPTORS_MAX or at < 0 or length < 0:
        raise _damaged(failing, "its table of parts is damaged")
    if at + total * _DESCRIPTOR.size > size:
        raise _damaged(failing, "its table of parts is cut short")
    found: list[Descriptor] = []
    for n in range(total):
        entry = os.pread(fd, _DESCRIPTOR.size, at + n * _DESCRIPTOR.size)
        if len(entry) < _DESCRIPTOR.size:
            raise _damaged(failing, "its table of parts is cut short")
        (kind, used, number, group, link, offset, extent, _, made, _, uid, gid, name,
         extra) = _DESCRIPTOR.unpack(entry)
        if not used:
            continue
        if offset < 0 or extent < 0 or offset + extent > size:
            raise _damaged(failing, "it is cut short")
        found.append(Descriptor(
            kind, number, group, link, offset, extent, extra,
            (struct.pack("<i?", kind, used),
             struct.pack("<I4q", link, extent, made, uid, gid) + name + extra)))
    return found


def identity(fd: int) -> bytes:
    """What a signature covers of the file's head."""
    launch, magic, version, _, own, *_ = _HEADER.unpack(os.pread(fd, _HEADER.size, 0))
    return bytes(launch + magic + version + own)


def primary(fd: int, failing: str) -> Part:
    """The part of the open file that is the image's root file system.

    Raises `ArchiveDamaged`, beginning with `failing`, if there is none that can be read.
    """
    part = _root(descriptors(fd, failing), failing)
    _, _, architecture = _partition(part)
    return Part(part.offset, part.size, _ARCHITECTURES.get(architecture[:2]))


def _root(parts: "list[Descriptor]", failing: str) -> Descriptor:
    found = []
    for part in parts:
        if part.kind != PARTITION:
            continue
        system, role, _ = _partition(part)
        if role != _PRIMARY:
            continue
        if system == _ENCRYPTED:
            raise ArchiveDamaged(f"{failing}: it is encrypted",
                                 hint="ask who made it for one that is not")
        if system != _SQUASHFS:
            raise ArchiveDamaged(
                f"{failing}: its file system is {_FILE_SYSTEMS.get(system, f'of kind {system}')}, "
                "and squashfs can be read", hint="make it again with a current Apptainer")
        found.append(part)
    if not found:
        raise _damaged(failing, "there is no root file system in it")
    return found[0]


@dataclass(frozen=True)
class Overlay:
    """Where changes of the image are, in a squashfs or an ext3 file system."""

    offset: int
    size: int
    squashfs: bool


def overlays(fd: int, failing: str) -> "list[Overlay]":
    """The parts of the file with changes of its image, the oldest first. Raises
    `ArchiveDamaged` for one that cannot be read."""
    return [Overlay(part.offset, part.size, _partition(part)[0] == _SQUASHFS)
            for part in _overlays(descriptors(fd, failing), failing)]


def _overlays(parts: "list[Descriptor]", failing: str) -> "list[Descriptor]":
    found = []
    for part in parts:
        if part.kind == PARTITION:
            system, role, _ = _partition(part)
            if role == _OVERLAY and system not in (_SQUASHFS, _EXT3):
                raise ArchiveDamaged(
                    f"{failing}: its overlay is {_FILE_SYSTEMS.get(system, f'of kind {system}')}, "
                    "and squashfs and ext3 can be read",
                    hint="have Apptainer build a new image of it first")
            if role == _OVERLAY:
                found.append(part)
    return found


def _partition(part: Descriptor) -> "tuple[int, int, bytes]":
    """Its file system, what it is for, and its architecture."""
    system, role, architecture = _PARTITION.unpack(part.extra[:_PARTITION.size])
    return system, role, architecture


def is_oci(fd: int, failing: str) -> bool:
    """Whether the image is in blobs of OCI, and no partition is looked at."""
    return any(part.kind == OCI_INDEX for part in descriptors(fd, failing))


def image_parts(fd: int, failing: str) -> "tuple[list[Descriptor], list[Descriptor]]":
    """The parts that become the image's files or say what it is, and its overlays: those that
    loading it reads, and no others, for a signature is judged by them."""
    parts = descriptors(fd, failing)
    if is_oci(fd, failing):
        return [part for part in parts if part.kind in (OCI_INDEX, OCI_BLOB)], []
    return [_root(parts, failing)], _overlays(parts, failing)


# -- writing


def write_head(file: BinaryIO, *, offset: int, size: int, own: bytes, made: int,
               architecture: str) -> None:
    """Write the head and the table of a file whose only part is a squashfs at `offset`."""
    code = next((code for code, name in _ARCHITECTURES.items() if name == architecture), b"00")
    start = _TABLE_AT + _TABLE_ENTRIES * _DESCRIPTOR.size
    file.seek(0)
    file.write(_HEADER.pack(_LAUNCH, _MAGIC, b"01", code, own, made, made, _TABLE_ENTRIES - 1,
                            _TABLE_ENTRIES, _TABLE_AT, _TABLE_ENTRIES * _DESCRIPTOR.size, start,
                            offset + size - start))
    file.seek(_TABLE_AT)
    file.write(_DESCRIPTOR.pack(
        PARTITION, True, 1, GROUPS | 1, 0, offset, size, offset + size - start, made, made, 0, 0,
        b"rootfs.squashfs", _PARTITION.pack(_SQUASHFS, _PRIMARY, code)))


def _damaged(failing: str, cause: str) -> ArchiveDamaged:
    return ArchiveDamaged(f"{failing}: {cause}", hint="make or copy the file again")


# -- what an image says of itself


@dataclass(frozen=True)
class About:
    """What becomes of it in an image config."""

    env: "dict[str, str]"
    labels: "dict[str, str]"
    has_runscript: bool


def about(names: "list[str]", read: "Callable[[str], bytes]") -> About:
    """From the files of a root file system, by name, and what reads a small one of them.

    Of the environment scripts what is plain text is taken; whatever a shell would have to
    work out is left to `RUN`.
    """
    labels: "dict[str, str]" = {}
    if ABOUT[0] in names:
        try:
            value = json.loads(read(ABOUT[0]))
            labels = {key: text for key, text in value.items()
                      if isinstance(key, str) and isinstance(text, str)}
        except (ValueError, AttributeError, RecursionError):
            pass  # a label that cannot be read is none
    env: "dict[str, str]" = {}
    for name in sorted(each for each in names if _ENVIRONMENT.match(each)):
        for line in read(name).decode("utf-8", "replace").splitlines():
            defaulted, plain = _DEFAULTED.match(line), _PLAIN.match(line)
            if defaulted:
                if not re.search(r"[$`\\]", defaulted[2]):
                    env[defaulted[1]] = defaulted[2]
            elif plain:
                env[plain[1]] = plain[2] or plain[3] or plain[4] or ""
    return About(env, labels, ABOUT[1] in names)
