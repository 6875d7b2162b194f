"""What an image goes through at a registry of any make: put there, listed, and got again."""
from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Optional

from lpmx_runtime.image.pull import pull
from lpmx_runtime.image.push import push
from lpmx_runtime.oci.reference import Reference
from lpmx_runtime.registry.client import Repository
from lpmx_runtime.store import Image, Store

from . import layers
from .faulty_proxy import Cut, FaultyProxy
from .layers import file
from .made import make_image
from .pulls import HASTY
from .registry import Served

SMALL = layers.tar(file(b"small", b"content"))
LARGE = layers.tar(file(b"large", random.Random(7).randbytes(400_000)))


def same(one: Image, other: Image) -> bool:
    return (one.config_digest, one.diff_ids) == (other.config_digest, other.diff_ids)


def round_trip(store: Store, served: Served, elsewhere: Path) -> None:
    """Pushed, pulled into another store by tag and by digest, read by skopeo."""
    image = make_image(store, "made:1", SMALL, LARGE, config={"Cmd": ["sh"]})
    name = f"{served.address}/round/trip"

    pushed = push(store, "made:1", f"{name}:1", patience=HASTY)

    other = Store.open(elsewhere / "other")
    for reference in (f"{name}:1", f"{name}@{pushed.digest}"):
        found = pull(other, reference, patience=HASTY)
        assert same(image, found)
        assert pushed.digest == found.digest
    subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false",
                    f"docker://{name}:1", f"oci:{elsewhere / 'layout'}:1"], check=True)


def second_repository(store: Store, served: Served) -> None:
    """What is pushed to a second repository of the registry is there, by whichever way."""
    make_image(store, f"{served.address}/first:1", SMALL, LARGE)
    first = push(store, f"{served.address}/first:1", patience=HASTY)
    second = push(store, f"{served.address}/first:1", f"{served.address}/second:2", patience=HASTY)

    assert first.digest == second.digest
    with opened(f"{served.address}/second:2") as repository:
        assert ["2"] == repository.all_tags()


def cut_in_the_middle(store: Store, served: Served, elsewhere: Path) -> list[Optional[str]]:
    """A blob whose connection ends early is whole at last; the ranges that were asked for."""
    image = make_image(store, "made:1", LARGE)
    push(store, "made:1", f"{served.address}/cut:1", patience=HASTY)
    with opened(f"{served.address}/cut:1") as repository:
        blob = json.loads(repository.manifest("1").data)["layers"][0]["digest"]
    with FaultyProxy(served.address) as proxy:
        proxy.fault(blob, Cut(50_000))
        found = pull(Store.open(elsewhere / "other"), f"{proxy.address}/cut:1", patience=HASTY)
        asked = [request.headers.get("range") for request in proxy.seen(part=blob)]
    assert same(image, found)
    return asked


def opened(reference: str) -> Repository:
    return Repository(Reference.parse(reference), failing="look", patience=HASTY)
