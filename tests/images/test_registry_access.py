"""Who may pull: anonymous, passwords, tokens, certificates; and who never sees the login."""
from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Tuple

import pytest
from support import layers
from support.faulty_proxy import FaultyProxy, Redirect, Rewrite
from support.loopback import Answer
from support.pulls import HASTY
from support.registry import Registry
from support.small_registry import Access, SmallRegistry, digest

from lpmx_runtime.errors import RegistryError, RegistryUnreachable, Unauthorized
from lpmx_runtime.image.pull import pull
from lpmx_runtime.store import Store

TARS = [layers.tar(layers.file(b"f", b"%d" % number)) for number in range(4)]


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """`login(address, user, secret)` is what "podman login" does."""
    path = tmp_path / "auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))

    def write(address: str, user: str, secret: str, **fields: str) -> None:
        pair = base64.b64encode(f"{user}:{secret}".encode()).decode()
        path.write_text(json.dumps({"auths": {address: {"auth": pair, **fields}}}))

    return write


def small_registry(access: Access) -> SmallRegistry:
    running = SmallRegistry(access)
    running.image("a/b", "1", TARS)
    return running


def shown(server: Any) -> set[str]:
    """The values of Authorization that a server has seen."""
    return {request.headers["authorization"] for request in server.requests
            if "authorization" in request.headers}


# -- a real registry that asks for passwords


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, images: Any) -> Iterator[Tuple[Registry, str]]:
    """docker-registry with a user alice, and an image in it."""
    htpasswd = shutil.which("htpasswd")
    if htpasswd is None:
        pytest.skip("htpasswd (apache2-utils) is not installed")
    directory = tmp_path_factory.mktemp("guarded")
    subprocess.run([htpasswd, "-Bbc", directory / "users", "alice", "s3cret"], check=True,
                   stderr=subprocess.DEVNULL)
    running = Registry(directory, {"auth": {"htpasswd": {
        "realm": "test", "path": str(directory / "users")}}})
    built = images.get("tiny")
    yield running, running.push(f"oci:{built.layout}:{built.reference}", "team/tiny", "1",
                                "--dest-creds", "alice:s3cret")
    running.close()


def test_a_password_opens_a_real_registry(guarded: Tuple[Registry, str], opened: Store,
                                          login: Callable[..., None]) -> None:
    """The login that Podman or Docker left is found and used."""
    registry, reference = guarded
    login(registry.address, "alice", "s3cret")

    assert reference == pull(opened, reference).name


@pytest.mark.parametrize("secret, cause", [
    (None, "the registry refused the request (401 Unauthorized"),
    ("wrong", "the registry refused the request with your login (401 Unauthorized"),
])
def test_without_a_password_it_stays_shut(guarded: Tuple[Registry, str], opened: Store,
                                          login: Callable[..., None],
                                          unchanged: Callable[[], None], secret: Optional[str],
                                          cause: str) -> None:
    """The message says whether a login was used; the hint, how to get one."""
    registry, reference = guarded
    if secret:
        login(registry.address, "alice", secret)

    with pytest.raises(Unauthorized) as refused:
        pull(opened, reference)

    assert f'cannot pull "{reference}": {cause}' in refused.value.message
    assert f"lpmx login {registry.address}" in (refused.value.hint or "")


# -- tokens


@pytest.mark.parametrize("challenge", [
    None,
    'Bearer realm="{realm}"',
    'Bearer realm="{realm}",scope="read"',
    'Basic realm="x", Bearer realm="{realm}",service="s"',
    "bearer realm={realm}, service=s",
    'Bearer realm="{realm}?a=b",service="s p a c e"',
])
def test_anybody_may_have_a_token(opened: Store, challenge: Optional[str]) -> None:
    """For public images: in every way that registries have of saying where, and for what."""
    with small_registry(Access(challenge=challenge)) as small:
        pull(opened, f"{small.address}/a/b:1", patience=HASTY)

        asked, = small.seen(part="/token")
        assert "authorization" not in asked.headers
        assert "scope=repository%3A" in asked.path
        assert {"Bearer token-0"} == shown(small)


def test_a_token_for_a_login(opened: Store, login: Callable[..., None]) -> None:
    """The password goes to the token service alone."""
    with small_registry(Access(logins={"alice": "s3cret"})) as small:
        login(small.address, "alice", "s3cret")

        pull(opened, f"{small.address}/a/b:1", patience=HASTY)

        asked, = small.seen(part="/token")
        assert "account=alice" in asked.path
        assert asked.headers["authorization"].startswith("Basic ")
        assert {asked.headers["authorization"], "Bearer token-0"} == shown(small)


def test_a_token_for_a_refresh_token(opened: Store, login: Callable[..., None]) -> None:
    """As `docker login` leaves it; it goes into a form, not into an address."""
    with small_registry(Access(logins={"x": "y"}, refresh_token="refresh-me")) as small:
        login(small.address, "alice", "", identitytoken="refresh-me")

        pull(opened, f"{small.address}/a/b:1", patience=HASTY)

        asked, = small.seen("POST", "/token")
        assert b"refresh_token=refresh-me" in asked.body
        assert "refresh-me" not in asked.path


def test_a_refresh_token_that_is_good_once(opened: Store, login: Callable[..., None]) -> None:
    """With each token comes the next one, and the pull goes on with that."""
    with small_registry(Access(logins={"x": "y"}, refresh_token="first", rotating=True,
                               expiring=(2, 4))) as small:
        login(small.address, "alice", "", identitytoken="first")

        pull(opened, f"{small.address}/a/b:1", patience=HASTY)

        assert [b"refresh_token=first", b"refresh_token=refresh-1", b"refresh_token=refresh-2"] == [
            next(part for part in request.body.split(b"&") if part.startswith(b"refresh_token"))
            for request in small.seen("POST", "/token")]


def test_a_token_that_expires_is_renewed(opened: Store) -> None:
    """In the middle of a pull, as often as it takes."""
    with small_registry(Access(expiring=(2, 5))) as small:
        image = pull(opened, f"{small.address}/a/b:1", patience=HASTY)

        assert tuple(map(digest, TARS)) == image.diff_ids
        assert 3 == len(small.seen(part="/token"))


@pytest.mark.parametrize("secret, cause", [
    (None, "gives no access without a login (401 Unauthorized, \"incorrect"),
    ("wrong", "refused your login (401 Unauthorized, \"incorrect"),
])
def test_a_token_that_is_not_given(opened: Store, login: Callable[..., None],
                                   unchanged: Callable[[], None], secret: Optional[str],
                                   cause: str) -> None:
    """It is the token service that said no; the secret is in no message."""
    with small_registry(Access(logins={"alice": "s3cret"})) as small:
        if secret:
            login(small.address, "alice", secret)

        with pytest.raises(Unauthorized) as refused:
            pull(opened, f"{small.address}/a/b:1", patience=HASTY)

        assert f'the token service at "{small.address}" {cause}' in refused.value.message
        assert "login" in (refused.value.hint or "")
        assert "wrong" not in refused.value.message


def test_a_token_that_is_no_use(opened: Store, unchanged: Callable[[], None]) -> None:
    """The registry gives one and refuses it: one is enough."""
    with small_registry(Access(useless=True)) as small:
        with pytest.raises(Unauthorized, match="the registry refused the request"):
            pull(opened, f"{small.address}/a/b:1", patience=HASTY)

        assert 1 == len(small.seen(part="/token"))


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no JSON", b'{"token": 5}', b'{"token": "a\\nb"}'])
def test_a_token_service_that_gives_none(opened: Store, unchanged: Callable[[], None],
                                         body: bytes) -> None:
    """Nothing of what it says gets into a header."""
    with small_registry(Access()) as small:
        small.answers["/token"] = Answer(200, {}, body)

        with pytest.raises(RegistryError, match="gave no token"):
            pull(opened, f"{small.address}/a/b:1", patience=HASTY)


def test_a_token_service_that_is_down(opened: Store, unchanged: Callable[[], None]) -> None:
    """It is named: it is another server than the registry."""
    with small_registry(Access(challenge='Bearer realm="http://127.0.0.1:1/token"')) as small:
        with pytest.raises(RegistryUnreachable) as refused:
            pull(opened, f"{small.address}/a/b:1", patience=HASTY)

    assert 'the server at "127.0.0.1:1" cannot be reached' in refused.value.message


@pytest.mark.parametrize("challenge", ["", "Negotiate", 'Bearer service="s"', "???"])
def test_a_challenge_that_cannot_be_answered(opened: Store, unchanged: Callable[[], None],
                                             challenge: str) -> None:
    """Kerberos, or nothing at all."""
    with small_registry(Access(challenge=challenge)) as small:
        with pytest.raises(Unauthorized, match="the registry refused the request"):
            pull(opened, f"{small.address}/a/b:1", patience=HASTY)


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "ftp://x/y"])
def test_a_token_service_that_is_no_address(opened: Store, unchanged: Callable[[], None],
                                            realm: str) -> None:
    """Only HTTP is spoken, whatever the registry says."""
    with small_registry(Access(challenge=f'Bearer realm="{realm}"')) as small:
        with pytest.raises(RegistryError, match="which is no address"):
            pull(opened, f"{small.address}/a/b:1", patience=HASTY)


def test_a_login_is_not_sent_in_the_clear(opened: Store, login: Callable[..., None],
                                          unchanged: Callable[[], None]) -> None:
    """A registry that names a token service of plain HTTP elsewhere does not get it there."""
    from lpmx_runtime.registry.address import Address
    from lpmx_runtime.registry.authority import Authority
    from lpmx_runtime.registry.connection import Connection
    from lpmx_runtime.registry.credentials import Login
    from lpmx_runtime.registry.stop import Stop
    connection = Connection(Address("registry.example", insecure=False), failing="cannot do it",
                            patience=HASTY, progress=lambda event: None, stop=Stop())
    authority = Authority(connection, "a/b", lambda: Login("alice", "s3cret"))

    with pytest.raises(Unauthorized, match='over plain HTTP, to "tokens.example"'):
        authority.answer('Bearer realm="http://tokens.example/token"', None)


# -- who sees it


@pytest.mark.parametrize("access", [Access("basic", {"alice": "s3cret"}),
                                    Access(logins={"alice": "s3cret"})])
def test_a_redirect_does_not_take_the_login_along(opened: Store, login: Callable[..., None],
                                                  access: Access) -> None:
    """Blobs are elsewhere, under another name or on another port; the login stays."""
    with small_registry(access) as small, SmallRegistry() as elsewhere, \
            FaultyProxy(small.address) as front:
        elsewhere.image("a/b", "1", TARS)
        login(front.address, "alice", "s3cret")
        front.fault("/blobs/", Redirect(f"localhost:{elsewhere.port}"),
                    Redirect(elsewhere.address), Redirect(elsewhere.address, 302), times=2)

        pull(opened, f"{front.address}/a/b:1", patience=HASTY)

        assert 5 == len(elsewhere.seen(part="/blobs/"))
        assert set() == shown(elsewhere)
        assert set() != shown(front)


def test_a_challenge_of_another_host_gets_no_answer(opened: Store, login: Callable[..., None],
                                                    unchanged: Callable[[], None]) -> None:
    """Whoever we are redirected to may ask for the login, and does not get it."""
    with small_registry(Access("basic", {"alice": "s3cret"})) as small, \
            small_registry(Access("basic", {"alice": "s3cret"})) as elsewhere, \
            FaultyProxy(small.address) as front:
        login(front.address, "alice", "s3cret")
        front.fault("/blobs/", Redirect(elsewhere.address), times=100)

        with pytest.raises(Unauthorized):
            pull(opened, f"{front.address}/a/b:1", patience=HASTY)

        assert set() == shown(elsewhere)


def test_no_login_of_netrc_is_sent(opened: Store, monkeypatch: pytest.MonkeyPatch,
                                   tmp_path: Path) -> None:
    """The HTTP library would take it from there by itself, for any host."""
    (tmp_path / "netrc").write_text("default login alice password s3cret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with SmallRegistry() as small:
        small.image("a/b", "1", TARS)

        pull(opened, f"{small.address}/a/b:1", patience=HASTY)

        assert set() == shown(small)


def test_a_proxy_of_the_environment_is_not_used_on_loopback(
        opened: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not reach what is here."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with SmallRegistry() as small:
        small.image("a/b", "1", TARS)

        pull(opened, f"{small.address}/a/b:1", patience=HASTY)


def test_a_proxy_of_the_environment_is_used_elsewhere(
        images: Any, registry: Registry, proxy: FaultyProxy, opened: Store,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is the only way out: the host's name is for the proxy to find."""
    built = images.get("tiny")
    registry.push(f"oci:{built.layout}:{built.reference}", "team/tiny")
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://{proxy.address}")

    pull(opened, "registry.invalid/team/tiny:1", insecure=True, patience=HASTY)

    assert {True} == {request.path.startswith("http://registry.invalid/v2/team/tiny/")
                      for request in proxy.requests}


def test_no_cookie_is_kept(opened: Store) -> None:
    """Nothing follows us from one answer to the next."""
    with SmallRegistry() as small, FaultyProxy(small.address) as front:
        small.image("a/b", "1", TARS)
        front.fault("/manifests/", Rewrite("Set-Cookie", "session=1; Path=/"))

        pull(opened, f"{front.address}/a/b:1", patience=HASTY)

        assert {None} == {request.headers.get("cookie") for request in front.requests}


# -- TLS


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, images: Any) -> Iterator[Tuple[Registry, Path]]:
    """docker-registry with TLS, and the certificate of the authority that vouches for it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    directory = tmp_path_factory.mktemp("secured")
    (directory / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    script = """
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt
        openssl req -newkey rsa:2048 -nodes -subj /CN=registry -keyout s.key -out s.csr
        openssl x509 -req -in s.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
            -extfile ext -out s.crt
    """
    subprocess.run(["sh", "-ec", script], cwd=directory, check=True, stderr=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)
    running = Registry(directory, http_settings={"tls": {
        "certificate": str(directory / "s.crt"), "key": str(directory / "s.key")}})
    built = images.get("tiny")
    running.push(f"oci:{built.layout}:{built.reference}", "team/tiny")
    yield running, directory / "ca.crt"
    running.close()


def test_tls_on_loopback_needs_no_certificate(secured: Tuple[Registry, Path],
                                              opened: Store) -> None:
    """As with Docker; plain HTTP is tried first and is answered with a refusal."""
    registry, _ = secured

    pull(opened, f"{registry.address}/team/tiny:1", patience=HASTY)


@pytest.fixture
def distant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is treated as any other host is."""
    from lpmx_runtime.registry import address, connection
    for module in (address, connection):
        monkeypatch.setattr(module, "is_loopback", lambda host: False)


def test_a_certificate_that_nobody_vouches_for(secured: Tuple[Registry, Path], opened: Store,
                                               distant: None,
                                               unchanged: Callable[[], None]) -> None:
    """Is refused, with where to put the authority's."""
    registry, _ = secured

    with pytest.raises(RegistryUnreachable) as refused:
        pull(opened, f"{registry.address}/team/tiny:1", patience=HASTY)

    assert "its certificate is not trusted" in refused.value.message
    assert f"/etc/containers/certs.d/{registry.address}/" in (refused.value.hint or "")
    assert "--insecure" in (refused.value.hint or "")


def test_insecure_takes_any_certificate(secured: Tuple[Registry, Path], opened: Store,
                                        distant: None) -> None:
    """When asked to, and only then."""
    registry, _ = secured

    pull(opened, f"{registry.address}/team/tiny:1", insecure=True, patience=HASTY)


@pytest.fixture
def trusted(secured: Tuple[Registry, Path], monkeypatch: pytest.MonkeyPatch,
            tmp_path: Path) -> Callable[[str], None]:
    """`trusted(host)` puts the authority's certificate where container tools look for it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def trust(host: str) -> None:
        folder = tmp_path / "containers/certs.d" / host
        folder.mkdir(parents=True)
        shutil.copy(secured[1], folder / "ca.crt")

    return trust


def test_an_authority_of_the_site(secured: Tuple[Registry, Path], opened: Store, distant: None,
                                  trusted: Callable[[str], None]) -> None:
    """Its certificate in the registry's folder is enough."""
    registry, _ = secured
    trusted(registry.address)

    pull(opened, f"{registry.address}/team/tiny:1", patience=HASTY)


@pytest.fixture(scope="module")
def closed(secured: Tuple[Registry, Path],
           tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """docker-registry that speaks only to clients whom its authority knows."""
    place, own = secured[1].parent, tmp_path_factory.mktemp("closed")
    subprocess.run(["sh", "-ec", """
        openssl req -newkey rsa:2048 -nodes -subj /CN=alice -keyout c.key -out c.csr
        openssl x509 -req -in c.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out c.cert
    """], cwd=place, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    (own / "data").symlink_to(place / "data")
    running = Registry(own, http_settings={"tls": {
            "certificate": str(place / "s.crt"), "key": str(place / "s.key"),
            "clientcas": [str(place / "ca.crt")]}})
    yield running
    running.close()


def test_a_certificate_of_ones_own(closed: Registry, secured: Tuple[Registry, Path],
                                   opened: Store, distant: None,
                                   trusted: Callable[[str], None], tmp_path: Path) -> None:
    """Opens a registry that asks for one; without it the cause is told."""
    trusted(closed.address)
    with pytest.raises(RegistryUnreachable, match="it asks who we are") as refused:
        pull(opened, f"{closed.address}/team/tiny:1", patience=HASTY)
    assert f"certs.d/{closed.address}/" in (refused.value.hint or "")

    for name in ("c.cert", "c.key"):
        shutil.copy(secured[1].with_name(name),
                    tmp_path / "containers/certs.d" / closed.address / name)

    pull(opened, f"{closed.address}/team/tiny:1", patience=HASTY)


def test_a_certificate_of_another_host(secured: Tuple[Registry, Path], opened: Store,
                                       distant: None, trusted: Callable[[str], None],
                                       unchanged: Callable[[], None]) -> None:
    """Who vouches is not enough: it must be for this name."""
    registry, _ = secured
    trusted(f"localhost:{registry.port}")

    with pytest.raises(RegistryUnreachable):
        pull(opened, f"localhost:{registry.port}/team/tiny:1", patience=HASTY)


def test_plain_http_elsewhere_only_if_asked(registry: Registry, images: Any, opened: Store,
                                            distant: None, monkeypatch: pytest.MonkeyPatch,
                                            tmp_path: Path) -> None:
    """By the option, or by the setting for one registry."""
    built = images.get("tiny")
    reference = registry.push(f"oci:{built.layout}:{built.reference}", "team/tiny")

    with pytest.raises(RegistryUnreachable) as refused:
        pull(opened, reference, patience=HASTY)

    assert "it does not speak TLS as we do" in refused.value.message
    assert "use --insecure" in (refused.value.hint or "")
    assert [] == opened.images.list()
    pull(opened, reference, insecure=True, patience=HASTY)

    (tmp_path / "lpmx").mkdir()
    (tmp_path / "lpmx/config.json").write_text(json.dumps(
        {"insecure_registries": [registry.address]}))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    pull(opened, reference, patience=HASTY)


def test_a_redirect_to_plain_http_is_refused(opened: Store) -> None:
    """What began with TLS does not go on without."""
    from lpmx_runtime.registry.address import Address
    from lpmx_runtime.registry.connection import Connection
    from lpmx_runtime.registry.stop import Stop
    connection = Connection(Address("registry.example", insecure=False), failing="cannot do it",
                            patience=HASTY, progress=lambda event: None, stop=Stop())

    with pytest.raises(RegistryError, match='redirects to plain HTTP, at "blobs.example"'):
        connection.target("https://registry.example/v2/", "http://blobs.example/x")
