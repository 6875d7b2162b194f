"""Real kernels of several languages in images, through Jupyter's own suite and a day's life."""
from __future__ import annotations

import subprocess
import unittest
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import jupyter_kernel_test
import pytest
from lpmx_jupyter import support
from lpmx_runtime.container import Container
from lpmx_runtime.store import Store
from lpmx_runtime.store.collect import collect
from support.notebooks import Jupyter, Running, jupyter_in
from support.samples import Python

Record = Callable[[str, str, int, str], None]


#: Answers each line of its input with a variable, as it and a shell see it, and one of its own.
JULIA = """
ENV["OWN"] = "Julia"
for line in eachline()
    shell = read(`sh -c 'echo "[$LIVE]"'`, String)
    println("[", get(ENV, "LIVE", ""), "] ", strip(shell), " ", ENV["OWN"])
    flush(stdout)
end
"""


class Bash:
    """Samples for bash_kernel."""

    language_name = "bash"
    file_extension = ".sh"
    code_hello_world = "echo hello, world"
    completion_samples = [{"text": "ech", "matches": {"echo"}}]
    code_generate_error = "false"


class R:
    """Samples for IRkernel; it answers with display_data where others have an execute_result."""

    language_name = "R"
    file_extension = ".r"
    code_hello_world = 'cat("hello, world")'
    code_stderr = 'message("test")'
    completion_samples = [{"text": "Sys.getp", "matches": {"Sys.getpid"}}]
    complete_code_samples = ["1", 'print("hello, world")', "f <- function(x) {\n  x*2\n}"]
    incomplete_code_samples = ['print("hello', "f <- function(x) {\n  x*2"]
    invalid_code_samples = ["import = 7q"]
    code_page_something = "?cat"
    code_generate_error = 'stop("wrong")'
    code_display_data = [{"code": "1:3", "mime": "text/html"}]
    code_inspect_sample = "cat"


class XeusPython(Python):
    """It finds in its history what was run several times as often."""

    supported_history_operations = ("tail",)


class Case(NamedTuple):
    """A kernel of an image: what the language's suite is told, a busy loop that says "begun",
    and how a cell tells the kernel's process. An interrupt `ends` xeus-python: it does anywhere.
    `version` is that of a Python, which has to be the image's."""

    what: str
    image: str
    kernel: str
    samples: type
    busy: str
    pid: str
    ends: bool = False
    version: str = ""


def python(what: str, image: str, kernel: str, samples: type = Python, ends: bool = False,
           version: str = "") -> Case:
    return Case(what, image, kernel, samples, "print('begun', flush=True)\nwhile True: pass",
                "import os; print(os.getpid())", ends, version)


KERNELS = [
    Case("bash_kernel by pip", "kernels-bookworm", "bash", Bash, "echo begun; sleep 100", "echo $PPID"),
    Case("IRkernel by apt", "kernels-bookworm", "ir", R, 'cat("begun\n"); flush.console(); repeat {}',
         "Sys.getpid()"),
    python("xeus-python by pip", "kernels-bookworm", "xpython", XeusPython, ends=True),
    *[python(f"support layer in {image}", image, "image-python")
      for image in ("bullseye", "bookworm", "trixie", "forky", "musl")],
    *[python(f"support layer for CPython {version}", f"python-{version}", "image-python", version=version)
      for version in ("3.6", "3.7", "3.8", "3.10", "3.12")],
    *[python(f"kernel view in {what}", image, "host-python")
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


@pytest.mark.parametrize("case", KERNELS, ids=[each.what for each in KERNELS])
def test_kernel_of_an_image_is_a_kernel(case: Case, jupyter: Jupyter, record: Record) -> None:
    """Jupyter's suite, as far as its language has samples; then interrupt, restart, kill, end."""
    name = jupyter.install(case.image, kernel=case.kernel, name="soak")
    running = jupyter.start(name)
    suite = type("Suite", (case.samples, jupyter_kernel_test.KernelTests),
                 {"setUpClass": classmethod(lambda cls: None), "km": running.manager,
                  "kc": running.client, "tearDownClass": classmethod(lambda cls: None)})
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(suite).run(result)
    faults = [f"{test.id().rpartition('.')[2]}: {text.splitlines()[-1]}"
              for test, text in [*result.failures, *result.errors]]
    skipped = len(result.skipped)
    faults += life(jupyter, running, case)
    record("kernels", case.what, result.testsRun - skipped + 4,
           "; ".join(faults) or f"passed; {skipped} without a sample of the language")

    assert [] == faults


def life(jupyter: Jupyter, running: Running, case: Case) -> "list[str]":
    """What goes wrong in an interrupt, a restart, a kill with a new start, and a shutdown."""
    faults = []
    if case.version and case.version != running.text("import sys; print('%d.%d' % sys.version_info[:2])"):
        faults.append(f"it is no Python {case.version}")
    interrupt(running, case)
    before = running.text(case.pid)
    running.restart()
    if running.text(case.pid) == before:
        faults.append("it was not restarted")
    running.restart(now=True)
    if not running.text(case.pid):
        faults.append("it was not killed and started")
    process = Path(f"/proc/{running.manager.provisioner.process.pid}")
    running.shutdown()
    if process.exists():
        faults.append("it was not ended")
    return faults + jupyter.leftovers()


def interrupt(running: Running, case: Case) -> None:
    """Interrupt a busy cell, and wait until the kernel takes cells again."""
    message = running.begin(case.busy, "begun")
    running.manager.interrupt_kernel()
    if case.ends:
        running.manager.provisioner.process.wait(60)
        # nobody is there to be asked to end: the next one would take it to be meant
        running.restart(now=True)
        return
    running.reply(message)
    # IRkernel aborts whatever comes in the half second after it
    while running.reply(running.client.execute("", stop_on_error=False))["status"] == "aborted":
        pass


def test_variable_is_seen_at_once_in_a_running_r(jupyter: Jupyter, record: Record) -> None:
    """By Sys.getenv, by a program that it starts; what R has set itself stays R's."""
    running = jupyter.start(jupyter.install("kernels-bookworm", kernel="ir", name="soak"))
    [name] = jupyter.containers()
    variables = Container.open(Store.open(), name).environment
    cell = 'cat(Sys.getenv("LIVE"), system("echo $LIVE", intern = TRUE), Sys.getenv("OWN"))'
    running.text('Sys.setenv(OWN = "R"); invisible(Sys.getenv("LIVE"))')
    seen = []
    for number in range(20):
        variables.set("LIVE", str(number))
        variables.set("OWN", str(number))
        seen.append(running.text(cell))
    running.shutdown()
    right = [f"{number} {number} R" for number in range(20)]
    record("kernels", "variables set while R runs, by Sys.getenv and its programs", len(seen),
           "seen at once" if seen == right else f"wrong: {seen}")

    assert right == seen


def test_variable_is_seen_at_once_in_a_running_julia(jupyter: Jupyter, record: Record) -> None:
    """By ENV, by a program that it starts, and when it is gone; what Julia has set itself stays Julia's."""
    store = Store.open()
    container = Container.create(store, store.images.find(jupyter.loaded("julia")))
    launch = container.launch(["julia", "--startup-file=no", "-e", JULIA])
    seen, values = [], [*map(str, range(20)), None]
    with subprocess.Popen(launch.argv, executable=launch.executable, env=launch.env, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as julia:
        assert julia.stdin and julia.stdout
        for value in values:
            if value is None:
                container.environment.unset("LIVE")
            else:
                container.environment.set("LIVE", value)
            container.environment.set("OWN", str(value))
            julia.stdin.write("\n")
            julia.stdin.flush()
            seen.append(julia.stdout.readline().strip())
        julia.stdin.close()
        code = julia.wait(60)
    container.remove(force=True)
    right = [f"[{value or ''}] [{value or ''}] Julia" for value in values]
    record("kernels", "variables set while Julia runs, by ENV and its programs", len(seen),
           "seen at once" if (seen, code) == (right, 0) else f"wrong: {seen}, ended with {code}")

    assert (right, 0) == (seen, code)
