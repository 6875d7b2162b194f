"""Jupyter's own suite for kernels, against each kind of kernel that we start."""
from __future__ import annotations

from typing import Any, Iterator

import jupyter_kernel_test
import pytest
from support.notebooks import jupyter_in
from support.samples import Python as Samples


class Python(Samples):
    """A kernel of an image."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def kernel(cls: Any, _loaded: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with jupyter_in(tmp_path_factory.mktemp("jupyter"), _loaded) as jupyter:
            running = jupyter.start(jupyter.install(cls.image))
            cls.km, cls.kc = running.manager, running.client
            yield


class TestKernelView(Python, jupyter_kernel_test.KernelTests):
    """The host's Python in an image that has none."""

    image = "tiny"


class TestImagesOwn(Python, jupyter_kernel_test.KernelTests):
    """The ipykernel that an image brings."""

    image = "kernel"


class TestCopyOfTheHost(Python, jupyter_kernel_test.KernelTests):
    """This machine's Python in a copy of this machine."""

    image = "host"
