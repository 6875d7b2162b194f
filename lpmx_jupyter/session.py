"""A kernel's container: made or joined, entered, and left without a trace.

Everything here blocks and knows nothing of Jupyter's managers, so that the
provisioner (in a thread) and the launcher for other front ends (launch.py) share it.

In the container's directory a kernel has files of its own:

    kernel-ID.json          who looks after it, for those who find it abandoned
    kernel-ID.view          the container's view, with the notebook's folder in it
    kernel-ID.python.view   the kernel view, for a kernel that needs one
    kernel-ID.layers        the support layer that it uses (store/collect.py)
    kernel-ID.connection    the connection file as the kernel reads it (connection.py)
"""
from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional, Sequence

from lpmx_runtime import _native
from lpmx_runtime.container import Bind, Container, Launch, Options, ViewSpec
from lpmx_runtime.container import binds as binds_of
from lpmx_runtime.container import environment, processes, record
from lpmx_runtime.errors import (ContainerExists, ContainerUnknown, ImageUnknown, KernelFailed,
                                 LpmxError)
from lpmx_runtime.settings import runtime_path
from lpmx_runtime.store import Store
from lpmx_runtime.store.files import in_each

from . import kernels, kernelview, support
from .connection import PLACE, encrypted, inside, remove_folder

#: The modules that kernels load inside; a place of ours, which images need not have.
_MODULES = Bind(str(Path(__file__).resolve().parent / "contained"), "/.lpmx/python", True)
_BINDS_LIMIT = 64
_KERNEL_ID = "LPMX_KERNEL_ID"
#: Tells a kernel's programs which kernel it is and why.
DESCRIPTION = "LPMX_KERNEL"
#: And what its user has to know before the first cell.
WARNING = "LPMX_KERNEL_WARNING"
#: What leftovers of a kernel get to end by themselves.
_GRACE = 2.0
#: Notebook folders in here are not shown: they would hide the image's own files.
_SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin",
           "sys", "usr")
#: Of a kernel's variables, what speaks of the host's files and never goes in.
_HOST_ONLY = ("PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "SHELL", "TMPDIR", "VIRTUAL_ENV", "_")
_HOST_ONLY_PREFIXES = ("LD_", "PYTHON", "CONDA_", "JUPYTER", "LPMX_", "XDG_")


@dataclass(frozen=True)
class Settings:
    """What a kernel spec says about the kernel's container.

    `container` is the name of one to share with other kernels and to keep; without
    it the kernel gets one of its own, which goes when the kernel is shut down. A kernel that
    is to `detach` lives on when its server ends (detached.py).
    """

    image: str = ""
    kernel: str = ""
    container: str = ""
    binds: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    contain: bool = False
    preload: bool = True
    gpu: bool = True
    detach: bool = False

    @classmethod
    def parse(cls, config: Mapping[str, Any]) -> "Settings":
        """The settings that the `config` of a kernel spec has; raises `ValueError` with the
        key that is none, or whose value is of another type."""
        default, values = cls(), {}
        known = {one.name for one in fields(cls)}
        for name, value in config.items():
            if name not in known:
                raise ValueError(name)
            expected = getattr(default, name)
            if isinstance(expected, tuple):
                value = tuple(value) if isinstance(value, (list, tuple)) else value
            texts = (value if isinstance(value, tuple) else value.values()
                     if isinstance(value, dict) else ())
            if type(value) is not type(expected) or not all(isinstance(one, str) for one in texts):
                raise ValueError(name)
            values[name] = value
        return cls(**values)

    def changed(self) -> dict[str, Any]:
        """Only what differs from the defaults, as it goes into a kernel spec."""
        default = Settings()
        return {one.name: list(value) if isinstance(value, tuple) else value
                for one in fields(self)
                for value in [getattr(self, one.name)] if value != getattr(default, one.name)}

    def options(self, folder: Optional[str]) -> Options:
        chosen = [binds_of.parse(text) for text in self.binds]
        if folder is not None:
            chosen.append(Bind(os.path.realpath(folder), folder))
        return Options(binds=tuple(chosen), env=dict(self.env), user=self.user or None,
                       contain=self.contain, preload=self.preload, gpu=self.gpu)


class KernelSession:
    """One kernel and its container, from before the kernel's start to after its end."""

    def __init__(self, container: Container, settings: Settings, kernel_id: str,
                 folder: Optional[str]) -> None:
        self.container = container
        self.settings = settings
        self.kernel_id = kernel_id
        self.folder = folder
        self.own = not settings.container
        self.sockets: Optional[Path] = None
        self.asked: Optional[str] = None
        self.warning = ""

    @classmethod
    def begin(cls, settings: Settings, *, kernel_id: str, folder: Optional[str] = None,
              sockets: Optional[Path] = None) -> "KernelSession":
        """Have the container for a kernel whose notebook is in `folder`.

        `sockets` is the folder where it meets its front ends. What kernels left that nobody
        looks after any more is cleared away first.
        """
        store = Store.open()
        clear_abandoned(store)
        shown = _notebook_folder(folder, settings)
        container = _container(store, settings, shown)
        session = cls(container, settings, kernel_id, shown)
        try:
            session.sockets, session.asked = sockets, folder
            session.write_owner()
        except BaseException:
            session.leave()
            raise
        return session

    # -- starting ---------------------------------------------------------------------

    def kernel(self) -> kernels.Kernel:
        """The kernel to start."""
        values = self.container.record
        with self.container.view() as view:
            return kernels.choose(view, values["config"]["env"], self.settings.kernel,
                                  image=values["familiar"], live=values["live"],
                                  layers=support.layers(self.container.store))

    def launch(self, kernel: kernels.Kernel, connection_file: str, *,
               arguments: Sequence[str] = (), env: Optional[Mapping[str, str]] = None) -> Launch:
        """What to execute to start `kernel` with its connection in `connection_file`.

        `arguments` go to the kernel behind its own.
        """
        if encrypted(connection_file) and not kernel.encrypts:
            raise KernelFailed(f'cannot start kernel "{kernel.name}" with encrypted connections '
                               f"(CurveZMQ): {kernel.description} does not say that it has them",
                               hint="ipykernel has them since 7.3; without, nobody else can connect to the "
                                    'sockets that are the usual transport: set transport_encryption to "auto"')
        argv, variables = kernels.command(kernel, self.container.record["config"]["env"])
        extra = self._meeting_place(connection_file)
        if kernel.layer is not None:
            extra.append(self._keep(kernel.layer))
        view_file = self._write_views(kernel, extra)
        words = [word.replace("{connection_file}", connection_file) for word in argv]
        directory = self._directory(view_file)
        self.warning = self._about(directory)
        return self.container.launch(
            [*words, *arguments], entrypoint=False, cwd=directory, view_file=view_file,
            env={**variables, **(env or {}), _KERNEL_ID: self.kernel_id,
                 "LPMX_IMAGE": self.container.familiar, DESCRIPTION: kernel.description,
                 **({WARNING: self.warning} if self.warning else {}),
                 **({"LPMX_KERNEL_WHY": kernel.why} if kernel.why else {})})

    def _meeting_place(self, connection_file: str) -> list[Bind]:
        """What the kernel needs to be found by its front ends."""
        told = inside(connection_file)
        if told is None:
            return [Bind(connection_file, connection_file)]
        folder, content = told
        own = str(self._file("connection"))
        record.replace(own, content, mode=0o600)
        return [Bind(own, connection_file), Bind(folder, PLACE)]

    def _keep(self, layer: support.Layer) -> Bind:
        """The support layer's place, which is not freed while the kernel is there, whatever
        becomes of its image."""
        store = self.container.store
        with store.keeping():
            bind = layer.bind(store)
            if not os.path.isdir(bind.host):
                raise KernelFailed(f'cannot start the kernel: its support layer '
                                   f'"{layer.image.familiar}" has just been removed',
                                   hint="start it again")
            record.replace(str(self._file("layers")),
                           "".join(f"{one}\n" for one in layer.image.diff_ids).encode())
        return bind

    def run(self, argv: Sequence[str], binds: Sequence[Bind]) -> "subprocess.CompletedProcess[str]":
        """Run a program of the container to its end, with `binds` besides its own."""
        spec = self.container.spec()
        view_file = self._file("view")
        self._write(view_file, spec.but(binds=binds_of.merge(spec.binds, binds)))
        launch = self.container.launch(argv, entrypoint=False, cwd="/", view_file=view_file,
                                       env={_KERNEL_ID: self.kernel_id})
        return subprocess.run(list(launch.argv), executable=launch.executable, env=launch.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, encoding="utf-8", errors="replace")

    def host_path(self, path: str) -> Optional[str]:
        """The host's path of an absolute path in the container, if something is there."""
        try:
            with _native.View(self._file("view")) as view:
                return view.resolve(path).host
        except OSError:
            return None

    def _write_views(self, kernel: kernels.Kernel, extra: Sequence[Bind]) -> Path:
        """The view file for the kernel's process."""
        spec = self.container.spec()
        if self.folder is not None:
            extra = [*extra, Bind(os.path.realpath(self.folder), self.folder)]
        plain_file, view_file = self._file("view"), self._file("python.view")
        # First as root, who may make the directories that the binds need.
        self._write(plain_file, spec.but(uid=0, gid=0))
        with _native.View(plain_file) as root:
            spec = spec.but(binds=binds_of.merge(spec.binds, [_MODULES],
                                                 kernelview.place_all(root, extra)))
            seen_by_kernel = (kernelview.make(spec, plain_file, root)
                              if kernel.kind == kernels.VIEWED else None)
        self._write(plain_file, spec)
        if seen_by_kernel is None:
            return plain_file
        self._write(view_file, seen_by_kernel)
        return view_file

    def _write(self, path: Path, spec: ViewSpec) -> None:
        if len(spec.binds) > _BINDS_LIMIT:
            raise KernelFailed(f'cannot show {len(spec.binds)} places of the host in container '
                               f'"{self.container.name}": {_BINDS_LIMIT} are the most we handle',
                               hint="bind a directory above several of them instead")
        record.replace(str(path), spec.encode())

    def _directory(self, view_file: Path) -> Optional[str]:
        """Where the kernel begins: the notebook's folder, if the container shows it."""
        if self.folder is None:
            return None
        with _native.View(view_file) as view:
            return self.folder if view.exists(self.folder) else None

    def _about(self, directory: Optional[str]) -> str:
        """What the user should know who does not find the kernel in the notebook's folder."""
        if directory is not None or self.asked is None or self.settings.contain:
            return ""
        cause = "the container has its image's files there" if os.path.isdir(self.asked) else "it is not there"
        return (f'cannot begin in the notebook\'s folder "{self.asked}": {cause}\n'
                "hint: names of files are not relative to it; a folder in your home is shown")

    # -- ending -------------------------------------------------------------------------

    def end_programs(self, timeout: float = _GRACE) -> None:
        """End all that the kernel started and that outlived it."""
        processes.end(self._programs, timeout=timeout)

    def leave(self, timeout: float = _GRACE) -> None:
        """End what the kernel left running; remove the container if it is the kernel's own."""
        self.end_programs(timeout)
        if self.own:
            try:
                self.container.remove(force=True)
            except FileNotFoundError:
                pass  # somebody was quicker, with "lpmx rm -f"
        else:
            for path in self.container.directory.glob(f"kernel-{self.kernel_id}.*"):
                path.unlink(missing_ok=True)

    def _programs(self) -> list[processes.Process]:
        found = self.container.processes()
        return found if self.own else [one for one in found if kernel_of(one.pid) == self.kernel_id]

    # -- who looks after it -----------------------------------------------------------

    def _file(self, suffix: str) -> Path:
        return self.container.directory / f"kernel-{self.kernel_id}.{suffix}"

    def write_owner(self, kernel: Optional[Mapping[str, Any]] = None) -> None:
        """Say that this process looks after the kernel; of one that lives on without us,
        `kernel` is what whoever finds it must know."""
        values = {"kernel_id": self.kernel_id, "own": self.own,
                  "settings": self.settings.changed(), "folder": self.folder,
                  "sockets": None if self.sockets is None else str(self.sockets),
                  "node": processes.where(), "pid": os.getpid(),
                  "maker": processes.myself(), "kernel": kernel}
        self.write_record(values)

    def write_record(self, values: Mapping[str, Any]) -> None:
        """Have these values for whoever looks for the kernel's owner."""
        record.replace(str(self._file("json")), json.dumps(values).encode(), mode=0o600)

    @property
    def log(self) -> Path:
        """Where a kernel that detaches says what it has to say."""
        return self._file("log")


@dataclass(frozen=True)
class Owner:
    """Which container a kernel is in, and who looks after it: a process of `node`, as
    `processes.where` tells it. `own`: the container is the kernel's alone."""

    kernel_id: str
    container: str
    own: bool
    node: str
    pid: int


def owners(store: Store) -> Iterator[Owner]:
    """The kernels in the containers of a store, as their makers wrote them down."""
    for file in in_each(store.containers, "kernel-*.json"):
        try:
            values = json.loads(file.read_bytes())
            yield Owner(str(values["kernel_id"]), file.parent.name, bool(values["own"]),
                        str(values["node"]), int(values["pid"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it is being removed, or is not ours to read


def kernel_of(pid: int) -> Optional[str]:
    """The id of the kernel that a process of a container is of; None if it is of none."""
    return told(pid, _KERNEL_ID)


def told(pid: int, name: str) -> Optional[str]:
    """The variable `name` that a process was started with, if it can be seen."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    start = os.fsencode(name) + b"="
    return next((os.fsdecode(one[len(start):]) for one in variables if one.startswith(start)), None)


def clear_abandoned(store: Store) -> None:
    """Remove what kernels left whose server was killed: processes, containers, files.

    Only those of this node and this name space of processes are looked at; what runs in others
    cannot be known.
    """
    for file in in_each(store.containers, "kernel-*.json"):
        try:
            values = json.loads(file.read_bytes())
            kernel = values.get("kernel")
            if not processes.is_gone(values["maker"]) \
                    or (kernel and not processes.is_gone(kernel["process"])):
                continue
            container = Container.open(store, file.parent.name)
            settings = Settings(container="" if values["own"] else container.name)
            KernelSession(container, settings, values["kernel_id"], None).leave(timeout=0)
            if values["sockets"] is not None:
                remove_folder(Path(values["sockets"]))
            if values.get("kernel"):
                Path(values["kernel"]["file"]).unlink(missing_ok=True)
        except (OSError, ValueError, KeyError, TypeError, LpmxError):
            continue  # it is being removed, or is not ours to remove


def variables_for(given: Mapping[str, str], asked: Sequence[str]) -> dict[str, str]:
    """What of the environment that Jupyter gives a kernel goes into the container.

    That is this process's own environment with some of it changed: what differs was
    meant for the kernel, and so are the names in `asked`, which the kernel spec has.
    Of the rest the container takes what it always takes (container/environment.py).
    """
    return {name: value for name, value in given.items()
            if name not in environment.SECRET
            and (name in asked or (os.environ.get(name) != value and not _host_only(name)))}


def _host_only(name: str) -> bool:
    return name in _HOST_ONLY or name.startswith(_HOST_ONLY_PREFIXES)


def _notebook_folder(folder: Optional[str], settings: Settings) -> Optional[str]:
    """The folder to show and to begin in; None where it cannot or must not be shown."""
    if folder is None or settings.contain:
        return None
    folder = os.path.abspath(folder)
    if folder == "/" or folder.split("/")[1] in _SYSTEM or not os.path.isdir(folder):
        return None
    return folder


def _container(store: Store, settings: Settings, folder: Optional[str]) -> Container:
    if not settings.container:
        if not settings.image:
            raise KernelFailed("cannot start the kernel: its kernel spec names no image",
                               hint='run "lpmx kernel install IMAGE" again')
        runtime_path()  # has to be there for the container to show it
        return Container.create(store, store.images.find(settings.image), temporary=True,
                                options=settings.options(folder))
    try:
        return _shared(store, settings)
    except ContainerUnknown:
        if not settings.image:
            raise
    try:
        return Container.create(store, store.images.find(settings.image),
                                name=settings.container, options=settings.options(None))
    except ContainerExists:
        return _shared(store, settings)  # another kernel made it meanwhile


def _shared(store: Store, settings: Settings) -> Container:
    container = Container.open(store, settings.container)
    if settings.image and not _is_of(container, store, settings.image):
        raise KernelFailed(f'cannot start the kernel in container "{container.name}": it was made '
                           f'of image "{container.familiar}", not of "{settings.image}"',
                           hint=f'remove it with "lpmx rm {container.name}", or name another with '
                                '"lpmx kernel install --container"')
    return container


def _is_of(container: Container, store: Store, image: str) -> bool:
    """Whether the container was made of that image, which the store need not have any more."""
    try:
        return container.image == store.images.find(image).name
    except ImageUnknown:
        return container.familiar == image
