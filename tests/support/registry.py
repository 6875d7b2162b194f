"""Real registries on loopback, of three makes, run by whoever runs the tests."""
from __future__ import annotations

import ctypes
import http.client
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, ClassVar, Mapping, Optional, Sequence

from .images import CannotBuild, run
from .ports import free_port

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """A session of tests that is killed leaves no registry behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


class Served:
    """A program that serves a registry at `address` until it is closed."""

    #: What there must be an answer for before it counts as running.
    READY: ClassVar[str] = "/"

    def __init__(self, directory: Path, port: int, command: Sequence[object],
                 scheme: str = "http") -> None:
        self.directory = directory
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.scheme = scheme
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(word) for word in command], cwd=directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=end_with_parent)
        self._wait(str(command[0]))

    def _wait(self, name: str) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                connection.request("GET", self.READY)
                connection.getresponse()
                return
            except OSError:
                time.sleep(0.05)
            finally:
                connection.close()
        self.close()
        raise RuntimeError(f"{name} did not start:\n{self.log.read_text()}")

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


class Registry(Served):
    """Debian's docker-registry. `settings` are merged into the top level of its configuration."""

    def __init__(self, directory: Path, settings: Optional[Mapping[str, Any]] = None,
                 http_settings: Optional[Mapping[str, Any]] = None) -> None:
        program = shutil.which("docker-registry", path="/usr/bin:/usr/local/bin")
        if program is None:
            raise CannotBuild("docker-registry is not installed")
        port = free_port()
        configuration = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(directory / "data")},
                        "delete": {"enabled": True}, "cache": {"blobdescriptor": "inmemory"}},
            "http": {"addr": f"127.0.0.1:{port}", **(http_settings or {})},
            **(settings or {}),
        }
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.yml").write_text(json.dumps(configuration))
        super().__init__(directory, port, [program, "serve", directory / "config.yml"],
                         "https" if http_settings and "tls" in http_settings else "http")


class CraneRegistry(Served):
    """The one that crane has in it: go-containerregistry's, which shares no code with Docker's."""

    def __init__(self, directory: Path, crane: Path) -> None:
        port = free_port()
        (directory / "data").mkdir(parents=True, exist_ok=True)
        super().__init__(directory, port, [crane, "registry", "serve", "--address",
                                           f"127.0.0.1:{port}", "--disk", directory / "data"])


class ZuulRegistry(Served):
    """OpenDev's, written in Python: it wants a token for all but pulling, names no service,
    and knows no ranges. `user` may write."""

    READY = "/v2/"
    user = ("writer", "s3cret")

    def __init__(self, directory: Path, program: Path) -> None:
        port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        name, password = self.user
        (directory / "config.yml").write_text(json.dumps({"registry": {
            "address": "127.0.0.1", "port": port, "public-url": f"http://127.0.0.1:{port}",
            "secret": "of the tests",
            "storage": {"driver": "filesystem", "root": str(directory / "data"),
                        "expiration": 86400},
            "users": [{"name": name, "pass": password, "access": "write"}]}}))
        super().__init__(directory, port, [program, "-c", directory / "config.yml", "serve"])
