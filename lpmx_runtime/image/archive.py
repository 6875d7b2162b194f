"""Load images from files: what `docker save`, skopeo, buildah and others write.

A file is a tar, compressed or not, with one of three things in it; a directory
may hold the second, too:

    manifest.json               docker-archive (archive_docker.py)
    oci-layout, index.json      OCI image layout (archive_oci.py), or a bundle (unbundle.py)
    bin, usr, ...               a root file system (archive_root.py)

or a squashfs file system, alone or in a Singularity image file (squashfs.py, sif.py), which is
made into such a tar, or such a file with an OCI image in it (sif_oci.py), made into a layout.

New versions of `docker save` write both into one tar; the second then says more.
"""
from __future__ import annotations

import os
import re
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Iterable, Mapping, NamedTuple, Optional, Union

from ..container import Container
from ..errors import ArchiveDamaged, InvalidReference, LpmxError
from ..oci.manifest import Platform
from ..oci.reference import Reference
from ..progress import Note, Sink, TaskAdvanced, TaskFinished, TaskStarted, ignore
from ..registry.stop import Stop
from ..store import Image, Store
from ..store.files import storing
from . import (
    archive_docker,
    archive_oci,
    archive_root,
    carried,
    sif,
    sif_oci,
    sif_signature,
    squashfs,
    unbundle,
)
from .archive_files import ArchiveFiles, DirectoryFiles, TarFiles, is_regular
from .ext import Ext
from .found import Found
from .layers import store_layers
from .platform import host_platform
from .record import all_or_nothing, collect_quietly, record
from .sif_overlay import overlay_tar
from .streams import Counted, decompressed, is_compressed, pieces

_SUFFIXES = re.compile(r"\.(?:tar|tgz|tzst|txz|tbz2?|gz|zst|xz|bz2|oci|docker|sif|simg|sqfs|sqsh|squashfs)\Z", re.IGNORECASE)


class Loaded(NamedTuple):
    """What came out of a file; `extras` is what a bundle carried for other packages."""

    images: list[Image]
    containers: list[Container]
    extras: Mapping[str, Any]


def load(store: Store, path: Union[str, "os.PathLike[str]"], *, name: Optional[str] = None,
         platform: Optional[str] = None, progress: Sink = ignore) -> list[Image]:
    """Store the images in the file or directory `path` ("-" is standard input); return them.

    An archive names its images; `name` names the only one of an archive in
    another way. One without a name is called as the file is. Of images for
    several platforms the one for `platform` is taken, or for this machine.
    If anything is wrong with one of them, none is stored.
    """
    return load_all(store, path, name=name, platform=platform, containers=False,
                    progress=progress).images


def load_all(store: Store, path: Union[str, "os.PathLike[str]"], *, name: Optional[str] = None,
             platform: Optional[str] = None, containers: bool = True,
             renamed: Mapping[str, str] = {}, keyring: Optional[Path] = None,  # noqa: B006
             expose: bool = False, progress: Sink = ignore) -> Loaded:
    """As `load`, and of a bundle (bundle.py) the containers as well, under the names that
    `renamed` has for some of them. All of it is stored, or nothing. Links are made again, and
    with `expose` commands, as far as they can be.

    With `keyring` the file must be a Singularity image file that is signed with a key of it.
    """
    path = Path(path)
    failing = f'cannot load "{path}"'
    chosen = None if name is None else Reference.parse(name)
    wanted = Platform.parse(platform) if platform else host_platform()
    with ExitStack() as stack:
        more: list[Path] = []
        files, wanted = _open(store, path, failing, wanted, keyring, progress, stack, more)
        default = _default_name(path)
        wrapped: list[unbundle.FoundContainer] = []
        extras: Mapping[str, Any] = {}
        if files.size("index.json") is not None:
            found = archive_oci.find(files, default, wanted)
            if containers:
                wrapped, extras = unbundle.find(files, wanted, renamed), unbundle.extras(files)
        elif files.size("manifest.json") is not None or files.size("repositories") is not None:
            found = archive_docker.find(files, default, wanted)
        elif isinstance(files, TarFiles) and archive_root.is_root(files):
            found = archive_root.find(files, default, wanted, more)
        else:
            raise ArchiveDamaged(
                f"{failing}: it is no image archive, having neither manifest.json nor index.json, "
                "and no root file system",
                hint='archives are made by "docker save", "podman save", "skopeo copy" and '
                     '"apptainer build"')
        if found or not wrapped or chosen is not None:
            found = _named(found, chosen, failing)
        unbundle.check_free(store, wrapped, failing)
        with all_or_nothing(store):
            store_layers(store, [*(layer for each in found for layer in each.layers),
                                 *(layer for each in wrapped for layer in each.layers)],
                         progress, Stop())
            made = _made(store, wrapped, progress, failing)
            try:
                images = [record(store, each.reference, manifest=each.manifest,
                                 config=each.config, origin="loaded") for each in found]
            except BaseException:
                _unmake(made)
                raise
        if made:
            collect_quietly(store)   # their changes came as layers
            carried.make([(container, each.carried) for container, each in zip(made, wrapped)],
                         {each.called: each.name for each in wrapped}, expose, progress)
        return Loaded(images, made, extras)


def _made(store: Store, wrapped: list[unbundle.FoundContainer], progress: Sink,
          failing: str) -> list[Container]:
    made: list[Container] = []
    try:
        for each in wrapped:
            made.append(unbundle.make(store, each, progress, failing))
    except BaseException:
        _unmake(made)
        raise
    return made


def _unmake(made: list[Container]) -> None:
    for container in made:
        container.remove(force=True)


def _named(found: list[Found], chosen: Optional[Reference], failing: str) -> list[Found]:
    if not found:
        raise ArchiveDamaged(f"{failing}: there is no image in it", hint="make the archive again")
    if chosen is None:
        return found
    if len({each.config for each in found}) > 1:
        names = ", ".join(each.reference.familiar for each in found[:10])
        raise InvalidReference(f'{failing} as "{chosen.familiar}": it has {len(found)} images',
                               hint=f"leave the name out; they are {names}")
    return [found[0].renamed(chosen)]


def _default_name(path: Path) -> str:
    """A repository's name made of the file's."""
    stem = Path(os.path.abspath(path)).name if str(path) != "-" else "image"
    while _SUFFIXES.search(stem):
        stem = _SUFFIXES.sub("", stem)
    words = re.findall(r"[a-z0-9]+", stem.lower())
    return "-".join(words)[:100].strip("-") or "image"


# -- opening


def _open(store: Store, path: Path, failing: str, wanted: Platform, keyring: Optional[Path],
          progress: Sink, stack: ExitStack, more: list[Path]) -> tuple[ArchiveFiles, Platform]:
    """The files of the archive, and the platform that it is for where that is said outside them.
    `more` gets the tars of layers on top of it."""
    if path.is_dir():
        if keyring is not None:
            raise _not_signed(failing)
        return DirectoryFiles(path, failing), wanted
    try:
        with ExitStack() as opened:
            source = (sys.stdin.buffer if str(path) == "-"
                      else opened.enter_context(open(path, "rb")))
            if str(path) == "-" or not is_regular(path):
                path = _copy(store, source, None, path, failing, progress, stack)
            else:
                head = source.read(6)
                source.seek(0)
                if is_compressed(head):
                    size = os.fstat(source.fileno()).st_size
                    path = _copy(store, source, size, path, failing, progress, stack)
        path, wanted = _as_tar(store, path, failing, wanted, keyring, progress, stack, more)
        if path.is_dir():
            return DirectoryFiles(path, failing), wanted
        files = TarFiles(path, failing)
    except OSError as error:
        if not isinstance(error, LpmxError) and error.filename is not None:
            raise ArchiveDamaged(f"{failing}: {(error.strerror or str(error)).lower()}",
                                 hint="check the path") from None
        raise
    stack.callback(files.close)
    return files, wanted


def _as_tar(store: Store, path: Path, failing: str, wanted: Platform, keyring: Optional[Path],
            progress: Sink, stack: ExitStack, more: list[Path]) -> tuple[Path, Platform]:
    """A file system in squashfs as a tar, and an OCI image in a Singularity image file as a
    layout, that live as long as `stack`; others as they are. `more` gets the tars of further
    layers."""
    with open(path, "rb") as source:
        fd, head = source.fileno(), source.read(64)
        if not sif.is_sif(head):
            if keyring is not None:
                raise _not_signed(failing)
            if not head.startswith(squashfs.MAGIC):
                return path, wanted
            part = sif.Part(0, os.fstat(fd).st_size, None)
            overlays: "list[sif.Overlay]" = []
        elif sif.is_oci(fd, failing):
            _look_at_signatures(store, fd, failing, keyring, progress)
            place = stack.enter_context(store.staging())
            sif_oci.write_layout(fd, failing, place, partial(_written, path=path,
                                                             progress=progress))
            return place, wanted
        else:
            part, overlays = sif.primary(fd, failing), sif.overlays(fd, failing)
            _look_at_signatures(store, fd, failing, keyring, progress)
        place = stack.enter_context(store.staging())
        system = squashfs.Squashfs(fd, part.offset, part.size, failing)
        target = _written(place / "root.tar", system.tar(), path, progress)
        for number, overlay in enumerate(overlays):
            more.append(_written(place / f"overlay{number}.tar",
                                 _changes(fd, overlay, failing), path, progress))
    if part.architecture is not None:
        wanted = replace(wanted, architecture=part.architecture, variant=None)
    return target, wanted


def _changes(fd: int, overlay: sif.Overlay, failing: str) -> Iterable[bytes]:
    if overlay.squashfs:
        return squashfs.Squashfs(fd, overlay.offset, overlay.size, failing).tar(changes=True)
    return overlay_tar(Ext(fd, overlay.offset, overlay.size, failing), failing)


def _written(target: Path, pieces: Iterable[bytes], path: Path, progress: Sink) -> Path:
    """A tar of a part of the file `path`."""
    task, count = f"{target.stem} {path}", 0
    progress(TaskStarted(task, path.name, None))
    with storing(f'the content of "{path}"'), open(target, "wb") as file:
        for piece in pieces:
            file.write(piece)
            count += len(piece)
            progress(TaskAdvanced(task, count, None))
    progress(TaskFinished(task, "read"))
    return target


def _look_at_signatures(store: Store, fd: int, failing: str, keyring: Optional[Path],
                        progress: Sink) -> None:
    """Verify who signed the Singularity image file, or tell who is said to have done it."""
    if keyring is not None:
        with store.staging() as scratch:
            key = sif_signature.verify(fd, failing, keyring, scratch)
        progress(Note(f"signed with the key {key}"))
        return
    found = sif_signature.signatures(fd, failing)
    if found:
        progress(Note(f"said to be signed with {', '.join(one.key for one in found)}; "
                      "--keyring has that verified"))


def _not_signed(failing: str) -> ArchiveDamaged:
    return ArchiveDamaged(f"{failing}: only a Singularity image file can be signed, and it is none",
                          hint="leave --keyring out")


def _copy(store: Store, source: BinaryIO, size: Optional[int], path: Path, failing: str,
          progress: Sink, stack: ExitStack) -> Path:
    """The archive as a plain tar in the store's file system, for as long as `stack` lives:
    its members are needed in an order that is not theirs."""
    target = stack.enter_context(store.staging()) / "archive"
    task = f"archive {path}"
    progress(TaskStarted(task, "archive" if str(path) == "-" else path.name, size))
    counted = Counted(source, lambda count: progress(TaskAdvanced(task, count, size)))
    try:
        with storing(f'the content of "{path}"'), open(target, "wb") as file:
            for piece in pieces(decompressed(counted, f'"{path}"')):
                file.write(piece)
    except LpmxError as error:
        if error.code != "layer-damaged":
            raise
        cause = error.message.partition(": ")[2]
        raise ArchiveDamaged(f"{failing}: {cause}", hint="make or copy the archive again") from None
    progress(TaskFinished(task, "read"))
    return target

