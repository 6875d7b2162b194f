"""A root file system in a tar: what debootstrap, mmdebstrap and `docker export` give, and what
a Singularity image is made into.

It becomes the only layer of an image whose config says the least that is needed, and what
Singularity's files in it say.
"""
from __future__ import annotations

import json

from ..oci.manifest import Platform
from ..oci.reference import Reference
from . import sif
from .archive_files import TarFiles
from .found import Found, digest_of_stream, make_manifest
from .layers import LayerSource

_SMALL = 1 << 20
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TOPS = ("bin", "usr")
_SHELLS = ("bin/bash", "usr/bin/bash", "bin/sh", "usr/bin/sh")


def is_root(files: TarFiles) -> bool:
    """Whether the tar has what a root file system has at its top."""
    return any(files.has(top) for top in _TOPS)


def find(files: TarFiles, default: str, platform: Platform) -> list[Found]:
    """The tar as an image; it is for `platform`, as nothing in it says otherwise."""
    diff_id = digest_of_stream(files.whole())
    shell = next((f"/{path}" for path in _SHELLS if files.has(path)), "/bin/sh")
    about = sif.about(files.names(), lambda name: files.read(name, _SMALL))
    env = {"PATH": _PATH, **about.env}
    config = json.dumps({
        "architecture": platform.architecture, "os": platform.os,
        "config": {"Env": [f"{name}={value}" for name, value in env.items()],
                   "Cmd": list(sif.RUN) if about.has_runscript else [shell],
                   **({"Labels": about.labels} if about.labels else {})},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created_by": "a root file system"}],
    }, separators=(",", ":")).encode()
    source = LayerSource(diff_id, "root file system", files.total, files.whole)
    return [Found(Reference.parse(default), make_manifest(config, [(diff_id, files.total)]), config,
                  (source,))]
