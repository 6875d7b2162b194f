"""The kernel view: a container's files, plus the host's own Python for one process.

An image without a Python of its own still gets a notebook. The interpreter, its
standard library and packages appear at the paths they have on the host, read-only,
and only to that interpreter; shared libraries and the ELF loader come straight from
the host (native/loader/begin.c). All other files are the container's, and a program
that the kernel executes is back in the container's plain view.
"""
from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import os
import site
import sys
import sysconfig
from pathlib import Path
from typing import Iterable, Iterator

from lpmx_runtime._native import View
from lpmx_runtime.container.binds import merge
from lpmx_runtime.container.spec import Bind, ViewSpec
from lpmx_runtime.errors import KernelFailed

from . import support

#: Prefixes that hold much more than Python: of these only Python's own parts are shown.
_SHARED_PREFIXES = ("/", "/usr", "/usr/local")
_PACKAGES = ("site-packages", "dist-packages")


def executable() -> str:
    """This Python, as it was started: a virtual environment is found by that name."""
    return sys.executable


def program() -> str:
    """The file that the kernel executes for it."""
    return os.path.realpath(sys.executable)


def check() -> None:
    """Raise `KernelFailed` if this Python cannot run a kernel."""
    if not sys.executable:
        raise KernelFailed("cannot run this Python as a kernel: it does not know where it is",
                           hint="start Jupyter by the full path of its program")
    if importlib.util.find_spec("ipykernel") is None:
        raise KernelFailed(f'cannot run "{sys.executable}" as a kernel: it has no ipykernel',
                           hint=f'run "{sys.executable} -m pip install ipykernel"')


def has_debugger() -> bool:
    """Whether debugpy, which JupyterLab's debugger needs, is installed."""
    return importlib.util.find_spec("debugpy") is not None


def encrypts() -> bool:
    """Whether the connections of this Python's ipykernel can be encrypted."""
    try:
        return support.encrypts(importlib.metadata.version("ipykernel"))
    except importlib.metadata.PackageNotFoundError:
        return False


def packages_elsewhere() -> list[str]:
    """Directories of packages that this Python finds through the user's home, which
    is another one inside."""
    if not site.ENABLE_USER_SITE:
        return []
    place = site.getusersitepackages()
    return [place] if os.path.isdir(place) else []


def host_paths() -> list[str]:
    """What of the host this Python is made of: files and directories."""
    paths = [*_chain(sys.executable)]
    for prefix in (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix):
        if os.path.normpath(prefix) not in _SHARED_PREFIXES:
            paths.append(os.path.normpath(prefix))
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix,
            "installed_base": sys.base_prefix, "installed_platbase": sys.base_exec_prefix}
    for name in ("stdlib", "platstdlib"):
        place = sysconfig.get_path(name, vars=base)
        if place:
            paths.append(os.path.normpath(place))
    paths += _libc_data()
    # Not all of sys.path: its first may be the notebook's folder, which must stay writable.
    paths += [place for place in sys.path if os.path.basename(place) in _PACKAGES]
    found = [path for path in dict.fromkeys(paths)
             if path not in _SHARED_PREFIXES and os.path.exists(path)]
    return [path for path in found
            if not any(path.startswith(above + "/") for above in found if os.path.isdir(above))]


def _libc_data() -> list[str]:
    """What libc reads that only fits itself: locales and character set converters.

    The interpreter's libc is the host's; the image may have none, or those of another
    version.
    """
    found = ["/usr/lib/locale"]
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return found
    libc = {line.split(maxsplit=5)[5] for line in maps.splitlines() if "/libc.so." in line}
    return found + [f"{os.path.dirname(path)}/gconv" for path in sorted(libc)]


def _chain(path: str) -> Iterator[str]:
    """`path` and every link on the way to the file it means."""
    for _ in range(40):
        yield path
        if not os.path.islink(path):
            return
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))


def make(container: ViewSpec, view_file: Path, root: View) -> ViewSpec:
    """The kernel view over the container view `container`, which lies at `view_file`.

    `root` is that view opened with root's identity: the directories above Python's
    own are made in it where the image has none.
    """
    binds = [Bind(os.path.realpath(path) if os.path.isdir(path) else path,
                  place(root, path), True) for path in host_paths()]
    return container.but(kind="kernel", program=place(root, program()),
                   container=view_file, binds=merge(container.binds, binds))


def place(root: View, path: str) -> str:
    """Where `path` is in the view: its directories are made, their links resolved."""
    above, name = os.path.split(path)
    try:
        root.makedirs(above)
        return root.resolve(above).path.rstrip("/") + "/" + name
    except OSError as error:
        if error.errno == errno.EROFS:
            return path  # below a bind that is read-only: it shows what the host has
        raise KernelFailed(f'cannot show the host\'s Python in the container: "{above}" '
                           f"cannot be made: {os.strerror(error.errno or 0).lower()}",
                           hint="use an image with a Python and ipykernel of its own") from error


def place_all(root: View, binds: Iterable[Bind]) -> list[Bind]:
    """`binds`, each where the view can show it."""
    return [bind._replace(at=place(root, bind.at)) for bind in binds]
