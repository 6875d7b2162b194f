"""Which kernels an image has, and which of them a notebook gets.

An image's own kernels are found as Jupyter would find them inside it: by the
kernel specs of its system, of each conda or virtual environment and of root's
home. A Python that has ipykernel but no spec counts, too. Where there is none, the
host's Python runs the notebook in a kernel view (kernelview.py); on a copy of this
machine, the image `host`, that Python is simply there.
"""
from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Optional, Sequence

from lpmx_runtime._native import View
from lpmx_runtime.container.environment import DEFAULT_PATH
from lpmx_runtime.errors import KernelFailed

from . import kernelview

#: Names of kernels that are not the image's.
HOST_PYTHON = "host-python"

_MAGIC_PATH = "/.lpmx/python"
_EXTENSION = "lpmx_contained"
_LOGOS = ("logo-svg.svg", "logo-64x64.png")
_SPEC_LIMIT = 1 << 20
_SYSTEM_PREFIXES = ("/usr", "/usr/local")
#: Directories that may hold prefixes, and directories that may be one.
_ABOVE_PREFIXES = ("/opt", "/opt/conda/envs", "/root/.virtualenvs", "/root/miniconda3/envs",
                   "/srv", "/srv/conda/envs")
_LIKELY_PREFIXES = ("/venv", "/.venv", "/env", "/conda", "/root/miniconda3", "/root/.venv",
                    "/app/.venv", "/srv/conda")
_PYTHON_DIRECTORY = re.compile(r"python3\.\d+t?\Z")


@dataclass(frozen=True)
class Kernel:
    """A kernel that a container of the image can run.

    `argv` has {connection_file} where the file goes. `kind` is "image" for one that
    runs on what the image has, "kernel view" for the host's Python in the container's
    files, "host" for this machine's Python in a copy of this machine. `place` is what
    people are told about where it was found, `logos` maps file names to where the
    image has them.
    """

    name: str
    display_name: str
    language: str
    argv: tuple[str, ...]
    kind: str
    place: str
    env: Mapping[str, str] = field(default_factory=dict)
    interrupt_mode: str = "signal"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    logos: Mapping[str, str] = field(default_factory=dict)

    @property
    def description(self) -> str:
        """For `%lpmx info` and banners."""
        if self.kind == "image":
            return f'the image\'s own kernel "{self.name}" ({self.place})'
        if self.kind == "host":
            return f"this machine's Python ({self.place})"
        return f"the host's Python ({self.place}) in a kernel view"


def find(view: View, variables: Mapping[str, str], *, live: bool = False) -> list[Kernel]:
    """All kernels for the container or image behind `view`, the one to take first.

    `variables` are those of the image config, `live` is for a copy of this machine.
    """
    found = [*_of_specs(view, variables)]
    known = {kernel.argv[0] for kernel in found if _is_ipykernel(kernel.argv)}
    found += [kernel for kernel in _without_spec(view, variables) if kernel.argv[0] not in known]
    found.sort(key=lambda kernel: kernel.language.lower() != "python")
    if live:
        found.insert(0, host_python(live=True))
    elif not found:
        found.append(host_python(live=False))
    return _distinct(found)


def choose(view: View, variables: Mapping[str, str], wanted: str, *, image: str,
           live: bool = False) -> Kernel:
    """The kernel `wanted` by name; "" for the first that `find` has."""
    if wanted == HOST_PYTHON:
        return host_python(live=live)
    found = find(view, variables, live=live)
    if not wanted:
        return found[0]
    for kernel in found:
        if kernel.name == wanted:
            return kernel
    raise KernelFailed(f'cannot start kernel "{wanted}": image "{image}" has no kernel of this name',
                       hint=f"it has {', '.join(kernel.name for kernel in found)}; run "
                            f'"lpmx kernel install {image}" again')


def command(kernel: Kernel, variables: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The words and variables to start `kernel` with; an ipykernel loads `%lpmx` by itself.

    Its directory comes by PYTHONPATH. The extension puts that back to what it would
    have been, which LPMX_PYTHONPATH says, before a cell can see it.
    """
    if not _is_ipykernel(kernel.argv):
        return kernel.argv, dict(kernel.env)
    own = kernel.env.get("PYTHONPATH", variables.get("PYTHONPATH", ""))
    parts = [_MAGIC_PATH, own]
    if kernel.kind != "image":
        parts += kernelview.packages_elsewhere()
    found = {**kernel.env, "PYTHONPATH": os.pathsep.join(filter(None, parts)),
                 "LPMX_PYTHONPATH": own}
    return (*kernel.argv, f"--ext={_EXTENSION}"), found


# -- kernel specs -------------------------------------------------------------------


def _of_specs(view: View, variables: Mapping[str, str]) -> Iterator[Kernel]:
    for prefix, data in _data_directories(view, variables):
        above = f"{data}/kernels"
        for name in _names(view, above):
            kernel = _of_spec(view, variables, prefix, f"{above}/{name}", name)
            if kernel is not None:
                yield kernel


def _of_spec(view: View, variables: Mapping[str, str], prefix: str, folder: str,
             name: str) -> Optional[Kernel]:
    """The kernel that a spec folder describes; None for one that could not run."""
    try:
        values = json.loads(view.read(f"{folder}/kernel.json", _SPEC_LIMIT))
        argv = [str(word) for word in values["argv"]]
        program = argv and _program(view, variables, prefix, argv[0])
        if not program:
            return None
        metadata = values.get("metadata")
        return Kernel(name=name.lower(), display_name=str(values.get("display_name") or name),
                      language=str(values.get("language") or ""), argv=(program, *argv[1:]),
                      kind="image", place=folder,
                      env={str(key): str(value) for key, value in (values.get("env") or {}).items()},
                      interrupt_mode=_interrupt_mode(values),
                      metadata=metadata if isinstance(metadata, dict) else {},
                      logos={logo: f"{folder}/{logo}" for logo in _LOGOS
                             if view.exists(f"{folder}/{logo}")})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # as Jupyter does with a spec that it cannot read


def _interrupt_mode(values: Mapping[str, Any]) -> str:
    return "message" if values.get("interrupt_mode") == "message" else "signal"


def _program(view: View, variables: Mapping[str, str], prefix: str, word: str) -> Optional[str]:
    """Where the first word of a spec's argv leads, for a spec found in `prefix`.

    "python" means that of the spec's own environment, as it does for Jupyter.
    """
    if "/" in word:
        return word if _executable(view, word) else None
    directories = [f"{prefix}/bin", *_search_path(variables)]
    names = [word, "python3"] if word == "python" else [word]
    for name in names:
        for directory in directories:
            if _executable(view, f"{directory}/{name}"):
                return f"{directory}/{name}"
    return None


def _data_directories(view: View, variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(prefix, Jupyter data directory) pairs, the nearer ones first."""
    seen: set[str] = set()
    for home in _homes(variables):
        yield f"{home}/.local", f"{home}/.local/share/jupyter"
    for variable in ("JUPYTER_DATA_DIR", "JUPYTER_PATH"):
        for place in filter(None, variables.get(variable, "").split(os.pathsep)):
            yield os.path.dirname(os.path.dirname(place)), place
    for prefix in _prefixes(view, variables):
        canonical = _canonical(view, f"{prefix}/share/jupyter")
        if canonical is not None and canonical not in seen:
            seen.add(canonical)
            yield prefix, f"{prefix}/share/jupyter"


def _homes(variables: Mapping[str, str]) -> list[str]:
    return list(dict.fromkeys(filter(None, (variables.get("HOME"), "/root"))))


def _prefixes(view: View, variables: Mapping[str, str]) -> list[str]:
    """Where software is installed: what PATH says first, then the usual places."""
    found = [os.path.dirname(directory) for directory in _search_path(variables)
             if os.path.basename(directory) == "bin"]
    found += [variables[name] for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DIR")
              if variables.get(name, "").startswith("/")]
    found += _LIKELY_PREFIXES
    for above in _ABOVE_PREFIXES:
        found += [f"{above}/{name}" for name in _names(view, above)]
    found += [prefix for prefix in _SYSTEM_PREFIXES]
    own = [prefix for prefix in found if prefix not in ("", "/")]
    # A container of an environment's own is preferred to the system's, wherever PATH has it.
    own.sort(key=lambda prefix: prefix in _SYSTEM_PREFIXES)
    return list(dict.fromkeys(own))


# -- Pythons with ipykernel, but no spec ------------------------------------------------


def _without_spec(view: View, variables: Mapping[str, str]) -> Iterator[Kernel]:
    for prefix in _prefixes(view, variables):
        program = next((f"{prefix}/bin/{name}" for name in ("python3", "python")
                        if _executable(view, f"{prefix}/bin/{name}")), None)
        if program is not None and _has_ipykernel(view, prefix):
            yield Kernel(name="python3", display_name="Python 3", language="python",
                         argv=(program, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
                         kind="image", place=program)


def _has_ipykernel(view: View, prefix: str) -> bool:
    places = [f"{prefix}/lib/python3/dist-packages"]
    for name in _names(view, f"{prefix}/lib"):
        if _PYTHON_DIRECTORY.match(name):
            places += [f"{prefix}/lib/{name}/site-packages", f"{prefix}/lib/{name}/dist-packages"]
    return any(view.exists(f"{place}/ipykernel/__init__.py") for place in places)


def _is_ipykernel(argv: Sequence[str]) -> bool:
    words = list(argv)
    return any(words[at:at + 2] in (["-m", "ipykernel_launcher"], ["-m", "ipykernel"])
               for at in range(len(words)))


def host_python(*, live: bool) -> Kernel:
    """The kernel that runs on the Python we run on."""
    kernelview.check()
    program = kernelview.executable()
    return Kernel(name=HOST_PYTHON, display_name="Python 3", language="python",
                  argv=(program, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
                  kind="host" if live else "kernel view", place=program,
                  metadata={"debugger": True} if kernelview.has_debugger() else {})


# -- looking around in an image ---------------------------------------------------------


def _search_path(variables: Mapping[str, str]) -> list[str]:
    text = variables.get("PATH") or DEFAULT_PATH
    return [part.rstrip("/") for part in text.split(os.pathsep) if part.startswith("/")]


def _names(view: View, directory: str) -> list[str]:
    try:
        return sorted(view.listdir(directory))
    except OSError:
        return []


def _canonical(view: View, path: str) -> Optional[str]:
    try:
        return view.resolve(path).path
    except OSError:
        return None


def _executable(view: View, path: str) -> bool:
    try:
        mode = view.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def _distinct(kernels: Sequence[Kernel]) -> list[Kernel]:
    """One kernel a name; of several that share one, the first, as Jupyter does."""
    return list({kernel.name: kernel for kernel in reversed(kernels)}.values())[::-1]
