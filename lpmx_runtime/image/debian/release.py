"""What a suite has, who signed it, and until when that counts.

A mirror's `InRelease` lists the hash of every package list; those list the hash
of every package. So one signature covers all of it. Signatures are checked by
`gpgv` with keys that the host has; only the text that it vouches for is used.
"""
from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Optional, Sequence

from ...errors import BootstrapFailed
from ..gpgv import NotVerifiable, Verdict, judge
from .packages import parse_stanza

KEYRINGS = (Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
            Path("/usr/share/keyrings/debian-archive-keyring.pgp"))
TRUSTED = Path("/etc/apt/trusted.gpg.d")


@dataclass(frozen=True)
class ListedFile:
    """A file of the suite: its hash and its size."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Release:
    """The fields of a Release file, and the files it lists."""

    fields: dict[str, str]
    files: dict[str, ListedFile]

    @property
    def codename(self) -> str:
        return self.fields.get("Codename", "")

    @property
    def version(self) -> str:
        """The point release, such as "12.11"; empty for what is not released yet."""
        return self.fields.get("Version", "")

    @property
    def by_hash(self) -> bool:
        """Whether files can be asked for by hash, which holds while a mirror is updated."""
        return self.fields.get("Acquire-By-Hash") == "yes"

    @property
    def expired(self) -> Optional[datetime]:
        """When the mirror's word ceased to count; None if it still does."""
        until = _date(self.fields.get("Valid-Until", ""))
        return until if until is not None and until < datetime.now(timezone.utc) else None


def parse_release(text: str, suite: str) -> Release:
    """Take apart the text of a Release file of `suite`; only SHA-256 hashes count."""
    fields = parse_stanza(text)
    if suite not in (fields.get("Codename"), fields.get("Suite")):
        raise BootstrapFailed(f'cannot bootstrap "{suite}": the mirror\'s Release file is of '
                              f'"{fields.get("Codename", "?")}"', hint="check the mirror's address")
    files = {}
    for line in fields.get("SHA256", "").split("\n"):
        parts = line.split()
        if len(parts) == 3 and re.fullmatch(r"[0-9a-f]{64}", parts[0]) and parts[1].isdigit():
            files[parts[2]] = ListedFile(parts[0], int(parts[1]))
    if not files:
        raise BootstrapFailed(f'cannot bootstrap "{suite}": the mirror\'s Release file lists no '
                              "SHA-256 hashes", hint="use another mirror")
    return Release(fields, files)


def unsigned_text(signed: bytes) -> str:
    """The text of a clear-signed message, its signature not looked at (RFC 9580, 7)."""
    text = signed.decode("utf-8", "replace").replace("\r\n", "\n")
    if not text.startswith("-----BEGIN PGP SIGNED MESSAGE-----"):
        return text
    _, _, body = text.partition("\n\n")
    body = body.partition("\n-----BEGIN PGP SIGNATURE-----")[0]
    return "\n".join(line[2:] if line.startswith("- ") else line for line in body.split("\n"))


def host_keyrings(extra: Sequence[Path] = ()) -> list[Path]:
    """The files with the archive's keys that this host has; `extra` from apt's sources."""
    found = [path for path in (*KEYRINGS, *extra) if path.is_file()]
    if TRUSTED.is_dir():
        found += sorted(path for path in TRUSTED.iterdir()
                        if path.suffix in (".gpg", ".asc") and path.is_file())
    return list(dict.fromkeys(found))


def verified_text(signed: bytes, detached: Optional[bytes], keyrings: Sequence[Path],
                  scratch: Path, what: str) -> str:
    """The text that somebody with a key in `keyrings` signed.

    `signed` is clear-signed, or goes with the signature `detached`. Raises
    `BootstrapFailed` for a wrong signature or one by a key that is not there,
    and `NotVerifiable` where the host has nothing to check it with.
    """
    if not keyrings:
        raise NotVerifiable("this host has no keys of the archive")
    try:
        verdict = judge(signed, detached, keyrings, scratch)
    except OSError as error:
        raise BootstrapFailed(f'cannot read the keyring "{error.filename}": '
                              f"{os.strerror(error.errno or 0).lower()}",
                              hint="name a readable file with --keyring") from None
    # A release is signed by several keys; gpgv's exit code wants all of them known.
    # A key that has expired or was revoked makes signatures that are valid, but not good.
    if verdict.good:
        return verdict.text.read_text(encoding="utf-8", errors="replace")
    raise BootstrapFailed(f"cannot {what}: {_why(verdict)}", hint=_advice(verdict.status))


def _why(verdict: Verdict) -> str:
    if "BADSIG" in verdict.status:
        return "the signature of the mirror's Release file is wrong"
    if verdict.unknown:
        return ("the mirror's Release file is signed by keys that are not known here "
                f"({', '.join(verdict.unknown)})")
    if re.search(r"EXPKEYSIG|REVKEYSIG|EXPSIG", verdict.status):
        return "the key that signed the mirror's Release file has expired or was revoked"
    last = verdict.said.strip().split("\n")[-1]
    return f"the mirror's Release file has no valid signature ({last or 'gpgv does not say why'})"


def _advice(status: str) -> str:
    if "BADSIG" in status:
        return "something changes the mirror's files on the way; use another mirror"
    return "name a file with the archive's newer keys with --keyring"


def _date(text: str) -> Optional[datetime]:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=timezone.utc)
