"""The OpenAPI document arranged for a page that people read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct


class Line(Struct, frozen=True):
    """A parameter, or a field of a body: what it is called, where it stands, its kind, whether it must be there."""

    name: str
    place: str
    kind: str
    required: bool
    about: str


class Operation(Struct, frozen=True):
    """One route. `about` and `body` (what the body is) are texts in pieces, see `pieces`; `words` is all that a search
    looks through, in lower case."""

    id: str
    method: str
    path: str
    summary: str
    about: list[tuple[str, bool]]
    lines: list[Line]
    body: list[tuple[str, bool]]
    sent: str
    answers: list[tuple[str, str]]
    answered: str
    words: str


class Section(Struct, frozen=True):
    """A subject with its routes."""

    name: str
    about: str
    operations: list[Operation]


def sections(document: dict[str, Any]) -> list[Section]:
    """The document by subject, routes in the order of their paths."""
    found: dict[str, list[Operation]] = {}
    for path in sorted(document["paths"]):
        for method, operation in document["paths"][path].items():
            found.setdefault(operation["tags"][0], []).append(_operation(document, method, path, operation))
    return [Section(tag["name"], tag["description"], found[tag["name"]]) for tag in document["tags"]]


def pieces(text: str) -> list[tuple[str, bool]]:
    """A text whose `code` stands between backticks, as pieces; True marks code."""
    return [(piece, number % 2 == 1) for number, piece in enumerate(text.split("`")) if piece]


def _operation(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Operation:
    body = operation.get("requestBody", {}).get("content", {})
    done = next(iter(operation["responses"].values()))
    lines = [*_parameters(operation), *_fields(document, body)]
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        about=pieces(operation["description"]),
        lines=lines,
        body=pieces(_schema(document, body).get("description", "")),
        sent=_example(body),
        answers=[(status, _meaning(document, answer)) for status, answer in operation["responses"].items()],
        answered=_example(done.get("content", {})),
        words=" ".join([method, path, operation["summary"], *(line.name for line in lines)]).lower(),
    )


def _parameters(operation: dict[str, Any]) -> Iterator[Line]:
    for given in operation.get("parameters", []):
        yield Line(given["name"], given["in"], _kind(given["schema"]), given["required"], given["description"])


def _schema(document: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = body.get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _fields(document: dict[str, Any], body: dict[str, Any]) -> Iterator[Line]:
    schema = _schema(document, body)
    for name, field in schema.get("properties", {}).items():
        yield Line(name, "body", _kind(field), name in schema.get("required", []), field.get("description", ""))


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return " | ".join(str(choice) for choice in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_kind(choice) for choice in schema["anyOf"])
    if schema.get("type") == "array":
        return f"[{_kind(schema.get('items') or {})}]"
    return str(schema.get("type", "any"))


def _meaning(document: dict[str, Any], answer: dict[str, Any]) -> str:
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return str(answer["description"])


def _example(content: dict[str, Any]) -> str:
    for given in content.values():
        if "example" in given:
            return msgspec.json.format(msgspec.json.encode(given["example"]), indent=2).decode()
    return ""
