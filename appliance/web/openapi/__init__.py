"""The OpenAPI 3.1 document, made of the route table and the wire structs. Pure."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from appliance.schema.common import ErrorBody
from appliance.web.openapi import words
from appliance.web.openapi.examples import Examples
from appliance.web.route import Route

REF = "#/components/schemas/{name}"
_JSON = "application/json"
_HTML = "text/html"


def document(routes: Sequence[Route], *, version: str) -> dict[str, Any]:
    """The whole document. Every struct of the table is in `components.schemas` under its name."""
    kinds = sorted(_structs(routes), key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(kinds, ref_template=REF)
    writer = _Writer(Examples(schemas))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.plain_path, {})[route.method.lower()] = writer.operation(route)
    used = {tag(route) for route in routes}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Weir", "version": version, "description": words.INTRODUCTION},
        "servers": [{"url": "/", "description": "This box."}],
        "tags": [{"name": name, "description": words.TAGS.get(name, "")} for name in sorted(used)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": words.SCHEMES,
            "responses": {f"error{status}": writer.refusal(status) for status in words.ERRORS}
            | {"error": {"description": "Refused: why, and what to do.", "content": writer.json(ErrorBody)}},
            "headers": {
                "RequestId": {"description": "The request's number in the log.", "schema": {"type": "string"}},
                "Allow": {"description": "The methods that the path takes.", "schema": {"type": "string"}},
                "RetryAfter": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
            },
        },
    }


def operation_id(route: Route) -> str:
    """Unique: the method and the path's words."""
    found = re.findall(r"[A-Za-z0-9]+", route.plain_path.removeprefix("/api/v1")) or ["root"]
    if route.path == "/api/v1/openapi.json":
        found = ["v1", *found]
    return "_".join([route.method.lower(), *found]) + ("_index" if route.path == "/api/" else "")


def tag(route: Route) -> str:
    """The subject of a route: the first word of its path below /api/v1."""
    first = route.path.removeprefix("/api/v1").strip("/").partition("/")[0]
    if first in ("openapi.json", "api"):
        return "openapi"
    return route.tag or (first if first in words.TAGS else "pages")


def statuses(route: Route) -> list[int]:
    """The refusals that a route may answer with, by what it takes."""
    found = {400, 405, 500, 503}
    if route.auth not in ("public", "browser"):
        found |= {401, 403}
    if "{" in route.path or route.on == "body" or route.auth in ("launcher", "node_red", "instance"):
        found.add(404)
    if route.body is not None:
        found |= {403, 404, 409, 413, 415, 422}
    if route.method == "DELETE":
        found |= {403, 409, 422}
    if route.method != "GET" and route.body is None:
        found |= {403, 404, 409}
    if route.path.startswith("/account/"):
        found |= {401, 403, 404, 429}
    return sorted(found)


class _Writer:
    """Writes operations; the examples are made once for the document."""

    def __init__(self, examples: Examples) -> None:
        self._examples = examples

    def operation(self, route: Route) -> dict[str, Any]:
        operation: dict[str, Any] = {
            "operationId": operation_id(route),
            "summary": route.summary,
            "description": _description(route),
            "tags": [tag(route)],
            "security": words.SECURITY[route.auth],
            "responses": self._responses(route),
        }
        if parameters := [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)]:
            operation["parameters"] = parameters
        if route.body is not None:
            operation["requestBody"] = {"required": _needed(route.body), "content": self._body(route)}
        return operation

    def refusal(self, status: int) -> dict[str, Any]:
        """The response of a status that is an error."""
        code, error, meaning = words.ERRORS[status]
        content = self.json(ErrorBody)
        content[_JSON]["example"] = {"code": code, "error": error, "status": status}
        headers = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
        if status == 429:
            headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
        if status == 405:
            headers["Allow"] = {"$ref": "#/components/headers/Allow"}
        return {"description": meaning, "headers": headers, "content": {**content, _HTML: {}}}

    def json(self, kind: Any) -> dict[str, Any]:
        """JSON content of a struct, with an example; of anything else, an object."""
        if not is_struct(kind):
            return {_JSON: {"schema": {"type": "object"}, "example": {}}}
        return {
            _JSON: {"schema": {"$ref": REF.format(name=kind.__name__)}, "example": self._examples.of(kind.__name__)}
        }

    def _responses(self, route: Route) -> dict[str, Any]:
        found: dict[str, Any] = {str(route.status): self._done(route)}
        if route.auth == "browser":
            found["303"] = {"description": "Go there by GET.", "headers": {"Location": {"schema": {"type": "string"}}}}
        for status in statuses(route):
            found[str(status)] = self._refused(route, status)
        return {**found, "default": {"$ref": "#/components/responses/error"}}

    def _refused(self, route: Route, status: int) -> dict[str, Any]:
        if route.refusal is None or status not in (400, 401):
            return {"$ref": f"#/components/responses/error{status}"}
        either = [{"$ref": REF.format(name=kind.__name__)} for kind in (route.refusal, ErrorBody)]
        found = self.refusal(status)
        found["content"][_JSON] = {"schema": {"anyOf": either}, "example": self._examples.of(route.refusal.__name__)}
        return found

    def _done(self, route: Route) -> dict[str, Any]:
        headers = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
        if route.stream:
            events: dict[str, Any] = {"text/event-stream": {}}
            return {"description": "Server-sent events.", "headers": headers, "content": events}
        if route.response is bytes:
            return {"description": "As stored, or a page.", "headers": headers, "content": {media(route): {}}}
        if route.response is None:
            return {"description": "Done; no body.", "headers": headers}
        return {"description": "Done.", "headers": headers, "content": self.json(route.response)}

    def _body(self, route: Route) -> dict[str, Any]:
        if route.body is dict:
            form = {"type": "object", "additionalProperties": {"type": "string"}}
            return {"application/x-www-form-urlencoded": {"schema": form}, _JSON: {"schema": {"type": "object"}}}
        return {_JSON: {}} if route.body is bytes else self.json(route.body)


def _needed(body: Any) -> bool:
    """Whether something must be sent: structs whose fields may all be left out are made of nothing, too."""
    return is_struct(body) and any(field.required for field in msgspec.structs.fields(body))


def media(route: Route) -> str:
    """The type of an answer that is no wire struct."""
    return route.media or (_HTML if route.auth == "browser" else _JSON)


def _description(route: Route) -> str:
    permission = f" Needs the permission `{route.permission}`." if route.permission else ""
    doc = inspect.getdoc(route.handler) or ""
    return f"{doc} For: {words.WHO[route.auth]}{permission}".strip()


def _path_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for before, name in re.findall(r"([\w-]*)/{(\w+)}", route.plain_path):
        thing = words.THINGS.get(before)
        about = f"The id of the {thing}." if name == "id" and thing else words.PATH.get(name, f"The {name}.")
        schema = {"type": "string", "minLength": 1, "maxLength": 255}
        yield {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _query_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for field in msgspec.structs.fields(route.query) if route.query else ():
        yield {
            "name": field.encode_name,
            "in": "query",
            "required": field.required,
            "description": words.QUERY.get(field.encode_name, ""),
            "schema": msgspec.json.schema(field.type),
        }


def _header_parameters(route: Route) -> Iterable[dict[str, Any]]:
    if route.stream:
        yield {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "description": "The id of the last event that was seen: the stream goes on after it.",
            "schema": {"type": "string"},
        }


def _structs(routes: Iterable[Route]) -> set[type[msgspec.Struct]]:
    named: list[Any] = [kind for route in routes for kind in (route.body, route.response, route.refusal)]
    return {ErrorBody, *(kind for kind in named if is_struct(kind))}


def is_struct(kind: Any) -> bool:
    """Whether a row's body or response is a wire struct."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
