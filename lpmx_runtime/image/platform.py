"""What programs this machine runs, in the words of images."""
from __future__ import annotations

import platform
from typing import Optional

from ..errors import UnsupportedImage
from ..oci.config import ImageConfig
from ..oci.manifest import Platform
from ..store.index import LAYER_LIMIT

# What each level of x86-64 adds, as psABI lists it, in the names of /proc/cpuinfo.
_LEVELS = (
    ("v2", {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}),
    ("v3", {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}),
    ("v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
)


def host_platform() -> Platform:
    """This machine's platform, with the most capable variant that it runs."""
    found = Platform.parse(platform.machine())
    if found.architecture == "amd64":
        return Platform("linux", "amd64", _level(_flags()))
    return found


def _level(flags: set[str]) -> Optional[str]:
    reached = None
    for name, needed in _LEVELS:
        if not needed <= flags:
            break
        reached = name
    return reached


def _flags() -> set[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("flags"):
                    return set(line.partition(":")[2].split())
    except OSError:
        pass
    return set()


def check_image(config: ImageConfig, wanted: Platform, *, failing: str) -> None:
    """Raise `UnsupportedImage`, before any layer is fetched, if the image is of no use: for
    other machines, or of too many layers."""
    if len(config.diff_ids) > LAYER_LIMIT:
        raise UnsupportedImage(f"{failing}: it has {len(config.diff_ids)} layers, and "
                               f"{LAYER_LIMIT} are the most we handle",
                               hint="build the image again with its layers squashed")
    if not config.architecture:
        return
    offered = Platform.of({"os": config.os, "architecture": config.architecture,
                           "variant": config.variant})
    if wanted.fit(offered) is None:
        raise UnsupportedImage(
            f"{failing}: it is for {offered}, and wanted is one for {wanted.beside([offered])}",
            hint=f'with "--platform {offered}" it is taken all the same, to look into; '
                 "its programs do not run here")
