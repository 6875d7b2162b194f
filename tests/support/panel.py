"""The panel, and somebody who looks at it in JupyterLab or in Notebook 7."""
from __future__ import annotations

import threading
from typing import Any, Optional

from .browser import Person
from .faulty_proxy import Corrupt, Hold
from .images import CHECKOUT
from .labserver import TOKEN, LabServer
from .loopback import Answer

#: What accessibility is checked by.
AXE = CHECKOUT / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
#: Bytes of about half of the test image's layer.
HALF = 300_000
SECTIONS = ("images", "containers", "environment", "calls", "gpu", "check")


def large(answer: Answer) -> bool:
    """Whether it is a layer; the config is small."""
    assert isinstance(answer.body, bytes)
    return len(answer.body) > HALF


class HeldLayer(Hold):
    def after(self, answer: Answer, closing: threading.Event) -> Optional[Answer]:
        return super().after(answer, closing) if large(answer) else answer


class DamagedLayer(Corrupt):
    def after(self, answer: Answer, closing: threading.Event) -> Optional[Answer]:
        return super().after(answer, closing) if large(answer) else answer


class PanelPerson(Person):
    """Somebody who looks at the panel."""

    def open_panel(self) -> None:
        tab = self.page.locator('.jp-SideBar [data-id="lpmx-panel"]')
        tab.wait_for()
        if "lm-mod-current" not in str(tab.get_attribute("class")):
            tab.click()
        self.section("images").get_by_label("Image to pull").wait_for()

    def section(self, name: str) -> Any:
        """A section of the panel, unfolded."""
        section = self.page.locator(f'#lpmx-panel [data-section="{name}"]')
        button = section.locator("h2 button")
        if button.get_attribute("aria-expanded") == "false":
            button.click()
        return section

    def fold(self, *names: str) -> None:
        for name in names:
            button = self.page.locator(f'#lpmx-panel [data-section="{name}"] h2 button')
            if button.get_attribute("aria-expanded") == "true":
                button.click()

    def pull(self, reference: str) -> None:
        field = self.section("images").get_by_label("Image to pull")
        field.fill(reference)
        field.press("Enter")

    def have(self, reference: str) -> None:
        """Pull an image that is not there yet."""
        self.page.locator("#lpmx-panel .lpmx-Image").first.wait_for()
        if not self.image(reference).is_visible():
            self.pull(reference)
            self.image(reference).wait_for()

    def image(self, reference: str) -> Any:
        return self.page.locator(f'#lpmx-panel .lpmx-Image[data-image="{reference}"]')

    def notebook_in(self, reference: str) -> None:
        """Open a notebook in an image by the button of its row; its kernel is ready then."""
        self.image(reference).get_by_label(f"New notebook in {reference}").click()
        self.page.locator(".jp-NotebookPanel .lpmx-ToolbarButton button").wait_for()
        self.idle()

    def new_container(self, reference: str) -> Any:
        """Make a container of an image that is there, by its menu; the container's row."""
        self.image(reference).get_by_label(f"More for image {reference}").click()
        self.choose("New Container of This Image")
        row = self.page.locator("#lpmx-panel .lpmx-Container")
        row.wait_for()
        return row

    def command(self, label: str) -> None:
        """Choose a command from the palette, by keys alone."""
        self.page.keyboard.press("Control+Shift+C")
        palette = self.page.locator("#modal-command-palette .lm-CommandPalette-input")
        palette.fill(label)
        self.page.locator("#modal-command-palette .lm-mod-active", has_text=label).wait_for()
        palette.press("Enter")

    def in_context(self, of: Any, item: str) -> None:
        """Choose from the context menu of something."""
        of.click(button="right", position={"x": 30, "y": 5})
        self.choose(item)

    def begin(self, code: str) -> Any:
        """Start the last cell; its output area."""
        cells = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")
        cell = cells.nth(cells.count() - 1)
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        return cell.locator(".jp-OutputArea")

    def choose(self, item: str) -> None:
        self.page.locator(".lm-Menu-itemLabel").get_by_text(item, exact=True).click()

    def agree(self, label: str, title: str) -> None:
        """Answer the question with this title by the button with that label."""
        dialog = self.page.locator(".jp-Dialog", has_text=title)
        dialog.locator("button", has_text=label).click()
        dialog.wait_for(state="detached")


class NotebookPerson(PanelPerson):
    """Somebody in Notebook 7, where each notebook is a page of its own."""

    # what its pages say of themselves: test_what_notebook_says_of_itself shows that it is not us
    ignored = ("Cannot read properties of undefined (reading 'schema')", "Disposed")

    def open_tree(self) -> None:
        self.page.goto(f"{self.server.url}tree?token={TOKEN}")
        self.page.locator(".lm-MenuBar-itemLabel", has_text="View").click()
        self.choose("Show the LPMX Panel")
        self.section("images").get_by_label("Image to pull").wait_for()


class NotebookServer(LabServer):
    """Notebook 7 in place of JupyterLab."""

    program = "jupyter-notebook"
    options = ()
