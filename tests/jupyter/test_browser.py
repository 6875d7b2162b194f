"""A person in front of JupyterLab: the launcher's card, a notebook, a cell, an error."""
from __future__ import annotations

import json
from typing import Iterator

import pytest
from support.browser import Person, chromium, quiet, somebody
from support.labserver import LabServer
from support.notebooks import Jupyter
from support.ports import free_port

pytestmark = pytest.mark.unconfined


@pytest.fixture
def server(jupyter: Jupyter) -> Iterator[LabServer]:
    quiet(jupyter)
    running = LabServer(jupyter.folder, jupyter.runtime)
    yield running
    running.close()


@pytest.fixture
def person(server: LabServer) -> Iterator[Person]:
    with chromium() as browser, somebody(browser, server, Person) as someone:
        yield someone


def test_notebook_from_the_launcher_runs_in_its_image(jupyter: Jupyter, person: Person) -> None:
    """The card, its logo, a notebook, cells, a restart by menu, and shutting down."""
    jupyter.install("tiny")
    person.open_lab()

    card = person.card("LPMX: lpmx-test-tiny1")
    card.locator("img").wait_for()
    person.drawn(card.locator("img"))
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


class Patient(Person):
    """Somebody whose page stays open while there is no server."""

    ignored = ("WebSocket connection to", "ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE",
               "ERR_CONNECTION_RESET", "Failed to fetch")


@pytest.mark.parametrize("end", ["close", "kill"])
def test_open_notebook_goes_on_when_its_server_is_back(jupyter: Jupyter, end: str) -> None:
    """With a kernel that outlives the server: nothing is to be done, and no variable is lost. So it
    is with a page that is loaded anew."""
    quiet(jupyter)
    jupyter.install("tiny", detach=True)
    port = free_port()
    with LabServer(jupyter.folder, jupyter.runtime, port=port) as server, \
            chromium() as browser, somebody(browser, server, Patient) as person:
        person.page.add_locator_handler(
            person.page.locator(".jp-Dialog", has_text="Server Connection Error"),
            lambda dialog: dialog.get_by_role("button", name="Close").click())
        person.open_lab()
        person.new_notebook("LPMX: lpmx-test-tiny1")
        person.run("x = 42")

        getattr(server, end)()
        with LabServer(jupyter.folder, jupyter.runtime, port=port) as again:
            [kernel] = again.request("GET", "kernels").json()
            assert "42" == person.run("print(x)")
            with person.page.expect_websocket(lambda socket: kernel["id"] in socket.url):
                person.page.reload()
            assert [kernel["id"]] == [one["id"] for one in again.request("GET", "kernels").json()]
            again.delete(kernel["id"])
            jupyter.wait_until_clean()
