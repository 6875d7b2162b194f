"""A root file system in a tar: what debootstrap, mmdebstrap and `docker export` give, and what
a Singularity image is made into.

It becomes the only layer of an image whose config says the least that is needed, and what
Singularity's files in it say.
"""
from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Sequence

from ..oci.manifest import Platform
from ..oci.reference import Reference
from . import sif
from .archive_files import TarFiles
from .found import Found, digest_of_stream, make_manifest
from .layers import LayerSource
from .streams import Stream

_SMALL = 1 << 20
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TOPS = ("bin", "usr")
_SHELLS = ("bin/bash", "usr/bin/bash", "bin/sh", "usr/bin/sh")


def is_root(files: TarFiles) -> bool:
    """Whether the tar has what a root file system has at its top."""
    return any(files.has(top) for top in _TOPS)


def find(files: TarFiles, default: str, platform: Platform,
         more: Sequence[Path] = ()) -> list[Found]:
    """The tar as an image; it is for `platform`, as nothing in it says otherwise. `more` are
    tars of layers on top of it."""
    diff_id = digest_of_stream(files.whole())
    shell = next((f"/{path}" for path in _SHELLS if files.has(path)), "/bin/sh")
    about = sif.about(files.names(), lambda name: files.read(name, _SMALL))
    env = {"PATH": _PATH, **about.env}
    sources = [LayerSource(diff_id, "root file system", files.total, files.whole)]
    for path in more:
        sources.append(LayerSource(digest_of_stream(_stream(path)), "overlay", path.stat().st_size,
                                   partial(_stream, path)))
    config = json.dumps({
        "architecture": platform.architecture, "os": platform.os,
        "config": {"Env": [f"{name}={value}" for name, value in env.items()],
                   "Cmd": list(sif.RUN) if about.has_runscript else [shell],
                   **({"Labels": about.labels} if about.labels else {})},
        "rootfs": {"type": "layers", "diff_ids": [source.diff_id for source in sources]},
        "history": [{"created_by": "a root file system"},
                    *({"created_by": "an overlay"} for _ in more)],
    }, separators=(",", ":")).encode()
    return [Found(Reference.parse(default),
                  make_manifest(config, [(source.diff_id, source.size or 0) for source in sources]),
                  config, tuple(sources))]


def _stream(path: Path) -> Stream:
    return open(path, "rb", buffering=0)
