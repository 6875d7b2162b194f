"""A registry in memory, for what real ones cannot be made to do.

It serves whatever bytes a test gives it, truthful or not, and asks for logins in
every form that there is.
"""
from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import threading
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Union
from urllib.parse import parse_qs, urlsplit

from .loopback import Answer, Request, Server

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

_MANIFEST = re.compile(r"/v2/(.+)/manifests/([^/]+)\Z")
_BLOB = re.compile(r"/v2/(.+)/blobs/([^/]+)\Z")
_UPLOADS = re.compile(r"/v2/(.+)/blobs/uploads/([^/]*)\Z")
_TAGS = re.compile(r"/v2/(.+)/tags/list\Z")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)\Z")


def digest(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


@dataclass
class Access:
    """How the registry asks for a login. `logins` empty means that anybody gets a token.

    All tokens expire with the requests that have a number of `expiring`; with `useless`
    none is any good. With `rotating` a refresh token is good once, and the next comes along. `challenge` replaces what the registry says,
    "{realm}" being the token service.
    """

    scheme: str = "bearer"
    logins: Mapping[str, str] = ()  # type: ignore[assignment]
    refresh_token: Optional[str] = None
    expiring: Sequence[int] = ()
    useless: bool = False
    challenge: Optional[str] = None
    rotating: bool = False


class SmallRegistry(Server):
    """Repositories in memory. `answers` are exceptions by path, served as they are.

    A blob that is pushed belongs to its repository alone until it is mounted elsewhere;
    with `chunks` False only whole ones are taken, and lists have `page` tags at a time.
    """

    def __init__(self, access: Optional[Access] = None, *, ranges: bool = True,
                 chunks: bool = True, page: int = 1000) -> None:
        super().__init__(self._serve)
        self.access = access
        self.answers: Dict[str, Answer] = {}
        self._ranges = ranges
        self._chunks = chunks
        self._page = page
        self._blobs: Dict[str, bytes] = {}
        self._pushed: Dict[str, Set[str]] = {}      # digest of a pushed blob -> repositories
        self._uploads: Dict[str, bytes] = {}
        self._manifests: Dict[Tuple[str, str], Tuple[str, bytes]] = {}
        self._tokens: List[str] = []
        self._granted = 0
        self._admitted = 0
        self._lock = threading.Lock()

    # -- content

    def blob(self, data: bytes, media_type: str = OCI_LAYER, **fields: Any) -> Dict[str, Any]:
        """Have a blob; its descriptor."""
        self._blobs[digest(data)] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data), **fields}

    def replace_blob(self, name: str, data: bytes) -> None:
        """Serve `data` under a digest that is another's."""
        self._blobs[name] = data

    def manifest(self, repository: str, tag: str, value: Union[bytes, Mapping[str, Any]],
                 media_type: str = OCI_MANIFEST) -> Dict[str, Any]:
        """Have a manifest or an index under a tag and its digest; its descriptor."""
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        for name in (tag, digest(data)):
            self._manifests[repository, name] = media_type, data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def image(self, repository: str, tag: str, tars: Sequence[bytes], *,
              packed: Optional[Sequence[bytes]] = None, layer_type: str = OCI_LAYER + "+gzip",
              media_type: str = OCI_MANIFEST, config: Mapping[str, Any] = {},  # noqa: B006
              diff_ids: Optional[Sequence[str]] = None) -> Dict[str, Any]:
        """Have an image of these layers; `packed` are their bytes as served, gzip by default."""
        packed = [gzip.compress(tar, mtime=0) for tar in tars] if packed is None else packed
        value = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": self.blob(json.dumps({
                "architecture": "amd64", "os": "linux", **config,
                "rootfs": {"type": "layers", "diff_ids": list(
                    diff_ids if diff_ids is not None else [digest(tar) for tar in tars])},
            }).encode(), OCI_CONFIG),
            "layers": [self.blob(data, layer_type) for data in packed],
        }
        return self.manifest(repository, tag, value, media_type)

    def index(self, repository: str, tag: str,
              entries: Sequence[Tuple[Mapping[str, Any], Optional[str]]]) -> Dict[str, Any]:
        """Have an index of (descriptor, "OS/ARCHITECTURE[/VARIANT]" or None)."""
        manifests: List[Dict[str, Any]] = []
        for descriptor, platform in entries:
            entry = dict(descriptor)
            if platform is not None:
                words = platform.split("/")
                entry["platform"] = dict(zip(("os", "architecture", "variant"), words))
            manifests.append(entry)
        return self.manifest(repository, tag, {"schemaVersion": 2, "mediaType": OCI_INDEX,
                                               "manifests": manifests}, OCI_INDEX)

    # -- service

    def _serve(self, request: Request) -> Answer:
        path = urlsplit(request.path).path
        if path in self.answers:
            return self.answers[path]
        if path == "/token":
            return self._token(request)
        if self.access is not None and not self._allowed(request):
            return self._challenge()
        if path == "/v2/":
            return Answer(200, {}, b"{}")
        manifest = self._put_manifest if request.method == "PUT" else self._get_manifest
        for pattern, method in ((_UPLOADS, self._upload), (_MANIFEST, manifest),
                                (_BLOB, self._get_blob)):
            match = pattern.match(path)
            if match:
                return method(request, *match.groups())
        match = _TAGS.match(path)
        if match:
            return self._get_tags(match.group(1), parse_qs(urlsplit(request.path).query))
        return Answer(404)

    def _get_manifest(self, request: Request, repository: str, name: str) -> Answer:
        found = self._manifests.get((repository, name))
        if found is None:
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        media_type, data = found
        return Answer(200, {"Content-Type": media_type, "Docker-Content-Digest": digest(data)}, data)

    def _get_blob(self, request: Request, repository: str, name: str) -> Answer:
        data = self._blobs.get(name)
        if data is None or repository not in self._pushed.get(name, {repository}):
            return _error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        part = _RANGE.match(request.headers.get("range", "")) if self._ranges else None
        if part is None:
            return Answer(200, {}, data)
        start, end = int(part.group(1)), int(part.group(2) or len(data) - 1)
        return Answer(206, {"Content-Range": f"bytes {start}-{end}/{len(data)}"},
                      data[start:end + 1])

    def _get_tags(self, repository: str, query: Mapping[str, List[str]]) -> Answer:
        tags = sorted(tag for name, tag in self._manifests
                      if name == repository and ":" not in tag)
        if not tags:
            return _error(404, "NAME_UNKNOWN", "repository name not known to registry")
        left = [tag for tag in tags if tag > query.get("last", [""])[0]]
        shown, headers = left[:self._page], {}
        if len(left) > len(shown):
            headers["Link"] = f'</v2/{repository}/tags/list?last={shown[-1]}>; rel="next"'
        return Answer(200, headers, json.dumps({"name": repository, "tags": shown}).encode())

    # -- pushing (OCI distribution spec)

    def _upload(self, request: Request, repository: str, name: str) -> Answer:
        query = {key: values[0] for key, values in parse_qs(urlsplit(request.path).query).items()}
        with self._lock:
            if request.method == "POST":
                mounted = query.get("mount", "")
                if query.get("from") in self._pushed.get(mounted, set()):
                    self._pushed[mounted].add(repository)
                    return Answer(201, {"Location": f"/v2/{repository}/blobs/{mounted}"})
                name = f"upload-{len(self._uploads)}"
                self._uploads[name] = b""
                return self._under_way(202, repository, name)
            if name not in self._uploads:
                return _error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
            if request.method == "PATCH":
                return self._take_chunk(request, repository, name)
            if request.method == "PUT":
                return self._finish(request, repository, name, query.get("digest", ""))
            return self._under_way(204, repository, name)

    def _under_way(self, status: int, repository: str, name: str) -> Answer:
        last = max(0, len(self._uploads[name]) - 1)
        # relative, and with a query of its own: both are allowed
        return Answer(status, {"Location": f"/v2/{repository}/blobs/uploads/{name}?state=1",
                               "Range": f"0-{last}"})

    def _take_chunk(self, request: Request, repository: str, name: str) -> Answer:
        if not self._chunks:
            return _error(405, "UNSUPPORTED", "the operation is unsupported")
        first = request.headers.get("content-range", "0-").partition("-")[0]
        if int(first) != len(self._uploads[name]):
            return Answer(416, self._under_way(416, repository, name).headers)
        self._uploads[name] += request.body
        return self._under_way(202, repository, name)

    def _finish(self, request: Request, repository: str, name: str, wanted: str) -> Answer:
        data = self._uploads.pop(name) + request.body
        if digest(data) != wanted:
            return _error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self._blobs[wanted] = data
        self._pushed.setdefault(wanted, set()).add(repository)
        return Answer(201, {"Location": f"/v2/{repository}/blobs/{wanted}"})

    def _put_manifest(self, request: Request, repository: str, name: str) -> Answer:
        value = json.loads(request.body)
        for descriptor in [value["config"], *value["layers"]]:
            if descriptor["digest"] not in self._blobs and "urls" not in descriptor:
                return _error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
        made = self.manifest(repository, name, request.body, request.headers["content-type"])
        return Answer(201, {"Docker-Content-Digest": made["digest"]})

    # -- access

    def _allowed(self, request: Request) -> bool:
        assert self.access is not None
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if self.access.scheme == "basic":
            return kind == "Basic" and self._is_login(value)
        with self._lock:
            if kind != "Bearer" or value not in self._tokens or self.access.useless:
                return False
            self._admitted += 1
            if self._admitted in self.access.expiring:
                self._tokens.clear()
            return bool(self._tokens)

    def _is_login(self, encoded: str) -> bool:
        assert self.access is not None
        user, _, secret = base64.b64decode(encoded).decode().partition(":")
        return dict(self.access.logins).get(user) == secret

    def _challenge(self) -> Answer:
        assert self.access is not None
        realm = f"http://{self.address}/token"
        if self.access.challenge is not None:
            text = self.access.challenge.replace("{realm}", realm)
        elif self.access.scheme == "basic":
            text = 'Basic realm="small"'
        else:
            text = f'Bearer realm="{realm}",service="small",scope="repository:any:pull"'
        answer = _error(401, "UNAUTHORIZED", "authentication required")
        return Answer(401, {**answer.headers, "WWW-Authenticate": text}, answer.body)

    def _token(self, request: Request) -> Answer:
        assert self.access is not None
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if request.method == "POST":
            form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
            granted = (form.get("grant_type") == "refresh_token"
                       and form.get("refresh_token") == self.access.refresh_token)
        else:
            granted = not self.access.logins or (kind == "Basic" and self._is_login(value))
        if not granted:
            return _error(401, "UNAUTHORIZED", "incorrect username or password")
        with self._lock:
            token = f"token-{self._granted}"
            self._granted += 1
            self._tokens.append(token)
            further = {}
            if self.access.rotating:
                self.access.refresh_token = further["refresh_token"] = f"refresh-{self._granted}"
        return Answer(200, {}, json.dumps({"token": token, "expires_in": 300,
                                           **further}).encode())


def _error(status: int, code: str, message: str) -> Answer:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Answer(status, {"Content-Type": "application/json"}, body)
