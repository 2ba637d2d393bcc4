"""Tokens and logins for the HTTP endpoints of flows, over the web part: what opens what, and when it ends."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from appliance.model import Role
from appliance.schema.audit import AuditEntry
from appliance.schema.common import AuditQuery
from appliance.schema.instances import Instance
from appliance.schema.users import ChangeUser, User
from appliance.services.oauth import OAuthError
from tests.web_box import API, HOST, WebBox

NAME = HOST.partition(":")[0]


async def ask(box: WebBox, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
    client = box.client("api" if token is None else "tcp", token)
    async with client.request(method, path, json=body) as answer:
        text = await answer.text()
        return answer.status, await answer.json() if text else None


async def opens(box: WebBox, instance_id: str, token: str, kind: str = "http") -> bool:
    status, _ = await ask(box, "GET", f"/account/check/{kind}/{instance_id}?path=/page", token=token)
    assert status in (200, 401)
    return status == 200


async def events(box: WebBox, instance_id: str) -> list[AuditEntry]:
    return (await box.services.audit.page("project", instance_id, AuditQuery())).log


async def test_a_token_opens_the_endpoints_of_its_instance_and_nothing_else(box: WebBox) -> None:
    made, other = await box.instance("line-1"), await box.instance("line-2")
    path = f"{API}/projects/{made.id}/httpTokens"
    status, created = await ask(box, "POST", path, {"name": "plc", "scope": "", "expiresAt": None})
    assert status == 200 and created["token"].startswith("ffhttp_") and len(created["token"]) == 50
    token = created["token"]
    assert await opens(box, made.id, token) and not await opens(box, other.id, token)
    assert not await opens(box, made.id, token, "project")
    for method, where in (("GET", f"{API}/user"), ("GET", f"{API}/projects/{made.id}"), ("GET", path)):
        assert (await ask(box, method, where, token=token))[0] == 401
    assert (await ask(box, "GET", f"/storage/{made.id}/flows", token=token))[0] == 401
    status, listed = await ask(box, "GET", path)
    assert listed["count"] == 1 and listed["tokens"][0] == {k: v for k, v in created.items() if k != "token"}
    renamed = await ask(box, "PUT", f"{path}/{created['id']}", {"name": "plc 2"})
    assert renamed[1]["name"] == "plc 2" and await opens(box, made.id, token)
    assert (await ask(box, "PUT", f"{API}/projects/{other.id}/httpTokens/{created['id']}", {"name": "x"}))[0] == 404
    assert (await ask(box, "DELETE", f"{path}/{created['id']}"))[0] == 204
    assert not await opens(box, made.id, token), "at once: nothing verified is remembered"
    names = [entry.event for entry in await events(box, made.id)]
    assert names[:3] == [f"project.httpToken.{word}" for word in ("deleted", "updated", "created")]
    assert token not in str(await events(box, made.id))


async def test_a_token_ends_when_it_was_said_to(box: WebBox) -> None:
    made = await box.instance("line-1")
    path = f"{API}/projects/{made.id}/httpTokens"
    now = box.context.now_ms()
    for body in ({"name": " "}, {"name": "x", "expiresAt": now - 1}, {"name": "x" * 129}, {}):
        assert (await ask(box, "POST", path, body))[0] == 400
    created = (await ask(box, "POST", path, {"name": "x", "expiresAt": now + 60_000}))[1]
    assert await opens(box, made.id, created["token"])
    box.context.clock.forward(seconds=61)  # type: ignore[attr-defined]
    assert not await opens(box, made.id, created["token"])


async def login(
    box: WebBox, made: Instance, user: User, scope: str = "httpAuth-1.0", callback: str = "/_ffAuth/callback"
) -> Any:
    """What the pages of an instance get for somebody: the tokens."""
    grant = await box.boot(made)
    verifier = "v" * 43
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    redirect = f"https://{NAME}:{made.ports['public']}{callback}"
    query = {"response_type": "code", "client_id": grant.client_id, "redirect_uri": redirect, "scope": scope}
    query |= {"state": "s", "code_challenge": digest, "code_challenge_method": "S256"}
    request = await box.services.oauth.begin(query, box.services.names())
    answer = parse_qs(urlsplit(await box.services.oauth.complete(request.id, user)).query)
    if "error" in answer:
        return answer["error"][0]
    form = {"grant_type": "authorization_code", "code": answer["code"][0], "redirect_uri": redirect}
    client = {"client_id": grant.client_id, "client_secret": grant.client_secret}
    tokens = await box.services.oauth.exchange({**form, "code_verifier": verifier, **client})
    return tokens, client


@pytest.mark.parametrize("role", [Role.DASHBOARD, Role.VIEWER, Role.OWNER])
async def test_members_use_the_pages_until_they_are_members_no_longer(box: WebBox, role: Role) -> None:
    made, person = await box.instance("line-1"), await box.person("ann", role)
    tokens, client = await login(box, made, person)
    assert tokens.scope == "http" and await opens(box, made.id, tokens.access_token)
    assert (await ask(box, "GET", f"{API}/user", token=tokens.access_token))[1]["username"] == "ann"
    assert (await ask(box, "GET", f"{API}/projects/{made.id}", token=tokens.access_token))[0] == 403
    refreshed = await box.services.oauth.exchange(
        {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token or "", **client}
    )
    assert refreshed.scope == "http" and await opens(box, made.id, refreshed.access_token)
    team = (await box.services.instances.get(made.id)).team["id"]
    await box.services.directory.members.remove(box.root, team, person.id)
    assert not await opens(box, made.id, refreshed.access_token)
    with pytest.raises(OAuthError):
        again = {"grant_type": "refresh_token", "refresh_token": refreshed.refresh_token or "", **client}
        await box.services.oauth.exchange(again)


async def test_who_is_suspended_is_out_at_once(box: WebBox) -> None:
    made, person = await box.instance("line-1"), await box.person("ann", Role.MEMBER)
    tokens, _ = await login(box, made, person)
    await box.services.directory.users.change(box.root, person.id, ChangeUser(suspended=True))
    assert not await opens(box, made.id, tokens.access_token)


async def test_strangers_and_administrators_who_are_no_members_are_refused(box: WebBox) -> None:
    made = await box.instance("line-1")
    assert await login(box, made, await box.person("nobody", Role.NONE)) == "access_denied"
    assert await login(box, made, await box.person("chief", Role.NONE, admin=True)) == "access_denied"


async def test_a_login_for_the_pages_is_none_for_the_editor_nor_the_other_way_round(box: WebBox) -> None:
    made, person = await box.instance("line-1"), await box.person("ann", Role.OWNER)
    with pytest.raises(OAuthError, match="redirect URI"):
        await login(box, made, person, scope="editor-1.0")
    grant = await box.boot(made)
    query = {"client_id": grant.client_id, "scope": "httpAuth-1.0"}
    query["redirect_uri"] = f"https://{NAME}:{made.ports['public']}/auth/strategy/callback"
    with pytest.raises(OAuthError, match="redirect URI"):
        await box.services.oauth.begin(query, box.services.names())
