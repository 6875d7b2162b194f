"""A real GPU of NVIDIA: programs of images work on it as the host's do."""
from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict

import pytest

pytestmark = pytest.mark.gpu

PROGRAM = Path(__file__).with_name("compute.py").read_text()
#: 4 times the numbers from 0 to 16 Mi - 1.
SUM = 4 * sum(range(16 << 20))


@pytest.mark.parametrize("image", ["bullseye", "host"])
def test_program_computes_on_the_gpu(loaded: Any, lpmx: Any, image: str) -> None:
    """In an image with an old glibc and the host's driver, which its own Python loads, and in
    the host's own root: all numbers are right. What it cost beside a bare run is printed."""
    bare = subprocess.run([shutil.which("python3") or "python3", "-c", PROGRAM], check=True,
                          stdout=subprocess.PIPE, text=True)
    reference = loaded(image) if image != "host" else image

    done = lpmx("run", reference, "python3", "-c", PROGRAM, store=loaded.path, check=True)

    theirs: Dict[str, Any] = json.loads(bare.stdout)
    ours: Dict[str, Any] = json.loads(done.stdout)
    for what in ("launches", "copies", "kernel"):
        print(f"{image}: {what} {ours[what]:.4f} s, bare {theirs[what]:.4f} s, "
              f"{ours[what] / theirs[what]:.2f}")
    assert (SUM, 0, theirs["device"]) == (ours["sum"], ours["wrong"], ours["device"])


def test_programs_of_the_driver_are_in_every_image(loaded: Any, lpmx: Any) -> None:
    """nvidia-smi lists the same GPUs as on the host."""
    bare = subprocess.run(["nvidia-smi", "-L"], check=True, stdout=subprocess.PIPE, text=True)

    done = lpmx("run", loaded("bullseye"), "nvidia-smi", "-L", store=loaded.path, check=True)

    assert bare.stdout == done.stdout


def test_without_gpu_option_the_driver_is_not_there(loaded: Any, lpmx: Any) -> None:
    """--no-gpu: the image's Python finds no libcuda."""
    done = lpmx("run", "--no-gpu", loaded("bullseye"), "python3", "-c", PROGRAM,
                store=loaded.path)

    assert done.returncode and "libcuda.so.1: cannot open" in done.stderr
