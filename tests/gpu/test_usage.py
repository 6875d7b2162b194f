"""How busy the real GPU is."""
from __future__ import annotations

import pytest

pytestmark = pytest.mark.gpu


def test_nvidia_gpu_tells_its_use_and_memory() -> None:
    """NVML of the driver that is there: a name, percent, bytes within what the device has."""
    from lpmx_runtime.container import gpu_usage

    found = [one for one in gpu_usage.usage() if one.vendor == "nvidia"]

    assert found and ("nvidia" in [driver.name for driver in gpu_usage.drivers()])
    for one in found:
        assert one.name and one.id.startswith("GPU-")
        assert one.utilisation is not None and 0 <= one.utilisation <= 100
        assert one.memory_total and 0 <= (one.memory_used or 0) <= one.memory_total
