"""The API over its real sockets: who is let in, what is refused and how, what bodies are taken."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.model import Role
from tests.web_box import API, HOST, WebBox, web_box


@pytest.fixture
async def box(home: Path) -> AsyncIterator[WebBox]:
    async with web_box(home) as box:
        yield box


async def ask(client: Any, method: str, path: str, **more: Any) -> tuple[int, Any]:
    async with client.request(method, path, **more) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text[:1] in "{[" else text


async def raw(box: WebBox, request: bytes) -> bytes:
    """Send bytes as they are to the TCP door and read until it closes or answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", box.port)
    writer.write(request)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(65536), 10)
    writer.close()
    await writer.wait_closed()
    return answer


# Who asks


async def test_the_boxs_own_account_is_the_administrator_on_the_socket(box: WebBox) -> None:
    status, user = await ask(box.client("api"), "GET", f"{API}/user")
    assert (status, user["username"], user["admin"]) == (200, "admin", True)


@pytest.mark.parametrize("door", ["tcp", "web"])
async def test_the_other_doors_believe_only_tokens(box: WebBox, door: str) -> None:
    status, body = await ask(box.client(door), "GET", f"{API}/user")
    assert (status, body["code"]) == (401, "unauthorized")
    status, _ = await ask(box.client(door, "ffpat_" + "x" * 43), "GET", f"{API}/user")
    assert status == 401
    ann = await box.person("ann", Role.VIEWER)
    status, user = await ask(box.client(door, await box.token(ann)), "GET", f"{API}/user")
    assert (status, user["username"]) == (200, "ann")


async def test_the_api_ignores_session_cookies(box: WebBox) -> None:
    browser = box.browser()
    await browser.login()
    page = await browser.get(f"{API}/user")
    assert page.status == 401


async def test_a_session_id_is_no_bearer_token(box: WebBox) -> None:
    browser = box.browser()
    await browser.login()
    status, _ = await ask(box.client("tcp", browser.cookies["__Host-weir_sid"]), "GET", f"{API}/user")
    assert status == 401


async def test_forwarded_headers_count_only_at_the_web_door(box: WebBox) -> None:
    """A flow can reach the TCP door: it must not be able to say who it is, or wear out another address's attempts."""
    lies = {"X-Forwarded-For": "192.0.2.99", "X-Forwarded-Host": HOST}
    client = box.client("tcp", None, **lies, **{"Content-Type": "application/json"})
    wrong = {"username": "nobody", "password": "wrong"}
    for _ in range(6):
        async with client.post("/account/login", data=json.dumps(wrong)) as answer:
            assert answer.status == 404, "nobody logs in at this door"
    page = await box.browser(**{"X-Forwarded-For": "192.0.2.99"}).login()
    assert page.status == 303


async def test_attempts_are_counted_for_the_address_that_nginx_names(box: WebBox) -> None:
    client = box.client("web", None, **{"Content-Type": "application/json"})
    wrong = {"username": "nobody", "password": "wrong"}
    for _ in range(5):
        await ask(client, "POST", "/account/login", data=json.dumps(wrong))
    async with client.post("/account/login", data=json.dumps({**wrong, "username": "else"})) as answer:
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) > 0
    page = await box.browser(**{"X-Forwarded-For": "192.0.2.99"}).login()
    assert page.status == 303


# Roles


async def test_strangers_see_nothing_members_what_their_role_allows(box: WebBox) -> None:
    instance = await box.instance("first")
    path = f"{API}/projects/{instance.id}"
    expected = {
        Role.NONE: (404, 404, 404, 404),
        Role.DASHBOARD: (200, 403, 403, 403),
        Role.VIEWER: (200, 200, 403, 403),
        Role.MEMBER: (200, 200, 403, 403),
        Role.OWNER: (200, 200, 200, 200),
    }
    for role, wanted in expected.items():
        person = await box.person(f"p{int(role)}", role)
        client = box.client("tcp", await box.token(person))
        got = [
            (await ask(client, "GET", f"{path}/status"))[0],
            (await ask(client, "GET", path))[0],
            (await ask(client, "POST", f"{path}/actions/restart"))[0],
            (await ask(client, "GET", f"{API}/teams/{instance.team['id']}/audit-log"))[0],
        ]
        assert tuple(got) == wanted, role
        status, listed = await ask(client, "GET", f"{API}/instances")
        assert (status, listed["count"]) == (200, 0 if role is Role.NONE else 1)


async def test_platform_lists_are_for_administrators(box: WebBox) -> None:
    ann = await box.person("ann", Role.OWNER)
    status, body = await ask(box.client("tcp", await box.token(ann)), "GET", f"{API}/teams")
    assert (status, body["code"]) == (403, "unauthorized")
    assert (await ask(box.client("api"), "GET", f"{API}/teams"))[1]["count"] == 1


async def test_narrowed_tokens(box: WebBox) -> None:
    instance = await box.instance("first")
    path = f"{API}/projects/{instance.id}"
    eve = await box.person("eve", Role.OWNER, admin=True)
    reader = box.client("tcp", await box.token(eve, read_only=True))
    assert (await ask(reader, "GET", path))[0] == 200
    assert (await ask(reader, "POST", f"{path}/actions/stop"))[0] == 403
    assert (await ask(reader, "DELETE", path))[0] == 403
    plain = box.client("tcp", await box.token(eve))
    assert (await ask(plain, "GET", f"{API}/teams"))[0] == 403, "an administrator's token has to opt in"
    opted = box.client("tcp", await box.token(eve, admin_opt_in=True))
    assert (await ask(opted, "GET", f"{API}/teams"))[0] == 200


async def test_a_token_makes_no_token_the_socket_does(box: WebBox) -> None:
    status, made = await ask(box.client("api"), "POST", f"{API}/user/tokens", json={"name": "ci", "adminOptIn": True})
    assert status == 200 and made["token"].startswith("ffpat_")
    client = box.client("tcp", made["token"])
    assert (await ask(client, "GET", f"{API}/user"))[1]["username"] == "admin"
    status, body = await ask(client, "POST", f"{API}/user/tokens", json={"name": "more"})
    assert (status, body["code"]) == (403, "pat_cannot_create_pat")


async def test_names_resolve_only_for_those_who_may_see(box: WebBox) -> None:
    instance = await box.instance("Line-1")
    mia = await box.person("mia", Role.MEMBER)
    member = box.client("tcp", await box.token(mia))
    assert (await ask(member, "GET", f"{API}/instances/line-1"))[1]["id"] == instance.id
    assert (await ask(member, "GET", f"{API}/instances/{instance.id}"))[1]["name"] == "Line-1"
    stranger = box.client("tcp", await box.token(await box.person("sam", Role.NONE)))
    assert (await ask(stranger, "GET", f"{API}/instances/line-1"))[0] == 404
    dash = box.client("tcp", await box.token(await box.person("dan", Role.DASHBOARD)))
    assert (await ask(dash, "GET", f"{API}/instances/line-1/flows"))[0] == 403


# Use cases


async def test_the_life_of_an_instance(box: WebBox) -> None:
    client = box.client("api")
    flows = [{"id": "t1", "type": "tab", "label": "Imported"}]
    status, made = await ask(client, "POST", f"{API}/projects", json={"name": "line-1", "flows": flows})
    assert status == 200, made
    assert made["meta"]["state"] == "starting" and made["safeName"] == "line-1"
    path = f"{API}/projects/{made['id']}"
    assert (await ask(client, "GET", f"{API}/instances/line-1/flows"))[1] == {"flows": flows}
    assert (await ask(client, "GET", f"{path}/status"))[1]["id"] == made["id"]
    for word, desired in (("stop", "stopped"), ("start", "running"), ("restart", "running"), ("suspend", "suspended")):
        assert await ask(client, "POST", f"{path}/actions/{word}") == (200, {"status": "okay"})
        assert (await ask(client, "GET", path))[1]["desired"] == desired
    status, body = await ask(client, "POST", f"{path}/actions/restart")
    assert (status, body["code"]) == (400, "project_suspended")
    status, body = await ask(client, "GET", f"{path}/logs")
    assert (status, body["code"]) == (400, "project_suspended")
    assert await ask(client, "DELETE", path) == (200, {"status": "okay"})
    assert box.pokes.count(made["id"]) >= 6
    log = (await ask(client, "GET", f"{path}/audit-log"))[1]["log"]
    assert [entry["event"] for entry in log] == [
        "project.deleted",
        "project.suspended",
        "project.restarted",
        "project.started",
        "project.stopped",
        "project.created",
    ]
    assert {entry["trigger"]["name"] for entry in log} == {"root"}
    newest = (await ask(client, "GET", f"{path}/audit-log?limit=2"))[1]
    rest = (await ask(client, "GET", f"{path}/audit-log?cursor={newest['meta']['next_cursor']}"))[1]
    assert (newest["count"], rest["count"]) == (2, 4)
    only = (await ask(client, "GET", f"{path}/audit-log?event=project.created&event=project.deleted"))[1]
    assert only["count"] == 2


async def test_names_that_are_refused(box: WebBox) -> None:
    client = box.client("api")
    await box.instance("taken")
    for name, status, code in (
        ("TAKEN", 409, "invalid_project_name"),
        ("node-red", 409, "invalid_project_name"),
        ("1st", 409, "invalid_project_name"),
        ("", 400, "invalid_name"),
    ):
        got, body = await ask(client, "POST", f"{API}/projects", json={"name": name})
        assert (got, body["code"]) == (status, code), name
        got, body = await ask(client, "POST", f"{API}/projects/check-name", json={"name": name})
        assert (got, body["code"]) == (status, code), name
    assert await ask(client, "POST", f"{API}/projects/check-name", json={"name": "free"}) == (200, {"available": True})


async def test_who_may_create_where(box: WebBox) -> None:
    member = box.client("tcp", await box.token(await box.person("mia", Role.MEMBER)))
    application = (await ask(box.client("api"), "GET", f"{API}/teams/slug/home"))[1]["id"]
    status, body = await ask(member, "POST", f"{API}/applications", json={"name": "A", "teamId": application})
    assert status == 403
    status, body = await ask(member, "POST", f"{API}/projects", json={"name": "mine"})
    assert (status, body["code"]) in ((403, "unauthorized"), (400, "invalid_application"))
    owner = box.client("tcp", await box.token(await box.person("olga", Role.OWNER)))
    status, made = await ask(owner, "POST", f"{API}/applications", json={"name": "A", "teamId": application})
    assert status == 200
    status, one = await ask(owner, "POST", f"{API}/projects", json={"name": "mine", "applicationId": made["id"]})
    assert (status, one["application"]["id"]) == (200, made["id"])
    assert (await ask(owner, "GET", f"{API}/applications/{made['id']}/instances"))[1]["count"] == 1
    assert (await ask(owner, "POST", f"{API}/projects", json={"name": "x", "applicationId": "nope"}))[0] == 404


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/user/teams", "teams"),
        ("/teams", "teams"),
        ("/stacks", "stacks"),
        ("/templates", "templates"),
        ("/project-types", "types"),
        ("/instances", "instances"),
    ],
)
async def test_lists_have_a_count_and_their_key(box: WebBox, path: str, key: str) -> None:
    await box.instance("first")
    status, body = await ask(box.client("api"), "GET", API + path)
    assert status == 200
    assert body["count"] == len(body[key]) == 1
    if key not in ("instances", "teams"):
        one = await ask(box.client("api"), "GET", f"{API}{path}/{body[key][0]['id']}")
        assert one[1]["name"] == body[key][0]["name"]


async def test_team_pages(box: WebBox) -> None:
    await box.instance("first")
    client = box.client("api")
    team = (await ask(client, "GET", f"{API}/teams"))[1]["teams"][0]
    assert (await ask(client, "GET", f"{API}/teams/{team['id']}"))[1]["slug"] == team["slug"]
    assert (await ask(client, "GET", f"{API}/teams/slug/{team['slug']}"))[1]["id"] == team["id"]
    assert (await ask(client, "GET", f"{API}/teams/{team['id']}/user"))[1]["role"] in (50, 99)
    assert (await ask(client, "GET", f"{API}/teams/{team['id']}/projects"))[1]["projects"][0]["name"] == "first"
    assert (await ask(client, "GET", f"{API}/teams/{team['id']}/applications"))[1]["count"] == 1
    assert (await ask(client, "GET", f"{API}/teams/{team['id']}/audit-log"))[1]["count"] >= 1
    assert (await ask(client, "GET", f"{API}/teams/nope"))[0] == 404


async def test_the_box(box: WebBox) -> None:
    await box.instance("first")
    status, body = await ask(box.client("api"), "GET", f"{API}/box/status")
    assert status == 200
    assert body["appliance"]["pid"] and body["appliance"]["url"] == f"https://{HOST}"
    assert body["instances"][0]["launcher_pid"] is None and body["instances"][0]["name"] == "first"
    status, body = await ask(box.client("api"), "GET", f"{API}/box/tasks")
    assert status == 200 and body["count"] == sum(body["names"].values()) > 0
    assert not [name for name in body["names"] if any(letter.isdigit() for letter in name)]
    assert await ask(box.client("tcp"), "GET", "/healthz") == (200, {"status": "ok"})


# Refusals


async def test_the_shape_of_a_refusal(box: WebBox) -> None:
    async with box.client("tcp").get(f"{API}/nothing") as answer:
        body = await answer.json()
        assert (answer.status, body["code"], body["error"]) == (404, "not_found", "Not Found")
        assert body["instance"] == answer.headers["X-Request-Id"] and len(body["instance"]) == 16
        assert (body["status"], body["title"]) == (404, "Not Found")
    async with box.client("tcp").get(f"{API}/user") as answer:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await answer.json())["hint"]


async def test_a_wrong_method_is_told_which_are_right(box: WebBox) -> None:
    for method, path, allowed in (
        ("PUT", f"{API}/stacks", "GET, HEAD, POST"),
        ("DELETE", f"{API}/instances", "GET, HEAD"),
        ("TRACE", f"{API}/user", "DELETE, GET, HEAD, PUT"),
        ("OPTIONS", "/healthz", "GET, HEAD"),
    ):
        async with box.client("api").request(method, path) as answer:
            body = await answer.json()
            assert (answer.status, body["code"], answer.headers["Allow"]) == (405, "not_found", allowed), path
            assert allowed in body["hint"]


async def test_what_nobody_foresaw_is_told_by_number_only(
    box: WebBox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(*_: object) -> None:
        raise KeyError("secret detail")

    monkeypatch.setattr(box.services.box, "status", breaks)
    with caplog.at_level(logging.ERROR):
        status, body = await ask(box.client("api"), "GET", f"{API}/box/status")
    assert (status, body["code"]) == (500, "unexpected_error")
    assert "secret detail" not in json.dumps(body)
    assert body["instance"] in caplog.text and "secret detail" in caplog.text


async def test_head_and_security_headers(box: WebBox) -> None:
    async with box.client("api").head(f"{API}/user") as answer:
        assert answer.status == 200 and await answer.read() == b""
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "Server" not in answer.headers
        assert not [name for name in answer.headers if name.startswith("Access-Control")]


async def test_doubled_headers_are_refused(box: WebBox) -> None:
    ann = await box.token(await box.person("ann", Role.VIEWER))
    answer = await raw(
        box,
        f"GET {API}/user HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ann}\r\nAuthorization: Bearer x\r\n"
        "Connection: close\r\n\r\n".encode(),
    )
    assert b" 400 " in answer.splitlines()[0] and b"there twice" in answer


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 400),  # no name
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"name": 5}', "application/json", 400),
        (b'{"name": "\xff"}', "application/json", 400),
        (b"[" * 10_000 + b"]" * 10_000, "application/json", 400),
        (b'{"name": "deep", "flows": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "application/json", 400),
        (b'{"name": "deep", "other": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "application/json", 400),
        (b"name=x", "application/x-www-form-urlencoded", 415),
        (b'{"name": "plain"}', "text/plain", 415),
    ],
)
async def test_bodies_that_do_not_fit(box: WebBox, body: bytes, kind: str, status: int) -> None:
    got, told = await ask(box.client("api"), "POST", f"{API}/projects", data=body, headers={"Content-Type": kind})
    assert got == status, told
    assert told["code"] in ("invalid_request", "invalid_name") and told["error"]
    assert (await ask(box.client("api"), "GET", f"{API}/instances"))[1]["count"] == 0


async def test_a_hundred_megabytes_are_refused_without_being_read(box: WebBox) -> None:
    head = f"POST {API}/projects HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    token = await box.token(await box.person("olga", Role.OWNER))
    head += f"Authorization: Bearer {token}\r\n"
    answer = await raw(box, f"{head}Content-Length: {100 * 1024 * 1024}\r\n\r\n".encode())
    assert b" 413 " in answer.splitlines()[0], "answered before a byte of it was sent"

    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b" " * 1024 * 1024

    client = box.client("tcp", token)
    with pytest.raises(Exception) as refused:  # noqa: PT011 - either the answer or the cut connection is seen first
        async with client.post(
            f"{API}/projects", data=chunks(), headers={"Content-Type": "application/json"}
        ) as answer2:
            assert answer2.status == 413
            raise ValueError("413")
    assert "413" in str(refused.value) or isinstance(refused.value, OSError | asyncio.IncompleteReadError)
    assert (await ask(box.client("api"), "GET", f"{API}/instances"))[1]["count"] == 0


async def test_rights_come_before_the_body(box: WebBox) -> None:
    """Without a token nobody makes us read megabytes."""
    answer = await raw(
        box,
        f"POST {API}/projects HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        "Content-Length: 9000000\r\n\r\n".encode(),
    )
    assert b" 401 " in answer.splitlines()[0]


async def test_compressed_bodies_are_refused(box: WebBox) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert (await ask(box.client("api"), "POST", f"{API}/projects", data=b"x", headers=headers))[0] == 415


@pytest.mark.parametrize("query", ["limit=x", "limit=0", "limit=100000", "cursor=zzz"])
async def test_queries_that_do_not_fit(box: WebBox, query: str) -> None:
    instance = await box.instance("first")
    status, body = await ask(box.client("api"), "GET", f"{API}/projects/{instance.id}/logs?{query}")
    assert (status, body["code"]) == (400, "invalid_request")


async def test_the_api_describes_itself(box: WebBox) -> None:
    for path in (f"{API}/openapi.json", "/api/openapi.json"):
        status, body = await ask(box.client("tcp"), "GET", path)
        assert (status, body["openapi"]) == (200, "3.1.0")
    status, page = await ask(box.client("tcp"), "GET", "/api/")
    assert status == 200 and "/api/v1/box/status" in page
    assert re.findall(r"<script[^>]*>[^<]*", page) == ['<script src="/assets/api.js">']  # our own, nothing inline


async def test_the_certificate_authority(box: WebBox) -> None:
    assert (await ask(box.client("web"), "GET", "/ca.crt"))[0] == 404
    box.context.home.tls.mkdir()
    (box.context.home.tls / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    async with box.client("web").get("/ca.crt") as answer:
        assert answer.status == 200 and answer.content_type == "application/x-x509-ca-cert"
