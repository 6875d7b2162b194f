"""Kernels that run in containers, and the kernel specs of images."""
from __future__ import annotations

import json
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Mapping, NamedTuple, Optional, Sequence

from lpmx_runtime.container import Container, processes
from lpmx_runtime.errors import KernelFailed, LpmxError
from lpmx_runtime.progress import ignore
from lpmx_runtime.store import Store

from .. import detached, kernelspecs
from ..kernels import ENCRYPTION
from ..session import DESCRIPTION, Owner, kernel_of, owners, told
from .failures import RequestFailed
from .handlers import Answer, Handler, operation
from .tasks import Beginning
from .work import described_kernelspec, install_kernelspecs


class Kernels(NamedTuple):
    """What this server knows of its kernels: their models by id, and the sessions of each."""

    models: Mapping[str, Mapping[str, Any]]
    sessions: Mapping[str, Sequence[Mapping[str, Any]]]


def described_kernel(owner: Owner, image: Optional[str], here: Kernels,
                     running: "Sequence[Mapping[str, Any]]") -> dict[str, Any]:
    """The schema `Kernel`; `running` are the processes of its container."""
    model = here.models.get(owner.kernel_id)
    own = [one for one in running if one["kernel"] == owner.kernel_id and not one["host_call"]]
    first = min(own, key=lambda one: (one["started"], one["pid"]), default=None)
    return {"id": owner.kernel_id, "container": owner.container, "image": image, "own": owner.own,
            "here": model is not None, "name": model and model["name"],
            "state": model and model["execution_state"],
            "last_activity": model and model["last_activity"],
            "connections": model and model["connections"],
            "description": first and told(first["pid"], DESCRIPTION),
            "pid": first["pid"] if first and owner.node == processes.where() else None,
            "sessions": list(here.sessions.get(owner.kernel_id, ()))}


def _look(store: Store, here: Kernels, wanted: Optional[str]) -> list[dict[str, Any]]:
    found = [owner for owner in owners(store) if wanted in (None, owner.kernel_id)]
    running = processes.of_store(store.containers) if found else {}
    kernels = []
    for owner in found:
        image = None
        with suppress(LpmxError):
            image = Container.find(store, owner.container).familiar
        kernels.append(described_kernel(owner, image, here, [
            {"pid": one.pid, "started": one.started, "host_call": one.host_call,
             "kernel": kernel_of(one.pid)} for one in running.get(owner.container, [])]))
    return kernels


class All(Handler):
    path = "/kernels"

    @operation()
    async def get(self) -> Any:
        return await self.with_store(_look, await self.extension.kernels(), None)


class One(Handler):
    path = "/kernels/{kernel}"

    @operation()
    async def get(self, kernel: str) -> Any:
        found = await self.with_store(_look, await self.extension.kernels(), kernel)
        if not found:
            raise RequestFailed(HTTPStatus.NOT_FOUND, "kernel-unknown",
                                f'cannot find kernel "{kernel}" in a container',
                                hint="other kernels run on this machine as it is")
        return found[0]


# -- kernel specs ---------------------------------------------------------------------------


class Kernelspecs(Beginning):
    path = "/kernelspecs"

    @operation()
    async def get(self) -> Any:
        return await self.blocking(
            lambda: list(map(described_kernelspec, kernelspecs.installed())))

    @operation()
    async def post(self) -> Any:
        wanted = {name: value for name, value in self.body.items() if name != "task"}
        if self.body["task"]:
            return Answer(HTTPStatus.ACCEPTED, self.begin(
                "kernelspecs", f"Make {wanted['image']} a kernel",
                about={"image": wanted["image"], "container": wanted.get("container")},
                wanted=wanted))
        written = await self.slow(install_kernelspecs, wanted, ignore)
        await self.changed()
        return written


def remove_plain_kernelspecs(store: Store, image: str) -> None:
    """Take the specs of an image away that could be made again as they are."""
    running = {one.name for one in detached.find(store)}
    for spec in kernelspecs.installed(kernelspecs.default_directory()):
        if spec.image == image and spec.name not in running and _is_plain(store, spec):
            with suppress(FileNotFoundError):
                kernelspecs.take_away(spec.folder)


def _is_plain(store: Store, spec: kernelspecs.Installed) -> bool:
    """Whether it was made with this store, and nobody has chosen anything about it or written
    into it."""
    try:
        values = json.loads((spec.folder / "kernel.json").read_text(encoding="utf-8"))
        metadata = values["metadata"]
        config = metadata["kernel_provisioner"]["config"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return (spec.name.startswith("lpmx-") and spec.display_name.startswith("LPMX: ")
            and set(config) <= {"image", "kernel"} and not values.get("env")
            and metadata.get(kernelspecs.STORE) == str(store.path)
            and set(metadata) <= {"kernel_provisioner", "debugger", ENCRYPTION, kernelspecs.STORE})


class OneKernelspec(Handler):
    path = "/kernelspecs/{kernelspec}"

    @operation()
    async def delete(self, kernelspec: str) -> Any:
        def remove() -> None:
            if kernelspec.lower() not in [spec.name for spec in kernelspecs.installed()]:
                raise RequestFailed(HTTPStatus.NOT_FOUND, KernelFailed.code,
                                    f'cannot remove kernel "{kernelspec}": there is none of this name',
                                    hint="what runs on this machine as it is cannot be removed here")
            kernelspecs.remove(kernelspec)
        await self.blocking(remove)
        await self.changed()


HANDLERS = (All, One, Kernelspecs, OneKernelspec)
