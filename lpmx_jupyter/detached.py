"""Kernels that live on when their server ends, and are found again.

Such a kernel has no parent to mind: it writes into a file, and its record in the
container says its process, its connection and its kernel spec. A server that ends lets
go of it. The next one takes it over under its old id, so that notebooks find it
(`adopt`); one without our extension may list it by `ServerApp.allow_external_kernels`,
for its connection file lies where that looks. When nobody looks after it and it is gone,
the next kernel that starts clears away what it left (session.py).
"""
from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional, Sequence

from jupyter_core.paths import jupyter_runtime_dir
from jupyter_core.utils import ensure_async
from lpmx_runtime.container import Container, processes
from lpmx_runtime.errors import LpmxError
from lpmx_runtime.store import Store
from lpmx_runtime.store.files import in_each

from .connection import remove_folder
from .session import KernelSession, Settings

_LOG_LIMIT = 16 << 20
#: A cell without code, of which nobody is told but by the kernel's state.
_NOTHING_TO_DO = {"code": "", "silent": True, "store_history": False, "user_expressions": {},
                  "allow_stdin": False, "stop_on_error": False}
#: Asks a provisioner for a kernel that is there, and for no new one.
TAKE_OVER = "lpmx_take_over"


class Detached(NamedTuple):
    """A kernel that runs and that nobody looks after. `name` is its kernel spec's."""

    kernel_id: str
    name: str
    container: str
    values: Mapping[str, Any]

    @property
    def connection(self) -> dict[str, Any]:
        """What its connection file said."""
        found: dict[str, Any] = self.values["kernel"]["connection"]
        return found

    @property
    def sessions(self) -> "list[Mapping[str, str]]":
        """Those that its last server had of it: id, path, name and type."""
        return list(self.values["kernel"].get("sessions", ()))

    @property
    def process(self) -> "Process":
        return Process(self.values["kernel"]["process"])

    def session(self, store: Store) -> KernelSession:
        """Its session, of which this process is the owner from now on."""
        container = Container.open(store, self.container)
        session = KernelSession(container, Settings.parse(self.values["settings"]), self.kernel_id,
                                self.values["folder"])
        sockets = self.values["sockets"]
        session.sockets = None if sockets is None else Path(sockets)
        session.write_owner(self.values["kernel"])
        return session


def end(store: Store, one: Detached) -> None:
    """End a detached kernel, with all that it started and its container if that is its own."""
    session = one.session(store)
    session.leave()
    if session.sockets is not None:
        remove_folder(session.sockets)
    external_file(one.kernel_id).unlink(missing_ok=True)
    # what a server leaves that is killed
    (Path(jupyter_runtime_dir()) / f"kernel-{one.kernel_id}.json").unlink(missing_ok=True)


class Process:
    """As much of a Popen as provisioners use, for a process that is not our child."""

    stdin = stdout = stderr = None

    def __init__(self, described: "list[Any]") -> None:
        self._described = described
        self.pid = int(described[1])

    def poll(self) -> Optional[int]:
        """None while it runs. Its exit code is its parent's to know: 0 stands for any."""
        return 0 if processes.is_gone(self._described) else None

    def wait(self, timeout: Optional[float] = None) -> int:
        """Its end has been polled for."""
        return 0

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def external_file(kernel_id: str) -> Path:
    """Where jupyter_server looks for kernels that are not its own."""
    return Path(jupyter_runtime_dir()) / "external_kernels" / f"kernel-{kernel_id}.json"


def describe(kernel_id: str, name: str, pid: int, connection: Mapping[str, Any],
             sessions: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What a session writes down about its kernel, whose connection file is left for others.
    `sessions` are jupyter_server's: the documents that the kernel is of."""
    info = plain(connection)
    file = external_file(kernel_id)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="utf-8") as output:
        json.dump({**info, "kernel_name": name}, output)
    aside.rename(file)
    return {"process": processes.described(pid), "name": name, "connection": info,
            "file": str(file), "sessions": list(sessions)}


def bound(log: Path) -> None:
    """Begin anew with a file that is full: it is there to find out what went wrong last."""
    try:
        if log.stat().st_size > _LOG_LIMIT:
            os.truncate(log, 0)
    except OSError:
        pass  # there is none: the kernel has not started yet


def plain(connection: Mapping[str, Any]) -> dict[str, Any]:
    """Connection info as JSON can have it."""
    return {key: value.decode("ascii") if isinstance(value, bytes) else value
            for key, value in connection.items()}


def find(store: Store) -> list[Detached]:
    """The detached kernels of this node whose server is gone."""
    found = []
    for file in in_each(store.containers, "kernel-*.json"):
        try:
            values = json.loads(file.read_bytes())
            if values.get("kernel") and processes.is_gone(values["maker"]) \
                    and not processes.is_gone(values["kernel"]["process"]):
                found.append(Detached(str(values["kernel_id"]), str(values["kernel"]["name"]),
                                      file.parent.name, values))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it is being removed, or is not ours to read
    return found


def claim(store: Store, kernel_id: str) -> Optional[tuple[Detached, KernelSession]]:
    """Take over the detached kernel of that id; None if there is none, or another was quicker."""
    with store.lock("detached"):
        for one in find(store):
            if one.kernel_id == kernel_id:
                return one, one.session(store)
    return None


async def adopt(manager: Any) -> list[str]:
    """Have `manager`, a server's kernel manager, look after all detached kernels; their ids.

    Not where the server lists external kernels: it has them in that list.
    """
    if getattr(manager, "external_connection_dir", None) is not None:
        return []
    try:
        found = await asyncio.get_running_loop().run_in_executor(None, lambda: find(Store.open()))
    except LpmxError as error:
        manager.log.warning("cannot look for detached kernels: %s", error)
        return []
    adopted = []
    for one in found:
        try:
            await ensure_async(manager.start_kernel(kernel_id=one.kernel_id, kernel_name=one.name,
                                                    **{TAKE_OVER: True}))
        except Exception as error:  # its kernel spec may be gone; the others are no worse for it
            manager.log.warning("cannot take over kernel %s: %s", one.kernel_id, error)
        else:
            adopted.append(one.kernel_id)
            _learn_state(manager.get_kernel(one.kernel_id))
    return adopted


def _learn_state(manager: Any) -> None:
    """Have a server's manager of one kernel know whether that computes.

    A server learns it from what a kernel says when a cell begins or ends, and has not heard
    the last. A kernel that it took for idle it might end, and whoever connects would wait for
    an answer. So it counts as busy, and is given a cell without code, after which it says more.
    """
    if not manager.has_trait("execution_state"):
        return
    manager.execution_state = "busy"
    channel = manager.connect_shell()
    manager.session.send(channel.socket, "execute_request", _NOTHING_TO_DO)
    channel.close()   # which sends what is not sent yet


def keep_at_the_end(manager: Any) -> None:
    """Have a server's kernel manager let go of its detached kernels when the server ends.

    A server then shuts all of its kernels down by `shutdown_all`, and by nothing else. It
    answers for a while yet, and they stay in its list: a page that does not find its kernel
    there gives it up, and does not come back to it when there is a server again.
    """
    if manager is None or getattr(manager, "_lpmx_keeps", False):
        return
    shut_down, remove = manager.shutdown_all, manager.remove_kernel
    kept: set[str] = set()

    async def shutdown_all(now: bool = False) -> None:
        for kernel_id, kernel_manager in list(manager._kernels.items()):
            let_go = getattr(kernel_manager.provisioner, "let_go", None)
            if let_go is not None and let_go():
                kept.add(kernel_id)
        await ensure_async(shut_down(now=now))

    def remove_kernel(kernel_id: str) -> Any:
        return None if kernel_id in kept else remove(kernel_id)

    manager._lpmx_keeps = True
    manager.shutdown_all = shutdown_all
    manager.remove_kernel = remove_kernel
