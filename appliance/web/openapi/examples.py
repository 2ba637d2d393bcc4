"""Examples of the document, made of its schemas: each field shows what such a field looks like. Pure."""

from __future__ import annotations

from typing import Any

_ID = "pZ3kq0XbNw"
_UUID = "7f6d2c1e-3b8a-4a52-9c0d-5e4f1a2b3c4d"
_MOMENT = "2026-03-01T07:30:00.000Z"

# By the last word of the field's name; a schema's own default, first choice or type comes after.
FIELDS: dict[str, Any] = {
    "address": "192.0.2.7",
    "at": "02:30",
    "avatar": "https://box.example/avatar/U2Ft",
    "description": "The bottling line.",
    "email": "sam@example.com",
    "error": "there is no such instance",
    "event": "project.started",
    "hostname": "box.example",
    "id": _ID,
    "label": "Node-RED 5",
    "message": "Node-RED is up.",
    "name": "line-1",
    "password": "correct horse battery 42",
    "pid": 4711,
    "reason": "running",
    "role": 30,
    "safeName": "line-1",
    "scope": "",
    "self": f"https://box.example/api/v1/teams/{_ID}",
    "slug": "plant",
    "state": "running",
    "status": "okay",
    "title": "Not Found",
    "token": "ffpat_" + "x" * 43,
    "url": "https://box.example:10001",
    "username": "sam",
    "version": "5.0.7",
}
_DEPTH = 6


class Examples:
    """Makes examples of the schemas of one document. `schemas` are its components by name."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self._schemas = schemas
        self._made: dict[str, Any] = {}

    def of(self, name: str) -> Any:
        """An object that fits the schema of that name."""
        if name not in self._made:
            self._made[name] = self._example(self._schemas[name], name, 0)
        return self._made[name]

    def _example(self, schema: dict[str, Any], field: str, depth: int) -> Any:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self._example(self._schemas[name], name, depth + 1)
        if "enum" in schema:
            return schema["enum"][0]
        if "anyOf" in schema:
            return self._any(schema["anyOf"], field, depth)
        kind = schema.get("type")
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return [] if depth >= _DEPTH else self._array(schema, field, depth)
        return self._value(schema, kind, field)

    def _any(self, choices: list[dict[str, Any]], field: str, depth: int) -> Any:
        real = [choice for choice in choices if choice.get("type") != "null"]
        return self._example(real[0], field, depth) if real and depth < _DEPTH else None

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        fields: dict[str, Any] = schema.get("properties", {})
        wanted = fields if depth < _DEPTH else schema.get("required", [])
        return {name: self._example(fields[name], name, depth + 1) for name in wanted}

    def _array(self, schema: dict[str, Any], field: str, depth: int) -> list[Any]:
        items = schema.get("items")
        if not isinstance(items, dict) or not items:
            return []
        return [self._example(items, field.removesuffix("s"), depth + 1)]

    def _value(self, schema: dict[str, Any], kind: str | None, field: str) -> Any:
        known = FIELDS.get(field)
        if kind == "string":
            return _string(field) if not isinstance(known, str) else known
        if kind in ("integer", "number"):
            return _number(schema, known)
        if kind == "boolean":
            return bool(schema.get("default", True))
        return None if kind == "null" else {}


def _string(field: str) -> str:
    if field.endswith(("At", "since", "_at")):
        return _MOMENT
    if field.lower().endswith(("instance", "projectid", "ownerid")):
        return _UUID
    return _ID if field.endswith(("Id", "Ids", "cursor", "type", "stack", "template")) else field


def _number(schema: dict[str, Any], known: Any) -> int:
    value = known if isinstance(known, int) else int(schema.get("default") or 1)
    return int(max(schema.get("minimum", value), min(value, schema.get("maximum", value))))
