"""A person in front of JupyterLab or Notebook: Chromium, driven by Playwright.

Chromium is Debian's; its own sandbox needs what our users may not have, so tests with it are not
under the filter, and it runs without.
"""
from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, TypeVar

import pytest

from .images import CHECKOUT
from .labserver import TOKEN, LabServer
from .notebooks import Jupyter

BROWSER = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]
#: Where screenshots go, for those who want to look.
SHOTS = Path(os.environ.get("LPMX_TEST_SHOTS") or CHECKOUT / ".cache" / "screenshots")
#: The server's answer was no success; what the person is told of it is the test's business.
ANSWERED = "Failed to load resource"
SECONDS = 1000
#: A page's, in pixels.
SIZE = {"width": 1280, "height": 800}


class Person:
    """A browser tab with JupyterLab in it."""

    #: What a page's own front end says of itself.
    ignored: tuple[str, ...] = ()

    def __init__(self, page: Any, server: LabServer) -> None:
        self.page = page
        self.server = server
        self.problems: list[str] = []
        page.set_default_timeout(90 * SECONDS)
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        if message.type == "error" and not message.text.startswith(ANSWERED):
            self._note(message.text)

    def _note(self, problem: str) -> None:
        if not any(text in problem for text in self.ignored):
            self.problems.append(problem)

    def open_lab(self) -> None:
        self.page.goto(f"{self.server.url}lab?token={TOKEN}&reset")
        self.page.wait_for_selector(".jp-Launcher")

    def load_again(self) -> None:
        """Load the page anew, with no document open: it is as it was left when the launcher is there."""
        self.page.goto(f"{self.server.url}lab")
        self.page.wait_for_selector(".jp-Launcher")

    def card(self, title: str) -> Any:
        return self.page.locator(f'.jp-LauncherCard[data-category="Notebook"][title="{title}"]')

    def new_notebook(self, title: str) -> None:
        self.card(title).click()
        self.page.locator(".jp-NotebookPanel-toolbar", has_text=title).wait_for()
        self.idle()

    def idle(self) -> None:
        """Wait until the kernel of the notebook in front waits for a cell."""
        self.page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) "
                                    '.jp-Notebook-ExecutionIndicator[data-status="idle"]')

    def run(self, code: str) -> str:
        """Type into the last cell, run it, and read what appears below it."""
        cells = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")
        cell = cells.nth(cells.count() - 1)
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        cell.locator(".jp-InputPrompt", has_text=re.compile(r"\[\d+\]:")).wait_for()
        self.idle()
        return str(cell.locator(".jp-OutputArea").inner_text()).strip()

    def drawn(self, image: Any) -> None:
        """Wait until the picture has come and can be shown."""
        self.page.wait_for_function("image => image.complete && image.naturalWidth > 0",
                                    arg=image.element_handle())

    def shot(self, name: str) -> None:
        try:
            SHOTS.mkdir(parents=True, exist_ok=True)
        except OSError:
            return  # a checkout of somebody else's
        if os.access(SHOTS, os.W_OK):
            self.page.screenshot(path=str(SHOTS / f"{name}.png"))


def quiet(jupyter: Jupyter) -> None:
    """Lab's question about news takes the focus from whatever a person is typing in."""
    settings = jupyter.root / "config" / "lab" / "user-settings" / "@jupyterlab"
    (settings / "apputils-extension").mkdir(parents=True)
    (settings / "apputils-extension" / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false"}')


_P = TypeVar("_P", bound=Person)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if not Path(BROWSER).exists():
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def somebody(browser: Any, server: LabServer, kind: Callable[[Any, LabServer], _P]) -> Iterator[_P]:
    """A tab of a person of its own; afterwards its console must have been free of errors."""
    context = browser.new_context(viewport=SIZE)
    someone = kind(context.new_page(), server)
    try:
        yield someone
    finally:
        someone.shot("last")
        context.close()
    assert [] == someone.problems
