"""Which kernels an image has, and which of them a notebook gets.

An image's own kernels are found as Jupyter would find them inside it: by the
kernel specs of its system, of each conda or virtual environment and of root's
home. A Python that has ipykernel but no spec counts, too. Where there is none, the
image's Python runs the notebook with a support layer (support.py); where it has no
Python that fits, or no such layer is in the store, the host's Python does in a kernel
view (kernelview.py). On a copy of this machine, the image `host`, that Python is simply
there.
"""
from __future__ import annotations

import errno
import json
import os
import re
import stat
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Optional, Sequence

from lpmx_runtime._native import View
from lpmx_runtime.container.environment import DEFAULT_PATH
from lpmx_runtime.errors import KernelFailed

from . import kernelview, pythons
from .pythons import Python, Unfit
from .support import Layer, best

#: Names of kernels that are not the image's own.
HOST_PYTHON = "host-python"
IMAGE_PYTHON = "image-python"
#: What a kernel spec says of a kernel whose connections can be encrypted, and by what.
ENCRYPTION, CURVE = "supported_encryption", "curve"
#: Their kinds.
OWN, VIEWED, SUPPORTED, HOSTS = "image", "kernel view", "support layer", "host"

_LAUNCHER = "/.lpmx/python/lpmx_kernel.py"
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
#: What it is called when there is nothing, or nothing for the kernel's user.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
           errno.EACCES)
_PYTHON_DIRECTORY = re.compile(r"python3\.\d+t?\Z")


@dataclass(frozen=True)
class Kernel:
    """A kernel that a container of the image can run.

    `argv` has {connection_file} where the file goes. `kind` is "image" for one that
    runs on what the image has, "support layer" for the image's Python with ours,
    "kernel view" for the host's Python in the container's files, "host" for this
    machine's Python in a copy of this machine. `place` is what people are told about where
    it was found, `why` why it is not a better one ("" where nothing has to be said),
    `logos` maps file names to where the image has them. `python` is the image's Python
    that runs it, or would if there were a `layer` for it.
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
    why: str = ""
    python: Optional[Python] = None
    layer: Optional[Layer] = None

    @property
    def description(self) -> str:
        """For `%lpmx info` and banners."""
        if self.kind == OWN:
            return f'the image\'s own kernel "{self.name}" ({self.place})'
        if self.kind == SUPPORTED:
            return f"the image's own Python ({self.place}) with a support layer"
        if self.kind == HOSTS:
            return f"this machine's Python ({self.place})"
        return f"the host's Python ({self.place}) in a kernel view"

    @property
    def encrypts(self) -> bool:
        """Whether its kernel spec says that its connections can be encrypted."""
        said = self.metadata.get(ENCRYPTION)
        words = said if isinstance(said, (list, tuple)) else [said]
        return CURVE in [str(word).strip().lower() for word in words]


@dataclass(frozen=True)
class Offer:
    """A kernel that an image could have: whether it is one of those that it gets when
    nobody says otherwise, and why that is so."""

    kernel: Kernel
    chosen: bool
    why: str


def offers(view: View, variables: Mapping[str, str], *, live: bool = False,
           layers: Sequence[Layer] = ()) -> list[Offer]:
    """All kernels that can be had for the container or image behind `view`, the one to
    take first.

    `variables` are those of the image config, `live` is for a copy of this machine,
    `layers` are the support layers that there are.
    """
    own = _own(view, variables)
    found = [Offer(kernel, True, "it has a kernel spec of its own" if kernel.place != kernel.argv[0]
                   else "it has ipykernel, and no kernel spec") for kernel in own]
    if live:
        found.insert(0, Offer(host_python(live=True), True, "the image is this machine"))
        return _distinct(found)
    lacking, python = "", None
    if not any(kernel.language.lower() == "python" for kernel in own):
        try:
            kernel = _image_python(view, variables, layers)
        except Unfit as cause:
            lacking = str(cause)
        else:
            chosen = not own and kernel.layer is not None
            found.append(Offer(kernel, chosen, "it has Python and no ipykernel; "
                               + (f"{_layer_name(kernel.layer)} has that" if kernel.layer
                                  else "there is no support layer that fits")))
            if not chosen and not own:
                python = kernel.python
                lacking = (f"there is no support layer for its {kernel.place}; "
                           '"lpmx kernel install" makes one where there is a network')
    chosen = not any(offer.chosen for offer in found)
    try:
        found.append(Offer(host_python(live=False, why=lacking, python=python), chosen,
                           lacking if chosen else "the host's Python runs in any image"))
    except KernelFailed:
        if chosen:
            raise
    return _distinct(found)


def find(view: View, variables: Mapping[str, str], *, live: bool = False,
         layers: Sequence[Layer] = ()) -> list[Kernel]:
    """The kernels that it gets when nobody says otherwise."""
    return [offer.kernel for offer in offers(view, variables, live=live, layers=layers)
            if offer.chosen]


def choose(view: View, variables: Mapping[str, str], wanted: str, *, image: str,
           live: bool = False, layers: Sequence[Layer] = ()) -> Kernel:
    """The kernel `wanted` by name; "" for the first that `find` has."""
    if wanted == HOST_PYTHON:
        return host_python(live=live)
    found = offers(view, variables, live=live, layers=layers)
    if not wanted:
        return next(offer.kernel for offer in found if offer.chosen)
    for offer in found:
        if offer.kernel.name == wanted:
            if offer.kernel.kind == SUPPORTED and offer.kernel.layer is None:
                raise KernelFailed(f'cannot start kernel "{wanted}": {offer.why}',
                                   hint=f'run "lpmx kernel install {image}", or "lpmx load" what '
                                        '"lpmx kernel bundle" wrote')
            return offer.kernel
    raise KernelFailed(f'cannot start kernel "{wanted}": image "{image}" has no kernel of this name',
                       hint=f"it has {', '.join(offer.kernel.name for offer in found)}; run "
                            f'"lpmx kernel install {image}" again')


def _own(view: View, variables: Mapping[str, str]) -> list[Kernel]:
    """The kernels that the image itself has, those for Python first."""
    found = [*_of_specs(view, variables)]
    known = {kernel.argv[0] for kernel in found if _is_ipykernel(kernel.argv)}
    found += [kernel for kernel in _without_spec(view, variables) if kernel.argv[0] not in known]
    found.sort(key=lambda kernel: kernel.language.lower() != "python")
    return found


def command(kernel: Kernel, variables: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The words and variables to start `kernel` with; an ipykernel loads `%lpmx` by itself.

    Its directory comes by PYTHONPATH. The extension puts that back to what it would
    have been, which LPMX_PYTHONPATH says, before a cell can see it.
    """
    if kernel.kind == SUPPORTED:
        return (*kernel.argv, f"--ext={_EXTENSION}"), dict(kernel.env)
    if not _is_ipykernel(kernel.argv):
        return kernel.argv, dict(kernel.env)
    own = kernel.env.get("PYTHONPATH", variables.get("PYTHONPATH", ""))
    parts = [_MAGIC_PATH, own]
    if kernel.kind != OWN:
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
                      kind=OWN, place=folder,
                      env={str(key): str(value) for key, value in (values.get("env") or {}).items()},
                      interrupt_mode=_interrupt_mode(values),
                      metadata=metadata if isinstance(metadata, dict) else {},
                      logos={logo: f"{folder}/{logo}" for logo in _LOGOS
                             if _is_logo(view, f"{folder}/{logo}")})
    except OSError as error:
        _none(view, f"{folder}/kernel.json", error)
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # as Jupyter does with a spec that it cannot read


def _is_logo(view: View, path: str) -> bool:
    try:
        found = view.stat(path)
        return stat.S_ISREG(found.st_mode) and found.st_size <= _SPEC_LIMIT \
            and bool(view.read(path, 1))
    except OSError:
        return False


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
                         kind=OWN, place=program)


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


def _image_python(view: View, variables: Mapping[str, str], layers: Sequence[Layer]) -> Kernel:
    """The image's Python with what of `layers` fits it; raises `Unfit` where it has none."""
    first: Optional[Unfit] = None
    directories = dict.fromkeys([*_search_path(variables),
                                 *(f"{prefix}/bin" for prefix in _prefixes(view, variables))])
    for program in (f"{directory}/{name}" for directory in directories
                    for name in ("python3", "python")):
        if not _executable(view, program):
            continue
        try:
            python = pythons.look(view, program)
        except Unfit as cause:
            first = first or cause
            continue
        layer = best(layers, python)
        return Kernel(name=IMAGE_PYTHON, display_name="Python 3", language="python",
                      argv=(program, _LAUNCHER, "-f", "{connection_file}"), kind=SUPPORTED,
                      place=f"{program}, {python.described}", python=python, layer=layer,
                      metadata=_abilities(layer.has_debugger, layer.encrypts) if layer else {})
    raise first or Unfit("the image has no Python")


def _abilities(debugger: bool, encrypts: bool) -> dict[str, Any]:
    """What the kernel spec of an ipykernel says that it can."""
    return {**({"debugger": True} if debugger else {}), **({ENCRYPTION: [CURVE]} if encrypts else {})}


def _layer_name(layer: Layer) -> str:
    return f'the support layer "{layer.image.familiar}"'


def host_python(*, live: bool, why: str = "", python: Optional[Python] = None) -> Kernel:
    """The kernel that runs on the Python we run on, and not on `python`, for which it stands in."""
    kernelview.check()
    program = kernelview.executable()
    return Kernel(name=HOST_PYTHON, display_name="Python 3", language="python",
                  argv=(program, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
                  kind=HOSTS if live else VIEWED, place=program, why=why, python=python,
                  metadata=_abilities(kernelview.has_debugger(), kernelview.encrypts()))


# -- looking around in an image ---------------------------------------------------------


def _search_path(variables: Mapping[str, str]) -> list[str]:
    text = variables.get("PATH") or DEFAULT_PATH
    return [part.rstrip("/") for part in text.split(os.pathsep) if part.startswith("/")]


def _none(view: View, path: str, error: OSError) -> None:
    """Nothing is at `path` for the kernel's user; raises `KernelFailed` if that cannot be known."""
    if error.errno in _ABSENT:
        return
    bound = _bound(view, path)
    raise KernelFailed(
        f'cannot look for kernels in "{path}" of the {"host" if bound else "image"}: '
        f"{os.strerror(error.errno or 0).lower()}",
        hint=f'see whether what is mounted below "{bound}" answers on the host' if bound else
             'see whether the store can be read: run "lpmx verify"') from error


def _bound(view: View, path: str) -> str:
    """The nearest directory of the host that shows in the view above `path`; "" if that is a
    directory of the image."""
    while path != "/":
        path = os.path.dirname(path)
        try:
            node = view.resolve(path)
        except OSError:
            continue  # what is dead is no more than its name
        return node.host if node.place == "bind" else ""
    return ""


def _names(view: View, directory: str) -> list[str]:
    try:
        return sorted(view.listdir(directory))
    except OSError as error:
        _none(view, directory, error)
        return []


def _canonical(view: View, path: str) -> Optional[str]:
    try:
        return view.resolve(path).path
    except OSError as error:
        _none(view, path, error)
        return None


def _executable(view: View, path: str) -> bool:
    try:
        mode = view.stat(path).st_mode
    except OSError as error:
        _none(view, path, error)
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def _distinct(found: Sequence[Offer]) -> list[Offer]:
    """One kernel a name; of several that share one, the first, as Jupyter does."""
    return list({offer.kernel.name: offer for offer in reversed(found)}.values())[::-1]
