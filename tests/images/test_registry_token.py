"""A real registry that takes signed tokens, and a token service of ours that signs them."""
from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List
from urllib.parse import parse_qs, urlsplit

import pytest
from lpmx_runtime.errors import Unauthorized
from lpmx_runtime.image.pull import pull
from lpmx_runtime.store import Store
from support.loopback import Answer, Request, Server
from support.registry import Registry

SERVICE, ISSUER = "test registry", "test tokens"


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenService(Server):
    """Anybody may pull `public/...`; alice may do everything."""

    def __init__(self, directory: Path) -> None:
        super().__init__(self._serve)
        self._directory = directory
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=tokens", "-keyout", "key", "-out", "certificate"],
                       cwd=directory, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        self.certificate = directory / "certificate"

    def _serve(self, request: Request) -> Answer:
        query = parse_qs(urlsplit(request.path).query)
        login = request.headers.get("authorization")
        if login is not None and login != "Basic " + base64.b64encode(b"alice:s3cret").decode():
            return Answer(401, {}, b'{"errors": [{"message": "who are you?"}]}')
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            granted = actions.split(",") if login else ["pull"] if name.startswith("public/") else []
            access.append({"type": kind, "name": name, "actions": granted})
        return Answer(200, {}, json.dumps({"token": self._sign(access)}).encode())

    def _sign(self, access: List[Any]) -> str:
        lines = self.certificate.read_text().split("\n")
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:lines.index(
            "-----END CERTIFICATE-----")])]}
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": "", "aud": SERVICE, "exp": now + 300, "nbf": now - 10,
                  "iat": now, "jti": "1", "access": access}
        text = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self._directory / "key"],
                                input=text.encode(), check=True, stdout=subprocess.PIPE)
        return f"{text}.{encode(signed.stdout)}"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenService]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    with TokenService(tmp_path_factory.mktemp("tokens")) as running:
        yield running  # type: ignore[misc]


@pytest.fixture(scope="module")
def guarded(tokens: TokenService, tmp_path_factory: pytest.TempPathFactory,
            images: Any) -> Iterator[Registry]:
    """docker-registry that believes these tokens, with an image for all and one for alice."""
    running = Registry(tmp_path_factory.mktemp("guarded"), {"auth": {"token": {
        "realm": f"http://{tokens.address}/token", "service": SERVICE, "issuer": ISSUER,
        "rootcertbundle": str(tokens.certificate)}}})
    built = images.get("tiny")
    for repository in ("public/tiny", "private/tiny"):
        running.push(f"oci:{built.layout}:{built.reference}", repository, "1",
                     "--dest-creds", "alice:s3cret")
    yield running
    running.close()


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, guarded: Registry) -> Callable[[str], None]:
    def write(pair: str) -> None:
        path = tmp_path / "auth.json"
        path.write_text(json.dumps({"auths": {guarded.address: {
            "auth": base64.b64encode(pair.encode()).decode()}}}))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))

    return write


def test_anybody_pulls_what_is_public(guarded: Registry, opened: Store) -> None:
    """With a token that anybody gets."""
    pull(opened, guarded.reference("public/tiny"))


def test_a_login_opens_what_is_private(guarded: Registry, opened: Store,
                                       login: Callable[[str], None]) -> None:
    """With a token for the login."""
    login("alice:s3cret")

    pull(opened, guarded.reference("private/tiny"))


def test_what_is_private_stays_shut(guarded: Registry, opened: Store,
                                    unchanged: Callable[[], None]) -> None:
    """A token that allows nothing is refused by the registry."""
    with pytest.raises(Unauthorized) as refused:
        pull(opened, guarded.reference("private/tiny"))

    assert "the registry refused the request (401 Unauthorized" in refused.value.message
    assert f'"lpmx login {guarded.address}"' in (refused.value.hint or "")


def test_a_wrong_login_is_refused_even_for_what_is_public(guarded: Registry, opened: Store,
                                                          login: Callable[[str], None],
                                                          unchanged: Callable[[], None]) -> None:
    """By the token service, whose words are passed on."""
    login("alice:wrong")

    with pytest.raises(Unauthorized, match='refused your login .*"who are you\\?"'):
        pull(opened, guarded.reference("public/tiny"))


def test_login_and_logout(guarded: Registry, lpmx: Any, tmp_path: Path,
                          monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands, with a registry that gives tokens."""
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    lpmx("login", "-u", "alice", "--password-stdin", guarded.address, input="s3cret", check=True)
    lpmx("pull", guarded.reference("private/tiny"), check=True)

    assert 1 == lpmx("login", "-u", "alice", "--password-stdin", guarded.address,
                     input="wrong").returncode
