"""Kernel specs on disk: real kernel.json folders, which every front end finds.

One folder for each kernel of an image, or for the one that it gets where it has none. That
one goes without a name into kernel.json, for it depends on what is in the store when the
kernel starts: a support layer, or none.
Notebooks store a folder's name, so it depends on the image's name alone:
"ubuntu:18.04" is `lpmx-ubuntu18.04` on every machine. `argv` starts the kernel by
itself (launch.py), for front ends that know nothing of provisioners.
"""
from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional

from jupyter_client.kernelspec import KernelSpecManager
from lpmx_runtime import _native
from lpmx_runtime.container import Container, ViewSpec
from lpmx_runtime.errors import ContainerUnknown, KernelFailed
from lpmx_runtime.oci.config import ImageConfig
from lpmx_runtime.progress import Sink, ignore
from lpmx_runtime.store import Image, Store

from . import kernels, support
from .kernels import Kernel, Offer
from .pythons import Python
from .session import Settings
from .support import Layer

PROVISIONER = "lpmx-provisioner"
_LOGOS = Path(__file__).resolve().parent / "logos"
_LAUNCHER = "lpmx_jupyter.launch"
#: Of a spec's metadata: the store that it was made with.
STORE = "lpmx_store"
LOGO_LIMIT = 1 << 20
#: An installation takes a moment; one that has taken so long was killed.
_ASIDE_SECONDS = 3600


@dataclass(frozen=True)
class Installed:
    """A kernel spec of ours, as it is on disk. `kernel` is "" for the best that can be had
    when it starts; `note` is what whoever installed it should know."""

    name: str
    display_name: str
    image: str
    kernel: str
    folder: Path
    note: str = ""
    container: str = ""


@contextmanager
def image_view(store: Store, image: Image) -> Iterator[_native.View]:
    """The files of an image, read-only, without a container."""
    with store.keeping(), store.staging() as staging:
        index, layers = (None, ["/"]) if image.live else store.indexes.lower(image.diff_ids)
        spec = ViewSpec(kind="container", name="image", loader=_native.loader_path(),
                        layers=layers, index=index)
        path = staging / "view"
        path.write_bytes(spec.encode())
        with _native.View(path) as view:
            yield view


@contextmanager
def files(store: Store, image: Image, container: str) -> Iterator[_native.View]:
    """The files that a kernel finds: those of the container that it is to share, if there
    is one already, else the image's."""
    if container:
        try:
            shared = Container.open(store, container)
        except ContainerUnknown:
            pass  # the first kernel makes it
        else:
            with shared.view() as view:
                yield view
            return
    with image_view(store, image) as view:
        yield view


def offers_of(store: Store, image: Image, container: str = "") -> list[Offer]:
    """The kernels that a notebook in this image can have, the best first; with what was
    installed since into the container that is to be shared."""
    with files(store, image, container) as view:
        return kernels.offers(view, ImageConfig.parse(image.config).env, live=image.live,
                              layers=support.layers(store))


def short_name(familiar: str) -> str:
    """An image's name in one word: "ubuntu:18.04" is "ubuntu18.04", "debian:bookworm"
    is "debian-bookworm"."""
    name = re.sub(r":(?=[0-9][^/]*\Z)", "", familiar)
    return _plain(name.partition("@")[0])


def _plain(name: str) -> str:
    """`name` with what Jupyter takes for the name of a kernel spec, and nothing else."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")


def default_directory() -> Path:
    """Where this user's own kernel specs are."""
    from jupyter_core.paths import jupyter_data_dir
    return Path(jupyter_data_dir()) / "kernels"


def prefix_directory(prefix: str) -> Path:
    """Where the kernel specs of an environment are."""
    return Path(prefix) / "share" / "jupyter" / "kernels"


# -- installing ---------------------------------------------------------------------------


def install(store: Store, text: str, settings: Settings, *, directory: Optional[Path] = None,
            name: Optional[str] = None, display_name: Optional[str] = None,
            transport: str = "ipc", layers: bool = True,
            progress: Sink = ignore) -> list[Installed]:
    """Write the kernel specs for the image `text` and return what was written.

    All its kernels, or the one that `settings.kernel` names. Specs of the same image
    that are there already are replaced. Where its Python needs a support layer, that is
    made unless `layers` is False; where it cannot be, the host's Python will run the notebook
    until it is there.
    """
    image = store.images.find(text)
    found, note = _wanted(store, image, settings, layers, progress)
    if name is not None:
        _check_name(name)
        found = found[:1]
    above = directory or default_directory()
    short = short_name(image.familiar)
    written = []
    for position, kernel in enumerate(found):
        own = replace(settings, image=image.familiar, kernel=_name_kept(kernel, settings))
        folder = name or _free_name(above, f"lpmx-{short}" + (
            f"-{_plain(kernel.name)}" if position else ""), image)
        title = display_name or f"LPMX: {short}{_label(kernel, found)}"
        values = kernel_json(store, kernel, own, title, transport)
        with files(store, image, settings.container) as view:
            write(above / folder, values, view, kernel)
        written.append(Installed(folder, title, image.familiar, own.kernel, above / folder, note,
                                 settings.container))
    return written


def support_layer(store: Store, image: Image, settings: Settings = Settings(),  # noqa: B008
                  *, progress: Sink = ignore) -> Optional[Layer]:
    """The support layer that the image's Python needs, made if it is not in the store; None
    where it needs none: the image has a kernel of its own, or no Python that fits.

    Raises `KernelFailed` if it cannot be made.
    """
    found = offers_of(store, image, settings.container)
    if image.live or (settings.kernel != kernels.IMAGE_PYTHON
                      and any(offer.kernel.kind == kernels.OWN for offer in found)):
        return None
    for kernel in (offer.kernel for offer in found):
        if kernel.kind == kernels.SUPPORTED and kernel.python is not None:
            return kernel.layer or _make_layer(store, image, settings, kernel.python, progress)
    return None


def _make_layer(store: Store, image: Image, settings: Settings, python: Python,
                progress: Sink) -> Layer:
    from . import wheels
    exists = settings.container and (store.containers / settings.container).is_dir()
    return wheels.build(store, python, Settings(
        image=image.familiar, contain=True, gpu=False,
        container=settings.container if exists else ""), progress=progress)


def _wanted(store: Store, image: Image, settings: Settings, layers: bool,
            progress: Sink) -> tuple[list[Kernel], str]:
    """The kernels to install, with a support layer if one is needed and can be had; and what
    is to be said about them."""
    note = ""
    if layers and settings.kernel in ("", kernels.IMAGE_PYTHON):
        try:
            support_layer(store, image, settings, progress=progress)
        except KernelFailed as error:
            if settings.kernel:
                raise
            note = (f"{error.message}\nuntil it is there, this machine's Python will run the "
                    f"notebooks, in the image's files\nhint: {error.hint}")
    found = offers_of(store, image, settings.container)
    if not settings.kernel:
        chosen = [offer for offer in found if offer.chosen]
        if chosen[0].kernel.kind == kernels.VIEWED and not note:
            note = f"{chosen[0].why}: this machine's Python will run it, in the image's files"
    else:
        chosen = [offer for offer in found if offer.kernel.name == settings.kernel]
        if not chosen and settings.kernel == kernels.HOST_PYTHON:
            return [kernels.host_python(live=image.live)], note
        if not chosen:
            raise KernelFailed(f'cannot install kernel "{settings.kernel}": image '
                               f'"{image.familiar}" has none of this name',
                               hint=f"it has {', '.join(offer.kernel.name for offer in found)}")
    return [offer.kernel for offer in chosen], note


def _name_kept(kernel: Kernel, settings: Settings) -> str:
    """What kernel.json says: the name, unless the choice is still to be made at each start."""
    return kernel.name if settings.kernel or kernel.kind == kernels.OWN else ""


def _label(kernel: Kernel, among: list[Kernel]) -> str:
    """What tells the kernel from the image's others: its language, if that does."""
    if len(among) == 1:
        return ""
    languages = [other.language.lower() for other in among]
    alone = kernel.language and languages.count(kernel.language.lower()) == 1
    return f" ({kernel.language[:1].upper()}{kernel.language[1:]})" if alone else f" ({kernel.display_name})"


def kernel_json(store: Store, kernel: Kernel, settings: Settings, display_name: str,
                transport: str) -> dict[str, Any]:
    """What kernel.json says for a kernel that runs with these settings."""
    config = settings.changed()
    if transport != "ipc":
        config["transport"] = transport
    metadata = {key: value for key, value in kernel.metadata.items()
                if key != "kernel_provisioner"}
    return {
        "argv": [sys.executable, "-m", _LAUNCHER, "-f", "{connection_file}",
                 *_arguments(settings)],
        "display_name": display_name,
        "language": kernel.language or "python",
        "interrupt_mode": kernel.interrupt_mode,
        "metadata": {**metadata, STORE: str(store.path),
                     "kernel_provisioner": {"provisioner_name": PROVISIONER, "config": config}},
    }


def _arguments(settings: Settings) -> list[str]:
    """`settings` as launch.py takes them."""
    words = []
    for name, value in settings.changed().items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        elif isinstance(value, str):
            words.append(f"{option}={value}")
        elif isinstance(value, dict):
            words += [f"{option}={key}={text}" for key, text in value.items()]
        else:
            words += [f"{option[:-1]}={text}" for text in value]
    return words


def write(folder: Path, values: dict[str, Any], view: _native.View, kernel: Kernel) -> None:
    """Have the spec at `folder`: a new one appears whole, of one that is there each file is
    replaced, and what is of others in it stays.

    Raises `KernelFailed` if it cannot be written.
    """
    private = bool(values["metadata"]["kernel_provisioner"]["config"].get("env")) \
        and folder.parent == default_directory()
    try:
        make_directories(folder.parent)
        _clear_aside(folder)
        if folder.is_dir():
            _fill(folder, values, view, kernel, private)
            return
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            aside.chmod(0o755)
            _fill(aside, values, view, kernel, private)
            try:
                os.rename(aside, folder)
            except (FileExistsError, NotADirectoryError, OSError) as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                _fill(folder, values, view, kernel, private)  # another was quicker
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise KernelFailed(f'cannot install the kernel in "{folder.parent}": '
                           f"{os.strerror(error.errno or 0).lower()}",
                           hint="name a place of your own with --prefix") from error


def _clear_aside(folder: Path) -> None:
    """Remove what an installation of this spec that was killed had made so far."""
    for aside in folder.parent.glob(f".{glob.escape(folder.name)}.????????"):
        with suppress(OSError):
            if time.time() - aside.stat().st_mtime > _ASIDE_SECONDS:
                shutil.rmtree(aside)


def make_directories(place: Path) -> None:
    """Make `place` and what is above it, open to be read as the umask may not say."""
    missing = [each for each in (place, *place.parents) if not each.exists()]
    place.mkdir(parents=True, exist_ok=True)
    for each in missing:
        if each.parent != Path.home():
            each.chmod(0o755)


def _fill(folder: Path, values: dict[str, Any], view: _native.View, kernel: Kernel,
          private: bool) -> None:
    foreign = kernel.logos if kernel.language.lower() != "python" else {}
    logos = {name: view.read(place, LOGO_LIMIT) for name, place in foreign.items()} or {
        logo.name: logo.read_bytes() for logo in sorted(_LOGOS.glob("logo-*"))}
    for name, content in logos.items():
        if not (folder / name).exists():
            put(folder / name, content, 0o644)
    # variables may be secret, and a kernel.json of one's own is for oneself to read then
    put(folder / "kernel.json", encoded(values), 0o600 if private else 0o644)


def encoded(values: Mapping[str, Any]) -> bytes:
    """The text of a kernel.json; ASCII, for an image may have what is no Unicode."""
    return json.dumps(values, indent=1).encode("ascii") + b"\n"


def put(path: Path, content: bytes, mode: int) -> None:
    """Have `content` at `path`, whole or not at all."""
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.chmod(aside, mode)
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise


def _free_name(above: Path, name: str, image: Image) -> str:
    """`name`, in lower case as Jupyter has it, unless another image's spec has it."""
    name = name.lower()
    there = read(above / name)
    if there is None and not (above / name).exists():
        return name
    if there is not None and there.image == image.familiar:
        return name
    return f"{name}-{hashlib.sha256(image.name.encode()).hexdigest()[:6]}"


def _check_name(name: str) -> None:
    if not re.match(r"[a-z0-9._-]+\Z", name):
        raise KernelFailed(f'cannot install a kernel as "{name}": that cannot be the name of a '
                           "kernel spec", hint="use small letters, digits, . _ and -")


# -- listing and removing -------------------------------------------------------------------


def read(folder: Path) -> Optional[Installed]:
    """The kernel spec in `folder`; None if it is not one of ours."""
    try:
        values = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
        provisioner = values["metadata"]["kernel_provisioner"]
        if provisioner["provisioner_name"] != PROVISIONER:
            return None
        config = provisioner.get("config", {})
        return Installed(folder.name, str(values.get("display_name", folder.name)),
                         str(config.get("image", "")), str(config.get("kernel", "")), folder,
                         container=str(config.get("container", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def installed(directory: Optional[Path] = None) -> list[Installed]:
    """Our kernel specs where Jupyter looks for them, or in one directory."""
    if directory is not None:
        folders = sorted(path for path in directory.glob("*/") if path.name[0] != ".")
    else:
        folders = [Path(place) for place in KernelSpecManager().find_kernel_specs().values()]
    found = (read(folder) for folder in folders)
    return sorted((spec for spec in found if spec is not None), key=lambda spec: spec.name)


def take_away(folder: Path) -> None:
    """Remove a kernel spec; of a link, the link alone."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)


def remove(text: str, *, directory: Optional[Path] = None) -> list[Installed]:
    """Remove the kernel specs of the image `text`, or the one of this name."""
    there = installed(directory)
    chosen = [spec for spec in there if spec.name == text.lower()] or [
        spec for spec in there if text in (spec.image, short_name(spec.image))]
    if not chosen:
        raise KernelFailed(f'cannot remove kernel "{text}": there is none of this name or image',
                           hint='run "lpmx kernel list" to see what there is')
    for spec in chosen:
        try:
            take_away(spec.folder)
        except OSError as error:
            raise KernelFailed(f'cannot remove the kernel in "{spec.folder}": '
                               f"{os.strerror(error.errno or 0).lower()}",
                               hint="whoever installed it can") from error
    return chosen
