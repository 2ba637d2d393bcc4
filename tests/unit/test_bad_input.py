"""Bad input on every route: refused with a code and a sentence, never by a fault of ours, and nothing is written."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from yarl import URL

from appliance.model import Role
from appliance.web.openapi import is_struct
from appliance.web.route import Route
from appliance.web.routes import API, ROUTES
from tests.people_box import Caller
from tests.two_teams import Place
from tests.web_box import web_box

DEEP = 10_000
NESTED = b"[" * DEEP + b"]" * DEEP
NESTED_OBJECTS = b'{"a":' * DEEP + b"1" + b"}" * DEEP
# Refused because something is away, before anything is looked at.
AWAY = (503,)
NAMES = [
    "",
    " ",
    "\u0000",
    "a\u0000b",
    "line\nbreak",
    "\u001b[31mred",
    "\u202eright to left",
    "<script>alert(1)</script>",
    "'; DROP TABLE users;--",
    '"quoted"',
    "../../etc/passwd",
    "..",
    "a/b",
    "a\\b",
    "%00%2e%2e",
    "{{7*7}}",
    "${x}",
    "-rf",
    "Ünïcødé 💩",
    "\ufeffbom",
    "nul.txt\u0000.png",
    "https://evil.example",
    "con",
    "x" * 5000,
]
SEGMENTS = [
    "..%2F..%2Fetc",
    "%2e%2e",
    "%00",
    "%0d%0aX-Evil:1",
    "%c0%af",
    "%ff%fe",
    "%",
    "%zz",
    "%25252e",
    "%ed%a0%80",
    "a" * 300,
    "%E2%80%AE",
    "'%20OR%201=1--",
    "*",
    "{id}",
]


@pytest.fixture
async def place(home: Path) -> AsyncIterator[Place]:
    async with web_box(home) as box:
        place = Place(box)
        await place.furnish()
        yield place


def api_routes(*, body: bool) -> list[Route]:
    """What a user asks, but for streams."""
    asked = [r for r in ROUTES if r.auth in ("api", "public", "anyone") and not r.stream]
    return [route for route in asked if (route.body not in (None, dict)) is body]


async def ask(client: aiohttp.ClientSession, method: str, path: str | URL, **fields: Any) -> tuple[int, str]:
    """Status and code; what refuses must say why."""
    async with client.request(method, path, allow_redirects=False, **fields) as answer:
        text = await answer.text()
        if answer.status < 400:
            return answer.status, ""
        told = json.loads(text)
        assert told["code"] and told["error"], (method, path, text)
        return answer.status, told["code"]


async def test_bodies_that_do_not_fit(place: Place) -> None:
    client, before = place.box.client("api"), place.dump()
    wrong = []
    for route in api_routes(body=True):
        path = place.path(route)
        for kind, body, wanted in (
            ("text/plain", b"{}", 415),
            ("application/xml", b"<a/>", 415),
            ("multipart/form-data; boundary=x", b"--x--", 415),
            ("application/x-www-form-urlencoded", b"name=a", 415),
            ("application/json", b"{", 400),
            ("application/json", b'{"name": "\\ud800"}', 400),
            ("application/json", b'{"a": NaN}', 400),
            ("application/json", b"\xff\xfe", 400),
            ("application/json", NESTED, 400),
            ("application/json", NESTED_OBJECTS, 400),
            ("application/json", b"[]", 400),
            ("application/json", b'"text"', 400),
        ):
            status, code = await ask(client, route.method, path, data=body, headers={"Content-Type": kind})
            # Who may not, what is not there, and too many tries come first.
            if status not in (wanted, 403, 404, 429, *AWAY):
                wrong.append(f"{route.method} {path}: {status} {code}, not {wanted} for {kind} {body[:20]!r}")
    assert not wrong, "\n".join(wrong)
    assert place.dump() == before


async def test_what_is_nested_too_deep_inside_a_field(place: Place) -> None:
    """Fields that are kept as they came are looked at as well: somebody will read them one day."""
    before = place.dump()
    instance, application = place.first.id, place.first.application.id
    deep = NESTED.decode()
    objects = NESTED_OBJECTS.decode()
    wrong = []
    for method, path, body in (
        ("POST", "/projects", f'{{"name": "deep", "applicationId": "{application}", "flows": {deep}}}'),
        ("PUT", f"/projects/{instance}", f'{{"settings": {objects}}}'),
        ("PUT", f"/projects/{instance}", f'{{"settings": {{"env": {deep}}}}}'),
        ("PUT", f"/projects/{instance}", f'{{"launcherSettings": {objects}}}'),
        ("POST", f"/projects/{instance}/snapshots", f'{{"name": "d", "flows": {deep}}}'),
        ("POST", f"/projects/{instance}/snapshots", f'{{"name": "d", "flows": [], "credentials": {objects}}}'),
        ("POST", f"/projects/{instance}/snapshots", f'{{"name": "d", "settings": {objects}}}'),
        ("POST", f"/projects/{instance}/import", json.dumps({"flows": deep})),
        ("POST", f"/projects/{instance}/import", json.dumps({"flows": "[]", "credentials": objects})),
        ("POST", "/snapshots/import", _import(instance, f'"flows": {deep}')),
        ("POST", "/snapshots/import", _import(instance, f'"flows": {{"flows": [], "credentials": {objects}}}')),
        ("POST", "/snapshots/import", _import(instance, f'"settings": {objects}')),
        ("POST", "/templates", f'{{"name": "d", "settings": {objects}, "policy": {{}}}}'),
        ("POST", "/stacks", f'{{"name": "d", "properties": {objects}}}'),
        ("POST", "/project-types", f'{{"name": "d", "properties": {objects}}}'),
        ("POST", "/team-types", f'{{"name": "d", "properties": {objects}}}'),
        ("PUT", "/settings", f'{{"user:signup": {deep}}}'),
        ("PUT", f"/teams/{place.first.team['id']}", f'{{"properties": {objects}}}'),
    ):
        headers = {"Content-Type": "application/json"}
        status, code = await ask(place.box.client("api"), method, API + path, data=body, headers=headers)
        if status != 400:
            wrong.append(f"{method} {path} {body[:60]}: {status} {code}")
    assert not wrong, "\n".join(wrong)
    assert place.dump() == before


def _import(instance: str, part: str) -> str:
    whole = {"name": '"s"', "flows": '{"flows": []}', "settings": '{"settings": {}, "env": {}, "modules": {}}'}
    name, _, value = part.partition(": ")
    whole[name.strip('"')] = value
    parts = ", ".join(f'"{key}": {text}' for key, text in whole.items())
    return f'{{"ownerId": "{instance}", "snapshot": {{{parts}}}}}'


async def test_names_of_every_nasty_kind(place: Place) -> None:
    """Either refused, or it comes back as it was: nothing is cut, turned into something else, or breaks a list."""
    application, team = place.first.application.id, place.first.team["id"]
    makers: dict[str, tuple[str, dict[str, Any]]] = {
        "instance": ("/projects", {"applicationId": application}),
        "application": ("/applications", {"teamId": team}),
        "team": ("/teams", {}),
        "stack": ("/stacks", {}),
        "template": ("/templates", {"settings": {}, "policy": {}}),
        "type": ("/project-types", {}),
        "team type": ("/team-types", {}),
        "snapshot": (f"/projects/{place.first.id}/snapshots", {}),
        "http token": (f"/projects/{place.first.id}/httpTokens", {"scope": ""}),
    }
    wrong = []
    for what, (path, body) in makers.items():
        for name in NAMES:
            before = place.dump()
            answer = await place.root("POST", path, {"name": name, **body})
            if answer.status in (400, 409):
                if place.dump() != before or (
                    what == "instance" and answer.code not in ("invalid_project_name", "invalid_name")
                ):
                    wrong.append(f"{what} {name[:30]!r}: {answer.status} {answer.code}, or written")
            elif what == "snapshot" and not name:
                assert answer.json["name"], "one is made up"
            elif answer.status != 200 or answer.json["name"].strip() != name.strip():
                wrong.append(f"{what} {name[:30]!r}: {answer.text[:200]}")
            elif "\u0000" in name or "\n" in name or "\u001b" in name:
                wrong.append(f"{what} {name[:30]!r} was taken")
    assert not wrong, "\n".join(wrong)


async def test_people_of_every_nasty_name(place: Place) -> None:
    for name in NAMES:
        body = {"name": "Some", "username": name, "password": "long enough 77 words", "email": "x@example.com"}
        assert (await place.root("POST", "/users", body)).status == 400 or re.fullmatch("[a-z0-9_-]+", name), name
    for name in ("a\u0000b", "line\nbreak", "\u001b[31m", "https://evil.example", "x" * 5000):
        answer = await place.root("PUT", "/user", {"name": name})
        assert answer.status == 400, name[:20]


async def test_ids_of_other_teams_in_bodies_and_below_ones_own(place: Place) -> None:
    before = place.dump()
    mine, theirs = place.first.id, place.other.id
    for method, path, body, wanted in (
        ("POST", "/projects", {"name": "n", "applicationId": place.other_application}, (404, "not_found")),
        ("POST", "/applications", {"name": "n", "teamId": place.other_team}, (404, "not_found")),
        ("PUT", f"/projects/{mine}", {"sourceProject": {"id": theirs}}, (400, "invalid_source_project")),
        ("POST", f"/projects/{mine}/actions/rollback", {"snapshot": place.foreign}, (400, "invalid_snapshot")),
        ("POST", f"/projects/{mine}/actions/rollback", {"snapshot": "nowhere123"}, (400, "invalid_snapshot")),
        ("GET", f"/projects/{mine}/snapshots/{place.foreign}", None, (404, "not_found")),
        ("DELETE", f"/projects/{mine}/snapshots/{place.foreign}", None, (404, "not_found")),
        ("POST", f"/projects/{mine}/snapshots/{place.foreign}/export", {"credentialSecret": "x"}, (404, "not_found")),
        ("GET", f"/snapshots/{place.foreign}", None, (404, "not_found")),
        ("DELETE", f"/snapshots/{place.foreign}", None, (404, "not_found")),
        ("GET", f"/projects/{theirs}", None, (404, "not_found")),
        ("DELETE", f"/projects/{theirs}", None, (404, "not_found")),
        ("PUT", f"/projects/{mine}", {"stack": "nowhere123"}, (400, "invalid_stack")),
        ("PUT", f"/projects/{mine}", {"projectType": "nowhere123"}, (400, "invalid_project_type")),
        ("PUT", f"/teams/{place.first.team['id']}/members/nowhere123", {"role": 30}, (404, "not_found")),
        ("DELETE", "/user/tokens/nowhere123", None, (404, "not_found")),
        ("DELETE", "/user/notifications/nowhere123", None, (404, "not_found")),
    ):
        answer = await place.owner(method, path, body)
        assert (answer.status, answer.code) == wanted, (method, path, answer.text)
    file = json.loads(_import(theirs, '"name": "s"'))
    assert (await place.owner("POST", "/snapshots/import", file)).status == 404
    assert place.dump() == before


async def test_somebody_elses_tokens_are_not_ones_own(place: Place) -> None:
    other = await place.box.person("sam", Role.MEMBER)
    secret = await place.box.token(other)
    (token,) = (await Caller(place.box, secret, "tcp").ok("GET", "/user/tokens"))["tokens"]
    before = place.dump()
    assert (await place.owner("DELETE", f"/user/tokens/{token['id']}")).status == 404
    assert (await place.root("DELETE", f"/user/tokens/{token['id']}")).status == 404, "not an administrator's either"
    assert place.dump() == before


async def test_cursors_of_other_lists(place: Place) -> None:
    lists = [
        r for r in ROUTES if r.query and "cursor" in r.query.__struct_fields__ and r.auth == "api" and not r.stream
    ]
    before = place.dump()
    wrong = []
    for route in lists:
        path = place.path(route)
        if "/logs" in path or "/devices" in path:
            continue  # a launcher's, its cursors are times; and a list that is always empty
        for cursor in ("nowhere123", place.other.id, place.snapshot, "%00", "9" * 400, "-1"):
            status, code = await ask(place.box.client("api"), "GET", URL(f"{path}?cursor={cursor}", encoded=True))
            if (status, code) != (400, "invalid_request"):
                wrong.append(f"{path}?cursor={cursor[:20]}: {status} {code}")
    assert not wrong, "\n".join(wrong)
    assert place.dump() == before


async def test_methods_that_a_path_does_not_take(place: Place) -> None:
    paths: dict[str, set[str]] = defaultdict(set)
    for route in ROUTES:
        paths[place.path(route)].add(route.method)
    client, before = place.box.client("api"), place.dump()
    literal = {route.plain_path for route in ROUTES if "{" not in route.path}
    for path, takes in paths.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "PROPFIND"} - takes:
            async with client.request(method, path, allow_redirects=False) as answer:
                # /projects/check-name is also the path of an instance that is called so.
                if answer.status == 404 and path in literal:
                    continue
                assert answer.status == 405, (method, path)
                assert takes <= set(answer.headers["Allow"].split(", ")), (method, path)
                assert json.loads(await answer.text())["code"] == "not_found"
    assert place.dump() == before


async def test_paths_that_are_none(place: Place) -> None:
    before = place.dump()
    wrong = []
    for route in (*api_routes(body=True), *api_routes(body=False)):
        if "{" not in route.path:
            continue
        body = {"json": _filled(route)} if route.body is not None else {}
        for segment in SEGMENTS:
            path = re.sub(r"{\w+}", lambda _, segment=segment: segment, route.plain_path)
            status, code = await ask(place.box.client("api"), route.method, URL(path, encoded=True), **body)
            if status not in (400, 403, 404, 405, 429, *AWAY) and not path.startswith("/avatar/"):
                wrong.append(f"{route.method} {path}: {status} {code}")
    assert not wrong, "\n".join(wrong)
    assert place.dump() == before


def _filled(route: Route) -> Any:
    """A body that fits the route's struct."""
    if not is_struct(route.body):
        return {}
    filling = {"str": "words enough 9", "int": 30, "bool": False, "list": []}
    needed = (field for field in msgspec.structs.fields(route.body) if field.required)
    return {field.encode_name: filling.get(getattr(field.type, "__name__", "str"), {}) for field in needed}


async def test_unknown_fields_and_parameters_are_passed_over(place: Place) -> None:
    body = {"name": "Other name", "constructor": {"prototype": 1}, "__proto__": {}, "id": "x", "admin": True}
    made = await place.owner.ok("PUT", f"/applications/{place.first.application.id}", body)
    assert made["name"] == "Other name" and made["id"] == place.first.application.id
    assert (await place.owner.ok("PUT", "/user", {"name": "Me", "admin": True, "suspended": True}))["admin"] is False
    assert (await place.owner("GET", "/user?unknown=1&unknown=2&%00=x")).status == 200
