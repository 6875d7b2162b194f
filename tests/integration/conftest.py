"""What tests of containers share."""
from __future__ import annotations

import subprocess

import pytest


@pytest.fixture
def opened(loaded):
    from lpmx_runtime.store import Store
    loaded("tiny")
    return Store.open(loaded.path)


@pytest.fixture
def make(loaded, opened):
    """Make containers of the tiny image; they are removed afterwards."""
    from lpmx_runtime.container import Container, Options
    made = []

    def make(**options):
        container = Container.create(opened, opened.images.find(loaded("tiny")),
                                     options=Options(**options))
        made.append(container)
        return container

    yield make
    for container in made:
        if container.directory.exists():
            container.remove(force=True)


@pytest.fixture
def shell(loaded, lpmx):
    """Run `lpmx` in the shared store."""
    return lambda *arguments, **options: lpmx(*arguments, store=loaded.path, **options)


@pytest.fixture
def tiny(loaded, lpmx):
    """Run `lpmx` in the shared store; `tiny.image` is an image of one static program."""
    def run(*arguments, **options):
        return lpmx(*arguments, store=loaded.path, **options)
    run.image = loaded("tiny")
    run.store = loaded.path
    return run


@pytest.fixture
def begin():
    """Start a shell in a container, which has answered its first lines so, and waits for more."""
    def start(container, lines, answer):
        from lpmx_runtime.container import process
        child = process.popen(container.launch(["sh"], entrypoint=False), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
        child.stdin.write(lines)
        child.stdin.flush()
        assert answer == child.stdout.readline()
        return child

    return start
