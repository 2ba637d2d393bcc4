"""The API over its real sockets: who is let in, and the shape of what is answered."""

from __future__ import annotations

import json

import pytest

from appliance.model import Role
from tests.web_box import API, HOST, WebBox, ask

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
