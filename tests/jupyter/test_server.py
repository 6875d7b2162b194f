"""Kernels under a JupyterLab server: the REST interface and the websockets of the browser."""
from __future__ import annotations

import asyncio
import json
from typing import Any, Iterator

import pytest
from support.labserver import LabServer
from support.notebooks import Jupyter
from support.waiting import until

#: Neither an interrupt nor a request to end is heard while it runs.
STUBBORN = """
print("begun", flush=True)
while True:
    try:
        while True: pass
    except KeyboardInterrupt: pass
"""


@pytest.fixture
def server(jupyter: Jupyter) -> Iterator[LabServer]:
    """A server whose user has the kernels that `jupyter` installs."""
    running = LabServer(jupyter.folder, jupyter.runtime,
                        "--LpmxExtension.sync_kernels=False")   # tests spoil specs
    yield running
    running.close()


def test_kernel_spec_is_listed_with_its_name_and_logo(jupyter: Jupyter, server: LabServer) -> None:
    """The launcher gets "LPMX: ..." and both logos."""
    name = jupyter.install("tiny")

    spec = server.request("GET", "kernelspecs").json()["kernelspecs"][name]

    assert "LPMX: lpmx-test-tiny1" == spec["spec"]["display_name"]
    assert {"logo-svg", "logo-64x64"} <= set(spec["resources"])
    logo = server._session.get(server.url.rstrip("/") + spec["resources"]["logo-64x64"])
    assert logo.content.startswith(b"\x89PNG")


def test_start_execute_interrupt_restart_delete(jupyter: Jupyter, server: LabServer) -> None:
    """A person's session with a kernel, and nothing left after it."""
    (jupyter.folder / "sub").mkdir()
    kernel = server.start(jupyter.install("tiny"), path="sub/notebook.ipynb")

    assert ("ok", "root:x:0:0:root:/root:/bin/sh\n") == server.execute(
        kernel, "import subprocess; print(subprocess.getoutput('cat /etc/passwd'))")
    assert ("ok", f"{jupyter.folder}/sub\n") == server.execute(kernel, "import os; print(os.getcwd())")

    def interrupt() -> None:
        assert 204 == server.request("POST", f"kernels/{kernel}/interrupt").status_code

    assert ("error", "begun\nKeyboardInterrupt") == server.execute(
        kernel, "print('begun', flush=True)\nwhile True: pass", interrupt)

    assert ("ok", "") == server.execute(kernel, "kept = 1; open('/root/file', 'w').write('x')")
    assert 200 == server.request("POST", f"kernels/{kernel}/restart").status_code
    assert ("error", "NameError") == server.execute(kernel, "kept")
    assert ("ok", "x\n") == server.execute(kernel, "print(open('/root/file').read())")

    server.delete(kernel)
    jupyter.wait_until_clean()


def test_kernel_that_crashes_is_started_again_in_its_container(jupyter: Jupyter,
                                                                server: LabServer) -> None:
    """Autorestart: the same container, a new process."""
    kernel = server.start(jupyter.install("tiny"))
    server.execute(kernel, "open('/root/file', 'w').write('still here')")
    containers = jupyter.containers()
    before = server.execute(kernel, "import os; print(os.getpid())")[1]

    with pytest.raises(asyncio.TimeoutError):
        server.execute(kernel, "os.kill(os.getpid(), 9)", patience=2)

    def answers_anew() -> bool:
        if server.state(kernel) in (None, "restarting", "dead", "autorestarting"):
            return False
        try:
            return server.execute(kernel, "import os; print(os.getpid())", patience=10)[1] != before
        except asyncio.TimeoutError:
            return False  # sent before anybody had noticed, and lost with the old process

    until(answers_anew, patience=40)

    assert ("ok", "still here\n") == server.execute(kernel, "print(open('/root/file').read())")
    assert containers == jupyter.containers()
    server.delete(kernel)
    jupyter.wait_until_clean()


def test_start_that_fails_tells_the_dialog_why(jupyter: Jupyter, server: LabServer) -> None:
    """Both ways in which Lab starts kernels carry the message and the hint."""
    name = jupyter.install("tiny")
    path = jupyter.data / "kernels" / name / "kernel.json"
    values = json.loads(path.read_text())
    values["metadata"]["kernel_provisioner"]["config"]["image"] = "gone:1.0"
    path.write_text(json.dumps(values))
    expected = 'cannot find image "gone:1.0": it is not in the store'

    by_kernel = server.request("POST", "kernels", json={"name": name})
    by_session = server.request("POST", "sessions", json={
        "kernel": {"name": name}, "name": "n", "path": "n.ipynb", "type": "notebook"})

    for answer in (by_kernel, by_session):
        assert answer.status_code >= 400
        assert expected in answer.json()["message"]
        assert "hint: " in answer.json()["message"]
    assert [] == server.request("GET", "kernels").json()
    assert [] == jupyter.leftovers()
    assert expected in server.log
    assert "Logging error" not in server.log


def test_server_that_ends_takes_its_kernels_along(jupyter: Jupyter) -> None:
    """When the server is stopped its kernels, containers and sockets go."""
    name = jupyter.install("tiny")
    with LabServer(jupyter.folder, jupyter.runtime) as server:
        for _ in range(2):
            server.execute(server.start(name), "import subprocess; subprocess.Popen(['setsid', 'sleep', '1000'])")

    assert [] == jupyter.leftovers(), server.log


def test_kernels_start_at_once_beside_each_other(jupyter: Jupyter, server: LabServer) -> None:
    """Four starts at the same time; the server answers others meanwhile."""
    from concurrent.futures import ThreadPoolExecutor
    name = jupyter.install("tiny")

    with ThreadPoolExecutor(5) as pool:
        starts = [pool.submit(server.start, name) for _ in range(4)]
        assert 200 == pool.submit(server.request, "GET", "status").result().status_code
        kernels = [start.result() for start in starts]
    texts = [server.execute(kernel, "import os; print(os.environ['LPMX_CONTAINER'])")[1].strip()
             for kernel in kernels]

    assert sorted(texts) == jupyter.containers()
    for kernel in kernels:
        server.delete(kernel)
    jupyter.wait_until_clean()


def test_log_has_no_traceback(jupyter: Jupyter, server: LabServer) -> None:
    """A start, a restart and a shutdown are quiet."""
    kernel = server.start(jupyter.install("tiny"))
    server.execute(kernel, "1")
    server.request("POST", f"kernels/{kernel}/restart")
    server.execute(kernel, "1")
    server.delete(kernel)
    jupyter.wait_until_clean()

    assert "Traceback" not in server.log, server.log


def test_page_that_asks_while_the_server_stops_is_told(jupyter: Jupyter) -> None:
    """A kernel that computes has some seconds to end, and pages ask on until all have ended."""
    with LabServer(jupyter.folder, jupyter.runtime) as server:
        kernel = server.start(jupyter.install("tiny"))
        told: list[Any] = []

        def stop() -> None:
            server.stop()
            while not told:
                answer = server.request("GET", "../lpmx/api/containers")
                if answer.status_code != 200:
                    told.append((answer.status_code, answer.json()))

        with pytest.raises(AssertionError, match="closed the connection"):
            server.execute(kernel, STUBBORN, meanwhile=stop)

    assert [(503, {"code": "server-ends", "message": "cannot answer: the server is being stopped",
                   "hint": "try again when it is back"})] == told
    assert "Uncaught exception" not in server.log, server.log
    jupyter.wait_until_clean()


def test_kernel_that_never_comes_up_is_given_up_and_leaves_nothing(jupyter: Jupyter) -> None:
    """After some tries Jupyter declares it dead, and forgets it without a word to us."""
    server = LabServer(jupyter.folder, jupyter.runtime, "--KernelRestarter.time_to_dead=0.5",
                       "--KernelRestarter.restart_limit=2")
    broken = jupyter.root / "launcher.py"
    broken.write_text("import time; time.sleep(0.6); raise SystemExit('broken on purpose')\n")
    name = jupyter.install("kernel", binds=(
        f"{broken}:/opt/venv/lib/python3.11/site-packages/ipykernel_launcher.py:ro",))
    try:
        answer = server.request("POST", "kernels", json={"name": name})
        assert 201 == answer.status_code
        until(lambda: server.state(answer.json()["id"]) in (None, "dead"), patience=90)

        jupyter.wait_until_clean()
    finally:
        server.close()
