"""The OpenAPI document describes what is served, wholly, and is served as such documents should be."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from appliance.web.openapi import document
from appliance.web.openapi.reading import pieces, sections
from appliance.web.openapi.words import TAGS
from appliance.web.routes import ROUTES
from tests.web_box import WebBox


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return json.loads(msgspec.json.encode(document(ROUTES, version="1.2.3")))


def operations(made: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [node["$ref"]] if "$ref" in node else []
        return here + [r for value in node.values() for r in references(value)]
    return [r for value in node for r in references(value)] if isinstance(node, list) else []


def test_every_route_is_there(made: dict[str, Any]) -> None:
    assert made["openapi"] == "3.1.0"
    assert {name for name, _ in operations(made)} == {f"{route.method} {route.plain_path}" for route in ROUTES}


def test_it_is_a_document_by_the_specification(made: dict[str, Any]) -> None:
    wrong = [f"{list(e.absolute_path)}: {e.message[:200]}" for e in OpenAPIV31SpecValidator(made).iter_errors()]
    assert not wrong, "\n".join(wrong)


def test_every_reference_leads_somewhere(made: dict[str, Any]) -> None:
    for reference in references(made):
        node: Any = made
        for step in reference.removeprefix("#/").split("/"):
            assert step in node, reference
            node = node[step]


def test_everything_is_described(made: dict[str, Any]) -> None:
    """A new parameter, subject or route that nobody has words for fails here: see `appliance/web/openapi/words.py`."""
    named = {tag["name"]: tag["description"] for tag in made["tags"]}
    assert all(named.values()) and set(named) <= set(TAGS)
    seen = set()
    for name, operation in operations(made):
        assert operation["summary"] and operation["description"] and operation["operationId"], name
        assert operation["operationId"] not in seen, name
        seen.add(operation["operationId"])
        assert all(tag in named for tag in operation["tags"]), name
        for parameter in operation.get("parameters", []):
            assert parameter["description"] and parameter["schema"], f"{name}: {parameter['name']}"
        inside = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert inside == set(re.findall(r"{(\w+)}", name)), name


def test_every_answer_has_a_status_that_says_what_it_is(made: dict[str, Any]) -> None:
    for name, operation in operations(made):
        answers = operation["responses"]
        assert any(status.startswith("2") for status in answers), name
        assert {"400", "405", "500", "default"} <= set(answers), name
        asks = operation["security"] not in ([], [{}]) and {} not in operation["security"]
        assert not asks or {"401", "403"} <= set(answers), name
        assert "requestBody" not in operation or {"413", "415"} <= set(answers), name


def test_examples_fit_their_schemas(made: dict[str, Any]) -> None:
    count = 0
    for name, operation in operations(made):
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [answer.get("content", {}) for answer in operation["responses"].values()]
        for content in contents:
            for given in content.values():
                if "example" in given:
                    schema = {**given["schema"], "components": made["components"]}
                    wrong = [error.message for error in OAS31Validator(schema).iter_errors(given["example"])]
                    assert not wrong, (name, wrong)
                    count += 1
    assert count > 150


def test_wire_names_are_those_of_the_reference(made: dict[str, Any]) -> None:
    instance = made["components"]["schemas"]["Instance"]["properties"]
    assert {"safeName", "projectType", "launcherSettings", "flowLastUpdatedAt", "meta"} <= set(instance)
    assert {"code", "error", "hint"} <= set(made["components"]["schemas"]["ErrorBody"]["properties"])


def test_parameters_bodies_and_security(made: dict[str, Any]) -> None:
    paths = made["paths"]
    logs = paths["/api/v1/projects/{id}/logs"]["get"]
    assert [p["name"] for p in logs["parameters"]] == ["id", "cursor", "limit"]
    assert logs["security"] == [{"token": []}]
    stream = paths["/api/v1/projects/{id}/logs/stream"]["get"]
    assert [p["name"] for p in stream["parameters"]] == ["id", "cursor", "Last-Event-ID"]
    create = paths["/api/v1/projects"]["post"]["requestBody"]
    assert create["required"] and create["content"]["application/json"]["schema"]["$ref"].endswith("/CreateInstance")
    assert not paths["/api/v1/projects/{id}"]["put"]["requestBody"]["required"], "all of it may be left out"
    assert paths["/healthz"]["get"]["security"] == []
    assert paths["/api/v1/projects/{id}/settings"]["get"]["security"] == [{"launcher": []}]
    assert paths["/account/login"]["get"]["security"] == [{}, {"session": []}]
    assert "202" in paths["/api/v1/projects/{id}/update-state"]["post"]["responses"]
    export = paths["/api/v1/teams/{id}/audit-log/export"]["get"]["responses"]["200"]
    assert list(export["content"]) == ["text/csv"]
    refused = paths["/account/token"]["post"]["responses"]["400"]["content"]["application/json"]["schema"]
    assert refused["anyOf"][0]["$ref"].endswith("/OAuthRefusal")


def test_the_page_has_every_route_under_its_subject(made: dict[str, Any]) -> None:
    found = sections(made)
    assert sum(len(section.operations) for section in found) == len(ROUTES)
    teams = next(section for section in found if section.name == "teams")
    change = next(row for row in teams.operations if (row.method, row.path) == ("PUT", "/api/v1/teams/{id}"))
    assert [line.name for line in change.lines if line.place == "body"][:2] == ["name", "slug"]
    assert '"name": "line-1"' in change.sent and "put /api/v1/teams/{id}" in change.words
    assert pieces("needs `a:b` now") == [("needs ", False), ("a:b", True), (" now", False)]


@pytest.mark.parametrize("path", ["/api/openapi.json", "/api/v1/openapi.json", "/api/", "/assets/api.js"])
async def test_served_compressed_and_only_when_it_is_new(box: WebBox, path: str) -> None:
    client = box.client("web")
    client._auto_decompress = False
    async with client.get(path, headers={"Accept-Encoding": "identity"}) as answer:
        plain, tag = await answer.read(), answer.headers["ETag"]
        assert answer.status == 200 and "Content-Encoding" not in answer.headers
        assert answer.headers["Vary"] == "Accept-Encoding" and answer.headers["Cache-Control"] == "no-cache"
    async with client.get(path, headers={"Accept-Encoding": "br, gzip"}) as answer:
        packed = await answer.read()
        assert answer.headers["Content-Encoding"] == "gzip" and answer.headers["ETag"] != tag
        assert gzip.decompress(packed) == plain and len(packed) < len(plain) / (1 if path.endswith("js") else 4)
        packed_tag = answer.headers["ETag"]
    for known, coding, status in (
        (packed_tag, "gzip", 304),
        (f'"other", W/{packed_tag}', "gzip", 304),
        (tag, "identity", 304),
        (tag, "gzip", 200),
        ("nonsense", "gzip", 200),
    ):
        async with client.get(path, headers={"If-None-Match": known, "Accept-Encoding": coding}) as answer:
            assert (answer.status, bool(await answer.read())) == (status, status == 200), known
    async with client.head(path) as answer:
        assert answer.status == 200 and await answer.read() == b""


async def test_the_page_runs_our_own_script_only(box: WebBox) -> None:
    async with box.client("web").get("/api/") as answer:
        policy = answer.headers["Content-Security-Policy"]
        text = await answer.text()
    assert "script-src 'self'" in policy and "default-src 'none'" in policy and "unsafe" not in policy
    assert re.findall(r'(?:src|href)="(?!#)([^"]+)"', text) == [
        "/assets/weir.css",
        "data:,",
        "/api/openapi.json",
        "/assets/api.js",
    ]
