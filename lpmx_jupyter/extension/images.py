"""Images: listed, looked into, brought and taken away."""
from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterable, Iterator, Optional

from lpmx_runtime.errors import InvalidSetting, LpmxError, StoreError
from lpmx_runtime.progress import ignore
from lpmx_runtime.registry.patience import Patience
from lpmx_runtime.store import Image, Store
from lpmx_runtime.store.files import storing
from tornado import web
from tornado.iostream import StreamClosedError

from .. import kernels, kernelspecs, support
from .environment import is_secret
from .failures import RequestFailed
from .handlers import RESOURCE, WRITTEN, Handler, operation
from .tasks import Beginning
from .work import bundled

_MOST = 1 << 60      # bytes of an upload: the file system is what bounds it
_PIECE = 1 << 20
_STALLED = 120.0     # seconds in which a download must get on
#: Somebody waits for the completion of a word.
_SHORT = Patience(connect=5.0, read=10.0, attempts=1, first_attempts=1)


def described(store: Store, images: "list[Image]") -> list[dict[str, Any]]:
    """The images as the schema `Image` has them."""
    from lpmx_runtime.container import Container
    users = Counter(diff_id for layers in {image.digest: set(image.diff_ids)
                                           for image in store.images.list()}.values()
                    for diff_id in layers)
    containers: dict[str, list[str]] = {}
    for container in Container.list(store):
        containers.setdefault(container.image, []).append(container.name)
    specs: dict[str, list[str]] = {}
    for spec in kernelspecs.installed():
        specs.setdefault(spec.image, []).append(spec.name)
    return [{"name": image.name, "familiar": image.familiar, "digest": image.digest,
             "config_digest": image.config_digest, "diff_ids": list(image.diff_ids),
             "size": image.size, "shared": _shared(store, image, users), "origin": image.origin,
             "added": image.added, "live": image.live, "store": image.place,
             "support": support.layer_of(image) is not None,
             "containers": containers.get(image.name, []),
             "kernelspecs": specs.get(image.familiar, [])} for image in images]


def _shared(store: Store, image: Image, users: "Counter[str]") -> int:
    total = 0
    for diff_id in set(image.diff_ids):
        if users[diff_id] > 1:
            try:
                total += _size(store, diff_id)
            except (StoreError, OSError):
                continue   # removed, or closed to us, since we looked
    return total


_sizes: dict[str, int] = {}


def _size(store: Store, diff_id: str) -> int:
    """The bytes of a layer's files, which never change."""
    if diff_id not in _sizes:
        from lpmx_runtime.store.usage import layer_size
        _sizes[diff_id] = layer_size(store, diff_id)
    return _sizes[diff_id]


def _all(store: Store) -> list[dict[str, Any]]:
    return described(store, [*store.images.list(), store.images.find("host")])


class Images(Handler):
    path = "/images"

    @operation()
    async def get(self) -> Any:
        return await self.with_store(_all)


class OneImage(Handler):
    path = "/image"

    @operation()
    async def get(self) -> Any:
        def look(store: Store, name: str) -> dict[str, Any]:
            image = store.images.find(name)
            return {"image": described(store, [image])[0], "config": dict(image.config)}
        found = await self.with_store(look, self.query["image"])
        inner = found["config"].get("config")
        if isinstance(inner, dict) and inner.get("Env") and not await self.may("write"):
            found["config"]["config"] = {**inner, "Env": [
                word.partition("=")[0] + "=" if is_secret(*_pair(word), self.extension.secret)
                else word for word in map(str, inner["Env"])]}
        return found

    @operation()
    async def delete(self) -> Any:
        from lpmx_runtime.store.collect import remove_image
        removed = await self.slow(remove_image, self.query["image"])
        await self.extension.keep_kernels(removed.familiar)
        await self.changed()


def _pair(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


class History(Handler):
    path = "/image/history"

    @operation()
    async def get(self) -> Any:
        def look(store: Store, name: str) -> list[dict[str, Any]]:
            from lpmx_runtime.image.history import history
            image = store.images.find(name)
            steps = [] if image.live else history(store, image)
            return [{"created": step.created, "created_by": step.created_by,
                     "comment": step.comment, "author": step.author, "diff_id": step.diff_id,
                     "size": step.size, "store": step.place} for step in steps]
        return await self.with_store(look, self.query["image"])


class ImageKernels(Handler):
    path = "/image/kernels"

    @operation()
    async def get(self) -> Any:
        def look(store: Store, name: str) -> dict[str, Any]:
            image = store.images.find(name)
            found = kernelspecs.offers_of(store, image)
            first = next((offer for offer in found if offer.chosen), found[0])
            return {"image": image.familiar, "chosen": first.kernel.name, "reason": first.why,
                    "kernels": [_described(offer) for offer in found]}
        return await self.with_store(look, self.query["image"])


def _described(offer: kernels.Offer) -> dict[str, Any]:
    one = offer.kernel
    return {"name": one.name, "display_name": one.display_name, "language": one.language,
            "kind": one.kind, "place": one.place, "description": one.description,
            "argv": list(one.argv), "interrupt_mode": one.interrupt_mode,
            "chosen": offer.chosen, "why": offer.why}


# -- bringing them ------------------------------------------------------------------------


class Pull(Beginning):
    path = "/images/pull"

    @operation()
    async def post(self) -> Any:
        from lpmx_runtime.oci.reference import Reference
        reference = Reference.parse(self.body["reference"])
        return self.begin("pull", f"Pull {reference.familiar}",
                          about={"image": reference.familiar},
                          reference=self.body["reference"], platform=self.body.get("platform"),
                          insecure=self.body["insecure"])


class Load(Beginning):
    path = "/images/load"

    @operation()
    async def post(self) -> Any:
        path = self.extension.server_path(self.body["path"])
        return self.begin("load", f"Load {os.path.basename(path)}",
                          about={"image": self.body.get("name"), "path": path},
                          path=path, name=self.body.get("name"),
                          platform=self.body.get("platform"),
                          images_only=self.body["images_only"],
                          rename=self.body.get("rename", {}))


@web.stream_request_body
class Upload(Beginning):
    path = "/images/upload"
    streams = True

    async def prepare(self) -> None:  # type: ignore[override]
        """Find out before a byte is kept whether it can be.

        Who sends a file hears nothing before it is sent: what is refused is read all the same,
        and dropped.
        """
        await super().prepare()
        self._upload: Optional[_Upload] = None
        self._refused: Optional[Exception] = None
        self._reserved = False
        if self.request.method != "POST" or self.current_user is None:
            return
        self.connection.set_max_body_size(_MOST)
        try:
            if not await self.may("write"):
                raise web.HTTPError(403, f"User is not authorized to write on resource: {RESOURCE}.")
            self.check_request("post", {})
            self.extension.tasks.reserve()
            self._reserved = True
            self._upload = await self.with_store(_Upload, os.path.basename(self.query["filename"]))
        except (LpmxError, web.HTTPError) as error:
            self._refused = error

    async def data_received(self, chunk: bytes) -> None:
        upload = self._upload
        if upload is None:
            return
        upload.buffer += chunk
        if len(upload.buffer) >= _PIECE:
            try:
                await self.blocking(upload.write)
            except LpmxError as error:
                self._refused = error
                self._discard()

    @operation()
    async def post(self) -> Any:
        if self._refused is not None:
            raise self._refused
        upload = self._upload
        assert upload is not None
        await self.blocking(upload.complete)
        self._release()
        begun = self.begin("load", f"Load {upload.path.name}", after=upload.stack,
                           about={"image": self.query["name"], "path": upload.path.name},
                           path=str(upload.path), name=self.query["name"],
                           platform=self.query["platform"],
                           images_only=self.query["images_only"], rename={})
        self._upload = None   # it is the task's now
        return begun

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """What is left of the body may stand between this answer and the next request."""
        self.set_header("Connection", "close")
        super().write_error(status_code, **kwargs)

    def on_finish(self) -> None:
        self._discard()
        super().on_finish()

    def on_connection_close(self) -> None:
        self._discard()
        super().on_connection_close()

    def _discard(self) -> None:
        self._release()
        upload, self._upload = getattr(self, "_upload", None), None
        if upload is not None:
            self.extension.later(upload.stack.close)

    def _release(self) -> None:
        if getattr(self, "_reserved", False):
            self._reserved = False
            self.extension.tasks.release()


class _Upload:
    """A file that arrives, in the store's own file system, under the name that it has."""

    def __init__(self, store: Store, name: str) -> None:
        with ExitStack() as stack:
            self.path: Path = stack.enter_context(store.staging()) / name
            self.buffer = bytearray()
            with storing("what is uploaded"):
                try:
                    self._file: BinaryIO = stack.enter_context(open(self.path, "xb"))
                except OSError as error:
                    raise InvalidSetting(f'cannot load "{name}": it is no name of a file '
                                         f"({os.strerror(error.errno or 0).lower()})",
                                         hint="rename the file") from None
            self.stack = stack.pop_all()

    def write(self) -> None:
        piece, self.buffer = self.buffer, bytearray()
        with storing("what is uploaded"):
            self._file.write(piece)

    def complete(self) -> None:
        self.write()
        with storing("what is uploaded"):
            self._file.close()


# -- taking them along ----------------------------------------------------------------------


class Save(Beginning):
    path = "/images/save"

    @operation()
    async def post(self) -> Any:
        path = self.extension.server_path(self.body["path"])
        names = self.body["images"]
        return self.begin("save", f"Save {', '.join(names)}", about={"image": names[0], "path": path},
                          images=names, format=self.body["format"], path=path,
                          replace=self.body["replace"])


class Bundle(Beginning):
    path = "/bundle"

    @operation()
    async def post(self) -> Any:
        path = self.extension.server_path(self.body["path"])
        images, containers = self.body.get("images", []), self.body.get("containers", [])
        _check_some(images, containers)
        return self.begin("bundle", f"Bundle {', '.join([*images, *containers])}",
                          about={"image": next(iter(images), None),
                                 "container": next(iter(containers), None), "path": path},
                          images=images, containers=containers, path=path,
                          replace=self.body["replace"])

    @operation("write")
    async def get(self) -> Any:
        """As a download; it has the secret variables of containers in it."""
        images, containers = self.query["image"], self.query["container"]
        _check_some(images, containers)
        await _download(self, f"{[*images, *containers][0]}.bundle.tar",
                        lambda store: bundled(store, images, containers, ignore))
        return WRITTEN


def _check_some(images: "list[str]", containers: "list[str]") -> None:
    if not images and not containers:
        raise RequestFailed(HTTPStatus.BAD_REQUEST, "invalid-request",
                            "cannot bundle anything: no image and no container is named",
                            hint="name one at least")


class Archive(Handler):
    path = "/images/archive"

    @operation()
    async def get(self) -> Any:
        from lpmx_runtime.image.save import save
        names, form = self.query["image"], self.query["format"]
        await _download(self, f"{names[0]}.tar", lambda store: save(store, names, form=form))
        return WRITTEN


async def _download(handler: Handler, name: str,
                    make: Callable[[Store], Iterable[bytes]]) -> None:
    """Send the pieces that `make` gives as a file.

    What goes wrong before the first one is answered as an error; later, all that can be done
    is to break the connection off, so that nobody takes the half for the whole.
    """
    pieces: Iterator[bytes] = iter(await handler.with_store(make))
    try:
        piece = await handler.blocking(_several, pieces)
        handler.set_attachment_header(name.replace("/", "-").replace(":", "-"))
        handler.set_header("Content-Type", "application/x-tar")
        handler.set_header("Cache-Control", "no-store")
        while piece:
            handler.write(piece)
            await asyncio.wait_for(handler.flush(), _STALLED)
            try:
                piece = await handler.blocking(_several, pieces)
            except Exception:
                handler.log.exception("Cannot send the rest of %s", name)
                handler.connection.stream.close()
                return
        handler.finish(set_content_type="application/x-tar")
    except StreamClosedError:
        pass   # nobody wants it any more
    except asyncio.TimeoutError:
        handler.connection.stream.close()   # as long as it lasts nothing of the store is freed
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            await handler.blocking(close)


def _several(pieces: Iterator[bytes]) -> bytes:
    """The next pieces in one, of a size that is worth a way through the loop; b"" at the end."""
    found = bytearray()
    for piece in pieces:
        found += piece
        if len(found) >= _PIECE:
            break
    return bytes(found)


# -- registries -----------------------------------------------------------------------------


class Tags(Handler):
    path = "/registry/tags"

    @operation()
    async def get(self) -> Any:
        def ask(text: str, insecure: bool) -> list[str]:
            from lpmx_runtime.oci.reference import Reference
            from lpmx_runtime.registry.client import Repository
            with Repository(Reference.parse(text), failing=f'cannot list the tags of "{text}"',
                            insecure=insecure, patience=_SHORT) as repository:
                return repository.all_tags()
        return await self.asking(ask, self.query["repository"], self.query["insecure"])


class Search(Handler):
    path = "/registry/search"

    @operation()
    async def get(self) -> Any:
        def ask(term: str, limit: int, insecure: bool) -> list[dict[str, Any]]:
            from lpmx_runtime.cli.search import split
            from lpmx_runtime.registry.search import search
            return [one._asdict() for one in search(
                *split(term), limit=limit, insecure=insecure, patience=_SHORT)]
        return await self.asking(ask, self.query["term"], self.query["limit"],
                                 self.query["insecure"])


HANDLERS = (Images, OneImage, History, ImageKernels, Pull, Load, Upload, Save, Bundle, Archive, Tags,
            Search)
