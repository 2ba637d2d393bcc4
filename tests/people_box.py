"""The API as a script drives it, over the real web part: who asks, and what came back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from appliance.model import Role
from appliance.schema.common import AuditQuery
from appliance.schema.users import User
from tests.web_box import API, WebBox, web_box


class Answer(Struct, frozen=True):
    """Status, decoded JSON (or None), text and headers."""

    status: int
    json: Any
    text: str
    headers: dict[str, str]

    @property
    def code(self) -> str:
        return str(self.json["code"])


class Caller:
    """Somebody with a credential; `caller("PUT", "/user", {…})` asks below /api/v1."""

    def __init__(self, box: WebBox, token: str | None, door: str, user: User | None = None) -> None:
        self.token = token
        self._user = user
        self._client = box.client(door, token)

    @property
    def user(self) -> User:
        assert self._user is not None
        return self._user

    @property
    def id(self) -> str:
        return self.user.id

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        given: dict[str, Any] = {} if body is None else {"json": body}
        path = path if path.startswith("/account/") else API + path
        async with self._client.request(method, path, headers=headers, **given) as answer:
            text = await answer.text()
            json = await answer.json() if answer.content_type == "application/json" else None
            return Answer(answer.status, json, text, dict(answer.headers))

    async def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer's JSON; fails unless it is one of success."""
        answer = await self(method, path, body, **headers)
        assert answer.status in (200, 204), (method, path, answer.status, answer.text)
        return answer.json


class People:
    """A box, and people of every kind on it."""

    def __init__(self, box: WebBox, root: Caller, team: str) -> None:
        self.box = box
        self.root = root
        self.team = team
        self.nobody = Caller(box, None, "tcp")

    async def add(self, name: str, role: Role = Role.NONE, *, admin: bool = False, **narrowed: Any) -> Caller:
        """Somebody with a role in the first team and a token; an administrator's counts as one."""
        user = await self.box.person(name, role, admin=admin)
        return await self.again(user, **({"admin_opt_in": True} | narrowed if admin else narrowed))

    async def again(self, user: User, **narrowed: Any) -> Caller:
        """The same person with another token."""
        return Caller(self.box, await self.box.token(user, **narrowed), "tcp", user)

    async def events(self, scope: str = "box", scope_id: str | None = None) -> list[str]:
        """The audit log's events, newest first."""
        page = await self.box.services.audit.page(scope, scope_id, AuditQuery(limit=1000))
        return [entry.event for entry in page.log]

    async def of_team(self) -> list[str]:
        return await self.events("team", self.team)


@asynccontextmanager
async def people_box(home: Path) -> AsyncIterator[People]:
    async with web_box(home) as box:
        root = Caller(box, None, "api")
        team = (await root.ok("GET", "/teams"))["teams"][0]["id"]
        yield People(box, root, team)
