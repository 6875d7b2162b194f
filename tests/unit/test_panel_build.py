"""The build of the JupyterLab panel: what it is made of, what is missing, what is installed."""
from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PANEL = CHECKOUT / "labextension"


def load(directory: Path) -> ModuleType:
    """labextension/build_panel.py of that directory, as setup.py has it."""
    spec = importlib.util.spec_from_file_location("build_panel", directory / "build_panel.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A copy of the sources, in which nothing is built or installed."""
    copy = tmp_path / "labextension"
    shutil.copytree(PANEL, copy, ignore=shutil.ignore_patterns("node_modules", "built"))
    monkeypatch.delenv("LPMX_BUILD_PANEL", raising=False)
    return load(copy)


def test_what_is_built_is_known_by_what_it_is_built_from(panel: Any) -> None:
    """A changed source is noticed, a new time of a file is not."""
    before = panel.state("1.0")

    os.utime(panel.HERE / "src" / "index.ts", (1, 1))
    assert before == panel.state("1.0")
    (panel.HERE / "src" / "added.ts").write_text("export {};\n")
    assert before != panel.state("1.0")
    assert panel.state("1.0") != panel.state("2.0")


def test_what_is_current_needs_no_node(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An sdist brings the built files; then nothing of JavaScript is asked for."""
    monkeypatch.setattr(panel, "node_on_path", lambda: None)
    assert [panel.PACKAGED_NODE] == panel.requirements("1.0")
    panel.BUILT.mkdir()
    panel.STATE.write_text(panel.state("1.0"))

    assert [] == panel.requirements("1.0")
    assert panel.build("1.0")


def test_without_a_network_the_build_says_how_to_go_on(panel: Any, monkeypatch: pytest.MonkeyPatch,
                                                       tmp_path: Path) -> None:
    """The bundler cannot be had: the message names it, and the way without the panel."""
    for name, value in {"registry": "http://127.0.0.1:9", "cache": str(tmp_path / "cache"),
                        "fetch_retries": "0"}.items():
        monkeypatch.setenv(f"npm_config_{name}", value)

    with pytest.raises(panel.CannotBuild) as raised:
        panel.build("1.0")

    assert "cannot build the JupyterLab panel: npm could not install esbuild" in str(raised.value)
    assert "LPMX_BUILD_PANEL=no" in str(raised.value)
    monkeypatch.setenv("LPMX_BUILD_PANEL", "no")
    assert not panel.build("1.0")


def test_wheel_under_test_has_the_panel() -> None:
    """It is where JupyterLab looks, and JupyterLab finds it in order."""
    installed = Path(sysconfig.get_path("data")) / "share/jupyter/labextensions/lpmx-jupyter"
    about = json.loads((installed / "package.json").read_text())
    listed = subprocess.run([sys.executable, "-m", "jupyter", "labextension", "list"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    assert (installed / about["jupyterlab"]["_build"]["load"]).is_file()
    assert (installed / "schemas/lpmx-jupyter/panel.json").is_file()
    [line] = [line for line in listed.splitlines() if "lpmx-jupyter v" in line]
    assert "enabled" in line and "OK" in line


def test_source_distribution_brings_the_panel_built(tmp_path: Path) -> None:
    """Who installs from it needs neither Node nor a network."""
    copy = tmp_path / "checkout"
    shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns(
        ".git", ".venv", ".cache", "build", "tests", "docs", "node_modules", "*.egg-info"))
    built = load(copy / "labextension")
    built.BUILT.mkdir(exist_ok=True)
    (built.BUILT / "package.json").write_text("{}")
    built.STATE.write_text(built.state(built.version()))

    made = subprocess.run(
        [sys.executable, "-c", "import build_backend; print(build_backend.build_sdist('.'))"],
        cwd=copy, env={**os.environ, "PYTHONPATH": "labextension", "PATH": "/nowhere"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    assert 0 == made.returncode, made.stderr
    [archive] = copy.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.split("/", 1)[1] for name in tar.getnames() if "/" in name}
    assert {"labextension/built/package.json", "labextension/built/built-from",
            "labextension/src/index.ts", "labextension/package-lock.json"} <= names
    assert not any("node_modules" in name for name in names)


def test_lock_file_names_no_registry() -> None:
    """Packages come from whichever registry npm is set to."""
    lock = json.loads((PANEL / "package-lock.json").read_text())

    assert [] == [name for name, about in lock["packages"].items() if "resolved" in about]
