"""jupyter_server's sessions, which say the kernel of a document; those of kernels that detach.

They are in its memory. Those of a kernel that lives on when the server ends are written down
with it, and the next server has them again, under the same ids: a page that finds its session
there goes on with it.
"""
from __future__ import annotations

from typing import Any, Awaitable, Callable, Iterable, Mapping

from jupyter_core.utils import ensure_async


class Sessions:
    """Knows the sessions of `serverapp`, and keeps what its kernels have written down in step."""

    def __init__(self, serverapp: Any) -> None:
        self._kernels = serverapp.kernel_manager
        self._sessions = serverapp.session_manager
        self._log = serverapp.log

    def watch(self) -> None:
        """Notice each session that is made or changed. Deleting one ends its kernel."""
        for name in ("save_session", "update_session"):
            setattr(self._sessions, name, self._noticed(getattr(self._sessions, name)))

    def _noticed(self, method: "Callable[..., Awaitable[Any]]") -> "Callable[..., Awaitable[Any]]":
        async def noticed(*arguments: Any, **named: Any) -> Any:
            result = await method(*arguments, **named)
            await self._write()
            return result
        return noticed

    async def by_kernel(self) -> dict[str, list[Mapping[str, str]]]:
        """Id, path, name and type of the sessions of each kernel that has some."""
        found: dict[str, list[Mapping[str, str]]] = {}
        for one in await ensure_async(self._sessions.list_sessions()):
            if one.get("kernel"):
                found.setdefault(one["kernel"]["id"], []).append(
                    {key: one[key] for key in ("id", "path", "name", "type")})
        return found

    async def _write(self) -> None:
        try:
            sessions = await self.by_kernel()
            for kernel_id in self._kernels.list_kernel_ids():
                keep = getattr(self._provisioner(kernel_id), "keep_sessions", None)
                if keep is not None:
                    await keep(sessions.get(kernel_id, []))
        except Exception as error:   # what was asked for is done all the same
            self._log.warning("cannot write down which sessions detached kernels have: %s", error)

    async def restore(self, kernel_ids: "Iterable[str]") -> None:
        """Have the sessions again of kernels that were taken over, unless the server kept them itself
        (`SessionManager.database_filepath`)."""
        kept = {one["id"] for sessions in (await self.by_kernel()).values() for one in sessions}
        for kernel_id in kernel_ids:
            try:
                for one in self._provisioner(kernel_id).sessions:
                    if one["id"] not in kept:
                        await self._sessions.save_session(one["id"], path=one["path"], name=one["name"],
                                                          type=one["type"], kernel_id=kernel_id)
            except Exception as error:   # the kernel is there all the same
                self._log.warning("cannot have the sessions of kernel %s again: %s", kernel_id, error)

    def _provisioner(self, kernel_id: str) -> Any:
        return getattr(self._kernels.get_kernel(kernel_id), "provisioner", None)
