"""Every route of the reference is served, answers with its fields, or is said not to be there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from appliance.web.openapi import document
from appliance.web.routes import ROUTES as SERVED
from tests.contract.reference_routes import ABSENT, ENTITIES, ROUTES
from tests.web_box import web_box

MADE = json.loads(msgspec.json.encode(document(SERVED, version="1")))
OPERATIONS = {
    f"{method.upper()} {re.sub(r'{[^}]*}', '{}', path)}": operation
    for path, methods in MADE["paths"].items()
    for method, operation in methods.items()
}


@pytest.mark.parametrize("route", ROUTES)
def test_it_is_served_with_the_fields_of_the_reference(route: str) -> None:
    assert route in OPERATIONS
    wanted = ROUTES[route]
    fields = set(ENTITIES.get(wanted, wanted).split())
    if fields:
        done = next(answer for status, answer in OPERATIONS[route]["responses"].items() if status.startswith("2"))
        name = done["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert fields <= set(MADE["components"]["schemas"][name]["properties"]), name


async def test_what_is_not_there_is_not_found(home: Path) -> None:
    async with web_box(home) as box:
        for route in ABSENT:
            assert route not in OPERATIONS, f"{route} is served now: it belongs into ROUTES"
            method, _, path = route.partition(" ")
            async with box.client("api").request(method, path.replace("{}", "x"), json={}) as answer:
                assert answer.status in (404, 405), route
                assert (await answer.json())["code"] == "not_found", route
