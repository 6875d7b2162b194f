"""Images: one small record each, under the canonical name of the reference.

A record says which layers an image has and what its config says; it is all
that starting a container needs. The image `host` is in every store and on no
disk: the machine's own root directory.
"""
from __future__ import annotations

import json
import os
import re

from ..errors import ImageUnknown, InvalidReference, StoreDamaged
from ..light import TYPE_CHECKING, NamedTuple
from ..oci.digest import digest_of
from ..oci.reference import Reference
from .files import split_digest, storing, sync_directory, write_file

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, Mapping, Optional, Sequence

    from .files import StrPath
    from .layers import Layers

_RECORD_VERSION = 1
_NAME_LIMIT = 200
_DIGEST = r"(?:sha256:)?([0-9a-f]{6,64})"

HOST_NAME = "host"


class Image(NamedTuple):
    """An image of the store.

    `name` is the canonical reference ("docker.io/library/ubuntu:18.04"),
    `digest` that of the manifest, `config` the OCI image config as it came,
    `size` the bytes of all layers' files, `added` the time in seconds since 1970.
    `origin` is "pulled", "loaded", "bootstrapped", "committed" or "built-in". A `live` image
    has no layers: its lower is a directory of this machine. `place` is the store that it is
    in, None for the user's own.
    """

    name: str
    digest: str
    config_digest: str
    diff_ids: tuple[str, ...]
    config: Mapping[str, Any]
    size: int
    origin: str
    added: float
    live: bool = False
    place: Optional[str] = None

    @property
    def familiar(self) -> str:
        """The name as people write it: "ubuntu:18.04"."""
        return self.name if self.live else Reference.parse(self.name).familiar


def host_image() -> Image:
    """The image `host`: this machine's own root directory, copy-on-write."""
    machine = os.uname().machine
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return Image(name=HOST_NAME, digest="", config_digest="", diff_ids=(),
                 config={"architecture": architecture, "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": []}},
                 size=0, origin="built-in", added=0.0, live=True)


class Images:
    """The store's `images` directory; what it lacks is looked for in those `below`."""

    def __init__(self, directory: StrPath, layers: Layers, below: Sequence["Images"] = ()) -> None:
        self._place = os.fspath(directory)
        self._layers = layers
        self._below = below

    @property
    def directory(self) -> Path:
        from pathlib import Path
        return Path(self._place)

    def put(self, image: Image) -> None:
        """Record `image` under its name; another image of that name gives way.

        Its layers must be here, and the caller must have been `Store.keeping` them
        since it found or put them.
        """
        if image.live:
            raise ValueError("the live host is in every store")
        for diff_id in image.diff_ids:
            self._layers.entries(diff_id)
        record = {"version": _RECORD_VERSION, **image._asdict()}
        del record["live"], record["place"]
        with storing(f'image "{image.familiar}"'):
            write_file(self._path(image.name), json.dumps(record, indent=1).encode())

    def get(self, name: str) -> Image:
        """The image of the canonical `name`; `ImageUnknown` if there is none."""
        if name == HOST_NAME:
            return host_image()
        try:
            return self._look_up(name)
        except FileNotFoundError:
            raise self._unknown(name) from None

    def find(self, text: str, *, to_use: bool = True) -> Image:
        """The image that `text` means: a name as people type it, or the beginning of
        a digest. A name goes before a digest that looks like one.

        Not `to_use`: for whom it would be of no use to pull it, were it not here.
        """
        if text == HOST_NAME:
            return host_image()
        try:
            return self._look_up(str(Reference.parse(text)))
        except (FileNotFoundError, InvalidReference) as error:
            found = self._by_digest(text)
            if found is not None:
                return found
            if isinstance(error, InvalidReference):
                raise
            raise self._unknown(text, to_use) from None

    def own(self) -> list[Image]:
        """The images of this store itself, by name."""
        return self._all(FileNotFoundError)   # removed since we looked

    def open_to_us(self) -> list[Image]:
        """As `own`, of a store that is only read: what is closed to us is as if it were not there."""
        try:
            return self._all(FileNotFoundError, PermissionError)
        except PermissionError:
            return []

    def _all(self, *without: type[OSError]) -> list[Image]:
        found = []
        for path in self._records():
            try:
                found.append(self._read(path))
            except without:
                pass
        return sorted(found, key=lambda image: image.name)

    def list(self) -> list[Image]:
        """All images by name; the host is not among them. Of a name that several stores have,
        the one that is used."""
        found: dict[str, Image] = {}
        for one in reversed(self._below):
            place = os.path.dirname(one._place)
            found.update({image.name: image._replace(place=place) for image in one.open_to_us()})
        found.update({image.name: image for image in self.own()})
        return sorted(found.values(), key=lambda image: image.name)

    def _look_up(self, name: str) -> Image:
        """The image of that name; FileNotFoundError if no store has it."""
        try:
            return self._read(self._path(name))
        except FileNotFoundError:
            for one in self._below:
                try:
                    return self._read(one._path(name))._replace(place=os.path.dirname(one._place))
                except (FileNotFoundError, PermissionError):
                    continue
            raise

    def remove(self, name: str) -> None:
        """Forget the image `name`; its layers stay (see collect.py)."""
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            return
        sync_directory(self._place)

    # -- records --------------------------------------------------------------------

    def _path(self, name: str) -> str:
        quoted = name.replace("%", "%25").replace("/", "%2F").replace(":", "%3A")
        if len(quoted) > _NAME_LIMIT:
            quoted = quoted[:_NAME_LIMIT - 65] + "." + split_digest(digest_of(name.encode()))[1]
        return os.path.join(self._place, f"{quoted}.json")

    def _records(self) -> Sequence[str]:
        try:
            return [os.path.join(self._place, name) for name in os.listdir(self._place)
                    if name.endswith(".json") and name[0] != "."]
        except FileNotFoundError:
            return []   # a store that is only read may lack it

    @staticmethod
    def _read(path: str) -> Image:
        with open(path, "rb") as file:
            text = file.read()
        try:
            record = json.loads(text)
            version = record.pop("version")
            if version == _RECORD_VERSION:
                image = Image(**{k: v for k, v in record.items() if k in Image._fields})
                return image._replace(diff_ids=tuple(image.diff_ids))
            cause = f"it has version {version}, and we read version {_RECORD_VERSION}"
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            cause = f"it is damaged ({error})"
        raise StoreDamaged(f'cannot read the image record "{path}": {cause}',
                           hint="remove the file and pull the image again")

    # -- looking for one ------------------------------------------------------------

    def _by_digest(self, text: str) -> Optional[Image]:
        match = re.fullmatch(_DIGEST, text)
        if not match:
            return None
        start = "sha256:" + match.group(1)
        found = [image for image in self.list()
                 if image.digest.startswith(start) or image.config_digest.startswith(start)]
        if len({image.digest for image in found}) > 1:
            names = ", ".join(image.familiar for image in found)
            raise ImageUnknown(f'cannot tell which image "{text}" is: several begin so ({names})',
                               hint="write more of the digest, or the name")
        return found[0] if found else None

    def _unknown(self, text: str, to_use: bool = True) -> ImageUnknown:
        try:
            others = self._near(Reference.parse(text))
        except InvalidReference:
            others, to_use = [], False
        pull = f'run "lpmx pull {text}"' if to_use else ""
        if others:
            hint = f'{pull}{"; " if pull else ""}the store has {", ".join(others[:5])}'
        else:
            hint = f'{pull}{", or" if pull else "run"} "lpmx images" to see what is there'
        return ImageUnknown(f'cannot find image "{text}": it is not in the store', hint=hint)

    def _near(self, wanted: Reference) -> Sequence[str]:
        """Images whose repository's last word is that of `wanted`, or else nearly so."""
        from difflib import get_close_matches
        short = wanted.repository.rpartition("/")[2]
        of_short: dict[str, list[str]] = {}
        for image in self.list():
            of_short.setdefault(Reference.parse(image.name).repository.rpartition("/")[2],
                                []).append(image.familiar)
        return of_short.get(short) or [name for near in get_close_matches(short, of_short)
                                       for name in of_short[near]]
