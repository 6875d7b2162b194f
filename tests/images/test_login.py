"""lpmx login and logout."""
from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest
from support.small_registry import Access, SmallRegistry

ALICE = {"alice": "s3cret"}


@pytest.fixture(params=["basic", "bearer"])
def guarded(request: pytest.FixtureRequest) -> Iterator[SmallRegistry]:
    """A registry that asks for a password, each time or for a token."""
    with SmallRegistry(Access(request.param, ALICE)) as running:
        running.image("a/b", "1", [])
        yield running  # type: ignore[misc]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the login goes."""
    path = tmp_path / "logins" / "auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
    return path


def test_login_is_tried_and_kept(guarded: SmallRegistry, file: Path, lpmx: Any) -> None:
    """Then pulls work; the file is its owner's alone, and keeps what else was in it."""
    file.parent.mkdir()
    file.write_text('{"auths": {"other.io": {"auth": "eDp5"}}, "credHelpers": {"gcr.io": "x"}}')

    done = lpmx("login", "-u", "alice", "--password-stdin", guarded.address, input="s3cret\n",
                check=True)

    assert f"logged in to {guarded.address} as alice" in done.stderr
    assert "s3cret" not in done.stderr + done.stdout
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    kept = json.loads(file.read_text())
    assert {"other.io", guarded.address} == set(kept["auths"])
    assert {"gcr.io": "x"} == kept["credHelpers"]
    lpmx("pull", f"{guarded.address}/a/b:1", check=True)


def test_login_that_is_refused_is_not_kept(guarded: SmallRegistry, file: Path, lpmx: Any) -> None:
    """And the secret is in no message."""
    done = lpmx("login", "-u", "alice", "--password-stdin", guarded.address, input="wr0ng")

    assert 1 == done.returncode
    assert f'lpmx: cannot log in to "{guarded.address}": ' in done.stderr
    assert "401 Unauthorized" in done.stderr and "\nhint: " in done.stderr
    assert "wr0ng" not in done.stderr + done.stdout
    assert not file.exists()


def test_logout_forgets_the_login(guarded: SmallRegistry, file: Path, lpmx: Any) -> None:
    """Of that registry alone; a second time there is nothing to forget."""
    lpmx("login", "-u", "alice", "--password-stdin", guarded.address, input="s3cret", check=True)

    lpmx("logout", guarded.address, check=True)

    assert {} == json.loads(file.read_text())["auths"]
    assert 1 == lpmx("pull", f"{guarded.address}/a/b:1").returncode
    again = lpmx("logout", guarded.address)
    assert 1 == again.returncode
    assert "there is no login for it" in again.stderr


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program docker-credential-kept, which keeps logins in a folder, and tells what words
    it was started with."""
    folder = tmp_path / "kept"
    (tmp_path / "bin").mkdir()
    folder.mkdir()
    program = tmp_path / "bin/docker-credential-kept"
    program.write_text(f"""#!{sys.executable}
import json, pathlib, sys
folder, said = pathlib.Path({str(folder)!r}), sys.stdin.read().strip()
(folder / "words").open("a").write(" ".join(sys.argv[1:]) + chr(10))
login = folder / "login"
if sys.argv[1] == "store":
    login.write_text(said)
elif not login.exists() or json.loads(login.read_text())["ServerURL"] != said:
    sys.exit("credentials not found in native keychain")
elif sys.argv[1] == "get":
    print(login.read_text())
else:
    login.unlink()
""")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return folder


def test_a_helper_keeps_the_login(guarded: SmallRegistry, file: Path, helper: Path,
                                  lpmx: Any) -> None:
    """Where the file names one for the registry: nothing secret is in the file, nor on a
    command line, and logging out reaches the helper."""
    file.parent.mkdir()
    file.write_text(json.dumps({"credHelpers": {guarded.address: "kept"},
                                "auths": {guarded.address: {"auth": "b2xkOm9sZA=="}}}))

    done = lpmx("login", "-u", "alice", "--password-stdin", guarded.address, input="s3cret",
                check=True)

    assert "the login is in docker-credential-kept" in done.stderr
    assert {"ServerURL": guarded.address, "Username": "alice", "Secret": "s3cret"} == json.loads(
        (helper / "login").read_text())
    assert {} == json.loads(file.read_text())["auths"]
    assert "alice\n" == lpmx("login", "--get-login", guarded.address, check=True).stdout
    lpmx("pull", f"{guarded.address}/a/b:1", check=True)
    lpmx("logout", guarded.address, check=True)
    assert not (helper / "login").exists()
    assert 1 == lpmx("login", "--get-login", guarded.address).returncode
    assert {"store", "get", "erase"} == set((helper / "words").read_text().split())


def test_the_secret_is_asked_for_without_showing_it(guarded: SmallRegistry, file: Path,
                                                    installed: Any) -> None:
    """On a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([installed.lpmx, "login", guarded.address], stdin=theirs,
                               stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    said = b""
    answers = [(b"user at ", b"alice\n"), (b"secret of alice", b"s3cret\n")]
    while True:
        try:
            piece = os.read(ours, 1000)
        except OSError:
            break
        if not piece:
            break
        said += piece
        if answers and answers[0][0] in said:
            os.write(ours, answers.pop(0)[1])
    os.close(ours)

    assert 0 == process.wait(30), said
    assert b"s3cret" not in said
    assert guarded.address in json.loads(file.read_text())["auths"]


def test_a_registry_that_asks_for_no_login(file: Path, lpmx: Any) -> None:
    """Nothing is kept for it."""
    with SmallRegistry() as small:
        done = lpmx("login", "-u", "alice", "--password-stdin", small.address, input="s3cret")

    assert 1 == done.returncode
    assert "it asks nobody for a login" in done.stderr
    assert not file.exists()


def test_without_a_secret_nothing_is_asked(file: Path, lpmx: Any) -> None:
    """The hint shows how a script gives one."""
    done = lpmx("login", "-u", "alice", "registry.invalid")

    assert 1 == done.returncode
    assert "the secret is missing" in done.stderr
    assert "--password-stdin" in done.stderr


def test_a_file_that_cannot_hold_logins(guarded: SmallRegistry, file: Path, lpmx: Any) -> None:
    """It is left as it is."""
    file.parent.mkdir()
    file.write_text("[]")

    done = lpmx("login", "-u", "alice", "--password-stdin", guarded.address, input="s3cret")

    assert 1 == done.returncode
    assert f'lpmx: cannot keep a login in "{file}": ' in done.stderr
    assert "[]" == file.read_text()


def test_logout_with_a_helper_that_is_gone(file: Path, lpmx: Any) -> None:
    """As Docker Desktop leaves one: it is told, and the file has the login no more."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"credsStore": "gone-for-good", "auths": {
        "registry.example": {"auth": "dXNlcjpzZWNyZXQ="}}}))

    done = lpmx("logout", "registry.example")

    assert 0 != done.returncode and "the program is not installed" in done.stderr
    assert {} == json.loads(file.read_text())["auths"]
