"""openapi.yaml read once: which operations there are, and what goes in and comes out.

Handlers say which path they serve and nothing about what may be sent there: parameters
and bodies are checked against the schemas here, and defaults are those of the file.
"""
from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional, Sequence

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FILE = Path(__file__).with_name("openapi.yaml")
METHODS = ("get", "put", "post", "patch", "delete")
_DOCUMENT = "urn:lpmx"
#: Said by the server's own front ends and by browsers; no business of a route's.
_IGNORED = ("token", "_xsrf", "no_track_activity", "_")


class Invalid(ValueError):
    """What was sent does not fit the description; the text says what and why."""


@lru_cache(maxsize=1)
def document() -> Mapping[str, Any]:
    """The whole description. Nobody changes it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with open(FILE, encoding="utf-8") as file:
        return dict(yaml.load(file, Loader=loader))


@dataclass(frozen=True)
class Parameter:
    """A parameter of an operation; `place` is "path" or "query"."""

    name: str
    place: str
    required: bool
    schema: Mapping[str, Any]
    default: Any = None

    @property
    def repeated(self) -> bool:
        return self.schema.get("type") == "array"

    def read(self, texts: Sequence[str]) -> Any:
        """The value that the texts of a request are; raises `Invalid`."""
        if self.repeated:
            value: Any = list(texts)
        elif len(texts) > 1:
            raise Invalid(f'"{self.name}" is given {len(texts)} times')
        else:
            value = self._converted(texts[0])
        _check(self.schema, value, f'"{self.name}"')
        return value

    def _converted(self, text: str) -> Any:
        kind = self.schema.get("type")
        if kind == "boolean":
            return {"true": True, "false": False, "1": True, "0": False}.get(text, text)
        if kind == "integer" and re.match(r"-?[0-9]{1,18}\Z", text):
            return int(text)
        return text


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    path: str
    method: str
    id: str
    parameters: tuple[Parameter, ...]
    body: Optional[Mapping[str, Any]]     # schema of the JSON that is sent
    body_required: bool
    success: int                          # of an answer that has something in it
    answers: Mapping[int, Optional[Mapping[str, Any]]] = field(default_factory=dict)

    def read_path(self, values: Mapping[str, str]) -> None:
        """Check what stands in the path."""
        for one in self.parameters:
            if one.place == "path":
                one.read([values[one.name]])

    def read_query(self, given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """The parameters of the query by name, with their defaults; None for what is not given."""
        known = {one.name: one for one in self.parameters if one.place == "query"}
        for name in given:
            if name not in known and name not in _IGNORED:
                raise Invalid(f'there is no parameter "{name[:100]}"')
        found: dict[str, Any] = {}
        for name, one in known.items():
            if given.get(name):
                found[name] = one.read(given[name])
            elif one.required:
                raise Invalid(f'the parameter "{name}" is missing')
            else:
                found[name] = [] if one.repeated else one.default
        return found

    def read_body(self, data: bytes) -> dict[str, Any]:
        """The JSON object that was sent, with its defaults."""
        if self.body is None:
            return {}
        if not data.strip():
            if self.body_required:
                raise Invalid("the request has no body")
            value: Any = {}
        else:
            try:
                value = json.loads(data, parse_constant=_no_number)
            except (ValueError, RecursionError) as error:
                raise Invalid(f"the body is not JSON: {error}") from None
        _check(self.body, value, "the body")
        _check_text(value)
        properties = resolved(self.body).get("properties", {})
        defaults = {name: resolved(schema)["default"] for name, schema in properties.items()
                    if "default" in resolved(schema)}
        return {**defaults, **value}

    def check_answer(self, status: int, value: Any) -> None:
        """Raise `Invalid` for an answer that is not as it is described; for tests."""
        if status not in self.answers:
            raise Invalid(f"{self.id} is not said to answer {status}")
        schema = self.answers[status]
        if schema is not None:
            _check(schema, value, f"the answer of {self.id}")


def operations() -> Iterator[Operation]:
    """All operations that are described."""
    for path, item in document()["paths"].items():
        shared = item.get("parameters", [])
        for method in METHODS:
            if method in item:
                yield _operation(path, method, item[method], shared)


@lru_cache(maxsize=1)
def by_path() -> Mapping[str, Mapping[str, Operation]]:
    """Operations by path and method."""
    found: dict[str, dict[str, Operation]] = {}
    for one in operations():
        found.setdefault(one.path, {})[one.method] = one
    return found


def pattern(path: str) -> str:
    """The regular expression, with a named group for each parameter, of a path's template."""
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)) + "$"


def schema(name: str) -> Mapping[str, Any]:
    """The schema of `components` that is called so."""
    return {"$ref": f"{_DOCUMENT}#/components/schemas/{name}"}


def check(name: str, value: Any) -> None:
    """Raise `Invalid` unless `value` fits the schema `name`; for tests."""
    _check(schema(name), value, name)


# -- reading the file -----------------------------------------------------------------------


def resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a `$ref` of the document means, with what stands beside it."""
    while "$ref" in node:
        found: Any = document()
        for word in str(node["$ref"]).partition("#/")[2].split("/"):
            found = found[word]
        node = {**found, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def _operation(path: str, method: str, node: Mapping[str, Any],
               shared: Sequence[Mapping[str, Any]]) -> Operation:
    parameters = tuple(_parameter(resolved(one)) for one in (*shared, *node.get("parameters", ())))
    body = node.get("requestBody")
    answers = {int(status): _json(resolved(answer)) for status, answer
               in node["responses"].items() if status != "default"}
    return Operation(
        path, method, node["operationId"], parameters,
        None if body is None else _json(body),
        bool(body and body.get("required")),
        min((status for status in answers if status != 204), default=204), answers)


def _parameter(node: Mapping[str, Any]) -> Parameter:
    schema = node["schema"]
    found = resolved(schema)
    return Parameter(node["name"], node["in"], bool(node.get("required")), found,
                     found.get("default"))


def _json(node: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    """The schema of the JSON in a body or an answer; None where it is something else."""
    content = node.get("content", {}).get("application/json")
    return None if content is None else dict(content["schema"])


# -- checking -------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _registry() -> Any:
    resource = Resource.from_contents(document(), default_specification=DRAFT202012)
    return Registry().with_resource(_DOCUMENT, resource)


def _absolute(node: Any) -> Any:
    """A schema whose references say which document they mean."""
    if isinstance(node, dict):
        return {key: _DOCUMENT + value if key == "$ref" and str(value).startswith("#")
                else _absolute(value) for key, value in node.items()}
    return [_absolute(one) for one in node] if isinstance(node, list) else node


@lru_cache(maxsize=512)
def _validator(text: str) -> Any:
    return Draft202012Validator(_absolute(json.loads(text)), registry=_registry())


def _no_number(text: str) -> None:
    """NaN and its like are JSON to Python only, and within every limit."""
    raise ValueError(f"{text} is no number")


def _check_text(value: Any) -> None:
    """Raise `Invalid` for what JSON can say and no file name, argument or variable can be; bytes
    that are not UTF-8 are said as Python says them (PEP 383)."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise Invalid(f"the body: {error.object[error.start]!r} is no character") from None


def _check(schema: Mapping[str, Any], value: Any, what: str) -> None:
    error = best_match(_validator(json.dumps(schema)).iter_errors(value))
    if error is not None:
        where = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in error.path)
        raise Invalid(f"{what}{where}: {error.message[:300]}")
