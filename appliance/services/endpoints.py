"""The HTTP endpoints of an instance's flows: who may use them, and the tokens that programs use them with."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from appliance.auth.secrets import new_token, token_hash
from appliance.errors import Invalid, NotFound
from appliance.events import Event
from appliance.model import Role, Subject
from appliance.schema.common import Meta
from appliance.schema.endpoints import (
    ChangeHttpToken,
    CreateHttpToken,
    HttpToken,
    HttpTokenCreated,
    HttpTokens,
)
from appliance.services.context import Context, Recorder, record_of_instance
from appliance.services.tokens import USE
from appliance.store import http_tokens, instances, teams, tokens, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.tokens import Kind, TokenRow
from appliance.store.values import iso

MOST_TOKENS = 100
NAME_LENGTH = 128
FARTHEST_MS = 253_402_300_799_999


class Endpoints:
    """What Node-RED asks of somebody at its flows' pages; rights are looked at anew at each question."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit

    async def opens(self, subject: Subject, instance_id: str) -> bool:
        """Whether a token is good for the flows' endpoints of this instance: one made for that, or that of a person
        who logged in there and is in the team still."""
        if subject.instance_id != instance_id:
            return False
        if subject.kind == "http":
            return True
        if subject.kind != "user" or subject.user_id is None or USE not in (subject.scopes or ()):
            return False
        user_id = subject.user_id
        return await self._context.store.read(lambda tx: _may_use(tx, instance_id, user_id))

    async def list(self, instance_id: str) -> HttpTokens:
        """An instance's tokens without their secrets, oldest first."""
        rows = await self._context.store.read(lambda tx: http_tokens.of_instance(tx, instance_id))
        return HttpTokens(meta=Meta(), count=len(rows), tokens=[_shown(row) for row in rows])

    async def create(self, subject: Subject, instance_id: str, body: CreateHttpToken) -> HttpTokenCreated:
        """A token, shown this once. Raises Invalid for a bad name or time and for too many, NotFound."""
        self._check(body.name, body.expires_at)
        secret = new_token("ffhttp")
        new = TokenRow(
            id=new_id(),
            kind=Kind.HTTP,
            hash=token_hash(secret),
            created_at=self._context.now_ms(),
            name=body.name.strip(),
            instance_id=instance_id,
            expires_at=body.expires_at,
        )

        def work(tx: Tx) -> None:
            if len(http_tokens.of_instance(tx, instance_id)) >= MOST_TOKENS:
                raise Invalid(f"An instance has at most {MOST_TOKENS} HTTP tokens.", hint="Delete some first.")
            tokens.add(tx, new)
            self._record(tx, "project.httpToken.created", subject, new)

        await self._context.store.write(work)
        return HttpTokenCreated(**msgspec.structs.asdict(_shown(new)), token=secret)

    async def change(self, subject: Subject, instance_id: str, token_id: str, body: ChangeHttpToken) -> HttpToken:
        """In force at once. Raises Invalid, NotFound."""

        def work(tx: Tx) -> TokenRow:
            row = _get(tx, instance_id, token_id)
            name = row.name if body.name is UNSET else body.name
            if body.name is not UNSET or body.expires_at is not UNSET:
                self._check(name, None if body.expires_at is UNSET else body.expires_at)
            until = row.expires_at if body.expires_at is UNSET else body.expires_at
            after = msgspec.structs.replace(row, name=name.strip(), expires_at=until)
            http_tokens.change(tx, after)
            tx.after_commit(Event("token.revoked", row.id))
            self._record(tx, "project.httpToken.updated", subject, after)
            return after

        return _shown(await self._context.store.write(work))

    async def remove(self, subject: Subject, instance_id: str, token_id: str) -> None:
        """End it; Node-RED notices within half a minute. Raises NotFound."""

        def work(tx: Tx) -> None:
            row = _get(tx, instance_id, token_id)
            http_tokens.remove(tx, row.id)
            tx.after_commit(Event("token.revoked", row.id))
            self._record(tx, "project.httpToken.deleted", subject, row)

        await self._context.store.write(work)

    def _check(self, name: str, expires_at: int | None) -> None:
        if not 0 < len(name.strip()) <= NAME_LENGTH or not name.isprintable():
            raise Invalid(f"A token needs a name of at most {NAME_LENGTH} visible characters.", hint="Give it one.")
        if expires_at is not None and not self._context.now_ms() < expires_at <= FARTHEST_MS:
            raise Invalid("The token would end in the past, or never.", hint="Give a later time, or none.")

    def _record(self, tx: Tx, event: str, subject: Subject, token: TokenRow) -> None:
        row = instances.get(tx, str(token.instance_id))
        if row is None:
            raise NotFound("There is no such instance.")
        record_of_instance(self._audit, tx, event, subject, row, {"token": {"id": token.id, "name": token.name}})


def _may_use(tx: Tx, instance_id: str, user_id: str) -> bool:
    user, team_id = users.get(tx, user_id), teams.team_of(tx, "instance", instance_id)
    if user is None or user.suspended or team_id is None:
        return False
    return teams.role(tx, team_id, user_id) >= Role.DASHBOARD


def _get(tx: Tx, instance_id: str, token_id: str) -> TokenRow:
    row = http_tokens.get(tx, instance_id, token_id)
    if row is None:
        raise NotFound("There is no such HTTP token.", hint="See: weir http-token list NAME")
    return row


def _shown(row: TokenRow) -> HttpToken:
    until = None if row.expires_at is None else iso(row.expires_at)
    return HttpToken(id=row.id, name=row.name, scope="", expires_at=until)
