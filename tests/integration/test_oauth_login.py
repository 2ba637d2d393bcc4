"""An editor's login over the real sockets: browser, provider and Node-RED's server-side calls."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from appliance.model import Role
from appliance.schema.instances import BootGrant, Instance
from tests.web_box import API, PASSWORD, Browser, WebBox, web_box


class Editor:
    """What the auth plugin inside Node-RED does."""

    def __init__(self, box: WebBox, instance: Instance, grant: BootGrant) -> None:
        self.box = box
        self.instance = instance
        self.grant = grant
        self.verifier = secrets.token_urlsafe(32)
        self.redirect_uri = f"https://box.test:{instance.ports['public']}/auth/strategy/callback"

    def authorize(self, **changed: str | None) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.grant.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "editor-1.0",
            "state": "abc",
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
            **changed,
        }
        return "/account/authorize?" + urlencode({k: v for k, v in query.items() if v is not None})

    async def trade(self, **form: str) -> tuple[int, dict[str, Any]]:
        """POST /account/token, server to server."""
        form = {"client_id": self.grant.client_id, "client_secret": self.grant.client_secret, **form}
        async with self.box.client("tcp").post("/account/token", data=form) as answer:
            return answer.status, await answer.json()

    async def trade_code(self, code: str, **changed: str) -> tuple[int, dict[str, Any]]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        return await self.trade(**{**form, "code_verifier": self.verifier, **changed})

    async def login(self, browser: Browser, username: str) -> dict[str, Any]:
        code = await code_of(browser, self, username)
        status, token = await self.trade_code(code)
        assert status == 200, token
        return token


async def code_of(browser: Browser, editor: Editor, username: str) -> str:
    """The code that the browser brings back to the editor."""
    asked = await browser.get(editor.authorize())
    assert asked.status == 303
    if asked.location.startswith("/account/request/"):
        form = await browser.get(asked.location)
        fields = {**form.fields, "username": username, "password": PASSWORD}
        asked = await browser.post("/account/login", fields)
    assert asked.location.startswith("/account/complete/"), asked.text
    back = await browser.get(asked.location)
    assert back.status == 303 and back.location.startswith(editor.redirect_uri + "?"), back.text
    query = parse_qs(urlsplit(back.location).query)
    assert query["state"] == ["abc"]
    return query["code"][0]


@pytest.fixture
async def editor(home: Path) -> AsyncIterator[Editor]:
    async with web_box(home) as box:
        instance = await box.instance("first")
        yield Editor(box, instance, await box.boot(instance))


async def get(editor: Editor, token: str, path: str) -> tuple[int, Any]:
    async with editor.box.client("tcp", token).get(API + path) as answer:
        return answer.status, json.loads(await answer.text())


async def test_the_whole_login(editor: Editor) -> None:
    await editor.box.person("mia", Role.MEMBER)
    browser = editor.box.browser()
    token = await editor.login(browser, "mia")
    assert token["scope"] == "*" and token["expires_in"] == 1800 and token["state"] == "abc"
    status, user = await get(editor, token["access_token"], "/user")
    assert (status, user["username"]) == (200, "mia")
    status, mine = await get(editor, token["access_token"], f"/teams/{editor.grant.team_id}/user")
    assert (status, mine["role"]) == (200, 30)
    # Logged in to the platform now: a second editor, or the same after a restart, needs no form.
    again = await browser.get(editor.authorize())
    assert again.location.startswith("/account/complete/")


async def test_what_an_editors_token_is_good_for(editor: Editor) -> None:
    other = await editor.box.instance("second")
    token = (await editor.login(editor.box.browser(), "admin"))["access_token"]
    for path in ("/instances", f"/projects/{editor.instance.id}", f"/projects/{other.id}", "/teams", "/user/teams"):
        assert (await get(editor, token, path))[0] in (403, 404), path
    client = editor.box.client("tcp", token)
    for method, path in (
        ("POST", f"{API}/projects/{editor.instance.id}/actions/stop"),
        ("POST", f"{API}/user/tokens"),
        ("DELETE", f"{API}/projects/{editor.instance.id}"),
        ("GET", f"/storage/{editor.instance.id}/flows"),
        ("GET", f"{API}/projects/{editor.instance.id}/settings"),
    ):
        async with client.request(method, path, json={} if method == "POST" else None) as answer:
            assert answer.status in (401, 403), path


@pytest.mark.parametrize(("role", "scope"), [(Role.OWNER, "*"), (Role.MEMBER, "*"), (Role.VIEWER, "read")])
async def test_roles_become_scopes_and_are_looked_at_again(editor: Editor, role: Role, scope: str) -> None:
    user = await editor.box.person("pat", role)
    token = await editor.login(editor.box.browser(), "pat")
    assert token["scope"] == scope
    team = editor.grant.team_id
    await editor.box.services.directory.members.set_role(editor.box.root, team, user.id, Role.VIEWER)
    status, again = await editor.trade(grant_type="refresh_token", refresh_token=token["refresh_token"])
    assert (status, again["scope"]) == (200, "read")
    await editor.box.services.directory.members.set_role(editor.box.root, team, user.id, Role.DASHBOARD)
    status, refused = await editor.trade(grant_type="refresh_token", refresh_token=again["refresh_token"])
    assert (status, refused["error"]) == (400, "access_denied")


async def test_strangers_and_dashboard_users_get_no_code(editor: Editor) -> None:
    for name, role in (("sam", Role.NONE), ("dan", Role.DASHBOARD)):
        await editor.box.person(name, role)
        browser = editor.box.browser()
        await browser.login(name)
        asked = await browser.get(editor.authorize())
        back = await browser.get(asked.location)
        if role is Role.NONE:
            assert parse_qs(urlsplit(back.location).query)["error"] == ["access_denied"]
        else:
            assert back.status == 400 and "dashboard" in back.text


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.test/auth/strategy/callback",
        "https://box.test:10001/auth/strategy/callback",
        "http://box.test:10000/auth/strategy/callback",
        "https://box.test:10000/auth/strategy/callback?x",
        "https://box.test:10000/auth/strategy/callback/",
        "https://box.test:10000//auth/strategy/callback",
        "https://box.test:10000@evil.test/auth/strategy/callback",
        "https://box.test:8443/auth/strategy/callback",
        "https://BOX.test:10000/auth/strategy/callback",
        "",
    ],
)
async def test_nobody_is_sent_to_a_foreign_address(editor: Editor, uri: str) -> None:
    browser = editor.box.browser()
    await browser.login()
    page = await browser.get(editor.authorize(redirect_uri=uri))
    assert page.status == 400 and not page.location
    async with editor.box.client("web").get(editor.authorize(redirect_uri=uri)) as answer:
        told = await answer.json()
        assert answer.status == 400 and set(told) == {"error", "description"}


async def test_other_faults_go_back_to_the_editor(editor: Editor) -> None:
    for changed in (
        {"response_type": "token"},
        {"scope": "admin"},
        {"code_challenge_method": "plain"},
        {"code_challenge": None},
    ):
        page = await editor.box.browser().get(editor.authorize(**changed))
        assert page.status == 303 and page.location.startswith(editor.redirect_uri + "?")
        query = parse_qs(urlsplit(page.location).query)
        assert query["error"] and query["errorDescription"] and query["state"] == ["abc"]
    assert (await editor.box.browser().get(editor.authorize(client_id="ffp_nonsense"))).status == 400


async def test_codes_are_good_once_and_only_with_all_that_belongs_to_them(editor: Editor) -> None:
    browser = editor.box.browser()
    code = await code_of(browser, editor, "admin")
    assert (await editor.trade_code(code, client_secret="wrong"))[0] == 400
    assert (await editor.trade_code(code))[0] == 200, "a wrong secret does not use up the code of another"
    assert (await editor.trade_code(code))[1]["error"] == "invalid_request"
    for changed in ({"code_verifier": "x" * 43}, {"redirect_uri": editor.redirect_uri + "/"}):
        code = await code_of(browser, editor, "admin")
        assert (await editor.trade_code(code, **changed))[0] == 400
        assert (await editor.trade_code(code))[0] == 400, "there is no second try"
    assert (await editor.trade(grant_type="password", username="admin", password=PASSWORD))[0] == 400


async def test_a_request_is_good_once_and_five_minutes(editor: Editor) -> None:
    browser = editor.box.browser()
    await browser.login()
    asked = await browser.get(editor.authorize())
    assert (await browser.get(asked.location)).status == 303
    assert (await browser.get(asked.location)).status == 400
    asked = await browser.get(editor.authorize())
    editor.box.context.clock.forward(minutes=6)  # type: ignore[attr-defined]
    assert (await browser.get(asked.location)).status == 400
    assert (await browser.get("/account/complete/nonsense")).status == 400


async def test_who_does_not_want_to(editor: Editor) -> None:
    browser = editor.box.browser()
    asked = await browser.get(editor.authorize())
    back = await browser.get(asked.location.replace("/request/", "/reject/").removesuffix("/editor"))
    assert parse_qs(urlsplit(back.location).query)["error"] == ["access_denied"]


async def test_logging_out_ends_editors(editor: Editor) -> None:
    browser = editor.box.browser()
    token = await editor.login(browser, "admin")
    await browser.post("/account/logout", (await browser.get("/")).fields)
    assert (await get(editor, token["access_token"], "/user"))[0] == 401
    status, _ = await editor.trade(grant_type="refresh_token", refresh_token=token["refresh_token"])
    assert status == 400


async def test_a_code_of_one_instance_is_nothing_to_another(editor: Editor) -> None:
    other = await editor.box.instance("second")
    thief = Editor(editor.box, other, await editor.box.boot(other))
    code = await code_of(editor.box.browser(), editor, "admin")
    thief.verifier = editor.verifier
    assert (await thief.trade_code(code))[0] == 400
    assert (await editor.trade_code(code))[0] == 200
