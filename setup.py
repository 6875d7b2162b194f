"""Builds the native parts beside the Python packages, and the panel; all else is in pyproject.toml."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

try:
    from setuptools.command.build_scripts import build_scripts
except ImportError:
    from distutils.command.build_scripts import build_scripts
try:
    from setuptools.command.install_data import install_data
except ImportError:
    from distutils.command.install_data import install_data

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "labextension"))
import build_panel  # noqa: E402
BUILD = HERE / "native" / "build"
BINARIES = ("loader", "preload.so", "lpmx", "gdbinit")


def make_native() -> None:
    # what was said to a make that has this built, TARGETS=layer perhaps, is not for this one
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    subprocess.run(["make", "-C", str(HERE / "native"), f"BUILD={BUILD}",
                    f"-j{os.cpu_count() or 1}"], check=True, env=environment)


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


def make_panel(version: str) -> None:
    """Raises SystemExit with what is wrong and how to go on."""
    try:
        if not build_panel.build(version):
            print(f"{build_panel.SWITCH} says so: without the JupyterLab panel", file=sys.stderr)
    except build_panel.CannotBuild as error:
        raise SystemExit(str(error)) from None


class InstallDataWithPanel(install_data):
    """Also installs the panel, built before."""

    def run(self) -> None:
        make_panel(self.distribution.get_version())
        if not build_panel.switched_off():
            self.data_files = [*(self.data_files or []), *build_panel.data_files()]
        super().run()


class SdistWithPanel(sdist):
    """Also holds the panel, built: whoever installs from it needs neither Node nor network."""

    def run(self) -> None:
        make_panel(self.distribution.get_version())
        super().run()


class DistributionWithData(Distribution):
    """Answers what an editable install asks before it installs data files."""

    def has_data(self) -> bool:
        return bool(self.has_data_files())


class StableWheel(bdist_wheel):
    """One wheel for every CPython from 3.9 on: the extension uses the limited API."""

    def get_tag(self) -> tuple[str, str, str]:
        python, abi, platform = super().get_tag()
        if python.startswith("cp"):
            return "cp39", "abi3", platform
        return python, abi, platform


setup(
    distclass=DistributionWithData,
    cffi_modules=["lpmx_runtime/_native/build.py:ffibuilder"],
    scripts=["lpmx"],
    # the panel's files are added when it is built
    data_files=[(str(build_panel.TARGET), ["labextension/install.json"]),
                ("etc/jupyter/jupyter_server_config.d",
                 ["lpmx_jupyter/extension/jupyter_server_config.d/lpmx_jupyter.json"])],
    cmdclass={"build_py": BuildWithNative, "build_scripts": BuildFront, "bdist_wheel": StableWheel,
              "install_data": InstallDataWithPanel, "sdist": SdistWithPanel},
)
