"""Making a support layer: wheels from the package index, unpacked and compiled.

pip of this Python downloads them, for the image's Python, so that its own configuration
decides where from. pip judges by the Python that runs it which packages a package needs;
what the image's needs besides is asked for until nothing is missing. The layer is compiled,
and tried out, by the image's Python itself. Only wheels are taken: nothing is built.
"""
from __future__ import annotations

import email.message
import email.parser
import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
import uuid
import zipfile
from pathlib import Path
from typing import BinaryIO, Mapping, Sequence, cast

from lpmx_runtime.container import Bind
from lpmx_runtime.errors import KernelFailed
from lpmx_runtime.image.found import make_manifest
from lpmx_runtime.image.record import all_or_nothing, record
from lpmx_runtime.oci.reference import Reference
from lpmx_runtime.progress import Sink, TaskFinished, TaskStarted, ignore
from lpmx_runtime.store import Store
from packaging.markers import UndefinedComparison
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from . import pythons, support
from .pythons import Python, dotted
from .session import KernelSession, Settings

#: What the layer is for; all else follows from it.
_WANTED = "ipykernel"
#: What pip's older names for glibc mean (PEP 600).
_NAMED = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
_ROUNDS = 8
#: An index that cannot be reached is soon given up.
_RETRIES = 2
_ABOUT_OURS = ("PIP_CONSTRAINT", "PIP_REQUIRE_VIRTUALENV", "PIP_TARGET", "PIP_USER", "PIP_PREFIX",
               "PYTHONPATH")
_LAST_LINES = 3
_WHEEL_MUSL = re.compile(r"musllinux_1_(\d+)_")
_METADATA_LIMIT = 4 << 20
#: All files are as old as a zip can say: the same wheels give the same layer.
_MTIME = 315532800
#: Run by the image's Python with the layer's place. Of the way in which a compiled file is
#: told from a stale one, that which needs no times came with 3.7.
_COMPILE = """
import compileall, sys
place = sys.argv[1]
options = {}
if sys.version_info >= (3, 7):
    import py_compile
    options["invalidation_mode"] = py_compile.PycInvalidationMode.UNCHECKED_HASH
compileall.compile_dir(place, quiet=2, force=True, **options)
sys.path.insert(0, place)
import ipykernel.kernelapp
"""


def build(store: Store, python: Python, settings: Settings, *,
          progress: Sink = ignore) -> support.Layer:
    """Make the support layer for `python` of the image and container of `settings`.

    Raises `KernelFailed` if its wheels cannot be had, or do not run there. Of two who make
    the same one at once both get one that works, and the second name stays.
    """
    task = "wheels"
    progress(TaskStarted(task, f"wheels for {python.described}", unit="packages"))
    with store.staging() as staging:
        wheels = _fetch(python, staging)
        tree = staging / "tree"
        tree.mkdir()
        for wheel in wheels:
            _unpack(wheel, tree)
        libc_version = _libc_needed(python, wheels)
        _compile(python, settings, tree)
        layer = _record(store, python, libc_version, wheels, tree, staging)
    progress(TaskFinished(task, f"{len(wheels)} packages"))
    return layer


def _failing(python: Python) -> str:
    return f"cannot make the support layer for {python.described}"


# -- fetching ---------------------------------------------------------------------------


def _fetch(python: Python, staging: Path) -> list[Path]:
    """Wheels of all that the kernel needs."""
    if importlib.util.find_spec("pip") is None:
        raise KernelFailed(f'{_failing(python)}: the Python that runs Jupyter has no pip',
                           hint=f'run "{sys.executable} -m ensurepip"')
    asked = [_WANTED]
    for number in range(_ROUNDS):
        place = staging / f"wheels-{number}"
        _download(python, asked, place)
        wheels = sorted(place.glob("*.whl"))
        missing = _missing(python, wheels)
        if not missing:
            return wheels
        asked += missing
    raise KernelFailed(f"{_failing(python)}: the packages of the index need ever more others",
                       hint="look at what pip's configuration names as the index")


def _download(python: Python, names: Sequence[str], place: Path) -> None:
    words = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download",
             "--quiet", "--only-binary=:all:", f"--python-version={dotted(python.version)}",
             "--implementation=cp", f"--retries={_RETRIES}", *(f"--platform={name}" for name in platforms(python)),
             f"--dest={place}", *names]
    try:
        # not where we were called: a pip.py there would be taken for pip
        done = subprocess.run(words, cwd=place.parent, env=_environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    except OSError as error:
        raise KernelFailed(f"{_failing(python)}: pip cannot be started: "
                           f"{os.strerror(error.errno or 0).lower()}",
                           hint=f'try "{sys.executable} -m pip --version"') from error
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if line.startswith("ERROR:")]
        lines = errors or done.stdout.splitlines() or [f"exit code {done.returncode}"]
        raise KernelFailed(f"{_failing(python)}: pip could not download its wheels: "
                           + "; ".join(lines[-_LAST_LINES:])[:600],
                           hint='without a network, "lpmx load" one that "lpmx kernel bundle" '
                                "wrote on a machine that has one")


def _environment() -> dict[str, str]:
    """pip's, without what is meant for the packages of this Python."""
    return {name: value for name, value in os.environ.items() if name not in _ABOUT_OURS}


def platforms(python: Python) -> list[str]:
    """pip's names of the platforms whose wheels `python` can load, those that run on the
    most machines first."""
    major, minor = (*python.libc_version, 0)[:2]
    if python.libc == "musl":
        return [f"musllinux_{major}_{each}_{python.machine}" for each in range(minor + 1)]
    names = []
    for each in range(5, minor + 1):
        names.append(f"manylinux_{major}_{each}_{python.machine}")
        names += [f"{name}_{python.machine}" for name, number in _NAMED.items() if number == each]
    return names


def _missing(python: Python, wheels: Sequence[Path]) -> list[str]:
    """What these need on `python` and on this Python do not."""
    there = {canonicalize_name(wheel.name.partition("-")[0]) for wheel in wheels}
    environment = _markers(python)
    found: dict[str, str] = {}
    for wheel in wheels:
        for text in _metadata(wheel).get_all("Requires-Dist", []):
            try:
                need = Requirement(text)
                applies = need.marker is None or need.marker.evaluate(environment)
            except (InvalidRequirement, UndefinedComparison):
                continue  # pip says what is wrong with it, where it matters
            if applies and canonicalize_name(need.name) not in there:
                found[canonicalize_name(need.name)] = f"{need.name}{need.specifier}"
    return sorted(found.values())


def _markers(python: Python) -> dict[str, str]:
    """PEP 508, "Environment Markers", for the image's Python."""
    return {"implementation_name": "cpython", "implementation_version": f"{dotted(python.version)}.0",
            "os_name": "posix", "platform_machine": python.machine, "platform_release": "",
            "platform_system": "Linux", "platform_version": "", "sys_platform": "linux",
            "python_full_version": f"{dotted(python.version)}.0",
            "platform_python_implementation": "CPython",
            "python_version": dotted(python.version), "extra": ""}


def _metadata(wheel: Path) -> "email.message.Message[str, str]":
    with zipfile.ZipFile(wheel) as file:
        name = next(name for name in file.namelist()
                    if name.count("/") == 1 and name.endswith(".dist-info/METADATA"))
        if file.getinfo(name).file_size > _METADATA_LIMIT:
            raise KernelFailed(f'cannot use the wheel "{wheel.name}": what it says of itself is '
                               "too long", hint="look at what pip's configuration names as the index")
        return email.parser.Parser().parsestr(file.read(name).decode("utf-8", "replace"))


# -- unpacking and compiling --------------------------------------------------------------


def _unpack(wheel: Path, tree: Path) -> None:
    """Put a wheel's modules and libraries into `tree` (binary distribution format, "Installing
    a wheel"); scripts, headers and data are not for a kernel."""
    with zipfile.ZipFile(wheel) as file:
        for member in file.infolist():
            top, _, rest = member.filename.partition("/")
            if top.endswith(".data"):
                kind, _, rest = rest.partition("/")
                if kind not in ("purelib", "platlib") or not rest:
                    continue
                member.filename = rest
            if not member.is_dir():
                # what would lead out of `tree` is made to lie in it
                # a compiled file says the time of its source, before 3.7
                os.utime(file.extract(member, tree), (_MTIME, _MTIME))


def _libc_needed(python: Python, wheels: Sequence[Path]) -> tuple[int, ...]:
    """The oldest libc that these can do with. A wheel for any platform has no module that is
    compiled; libraries in it are for other uses."""
    libraries = []
    for wheel in wheels:
        if not wheel.stem.endswith("-any"):
            with zipfile.ZipFile(wheel) as file:
                libraries += [file.read(name) for name in file.namelist()
                              if ".so" in Path(name).suffixes]
    needs = pythons.needs(libraries)
    if python.libc == "glibc":
        return needs.glibc
    # of a wheel for several, the oldest will do; all wheels must be done with
    asked = [min(map(int, found)) for wheel in wheels
             for found in [_WHEEL_MUSL.findall(wheel.name)] if found]
    return pythons.MUSL_PACKED if needs.packed else (1, max(asked, default=0))


def _compile(python: Python, settings: Settings, tree: Path) -> None:
    """Compile all modules, and import the kernel, by the image's Python."""
    session = KernelSession.begin(settings, kernel_id=uuid.uuid4().hex)
    try:
        done = session.run([python.program, "-I", "-c", _COMPILE, support.PLACE],
                           [Bind(str(tree), support.PLACE)])
    finally:
        session.leave()
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise KernelFailed(f"{_failing(python)}: the image's Python cannot import it: {lines[-1]}",
                           hint="use the host's Python: \"lpmx kernel install --kernel host-python\"")


# -- keeping ------------------------------------------------------------------------------


def _record(store: Store, python: Python, libc_version: tuple[int, ...], wheels: Sequence[Path],
            tree: Path, staging: Path) -> support.Layer:
    reference = Reference.parse(support.name(python, libc_version))
    packages = " ".join(f"{name}=={version}" for name, version, *_ in
                        (wheel.name.split("-") for wheel in wheels))
    archive = staging / "layer.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(tree, ".", filter=_plain)
    with all_or_nothing(store):
        with open(archive, "rb") as stream:
            diff_id = store.layers.add(cast(BinaryIO, stream), label="the support layer")
        config = _config(python, diff_id, packages)
        image = record(store, reference, config=config, origin="built",
                       manifest=make_manifest(config, [(diff_id, store.layers.tar_size(diff_id))]))
    layer = support.layer_of(image)
    assert layer is not None
    return layer


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = _MTIME
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def _config(python: Python, diff_id: str, packages: str) -> bytes:
    labels: Mapping[str, str] = {
        "org.opencontainers.image.title": f"ipykernel for {python.described}",
        support.PACKAGES_LABEL: packages}
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(python.machine, python.machine)
    return json.dumps({
        "architecture": architecture, "os": "linux", "config": {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created_by": "lpmx kernel: wheels of ipykernel"}],
    }, separators=(",", ":")).encode()
