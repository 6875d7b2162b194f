"""Fifty processes pull, make containers and remove both in one store, and none is in another's way."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Counter as Counts

import pytest
from support import crowd
from support.small_registry import SmallRegistry

from lpmx_runtime.store import Store
from lpmx_runtime.store.collect import remove_image

PROCESSES, ROUNDS = 50, 2


@pytest.mark.timeout(600)
def test_fifty_processes_in_one_store(store: Path, small: SmallRegistry) -> None:
    """Images that share layers come and go; whoever has one can read it, and in the end the store
    is whole and holds what its images need, and nothing else."""
    crowd.fill(small)
    Store.open(store)
    running = [subprocess.Popen(
        [sys.executable, crowd.__file__, str(store), small.address, str(number), str(ROUNDS)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for number in range(PROCESSES)]
    said = [each.communicate() for each in running]

    assert [] == [error[-3000:] for each, (_, error) in zip(running, said) if each.returncode]
    done: Counts[str] = Counter()
    for text, _ in said:
        done.update(json.loads(text))
    assert PROCESSES * ROUNDS == done["pulled"]
    # how many found their image gone before they had a container is up to chance
    assert done["contained"] > 0 and done["removed"] > 0
    opened = Store.open(store)
    assert [] == crowd.faults(opened)
    for image in opened.images.list():
        remove_image(opened, image.name)
    assert [] == os.listdir(store / "layers/sha256") and [] == os.listdir(store / "blobs/sha256")
