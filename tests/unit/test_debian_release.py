"""Release files: what they list, until when they count, and who signed them."""
from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Iterator

import pytest
from lpmx_runtime.errors import BootstrapFailed
from lpmx_runtime.image.debian import release
from support.gpg import Signer, make_signer

HASH = "ab" * 32
TEXT = f"""\
Origin: Debian
Suite: stable
Codename: bookworm
Version: 12.11
Acquire-By-Hash: yes
Architectures: all amd64
SHA256:
 {HASH} 1234 main/binary-amd64/Packages.xz
 nonsense 12 main/binary-amd64/Packages
 {HASH} -1 main/binary-amd64/Packages.gz
"""


def test_release_lists_files_by_hash_and_size() -> None:
    """Lines that make no sense are no files."""
    parsed = release.parse_release(TEXT, "stable")

    assert {"main/binary-amd64/Packages.xz": release.ListedFile(HASH, 1234)} == parsed.files
    assert ("bookworm", "12.11", True) == (parsed.codename, parsed.version, parsed.by_hash)
    assert parsed.expired is None


def test_release_of_another_suite_is_refused() -> None:
    """A mirror that answers with something else is not believed."""
    with pytest.raises(BootstrapFailed, match='Release file is of "bookworm"'):
        release.parse_release(TEXT, "trixie")


def test_release_without_strong_hashes_is_refused() -> None:
    """MD5 alone covers nothing."""
    with pytest.raises(BootstrapFailed, match="lists no SHA-256 hashes"):
        release.parse_release(TEXT.replace("SHA256:", "MD5Sum:"), "bookworm")


@pytest.mark.parametrize("days,expired", [(1, False), (-1, True)])
def test_release_is_good_until_its_date(days: int, expired: bool) -> None:
    """Valid-Until, where there is one."""
    until = datetime.now(timezone.utc) + timedelta(days=days)
    text = TEXT.replace("Suite:", f"Valid-Until: {format_datetime(until)}\nSuite:")

    assert expired == (release.parse_release(text, "stable").expired is not None)


def test_text_of_a_signed_message() -> None:
    """Header and signature go, and so does what escapes lines that begin with a dash."""
    signed = ("-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nOrigin: Debian\r\n"
              "- --- dashes\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\nabc\r\n-----END PGP SIGNATURE-----")

    assert "Origin: Debian\n--- dashes" == release.unsigned_text(signed.encode())
    assert "Origin: Debian" == release.unsigned_text(b"Origin: Debian")


# -- signatures, by a key made here


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    yield from make_signer(tmp_path_factory.mktemp("gpg"))


@pytest.mark.parametrize("form", ["ring", "armored"])
def test_signed_text_is_returned(signer: Signer, tmp_path: Path, form: str) -> None:
    """Keys may be in binary form or armored."""
    text = release.verified_text(signer.clear_sign(TEXT), None, [getattr(signer, form)], tmp_path,
                                 "bootstrap it")

    assert TEXT == text


def test_signature_may_be_apart(signer: Signer, tmp_path: Path) -> None:
    """Release and Release.gpg."""
    assert TEXT == release.verified_text(TEXT.encode(), signer.detach_sign(TEXT), [signer.ring],
                                         tmp_path, "bootstrap it")


def test_changed_text_is_refused(signer: Signer, tmp_path: Path) -> None:
    """One changed letter is enough, in both forms."""
    for signed, detached in ((signer.clear_sign(TEXT), None),
                             (TEXT.encode(), signer.detach_sign(TEXT))):
        with pytest.raises(BootstrapFailed, match="signature of the mirror's Release file is wrong"):
            release.verified_text(signed.replace(b"12.11", b"12.12"), detached, [signer.ring],
                                  tmp_path, "bootstrap it")


def test_only_what_was_signed_counts(signer: Signer, tmp_path: Path) -> None:
    """Text around the signed message is not part of what comes out."""
    signed = b"Codename: evil\n\n" + signer.clear_sign(TEXT) + b"Codename: evil\n"

    assert TEXT == release.verified_text(signed, None, [signer.ring], tmp_path, "bootstrap it")


def test_signature_by_an_unknown_key_is_refused(signer: Signer, tmp_path: Path) -> None:
    """The message says which key, the hint how to name it."""
    other = tmp_path / "other.gpg"
    other.write_bytes(base64.b64decode(  # a public key that signed nothing here
        "mDMEZZvvfBYJKwYBBAHaRw8BAQdAyKq0wKbvXnN5wJ5mJc0Yw0b0mJm1C7o3d0yJwJm7n+y0"))

    with pytest.raises(BootstrapFailed) as failure:
        release.verified_text(signer.clear_sign(TEXT), None, [other], tmp_path, "bootstrap it")

    assert "signed by keys that are not known here" in str(failure.value)
    assert "--keyring" in str(failure.value.hint)


def test_unsigned_text_is_refused(signer: Signer, tmp_path: Path) -> None:
    """A mirror cannot leave the signature out where it can be checked."""
    for detached in (None, b""):
        with pytest.raises(BootstrapFailed, match="no valid signature"):
            release.verified_text(TEXT.encode(), detached, [signer.ring], tmp_path, "bootstrap it")


def test_host_without_keys_cannot_verify(signer: Signer, tmp_path: Path) -> None:
    """That is told apart from a wrong signature: the caller says so to people."""
    with pytest.raises(release.NotVerifiable, match="no keys"):
        release.verified_text(signer.clear_sign(TEXT), None, [], tmp_path, "bootstrap it")
