"""Builds the native parts beside the Python packages; all else is in pyproject.toml."""
from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

try:
    from setuptools.command.build_scripts import build_scripts
except ImportError:
    from distutils.command.build_scripts import build_scripts

HERE = Path(__file__).resolve().parent
BUILD = HERE / "native" / "build"
BINARIES = ("loader", "preload.so", "lpmx")


def make_native() -> None:
    subprocess.run(["make", "-C", str(HERE / "native"), f"BUILD={BUILD}",
                    f"-j{os.cpu_count() or 1}"], check=True)


class BuildWithNative(build_py):
    """Also makes the loader, the preload library and the contained command."""

    def run(self) -> None:
        super().run()
        into = Path(self.build_lib) / "lpmx_runtime" / "_native"
        if self.editable_mode:
            into = HERE / "lpmx_runtime" / "_native"
        make_native()
        into.mkdir(parents=True, exist_ok=True)
        for name in BINARIES:
            shutil.copy2(BUILD / name, into / name)


class BuildFront(build_scripts):
    """Makes the command `lpmx`. It is no script, and the command line in Python is beside it
    (`lpmx-python`), which an installer lets find its interpreter."""

    def get_source_files(self) -> list[str]:
        return []

    def run(self) -> None:
        make_native()
        self.mkpath(self.build_dir)
        shutil.copy2(BUILD / "front", Path(self.build_dir) / "lpmx")


class StableWheel(bdist_wheel):
    """One wheel for every CPython from 3.9 on: the extension uses the limited API."""

    def get_tag(self) -> tuple[str, str, str]:
        python, abi, platform = super().get_tag()
        if python.startswith("cp"):
            return "cp39", "abi3", platform
        return python, abi, platform


setup(
    cffi_modules=["lpmx_runtime/_native/build.py:ffibuilder"],
    scripts=["lpmx"],
    cmdclass={"build_py": BuildWithNative, "build_scripts": BuildFront, "bdist_wheel": StableWheel},
)
