"""How busy the GPUs of this machine are.

NVIDIA's driver tells by its management library, NVML (its API reference, "Device Queries");
others by files of the kernel (Documentation/gpu/amdgpu/driver-misc.rst has `gpu_busy_percent`
and `mem_info_vram_*`; Documentation/hwmon/sysfs-interface.rst the units of the rest). What a
driver does not tell is None.
"""
from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Optional

_LIBRARY = "libnvidia-ml.so.1"
_DRM = Path("/sys/class/drm")
_MODULES = Path("/sys/module")
_NVIDIA_VERSION = Path("/proc/driver/nvidia/version")
_NAME_LENGTH = 96
_TEMPERATURE_OF_GPU = 0
_VENDORS = {"0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel"}
_KNOWN_DRIVERS = ("nvidia", "amdgpu", "i915", "xe", "nouveau")


class Usage(NamedTuple):
    """One GPU now. `id` is the same as long as the machine runs; `utilisation` in percent,
    memory in bytes, `temperature` in degrees Celsius, `power` in watts."""

    id: str
    name: str
    vendor: str
    utilisation: Optional[float] = None
    memory_used: Optional[int] = None
    memory_total: Optional[int] = None
    temperature: Optional[float] = None
    power: Optional[float] = None


class Driver(NamedTuple):
    """A driver of the kernel for GPUs; its version is "" where it is the kernel's own."""

    name: str
    version: str


def drivers() -> list[Driver]:
    """The drivers of GPUs that this machine's kernel has loaded."""
    found = []
    for name in _KNOWN_DRIVERS:
        version = _text(_MODULES / name / "version")
        if name == "nvidia" and not version and _NVIDIA_VERSION.exists():
            version = _version(_text(_NVIDIA_VERSION) or "")
        if version or (_MODULES / name).is_dir():
            found.append(Driver(name, version or ""))
    return found


def _version(text: str) -> str:
    """Of "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat ..."."""
    words = text.split("\n")[0].split()
    return next((word for word in words if word[:1].isdigit() and "." in word), "")


def usage(library: str = _LIBRARY) -> list[Usage]:
    """All GPUs that tell how busy they are."""
    nvidia = list(_by_nvml(library))
    return [*nvidia, *_by_files(_DRM, without="nvidia" if nvidia else "")]


# -- NVML -----------------------------------------------------------------------------------


class _Utilisation(ctypes.Structure):
    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong),
                ("used", ctypes.c_ulonglong)]


def _by_nvml(library: str) -> Iterator[Usage]:
    try:
        nvml = ctypes.CDLL(library)
        if nvml.nvmlInit_v2() != 0:
            return
    except (OSError, AttributeError):
        return
    try:
        count = ctypes.c_uint()
        if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return
        for index in range(count.value):
            device = ctypes.c_void_p()
            if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) == 0:
                yield _nvidia(nvml, device, index)
    finally:
        nvml.nvmlShutdown()


def _nvidia(nvml: Any, device: ctypes.c_void_p, index: int) -> Usage:
    utilisation = _asked(nvml.nvmlDeviceGetUtilizationRates, device, _Utilisation())
    memory = _asked(nvml.nvmlDeviceGetMemoryInfo, device, _Memory())
    power = _asked(nvml.nvmlDeviceGetPowerUsage, device, ctypes.c_uint())
    heat = _asked(lambda one, place: nvml.nvmlDeviceGetTemperature(one, _TEMPERATURE_OF_GPU, place),
                  device, ctypes.c_uint())
    return Usage(_words(nvml.nvmlDeviceGetUUID, device) or f"nvidia{index}",
                 _words(nvml.nvmlDeviceGetName, device) or f"NVIDIA GPU {index}", "nvidia",
                 None if utilisation is None else float(utilisation.gpu),
                 None if memory is None else int(memory.used),
                 None if memory is None else int(memory.total),
                 None if heat is None else float(heat.value),   # a zero of ctypes is false
                 None if power is None else power.value / 1000)


def _asked(ask: Callable[..., int], device: ctypes.c_void_p, answer: Any) -> Any:
    """What the library says, or None if it does not."""
    return answer if ask(device, ctypes.byref(answer)) == 0 else None


def _words(ask: Callable[..., int], device: ctypes.c_void_p) -> str:
    buffer = ctypes.create_string_buffer(_NAME_LENGTH)
    return buffer.value.decode(errors="replace") if ask(device, buffer, _NAME_LENGTH) == 0 else ""


# -- files of the kernel ------------------------------------------------------------------


def _by_files(directory: Path, without: str) -> Iterator[Usage]:
    for card in sorted(directory.glob("card[0-9]*"), key=lambda one: (len(one.name), one.name)):
        device = card / "device"
        vendor = _VENDORS.get(_text(device / "vendor") or "", "")
        if "-" in card.name or not vendor or vendor == without:
            continue   # a connector of a card, a display without a GPU, one that has told
        sensors = next(iter(sorted(device.glob("hwmon/hwmon*"))), device)
        yield Usage(os.path.basename(os.path.realpath(device)), _name(device, vendor, card.name),
                    vendor, _number(device / "gpu_busy_percent"),
                    _whole(device / "mem_info_vram_used"), _whole(device / "mem_info_vram_total"),
                    _number(sensors / "temp1_input", 1000),
                    _number(sensors / "power1_average", 1e6))


def _name(device: Path, vendor: str, card: str) -> str:
    return _text(device / "product_name") or f"{vendor.upper() if vendor == 'amd' else vendor.title()} GPU ({card})"


def _number(path: Path, unit: float = 1) -> Optional[float]:
    found = _whole(path)
    return None if found is None else found / unit


def _whole(path: Path) -> Optional[int]:
    try:
        return int(_text(path) or "")
    except ValueError:
        return None


def _text(path: Path) -> Optional[str]:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None
