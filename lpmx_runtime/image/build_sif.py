"""A Singularity image file of an image or a container, as Apptainer runs it.

All its files in one squashfs file system, and in `/.singularity.d` what the image config says:
variables, labels, and a runscript that does what entrypoint and command do. What an image
that came from such a file has there already, stays.
"""
from __future__ import annotations

import hashlib
import json
import shlex
import time
from typing import Any, BinaryIO, Iterator, Mapping, Optional, Union, cast

from .. import settings
from ..container import Container
from ..errors import CommitFailed, UnsupportedImage
from ..oci.config import ImageConfig
from ..progress import Sink, TaskAdvanced, TaskFinished, TaskStarted, ignore
from ..store import Image, Store
from ..store.files import storing
from . import sif, tarwriter
from .commit import base_config
from .export import members_of_container, members_of_image
from .save import saveable
from .squashfs_writer import Unwritable, write_squashfs
from .tarwriter import Stream

COMPRESSIONS = ("gzip", "zstd")
_PIECE = 1 << 20
_DIRECTORIES = ("", "actions", "env", "libs")
_LINKS = {"environment": ".singularity.d/env/90-environment.sh",
          "singularity": ".singularity.d/runscript", ".exec": ".singularity.d/actions/exec",
          ".run": ".singularity.d/actions/run", ".shell": ".singularity.d/actions/shell",
          ".test": ".singularity.d/actions/test"}
_ACTION = '''#!/bin/sh
for script in /.singularity.d/env/*.sh; do
    if [ -f "$script" ]; then . "$script"; fi
done
'''


def build_sif(store: Store, thing: Union[Image, Container], *, compression: str = "gzip",
              progress: Sink = ignore) -> Iterator[bytes]:
    """The pieces of the file. `compression` is one of COMPRESSIONS.

    Programs may run in a container meanwhile; what that means for the files, `commit` says.
    """
    name = thing.name if isinstance(thing, Container) else thing.familiar
    failing = f'cannot make a Singularity image of "{name}"'
    if isinstance(thing, Container):
        if thing.record["live"]:
            raise CommitFailed(f"{failing}: it is a copy of this machine, which is no image",
                               hint='"lpmx cp" copies files out of it')
        raw = base_config(store, thing, failing)
    else:
        raw = saveable(thing, "make a Singularity image of").config
    config = ImageConfig.parse(raw, failing=failing)
    with store.keeping(), store.staging() as aside, storing("the Singularity image"), \
            open(aside / "sif", "w+b") as file:
        _write(file, thing, store, config, compression, failing, progress)
        file.seek(0)
        while piece := file.read(_PIECE):
            yield piece


def _write(file: BinaryIO, thing: Union[Image, Container], store: Store, config: ImageConfig,
           compression: str, failing: str, progress: Sink) -> None:
    epoch = settings.source_date_epoch()
    made = int(time.time()) if epoch is None else epoch
    progress(TaskStarted("squashfs", "files"))
    members = _members(thing, store, config, made, progress)
    file.seek(sif.DATA_AT)
    try:
        size = write_squashfs(file, cast(BinaryIO, Stream(members)), compression=compression,
                              mtime=made)
    except Unwritable as error:
        raise UnsupportedImage(f"{failing}: squashfs cannot hold {error}",
                               hint='use "lpmx save"') from None
    progress(TaskFinished("squashfs"))
    file.seek(sif.DATA_AT)
    hasher = hashlib.sha256()
    while piece := file.read(_PIECE):
        hasher.update(piece)
    sif.write_head(file, offset=sif.DATA_AT, size=size, own=hasher.digest()[:16], made=made,
                   architecture=config.architecture)


def _members(thing: Union[Image, Container], store: Store, config: ImageConfig, made: int,
             progress: Sink) -> Iterator[bytes]:
    yield from about(config, made)
    count = 0
    for piece in (members_of_container(thing) if isinstance(thing, Container)
                  else members_of_image(store, thing)):
        yield piece
        count += len(piece)
        progress(TaskAdvanced("squashfs", count))
    if isinstance(thing, Container):
        yield from _variables_of(thing, made)
    yield tarwriter.END


def about(config: ImageConfig, made: int) -> Iterator[bytes]:
    """The members of a tar that tell Apptainer what the config says. They come first: where
    the image has such a file itself, that one counts."""
    for name in _DIRECTORIES:
        yield tarwriter.header(f".singularity.d/{name}".rstrip("/").encode(), tarwriter.DIRECTORY,
                               0o755, mtime=made)
    for link, target in _LINKS.items():
        yield tarwriter.header(link.encode(), tarwriter.SYMLINK, 0o777, mtime=made,
                               target=target.encode())
    labels = {**config.labels,
              "org.label-schema.build-arch": config.architecture or "amd64",
              "org.label-schema.schema-version": "1.0"}
    yield from _script("env/10-docker2singularity.sh", _environment(config.env, defaults=True), made)
    yield from _script("env/90-environment.sh", "#!/bin/sh\n# Custom environment\n", made)
    yield from _script("runscript", _runscript(config), made)
    yield from _script("startscript", "#!/bin/sh\n", made)
    yield from _script("labels.json", json.dumps(labels, indent=1) + "\n", made, 0o644)
    for action, command in (("exec", 'exec "$@"'), ("run", 'exec /.singularity.d/runscript "$@"'),
                            ("shell", 'exec /bin/sh "$@"'), ("test", "exit 0"),
                            ("start", 'exec /.singularity.d/startscript "$@"')):
        yield from _script(f"actions/{action}", f"{_ACTION}{command}\n", made)


def _script(name: str, text: str, made: int, mode: int = 0o755) -> Iterator[bytes]:
    data = text.encode("utf-8", "surrogateescape")
    yield tarwriter.header(f".singularity.d/{name}".encode(), tarwriter.FILE, mode, mtime=made,
                           size=len(data))
    yield data + tarwriter.padding(len(data))


def _variables_of(container: Container, made: int) -> Iterator[bytes]:
    """The container's own variables, which go before those of its image."""
    values: dict[str, Optional[str]] = {**container.options.env, **container.environment.live()}
    if values:
        yield from _script("env/94-container.sh", _environment(values), made)


def _environment(values: Mapping[str, Any], *, defaults: bool = False) -> str:
    """A script that sets variables. `defaults`: what a caller has set himself stays, but for
    the path, as Apptainer has it for variables of OCI images."""
    lines = ["#!/bin/sh"]
    for name, value in values.items():
        if not name.replace("_", "a").isalnum() or not name.isascii() or name[0].isdigit():
            continue   # no shell can have such a variable
        if value is None:
            lines.append(f"unset {name}")
            continue
        quoted = "".join(f"\\{letter}" if letter in '\\"$`' else letter for letter in value)
        lines.append(f'export {name}="${{{name}:-"{quoted}"}}"' if defaults and name != "PATH"
                     else f'export {name}="{quoted}"')
    return "\n".join(lines) + "\n"


def _runscript(config: ImageConfig) -> str:
    """Entrypoint and command: the arguments, if there are any, take the command's place."""
    entrypoint = " ".join(map(shlex.quote, config.entrypoint))
    command = " ".join(map(shlex.quote, config.cmd))
    if not entrypoint:
        return ("#!/bin/sh\n"
                'if [ $# -gt 0 ]; then\n    exec "$@"\nfi\n'
                f"exec {command or '/bin/sh'}\n")
    return ("#!/bin/sh\n"
            f'if [ $# -gt 0 ]; then\n    exec {entrypoint} "$@"\nfi\n'
            f"exec {entrypoint} {command}".rstrip() + "\n")
