"""Debian's docker-registry on loopback, run by whoever runs the tests."""
from __future__ import annotations

import ctypes
import http.client
import json
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Mapping, Optional

from .images import CannotBuild, run

PR_SET_PDEATHSIG = 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_with_parent() -> None:
    """A session of tests that is killed leaves no registry behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


class Registry:
    """A running registry. `settings` are merged into the top level of its configuration."""

    def __init__(self, directory: Path, settings: Optional[Mapping[str, Any]] = None,
                 http_settings: Optional[Mapping[str, Any]] = None) -> None:
        program = shutil.which("docker-registry", path="/usr/bin:/usr/local/bin")
        if program is None:
            raise CannotBuild("docker-registry is not installed")
        self.directory = directory
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.scheme = "https" if http_settings and "tls" in http_settings else "http"
        configuration = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(directory / "data")},
                        "delete": {"enabled": True}, "cache": {"blobdescriptor": "inmemory"}},
            "http": {"addr": self.address, **(http_settings or {})},
            **(settings or {}),
        }
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.yml").write_text(json.dumps(configuration))
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "serve", str(directory / "config.yml")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=end_with_parent)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                connection.request("GET", "/")
                connection.getresponse()
                return
            except OSError:
                time.sleep(0.05)
            finally:
                connection.close()
        self.close()
        raise RuntimeError(f"docker-registry did not start:\n{self.log.read_text()}")

    def reference(self, repository: str, tag: str = "1") -> str:
        """What a user types for an image of this registry."""
        return f"{self.address}/{repository}:{tag}"

    def push(self, source: str, repository: str, tag: str = "1", *options: str) -> str:
        """Copy an image, as skopeo names it ("oci:DIRECTORY:TAG"), here; its reference."""
        reference = self.reference(repository, tag)
        run("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", *options, source,
            f"docker://{reference}")
        return reference

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
