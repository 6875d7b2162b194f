"""What a worker can do: each kind of task, by the library."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, Optional, Sequence, Union

from lpmx_runtime.container import Container
from lpmx_runtime.errors import WriteFailed
from lpmx_runtime.progress import Note, Sink
from lpmx_runtime.store import Image, Store

if TYPE_CHECKING:
    from ..kernelspecs import Installed


def do(work: Mapping[str, Any], progress: Sink) -> dict[str, Any]:
    """Do what `work` says, its `kind` with the arguments that it has; the schema `TaskResult`."""
    arguments = {name: value for name, value in work.items() if name != "kind"}
    return _WORK[work["kind"]](Store.open(), progress, **arguments)


def _result(*, images: Iterable[Image] = (), containers: Iterable[str] = (),
            path: Optional[str] = None, kernelspecs: Sequence[Mapping[str, Any]] = (),
            freed: Optional[Mapping[str, list[str]]] = None) -> dict[str, Any]:
    return {"images": [image.familiar for image in images], "containers": list(containers),
            "path": path, "kernelspecs": list(kernelspecs), "freed": freed}


def _pull(store: Store, progress: Sink, *, reference: str, platform: Optional[str],
          insecure: bool) -> dict[str, Any]:
    from lpmx_runtime.image.pull import pull
    return _result(images=[pull(store, reference, platform=platform, insecure=insecure,
                                progress=progress)])


def _load(store: Store, progress: Sink, *, path: str, name: Optional[str],
          platform: Optional[str], images_only: bool,
          rename: Mapping[str, str]) -> dict[str, Any]:
    from lpmx_runtime.cli.bundle import restore
    from lpmx_runtime.image.archive import load_all
    loaded = load_all(store, path, name=name, platform=platform, containers=not images_only,
                      renamed=rename, progress=progress)
    names = [container.name for container in loaded.containers]
    before = {new: old for old, new in rename.items()}
    for line in restore(store, loaded.extras, loaded.images,
                        {before.get(one, one): one for one in names}):
        progress(Note(line))
    return _result(images=loaded.images, containers=names)


def _save(store: Store, progress: Sink, *, images: Sequence[str], format: str, path: str,
          replace: bool) -> dict[str, Any]:
    from lpmx_runtime.image.save import save
    _write(path, replace, save(store, images, form=format, progress=progress), "the archive")
    return _result(path=path)


def _bundle(store: Store, progress: Sink, *, images: Sequence[str], containers: Sequence[str],
            path: str, replace: bool) -> dict[str, Any]:
    _write(path, replace, bundled(store, images, containers, progress), "the bundle")
    return _result(path=path)


def bundled(store: Store, images: Sequence[str], containers: Sequence[str],
            progress: Sink) -> Iterable[bytes]:
    """The pieces of a bundle of what is named so, with its kernel specs."""
    from lpmx_runtime.cli.bundle import collect
    from lpmx_runtime.image.bundle import bundle
    things: list[Union[Image, Container]] = [
        *(store.images.find(name) for name in images),
        *(Container.open(store, name) for name in containers)]
    return bundle(store, things, extras=collect(store, things), progress=progress)


def _write(path: str, replace: bool, pieces: Iterable[bytes], what: str) -> None:
    """Have a file at `path`, whole or not at all, over another one only if `replace` says so."""
    from lpmx_runtime.cli.output import write_out
    if not replace and os.path.lexists(path):
        raise WriteFailed(f'cannot write {what} to "{path}": there is a file already',
                          hint="choose another name, or have it replaced")
    write_out(path, pieces, what=what)


def _commit(store: Store, progress: Sink, *, container: str, image: str, changes: Sequence[str],
            author: Optional[str], message: Optional[str]) -> dict[str, Any]:
    from lpmx_runtime.image.commit import commit
    return _result(images=[commit(store, Container.open(store, container), image,
                                  changes=changes, author=author, message=message,
                                  progress=progress)])


def _gc(store: Store, progress: Sink) -> dict[str, Any]:
    from lpmx_runtime.store.collect import collect
    containers = Container.sweep(store)
    freed = collect(store, timeout=10)
    return _result(freed={"layers": freed.layers, "blobs": freed.blobs, "containers": containers})


def _kernelspecs(store: Store, progress: Sink, *, wanted: Mapping[str, Any]) -> dict[str, Any]:
    return _result(kernelspecs=install_kernelspecs(store, wanted, progress))


def install_kernelspecs(store: Store, wanted: Mapping[str, Any],
                        progress: Sink) -> list[dict[str, Any]]:
    """Write the kernel specs that `wanted`, the schema `InstallKernelspecs`, asks for; those,
    as the schema `Kernelspec`."""
    from lpmx_runtime.container import binds

    from .. import kernelspecs
    from ..session import Settings
    for text in wanted.get("binds", []):
        binds.parse(text)
    chosen = Settings(image=wanted["image"], kernel=wanted.get("kernel", ""),
                      container=wanted.get("container", ""), binds=tuple(wanted.get("binds", [])),
                      env=wanted.get("env", {}), user=wanted.get("user", ""),
                      contain=wanted["contain"], preload=wanted["preload"], gpu=wanted["gpu"])
    return [described_kernelspec(spec) for spec in kernelspecs.install(
        store, wanted["image"], chosen, name=wanted.get("name"),
        display_name=wanted.get("display_name"), transport=wanted["transport"],
        progress=progress)]


def described_kernelspec(spec: "Installed") -> dict[str, Any]:
    """The schema `Kernelspec`."""
    return {"name": spec.name, "display_name": spec.display_name, "image": spec.image,
            "kernel": spec.kernel, "container": spec.container, "folder": str(spec.folder),
            "removable": os.access(spec.folder.parent, os.W_OK), "note": spec.note}


_WORK: Mapping[str, Callable[..., "dict[str, Any]"]] = {
    "pull": _pull, "load": _load, "save": _save, "bundle": _bundle, "commit": _commit, "gc": _gc,
    "kernelspecs": _kernelspecs}
