"""One suite of the archive: found on a mirror, verified, its package list read."""
from __future__ import annotations

import hashlib
import lzma
import zlib
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Optional, Sequence

from ...errors import BootstrapFailed, DigestMismatch, FetchFailed, FetchMissing
from ...progress import Note, Sink, TaskFinished, TaskStarted
from ...registry.fetch import Fetcher
from ..gpgv import NotVerifiable
from . import release
from .mirror import Mirror
from .packages import PackageList

COMPONENT = "main"

#: What people also call a suite.
NAMES = {"latest": "stable", "11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky"}
#: The suite whose /bin is a link into /usr that no package brings: before it /bin is a
#: directory, after it base-files has the link. Another package says that the link is there.
_LINKED_BY_HAND, _LINKED = "bookworm", "usr-is-merged"

_RELEASE_LIMIT = 16 << 20
_LIST_LIMIT = 512 << 20


@dataclass(frozen=True)
class Suite:
    """A suite whose package list is here. `verified` says whether a signature covers it."""

    name: str
    mirror: Mirror
    release: release.Release
    packages: PackageList
    verified: bool

    @property
    def date(self) -> int:
        """When the suite was last changed, in seconds since 1970."""
        try:
            return int(parsedate_to_datetime(self.release.fields["Date"]).timestamp())
        except (KeyError, TypeError, ValueError):
            return 0

    @property
    def links_usr(self) -> bool:
        """Whether /bin and the like are to be made links into /usr."""
        return self.release.codename == _LINKED_BY_HAND

    @property
    def marks(self) -> tuple[str, ...]:
        """Packages that say so: without them the links would be made once more."""
        return (_LINKED,) if self.links_usr else ()


@dataclass(frozen=True)
class Trust:
    """What a mirror has to prove. `keyring` None: the keys that the host has."""

    keyring: Optional[Path] = None
    allow_expired: bool = False


class SuiteReader:
    """Gets what is needed of one suite."""

    def __init__(self, name: str, fetcher: Fetcher, trust: Trust, scratch: Path,
                 progress: Sink) -> None:
        self._name = name
        self._what = f"bootstrap debian:{name}"
        self._fetcher = fetcher
        self._trust = trust
        self._scratch = scratch
        self._progress = progress

    def open(self, mirrors: Sequence[Mirror], architecture: str) -> Suite:
        """The suite on the first of `mirrors` that has it."""
        self._progress(TaskStarted("suite", f"Reading the package list of {self._name}"))
        mirror, signed, detached = self._find(mirrors)
        text, verified = self._verify(mirror, signed, detached)
        parsed = release.parse_release(text, self._name)
        self._check_date(parsed)
        if architecture not in parsed.fields.get("Architectures", "").split():
            raise BootstrapFailed(f"cannot {self._what}: the suite has no packages for "
                                  f"{architecture}", hint="use another suite")
        packages = PackageList()
        packages.add(self._list(mirror, parsed, architecture))
        self._progress(TaskFinished("suite", f"{len(packages)} packages, "
                                    + ("signature verified" if verified else "NOT verified")))
        return Suite(self._name, mirror, parsed, packages, verified)

    # -- the Release file -------------------------------------------------------------

    def _find(self, mirrors: Sequence[Mirror]) -> tuple[Mirror, bytes, Optional[bytes]]:
        """A mirror that has the suite: its Release file, and the signature where apart."""
        failure: Optional[FetchFailed] = None
        for mirror in mirrors:
            try:
                return (mirror, *self._fetch_release(mirror))
            except FetchFailed as error:
                if failure is None or isinstance(failure, FetchMissing):
                    failure = error
        if failure is None:
            raise BootstrapFailed(
                f"cannot {self._what}: no mirror is known, and this host's apt names none",
                hint="give one with --mirror URL or LPMX_MIRROR")
        if isinstance(failure, FetchMissing):
            tried = ", ".join(mirror.url for mirror in mirrors)
            raise BootstrapFailed(f'cannot {self._what}: the mirror has no suite "{self._name}" '
                                  f"({tried})", hint="check the suite's name, or give another "
                                                     "mirror with --mirror URL") from failure
        raise failure

    def _fetch_release(self, mirror: Mirror) -> tuple[bytes, Optional[bytes]]:
        base = f"dists/{self._name}/"
        try:
            return self._get(mirror, base + "InRelease", _RELEASE_LIMIT), None
        except FetchMissing:
            content = self._get(mirror, base + "Release", _RELEASE_LIMIT)
        try:
            return content, self._get(mirror, base + "Release.gpg", _RELEASE_LIMIT)
        except FetchMissing:
            return content, b""

    def _verify(self, mirror: Mirror, signed: bytes,
                detached: Optional[bytes]) -> tuple[str, bool]:
        if self._trust.keyring is not None:
            keyrings = [self._trust.keyring]
        else:
            keyrings = release.host_keyrings(mirror.keyrings)
        try:
            text = release.verified_text(signed, detached, keyrings, self._scratch, self._what)
            return text, True
        except NotVerifiable as error:
            if self._trust.keyring is not None:
                raise BootstrapFailed(f"cannot {self._what}: {error} to check the signature with",
                                      hint="install gpgv, or leave out --keyring") from None
            self._progress(Note(f"note: the signature of {mirror.url} was not verified: {error}. "
                                "What comes is as trustworthy as the connection; --keyring FILE "
                                "and gpgv change that."))
        return release.unsigned_text(signed), False

    def _check_date(self, parsed: release.Release) -> None:
        expired = parsed.expired
        if expired is None:
            return
        when = f"{expired:%d %B %Y}"
        if not self._trust.allow_expired:
            raise BootstrapFailed(
                f"cannot {self._what}: the mirror's package list was good until {when} only",
                hint="the mirror may hold back updates: use another one, or --allow-expired")
        self._progress(Note(f"note: the package list of {self._name} expired on {when}; "
                            "taken all the same, as asked"))

    # -- the package list -----------------------------------------------------------------

    def _list(self, mirror: Mirror, parsed: release.Release, architecture: str) -> str:
        stem = f"{COMPONENT}/binary-{architecture}/Packages"
        for suffix, unpack in ((".xz", lzma.decompress), (".gz", _gunzip), ("", bytes)):
            listed = parsed.files.get(stem + suffix)
            if listed is None:
                continue
            try:
                data = self._listed(mirror, parsed, stem + suffix, listed)
            except FetchMissing:
                continue
            try:
                return unpack(data).decode("utf-8", "replace")
            except (lzma.LZMAError, zlib.error) as error:
                raise BootstrapFailed(f"cannot {self._what}: its package list is damaged ({error})",
                                      hint="use another mirror") from error
        raise BootstrapFailed(f"cannot {self._what}: the mirror does not have its package list",
                              hint="use another mirror")

    def _listed(self, mirror: Mirror, parsed: release.Release, name: str,
                listed: release.ListedFile) -> bytes:
        """A file that the Release file lists, of the size and the hash it lists.

        Asked for by hash where the mirror keeps it so: that file stays the same
        while the mirror is updated.
        """
        base = f"dists/{self._name}/"
        places = [base + name]
        if parsed.by_hash:
            places.insert(0, f"{base}{name.rpartition('/')[0]}/by-hash/SHA256/{listed.sha256}")
        for position, place in enumerate(places):
            try:
                data = self._get(mirror, place, min(listed.size, _LIST_LIMIT))
            except FetchMissing:
                if position == len(places) - 1:
                    raise
                continue
            if len(data) == listed.size and hashlib.sha256(data).hexdigest() == listed.sha256:
                return data
        raise DigestMismatch(f'cannot use "{mirror.address(base + name)}": it is not what the '
                             "Release file says",
                             hint="the mirror is being updated or is damaged; try again, or use "
                                  "another mirror")

    def _get(self, mirror: Mirror, path: str, limit: int) -> bytes:
        return self._fetcher.get(mirror.address(path), limit=limit)


def _gunzip(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=31)
