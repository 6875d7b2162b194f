"""Who may do what with which object: each call by each kind of caller."""
from __future__ import annotations

import pytest

from .rights import Rights, different, program
from .worlds import identity, scratch

pytestmark = pytest.mark.root

WORLDS = ["plain", "overlay", "trap", "preload"]


@pytest.fixture(scope="module")
def executable() -> bytes:
    return program()


@pytest.mark.parametrize("seed", range(3))
def test_a_user_of_a_container_may_what_the_kernel_would_let_it(seed: int, executable: bytes) -> None:
    """Root and users in groups, with files of layers, copies and new ones, in directories of all kinds."""
    assert [] == different(Rights(seed, 500, executable), WORLDS, scratch())


def test_somebody_without_the_root_illusion_may_what_the_kernel_would_let_it(executable: bytes) -> None:
    """`--user host`: the machine's user with an image's files, few of which are its own."""
    assert [] == different(Rights(7, 500, executable, identity()), WORLDS, scratch())
