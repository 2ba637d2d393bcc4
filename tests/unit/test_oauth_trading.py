"""The login of editors: codes and tokens that are traded, refreshed and taken away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.auth.passwords import Passwords
from appliance.errors import Unauthorized
from appliance.model import SYSTEM, Role
from appliance.schema.users import ChangeUser
from appliance.services.directory import directory
from appliance.services.members import Members
from appliance.services.oauth import OAuthError
from tests.oauth_plant import CHALLENGE, Plant, plant_of
from tests.stores import Clock, Entries


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def plant(tmp_path: Path, clock: Clock) -> AsyncIterator[Plant]:
    async with plant_of(tmp_path, clock) as furnished:
        yield furnished


# Trading


@pytest.mark.parametrize(
    "changes",
    [
        {"client_secret": "wrong"},
        {"client_secret": ""},
        {"client_id": "ffp_unknown"},
        {"grant_type": "password"},
        {"grant_type": ""},
    ],
)
async def test_without_the_clients_credentials_nothing_is_traded_nor_used_up(
    plant: Plant, changes: dict[str, str]
) -> None:
    code = await plant.code(await plant.person("ada", Role.OWNER))
    with pytest.raises(OAuthError) as refused:
        await plant.oauth.exchange(plant.form(code=code, **changes))
    assert refused.value.code == "invalid_request" and refused.value.location is None
    await plant.oauth.exchange(plant.form(code=code))


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"code_verifier": CHALLENGE},
        {"redirect_uri": "https://localhost:10007/admin/auth/strategy/callback"},
        {"redirect_uri": ""},
    ],
)
async def test_a_code_in_the_wrong_hands_is_used_up(plant: Plant, changes: dict[str, str]) -> None:
    code = await plant.code(await plant.person("ada", Role.OWNER))
    for form in (plant.form(code=code, **changes), plant.form(code=code)):
        with pytest.raises(OAuthError):
            await plant.oauth.exchange(form)


async def test_a_code_is_good_once_and_for_a_minute(plant: Plant, clock: Clock) -> None:
    ada = await plant.person("ada", Role.OWNER)
    code = await plant.code(ada)
    tries = (plant.oauth.exchange(plant.form(code=code)) for _ in range(3))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert [isinstance(answer, OAuthError) for answer in answers].count(True) == 2
    late = await plant.code(ada)
    clock.forward(minutes=1)
    with pytest.raises(OAuthError):
        await plant.oauth.exchange(plant.form(code=late))


async def test_rights_are_looked_at_again_when_trading(plant: Plant) -> None:
    ada = await plant.person("ada", Role.OWNER)
    code = await plant.code(ada)
    members = Members(plant.context, Entries())
    await members.set_role(SYSTEM, plant.team_id, ada.id, Role.VIEWER)
    assert (await plant.oauth.exchange(plant.form(code=code))).scope == "read"
    late = await plant.code(ada)
    await members.set_role(SYSTEM, plant.team_id, ada.id, Role.DASHBOARD)
    with pytest.raises(OAuthError) as refused:
        await plant.oauth.exchange(plant.form(code=late))
    assert refused.value.code == "access_denied"


async def test_a_new_boot_ends_codes_and_clients_of_the_last(plant: Plant) -> None:
    ada = await plant.person("ada", Role.OWNER)
    token = await plant.login(ada)
    code = await plant.code(ada)
    old = plant.grant
    plant.grant = await plant.tokens.boot(await plant.tokens.mint_ticket(plant.instance_id, 2), plant.instance_id, 2)
    assert plant.grant.client_id != old.client_id
    with pytest.raises(OAuthError):
        await plant.oauth.exchange(plant.form(code=code))
    with pytest.raises(OAuthError):
        await plant.refresh(token)
    with pytest.raises(Unauthorized):
        await plant.tokens.verify(token.access_token)


# Refreshing


async def test_an_access_token_lives_half_an_hour_and_is_refreshed(plant: Plant, clock: Clock) -> None:
    first = await plant.login(await plant.person("ada", Role.MEMBER))
    clock.forward(seconds=1800)
    with pytest.raises(Unauthorized):
        await plant.tokens.verify(first.access_token)
    second = await plant.refresh(first)
    assert second.scope == "*" and second.expires_in == 1800
    assert (await plant.tokens.verify(second.access_token)).username == "ada"
    with pytest.raises(OAuthError):  # used before
        await plant.refresh(first)


async def test_a_refresh_ends_the_access_token_before_it(plant: Plant) -> None:
    first = await plant.login(await plant.person("ada", Role.MEMBER))
    await plant.tokens.verify(first.access_token)  # and is remembered
    second = await plant.refresh(first)
    with pytest.raises(Unauthorized):
        await plant.tokens.verify(first.access_token)
    await plant.tokens.verify(second.access_token)


async def test_a_refused_refresh_leaves_nothing_of_the_login(plant: Plant) -> None:
    ada = await plant.person("ada", Role.MEMBER)
    token = await plant.login(ada)
    await Members(plant.context, Entries()).set_role(SYSTEM, plant.team_id, ada.id, Role.DASHBOARD)
    await plant.tokens.verify(token.access_token)
    with pytest.raises(OAuthError):
        await plant.refresh(token)
    with pytest.raises(Unauthorized):
        await plant.tokens.verify(token.access_token)


async def test_a_refresh_token_is_no_bearer(plant: Plant) -> None:
    token = await plant.login(await plant.person("ada", Role.MEMBER))
    with pytest.raises(Unauthorized):
        await plant.tokens.verify(token.refresh_token)
    with pytest.raises(OAuthError):
        await plant.oauth.exchange(plant.form(grant_type="refresh_token", refresh_token=token.access_token))


async def test_a_demoted_user_only_reads_after_the_next_refresh(plant: Plant) -> None:
    ada = await plant.person("ada", Role.MEMBER)
    token = await plant.login(ada)
    members = Members(plant.context, Entries())
    await members.set_role(SYSTEM, plant.team_id, ada.id, Role.VIEWER)
    token = await plant.refresh(token)
    assert token.scope == "read"
    await members.set_role(SYSTEM, plant.team_id, ada.id, Role.DASHBOARD)
    with pytest.raises(OAuthError) as refused:
        await plant.refresh(token)
    assert refused.value.code == "access_denied"


async def test_refreshing_does_not_go_on_for_ever(plant: Plant, clock: Clock) -> None:
    token = await plant.login(await plant.person("ada", Role.MEMBER))
    for _ in range(6):
        clock.forward(days=1)
        token = await plant.refresh(token)
    clock.forward(days=1)
    with pytest.raises(OAuthError):
        await plant.refresh(token)


async def test_suspending_somebody_ends_his_editors(plant: Plant) -> None:
    ada = await plant.person("ada", Role.MEMBER)
    token = await plant.login(ada)
    await plant.tokens.verify(token.access_token)
    hasher = Passwords()
    await directory(plant.context, Entries(), hasher).users.change(SYSTEM, ada.id, ChangeUser(suspended=True))
    hasher.close()
    with pytest.raises(Unauthorized):
        await plant.tokens.verify(token.access_token)
    with pytest.raises(OAuthError):
        await plant.refresh(token)


async def test_nothing_at_rest_is_a_code_or_a_token(plant: Plant) -> None:
    ada = await plant.person("ada", Role.MEMBER)
    token = await plant.login(ada)
    code = await plant.code(ada)
    await plant.context.store.close()
    stored = plant.context.home.database.read_bytes()
    secrets = (code, token.access_token, token.refresh_token, plant.grant.client_secret)
    assert not [secret for secret in secrets if secret.encode() in stored]
