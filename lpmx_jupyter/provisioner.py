"""A kernel's life, in terms of a container's life.

The kernel is a child of the server, as a local kernel is: the loader that the
server executes becomes the kernel's program, so signals, exit codes and process
groups need no translation. What differs is what is around it. Before a start there
is a container (session.py) and a folder of sockets (connection.py). After a restart
they are still there; after a shutdown, a start that failed, or the server's own end
they are not, nor is any program that the kernel left running.

The order in which Jupyter calls these methods, and what it forgets to call, decides
where the container is removed: only in `cleanup` when no restart follows, for
`kill` and `terminate` are told `restart=False` in restarts, too. A start that fails
gets no call at all and must undo itself.
"""
from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import weakref
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, TypeVar

from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from lpmx_runtime.container import process, processes, signals
from lpmx_runtime.errors import KernelFailed, LpmxError
from lpmx_runtime.store import Store
from tornado import web
from traitlets import Bool, CaselessStrEnum, Dict, List, Unicode

from . import connection, detached, kernels
from .session import KernelSession, Settings, variables_for

_T = TypeVar("_T")

#: A program that cannot run ends within this time, and the start then fails.
_EARLY = 0.3
_BAD_REQUEST = 400


class KernelStartFailed(RuntimeError, web.HTTPError):
    """Why a kernel did not start: in the words of an `LpmxError`, in the form that
    JupyterLab's dialog, a REST client and a traceback all show."""

    def __init__(self, message: str, hint: Optional[str]) -> None:
        text = f"{message}\nhint: {hint}" if hint else message
        # An HTTP status line takes no line breaks and little else.
        web.HTTPError.__init__(self, _BAD_REQUEST, text, reason="Kernel not started")
        self.text = text

    def __str__(self) -> str:
        return self.text


class LpmxProvisioner(LocalProvisioner):
    """Runs a kernel in a container of an image."""

    image = Unicode(help="The image, as `lpmx images` names it.").tag(config=True)
    kernel = Unicode(help="Name of one of the image's kernels; empty for the best one. "
                          '"host-python" for the host\'s Python in a kernel view.').tag(config=True)
    container = Unicode(help="Name of a container to share with other kernels and to keep. "
                             "Empty: one of the kernel's own, removed with it.").tag(config=True)
    binds = List(Unicode(), help="Places of the host to show, SRC[:DST[:ro]].").tag(config=True)
    env = Dict(value_trait=Unicode(), key_trait=Unicode(),
               help="Variables of the container.").tag(config=True)
    user = Unicode(help="Who to be inside; empty for the image's own user.").tag(config=True)
    contain = Bool(False, help="Do not show the home directory, the notebook's folder "
                               "and /tmp.").tag(config=True)
    preload = Bool(True, help="Use the preload library.").tag(config=True)
    gpu = Bool(True, help="Show the driver libraries of GPUs.").tag(config=True)
    detach = Bool(False, help="Let the kernel live on when the server ends; the next server finds "
                              "it.").tag(config=True)
    transport = CaselessStrEnum(connection.TRANSPORTS, default_value="ipc",
                                help="How front ends connect: ipc for Unix sockets that only "
                                     "you can use, tcp for ports.").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        unknown = sorted(name for name in kwargs
                         if name not in ("parent", "log", "config") and not self.has_trait(name))
        super().__init__(**{name: value for name, value in kwargs.items() if name not in unknown})
        self._unknown = unknown
        self._session: Optional[KernelSession] = None
        self._folder: Optional[Path] = None
        self._finalizer: Optional[weakref.finalize[Any, Any]] = None
        self._undoing: set[asyncio.Future[None]] = set()
        self._found: Optional[detached.Detached] = None
        self.sessions: list[Mapping[str, str]] = []
        self._kernel: Optional[kernels.Kernel] = None

    # -- starting -----------------------------------------------------------------------

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Have a container, sockets and a connection file."""
        take_over = kwargs.pop(detached.TAKE_OVER, False)
        try:
            return await self._prepare(kwargs, take_over)
        except LpmxError as error:
            await self._undo()
            raise KernelStartFailed(error.message, error.hint) from error
        except BaseException:
            await self._undo()
            raise

    async def poll(self) -> Optional[int]:
        """As ever; a kernel that detaches has nobody who reads what it says, so a limit."""
        if self.detach and self._session is not None:
            detached.bound(self._session.log)
        return await super().poll()

    async def send_signal(self, signum: int) -> None:
        """To the kernel's process group, as ever. An interrupt wakes the kernel's first thread."""
        if signum == signal.SIGINT and self.process and self.pgid:
            try:
                return signals.to_group(self.pgid, self.process.pid, signum)
            except OSError:
                pass  # the group is gone: the process may not be
        await super().send_signal(signum)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the kernel in its container; `cmd` is for those who know no provisioners."""
        if self._found is not None:
            self._look_after(self._found.process)
            self._found = None
            return self.connection_info
        try:
            launch = await _in_thread(self._launch, cmd, kwargs)
            streams = {name: kwargs[name] for name in ("stdout", "stderr") if name in kwargs}
            with contextlib.ExitStack() as stack:
                if self.detach:
                    log = stack.enter_context(open(self._live_session().log, "ab", buffering=0))
                    streams = {"stdout": log, "stderr": log, **streams}
                self.process = process.popen(launch, stdin=subprocess.DEVNULL,
                                             start_new_session=True, **streams)
            self.pid = self.pgid = self.process.pid
            self.cwd = kwargs.get("cwd") or os.getcwd()
            await self._survive(self.process)
            if self.detach:
                await _in_thread(self._describe)
        except LpmxError as error:
            await self._undo()
            raise KernelStartFailed(error.message, error.hint) from error
        except BaseException:
            await self._undo()
            raise
        return self.connection_info

    async def _prepare(self, kwargs: dict[str, Any], take_over: bool) -> dict[str, Any]:
        if self._unknown:
            raise KernelFailed(f'cannot start the kernel: "{self._unknown[0]}" is no setting of '
                               "the LPMX provisioner",
                               hint="correct config of kernel_provisioner in its kernel.json, or "
                                    'run "lpmx kernel install" again')
        if self._session is None and self.parent is not None:
            await self._take_over(kwargs.get("cwd"))
        if self._session is None and take_over:
            raise KernelFailed(f"cannot take over kernel {self.kernel_id}: another server was "
                               "quicker, or it has ended", hint="look at that server")
        if self._session is None:
            await _in_thread(self._begin, kwargs.get("cwd"))
            if not self.detach:
                self._finalizer = weakref.finalize(self, _abandoned, self._live_session(),
                                                   self._folder, os.getpid())
        elif self.detach and self._found is None:
            await _in_thread(self._session.write_owner)  # it is being restarted, by us
        if self._found is None:
            self._kernel = await _in_thread(self._live_session().kernel)
            self._say_whether_it_encrypts(self._kernel)
        return await super().pre_launch(**kwargs)

    async def _take_over(self, cwd: Optional[str]) -> None:
        """Have the kernel of this id that another server left running, if there is one."""
        claimed = await _in_thread(lambda: detached.claim(Store.open(), str(self.kernel_id)))
        if claimed is None or self.parent is None:
            return
        self.detach = True
        self._found, self._session = claimed
        self.sessions = self._found.sessions
        self._folder = self._session.sockets
        self.cwd = self._session.folder or cwd
        self.parent.cache_ports = False
        self.parent.load_connection_info(self._found.connection)

    def _begin(self, folder: Optional[str]) -> None:
        manager = self.parent
        if manager is not None and self.transport == "ipc" and self._folder is None:
            self._folder = connection.make_folder()
            connection.use_sockets(manager, self._folder)
        self._session = KernelSession.begin(self._settings(), kernel_id=str(self.kernel_id),
                                            folder=folder or os.getcwd(), sockets=self._folder)

    def _say_whether_it_encrypts(self, kernel: kernels.Kernel) -> None:
        """In the spec that the manager asks before it makes keys: it was written for what there
        was then, and a kernel that knows nothing of the keys would never be reached."""
        metadata = {name: value for name, value in self.kernel_spec.metadata.items()
                    if name != kernels.ENCRYPTION}
        if kernel.encrypts:
            metadata[kernels.ENCRYPTION] = [kernels.CURVE]
        self.kernel_spec.metadata = metadata

    def _settings(self) -> Settings:
        return Settings(image=self.image, kernel=self.kernel, container=self.container,
                        binds=tuple(self.binds), env=dict(self.env), user=self.user,
                        contain=self.contain, preload=self.preload, gpu=self.gpu,
                        detach=self.detach)

    def _launch(self, cmd: list[str], kwargs: dict[str, Any]) -> process.Launch:
        session = self._live_session()
        kernel = self._kernel or session.kernel()
        if self.parent is not None:
            # How it is interrupted is the kernel's to say, and it may have changed.
            self.kernel_spec.interrupt_mode = kernel.interrupt_mode
        given = variables_for(kwargs.get("env") or {}, list(self.kernel_spec.env))
        connection_file = os.path.abspath(self.parent.connection_file) if self.parent else ""
        self.log.info("Kernel %s runs in container %s: %s", self.kernel_id,
                      session.container.name, kernel.description)
        launch = session.launch(kernel, connection_file,
                                arguments=cmd[len(self.kernel_spec.argv):],
                                env={**given, "JPY_PARENT_PID":
                                     "0" if self.detach else str(os.getpid())})
        if session.warning:
            self.log.warning("Kernel %s: %s", self.kernel_id, session.warning)
        return launch

    def _describe(self) -> None:
        """Write down what another server needs to find the kernel."""
        name = self.parent.kernel_name if self.parent is not None else ""
        self._live_session().write_owner(detached.describe(
            str(self.kernel_id), name, int(self.pid or 0), self.connection_info, self.sessions))

    async def keep_sessions(self, sessions: "list[Mapping[str, str]]") -> None:
        """Write down which sessions a kernel that detaches has, for the server that finds it."""
        if not self.detach or sessions == self.sessions:
            return
        self.sessions = sessions
        if self._session is not None and self.has_process:
            await _in_thread(self._describe)

    def _look_after(self, program: detached.Process) -> None:
        """Of a kernel that another server started: it is not our child."""
        self.process = program  # type: ignore[assignment]
        self.pid = self.pgid = program.pid

    def _live_session(self) -> KernelSession:
        if self._session is None:
            raise KernelFailed("cannot start the kernel: it was not prepared",
                               hint="call pre_launch first, as Jupyter's kernel managers do")
        return self._session

    async def _survive(self, program: "subprocess.Popen[Any]") -> None:
        """Wait a moment; raise if the program could not run at all."""
        for _ in range(10):
            await asyncio.sleep(_EARLY / 10)
            code = program.poll()
            if code is not None:
                raise KernelFailed(f'cannot start the kernel in image "{self.image}": its program '
                                   f"ended at once with exit code {code}",
                                   hint="what it said is in the server's log")

    async def post_launch(self, **kwargs: Any) -> None:
        """Ask to be told when Jupyter gives the kernel up."""
        await super().post_launch(**kwargs)
        if self.parent is not None:
            self.parent.remove_restart_callback(self._given_up, "dead")
            self.parent.add_restart_callback(self._given_up, "dead")
            if self.detach:
                detached.keep_at_the_end(self.parent.parent)
            self._begin_activity(self.parent)

    @staticmethod
    def _begin_activity(manager: Any) -> None:
        """jupyter_server lists a kernel a few turns of its loop before it sets these, and fails
        when it is asked for the kernel in between."""
        if manager.has_trait("last_activity") and not manager.trait_has_value("last_activity"):
            manager.last_activity = datetime.now(timezone.utc)
            manager.execution_state = "starting"

    # -- ending --------------------------------------------------------------------------

    def let_go(self) -> bool:
        """The server ends: a kernel that detaches is not its any more. Whether this is one."""
        if not self.detach or not self.has_process or self.parent is None:
            return False
        manager: Any = self.parent
        manager.stop_restarter()
        manager._owns_kernel = False
        manager.shutdown_kernel = _nothing   # whose own never comes to an end where it owns none
        manager.cleanup_connection_file()
        self._session = self._folder = self.process = None
        return True

    def _given_up(self) -> None:
        """It crashed again and again: Jupyter forgets it now, and calls nothing else."""
        task = asyncio.ensure_future(self._undo())
        # The loop itself holds no task that nobody waits for.
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)

    async def cleanup(self, restart: bool = False) -> None:
        """Leave nothing of the kernel behind; the container stays for a restart."""
        await super().cleanup(restart=restart)
        if self._session is None:
            return
        if restart:
            await _in_thread(self._session.end_programs)
        else:
            await self._leave()

    async def _undo(self) -> None:
        """Take back a start that failed: nobody else is going to."""
        if self._found is not None:  # a kernel that was there before is none the worse for it
            found, session = self._found, self._live_session()
            self._found = self._session = self._folder = None
            return await _in_thread(session.write_record, found.values)
        if self.process is not None:
            await self.kill()
            await self.wait()
        if self.connection_info:
            await super().cleanup(restart=False)
        self.ports_cached = False
        if self.parent is not None:
            self.parent.cleanup_connection_file()
            self.parent.cleanup_ipc_files()
        await self._leave()

    async def _leave(self) -> None:
        session, self._session = self._session, None
        folder, self._folder = self._folder, None
        if self._finalizer is not None:
            self._finalizer.detach()
            self._finalizer = None
        if session is not None:
            await _in_thread(session.leave)
            if self.detach:
                detached.external_file(session.kernel_id).unlink(missing_ok=True)
        if folder is not None:
            connection.remove_folder(folder)

    # -- the rest ------------------------------------------------------------------------

    async def get_provisioner_info(self) -> dict[str, Any]:
        """What another process needs to look after this kernel, as JSON can have it."""
        info: dict[str, Any] = await super().get_provisioner_info()
        session = self._live_session()
        info["connection_info"] = detached.plain(self.connection_info)
        info["lpmx"] = {"container": session.container.name, "settings": session.settings.changed(),
                        "folder": session.folder,
                        "process": processes.described(int(self.pid or 0)),
                        "sockets": None if self._folder is None else str(self._folder),
                        "kernel": None}
        return info

    async def load_provisioner_info(self, provisioner_info: dict[str, Any]) -> None:
        """Look after the kernel that `get_provisioner_info` described."""
        await super().load_provisioner_info(provisioner_info)
        values = provisioner_info["lpmx"]
        found = detached.Detached(str(self.kernel_id), "", values["container"], values)
        self._session = await _in_thread(lambda: found.session(Store.open()))
        self._folder = self._session.sockets
        key = str(self.connection_info["key"]).encode("ascii")
        self.connection_info = {**self.connection_info, "key": key}  # type: ignore[typeddict-item]
        self._look_after(detached.Process(values["process"]))

    def resolve_path(self, path_str: str) -> Optional[str]:
        """The host's file behind a path that the kernel speaks of."""
        if self._session is None:
            return None
        path = os.path.join(str(self.cwd or "/"), path_str)
        return self._session.host_path(path)


async def _nothing(now: bool = False, restart: bool = False) -> None:
    """Shut nothing down."""


def _abandoned(session: KernelSession, folder: Optional[Path], pid: int) -> None:
    """For a provisioner that is forgotten without a shutdown, or at the server's end."""
    if os.getpid() != pid:
        return  # a child that was forked from the server
    session.leave(timeout=0)
    if folder is not None:
        connection.remove_folder(folder)


async def _in_thread(work: Callable[..., _T], *arguments: Any) -> _T:
    """Run what blocks beside the server's loop.

    A thread cannot be cancelled. If we are, we wait for it all the same, so that
    there is something whole to undo.
    """
    future = asyncio.get_running_loop().run_in_executor(None, lambda: work(*arguments))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
