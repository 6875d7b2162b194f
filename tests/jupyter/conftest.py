"""What the tests of kernels and of the panel share."""
from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator

import pytest
from support import images as images_module
from support import leftovers
from support.browser import chromium, quiet, somebody
from support.faulty_proxy import FaultyProxy
from support.labserver import LabServer
from support.notebooks import Jupyter, Running, jupyter_in
from support.panel import PanelPerson


@pytest.fixture(params=["tiny", "kernel", "host"])
def kernel(request: pytest.FixtureRequest, jupyter: Jupyter) -> Running:
    """A started kernel of each kind: the host's Python in a kernel view, the image's own,
    and this machine's in a copy of this machine."""
    return jupyter.start(jupyter.install(request.param))


# -- the panel: a browser, and for each test a server with an empty store


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Jupyter]:
    """A user's Jupyter with an empty store, of this test's own: what becomes of one test is
    nothing to the others."""
    with place_in(tmp_path) as own:
        yield own


@contextmanager
def place_in(folder: Path) -> Iterator[Jupyter]:
    store = folder / "store"
    try:
        with jupyter_in(folder, SimpleNamespace(path=store)) as own:
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


@pytest.fixture(scope="module")
def shown(browser: Any, pushed: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PanelPerson]:
    """Somebody who has an image and a container of it in the panel; for tests that change neither."""
    folder = tmp_path_factory.mktemp("shown")
    with place_in(folder) as own:
        server = LabServer(own.folder, own.runtime)
        try:
            with somebody(browser, server, PanelPerson) as person:
                person.open_lab()
                person.open_panel()
                person.have(f"{pushed}/demo/tiny:1")
                person.new_container(f"{pushed}/demo/tiny:1")
                yield person
        finally:
            server.close()


@pytest.fixture
def proxy(pushed: str) -> Iterator[FaultyProxy]:
    """That registry, with a network that can be given bad days."""
    running = FaultyProxy(pushed)
    yield running
    running.close()
