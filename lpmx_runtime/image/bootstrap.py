"""Make an image from a mirror of Debian packages.

Two layers. The first has the packages as their files have them, unpacked by us;
it depends on the mirror alone and is the same wherever it is made. The second
has what the packages' own scripts did, run inside the first by the image's own
dpkg (debian/configure.py). Nothing of the host's is needed but gpgv, and that
only to verify signatures.
"""
from __future__ import annotations

import json
import os
import platform
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterable, Iterator, Optional, Sequence

from .. import _native, settings
from ..errors import BootstrapFailed
from ..oci.digest import digest_of
from ..oci.manifest import OCI_MANIFEST
from ..oci.reference import Reference
from ..progress import Sink, TaskAdvanced, TaskFinished, TaskStarted, ignore
from ..registry.fetch import Fetcher
from ..store import Image, Store
from .changes import read_changes
from .debian.configure import Parts, Workplace, configure
from .debian.deb import Deb
from .debian.mirror import Mirror, host_mirrors
from .debian.packages import Package, check
from .debian.resolve import Resolution
from .debian.suite import COMPONENT, NAMES, Suite, SuiteReader, Trust
from .debian.tree import LayerWriter
from .record import all_or_nothing, record
from .streams import ReadAhead
from .tarwriter import Stream

#: What an image is made of, beside what is asked for: priorities and packages.
VARIANTS = {
    "minbase": (("required",), ("apt",)),
    "python": (("required",), ("apt", "python3")),
    "standard": (("required", "important"), ("apt", "python3")),
}
DEFAULT_VARIANT = "python"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_LINKED = {"amd64": ("bin", "sbin", "lib", "lib32", "lib64", "libx32"),
           "arm64": ("bin", "sbin", "lib")}
_DOWNLOADS = 8
_HOSTS = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def bootstrap(store: Store, text: str, *, mirror: Optional[str] = None,
              include: Iterable[str] = (), variant: str = DEFAULT_VARIANT,
              keyring: Optional[Path] = None, allow_expired: bool = False,
              progress: Sink = ignore) -> Image:
    """Make the image `text`, such as "debian:bookworm", and return it.

    `variant` is a key of `VARIANTS`, `include` names further packages. The mirror
    is the one given, else the setting, else the first of the host's apt
    configuration that has the suite. Its signature is verified with `keyring`, or
    the keys the host has; where the host cannot, a note says so. `allow_expired`
    takes a package list whose time is over.

    Raises `BootstrapFailed`, `FetchFailed` or `DigestMismatch`; the store is then
    as it was.
    """
    reference = Reference.parse(text)
    what = f"bootstrap {reference.familiar}"
    name = _suite_name(reference, what)
    if variant not in VARIANTS:
        raise BootstrapFailed(f'cannot {what}: there is no variant "{variant}"',
                              hint=f"variants are: {', '.join(VARIANTS)}")
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise BootstrapFailed(f"cannot {what}: we know no Debian for {platform.machine()}")
    chosen = mirror or settings.mirror()
    mirrors = [Mirror(chosen.rstrip("/"))] if chosen else host_mirrors(name)
    with store.staging() as scratch, Fetcher(connections=_DOWNLOADS) as fetcher:
        suite = SuiteReader(name, fetcher, Trust(keyring, allow_expired), scratch,
                            progress).open(mirrors, architecture)
        selection = _select(suite, variant, include, what)
        maker = _Maker(store, suite, selection, architecture, scratch, what, progress)
        with all_or_nothing(store):
            base = maker.unpack(fetcher)
            changes = maker.configure(base)
            manifest, config = maker.describe([base, changes], variant)
            return record(store, reference, manifest=manifest, config=config,
                          origin="bootstrapped")


def _suite_name(reference: Reference, what: str) -> str:
    if (reference.registry, reference.repository) != ("docker.io", "library/debian"):
        raise BootstrapFailed(f"cannot {what}: we can make Debian images only",
                              hint='write "debian:bookworm", or "lpmx pull" it from a registry')
    if reference.digest or reference.tag is None:
        raise BootstrapFailed(f"cannot {what}: a digest names no suite",
                              hint='write "debian:bookworm"')
    return NAMES.get(reference.tag, reference.tag)


@dataclass(frozen=True)
class _Selection:
    """The packages of the image, each after those it needs, in two parts (see
    debian/configure.py), and which of them are only there because others need them: apt
    removes those with the last that does."""

    first: Sequence[Package]
    second: Sequence[Package]
    automatic: frozenset[str]

    @property
    def packages(self) -> list[Package]:
        return [*self.first, *self.second]


def _select(suite: Suite, variant: str, include: Iterable[str], what: str) -> _Selection:
    priorities, names = VARIANTS[variant]
    base = [*suite.marks, *sorted(package.name for package
                                  in suite.packages.of_priority(*priorities))]
    wanted = [*names, *include]
    if suite.mirror.url.startswith("https:"):
        wanted.append("ca-certificates")
    resolution = Resolution(suite.packages, what)
    resolution.add(base)
    chosen = list(resolution.chosen)
    resolution.add(wanted)
    resolution.check()
    first = resolution.before(chosen)
    packages = resolution.in_order()
    for package in packages:
        check(package)
    return _Selection([package for package in packages if package.name in first],
                      [package for package in packages if package.name not in first],
                      frozenset(resolution.chosen) - {*base, *wanted})


class _Maker:
    """The making of one image."""

    def __init__(self, store: Store, suite: Suite, selection: _Selection,
                 architecture: str, scratch: Path, what: str, progress: Sink) -> None:
        self._store = store
        self._suite = suite
        self._selection = selection
        self._packages = selection.packages
        self._architecture = architecture
        self._scratch = scratch
        self._what = what
        self._progress = progress
        self._layer = LayerWriter(what, suite.date)
        self._sizes: dict[str, int] = {}

    # -- the first layer ----------------------------------------------------------------

    def unpack(self, fetcher: Fetcher) -> str:
        """Fetch the packages and unpack them as a layer; return its diff ID."""
        files = Downloads(self._suite.mirror, self._packages, fetcher,
                          self._scratch, self._progress)
        with files, ReadAhead(Stream(self._pieces(files))) as stream:
            layer = self._add(stream, "the packages")
        self._progress(TaskFinished("unpack"))
        return layer

    def _add(self, stream: ReadAhead, label: str) -> str:
        size = 0

        def count(length: int) -> None:
            nonlocal size
            size += length

        layer = self._store.layers.add(stream,  # type: ignore[arg-type]
                                       label=label, on_bytes=count)
        self._sizes[layer] = size
        return layer

    def _pieces(self, files: "Downloads") -> Iterator[bytes]:
        layer = self._layer
        if self._suite.links_usr:
            yield from layer.directory(b"usr")
            for name in _LINKED[self._architecture]:
                yield from layer.directory(b"usr/" + name.encode())
                yield from layer.link(name.encode(), b"usr/" + name.encode())
        first = len(self._selection.first)
        self._progress(TaskStarted("unpack", "Unpacking packages", len(self._packages),
                                   "packages"))
        for number, package in enumerate(self._packages):
            if number == first:
                yield from self._own_files()
                layer.begin_second()
            with Deb(files.get(package)) as deb:
                yield from layer.package(package, deb)
            self._progress(TaskAdvanced("unpack", number + 1))
        if first == len(self._packages):
            yield from self._own_files()
        yield from layer.database()
        yield from layer.end()

    def _own_files(self) -> Iterator[bytes]:
        """What belongs to no package and no script makes."""
        layer, suite = self._layer, self._suite
        options = " [check-valid-until=no]" if suite.release.expired else ""
        source = f"deb{options} {suite.mirror.url} {suite.name} {COMPONENT}\n"
        if not layer.has(b"bin/sh"):
            yield from layer.link(b"bin/sh", b"dash")
        for path in (b"etc/apt", b"var/lib/apt"):
            yield from layer.directory(path)
        yield from layer.file(b"etc/apt/sources.list", source.encode())
        states = "".join(f"Package: {name}\nArchitecture: {self._architecture}\n"
                         "Auto-Installed: 1\n\n" for name in sorted(self._selection.automatic))
        yield from layer.file(b"var/lib/apt/extended_states", states.encode())
        yield from layer.file(b"etc/hosts", _HOSTS)
        for path in (b"etc/resolv.conf", b"etc/machine-id"):
            yield from layer.file(path, b"")

    # -- the second layer ----------------------------------------------------------------

    def configure(self, base: str) -> str:
        """Configure the packages in the layer `base`; return the diff ID of the changes."""
        layer, indexes = self._layer, self._store.indexes
        index = indexes.ensure([base])
        place = Workplace(self._scratch / "container", indexes.trees([base]))
        first_index = self._scratch / "index"
        indexes.write_without(base, layer.second_paths, first_index)
        status, triggers = layer.second_database()
        configure(place, Parts(layer.first, layer.second, status, triggers),
                  first_index=first_index, index=index, what=self._what, progress=self._progress,
                  service_starter="/" + os.fsdecode(layer.place(b"sbin/start-stop-daemon")))
        with _native.View(place.bare_view(index)) as view, \
                ReadAhead(Stream(read_changes(view, place.upper))) as stream:
            return self._add(stream, "what the packages' scripts did")

    # -- the image ------------------------------------------------------------------------

    def describe(self, diff_ids: Sequence[str], variant: str) -> tuple[bytes, bytes]:
        """The manifest and the config (OCI image spec)."""
        suite = self._suite
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        version = f" {suite.release.version}" if suite.release.version else ""
        made_from = f"{suite.mirror.url} {suite.name} {COMPONENT}"
        config = json.dumps({
            "architecture": self._architecture, "os": "linux", "created": now,
            "config": {
                "Env": [f"PATH={_PATH}"], "Cmd": ["bash"],
                "Labels": {
                    "org.opencontainers.image.title": "Debian",
                    "org.opencontainers.image.version": suite.release.version or suite.name,
                    "org.opencontainers.image.created": now,
                    "org.lpmx.bootstrap.suite": suite.name,
                    "org.lpmx.bootstrap.variant": variant,
                    "org.lpmx.bootstrap.verified": "yes" if suite.verified else "no",
                },
            },
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
            "history": [
                {"created": now, "created_by": f"lpmx bootstrap: {len(self._packages)} packages "
                                               f"of Debian{version} ({suite.release.codename})",
                 "comment": made_from},
                {"created": now, "created_by": "dpkg --configure -a", "comment": made_from},
            ],
        }, indent=1).encode()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                       "digest": digest_of(config), "size": len(config)},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": diff_id,
                        "size": self._sizes[diff_id]} for diff_id in diff_ids],
        }).encode()
        return manifest, config


class Downloads:
    """The package files, fetched several at a time in the order in which they are unpacked."""

    def __init__(self, mirror: Mirror, packages: Sequence[Package], fetcher: Fetcher,
                 directory: Path, progress: Sink) -> None:
        self._mirror = mirror
        self._fetcher = fetcher
        self._directory = directory / "packages"
        self._directory.mkdir()
        self._progress = progress
        self._lock = threading.Lock()
        self._done = 0
        self._total = sum(package.size for package in packages)
        self._left = len(packages)
        self._pool = ThreadPoolExecutor(_DOWNLOADS, thread_name_prefix="lpmx-download")
        self._files: dict[str, "Future[Path]"] = {}
        progress(TaskStarted("download", f"Downloading {len(packages)} packages", self._total))
        for package in packages:
            self._files[package.name] = self._pool.submit(self._download, package)

    def __enter__(self) -> "Downloads":
        return self

    def __exit__(self, kind: object, *unused: object) -> None:
        for future in self._files.values():
            future.cancel()
        if kind is not None:
            self._fetcher.close()
        self._pool.shutdown(wait=True)

    def get(self, package: Package) -> Path:
        """The package's file, as soon as it is here and verified."""
        return self._files[package.name].result()

    def _download(self, package: Package) -> Path:
        path = self._fetcher.download(self._mirror.address(package.filename),
                                      self._directory / f"{package.name}.deb",
                                      sha256=package.sha256, size=package.size,
                                      on_bytes=self._advance)
        with self._lock:
            self._left -= 1
            if not self._left:
                self._progress(TaskFinished("download"))
        return path

    def _advance(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._progress(TaskAdvanced("download", self._done, self._total))
