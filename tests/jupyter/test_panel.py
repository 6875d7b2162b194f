"""The panel, as people use it: a real JupyterLab and Notebook in a real browser, a real registry."""
from __future__ import annotations

import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator, Optional

import pytest
from support import images as images_module
from support import leftovers
from support.browser import Person, chromium, quiet, somebody
from support.faulty_proxy import Corrupt, FaultyProxy, Hold
from support.images import CHECKOUT
from support.labserver import TOKEN, LabServer
from support.loopback import Answer
from support.notebooks import Jupyter, jupyter_in

pytestmark = pytest.mark.unconfined

AXE = CHECKOUT / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
HALF = 300_000


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

    def idle(self) -> None:
        self.page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')

    def begin(self, code: str) -> Any:
        """Start the last cell; its output area."""
        cells = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")
        cell = cells.nth(cells.count() - 1)
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        return cell.locator(".jp-OutputArea")

    def choose(self, item: str) -> None:
        self.page.locator(".lm-Menu-itemLabel", has_text=item).click()

    def agree(self, label: str, title: str) -> None:
        """Answer the question with this title by the button with that label."""
        dialog = self.page.locator(".jp-Dialog", has_text=title)
        dialog.locator("button", has_text=label).click()
        dialog.wait_for(state="detached")


class NotebookPerson(PanelPerson):
    """Somebody in Notebook 7, where each notebook is a page of its own."""

    # the first without any extension, the others where notebooks and settings come late
    ignored = ("Cannot read properties of undefined (reading 'schema')", "Disposed",
               "Cannot convert undefined or null to object")

    def open_tree(self) -> None:
        self.page.goto(f"{self.server.url}tree?token={TOKEN}")
        self.page.locator(".lm-MenuBar-itemLabel", has_text="View").click()
        self.choose("Show the LPMX Panel")
        self.section("images").get_by_label("Image to pull").wait_for()


class NotebookServer(LabServer):
    """Notebook 7 in place of JupyterLab."""

    program = "jupyter-notebook"
    options = ()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Jupyter]:
    """A user's Jupyter with an empty store, of this test's own: what becomes of one test is
    nothing to the others."""
    store = tmp_path / "store"
    try:
        with jupyter_in(tmp_path, SimpleNamespace(path=store)) as own:
            quiet(own)
            yield own
            forget_made_containers(store)
        assert [] == leftovers.wait_for_none([store])
    finally:
        images_module.remove(store)


def forget_made_containers(path: Path) -> None:
    """Remove what people made and may keep; a kernel's container must have gone with it."""
    from lpmx_runtime.container import Container
    from lpmx_runtime.store import Store
    for container in Container.list(Store.open(path)):
        if not container.temporary:
            container.remove(force=True)


@pytest.fixture
def lab(place: Jupyter) -> Iterator[LabServer]:
    running = LabServer(place.folder, place.runtime)
    yield running
    running.close()


@pytest.fixture
def person(browser: Any, lab: LabServer) -> Iterator[PanelPerson]:
    with somebody(browser, lab, PanelPerson) as someone:
        yield someone


@pytest.fixture(scope="module")
def pushed(registry: Any, images: Any) -> str:
    """Address of a registry with demo/tiny:1."""
    registry.push(f"oci:{images.get('tiny').layout}", "demo/tiny")
    return str(registry.address)


@pytest.fixture
def proxy(pushed: str) -> Iterator[FaultyProxy]:
    """That registry, with a network that can be given bad days."""
    running = FaultyProxy(pushed)
    yield running
    running.close()


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
    page.goto(f"{person.server.url}lab")
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
    calls.locator('[data-link="git"]', has_text="host:").wait_for()
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


def violations(page: Any) -> list[str]:
    """What axe-core finds in the panel."""
    page.add_script_tag(path=str(AXE))
    found = page.evaluate("() => axe.run('#lpmx-panel')")["violations"]
    return [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
            for one in found for node in one["nodes"]]


def test_for_everybody(person: PanelPerson, lab: LabServer, proxy: FaultyProxy) -> None:
    """axe finds nothing in any section, light and dark; it can be used at 400 pixels and by keys alone."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (make set-up)")
    page = person.page
    image = f"{proxy.address}/demo/tiny:1"
    person.open_lab()
    person.open_panel()
    person.have(image)
    person.image(image).get_by_label(f"More for image {image}").click()
    person.choose("New Container of This Image")
    row = page.locator("#lpmx-panel .lpmx-Container")
    row.wait_for()
    for section in ("environment", "calls", "gpu", "check"):
        person.section(section)
    page.get_by_role("list", name="What this host allows").wait_for()
    page.get_by_role("table", name="Variables").wait_for()

    light = violations(page)
    person.shot("panel-light")
    lab.request("PUT", "../lab/api/settings/@jupyterlab/apputils-extension:themes",
                json={"raw": '{"theme": "JupyterLab Dark"}'})
    page.goto(f"{lab.url}lab")
    page.wait_for_selector('body[data-jp-theme-light="false"]', state="attached")
    person.open_panel()
    for section in ("environment", "calls", "gpu", "check"):
        person.section(section)
    page.get_by_role("table", name="Variables").wait_for()
    dark = violations(page)
    person.shot("panel-dark")
    lab.request("PUT", "../lab/api/settings/@jupyterlab/apputils-extension:themes", json={"raw": "{}"})

    # folding a section by keys alone
    check = page.locator('[data-section="check"] h2 button')
    check.focus()
    page.keyboard.press("Enter")
    page.locator('[data-section="check"] h2 button[aria-expanded=false]').wait_for()

    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("() => { const panel = document.getElementById('lpmx-panel');"
                         " return panel.scrollWidth <= panel.clientWidth; }")
    page.get_by_label("Take away PATH").click(trial=True)  # nothing is cut off, or below something
    person.shot("panel-400")
    page.set_viewport_size({"width": 1280, "height": 800})
    name = row.get_attribute("data-container")
    row.get_by_label(f"More for container {name}").click()
    person.choose("Remove Container…")
    person.agree("Remove container", f"Remove container {name}?")
    row.wait_for(state="detached")
    assert [] == light
    assert [] == dark


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
