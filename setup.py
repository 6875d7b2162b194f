"""Builds the native parts beside the Python packages; all else is in pyproject.toml."""
from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
BINARIES = ("loader", "preload.so", "lpmx")


class BuildWithNative(build_py):
    """Also makes the loader, the preload library and the contained command."""

    def run(self) -> None:
        super().run()
        into = Path(self.build_lib) / "lpmx_runtime" / "_native"
        if self.editable_mode:
            into = HERE / "lpmx_runtime" / "_native"
        build = HERE / "native" / "build"
        subprocess.run(["make", "-C", str(HERE / "native"), f"BUILD={build}",
                        f"-j{os.cpu_count() or 1}"], check=True)
        into.mkdir(parents=True, exist_ok=True)
        for name in BINARIES:
            shutil.copy2(build / name, into / name)


class StableWheel(bdist_wheel):
    """One wheel for every CPython from 3.9 on: the extension uses the limited API."""

    def get_tag(self) -> tuple[str, str, str]:
        python, abi, platform = super().get_tag()
        if python.startswith("cp"):
            return "cp39", "abi3", platform
        return python, abi, platform


setup(
    cffi_modules=["lpmx_runtime/_native/build.py:ffibuilder"],
    cmdclass={"build_py": BuildWithNative, "bdist_wheel": StableWheel},
)
