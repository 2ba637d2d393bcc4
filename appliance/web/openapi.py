"""The OpenAPI 3.1 document, made of the route table and the wire structs. Pure."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from appliance.schema.common import ErrorBody
from appliance.web.route import Route

REF = "#/components/schemas/{name}"
_JSON = "application/json"
_AUTH = {
    "api": "A user's bearer token, or the account on the other end of the box's socket.",
    "anyone": "Anyone; a user sees more.",
    "launcher": "The bearer token of this instance's launcher.",
    "node_red": "The bearer token of this instance's Node-RED.",
    "instance": "A bearer token of this instance.",
    "bearer": "Any bearer token.",
    "browser": "A browser, with its session cookie where one is needed.",
    "public": "Anyone.",
}


def document(routes: Sequence[Route], *, version: str) -> dict[str, Any]:
    """The whole document. Every struct of the table is in `components.schemas` under its name."""
    kinds = sorted(_structs(routes), key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(kinds, ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Weir", "version": version, "description": "Many Node-RED instances on one Linux box."},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {"error": {"description": "Refused: why, and what to do.", "content": _content(ErrorBody)}},
        },
    }


def operation_id(route: Route) -> str:
    """Unique: the method and the path's words."""
    words = re.findall(r"[A-Za-z0-9]+", route.path.removeprefix("/api/v1")) or ["root"]
    if route.path == "/api/v1/openapi.json":
        words = ["v1", *words]
    return "_".join([route.method.lower(), *words]) + ("_index" if route.path == "/api/" else "")


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "description": _description(route),
        "tags": [_tag(route)],
        "responses": {str(route.status): _response(route), "default": {"$ref": "#/components/responses/error"}},
    }
    if parameters := [*_path_parameters(route), *_query_parameters(route)]:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _body(route)}
    if route.auth == "anyone":
        operation["security"] = [{}, {"token": []}]
    elif route.auth not in ("public", "browser"):
        operation["security"] = [{"token": []}]
    return operation


def _description(route: Route) -> str:
    permission = f" Needs the permission `{route.permission}`." if route.permission else ""
    doc = inspect.getdoc(route.handler) or ""
    return f"{doc} For: {_AUTH[route.auth]}{permission}".strip()


def _tag(route: Route) -> str:
    words = route.path.removeprefix("/api/v1").strip("/").split("/")
    return words[0] or "pages"


def _response(route: Route) -> dict[str, Any]:
    if route.stream:
        return {"description": "Server-sent events.", "content": {"text/event-stream": {}}}
    if route.response is bytes:
        return {"description": "As stored, or a page.", "content": {"*/*": {}}}
    if route.response is None:
        return {"description": "Done; no body."}
    return {"description": "Done.", "content": _content(route.response)}


def _body(route: Route) -> dict[str, Any]:
    if route.body is dict:
        return {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}, _JSON: {}}
    return {_JSON: {}} if route.body is bytes else _content(route.body)


def _content(kind: Any) -> dict[str, Any]:
    if not _is_struct(kind):
        return {_JSON: {"schema": {"type": "object"}}}
    return {_JSON: {"schema": {"$ref": REF.format(name=kind.__name__)}}}


def _path_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", route.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for field in msgspec.structs.fields(route.query) if route.query else ():
        yield {
            "name": field.encode_name,
            "in": "query",
            "required": field.required,
            "schema": msgspec.json.schema(field.type),
        }


def _structs(routes: Iterable[Route]) -> set[type[msgspec.Struct]]:
    named = (kind for route in routes for kind in (route.body, route.response))
    return {ErrorBody, *(kind for kind in named if _is_struct(kind))}


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
