"""Kernels for tests: real ones, started as front ends start them."""
from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Optional

import pytest
from jupyter_client.manager import KernelManager

READY_SECONDS = 60


@dataclass
class Cell:
    """What came of running one cell."""

    status: str
    text: str       # streams and results, in the order they came
    error: str      # name and value of the exception
    seconds: float


class Running:
    """A started kernel and a client of it."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self.client = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=READY_SECONDS)

    def run(self, code: str, timeout: float = 60) -> Cell:
        """Run a cell to its end."""
        pieces: list[str] = []
        start = time.monotonic()

        def listen(message: Any) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                pieces.append(content["text"])
            elif message["msg_type"] in ("execute_result", "display_data"):
                pieces.append(content["data"]["text/plain"])

        reply = self.client.execute_interactive(code, output_hook=listen, timeout=timeout,
                                                stop_on_error=False)["content"]
        error = f"{reply['ename']}: {reply['evalue']}" if reply["status"] == "error" else ""
        return Cell(reply["status"], "".join(pieces), error, time.monotonic() - start)

    def text(self, code: str) -> str:
        """What a cell that must succeed printed."""
        cell = self.run(code)
        assert "ok" == cell.status, cell
        return cell.text.strip()

    def begin(self, code: str, sign: str) -> str:
        """Start a cell; returns, with its message's id, when it has printed `sign`."""
        message = str(self.client.execute(code, stop_on_error=False))
        self.wait_for(message, sign)
        return message

    def wait_for(self, message: str, sign: str) -> None:
        """Wait until the cell of that message's id prints `sign`."""
        while True:
            heard = self.client.get_iopub_msg(timeout=READY_SECONDS)
            if heard["parent_header"].get("msg_id") == message \
                    and sign in heard["content"].get("text", ""):
                return

    def reply(self, message: str) -> Any:
        """The content of the reply to a cell that was begun."""
        while True:
            heard = self.client.get_shell_msg(timeout=READY_SECONDS)
            if heard["parent_header"].get("msg_id") == message:
                return heard["content"]

    def restart(self, **options: Any) -> None:
        self.manager.restart_kernel(**options)
        self.client.wait_for_ready(timeout=READY_SECONDS)

    def shutdown(self, **options: Any) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(**options)


class Jupyter:
    """A user's Jupyter: kernel specs, runtime files and a notebook folder."""

    def __init__(self, root: Path, loaded: Any) -> None:
        self.root = root
        self.loaded = loaded
        self.folder = root / "notebooks"
        self.folder.mkdir()
        self.runtime = root / "runtime"
        self.data = root / "data"
        self.running: list[Running] = []

    def install(self, image: str, *, transport: str = "ipc", name: Optional[str] = None,
                **settings: Any) -> str:
        """Install a kernel for a test image (or "host"); the name of the kernel spec."""
        from lpmx_jupyter import kernelspecs
        from lpmx_jupyter.session import Settings
        from lpmx_runtime.store import Store
        reference = image if image == "host" else self.loaded(image)
        specs = kernelspecs.install(Store.open(), reference, Settings(**settings),
                                    directory=self.data / "kernels", transport=transport, name=name)
        return specs[0].name

    def manager(self, name: str) -> KernelManager:
        return KernelManager(kernel_name=name)

    def start(self, name: str, **options: Any) -> Running:
        """Start a kernel by the name of its spec."""
        manager = self.manager(name)
        options.setdefault("cwd", str(self.folder))
        manager.start_kernel(**options)
        try:
            running = Running(manager)
        except BaseException:
            manager.shutdown_kernel(now=True)
            raise
        self.running.append(running)
        return running

    def containers(self) -> list[str]:
        """Names of all containers of the store."""
        return sorted(os.listdir(self.loaded.path / "containers"))

    def leftovers(self) -> list[str]:
        """Containers, socket folders and connection files that are there."""
        sockets = Path(os.environ["XDG_RUNTIME_DIR"]) / "lpmx"
        return (self.containers()
                + sorted(path.name for path in sockets.glob("*"))
                + sorted(path.name for path in self.runtime.glob("kernel-*")))

    def wait_until_clean(self, patience: float = 20) -> None:
        """Wait for a server to have cleaned up behind its kernels."""
        deadline = time.monotonic() + patience
        while self.leftovers() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [] == self.leftovers()


@contextmanager
def jupyter_in(root: Path, loaded: Any) -> Iterator[Jupyter]:
    """A Jupyter of its own below `root`; afterwards nothing of any kernel may be left."""
    from lpmx_runtime.store import Store
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LPMX_STORE", str(loaded.path))
        for name in ("data", "runtime", "config"):
            patch.setenv(f"JUPYTER_{name.upper()}_DIR", str(root / name))
        patch.setenv("IPYTHONDIR", str(root / "ipython"))
        (root / "runtime").mkdir(mode=0o700)
        Store.open(loaded.path)
        own = Jupyter(root, loaded)
        yield own
        for running in own.running:
            if running.manager.has_kernel:
                running.shutdown(now=True)
        assert [] == own.leftovers()
