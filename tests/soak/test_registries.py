"""OpenDev's registry, written in Python: tokens without a service, no ranges, pages of tags."""
from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Iterator

import pytest
from support import rounds
from support.registry import ZuulRegistry

from lpmx_runtime.store import Store

from .conftest import Record


@pytest.fixture(scope="module")
def zuul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZuulRegistry]:
    directory = tmp_path_factory.mktemp("zuul")
    subprocess.run(["/usr/bin/python3", "-m", "venv", directory / "venv"], check=True)
    subprocess.run([directory / "venv/bin/pip", "install", "-q", "zuul-registry"], check=True)
    running = ZuulRegistry(directory / "served", directory / "venv/bin/zuul-registry")
    yield running
    running.close()


@pytest.fixture(autouse=True)
def login(zuul: ZuulRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `lpmx login` keeps it."""
    pair = base64.b64encode(":".join(zuul.user).encode()).decode()
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {zuul.address: {"auth": pair}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))


def test_images_come_and_go(store: Path, zuul: ZuulRegistry, tmp_path: Path,
                            record: Record) -> None:
    """And a blob that was cut begins anew where ranges are not known."""
    opened = Store.open(store)
    result = "no answer"
    try:
        rounds.round_trip(opened, zuul, tmp_path)
        rounds.second_repository(opened, zuul)
        asked = rounds.cut_in_the_middle(opened, zuul, tmp_path / "cut")
        assert 2 == len(asked)
        result = "as it was"
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
        raise
    finally:
        record("images", "registry of zuul: push, pull, tags, a blob cut in the middle", 4, result)
