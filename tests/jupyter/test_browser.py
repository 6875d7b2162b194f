"""A person in front of JupyterLab: the launcher's card, a notebook, a cell, an error.

Chromium is Debian's; its own sandbox needs what our users may not have, so these
tests are not under the filter, and it runs without.
"""
from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Iterator

import pytest
from support.labserver import TOKEN, LabServer
from support.notebooks import Jupyter

pytestmark = pytest.mark.unconfined

BROWSER = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]
#: Where screenshots go, for those who want to look.
SHOTS = os.environ.get("LPMX_TEST_SHOTS")
SECONDS = 1000


class Person:
    """A browser tab with JupyterLab in it."""

    def __init__(self, page: Any, server: LabServer) -> None:
        self.page = page
        self.server = server
        self.problems: list[str] = []
        page.set_default_timeout(30 * SECONDS)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def open_lab(self) -> None:
        self.page.goto(f"{self.server.url}lab?token={TOKEN}&reset")
        self.page.wait_for_selector(".jp-Launcher")

    def card(self, title: str) -> Any:
        return self.page.locator(f'.jp-LauncherCard[data-category="Notebook"][title="{title}"]')

    def new_notebook(self, title: str) -> None:
        self.card(title).click()
        self.page.locator(".jp-NotebookPanel-toolbar", has_text=title).wait_for()
        self.page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')

    def run(self, code: str) -> str:
        """Type into the last cell, run it, and read what appears below it."""
        cells = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")
        cell = cells.nth(cells.count() - 1)
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        cell.locator(".jp-InputPrompt", has_text=re.compile(r"\[\d+\]:")).wait_for()
        self.page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        return str(cell.locator(".jp-OutputArea").inner_text()).strip()

    def shot(self, name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


@pytest.fixture
def server(jupyter: Jupyter) -> Iterator[LabServer]:
    # Lab's question about news takes the focus from whatever a person is typing in.
    settings = jupyter.root / "config" / "lab" / "user-settings" / "@jupyterlab"
    (settings / "apputils-extension").mkdir(parents=True)
    (settings / "apputils-extension" / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false"}')
    running = LabServer(jupyter.folder, jupyter.runtime)
    yield running
    running.close()


@pytest.fixture
def person(server: LabServer) -> Iterator[Person]:
    """A browser; afterwards its console must have been free of errors."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if not Path(BROWSER).exists():
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        someone = Person(page, server)
        yield someone
        someone.shot("last")
        browser.close()
    assert [] == someone.problems


def test_notebook_from_the_launcher_runs_in_its_image(jupyter: Jupyter, person: Person) -> None:
    """The card, its logo, a notebook, cells, a restart by menu, and shutting down."""
    jupyter.install("tiny")
    person.open_lab()

    card = person.card("LPMX: lpmx-test-tiny1")
    card.wait_for()
    logo = card.locator("img")
    assert logo.evaluate("image => image.complete && image.naturalWidth > 0")
    person.shot("launcher")

    person.new_notebook("LPMX: lpmx-test-tiny1")
    assert "root:x:0:0:root:/root:/bin/sh" == person.run("!cat /etc/passwd")
    person.run("%lpmx env set SEEN=yes")
    assert "yes" == person.run("!echo $SEEN")
    assert "lpmx-test/tiny:1" in person.run("%lpmx info")
    person.shot("notebook")

    [kernel] = person.server.request("GET", "kernels").json()
    person.server.delete(kernel["id"])
    jupyter.wait_until_clean()


def test_dialog_says_why_a_kernel_did_not_start(jupyter: Jupyter, person: Person) -> None:
    """Message and hint, in Lab's own dialog."""
    name = jupyter.install("tiny")
    path = jupyter.data / "kernels" / name / "kernel.json"
    values = json.loads(path.read_text())
    values["metadata"]["kernel_provisioner"]["config"]["image"] = "gone:1.0"
    path.write_text(json.dumps(values))
    person.open_lab()

    person.card("LPMX: lpmx-test-tiny1").click()
    dialog = person.page.locator(".jp-Dialog", has_text="gone:1.0")
    dialog.wait_for()
    person.shot("failed-start")

    text = dialog.inner_text()
    assert 'cannot find image "gone:1.0": it is not in the store' in text
    assert 'hint: run "lpmx pull gone:1.0"' in text
    assert [] == jupyter.leftovers()
