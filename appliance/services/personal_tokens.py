"""Personal access tokens: made, listed, changed and ended by the person they belong to."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from appliance.auth.secrets import new_token, token_hash
from appliance.errors import Invalid, NotFound
from appliance.events import Event
from appliance.model import Subject
from appliance.schema.users import ChangeToken, TokenCreated, TokenList, TokenSummary, TokenTeam
from appliance.services.context import Context, Recorder
from appliance.services.subjects import refuse_tokens, user_of
from appliance.store import personal_tokens, teams, tokens, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.tokens import Kind, TokenRow
from appliance.store.values import iso

NAME_LENGTH = 128
KEPT_PER_USER = 200
FARTHEST_MS = 253_402_300_799_999  # the last moment that ISO 8601 can write with four digits of the year
PAT_FOR_PAT = "pat_cannot_create_pat"


class PersonalTokens:
    """A token is worth at most what its person may do at that moment, narrowed as it was asked for."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit

    async def create(
        self,
        subject: Subject,
        name: str,
        *,
        expires_at: int | None = None,
        read_only: bool = False,
        admin_opt_in: bool = False,
        team_ids: list[str] | None = None,
        for_user: str | None = None,
    ) -> TokenCreated:
        """A personal access token of the asking user, or of `for_user`, shown this once.

        `expires_at`: milliseconds since the epoch. Raises Forbidden to a token that asks for another token, Invalid
        for a bad name, time or team and for too many, NotFound for an unknown user.
        """
        refuse_tokens(subject, code=PAT_FOR_PAT)
        user_id = for_user or user_of(subject)
        self._check(name.strip(), expires_at)
        secret = new_token("ffpat")
        new = TokenRow(
            id=new_id(),
            kind=Kind.PERSONAL,
            hash=token_hash(secret),
            created_at=self._context.now_ms(),
            name=name.strip(),
            user_id=user_id,
            read_only=read_only,
            admin_opt_in=admin_opt_in,
            team_ids=team_ids or None,
            expires_at=expires_at,
        )
        made = await self._context.store.write(lambda tx: self._add(tx, subject, new))
        return TokenCreated(**msgspec.structs.asdict(made), token=secret)

    async def of_user(self, subject: Subject) -> TokenList:
        """The caller's own, without their secrets, oldest first."""
        user_id = user_of(subject)

        def work(tx: Tx) -> list[TokenSummary]:
            return [_shown(tx, row) for row in personal_tokens.of_user(tx, user_id)]

        found = await self._context.store.read(work)
        return TokenList(count=len(found), tokens=found)

    async def change(self, subject: Subject, token_id: str, body: ChangeToken) -> TokenSummary:
        """In force at once. Raises Forbidden to a token, NotFound, Invalid for a bad time or team."""
        refuse_tokens(subject, code=PAT_FOR_PAT)
        user_id = user_of(subject)
        given = {key: value for key, value in msgspec.structs.asdict(body).items() if value is not UNSET}
        given.pop("scope", None)
        if "team_ids" in given:
            given["team_ids"] = given["team_ids"] or None
        self._check("given", given.get("expires_at"))
        return await self._context.store.write(lambda tx: self._change(tx, subject, user_id, token_id, given))

    async def remove(self, subject: Subject, token_id: str) -> None:
        """End it at once. Raises NotFound."""
        user_id = user_of(subject)

        def work(tx: Tx) -> None:
            row = _get(tx, user_id, token_id)
            personal_tokens.remove(tx, row.id)
            tx.after_commit(Event("token.revoked", row.id))
            self._record(tx, "user.pat.deleted", subject, row)

        await self._context.store.write(work)

    def _add(self, tx: Tx, subject: Subject, new: TokenRow) -> TokenSummary:
        owner = users.get(tx, str(new.user_id))
        if owner is None:
            raise NotFound("There is no such user.")
        if len(personal_tokens.of_user(tx, owner.id)) >= KEPT_PER_USER:
            raise Invalid(f"A user has at most {KEPT_PER_USER} tokens.", hint="Delete some that are no longer used.")
        # A token of somebody who is no administrator never becomes one's by his being made one later.
        new = msgspec.structs.replace(new, admin_opt_in=new.admin_opt_in and owner.admin)
        _check_teams(tx, owner.id, owner.admin, new.team_ids)
        tokens.add(tx, new)
        self._record(tx, "user.pat.created", subject, new)
        return _shown(tx, new)

    def _change(self, tx: Tx, subject: Subject, user_id: str, token_id: str, given: dict[str, Any]) -> TokenSummary:
        row = _get(tx, user_id, token_id)
        owner = users.get(tx, user_id)
        admin = owner is not None and owner.admin
        after = msgspec.structs.replace(row, **given)
        after = msgspec.structs.replace(after, admin_opt_in=after.admin_opt_in and admin)
        if "team_ids" in given:
            _check_teams(tx, user_id, admin, after.team_ids)
        personal_tokens.change(tx, after)
        tx.after_commit(Event("token.revoked", row.id))
        self._record(tx, "user.pat.updated", subject, after)
        return _shown(tx, after)

    def _check(self, name: str, expires_at: int | None) -> None:
        if not name or len(name) > NAME_LENGTH or not name.isprintable():
            raise Invalid(
                f"A token needs a name of at most {NAME_LENGTH} characters, all of them visible.", hint="Give it one."
            )
        if expires_at is not None and not self._context.now_ms() < expires_at <= FARTHEST_MS:
            raise Invalid("The token would end in the past, or never.", hint="Give a later time, or none.")

    def _record(self, tx: Tx, event: str, subject: Subject, row: TokenRow) -> None:
        body = {"token": {"id": row.id, "name": row.name}}
        self._audit.record(tx, event, subject=subject, scope_type="user", scope_id=row.user_id, body=body)


def _get(tx: Tx, user_id: str, token_id: str) -> TokenRow:
    row = personal_tokens.get(tx, user_id, token_id)
    if row is None:
        raise NotFound("There is no such token of yours.")
    return row


def _check_teams(tx: Tx, user_id: str, admin: bool, team_ids: list[str] | None) -> None:
    for team_id in team_ids or ():
        team = teams.get(tx, team_id)
        if team is None or (not admin and not teams.role(tx, team_id, user_id)):
            raise Invalid(f"You belong to no team '{team_id[:80]}'.", code="invalid_team", hint="Name one of yours.")


def _shown(tx: Tx, row: TokenRow) -> TokenSummary:
    narrowed = [team for team_id in row.team_ids or () if (team := teams.get(tx, team_id)) is not None]
    return TokenSummary(
        id=row.id,
        name=row.name,
        expires_at=None if row.expires_at is None else iso(row.expires_at),
        read_only=row.read_only,
        admin_opt_in=row.admin_opt_in,
        teams=[TokenTeam(id=team.id, name=team.name) for team in narrowed],
    )
