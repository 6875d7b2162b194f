"""Logins in Docker's and Podman's files, and from their helpers."""
from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from lpmx_runtime import settings
from lpmx_runtime.errors import InvalidSetting, Unauthorized
from lpmx_runtime.registry.credentials import Login, find_login


def auth(user: str, secret: str) -> Dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{secret}".encode()).decode()}


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


@pytest.mark.parametrize("registry, repository, user", [
    ("ghcr.io", "acme/solver", "general"),
    ("quay.io", "acme/solver", "solver"),
    ("quay.io", "acme/other", "acme"),
    ("quay.io", "acme-2/solver", None),
    ("docker.io", "library/ubuntu", "hub"),
    ("host:5000", "x", "port"),
    ("host", "x", None),
    ("old.example", "x", "url"),
])
def test_the_longest_name_that_fits_counts(tmp_path: Path, registry: str, repository: str,
                                           user: Optional[str]) -> None:
    """Registries, parts of registries, and the URLs that Docker writes."""
    path = write(tmp_path / "auth.json", {"auths": {
        "ghcr.io": auth("general", "s"),
        "quay.io/acme": auth("acme", "s"),
        "quay.io/acme/solver": auth("solver", "s"),
        "https://index.docker.io/v1/": auth("hub", "s"),
        "host:5000": auth("port", "s"),
        "https://old.example/v2/": auth("url", "s"),
    }})

    login = find_login(registry, repository, [path])

    assert user == (login.user if login else None)


def test_a_secret_may_have_any_characters(tmp_path: Path) -> None:
    """Only the first colon parts it from the user."""
    path = write(tmp_path / "c", {"auths": {"r.io": auth("u", "a:b ü=")}})

    assert Login("u", "a:b ü=") == find_login("r.io", "x", [path])


def test_an_identity_token_stands_for_user_and_secret(tmp_path: Path) -> None:
    """As `docker login` leaves it for registries with OAuth2."""
    path = write(tmp_path / "c", {"auths": {"r.io": {"identitytoken": "t", **auth("u", "")}}})

    login = find_login("r.io", "x", [path])

    assert login is not None and "t" == login.identity_token


def test_the_first_file_with_a_login_counts(tmp_path: Path) -> None:
    """A file that lacks it, or is not there, leads to the next."""
    first = write(tmp_path / "1", {"auths": {"other.io": auth("no", "s")}})
    second = write(tmp_path / "2", {"auths": {"r.io": auth("yes", "s")}})

    login = find_login("r.io", "x", [tmp_path / "missing", first, second])

    assert login is not None and "yes" == login.user


def test_a_secret_does_not_show() -> None:
    """Not in the text of the object, which may land in a log."""
    assert "s3cret" not in repr(Login("u", "s3cret", "s3cret"))


@pytest.mark.parametrize("text", ["{", '{"auths": {"r.io": {"auth": "*"}}}'])
def test_a_file_that_makes_no_sense_is_named(tmp_path: Path, text: str) -> None:
    """The message says which file, and nothing that stands in it."""
    path = write(tmp_path / "config.json", text)

    with pytest.raises(InvalidSetting) as refused:
        find_login("r.io", "x", [path])

    assert f'cannot read the logins in "{path}"' in refused.value.message


def test_files_are_looked_for_where_podman_and_docker_place_them(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REGISTRY_AUTH_FILE alone if set; else the runtime's, the user's and Docker's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    for name in ("XDG_CONFIG_HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)

    assert [tmp_path / "run/containers/auth.json", tmp_path / ".config/containers/auth.json",
            tmp_path / ".docker/config.json"] == settings.login_files()

    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "d"))
    assert tmp_path / "d/config.json" == settings.login_files()[-1]

    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "only"))
    assert [tmp_path / "only"] == settings.login_files()


# -- helpers


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program docker-credential-test that notes what it is asked."""
    program = tmp_path / "bin" / "docker-credential-test"
    write(program, "#!/bin/sh\n"
          'test "$1" = get || exit 9\n'
          f'read -r server || true; echo "$server" >> "{tmp_path}/asked"\n'
          'case "$server" in\n'
          'known.io) echo \'{"ServerURL": "known.io", "Username": "u", "Secret": "s"}\';;\n'
          'token.io) echo \'{"Username": "<token>", "Secret": "refresh"}\';;\n'
          'https://index.docker.io/v1/) echo \'{"Username": "hub", "Secret": "s"}\';;\n'
          'odd.io) echo "s3cret";;\n'
          'broken.io) echo "no keyring"; exit 1;;\n'
          '*) echo "credentials not found in native keychain"; exit 1;;\n'
          "esac\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path / "asked"


@pytest.mark.parametrize("value", [{"credsStore": "test"},
                                   {"credHelpers": {name: "test" for name in (
                                       "known.io", "token.io", "docker.io", "else.io")}}])
def test_helpers_are_asked(tmp_path: Path, helper: Path, value: Any) -> None:
    """For one registry or for all; Docker Hub has its old name there."""
    path = write(tmp_path / "config.json", value)

    assert Login("u", "s") == find_login("known.io", "x", [path])
    assert Login("", "", "refresh") == find_login("token.io", "x", [path])
    assert Login("hub", "s") == find_login("docker.io", "library/x", [path])
    assert find_login("else.io", "x", [path]) is None
    assert ["known.io", "token.io", "https://index.docker.io/v1/", "else.io"] == \
        helper.read_text().split()


def test_a_file_helps_where_the_helper_knows_nothing(tmp_path: Path, helper: Path) -> None:
    """A login in the same file is used then."""
    path = write(tmp_path / "c", {"credsStore": "test", "auths": {"else.io": auth("f", "s")}})

    assert Login("f", "s") == find_login("else.io", "x", [path])


@pytest.mark.parametrize("registry, name, cause", [
    ("broken.io", "test", "docker-credential-test: no keyring"),
    ("odd.io", "test", "docker-credential-test: its answer makes no sense"),
    ("x.io", "absent", "docker-credential-absent: the program is not installed"),
])
def test_a_helper_that_does_not_work_is_named(tmp_path: Path, helper: Path, registry: str,
                                              name: str, cause: str) -> None:
    """The message has its cause, and never its output, which may be a secret."""
    path = write(tmp_path / "c", {"credsStore": name})

    with pytest.raises(Unauthorized) as refused:
        find_login(registry, "x", [path])

    assert cause in refused.value.message
    assert "s3cret" not in refused.value.message


def test_a_helper_is_a_name_and_nothing_else(tmp_path: Path) -> None:
    """No path leads out of the programs that are called so."""
    path = write(tmp_path / "c", {"credsStore": "../../x"})

    with pytest.raises(InvalidSetting, match="it is no name of one"):
        find_login("r.io", "x", [path])
