"""What an editor's tokens are worth after people's roles were changed by the routes for that."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.model import Role
from appliance.schema.members import ChangeMember
from appliance.schema.users import ChangeUser
from appliance.services.oauth import OAuthError
from tests.unit.test_endpoints_service import API, WebBox, ask, login


async def refresh(box: WebBox, tokens: Any, client: dict[str, str]) -> Any:
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token, **client}
    return await box.services.oauth.exchange(form)


async def test_a_role_that_changes_is_told_at_once_and_counts_at_the_refresh(box: WebBox) -> None:
    made, person = await box.instance("line-1"), await box.person("ann", Role.MEMBER)
    tokens, client = await login(box, made, person, scope="editor-1.0", callback="/auth/strategy/callback")
    where = f"{API}/teams/{made.team['id']}/user"
    assert tokens.scope == "*" and (await ask(box, "GET", where, token=tokens.access_token))[1]["role"] == 30
    for role, scope in ((Role.VIEWER, "read"), (Role.OWNER, "*")):
        body = ChangeMember(role=int(role))
        await box.services.directory.members.change(box.root, made.team["id"], person.id, body)
        assert (await ask(box, "GET", where, token=tokens.access_token))[1]["role"] == int(role)
        tokens = await refresh(box, tokens, client)
        assert tokens.scope == scope
    await box.services.directory.members.change(box.root, made.team["id"], person.id, ChangeMember(role=5))
    with pytest.raises(OAuthError):
        await refresh(box, tokens, client)


@pytest.mark.parametrize("how", ["removed", "suspended"])
async def test_who_is_shut_out_holds_nothing_any_more(box: WebBox, how: str) -> None:
    made, person = await box.instance("line-1"), await box.person("ann", Role.MEMBER)
    tokens, client = await login(box, made, person, scope="editor-1.0", callback="/auth/strategy/callback")
    where = f"{API}/teams/{made.team['id']}/user"
    assert (await ask(box, "GET", where, token=tokens.access_token))[0] == 200
    if how == "removed":
        await box.services.directory.members.remove(box.root, made.team["id"], person.id)
    else:
        await box.services.directory.users.change(box.root, person.id, ChangeUser(suspended=True))
    assert (await ask(box, "GET", where, token=tokens.access_token))[0] in (401, 404)
    with pytest.raises(OAuthError):
        await refresh(box, tokens, client)
