"""Real drivers for user space in images, on a machine without a GPU: NVIDIA's, and PoCL.

What NVIDIA's finds and misses is exact: nvidia-smi ends with 9 where it finds the library but no
driver in the kernel, with 12 where it finds no library; cuInit says 100, no device.
"""
from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lpmx_runtime.container import Container, Options, drivers, gpu
from lpmx_runtime.container.spec import Bind
from lpmx_runtime.store import Store

from .conftest import Record

ASK = """
import ctypes
cuda, version = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
print(cuda.cuInit(0), cuda.cuDriverGetVersion(ctypes.byref(version)), version.value)
"""
ADD = """
import numpy, pyopencl
context = pyopencl.Context(pyopencl.get_platforms()[0].get_devices())
queue, flags = pyopencl.CommandQueue(context), pyopencl.mem_flags
a = numpy.random.default_rng(7).random(1 << 20).astype(numpy.float32)
b = numpy.arange(1 << 20, dtype=numpy.float32)
given = [pyopencl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=x) for x in (a, b)]
taken = pyopencl.Buffer(context, flags.WRITE_ONLY, a.nbytes)
program = pyopencl.Program(context, "kernel void add(global const float *a, global const float *b, "
                           "global float *c) { int i = get_global_id(0); c[i] = a[i] + b[i]; }").build()
program.add(queue, a.shape, None, *given, taken)
result = numpy.empty_like(a)
pyopencl.enqueue_copy(queue, result, taken)
print(context.devices[0].platform.name, int((result != a + b).sum()), len(result))
"""
NO_DEVICE, NO_DRIVER, NO_LIBRARY, NO_PROGRAM = 100, 9, 12, 127


@pytest.fixture
def driver(images: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine has the driver's libraries, and a device that is only said to be there."""
    if gpu.devices():
        pytest.skip("there is a real GPU: tests/gpu is for that")
    directory: Path = images.get("nvidia").program("")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(directory))
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.setattr(drivers, "wanted", lambda: True)
    monkeypatch.setattr(gpu, "devices", lambda: ["/dev/nvidia0"])
    return directory


def bare(driver: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([driver / "nvidia-smi"], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, env={"PATH": os.defpath, **environment})


def run(container: Container, *words: str) -> "subprocess.CompletedProcess[str]":
    launch = container.launch(list(words))
    return subprocess.run(launch.argv, executable=launch.executable, env=launch.env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_program_of_the_driver_in_an_image_of_musl(driver: Path, loaded: Any, record: Record) -> None:
    """It is the host's, which finds there what it finds bare; the libraries, which need a glibc, are
    refused to the image."""
    store = Store.open(loaded.path)
    found = store.images.find(loaded("musl"))
    there = bare(driver, LD_LIBRARY_PATH=str(driver))

    container = Container.create(store, found)
    smi = run(container, "nvidia-smi")
    container.remove()
    container = Container.create(store, found, options=Options(gpu=False))
    without = run(container, "sh", "-c", "nvidia-smi")
    container.remove()
    judged = {library.refused for library in gpu.judge(store, found, gpu.find()).libraries
              if library.vendor == "nvidia"}

    record("gpu", "NVIDIA's driver for user space in musl: nvidia-smi with, without; libraries", 3,
           f"{smi.returncode}, {without.returncode}; refused: {', '.join(map(str, sorted(judged)))}")
    assert (NO_DRIVER, there.stdout) == (smi.returncode, smi.stdout)
    assert NO_PROGRAM == without.returncode
    assert {"the image has no glibc"} == judged


@pytest.mark.parametrize("image", ["bullseye", "bookworm", "trixie", "forky"])
def test_driver_says_in_an_image_what_it_says_bare(driver: Path, loaded: Any, image: str,
                                                   record: Record) -> None:
    """Found by its programs and by a library of the image's Python; without it, neither is."""
    store = Store.open(loaded.path)
    found = store.images.find(loaded(image))
    with_library, without = bare(driver, LD_LIBRARY_PATH=str(driver)), bare(driver)
    assert (NO_DRIVER, NO_LIBRARY) == (with_library.returncode, without.returncode)

    container = Container.create(store, found)
    smi, asked = run(container, "nvidia-smi"), run(container, "python3", "-c", ASK)
    container.remove()
    container = Container.create(store, found, options=Options(
        gpu=False, binds=(Bind(str(driver / "nvidia-smi"), "/usr/bin/nvidia-smi", True),)))
    plain, not_found = run(container, "nvidia-smi"), run(container, "python3", "-c", ASK)
    container.remove()

    record("gpu", f"NVIDIA's driver for user space in {image}: nvidia-smi with, without; cuInit", 3,
           f"{smi.returncode}, {plain.returncode}; {asked.stdout.split()[0]}")
    assert (with_library.returncode, with_library.stdout) == (smi.returncode, smi.stdout)
    assert (without.returncode, without.stdout) == (plain.returncode, plain.stdout)
    assert f"{NO_DEVICE} 0 " == asked.stdout[:6], asked.stdout
    assert "libcuda.so.1: cannot open" in not_found.stdout


def test_image_without_glibc_gets_none_of_it(driver: Path, loaded: Any) -> None:
    """Each library is refused with the reason."""
    store = Store.open(loaded.path)

    judged = gpu.judge(store, store.images.find(loaded("tiny")), gpu.find())

    mine = [library for library in judged.libraries if library.path.startswith(str(driver))]
    assert {"libcuda.so.1", "libnvidia-ml.so.1"} <= {library.name for library in mine}
    assert {"the image has no glibc"} == {library.refused for library in mine}


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "trap"])
def test_opencl_computes(loaded: Any, lpmx: Any, preload: bool, record: Record) -> None:
    """A sum of a million numbers, by a kernel that the driver compiles: none is wrong."""
    options = [] if preload else ["--no-preload"]

    done = lpmx("run", *options, loaded("pocl"), "python3", "-c", ADD, store=loaded.path,
                timeout=600)

    *name, wrong, count = done.stdout.split() or ("nothing", "0", "0")
    record("gpu", f"OpenCL by PoCL in trixie ({'preload' if preload else 'trap'})", int(count),
           f"{' '.join(name)}: {wrong} wrong")
    assert (["Portable", "Computing", "Language"], "0", str(1 << 20)) == (name, wrong, count), done
