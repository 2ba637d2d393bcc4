"""The login of editors: what is asked, granted, traded, refreshed, and every way of cheating at it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec import Struct

from appliance.auth.passwords import Passwords
from appliance.errors import Unauthorized
from appliance.model import SYSTEM, Role, Subject
from appliance.schema.instances import BootGrant
from appliance.schema.oauth import OAuthToken
from appliance.schema.users import ChangeUser, User
from appliance.services.context import Context
from appliance.services.directory import directory
from appliance.services.members import Members
from appliance.services.oauth import OAuth, OAuthError
from appliance.services.people import shown_user
from appliance.services.redirects import allowed
from appliance.services.tokens import Tokens
from appliance.store import oauth, users
from appliance.system.access import Access
from tests.stores import Clock, Entries, add_user, fresh_context, furnished

NAMES = ("localhost:8443", "plant.example:8443", "[::1]:8443", "192.0.2.7")
REDIRECT = "https://plant.example:10007/admin/auth/strategy/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


class Plant(Struct):
    """An instance `plant` that has booted, in a box with a provider."""

    context: Context
    oauth: OAuth
    tokens: Tokens
    instance_id: str
    team_id: str
    grant: BootGrant

    def query(self, **changes: str) -> dict[str, str]:
        asked = {
            "response_type": "code",
            "client_id": self.grant.client_id,
            "redirect_uri": REDIRECT,
            "scope": "editor-1.0.0",
            "state": "some state & more",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return {key: value for key, value in {**asked, **changes}.items() if value != ""}

    def form(self, **changes: str) -> dict[str, str]:
        asked = {
            "grant_type": "authorization_code",
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
            "client_id": self.grant.client_id,
            "client_secret": self.grant.client_secret,
        }
        return {**asked, **changes}

    async def person(self, name: str, role: Role, *, admin: bool = False) -> User:
        roles = {self.team_id: role} if role else {}
        return await self.shown(await add_user(self.context, name, roles, admin=admin))

    async def shown(self, subject: Subject) -> User:
        row = await self.context.store.read(lambda tx: users.get(tx, subject.user_id or ""))
        assert row is not None
        return shown_user(row, "https://localhost")

    async def code(self, user: User, **changes: str) -> str:
        request = await self.oauth.begin(self.query(**changes), NAMES)
        return answer(await self.oauth.complete(request.id, user))["code"]

    async def login(self, user: User) -> OAuthToken:
        return await self.oauth.exchange(self.form(code=await self.code(user)))

    async def refresh(self, token: OAuthToken) -> OAuthToken:
        return await self.oauth.exchange(self.form(grant_type="refresh_token", refresh_token=token.refresh_token))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def plant(tmp_path: Path, clock: Clock) -> AsyncIterator[Plant]:
    context = await fresh_context(tmp_path, clock=clock)
    first, instance_id = await furnished(context)
    tokens = Tokens(context, Entries())
    grant = await tokens.boot(await tokens.mint_ticket(instance_id, 1), instance_id, 1)
    yield Plant(context, OAuth(context), tokens, instance_id, first.team_id, grant)
    await context.store.close()


def answer(location: str) -> dict[str, str]:
    """The query of a redirect that goes where it should."""
    assert location.startswith(f"{REDIRECT}?")
    return {key: value for key, (value,) in parse_qs(urlsplit(location).query, strict_parsing=True).items()}


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
