"""The OpenAPI document describes what is served."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from appliance.web.openapi import document
from appliance.web.routes import ROUTES


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return json.loads(msgspec.json.encode(document(ROUTES, version="1.2.3")))


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [node["$ref"]] if "$ref" in node else []
        return here + [r for value in node.values() for r in references(value)]
    return [r for value in node for r in references(value)] if isinstance(node, list) else []


def test_every_route_is_there(made: dict[str, Any]) -> None:
    assert made["openapi"] == "3.1.0"
    there = {(method.upper(), path) for path, ops in made["paths"].items() for method in ops}
    assert there == {(route.method, route.path) for route in ROUTES}


def test_every_reference_leads_somewhere(made: dict[str, Any]) -> None:
    for reference in references(made):
        node: Any = made
        for step in reference.removeprefix("#/").split("/"):
            assert step in node, reference
            node = node[step]


def test_wire_names_are_those_of_the_reference(made: dict[str, Any]) -> None:
    instance = made["components"]["schemas"]["Instance"]["properties"]
    assert {"safeName", "projectType", "launcherSettings", "flowLastUpdatedAt", "meta"} <= set(instance)
    assert {"code", "error", "hint"} <= set(made["components"]["schemas"]["ErrorBody"]["properties"])


def test_parameters_bodies_and_security(made: dict[str, Any]) -> None:
    logs = made["paths"]["/api/v1/projects/{id}/logs"]["get"]
    assert [p["name"] for p in logs["parameters"]] == ["id", "cursor", "limit"]
    assert logs["security"] == [{"token": []}]
    create = made["paths"]["/api/v1/projects"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/CreateInstance")
    assert "security" not in made["paths"]["/healthz"]["get"]
    assert "202" in made["paths"]["/api/v1/projects/{id}/update-state"]["post"]["responses"]
