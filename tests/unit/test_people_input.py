"""Bad input on every row about people: the code of the reference, no 5xx, and nothing written."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from appliance.web.route import Route
from appliance.web.routes.people import PEOPLE
from tests.people_box import People, people_box

NESTED = b"[" * 10_000 + b"]" * 10_000
NASTY = ["..%2F..%2Fetc", "%00", "%0d%0aX-Evil:1", "'%20OR%201=1--", "%F0%9F%92%A9", "a" * 300, "{{7*7}}", "%252e"]
# Raises on purpose: there is no broker.
UNAVAILABLE = "/comms-credentials"


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as made:
        yield made


async def state(people: People) -> list[Any]:
    """All that these rows could have written."""
    paths = ("/users", "/teams", "/settings", "/team-types?filter=all", "/user/tokens", "/admin/invitations")
    return [await people.root.ok("GET", path) for path in paths] + [await people.events()]


def rows(*, body: bool) -> list[Route]:
    return [route for route in PEOPLE if route.auth in ("api", "public") and (route.body is not None) is body]


async def send(people: People, client: aiohttp.ClientSession, route: Route, path: str, **fields: Any) -> int:
    async with client.request(route.method, path, **fields) as answer:
        text = await answer.text()
        if answer.status >= 400:
            told = msgspec.json.decode(text)
            assert told["code"] and told["error"], (route.method, path, text)
        return answer.status


async def test_bodies_that_are_none(people: People) -> None:
    client = people.box.client("api")
    before = await state(people)
    wrong = []
    for route in rows(body=True):
        path = route.path.replace("{id}", people.team)
        path = re.sub(r"{\w+}", "nowhere", path)
        for kind, body, wanted in (
            ("text/plain", b"{}", 415),
            ("application/xml", b"<a/>", 415),
            ("application/json", b"{", 400),
            ("application/json", b"\xff\xfe", 400),
            ("application/json", NESTED, 400),
            ("application/json", b"[]", 400),
            ("application/json", b'"text"', 400),
            ("application/json", b"5", 400),
            ("application/json", b" " * (80 * 1024) + b"{}", 413),
        ):
            try:
                status = await send(people, client, route, path, data=body, headers={"Content-Type": kind})
            except aiohttp.ClientError:
                status = 413  # refused before the body was sent whole
            # Who may not, or what is not there, comes first.
            if status not in (wanted, 404, 429):
                wrong.append(f"{route.method} {path}: {status}, not {wanted} for {kind} {body[:20]!r}")
    assert not wrong, "\n".join(wrong)
    assert await state(people) == before


async def test_unknown_fields_are_left(people: People) -> None:
    made = await people.root.ok("POST", "/teams", {"name": "N", "billingInterval": "month", "trial": True, "x": [1]})
    assert made["name"] == "N"
    assert (await people.root("PUT", "/user", {"unknown": 1, "name": "Me"})).status == 200


async def test_ids_of_nothing(people: People) -> None:
    client = people.box.client("api")
    before = await state(people)
    wrong = []
    for route in PEOPLE:
        if "{" not in route.path or route.auth == "browser":
            continue
        for nasty in NASTY:
            path = re.sub(r"{\w+}", nasty, route.path)
            fields: dict[str, Any] = {} if route.body is None else {"json": _filled(route)}
            status = await send(people, client, route, _as_is(path), **fields)
            if status not in (400, 403, 404, 405, 429) and UNAVAILABLE not in path:
                wrong.append(f"{route.method} {path}: {status}")
    assert not wrong, "\n".join(wrong)
    assert await state(people) == before


async def test_queries_of_nothing(people: People) -> None:
    client = people.box.client("api")
    for route in PEOPLE:
        if route.query is None or "application" in route.path or "projects" in route.path:
            continue
        path = route.path.replace("{id}", people.team)
        for query in (
            "limit=-1",
            "limit=99999999999999999999",
            "page=99999999",
            "sort='",
            "cursor=%00",
            "query=%25%5F",
        ):
            status = await send(people, client, route, f"{path}?{query}")
            assert status in (200, 400), (path, query, status)
        for query in ("query=" + "x" * 3000, "event=" + "&event=".join(map(str, range(40)))):
            assert await send(people, client, route, f"{path}?{query}") in (200, 400), (path, query[:20])


async def test_a_repeated_header_is_refused(people: People) -> None:
    client = people.box.client("tcp")
    headers = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    async with client.get("/api/v1/user", headers=headers) as answer:
        assert answer.status == 400
    async with client.get("/api/v1/settings", headers={"Authorization": "Bearer ffpat_none"}) as answer:
        assert answer.status == 401, "a bad credential is not the same as none"


async def test_texts_come_back_as_they_were_and_harm_nothing(people: People) -> None:
    for name in ("<script>alert(1)</script>", "'; DROP TABLE teams;--", "${jndi:ldap://x}"[:7], "Ünïcødé 💩", "%s%n"):
        made = await people.root.ok("POST", "/teams", {"name": name})
        assert (await people.root.ok("GET", f"/teams/{made['id']}"))["name"] == name
        assert re.fullmatch(r"[a-z0-9_-]{1,64}", made["slug"])
    browser = people.box.browser()
    await browser.login()
    assert "<script>" not in (await browser.get("/")).text


def _as_is(path: str) -> Any:
    from yarl import URL

    return URL(path, encoded=True)


def _filled(route: Route) -> Any:
    """A body that fits."""
    if route.body is bytes:
        return {}
    filling = {"str": "words enough 9", "int": 30, "bool": False, "list": []}
    needed = (field for field in msgspec.structs.fields(route.body) if field.required)
    return {field.encode_name: filling[getattr(field.type, "__name__", "str")] for field in needed}
