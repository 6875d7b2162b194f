"""The variables of a container: where they come from, and how they change while it runs."""
from __future__ import annotations

import errno
import os

from ..errors import InvalidSetting, RunFailed
from ..light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Mapping, NoReturn, Optional

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: Variables of the host that mean the same inside.
KEPT = ("TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "NO_COLOR",
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "GPU_DEVICE_ORDINAL",
        "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR",
        "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy",
        "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
KEPT_PREFIXES = ("SLURM_", "PMI_", "PMIX_", "PALS_", "PBS_", "LSB_", "SGE_", "JOB_", "JPY_")
#: Of those, what an image has a say in: its own value, where it has one, wins.
IMAGE_FIRST = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "NO_COLOR")
#: Never handed to an image, whatever they are good for outside.
SECRET = ("SLURM_JWT", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN")
#: What the image or the container says about who its programs are, never the host.
ABOUT_USER = ("HOME", "USER", "LOGNAME")
#: The container's name, for programs that want to know where they are.
INSIDE = "LPMX_CONTAINER"
#: Where the contained `lpmx` command is; comes last in PATH.
OWN_PROGRAMS = "/.lpmx/bin"


def of_host(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the host's environment goes into a container."""
    return {name: value for name, value in environment.items()
            if (name in KEPT or name.startswith(KEPT_PREFIXES)) and name not in SECRET}


def parse(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """NAME=VALUE, or NAME for the value it has here (as `docker run -e`)."""
    name, equals, value = text.partition("=")
    if not name or "\0" in text:
        raise InvalidSetting(f'cannot use the variable "{text}": it is not NAME=VALUE',
                             hint="write, for example, -e OMP_NUM_THREADS=4")
    return name, value if equals else environment.get(name, "")


def read_file(path: str) -> dict[str, str]:
    """The variables of an env file: NAME=VALUE lines, # comments (as `docker run --env-file`)."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise InvalidSetting(f'cannot read the variables in "{path}": '
                             f"{os.strerror(error.errno or 0).lower()}",
                             hint="name a readable file") from None
    except ValueError:
        raise InvalidSetting(f'cannot read the variables in "{path}": it is not text',
                             hint="name a file of NAME=VALUE lines") from None
    return dict(parse(line, os.environ) for line in (text.strip() for text in lines)
                if line and not line.startswith("#"))


class Variable(NamedTuple):
    """One variable of a container; `value` is None if it was unset."""

    name: str
    value: Optional[str]
    origin: str


def of_program(record: Mapping[str, Any], environ: Mapping[str, str],
               identity: Mapping[str, Any]) -> dict[str, Variable]:
    """What a program of the container starts with, before live values.

    `environ` is the environment of whoever starts it. The host's values of what a
    batch system or a terminal decides win over the image's, the image's over the
    host's where they are a matter of its content, and what was asked for when the
    container was made over both. A copy of this machine gets the host's environment.
    """
    variables: dict[str, Variable] = {}

    def put(name: str, value: str, origin: str) -> None:
        variables[name] = Variable(name, value, origin)

    put("PATH", DEFAULT_PATH, "default")
    put("HOME", identity["home"], "default")
    for name in ("USER", "LOGNAME"):
        put(name, identity["name"], "default")
    for name, value in _from_outside(record, environ):
        put(name, value, "host")
    for name, value in record["config"]["env"].items():
        origin = variables[name].origin if name in variables else ""
        if origin != "host" or name in IMAGE_FIRST:
            put(name, value, "image")
    for name, value in record["options"]["env"].items():
        put(name, value, "container")
    libraries = (record.get("gpu") or {}).get("library_path")
    if libraries:
        before = variables.get("LD_LIBRARY_PATH")
        put("LD_LIBRARY_PATH", f"{libraries}:{before.value}" if before and before.value
            else libraries, before.origin if before else "gpu")
    path = variables["PATH"]
    if OWN_PROGRAMS not in (path.value or "").split(":"):
        put("PATH", f"{path.value}:{OWN_PROGRAMS}" if path.value else OWN_PROGRAMS, path.origin)
    put(INSIDE, record["name"], "default")
    return variables


def _from_outside(record: Mapping[str, Any],
                  environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    kept = environ if record["live"] else of_host(environ)
    for name, value in kept.items():
        if name not in ABOUT_USER and name not in SECRET:
            yield name, value


class Change(NamedTuple):
    """One change of a live variable: `time` in seconds since 1970, `pid` of who made it;
    `value` is None if the variable was unset."""

    time: float
    pid: int
    name: str
    value: Optional[str]


class LiveEnvironment:
    """The variables that were changed while the container ran.

    A change is seen at once by everything that runs in it (native/core/environment.c).
    """

    def __init__(self, view_file: Callable[[], str], base: Callable[[], dict[str, Variable]],
                 name: str) -> None:
        self._view_file = view_file
        self._base = base
        self._name = name

    def set(self, name: str, value: str) -> None:
        """Give `name` a value for everything that runs in the container."""
        self._change(name, value)

    def unset(self, name: str) -> None:
        """Take `name` away."""
        self._change(name, None)

    def _change(self, name: str, value: Optional[str]) -> None:
        from .. import _native
        if "\0" in name or "\0" in (value or ""):
            self._refuse(name, "there is a NUL byte in it", "leave it out")
        with _native.View(self._view_file()) as view:
            try:
                if value is None:
                    view.environment_unset(name)
                else:
                    view.environment_set(name, value)
            except ValueError:
                self._refuse(name, "that cannot be the name of a variable",
                             "use letters, digits and underscores, and not LPMX_ in front")
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                raise RunFailed(f'cannot change "{name}" in container "{self._name}": '
                                "the container has no room for more changes",
                                hint="stop what runs in it and make a new container") from error

    def _refuse(self, name: str, cause: str, hint: str) -> NoReturn:
        raise InvalidSetting(f'cannot change "{name}" in container "{self._name}": {cause}',
                             hint=hint)

    def live(self) -> dict[str, Optional[str]]:
        """Only what was changed; None for what was unset."""
        from .. import _native
        with _native.View(self._view_file()) as view:
            return view.environment_list()

    def history(self) -> "list[Change]":
        """All changes, oldest first, since the control page was made: it is made again when
        the machine was booted."""
        from .. import _native
        with _native.View(self._view_file()) as view:
            return [Change(*one[1:]) for one in view.environment_history()]

    def load(self, values: Mapping[str, str]) -> None:
        """Give all of `values` to what runs in the container, one after the other."""
        for name, value in values.items():
            self.set(name, value)

    def list(self) -> "list[Variable]":
        """Every variable a new program gets, with its origin, by name."""
        variables = self._base()
        for name, value in self.live().items():
            variables[name] = Variable(name, value, "live")
        return [variables[name] for name in sorted(variables)]
