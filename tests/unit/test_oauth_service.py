"""The login of editors: what is asked and granted, and every way of cheating at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.model import Role
from appliance.services.oauth import OAuthError
from appliance.services.redirects import allowed
from appliance.store import oauth
from appliance.system.access import Access
from tests.oauth_plant import NAMES, REDIRECT, Plant, answer, plant_of
from tests.stores import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def plant(tmp_path: Path, clock: Clock) -> AsyncIterator[Plant]:
    async with plant_of(tmp_path, clock) as furnished:
        yield furnished


# The whole way


async def test_a_member_logs_in_to_edit(plant: Plant) -> None:
    ada = await plant.person("ada", Role.MEMBER)
    request = await plant.oauth.begin(plant.query(), NAMES)
    assert (request.instance_id, request.instance_name) == (plant.instance_id, "plant")
    sent = answer(await plant.oauth.complete(request.id, ada))
    assert sent["state"] == "some state & more"
    token = await plant.oauth.exchange(plant.form(code=sent["code"]))
    assert token.scope == "*" and token.expires_in == 1800 and token.state == "some state & more"
    assert token.access_token.startswith("ffu_") and token.refresh_token.startswith("ffu_")
    subject = await plant.tokens.verify(token.access_token)
    assert (subject.kind, subject.user_id, subject.instance_id) == ("user", ada.id, plant.instance_id)
    assert subject.scopes == frozenset({"user:read", "team:user"})


@pytest.mark.parametrize(
    ("role", "admin", "scope"),
    [
        (Role.OWNER, False, "*"),
        (Role.MEMBER, True, "*"),
        (Role.VIEWER, False, "read"),
        (Role.VIEWER, True, "read"),
        (Role.NONE, True, "read"),
        (Role.DASHBOARD, True, "read"),
    ],
)
async def test_what_each_role_may(plant: Plant, role: Role, admin: bool, scope: str) -> None:
    assert (await plant.login(await plant.person("ada", role, admin=admin))).scope == scope


async def test_a_stranger_is_sent_back_refused(plant: Plant) -> None:
    eve = await plant.person("eve", Role.NONE)
    request = await plant.oauth.begin(plant.query(), NAMES)
    sent = answer(await plant.oauth.complete(request.id, eve))
    assert sent["error"] == "access_denied" and sent["state"] == "some state & more" and "code" not in sent
    with pytest.raises(OAuthError):
        await plant.oauth.complete(request.id, await plant.person("ada", Role.OWNER))


async def test_a_dashboard_role_has_no_editor(plant: Plant) -> None:
    dora = await plant.person("dora", Role.DASHBOARD)
    request = await plant.oauth.begin(plant.query(), NAMES)
    with pytest.raises(OAuthError) as refused:
        await plant.oauth.complete(request.id, dora)
    assert refused.value.code == "access_denied" and refused.value.location is None


async def test_the_old_scope_is_for_those_who_edit(plant: Plant) -> None:
    assert await plant.code(await plant.person("ada", Role.MEMBER), scope="editor")
    request = await plant.oauth.begin(plant.query(scope="editor"), NAMES)
    with pytest.raises(OAuthError) as refused:
        await plant.oauth.complete(request.id, await plant.person("vic", Role.VIEWER))
    assert refused.value.location is None and refused.value.status == 400


async def test_a_login_can_be_refused_by_the_person(plant: Plant) -> None:
    request = await plant.oauth.begin(plant.query(), NAMES)
    assert answer(await plant.oauth.reject(request.id))["error"] == "access_denied"
    with pytest.raises(OAuthError):
        await plant.oauth.reject(request.id)


# Asking


@pytest.mark.parametrize(
    "redirect",
    [
        "",
        "https://evil.example:10007/admin/auth/strategy/callback",
        "https://plant.example/admin/auth/strategy/callback",
        "https://plant.example:8443/admin/auth/strategy/callback",
        "https://plant.example:10008/admin/auth/strategy/callback",  # the neighbour's port
        "http://plant.example:10007/admin/auth/strategy/callback",
        "https://plant.example:10007/auth/strategy/callback",
        "https://plant.example:10007/admin/auth/strategy/callback/",
        "https://plant.example:10007/admin/auth/strategy/callback?x=1",
        "https://plant.example:10007/admin/auth/strategy/callback#x",
        "https://plant.example:10007/admin/../admin/auth/strategy/callback",
        "https://PLANT.example:10007/admin/auth/strategy/callback",
        "https://plant.example:10007@evil.example/admin/auth/strategy/callback",
        "https://evil.example/?https://plant.example:10007/admin/auth/strategy/callback",
        "https://plant.example:10007/admin/auth/strategy/callback\n",
    ],
)
async def test_only_the_instances_own_redirect_is_taken(plant: Plant, redirect: str) -> None:
    with pytest.raises(OAuthError) as refused:
        await plant.oauth.begin(plant.query(redirect_uri=redirect), NAMES)
    assert refused.value.location is None and refused.value.status == 400
    assert refused.value.code == "invalid_request"


@pytest.mark.parametrize("host", ["localhost", "plant.example", "[::1]", "192.0.2.7"])
async def test_every_accepted_name_will_do(plant: Plant, host: str) -> None:
    await plant.oauth.begin(plant.query(redirect_uri=f"https://{host}:10007/admin/auth/strategy/callback"), NAMES)


def test_redirects_of_a_box() -> None:
    ports = Access("port", https_port=8443, public_base=443)
    made = allowed(ports.bases(["Box.Local:8443", "fe80::1", "[::1]:9", "box"], 0, "line"), "")
    hosts = {"box.local", "[fe80::1]", "[::1]", "box"}
    assert made == {f"https://{host}/auth/strategy/callback" for host in hosts}


@pytest.mark.parametrize("client", ["", "ffp_unknown", "ffp_" + "x" * 10_000])
async def test_an_unknown_client_is_refused_without_redirect(plant: Plant, client: str) -> None:
    with pytest.raises(OAuthError) as refused:
        await plant.oauth.begin(plant.query(client_id=client), NAMES)
    assert refused.value.location is None


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"scope": "editor-"}, "invalid_scope"),
        ({"scope": "httpAuth"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"state": ""}, "invalid_request"),
        ({"state": "x" * 2000}, "invalid_request"),
    ],
)
async def test_other_faults_go_back_to_the_editor(plant: Plant, changes: dict[str, str], error: str) -> None:
    with pytest.raises(OAuthError) as refused:
        await plant.oauth.begin(plant.query(**changes), NAMES)
    assert refused.value.location is not None
    location = refused.value.location
    assert location.startswith(f"{REDIRECT}?error={error}&errorDescription=")
    assert "\n" not in location


async def test_a_request_lives_five_minutes(plant: Plant, clock: Clock) -> None:
    ada = await plant.person("ada", Role.OWNER)
    request = await plant.oauth.begin(plant.query(), NAMES)
    clock.forward(minutes=5)
    with pytest.raises(OAuthError):
        await plant.oauth.complete(request.id, ada)


async def test_requests_under_way_are_bounded(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth, "PENDING_LIMIT", 5)
    ada = await plant.person("ada", Role.OWNER)
    begun = [(await plant.oauth.begin(plant.query(), NAMES)).id for _ in range(8)]
    kept = await plant.context.store.read(lambda tx: [id for id in begun if oauth.get(tx, id) is not None])
    assert kept == begun[-5:]
    assert answer(await plant.oauth.complete(begun[-5], ada))["code"]


async def test_a_request_is_answered_once(plant: Plant) -> None:
    ada = await plant.person("ada", Role.OWNER)
    request = await plant.oauth.begin(plant.query(), NAMES)
    answers = await asyncio.gather(*(plant.oauth.complete(request.id, ada) for _ in range(3)), return_exceptions=True)
    assert [isinstance(answer, OAuthError) for answer in answers].count(True) == 2
