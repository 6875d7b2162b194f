"""The panel, as people use it: a real JupyterLab and Notebook in a real browser, a real registry."""
from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
from support.browser import somebody
from support.faulty_proxy import FaultyProxy
from support.labserver import TOKEN, LabServer
from support.notebooks import Jupyter
from support.panel import HALF, DamagedLayer, HeldLayer, NotebookPerson, NotebookServer, PanelPerson

pytestmark = pytest.mark.unconfined


def test_from_an_empty_store_through_a_notebook_and_back(
        place: Jupyter, person: PanelPerson, proxy: FaultyProxy) -> None:
    """Pull, look at the progress, reload; a notebook, variables, a host's program, a terminal,
    interrupt, restart, commit, remove: all by what the page shows."""
    page = person.page
    image = f"{proxy.address}/demo/tiny:1"
    person.open_lab()
    person.open_panel()
    person.section("images").get_by_text("There is no image yet").wait_for()

    # a pull that is under way, also after the page was loaded again
    go = threading.Event()
    proxy.fault("/blobs/", HeldLayer(HALF, go), times=2)
    person.pull(image)
    layer = page.locator(".lpmx-Part [role=progressbar]").first
    layer.wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.lpmx-Part [role=progressbar]')]"
        ".some(bar => bar.ariaValueNow > 0 && bar.ariaValueNow < 100)")
    person.shot("panel-pull")
    person.load_again()
    layer.wait_for()  # the panel is open, as it was left
    go.set()
    person.image(image).wait_for()
    assert "MiB" in person.image(image).inner_text()
    page.locator(".Toastify__toast", has_text=f"Image {image} is there").wait_for()

    # a notebook, and its container wherever it shows
    person.notebook_in(image)
    assert "root:x:0:0:root:/root:/bin/sh" == person.run("!cat /etc/passwd")
    page.locator(".lpmx-ToolbarButton", has_text=image).wait_for()
    page.locator("#jp-main-statusbar", has_text=image).wait_for()
    row = page.locator("#lpmx-panel .lpmx-Container.lpmx-mod-chosen")
    row.get_by_text("Untitled.ipynb").wait_for()
    name = str(row.get_attribute("data-container"))

    # a variable: in a cell that runs, and in the next one
    person.fold("images")
    environment = person.section("environment")
    waiting = person.begin(
        "import ctypes, time; getenv = ctypes.CDLL(None).getenv; getenv.restype = ctypes.c_char_p\n"
        "while not getenv(b'SEEN'): time.sleep(0.05)\nprint('now', getenv(b'SEEN'))")
    environment.get_by_label("Name of a new variable").fill("SEEN")
    environment.get_by_label("Value of the new variable").fill("yes")
    environment.get_by_role("button", name="Set").click()
    waiting.get_by_text("now b'yes'").wait_for()
    person.idle()
    value = environment.get_by_label("Value of SEEN")
    value.fill("changed in its row")
    value.press("Enter")
    environment.locator('[data-variable="SEEN"]', has_text="live").wait_for()
    environment.get_by_role("button", name="History").click()
    environment.get_by_text("SEEN=changed in its row").wait_for()
    assert "changed in its row" == person.run("!echo $SEEN")
    person.shot("panel-environment")

    # a program of the host
    person.fold("environment")
    calls = person.section("calls")
    calls.get_by_label("Program that the container may call").fill("git")
    calls.get_by_role("button", name="Link").click()
    calls.locator('[data-program="git"]', has_text="host:").wait_for()
    assert "git version" in person.run("!git --version")
    person.shot("panel-calls")

    # a terminal in the container, and what it changed
    person.fold("calls")
    row.get_by_label(f"Open a terminal in container {name}").click()
    page.locator(".jp-Terminal .xterm").wait_for()
    page.locator(".jp-Terminal .xterm").click()
    page.keyboard.insert_text("cp /etc/passwd /root/from-a-terminal")
    page.keyboard.press("Enter")
    row.get_by_role("button", name="Programs").click()
    row.get_by_role("cell", name="sh", exact=True).wait_for()
    row.get_by_role("button", name="Changed files").click()
    found = row.locator(".lpmx-Changes", has_text="/root/from-a-terminal")
    while not found.is_visible():
        row.get_by_role("button", name="Look again").click()
        page.wait_for_timeout(200)
    person.shot("panel-terminal")
    page.locator(".lm-TabBar-tab", has_text="Untitled.ipynb").first.click()
    assert "root:x:0:0:root:/root:/bin/sh" == person.run("!cat /root/from-a-terminal")

    # interrupt and restart
    loop = person.begin("while True: pass")
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="busy"]')
    page.locator('.jp-NotebookPanel-toolbar [data-command="notebook:interrupt-kernel"]').click()
    loop.get_by_text("KeyboardInterrupt").first.wait_for()
    page.locator('.jp-NotebookPanel-toolbar [data-command="notebook:restart-kernel"]').click()
    person.agree("Restart", "Restart Kernel?")
    person.idle()
    assert "2" == person.run("print(1 + 1)")

    # reset: another kernel, in a container that has the image's files
    row.get_by_label(f"More for container {name}").click()
    person.choose("Reset Container…")
    person.agree("Reset container", f"Reset container {name}?")
    page.locator(f'#lpmx-panel [data-container="{name}"]').wait_for(state="detached")
    row.get_by_text("Untitled.ipynb").wait_for()
    name = str(row.get_attribute("data-container"))
    person.idle()
    assert "No such file" in person.run("!ls /root/from-a-terminal")

    # the launcher's card, and what runs
    page.locator(".lm-TabBar-tab", has_text="Launcher").first.click()
    page.locator(f'.jp-LauncherCard[data-category="LPMX"]:has-text("{image}")').wait_for()
    person.shot("panel-launcher")
    page.locator('.jp-SideBar [data-id="jp-running-sessions"]').click()
    page.locator("#jp-running-sessions", has_text=f"{name} ({image})").wait_for()
    person.open_panel()
    page.locator(".lm-TabBar-tab", has_text="Untitled.ipynb").first.click()

    # commit, by the menu of the notebook's button
    page.locator(".lpmx-ToolbarButton button").click()
    person.choose("Commit Container to an Image…")
    dialog = page.locator(".jp-Dialog", has_text=f"Make an image of container {name}")
    dialog.locator("input").fill("mine:1")
    dialog.locator("button", has_text="Commit").click()
    person.section("images")
    person.image("mine:1").wait_for()

    # remove: the image, and the container with its kernel
    person.image("mine:1").get_by_label("More for image mine:1").click()
    person.choose("Remove Image…")
    person.agree("Remove image", "Remove image mine:1?")
    person.image("mine:1").wait_for(state="detached")
    row.get_by_label(f"More for container {name}").click()
    person.choose("Stop Container…")
    person.agree("Stop container", f"Stop what runs in container {name}?")
    row.wait_for(state="detached")
    place.wait_until_clean()
    assert [] == person.problems


def test_what_a_failed_pull_says(person: PanelPerson, lab: LabServer, proxy: FaultyProxy) -> None:
    """A registry that is not there, and one that sends other bytes; then once more."""
    person.open_lab()
    person.open_panel()
    tasks = person.section("images").locator(".lpmx-Task")

    person.pull("127.0.0.1:9/demo/tiny:1")
    told = tasks.locator(".lpmx-Problem").first
    told.get_by_text(re.compile('cannot pull "127.0.0.1:9/demo/tiny:1"|cannot reach')).wait_for()
    tasks.get_by_label(re.compile("Dismiss")).click()
    tasks.wait_for(state="detached")

    image = f"{proxy.address}/demo/tiny:1"
    lab.request("DELETE", f"../lpmx/api/image?image={image}")
    proxy.fault("/blobs/", DamagedLayer(HALF), times=8)
    person.pull(image)
    told.wait_for()
    person.shot("panel-failed-pull")
    assert image in told.inner_text()
    proxy.recover()
    tasks.get_by_role("button", name="Try again").click()
    person.image(image).wait_for()
    tasks.wait_for(state="detached")


def test_images_from_files(person: PanelPerson, images: Any, tmp_path: Path) -> None:
    """A file that is chosen, one that is dropped, and one that is no image."""
    page = person.page
    person.open_lab()
    person.open_panel()
    chooser = page.locator("#lpmx-panel input[type=file]")

    chooser.set_input_files(images.archive("tiny", "docker-archive"))
    person.image("lpmx-test/tiny:1").wait_for()

    nothing = tmp_path / "letter.txt"
    nothing.write_text("Dear all")
    chooser.set_input_files(nothing)
    failed = page.locator("#lpmx-panel .lpmx-Task[data-state=failed]")
    failed.locator(".lpmx-Problem", has_text="letter.txt").wait_for()
    failed.get_by_label(re.compile("Dismiss")).click()
    failed.wait_for(state="detached")

    # JupyterLab shows 140 characters of a notification; the rest is there, too
    data = page.evaluate_handle(
        "() => { const data = new DataTransfer(); data.items.add(new File([], 'empty.tar')); return data; }")
    page.locator("#lpmx-panel .lpmx-Drop").dispatch_event("drop", {"dataTransfer": data})
    toast = page.locator(".Toastify__toast", has_text='cannot load "empty.tar": it is empty')
    toast.get_by_text("Details").click()
    dialog = page.locator(".jp-Dialog", has_text="Hint: load a file that")
    dialog.locator("button", has_text="Ok").click()

    person.image("lpmx-test/tiny:1").get_by_label("More for image").click()
    person.choose("Remove Image…")
    person.agree("Remove image", "Remove image lpmx-test/tiny:1?")
    person.image("lpmx-test/tiny:1").wait_for(state="detached")


def test_two_tabs_stay_in_step(browser: Any, lab: LabServer, person: PanelPerson,
                               proxy: FaultyProxy) -> None:
    """What one tab does shows in the other: a pull under way, an image, a container, a variable.
    They hear of it by websockets: other connections are six for all tabs of a browser."""
    image = f"{proxy.address}/demo/tiny:1"
    heard: list[str] = []
    person.page.on("websocket", lambda socket: heard.append(socket.url.partition("?")[0]))
    person.open_lab()
    person.open_panel()
    with somebody(browser, lab, PanelPerson) as other:
        other.open_lab()
        other.open_panel()

        person.pull(image)
        other.image(image).wait_for()
        other.image(image).get_by_label(f"More for image {image}").click()
        other.choose("New Container of This Image")
        row = person.page.locator("#lpmx-panel .lpmx-Container")
        row.wait_for()
        name = row.get_attribute("data-container")
        for one in (person, other):
            one.section("environment").get_by_role("table", name="Variables").wait_for()
        field = other.section("environment")
        field.get_by_label("Name of a new variable").fill("FROM")
        field.get_by_label("Value of the new variable").fill("the other tab")
        field.get_by_label("Value of the new variable").press("Enter")

        person.page.wait_for_function(
            "() => document.querySelector('[data-variable=FROM] input')?.value === 'the other tab'")
        row.get_by_label(f"More for container {name}").click()
        person.choose("Remove Container…")
        person.agree("Remove container", f"Remove container {name}?")
        other.page.locator("#lpmx-panel .lpmx-Container").wait_for(state="detached")
    assert 1 == sum(url.endswith("/lpmx/api/events/socket") for url in heard)


def test_in_notebook_7(browser: Any, place: Jupyter, proxy: FaultyProxy) -> None:
    """The panel beside the files and beside a notebook, by the View menu; a notebook in an image."""
    image = f"{proxy.address}/demo/tiny:1"
    server = NotebookServer(place.folder, place.runtime)
    try:
        with somebody(browser, server, NotebookPerson) as person:
            person.open_tree()
            person.have(image)
            with person.page.context.expect_page() as opened:
                person.image(image).get_by_label(f"New notebook in {image}").click()
            beside = NotebookPerson(opened.value, server)
            beside.page.locator(".lpmx-ToolbarButton button").click()
            beside.choose("Show Container in the Panel")
            beside.page.locator("#lpmx-panel .lpmx-Container.lpmx-mod-chosen").wait_for()
            beside.idle()
            environment = beside.section("environment")
            environment.get_by_label("Name of a new variable").fill("SEEN")
            environment.get_by_label("Value of the new variable").fill("in Notebook 7")
            environment.get_by_role("button", name="Set").click()
            environment.locator('[data-variable="SEEN"]').wait_for()
            assert "in Notebook 7" == beside.run("!echo $SEEN")
            beside.shot("panel-notebook-7")
            assert [] == beside.problems
    finally:
        server.close()
    place.wait_until_clean()


class Listener(NotebookPerson):
    """Somebody to whom everything is a problem."""

    ignored = ()

    def listen(self, until: "set[str]") -> "set[str]":
        """What the page says while it comes up, at least until it has said all of `until`."""
        self.page.goto(f"{self.server.url}tree?token={TOKEN}")
        self.page.locator(".jp-FileBrowser").first.wait_for()
        self.page.wait_for_load_state("networkidle")
        while not until <= set(self.problems):
            with self.page.expect_console_message():
                pass
        said, self.problems = set(self.problems), []
        return said


def test_what_notebook_says_of_itself(browser: Any, place: Jupyter) -> None:
    """Notebook's page has an error in its console; without us, it is the same. So it is left out
    elsewhere."""
    settings = place.root / "config" / "labconfig" / "page_config.json"
    settings.parent.mkdir(parents=True)

    def listen(until: "set[str]") -> "set[str]":
        server = NotebookServer(place.folder, place.runtime)
        try:
            with somebody(browser, server, Listener) as person:
                return person.listen(until)
        finally:
            server.close()

    with_us = listen(set())
    settings.write_text('{"disabledExtensions": {"lpmx-jupyter": true}}')
    without_us = listen(with_us)

    assert with_us <= without_us
