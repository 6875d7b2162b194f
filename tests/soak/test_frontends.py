"""Front ends that `make test` has not: papermill, the console, and JupyterHub with two users."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lpmx_jupyter import kernelspecs
from lpmx_jupyter.session import Settings
from lpmx_runtime.container import Container
from lpmx_runtime.store import Store
from support.hubserver import Hub
from support.notebooks import Jupyter

from .conftest import Record

WHERE = "import os; print('in', os.environ['LPMX_CONTAINER'])"


@pytest.fixture
def packages(images: Any) -> Path:
    return Path(images.get("frontends").directory / "python")


def module(packages: Path, *words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """A front end, with the Jupyter of these tests below it."""
    return subprocess.run([sys.executable, "-m", *words], text=True, timeout=300, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": str(packages)},
                          **options)


def test_papermill_and_the_console(jupyter: Jupyter, packages: Path, record: Record) -> None:
    """A notebook with a parameter, and lines typed: both run in a container, which is gone then."""
    name = jupyter.install("tiny")
    notebook, done = jupyter.folder / "in.ipynb", jupyter.folder / "out.ipynb"
    parameters = nbformat.v4.new_code_cell("number = 1", metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[
        parameters, nbformat.v4.new_code_cell(f"{WHERE}; print(number)")],
        metadata={"kernelspec": {"name": name, "display_name": name, "language": "python"}}), notebook)

    made = module(packages, "papermill", "-p", "number", "42", str(notebook), str(done))
    said = nbformat.read(done, as_version=4).cells[-1].outputs[0]["text"].split() if done.exists() else []
    typed = module(packages, "jupyter_console", f"--kernel={name}", "--simple-prompt",
                   input=f"{WHERE}; print(6 * 7)\nexit\n")
    faults = [] if said[:1] == ["in"] and said[2:] == ["42"] else [f"papermill: {made.stdout[-500:]}"]
    faults += [] if "in tiny-1-" in typed.stdout and "\n42" in typed.stdout else [
        f"jupyter console: {typed.stdout[-500:]}"]
    faults += jupyter.leftovers()
    record("front ends", "papermill, jupyter console", 2, "; ".join(faults) or "passed; nothing left")

    assert [] == faults


def test_hub_of_two_users_and_a_sites_store(tmp_path: Path, loaded: Any, images: Any, packages: Path,
                                            record: Record) -> None:
    """Both have the site's kernels in their launchers and start one of its image; neither sees the
    other's containers, the site's store has none, and a stopped server leaves nothing."""
    image = loaded("tiny")
    site = Store.open(loaded.path)
    specs = kernelspecs.install(site, image, Settings(), directory=tmp_path / "site/jupyter/kernels")
    hub = Hub(tmp_path, packages, packages.parent / "node", {
        "LPMX_SITE_STORES": str(loaded.path), "JUPYTER_PATH": str(tmp_path / "site/jupyter")})
    faults, containers = [], {}
    try:
        users = {name: hub.login(name) for name in ("ada", "ben")}
        for name, user in users.items():
            if specs[0].name not in user.specs():
                faults.append(f"{name} has only {', '.join(user.specs())}")
            status, text = user.execute(user.start(specs[0].name), WHERE)
            containers[name] = text.split()[-1] if status == "ok" else f"{status} {text}"
        for name in users:
            store = Store.open(tmp_path / "homes" / name / ".local/share/lpmx")
            found = [each.name for each in Container.list(store)]
            if found != [containers[name]]:
                faults.append(f"{name} has {found}, and runs in {containers[name]}")
        if Container.list(site):
            faults.append("the site's store has containers")
        for name in users:
            hub.stop(name)
            store = Store.open(tmp_path / "homes" / name / ".local/share/lpmx")
            faults += [f"{name} keeps {each.name}" for each in Container.list(store)]
    finally:
        hub.close()
    record("front ends", "JupyterHub, two users and a site's store", 2,
           "; ".join(faults) or "each has the site's kernels and its own containers; nothing left")

    assert [] == faults
