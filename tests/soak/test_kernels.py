"""Real kernels of several languages in images, through Jupyter's own suite and a day's life."""
from __future__ import annotations

import unittest
from pathlib import Path
from typing import Any, Callable, Iterator

import jupyter_kernel_test
import pytest
from lpmx_jupyter import support
from lpmx_runtime.store import Store
from lpmx_runtime.store.collect import collect
from support.notebooks import Jupyter, Running, jupyter_in
from support.samples import Python

Record = Callable[[str, str, int, str], None]


class Bash:
    """Samples for bash_kernel."""

    language_name = "bash"
    file_extension = ".sh"
    code_hello_world = "echo hello, world"
    completion_samples = [{"text": "ech", "matches": {"echo"}}]
    code_generate_error = "false"


#: (what, image, kernel of it, samples, what a busy loop is, the pid of the kernel)
KERNELS: "list[tuple[str, str, str, type, str, str]]" = [
    ("bash_kernel by pip", "kernels-bookworm", "bash", Bash, "echo begun; sleep 100", "echo $PPID"),
    *[(f"support layer in {suite}", suite, "image-python", Python,
       "print('begun', flush=True)\nwhile True: pass", "import os; print(os.getpid())")
      for suite in ("bullseye", "trixie")],
    *[(f"kernel view in {what}", image, "host-python", Python,
       "print('begun', flush=True)\nwhile True: pass", "import os; print(os.getpid())")
      for what, image in (("an image with only busybox", "tiny"),
                          ("an image with one static program", "static"))],
]


@pytest.fixture(scope="module")
def jupyter(_loaded: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with jupyter_in(tmp_path_factory.mktemp("jupyter"), _loaded) as own:
        yield own
        store = Store.open()
        for layer in support.layers(store):
            store.images.remove(layer.image.name)
            _loaded.layers.pop(layer.image.diff_ids[0].replace(":", "/"), None)
        collect(store)


@pytest.mark.parametrize("what,image,kernel,samples,busy,pid", KERNELS, ids=[one[0] for one in KERNELS])
def test_kernel_of_an_image_is_a_kernel(what: str, image: str, kernel: str, samples: type, busy: str,
                                        pid: str, jupyter: Jupyter, record: Record) -> None:
    """Jupyter's suite, as far as its language has samples; then interrupt, restart, kill, end."""
    name = jupyter.install(image, kernel=kernel, name="soak")
    running = jupyter.start(name)
    suite = type("Suite", (samples, jupyter_kernel_test.KernelTests),
                 {"setUpClass": classmethod(lambda cls: None), "km": running.manager,
                  "kc": running.client, "tearDownClass": classmethod(lambda cls: None)})
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(suite).run(result)
    faults = [text.splitlines()[-1] for _, text in [*result.failures, *result.errors]]
    skipped = len(result.skipped)
    faults += life(jupyter, name, running, busy, pid)
    record("kernels", what, result.testsRun - skipped + 4,
           "; ".join(faults) or f"passed; {skipped} without a sample of the language")

    assert [] == faults


def life(jupyter: Jupyter, name: str, running: Running, busy: str, pid: str) -> "list[str]":
    """What goes wrong in an interrupt, a restart, a kill with a new start, and a shutdown."""
    faults = []
    message = running.begin(busy, "begun")
    running.manager.interrupt_kernel()
    running.reply(message)
    before = running.text(pid)
    running.restart()
    if running.text(pid) == before:
        faults.append("it was not restarted")
    running.restart(now=True)
    if not running.text(pid):
        faults.append("it was not killed and started")
    process = Path(f"/proc/{running.manager.provisioner.process.pid}")
    running.shutdown()
    if process.exists():
        faults.append("it was not ended")
    return faults + jupyter.leftovers()
