"""The examples, run as `make demo` and `make lab` run them."""
from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
import requests
from support.labserver import listening
from support.notebooks import Jupyter

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def checkout(jupyter: Jupyter) -> Iterator[Path]:
    """A copy of the examples, for what they make lies beside them."""
    place = jupyter.root / "checkout"
    shutil.copytree(EXAMPLES, place / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    yield place


def demo(checkout: Path, confined: Any, *arguments: str) -> Any:
    # "no mirror here": what must work without a network is shown without one
    return confined([sys.executable, checkout / "examples" / "demo.py", *arguments], cwd=checkout,
                    env={**os.environ, "LPMX_MIRROR": "http://127.0.0.1:9/debian"}, timeout=120)


@pytest.mark.parametrize("image", ["tiny", "kernel"])
def test_demo_runs_the_notebook_in_the_image_asked_for(jupyter: Jupyter, checkout: Path,
                                                       confined: Any, image: str) -> None:
    """It says which image it took, prints what the cells printed, and where the notebook lies."""
    reference = jupyter.loaded(image)

    done = demo(checkout, confined, reference)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert f"image: {reference} (as asked for)" in done.stdout
    assert "running, and sees: hello\n" in done.stdout
    assert "still running, and now sees: goodbye\n" in done.stdout
    assert f"{os.uname().nodename}\nexit code: 0" in done.stdout
    assert "only here" in done.stdout
    assert "No such file or directory" in done.stdout
    executed = Path(re.search(r"The executed notebook is (.*)\n", done.stdout)[1])  # type: ignore[index]
    cells = [cell for cell in json.loads(executed.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells)
    assert not os.path.exists("/var/tmp/made-in-a-container")
    assert [] == jupyter.containers()


def test_demo_without_network_takes_a_copy_of_this_machine(jupyter: Jupyter, checkout: Path,
                                                           confined: Any) -> None:
    """Neither a registry nor a mirror can be reached: it says so, and what it takes instead."""
    start = time.monotonic()
    done = demo(checkout, confined, "127.0.0.1:9/no/such:image")

    assert 0 == done.returncode, done.stdout + done.stderr
    assert 'demo: cannot pull "127.0.0.1:9/no/such:image"' in done.stderr
    assert "image: host (a copy-on-write view of this machine, which needs no network)" in done.stdout
    assert time.monotonic() - start < 60
    assert [] == jupyter.containers()


def test_demo_that_cannot_run_says_why(jupyter: Jupyter, checkout: Path, confined: Any) -> None:
    """A cell that fails fails the demo, and what ran is kept."""
    notebook = checkout / "examples" / "first-steps.ipynb"
    values = json.loads(notebook.read_text())
    values["cells"][1]["source"] = "raise RuntimeError('of the test')"
    notebook.write_text(json.dumps(values))

    done = demo(checkout, confined, jupyter.loaded("tiny"))

    assert 1 == done.returncode
    assert "demo: cannot run the notebook: a cell failed (RuntimeError: of the test)" in done.stderr
    assert "hint: what ran is in" in done.stderr
    assert [] == jupyter.containers()


def test_notebook_is_committed_without_output() -> None:
    """What it prints is for whoever runs it."""
    for cell in json.loads((EXAMPLES / "first-steps.ipynb").read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_lab_has_the_image_in_its_launcher(jupyter: Jupyter, checkout: Path) -> None:
    """`make lab` becomes a JupyterLab that lists the kernel."""
    reference = jupyter.loaded("tiny")
    process = subprocess.Popen(
        [sys.executable, checkout / "examples" / "lab.py", reference, "--no-browser", "--port=0",
         "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=t"], cwd=checkout,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        url = listening(jupyter.runtime, process)
        assert url is not None, process.poll()
        session = requests.Session()
        session.trust_env = False
        names = session.get(f"{url}api/kernelspecs?token=t", timeout=30).json()["kernelspecs"]
        files = session.get(f"{url}api/contents?token=t", timeout=30).json()["content"]
    finally:
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=30)[0]

    assert "LPMX: lpmx-test-tiny1" in [spec["spec"]["display_name"] for spec in names.values()]
    assert ["first-steps.ipynb"] == [entry["name"] for entry in files]
    assert 'the launcher has "LPMX: lpmx-test-tiny1"' in output
