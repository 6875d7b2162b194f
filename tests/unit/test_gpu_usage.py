"""How busy GPUs are: asked of a library that answers as NVML does, and of files as the kernel has them."""
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from lpmx_runtime.container import gpu_usage

#: Two devices, of which the second tells neither its use nor its power.
NVML = r"""
#include <string.h>
struct utilisation { unsigned gpu, memory; };
struct memory { unsigned long long total, free, used; };
static int second(void *device) { return device == (void *)2; }
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{ *device = (void *)(index + 1ul); return 0; }
int nvmlDeviceGetUtilizationRates(void *device, struct utilisation *found)
{ found->gpu = 37; found->memory = 5; return second(device) ? 3 : 0; }
int nvmlDeviceGetMemoryInfo(void *device, struct memory *found)
{ found->total = 85899345920ull; found->free = 80000000000ull; found->used = 5899345920ull; return 0; }
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts)
{ *milliwatts = 71500; return second(device) ? 3 : 0; }
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *degrees)
{ *degrees = second(device) ? 0 : 41; return sensor; }
int nvmlDeviceGetUUID(void *device, char *text, unsigned size)
{ strncpy(text, second(device) ? "GPU-2" : "GPU-1", size); return 0; }
int nvmlDeviceGetName(void *device, char *text, unsigned size)
{ strncpy(text, "NVIDIA Tester", size); return 0; }
"""


@pytest.fixture
def library(tmp_path: Path) -> str:
    path = tmp_path / "libnvidia-ml.so.1"
    (tmp_path / "nvml.c").write_text(NVML)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", path, tmp_path / "nvml.c"], check=True)
    return str(path)


def test_nvidia_tells_by_its_library(library: str) -> None:
    """Percent, bytes, degrees and watts; None for what a device does not tell."""
    first, second = [one for one in gpu_usage.usage(library) if one.vendor == "nvidia"]

    assert ("GPU-1", "NVIDIA Tester", "nvidia", 37.0, 5899345920, 85899345920, 41.0, 71.5) == first
    assert (None, 5899345920, None, 0.0) == (second.utilisation, second.memory_used, second.power,
                                             second.temperature)


def test_without_a_library_nothing_is_told(tmp_path: Path) -> None:
    """No driver, no failure."""
    assert [] == list(gpu_usage._by_nvml(str(tmp_path / "absent.so")))


def test_others_tell_by_files_of_the_kernel(tmp_path: Path) -> None:
    """As amdgpu has them; a connector of a card, and a display without a GPU, are none."""
    device = tmp_path / "card1" / "device"
    (device / "hwmon" / "hwmon3").mkdir(parents=True)
    for name, text in {"vendor": "0x1002", "product_name": "AMD Tester", "gpu_busy_percent": "12",
                       "mem_info_vram_used": "1000", "mem_info_vram_total": "4000",
                       "hwmon/hwmon3/temp1_input": "45500",
                       "hwmon/hwmon3/power1_average": "31000000"}.items():
        (device / name).write_text(text + "\n")
    for name, vendor in {"card1-DP-1": "0x1002", "card0": "0x1234"}.items():
        (tmp_path / name / "device").mkdir(parents=True)
        (tmp_path / name / "device" / "vendor").write_text(vendor)

    [found] = gpu_usage._by_files(tmp_path, without="nvidia")

    assert ("AMD Tester", "amd", 12.0, 1000, 4000, 45.5, 31.0) == found[1:]


def test_version_of_the_driver_is_in_its_line() -> None:
    """As /proc/driver/nvidia/version has it, of either make."""
    assert "535.104.05" == gpu_usage._version(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023")
    assert "575.57.08" == gpu_usage._version(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build")
    assert "" == gpu_usage._version("")
