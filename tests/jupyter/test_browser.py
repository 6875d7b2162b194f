"""A person in front of JupyterLab: the launcher's card, a notebook, a cell, an error."""
from __future__ import annotations

import json
from typing import Iterator

import pytest
from support.browser import Person, chromium, quiet, somebody
from support.labserver import LabServer
from support.notebooks import Jupyter

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
