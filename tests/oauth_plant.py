"""An instance that has booted and a provider for its editor's logins, for tests."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

from appliance.model import Role, Subject
from appliance.schema.instances import BootGrant
from appliance.schema.oauth import OAuthToken
from appliance.schema.users import User
from appliance.services.context import Context
from appliance.services.oauth import OAuth
from appliance.services.people import shown_user
from appliance.services.tokens import Tokens
from appliance.store import users
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


@asynccontextmanager
async def plant_of(directory: Path, clock: Clock) -> AsyncIterator[Plant]:
    """A box of its own in this directory."""
    context = await fresh_context(directory, clock=clock)
    first, instance_id = await furnished(context)
    tokens = Tokens(context, Entries())
    grant = await tokens.boot(await tokens.mint_ticket(instance_id, 1), instance_id, 1)
    yield Plant(context, OAuth(context), tokens, instance_id, first.team_id, grant)
    await context.store.close()


def answer(location: str) -> dict[str, str]:
    """The query of a redirect that goes where it should."""
    assert location.startswith(f"{REDIRECT}?")
    return {key: value for key, (value,) in parse_qs(urlsplit(location).query, strict_parsing=True).items()}
