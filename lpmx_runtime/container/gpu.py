"""GPUs: the host's devices, and the driver libraries that belong to them.

The devices are in every container, for /dev is. A driver's user-space half must be
exactly as new as the kernel's, so it comes from the host, never from the image; but
it was built against the host's C library, and an image with an older one cannot load
it. Each library is therefore judged by the symbol versions it needs.
"""
from __future__ import annotations

import fnmatch
import glob
import io
import json
import os
import platform
import tempfile
from typing import TYPE_CHECKING, Any, Iterable, Mapping, NamedTuple, Optional

from . import elf, loader_cache
from .record import LOADER

if TYPE_CHECKING:
    from .._native import View
    from ..store import Image, Store

_DEVICES = ("/dev/nvidia[0-9]*", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools",
            "/dev/nvidia-modeset", "/dev/nvidia-caps/*", "/dev/nvidia-caps-imex-channels/*",
            "/dev/kfd", "/dev/dri/card*", "/dev/dri/renderD*", "/dev/dxg")

#: Names of libraries that a driver has, by who makes it. The general dispatch libraries
#: (libGL, libOpenCL, libvulkan, libze_loader) are not a driver's: an image brings its own.
PATTERNS = {
    "nvidia": ("libcuda.so*", "libcudadebugger.so*", "libnvidia-*.so*", "libnvcuvid.so*",
               "libnvoptix.so*", "libGLX_nvidia.so*", "libEGL_nvidia.so*",
               "libGLESv1_CM_nvidia.so*", "libGLESv2_nvidia.so*", "libvdpau_nvidia.so*",
               "libnvidia.so*"),
    "amd": ("libhsa-runtime64.so*", "libhsakmt.so*", "libamdocl64.so*", "libamd_comgr.so*",
            "libamdhip64.so*", "librocm_smi64.so*", "libamd_smi.so*", "libdrm_amdgpu.so*",
            "libvulkan_radeon.so*"),
    "intel": ("libze_intel_gpu.so*", "libze_intel_vpu.so*", "libigdrcl.so*", "libigc.so*",
              "libigdfcl.so*", "libiga64.so*", "libigdgmm.so*", "libdrm_intel.so*",
              "libvulkan_intel.so*", "libmfx-gen.so*"),
}

#: Where drivers say how the dispatch libraries find them.
_ICD_FILES = (
    ("opencl", ("/etc/OpenCL/vendors/*.icd",)),
    ("vulkan", ("/etc/vulkan/icd.d/*.json", "/usr/share/vulkan/icd.d/*.json",
                "/usr/local/share/vulkan/icd.d/*.json")),
    ("egl", ("/etc/glvnd/egl_vendor.d/*.json", "/usr/share/glvnd/egl_vendor.d/*.json")),
)

#: As /sys says them.
_PCI_VENDORS = {"0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel"}

_MACHINES = {"x86_64": 62, "aarch64": 183}
_LIBC = ("/lib/{triple}/libc.so.6", "/usr/lib/{triple}/libc.so.6", "/lib64/libc.so.6",
         "/usr/lib64/libc.so.6", "/lib/libc.so.6", "/usr/lib/libc.so.6")


class DriverLibrary(NamedTuple):
    """A library of a driver. `glibc` is the version it needs ("" for none); `refused`
    says why it cannot be used, "" that nothing speaks against it."""

    name: str
    path: str
    vendor: str
    glibc: str
    refused: str = ""


class Icd(NamedTuple):
    """A file that names a driver for a dispatch library: `kind` is opencl, vulkan or egl."""

    kind: str
    path: str
    library: str


class Found(NamedTuple):
    """What this machine has."""

    devices: tuple[str, ...]
    libraries: tuple[DriverLibrary, ...]
    icds: tuple[Icd, ...]

    def described(self) -> dict[str, Any]:
        """For scripts."""
        return {"devices": list(self.devices),
                "libraries": [library._asdict() for library in self.libraries],
                "icds": [icd._asdict() for icd in self.icds]}


def find(environ: Mapping[str, str] = os.environ) -> Found:
    """The GPUs of this machine and the libraries of their drivers."""
    icds = tuple(_icds())
    known = loader_cache.with_search_path(loader_cache.libraries(), environ)
    libraries = [_examine(name, path, vendor) for name, path in sorted(known.items())
                 for vendor in _drivers_called(name)]
    listed = {library.name for library in libraries}
    for icd in icds:
        path = icd.library if icd.library.startswith("/") else known.get(icd.library, "")
        name = os.path.basename(icd.library)
        if path and name not in listed:
            listed.add(name)
            libraries.append(_examine(name, path, [*_drivers_called(name), icd.kind][0]))
    seen = devices()
    here = vendors(seen)
    return Found(tuple(seen), tuple(_of_a_device(library, here) for library in libraries), icds)


def devices() -> list[str]:
    """The device nodes of GPUs."""
    return sorted(path for pattern in _DEVICES for path in glob.glob(pattern))


def vendors(nodes: Iterable[str]) -> set[str]:
    """Who made the GPUs of these device nodes."""
    found = set()
    for path in nodes:
        if path.startswith(("/dev/nvidia", "/dev/dxg")):
            found.add("nvidia")
        elif path == "/dev/kfd":
            found.add("amd")
        else:
            try:
                with open(f"/sys/class/drm/{os.path.basename(path)}/device/vendor",
                          encoding="ascii") as file:
                    found.add(_PCI_VENDORS.get(file.read().strip(), ""))
            except OSError:
                pass
    return found - {""}


def _of_a_device(library: DriverLibrary, here: set[str]) -> DriverLibrary:
    """Refused if it is the driver of GPUs that this machine has none of, or of nobody knows which,
    as those of Mesa are and those that compute on the CPU; where there is no GPU at all, that
    says nothing about a library."""
    if not here or library.refused or library.vendor in here:
        return library
    return library._replace(refused="no GPU here is this driver's" if library.vendor in PATTERNS
                            else "it does not say whose GPUs it is for")


def _drivers_called(name: str) -> list[str]:
    return [vendor for vendor, patterns in PATTERNS.items()
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def _examine(name: str, path: str, vendor: str) -> DriverLibrary:
    real = os.path.realpath(path)
    try:
        with open(real, "rb") as file:
            library = elf.read(file)
    except (OSError, elf.NotElf) as error:
        cause = os.strerror(error.errno or 0).lower() if isinstance(error, OSError) else str(error)
        return DriverLibrary(name, real, vendor, "", cause)
    if library.machine != _MACHINES.get(platform.machine()):
        return DriverLibrary(name, real, vendor, "", "it is for another machine: "
                             + elf.MACHINES.get(library.machine, "unknown"))
    every = tuple(version for versions in library.versions.values() for version in versions)
    return DriverLibrary(name, real, vendor, _dotted(elf.glibc(every)))


def _icds() -> Iterable[Icd]:
    for kind, patterns in _ICD_FILES:
        for path in sorted(path for pattern in patterns for path in glob.glob(pattern)):
            library = _icd_library(kind, path)
            if library:
                yield Icd(kind, path, library)


def _icd_library(kind: str, path: str) -> str:
    """The library that an ICD file names; "" where it makes no sense."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(65536)
        if kind == "opencl":
            return text.strip().split("\n")[0]
        library = json.loads(text)["ICD"]["library_path"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if "/" in library and not library.startswith("/"):
        library = os.path.normpath(os.path.join(os.path.dirname(path), library))
    return library if isinstance(library, str) else ""


# -- what an image can load ---------------------------------------------------------------


def judge(store: "Store", image: "Image", found: Found) -> Found:
    """`found` with every library refused that needs a newer C library than the image's."""
    return judged(found, image_glibc(store, image))


def judged(found: Found, theirs: Optional[tuple[int, ...]]) -> Found:
    """The same for a C library whose newest symbols are known; None: there is none."""
    return found._replace(libraries=tuple(_judged(library, theirs)
                                          for library in found.libraries))


def _judged(library: DriverLibrary, theirs: Optional[tuple[int, ...]]) -> DriverLibrary:
    if library.refused:
        return library
    if theirs is None:
        return library._replace(refused="the image has no glibc")
    if library.glibc and _numbers(library.glibc) > theirs:
        return library._replace(refused=f"it needs glibc {library.glibc}, and the image's has "
                                        f"symbols up to {_dotted(theirs)}")
    return library


def image_glibc(store: "Store", image: "Image") -> Optional[tuple[int, ...]]:
    """As `glibc_of`, of an image."""
    from .. import _native
    from .spec import ViewSpec
    index, layers = (None, ["/"]) if image.live else store.indexes.lower(image.diff_ids)
    spec = ViewSpec(kind="container", name="gpu", loader=LOADER, index=index, layers=layers)
    with tempfile.NamedTemporaryFile() as file:
        file.write(spec.encode())
        file.flush()
        with _native.View(file.name) as view:
            return glibc_of(view)


def glibc_of(view: "View") -> Optional[tuple[int, ...]]:
    """The newest symbols that a view's glibc defines (it may itself be a little newer, as
    2.31 is, which added none); None if it has no glibc."""
    for pattern in _LIBC:
        path = pattern.format(triple=f"{platform.machine()}-linux-gnu")
        try:
            library = elf.read(io.BytesIO(view.read(path, 16 << 20)))
        except (OSError, elf.NotElf):
            continue
        return elf.glibc(library.offered)
    return None


def _dotted(version: Optional[tuple[int, ...]]) -> str:
    return "" if version is None else ".".join(map(str, version))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
