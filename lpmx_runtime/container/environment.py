"""The variables of a container: where they come from, and how they change while it runs."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Mapping, Optional

from .. import _native
from ..errors import InvalidSetting

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: Variables of the host that mean the same inside.
KEPT = ("TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME", "NO_COLOR",
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "GPU_DEVICE_ORDINAL",
        "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR",
        "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy",
        "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
KEPT_PREFIXES = ("SLURM_", "PMI_", "PMIX_", "PALS_", "PBS_", "LSB_", "SGE_", "JOB_", "JPY_")
#: Never handed to an image, whatever they are good for outside.
SECRET = ("SLURM_JWT", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN")


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


def read_file(path: Path) -> dict[str, str]:
    """The variables of an env file: NAME=VALUE lines, # comments (as `docker run --env-file`)."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InvalidSetting(f'cannot read the variables in "{path}": '
                             f"{os.strerror(error.errno or 0).lower()}",
                             hint="name a readable file") from None
    return dict(parse(line, os.environ) for line in (text.strip() for text in lines)
                if line and not line.startswith("#"))


@dataclass(frozen=True)
class Variable:
    """One variable of a container; `value` is None if it was unset."""

    name: str
    value: Optional[str]
    origin: str


class LiveEnvironment:
    """The variables that were changed while the container ran.

    A change is seen at once by everything that runs in it (native/core/environment.c).
    """

    def __init__(self, view_file: Callable[[], Path], base: Callable[[], dict[str, Variable]],
                 name: str) -> None:
        self._view_file = view_file
        self._base = base
        self._name = name

    def _checked(self, name: str) -> InvalidSetting:
        return InvalidSetting(f'cannot set "{name}" in container "{self._name}": '
                              "that cannot be the name of a variable",
                              hint="use letters, digits and underscores")

    def set(self, name: str, value: str) -> None:
        """Give `name` a value for everything that runs in the container."""
        with _native.View(self._view_file()) as view:
            try:
                view.environment_set(name, value)
            except ValueError:
                raise self._checked(name) from None

    def unset(self, name: str) -> None:
        """Take `name` away."""
        with _native.View(self._view_file()) as view:
            try:
                view.environment_unset(name)
            except ValueError:
                raise self._checked(name) from None

    def live(self) -> dict[str, Optional[str]]:
        """Only what was changed; None for what was unset."""
        with _native.View(self._view_file()) as view:
            return view.environment_list()

    def list(self) -> list[Variable]:
        """Every variable a new program gets, with its origin, by name."""
        variables = self._base()
        for name, value in self.live().items():
            variables[name] = Variable(name, value, "live")
        return [variables[name] for name in sorted(variables)]
