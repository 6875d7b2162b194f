"""Kernels that live on when their server ends."""
from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Any, Iterator

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager
from jupyter_client.multikernelmanager import AsyncMultiKernelManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from lpmx_jupyter import detached
from lpmx_runtime.store import Store
from support.labserver import LabServer
from support.notebooks import Jupyter, Running
from support.waiting import until

#: A server that starts a kernel, in which `x` is 42, and is killed.
KILLED = """
import asyncio, os, signal, sys
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.multikernelmanager import AsyncMultiKernelManager

async def main():
    multi = AsyncMultiKernelManager()
    kernel = await multi.start_kernel(kernel_name=sys.argv[1], cwd=os.getcwd())
    client = multi.get_kernel(kernel).client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    await client._async_execute_interactive("x = 42; print('said', flush=True)")
    print(kernel, flush=True)
    END

asyncio.run(main())
"""


def left_by_a_server(jupyter: Jupyter, name: str, end: str) -> str:
    """The id of a kernel whose server ended in this way."""
    done = subprocess.run([sys.executable, "-c", KILLED.replace("END", end), name],
                          cwd=jupyter.folder, stdout=subprocess.PIPE, text=True, timeout=90)
    return done.stdout.split()[-1]


class Attached(Running):
    """A client of a kernel whose manager is for asynchronous use."""

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self.client = BlockingKernelClient()
        self.client.load_connection_info(manager.get_connection_info())
        # without a manager, a heart that misses a beat is a dead kernel: not so while it restarts
        self.client.hb_channel.time_to_dead = 60
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)


@pytest.fixture
def spec(jupyter: Jupyter) -> Iterator[str]:
    yield jupyter.install("tiny", detach=True)
    for kernel in detached.find(Store.open()):
        detached.end(Store.open(), kernel)


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "await multi.shutdown_all()"],
                         ids=["killed", "stopped"])
def test_kernel_is_found_under_its_id_and_looked_after(jupyter: Jupyter, spec: str, end: str) -> None:
    """It keeps its state, and can be interrupted, restarted and shut down as before."""
    kernel = left_by_a_server(jupyter, spec, end)
    assert [kernel] == [one.kernel_id for one in detached.find(Store.open())]
    jupyter.start(jupyter.install("tiny")).shutdown()  # clears nothing away that runs, and
    # its kernel spec, which it has replaced, is not what makes a kernel detach

    async def after() -> None:
        multi = AsyncMultiKernelManager()
        assert [kernel] == await detached.adopt(multi)
        assert [] == await detached.adopt(AsyncMultiKernelManager()), "it has somebody"
        manager = multi.get_kernel(kernel)
        running = await asyncio.to_thread(Attached, manager)
        assert "42" == await asyncio.to_thread(running.text, "print(x)")
        message = await asyncio.to_thread(
            running.begin, "print('begun', flush=True)\nwhile True: pass", "begun")
        await multi.interrupt_kernel(kernel)
        assert "KeyboardInterrupt" == (await asyncio.to_thread(running.reply, message))["ename"]
        await multi.restart_kernel(kernel)
        await asyncio.to_thread(running.client.wait_for_ready, timeout=60)
        assert "NameError" in (await asyncio.to_thread(running.run, "x")).error
        running.client.stop_channels()
        await multi.shutdown_kernel(kernel)

    asyncio.run(after())

    assert [] == [name for name in jupyter.leftovers() if name != f"kernel-{kernel}.json"]
    assert not detached.external_file(kernel).exists()


def test_server_without_our_extension_can_list_it(jupyter: Jupyter, spec: str,
                                                      lpmx: Any) -> None:
    """ServerApp.allow_external_kernels: its connection file lies where that looks.
    `lpmx kernel stop` ends it."""
    kernel = left_by_a_server(jupyter, spec, "await multi.shutdown_all()")
    file = detached.external_file(kernel)

    info = json.loads(file.read_text())
    assert (spec, "ipc") == (info["kernel_name"], info["transport"])
    assert 0o600 == file.stat().st_mode & 0o777
    multi = AsyncMultiKernelManager(external_connection_dir=str(file.parent))
    [listed] = multi.list_kernel_ids()
    running = Attached(multi.get_kernel(listed))
    assert "42" == running.text("print(x)")
    running.client.stop_channels()
    assert [] == asyncio.run(detached.adopt(multi)), "it is in the list already"

    told = lpmx("kernel", "stop", kernel, store=jupyter.loaded.path, check=True)

    assert kernel in told.stdout
    assert [] == jupyter.leftovers()
    again = lpmx("kernel", "stop", kernel, store=jupyter.loaded.path)
    assert again.stderr.startswith(f'lpmx: cannot stop kernel "{kernel}": no detached kernel')


def test_detached_kernel_that_ends_is_cleared_away_by_the_next_start(jupyter: Jupyter,
                                                                     spec: str) -> None:
    """When nobody looks after it and its process is gone."""
    kernel = left_by_a_server(jupyter, spec, "os.kill(os.getpid(), signal.SIGKILL)")
    [one] = detached.find(Store.open())
    os.kill(one.process.pid, signal.SIGKILL)

    running = jupyter.start(jupyter.install("tiny", name="other"))

    assert [running.text("import os; print(os.environ['LPMX_CONTAINER'])")] == jupyter.containers()
    assert not detached.external_file(kernel).exists()
    running.shutdown()
    (jupyter.runtime / f"kernel-{kernel}.json").unlink(missing_ok=True)


def test_gateway_can_hand_a_kernel_over(jupyter: Jupyter) -> None:
    """What `get_provisioner_info` says, as JSON, is enough for another process."""
    first = jupyter.start(jupyter.install("tiny"))
    first.text("x = 42")

    async def hand_over() -> None:
        info = json.loads(json.dumps(await first.manager.provisioner.get_provisioner_info()))
        manager = jupyter.manager(first.manager.kernel_name)
        from jupyter_client.provisioning import KernelProvisionerFactory
        second: Any = KernelProvisionerFactory.instance().create_provisioner_instance(
            info["kernel_id"], manager.kernel_spec, parent=manager)
        await second.load_provisioner_info(info)
        assert second.has_process
        assert await second.poll() is None
        assert first.manager.provisioner.connection_info == second.connection_info
        assert "/etc/passwd" in str(second.resolve_path("/etc/passwd"))
        await second.kill()
        while await second.poll() is None:
            await asyncio.sleep(0.02)

    asyncio.run(hand_over())


def test_take_over_that_fails_leaves_the_kernel_alone(
        jupyter: Jupyter, spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in that moment, or a server that was quicker: the kernel runs on, and is found."""
    kernel = left_by_a_server(jupyter, spec, "os.kill(os.getpid(), signal.SIGKILL)")
    [one] = detached.find(Store.open())

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(KernelManager, "write_connection_file", full)
        assert [] == asyncio.run(detached.adopt(AsyncMultiKernelManager()))

    assert [kernel] == [other.kernel_id for other in detached.find(Store.open())]
    assert one.process.poll() is None
    monkeypatch.setattr(detached, "claim", lambda *_: None)
    assert [] == asyncio.run(detached.adopt(AsyncMultiKernelManager()))
    assert [one.container] == jupyter.containers(), "no second one under its id"
    (jupyter.runtime / f"kernel-{kernel}.json").unlink(missing_ok=True)


@pytest.mark.parametrize("how", ["found", "started"])
def test_who_asks_for_a_kernel_while_it_appears_gets_an_answer(jupyter: Jupyter, spec: str,
                                                               how: str) -> None:
    """A page asks again and again when its server is back, and lists what runs all the time."""
    left = left_by_a_server(jupyter, spec, "await multi.shutdown_all()") if how == "found" else None

    async def appear() -> None:
        manager: Any = AsyncMappingKernelManager()
        seen: list[Any] = []

        async def ask() -> None:
            """At every turn of the server's loop."""
            while True:
                seen.extend(manager.list_kernels())
                await asyncio.sleep(0)

        asking = asyncio.create_task(ask())
        if left is None:
            kernel = await manager.start_kernel(kernel_name=spec, cwd=os.getcwd())
        else:
            [kernel] = await detached.adopt(manager)
            assert left == kernel
        asking.cancel()
        [failed] = await asyncio.gather(asking, return_exceptions=True)
        await manager.shutdown_kernel(kernel, now=True)
        assert isinstance(failed, asyncio.CancelledError), failed
        assert {(kernel, "starting")} == {(one["id"], one["execution_state"]) for one in seen}

    asyncio.run(appear())
    assert [] == jupyter.leftovers()


@pytest.mark.parametrize("end", ["close", "kill"])
def test_server_finds_it_again(jupyter: Jupyter, spec: str, end: str) -> None:
    """JupyterLab itself, stopped or killed: the same kernel, with what it knew, for the notebook
    whose it was; and that before anybody is told that it is gone."""
    with LabServer(jupyter.folder, jupyter.runtime) as server:
        session = server.request("POST", "sessions", json={
            "path": "first.ipynb", "name": "first.ipynb", "type": "notebook",
            "kernel": {"name": spec}}).json()
        kernel = session["kernel"]["id"]
        server.execute(kernel, "x = 42")
        renamed = {"path": "second.ipynb", "name": "second.ipynb"}
        server.request("PATCH", f"sessions/{session['id']}", json=renamed)
        getattr(server, end)()
        assert "Traceback" not in server.log, server.log

    with LabServer(jupyter.folder, jupyter.runtime) as server:
        [found] = server.request("GET", "sessions").json()
        assert renamed.items() <= found.items()
        assert (session["id"], kernel) == (found["id"], found["kernel"]["id"])
        assert ("ok", "42\n") == server.execute(kernel, "print(x)")
        server.delete(kernel)
        jupyter.wait_until_clean()
        assert [] == server.request("GET", "sessions").json()
        assert "Traceback" not in server.log, server.log


@pytest.mark.parametrize("end", ["close", "kill"])
def test_kernel_that_is_stopped_without_a_server_leaves_nothing(jupyter: Jupyter, spec: str, lpmx: Any,
                                                                end: str) -> None:
    """However its server ended: no process, no container, no file."""
    with LabServer(jupyter.folder, jupyter.runtime) as server:
        kernel = server.start(spec)
        getattr(server, end)()

    lpmx("kernel", "stop", kernel, store=jupyter.loaded.path, check=True)

    assert [] == jupyter.leftovers()


def test_server_that_keeps_its_sessions_has_them_once(jupyter: Jupyter, spec: str) -> None:
    """SessionManager.database_filepath, which is of no use where kernels end with their server."""
    file = f"--SessionManager.database_filepath={jupyter.root / 'sessions'}"
    with LabServer(jupyter.folder, jupyter.runtime, file) as server:
        session = server.request("POST", "sessions", json={
            "path": "some.ipynb", "name": "some.ipynb", "type": "notebook",
            "kernel": {"name": spec}}).json()

    with LabServer(jupyter.folder, jupyter.runtime, file) as server:
        [found] = server.request("GET", "sessions").json()
        assert session["id"] == found["id"]
        server.delete(session["kernel"]["id"])
        jupyter.wait_until_clean()


def test_kernel_that_computes_is_not_taken_for_idle(jupyter: Jupyter, spec: str) -> None:
    """A server that ends idle kernels would end it; it is busy until it says that it is not."""
    with LabServer(jupyter.folder, jupyter.runtime) as server:
        kernel = server.start(spec)
        with pytest.raises(AssertionError, match="closed the connection"):
            server.execute(kernel, "import os, time\nprint('begun', flush=True)\n"
                                   "while not os.path.exists('go'): time.sleep(0.01)",
                           meanwhile=server.kill)

    with LabServer(jupyter.folder, jupyter.runtime) as server:
        assert "busy" == server.state(kernel)
        (jupyter.folder / "go").touch()
        until(lambda: server.state(kernel) == "idle", patience=40)

        server.kill()
    with LabServer(jupyter.folder, jupyter.runtime) as server:
        until(lambda: server.state(kernel) == "idle", patience=40)   # which it was all the time
        server.delete(kernel)
        jupyter.wait_until_clean()
