"""A real JupyterLab server, spoken to as the browser speaks to it."""
from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Awaitable, Callable, Mapping, Optional
from urllib.parse import urlsplit

import requests
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

TOKEN = "token-of-the-tests"
PATIENCE = 60


def listening(runtime: Path, server: subprocess.Popen[Any]) -> Optional[str]:
    """The address of a Jupyter server, once it listens there; None if it ended, or took too long."""
    info = runtime / f"jpserver-{server.pid}.json"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            url = str(json.loads(info.read_text())["url"])
            # the file may be there a moment before the server listens
            socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 5).close()
            return url
        except (OSError, ValueError, KeyError):
            time.sleep(0.05)
    return None


class LabServer:
    """`jupyter lab` in a process of its own, on loopback."""

    program = "jupyter-lab"
    options: tuple[str, ...] = ("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
                                "--LabApp.news_url=None")

    def __init__(self, folder: Path, runtime: Path, *options: str, port: int = 0) -> None:
        self._log_path = folder.parent / "server.log"
        with open(self._log_path, "wb") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).parent / self.program), "--no-browser", "--ip=127.0.0.1",
                 f"--port={port}", f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={TOKEN}",
                 *self.options, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            self.url = self._wait(runtime)
        except BaseException:  # Ctrl-C among it
            self.close()
            raise
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"token {TOKEN}"

    def _wait(self, runtime: Path) -> str:
        url = listening(runtime, self._process)
        if url is None:
            raise AssertionError(f"the server did not start:\n{self.log}")
        return url

    def __enter__(self) -> "LabServer":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    @property
    def log(self) -> str:
        """What it said."""
        return self._log_path.read_text(errors="replace")

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._session.request(method, f"{self.url}api/{path}", timeout=PATIENCE, **options)

    def start(self, name: str, path: str = "") -> str:
        """Start a kernel; its id."""
        answer = self.request("POST", "kernels", json={"name": name, "path": path})
        assert 201 == answer.status_code, answer.text
        return str(answer.json()["id"])

    def delete(self, kernel: str) -> None:
        assert 204 == self.request("DELETE", f"kernels/{kernel}").status_code

    def state(self, kernel: str) -> Optional[str]:
        """The kernel's execution state; None if there is no such kernel."""
        answer = self.request("GET", f"kernels/{kernel}")
        return str(answer.json()["execution_state"]) if answer.status_code == 200 else None

    def execute(self, kernel: str, code: str, meanwhile: Optional[Callable[[], None]] = None,
                patience: float = PATIENCE) -> tuple[str, str]:
        """Run a cell over the kernel's websocket: (status, text). `meanwhile` is called
        once the cell has printed something."""
        return asyncio.run(asyncio.wait_for(self._execute(kernel, code, meanwhile), patience))

    async def _execute(self, kernel: str, code: str,
                       meanwhile: Optional[Callable[[], None]]) -> tuple[str, str]:
        request = HTTPRequest(f"ws{self.url[4:]}api/kernels/{kernel}/channels",
                              headers={"Authorization": f"token {TOKEN}"})
        socket = await websocket_connect(request)
        message = uuid.uuid4().hex
        text: list[str] = []
        status, idle = "", False  # they come on two channels, in either order
        try:
            await socket.write_message(json.dumps(_execute_request(message, code)))
            while True:
                heard = await self._next(socket)
                if heard["parent_header"].get("msg_id") != message:
                    continue
                kind, content = heard["msg_type"], heard["content"]
                if kind == "stream":
                    text.append(content["text"])
                    if meanwhile is not None:
                        await asyncio.to_thread(meanwhile)
                        meanwhile = None
                elif kind == "execute_reply":
                    status = content["status"]
                elif kind == "error":
                    text.append(content["ename"])
                elif kind == "status":
                    idle = content["execution_state"] == "idle"
                if status and idle:
                    return status, "".join(text)
        finally:
            socket.close()

    @staticmethod
    async def _next(socket: Any) -> Mapping[str, Any]:
        reading: Awaitable[Any] = socket.read_message()
        data = await reading
        assert data is not None, "the server closed the connection"
        return dict(json.loads(data))

    def close(self) -> None:
        """End the server, which must have ended its kernels in that time."""
        if self._process.poll() is None:
            self.stop()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not end:\n{self.log}") from None

    def stop(self) -> None:
        """Have it end."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a chance to clean up."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _execute_request(message: str, code: str) -> dict[str, Any]:
    return {"header": {"msg_id": message, "username": "", "session": uuid.uuid4().hex,
                       "msg_type": "execute_request", "version": "5.3", "date": ""},
            "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": [],
            "content": {"code": code, "silent": False, "store_history": True,
                        "user_expressions": {}, "allow_stdin": False, "stop_on_error": False}}
