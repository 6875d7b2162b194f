"""A container from its making to its removal."""
from __future__ import annotations

import errno
import json
import os
import stat
import time
from types import MappingProxyType

from .. import _native
from ..errors import (
    ContainerExists,
    ContainerRunning,
    ContainerUnknown,
    InvalidSetting,
    RunFailed,
    StoreDamaged,
)
from ..light import TYPE_CHECKING, NamedTuple
from ..oci.config import ImageConfig
from ..store import Image, Store
from ..store.files import needs_file, storing, sync_directory, unlink, write_file
from . import (
    binds,
    drivers,
    environment,
    exposed,
    host_calls,
    identity,
    inside,
    launch,
    processes,
    record,
)
from .identity import Identity
from .spec import Bind, ViewSpec

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, Callable, Iterator, List, Mapping, Optional, Sequence, Union

_BINDS_LIMIT = 64  # CORE_BINDS_MAX
_RESET_PATIENCE = 30.0   # seconds that one waits for a reset to end
_ROOT = Identity(0, 0, "root", "/root")


class Options(NamedTuple):
    """What is chosen when a container is made.

    `user` is NAME, UID, either with :GROUP, "host" for one's own identity, None for
    the image's. `contain` leaves out what is personal (home, working directory,
    /tmp). Without `preload` every call of every program goes through the trap. With
    `rewrite` call sites that trap often are rewritten (native/trap/sites_x86_64.c).
    """

    binds: tuple[Bind, ...] = ()
    env: Mapping[str, str] = MappingProxyType({})
    user: Optional[str] = None
    workdir: Optional[str] = None
    contain: bool = False
    preload: bool = True
    gpu: bool = True
    rewrite: bool = False


_PLAIN = Options()


class Container:
    """A container that exists. Cheap to have; what it tells is read from its record."""

    def __init__(self, store: Store, directory: str, values: dict[str, Any]) -> None:
        self.store = store
        self.place = directory   # as the store's, for who is in a hurry
        self._record = values

    def _at(self, name: str) -> str:
        return os.path.join(self.place, name)

    # -- making and finding ---------------------------------------------------------

    @classmethod
    def create(cls, store: Store, image: Image, *, name: Optional[str] = None,
               options: Options = _PLAIN, temporary: bool = False,
               labels: Optional[Mapping[str, str]] = None,
               fill: Optional[Callable[[_native.View], object]] = None) -> "Container":
        """Make a container of `image`; without a name it gets one of its own.

        `fill` is given its files before anybody else sees them, with nothing bound there.

        It is made aside and renamed into place, so that a name either leads to a
        whole container or to none; of two that want one name the second gets
        `ContainerExists`. A `temporary` one is to be removed by whoever makes it; if
        that process is killed first, `sweep` removes it. `labels` are for whoever makes
        it to know it again.
        """
        if name is not None:
            record.check_name(name)
        chosen = name or f"{_short(image.familiar)}-{os.urandom(3).hex()}"
        containers = _containers(store)
        final = os.path.join(containers, chosen)
        with storing(f'container "{chosen}"'), store.keeping(), store.aside() as staging:
            if name is not None and os.path.lexists(final):
                raise _exists(chosen)
            aside = os.path.join(staging, "container")
            # its files, and what its environment has in it, are its maker's
            os.mkdir(aside, 0o700)
            _refuse_in_a_copy(aside)
            values = _furnish(store, image, chosen, options, aside, final, fill)
            values["temporary"] = temporary
            values["labels"] = dict(labels or {})
            values["maker"] = processes.myself() if temporary else None
            _write_record(aside, values)
            try:
                os.rename(aside, final)
            except OSError as error:
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise _exists(chosen) from None
                raise
            if not temporary:
                sync_directory(containers)
            _tell_group(containers, chosen, values)
        return cls(store, final, values)

    @classmethod
    def open(cls, store: Store, name: str) -> "Container":
        """The container `name`, its view file and control page in order.

        A damaged control page is made again from the upper (what was set in the live
        environment is lost), and a view file is written anew where the store or the
        installation has moved.
        """
        directory, values = record.read(_containers(store), name)
        container = cls(store, directory, values)
        if not record.is_current(directory, values) or container._is_being_reset():
            with store.lock(f"reset-{name}", timeout=_RESET_PATIENCE):
                container = cls(store, *record.read(_containers(store), name))
                container._put_in_order()
        return container

    @classmethod
    def find(cls, store: Store, name: str, *, damaged: bool = False) -> "Container":
        """The container `name` as it is, to stop or remove it; `damaged` also one whose
        record cannot be read."""
        try:
            return cls(store, *record.read(_containers(store), name))
        except StoreDamaged:
            if not damaged:
                raise
            return cls(store, os.path.join(_containers(store), name), {"name": name})

    @classmethod
    def list(cls, store: Store) -> "List[Container]":
        """All containers by name; see `damaged` for those that cannot be read."""
        found = []
        containers = _containers(store)
        for name in sorted(os.listdir(containers)):
            try:
                found.append(cls(store, *record.read(containers, name)))
            except (ContainerUnknown, StoreDamaged):
                pass
        return found

    @classmethod
    def damaged(cls, store: Store) -> List[str]:
        """Names of containers whose record cannot be read; those of others that are closed to
        us are not among them."""
        found = []
        containers = _containers(store)
        for name in sorted(os.listdir(containers)):
            try:
                record.read(containers, name)
            except StoreDamaged:
                found.append(name)
            except ContainerUnknown:
                if record.is_name(name):
                    found.append(name)
        return [name for name in found if os.access(os.path.join(containers, name), os.X_OK)]

    @classmethod
    def sweep(cls, store: Store) -> List[str]:
        """Remove temporary containers whose maker was killed and in which nothing runs;
        their names. Those of other users and other nodes are left to them: what runs in
        those cannot be seen from here."""
        abandoned = [container for container in cls.list(store)
                     if container.temporary and container._is_ours()
                     and processes.is_gone(container.record.get("maker"))]
        running = processes.of_store(_containers(store)) if abandoned else {}
        gone = []
        for container in abandoned:
            if container.name not in running:
                try:
                    container.remove()
                except (ContainerRunning, ContainerUnknown):
                    continue  # somebody came first
                gone.append(container.name)
        return gone

    # -- what it is -----------------------------------------------------------------

    @property
    def name(self) -> str:
        return str(self._record["name"])

    @property
    def image(self) -> str:
        """The canonical name of the image it was made of."""
        return str(self._record["image"])

    @property
    def familiar(self) -> str:
        """That name as people write it."""
        return str(self._record["familiar"])

    @property
    def record(self) -> Mapping[str, Any]:
        """All that its record says."""
        return self._record

    @property
    def directory(self) -> Path:
        from pathlib import Path
        return Path(self.place)

    @property
    def upper(self) -> Path:
        return self.directory / record.UPPER

    @property
    def view_file(self) -> Path:
        return self.directory / record.VIEW

    @property
    def created(self) -> float:
        return float(self._record["created"])

    @property
    def temporary(self) -> bool:
        return bool(self._record.get("temporary"))

    @property
    def labels(self) -> Mapping[str, str]:
        """What its maker wrote down about it."""
        return dict(self._record.get("labels") or {})

    @property
    def options(self) -> Options:
        chosen = dict(self._record["options"])
        chosen["binds"] = tuple(Bind(*one) for one in chosen["binds"])
        return Options(**chosen)

    @property
    def identity(self) -> Identity:
        """Who its programs are unless they are told otherwise."""
        return Identity(**self._record["identity"])

    def spec(self, user: Optional[Identity] = None) -> ViewSpec:
        """The fields of its view file, for whoever makes another view of it."""
        return _spec(self.store, self._record, self.place, user or self.identity)

    # -- running --------------------------------------------------------------------

    def launch(self, argv: Optional[Sequence[str]] = None, *,
               env: Optional[Mapping[str, str]] = None, cwd: Optional[str] = None,
               user: Optional[str] = None,
               entrypoint: Union[None, bool, Sequence[str]] = None,
               view_file: Optional[Union[str, Path]] = None, here: bool = False) -> launch.Launch:
        """What to execute for `argv` to run here; without it, the image's own command.

        `entrypoint` False leaves the image's entrypoint out, a list replaces it. `cwd`
        is a directory in the container; by default it is the container's, else the
        caller's own where the container shows it. `here`: it is the caller's own, and
        the program does not start where the container does not show that. `view_file` is another view of this
        container (`spec`).
        """
        who = None
        if user is not None:
            with self.view() as view:
                who = identity.resolve(view, user, self.familiar)
            if view_file is None:
                view_file = self._view_for(who)
        return launch.prepare(self.place, self._record, argv or (), environ=os.environ,
                              env=env, cwd=cwd, entrypoint=entrypoint, here=here,
                              view_file=None if view_file is None else str(view_file),
                              identity=None if who is None else who._asdict())

    def view(self) -> _native.View:
        """The container's files, for this process; use it in a `with` block."""
        return _native.View(self._at(record.VIEW))

    @property
    def environment(self) -> environment.LiveEnvironment:
        return environment.LiveEnvironment(
            lambda: self._at(record.VIEW),
            lambda: environment.of_program(self._record, os.environ, self._record["identity"]),
            self.name)

    def processes(self) -> List[processes.Process]:
        """What runs in it now, host calls among it."""
        return processes.of_container(self.place)

    @property
    def running(self) -> bool:
        return bool(self.processes())

    def stop(self, timeout: float = 10) -> bool:
        """End all that runs in it: by the image's stop signal, after `timeout` seconds by
        SIGKILL. Returns whether the signal was enough."""
        number = processes.signal_number(self._record["config"]["stop_signal"])
        return processes.end(self.processes, number=number, timeout=timeout)

    def remove(self, force: bool = False, *, timeout: float = 0) -> None:
        """Remove it with all it changed.

        Raises `ContainerRunning` while something runs in it, unless `force` says to
        kill that first, after the image's stop signal and `timeout` seconds.
        """
        self._end_all("remove", "rm", force, timeout)
        exposed.remove_all(self)
        try:
            discard(self.store, self.name)
        except ContainerUnknown:
            if not force:
                raise  # else it is as it was to be: "lpmx run" removes its own, too

    def reset(self, force: bool = False) -> None:
        """Bring its files back to what its image has. Its options, links, commands and live
        variables stay; the history of these begins anew.

        Raises `ContainerRunning` while something runs in it, unless `force` says to kill that
        first. If this is broken off, its files are as they were, or as its image has them.
        """
        from . import links
        with self.store.lock(f"reset-{self.name}"), storing(f'container "{self.name}"'):
            self._record = record.read(_containers(self.store), self.name)[1]
            self._put_in_order()
            self._end_all("reset", "reset", force)
            # Whoever opens it now waits for us, and who would start something without that,
            # by the start file, opens it first.
            record.replace(self._at(record.LIVE),
                           json.dumps(self.environment.live()).encode(), mode=0o600)
            unlink(self._at(record.START))
            try:
                self._end_all("reset", "reset", force)   # what was being started meanwhile
            except ContainerRunning:
                os.unlink(self._at(record.LIVE))
                raise
            with self.store.aside() as aside:
                with self.store.lock(f"container-{self.name}"):
                    # first: what it says of the upper must never be believed of another one
                    unlink(self._at(record.CONTROL))
                    for name in (record.UPPER, record.WORK):
                        os.rename(self._at(name), os.path.join(aside, name))
                self._repair()
                with self.view() as view:
                    _make_working_directory(view, self.options.workdir
                                            or self.record["config"]["working_dir"])
            links.restore(self)
            links.show(self)
            self._set_kept_variables()

    def _end_all(self, what: str, command: str, force: bool, timeout: float = 0) -> None:
        """What runs in it is killed, or without `force` is in the way of `what` is to be done."""
        running = self.processes()
        if running and not force:
            raise ContainerRunning(
                f'cannot {what} container "{self.name}": {_count(len(running))} in it',
                hint=f'run "lpmx stop {self.name}" first, or "lpmx {command} -f {self.name}"')
        if running and timeout > 0:
            self.stop(timeout)
        elif running:
            processes.end(self.processes, timeout=0)

    def _is_being_reset(self) -> bool:
        """Whether somebody resets it, or was killed while doing so."""
        return os.path.exists(self._at(record.LIVE)) and self._is_ours()

    def _put_in_order(self) -> None:
        """Mend what is not as its record says, or what a reset left; nobody may be resetting it."""
        if not record.is_current(self.place, self._record):
            from . import links
            self._repair()
            links.restore(self)
        self._set_kept_variables()

    def _set_kept_variables(self) -> None:
        """Set the live variables again that `reset` has kept."""
        try:
            with open(self._at(record.LIVE), "rb") as file:
                values = json.load(file)
        except (OSError, ValueError):
            return   # nobody but us writes it, and whole
        for name, value in values.items():
            if value is None:
                self.environment.unset(name)
            else:
                self.environment.set(name, value)
        unlink(self._at(record.LIVE))

    def _is_ours(self) -> bool:
        try:
            return os.stat(self.place).st_uid == os.getuid()
        except FileNotFoundError:
            return False

    # -- keeping it in order --------------------------------------------------------

    def _view_for(self, who: Identity) -> str:
        """A view file in which programs are `who`."""
        suffix = "host" if who.uid is None else f"{who.uid}.{who.gid}"
        path = self._at(f"{record.VIEW}.{suffix}")
        record.replace(path, self.spec(who).encode())
        return path

    def _repair(self) -> None:
        directory = self.place
        with self.store.lock(f"container-{self.name}"), storing(f'container "{self.name}"'):
            for name in (record.UPPER, record.WORK):
                (self.directory / name).mkdir(exist_ok=True)
            host_calls.write_view(directory, self.name, final=directory)
            for old in os.listdir(directory):
                if old.startswith(f"{record.VIEW}."):
                    unlink(self._at(old))
            self._record["made"] = record.made(directory)
            before, self._record["gpu"] = self._record.get("gpu", {}), {}
            # Under a name of its own: programs may start from the view file meanwhile.
            aside = self._at(f"{record.VIEW}.repair")
            record.replace(aside, self.spec(_maker(self.identity)).encode())
            _native.control_ensure(aside, alone=not self.processes())
            with _native.View(aside) as view:
                self._record["gpu"] = _drivers(view, self._record, directory)
            record.replace(aside, self.spec(_maker(self.identity)).encode())
            with _native.View(aside) as view:
                _make_bind_points(view, self.name)
                drivers.call_programs(view, before, self._record["gpu"])
            unlink(aside)
            record.replace(self._at(record.VIEW), self.spec().encode())
            self._record["index"] = _index_as_it_is(self.store, self._record)
            _write_record(directory, self._record)


def _refuse_in_a_copy(directory: str) -> None:
    """Refuse to make a container where only another container would see it.

    Inside one, what the kernel is told must be the host's names. A store that is
    bound there has them; one that is part of the image or of its upper has not.
    """
    for what, path in (("store", directory), ("lpmx", record.LOADER)):
        if not inside.is_hosts(path):
            raise RunFailed(f'cannot make a container in "{inside.container()}": its '
                            f"{what} is a copy that the host does not see",
                            hint='run "lpmx host lpmx ..." to use the host\'s, or bind the store'
                                 " and what lpmx is installed in, each at its own path")


def _containers(store: Store) -> str:
    """As `Store.containers`, for who is in a hurry."""
    return os.path.join(store.place, "containers")


def discard(store: Store, name: str) -> None:
    """Take the container's directory away, whole or damaged, whatever is in it."""
    record.check_name(name)
    containers = _containers(store)
    with store.aside() as staging:
        try:
            with store.keeping():
                # first: one that is left behind would speak for the next of this name
                unlink(needs_file(containers, name))
                os.rename(os.path.join(containers, name), os.path.join(staging, "container"))
        except FileNotFoundError:
            raise ContainerUnknown(f'cannot remove container "{name}": it is gone already',
                                   hint='run "lpmx ps" to see what there is') from None
        for lock in (f"container-{name}", f"reset-{name}"):
            store.lock(lock).remove()


# -- making one -----------------------------------------------------------------------


def _furnish(store: Store, image: Image, name: str, options: Options, aside: str, final: str,
             fill: Optional[Callable[[_native.View], object]]) -> dict[str, Any]:
    """Put into `aside` what a container at `final` needs, and return its record."""
    config = ImageConfig.parse(image.config)
    values = _record_of(image, config, name, options, final)
    for directory in (record.UPPER, record.WORK):
        os.mkdir(os.path.join(aside, directory))
    _native.control_create(os.path.join(aside, record.CONTROL))
    host_calls.write_view(aside, name, final=final)
    # First where it is, to look at the image and to make what the binds need.
    path = os.path.join(aside, record.VIEW)
    values["binds"] = []
    record.replace(path, _spec(store, values, aside, _ROOT).encode())
    with _native.View(path) as view:
        who = identity.resolve(view, _user(image, config, options), image.familiar)
        chosen = [*_possible(view, binds.default(live=image.live, contain=options.contain)),
                  *(_placed(view, _asked_for(bind)) for bind in options.binds)]
        values["gpu"] = _drivers(view, values, aside)
    values["identity"] = who._asdict()
    if fill is not None:
        record.replace(path, _spec(store, values, aside, _maker(who)).but(binds=()).encode())
        with _native.View(path) as view:
            fill(view)
    values["binds"] = [_listed(bind) for bind in binds.merge(chosen)]
    record.replace(path, _spec(store, values, aside, _maker(who)).encode())
    with _native.View(path) as view:
        _make_bind_points(view, name)
        _make_working_directory(view, options.workdir or config.working_dir)
        drivers.call_programs(view, {}, values["gpu"])
    record.replace(path, _spec(store, values, final, who).encode())
    values["index"] = _index_as_it_is(store, values)
    return values


def _index_as_it_is(store: Store, values: Mapping[str, Any]) -> list[Any]:
    return record.as_it_is(store.indexes.place(values["diff_ids"]))


def _maker(who: Identity) -> Identity:
    """Who makes the places of binds, as a runtime makes mount points: root, whoever the
    programs will be."""
    return who if who.uid is None else _ROOT


def _record_of(image: Image, config: ImageConfig, name: str, options: Options,
               final: str) -> dict[str, Any]:
    return {
        "version": record.VERSION,
        "name": name,
        "image": image.name,
        "familiar": image.familiar,
        "digest": image.digest,
        "config_digest": image.config_digest,
        "diff_ids": list(image.diff_ids),
        "live": image.live,
        "created": time.time(),
        "config": {
            "env": dict(config.env),
            "entrypoint": list(config.entrypoint),
            "cmd": list(config.cmd),
            "working_dir": config.working_dir,
            "user": config.user,
            "stop_signal": config.stop_signal,
        },
        "options": {**options._asdict(), "binds": [_listed(bind) for bind in options.binds],
                    "env": dict(options.env)},
        "made": record.made(final),
    }


def _drivers(view: _native.View, values: Mapping[str, Any], directory: str) -> dict[str, Any]:
    """The driver libraries for a container; a copy of this machine has them anyway."""
    if values["live"] or not values["options"]["gpu"]:
        return {}
    return drivers.inject(view, directory) if drivers.wanted() else {}


def _listed(bind: Bind) -> list[Any]:
    return [bind.host, bind.at, bind.read_only]


def _user(image: Image, config: ImageConfig, options: Options) -> str:
    """Whom to be. On a copy of this machine one is oneself: root's files are not ours."""
    if options.user is not None:
        return options.user
    return config.user or ("host" if image.live else "")


def _spec(store: Store, values: Mapping[str, Any], directory: str,
          who: Identity) -> ViewSpec:
    all_binds = binds.merge([Bind(*one) for one in values["binds"]],
                            [Bind(os.path.join(directory, host), at, read_only) for
                             host, at, read_only in values.get("gpu", {}).get("binds", ())],
                            binds.own())
    if len(all_binds) > _BINDS_LIMIT:
        raise InvalidSetting(f'cannot bind {len(all_binds)} places in container '
                             f'"{values["name"]}": {_BINDS_LIMIT} are the most we handle',
                             hint="bind a directory above several of them instead")
    index, layers = (None, ["/"]) if values["live"] else store.indexes.lower(values["diff_ids"])
    return ViewSpec(
        kind="container",
        name=values["name"],
        loader=record.LOADER,
        directory=directory,
        index=index,
        layers=layers,
        upper=os.path.join(directory, record.UPPER),
        work=os.path.join(directory, record.WORK),
        control=os.path.join(directory, record.CONTROL),
        preload=_native.preload_path() if values["options"]["preload"] else None,
        rewrite="yes" if values["options"].get("rewrite") else None,
        binds=all_binds,
        uid=who.uid,
        gid=who.gid,
        **host_calls.fields(directory),
    )


def _placed(view: _native.View, bind: Bind) -> Bind:
    return Bind(bind.host, _canonical(view, bind.at), bind.read_only)


def _possible(view: _native.View, wanted: Sequence[Bind]) -> Iterator[Bind]:
    """Those that the image has room for, and the host knows: nobody asked for them by name."""
    for bind in filter(None, map(inside.shared, wanted)):
        try:
            yield _placed(view, bind)
        except InvalidSetting:
            pass


def _asked_for(bind: Bind) -> Bind:
    shared = inside.shared(bind)
    if shared is None:
        raise InvalidSetting(f'cannot bind "{bind.host}": it is in container "{inside.container()}" '
                             "only, and not what the host has under that name",
                             hint="bind what has the same path in both, such as your home")
    return shared


def _make_bind_points(view: _native.View, name: str) -> None:
    try:
        view.make_bind_points()
    except OSError as error:
        raise RunFailed(f'cannot make the places of binds in container "{name}": '
                        f"{os.strerror(error.errno or 0).lower()}",
                        hint="leave binds out, or bind at other places") from error


def _canonical(view: _native.View, path: str) -> str:
    """`path` with the symbolic links of the image resolved, as far as it exists there."""
    known, rest = path, ""
    while known != "/":
        try:
            node = view.resolve(known, may_be_absent=True)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise InvalidSetting(f'cannot bind at "{path}": '
                                     f"{os.strerror(error.errno or 0).lower()}",
                                     hint="bind at another place") from None
            known, name = os.path.split(known)
            rest = f"/{name}{rest}"
            continue
        found = (node.path.rstrip("/") + rest) or "/"
        if rest and node.place != "absent" and not stat.S_ISDIR(node.mode):
            raise InvalidSetting(f'cannot bind at "{path}": "{known}" is no directory in this image',
                                 hint="bind at another place")
        if found == "/":
            raise InvalidSetting(f'cannot bind at "{path}": in this image it is the root directory',
                                 hint="bind at another place")
        return found
    return rest or path


def _make_working_directory(view: _native.View, path: str) -> None:
    """Have the working directory, as Docker makes an image's WORKDIR."""
    if not path:
        return
    if not path.startswith("/"):
        raise InvalidSetting(f'cannot use "{path}" as the working directory: '
                             "it is not an absolute path", hint="begin it with /")
    try:
        view.makedirs(os.path.normpath(path))
    except OSError as error:
        raise RunFailed(f'cannot make the working directory "{path}": '
                        f"{os.strerror(error.errno or 0).lower()}",
                        hint="name another with --workdir") from None


def _tell_group(containers: str, name: str, values: Mapping[str, Any]) -> None:
    """In a group's store others must see which layers a container needs, which is closed to
    them."""
    if os.stat(containers).st_mode & stat.S_IWGRP:
        write_file(needs_file(containers, name), json.dumps(
            {key: values[key] for key in ("image", "diff_ids", "config_digest")}).encode())


def _write_record(directory: str, values: Mapping[str, Any]) -> None:
    """Without its record a container cannot be used, whatever of its files a loss of power
    left; all else is made again. Of a temporary one nothing is to be left."""
    record.replace(os.path.join(directory, record.FILE), json.dumps(values, indent=1).encode(),
                   sync=not values.get("temporary"))


def _short(familiar: str) -> str:
    """A name for people from an image's: "ghcr.io/acme/solver:2.4" is "solver-2.4"."""
    last = familiar.partition("@")[0].rpartition("/")[2].replace(":", "-")
    kept = "".join(c for c in last if c.isalnum() or c in "_.-").strip("_.-")[:40]
    return kept if kept and kept.isascii() else "container"


def _exists(name: str) -> ContainerExists:
    return ContainerExists(f'cannot make container "{name}": there is one of this name',
                           hint=f'run in it with "lpmx exec {name} COMMAND", or remove it with '
                                f'"lpmx rm {name}"')


def _count(number: int) -> str:
    return "a program runs" if number == 1 else f"{number} programs run"
