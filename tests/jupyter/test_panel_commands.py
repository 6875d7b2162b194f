"""What the panel does, by every way to it: palette, menus, status bar, launcher, what runs; and files."""
from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest
from support.faulty_proxy import FaultyProxy
from support.panel import PanelPerson

pytestmark = pytest.mark.unconfined


@pytest.fixture
def image(person: PanelPerson, proxy: FaultyProxy) -> str:
    """An image that somebody with an open panel has pulled."""
    reference = f"{proxy.address}/demo/tiny:1"
    person.open_lab()
    person.open_panel()
    person.have(reference)
    return reference


def test_palette_and_context_menus(person: PanelPerson, proxy: FaultyProxy) -> None:
    """An image is pulled from the palette; it and a container of it are used by the right button."""
    page = person.page
    image = f"{proxy.address}/demo/tiny:1"
    person.open_lab()

    person.command("Pull an Image…")
    dialog = page.locator(".jp-Dialog", has_text="Pull an image")
    dialog.locator("input").fill(image)
    dialog.locator("button", has_text="Pull").click()
    page.locator(".Toastify__toast", has_text=f"Image {image} is there").wait_for()
    person.command("Show the LPMX Panel")
    person.in_context(person.image(image), "New Container of This Image")
    row = page.locator("#lpmx-panel .lpmx-Container")
    row.wait_for()
    name = row.get_attribute("data-container")
    person.in_context(row, "Open Terminal in Container")
    page.locator(".jp-Terminal .xterm").wait_for()
    row.get_by_role("button", name="Programs (1)").wait_for()

    person.in_context(row, "Remove Container…")
    person.agree("Remove container", f"Remove container {name}?")
    row.wait_for(state="detached")
    person.in_context(person.image(image), "Remove Image…")
    person.agree("Remove image", f"Remove image {image}?")
    person.image(image).wait_for(state="detached")
    person.command("Free Unused Space…")
    person.agree("Free space", "Free unused space?")
    page.locator(".Toastify__toast", has_text="Done: Free what nothing needs").wait_for()


def test_launcher_status_bar_and_what_runs(person: PanelPerson, image: str) -> None:
    """The card starts a second notebook; the status bar leads to the container of the one in front;
    the panel of what runs shows both, and stops one."""
    page = person.page
    person.notebook_in(image)
    page.locator(".lm-TabBar-tab", has_text="Launcher").first.click()
    card = page.locator(f'.jp-LauncherCard[data-category="LPMX"]:has-text("{image}")')
    card.locator("svg").first.wait_for()

    card.click()
    chosen = page.locator("#lpmx-panel .lpmx-Container.lpmx-mod-chosen")
    chosen.get_by_text("Untitled1.ipynb").wait_for()
    second = str(chosen.get_attribute("data-container"))
    first = next(name for name in page.locator("#lpmx-panel .lpmx-Container").evaluate_all(
        "rows => rows.map(row => row.dataset.container)") if name != second)
    page.locator('.jp-SideBar [data-id="jp-running-sessions"]').click()
    status = page.locator("#jp-main-statusbar .lpmx-Status-button")
    status.click()
    chosen.wait_for()
    assert second == chosen.get_attribute("data-container")
    assert image in status.inner_text()

    # what runs: its label shows it in the panel, its button stops it
    page.locator('.jp-SideBar [data-id="jp-running-sessions"]').click()
    runs = page.locator("#jp-running-sessions .jp-RunningSessions-item", has_text=f"{first} ({image})")
    runs.locator(".jp-RunningSessions-itemLabel").click()
    chosen.wait_for()
    assert first == chosen.get_attribute("data-container")
    page.locator('.jp-SideBar [data-id="jp-running-sessions"]').click()
    runs.hover()
    runs.get_by_title("Stop").click()
    person.agree("Stop container", f"Stop what runs in container {first}?")
    runs.wait_for(state="detached")
    page.locator("#jp-running-sessions", has_text=f"{second} ({image})").wait_for()

    # the menu of the notebook's button, and its terminal
    page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .lpmx-ToolbarButton button").click()
    person.choose("Show Container in the Panel")
    chosen.get_by_text("Untitled1.ipynb").wait_for()
    chosen.get_by_label(f"Stop container {second}").click()
    person.agree("Stop container", f"Stop what runs in container {second}?")
    page.locator("#lpmx-panel .lpmx-Container").wait_for(state="detached")


def test_notebooks_share_a_container_that_stays(person: PanelPerson, image: str) -> None:
    """Two notebooks in one container see each other's files, and it is there when both are gone."""
    page = person.page
    row = person.new_container(image)
    name = str(row.get_attribute("data-container"))

    def another() -> None:
        person.in_context(row, "New Notebook in This Container")

    another()
    row.get_by_text("Untitled.ipynb").wait_for()
    person.idle()
    person.run("!echo kept > /root/shared")
    another()
    row.get_by_text("Untitled.ipynb, Untitled1.ipynb").wait_for()
    page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)", has_text=f"LPMX: {name}").wait_for()
    person.idle()
    assert "kept" == person.run("!cat /root/shared")

    row.get_by_label(f"Stop container {name}").click()
    person.agree("Stop container", f"Stop what runs in container {name}?")
    row.get_by_text("Nothing runs in it.").first.wait_for()
    row.get_by_role("button", name="Changed files").click()
    row.locator(".lpmx-Changes", has_text="/root/shared").wait_for()


def saved(person: PanelPerson, item: str, menu_of: Any, tmp_path: Path) -> Path:
    """The file that the browser saves for an item of a menu."""
    with person.page.expect_download() as download:
        menu_of.click()
        person.choose(item)
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_images_as_files(person: PanelPerson, image: str, tmp_path: Path) -> None:
    """An image is saved as a file and loaded from it; a bundle has a container, its secrets said."""
    page = person.page
    more = person.image(image).get_by_label(f"More for image {image}")
    row = person.new_container(image)
    name = str(row.get_attribute("data-container"))

    archive = saved(person, "Download Image as a File", more, tmp_path)
    with page.expect_download() as download:
        row.get_by_label(f"More for container {name}").click()
        person.choose("Download Container with Its Image (Bundle)…")
        question = page.locator(".jp-Dialog", has_text="also secret ones")
        question.locator("button", has_text="Download").click()
    bundle = tmp_path / download.value.suggested_filename
    download.value.save_as(bundle)
    for path in (archive, bundle):
        with tarfile.open(path) as file:
            assert "index.json" in file.getnames()

    row.get_by_label(f"More for container {name}").click()
    person.choose("Remove Container…")
    person.agree("Remove container", f"Remove container {name}?")
    row.wait_for(state="detached")
    more.click()
    person.choose("Remove Image…")
    person.agree("Remove image", f"Remove image {image}?")
    person.image(image).wait_for(state="detached")
    page.get_by_label("Image file").set_input_files(bundle)
    row.wait_for()
    assert name == row.get_attribute("data-container")


def test_env_file_exposed_program_and_space(person: PanelPerson, image: str, tmp_path: Path) -> None:
    """Variables from a file; a program of the container, found by its name, as a command of this
    machine; what takes space."""
    row = person.new_container(image)
    name = str(row.get_attribute("data-container"))
    variables = tmp_path / "some.env"
    variables.write_text("# for the run\nGREETING=\"hello there\"\nexport LIMIT=3\n")
    environment = person.section("environment")

    environment.get_by_label("File of variables").set_input_files(variables)
    environment.locator('[data-variable="LIMIT"]').wait_for()
    assert "hello there" == environment.get_by_label("Value of GREETING").input_value()

    calls = person.section("calls")
    field = calls.get_by_label("Program of the container that this machine may call")
    field.fill("mkfi")
    calls.locator('option[value="mkfifo"]').wait_for(state="attached")
    field.fill("mkfifo")
    calls.get_by_role("button", name="Expose").click()
    command = calls.locator('[data-program="mkfifo"]')
    command.wait_for()
    path = Path(str(command.locator("code").get_attribute("title")))
    assert path.exists()
    calls.get_by_label("Remove the command mkfifo").click()
    person.agree("Remove command", f"Remove the command {path}?")
    command.wait_for(state="detached")
    assert not path.exists()

    check = person.section("check")
    check.get_by_role("button", name="What takes space").click()
    table = check.get_by_role("table", name="What takes space")
    table.get_by_role("row", name=f"image {image}").wait_for()
    table.get_by_role("row", name=f"container {name}").wait_for()


def test_settings(person: PanelPerson, image: str) -> None:
    """The panel goes to the other side at once when the setting says so, and is there again after
    the page was loaded anew."""
    page = person.page
    page.locator('.jp-mod-left [data-id="lpmx-panel"]').wait_for()

    person.server.request("PUT", "../lab/api/settings/lpmx-jupyter:panel", json={"raw": '{"side": "right"}'})
    person.load_again()

    page.locator('.jp-mod-right [data-id="lpmx-panel"]').wait_for()
    person.open_panel()
    person.image(image).wait_for()
