"""Ways to an account without its password: a code that an administrator gets on the box, and signing up.

The box sends no mail. Whoever forgot his password asks an administrator, who types `weir user reset-password NAME` on
the box and hands over the code; it is good once, for half an hour.
"""

from __future__ import annotations

from datetime import timedelta

from appliance.auth import passwords
from appliance.auth.passwords import Passwords
from appliance.auth.secrets import new_token, token_hash
from appliance.errors import Forbidden, Invalid
from appliance.model import SYSTEM, Subject
from appliance.schema import users as wire
from appliance.services import platform
from appliance.services.attempts import Attempts
from appliance.services.context import Context, Recorder
from appliance.services.people import as_body, shown_user, user_summary
from appliance.services.subjects import refuse_tokens
from appliance.services.team_life import TeamLife
from appliance.services.users import Users, existing
from appliance.store import personal_tokens, tokens, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.tokens import Kind, TokenRow
from appliance.store.users import UserRow
from appliance.store.values import iso

LIFE = timedelta(minutes=30)
PAGE = "/account/reset_password"
ATTEMPTS = 5
WINDOW_S = 60


class Recovery:
    """Codes are kept as hashes; a new one ends those before it, and a new password ends them all."""

    def __init__(
        self, context: Context, audit: Recorder, hasher: Passwords, people: Users, team_life: TeamLife
    ) -> None:
        self._context = context
        self._audit = audit
        self._hasher = hasher
        self._users = people
        self._team_life = team_life
        self._attempts = Attempts(ATTEMPTS, WINDOW_S)

    async def issue(self, subject: Subject, user_id: str) -> wire.Recovery:
        """A code for this user, shown this once. Raises NotFound, Forbidden to a token."""
        refuse_tokens(subject)
        return await self._context.store.write(lambda tx: self._issue(tx, subject, user_id))

    async def for_expired(self, username: str, password: str) -> str | None:
        """A code for somebody who just proved a password that he must change; None when he need not, or did not."""
        row = await self._context.store.read(lambda tx: users.by_login(tx, username))
        if row is None or not row.password_expired or row.suspended:
            return None
        if not await self._hasher.matches(password, row.password_hash):
            return None
        who = Subject(kind="user", user_id=row.id, username=row.username)
        return (await self._context.store.write(lambda tx: self._issue(tx, who, row.id))).token

    async def reset(self, token: str, password: str, *, address: str) -> None:
        """Set a new password with a code; sessions and editors end.

        Raises Invalid: `password_reset_failed` for a code that is none any more, `password_change_failed…` for a bad
        password (the code stays good); TooMany after five tries in a minute.
        """
        key = token_hash(token)
        keys = [f"address:{address}"]
        self._attempts.begin(keys, self._context.now_ms())
        row = await self._context.store.read(lambda tx: self._owner(tx, key))
        passwords.check_new(password, username=row.username, email=row.email)
        if await self._hasher.matches(password, row.password_hash):
            raise Invalid("This is the old password.", code="password_change_failed", hint="Choose another one.")
        hashed = await self._hasher.hash(password)

        def work(tx: Tx) -> None:
            current = self._owner(tx, key)
            who = Subject(kind="user", user_id=current.id, username=current.username)
            self._users.replace_password(tx, who, current, hashed)
            self._record(tx, "account.reset-password", who, current)

        await self._context.store.write(work)
        self._attempts.forgive(keys)

    async def register(self, body: wire.Register, *, address: str) -> wire.User:
        """An account for a stranger, where the setting `user:signup` allows it.

        Raises Invalid `user_registration_unavailable`, or as for a new account; TooMany after five in a minute.
        """
        self._attempts.begin([f"register:{address}"], self._context.now_ms())
        if not (await self._context.store.read(platform.stored))["user:signup"]:
            raise Invalid(
                "Nobody signs up by himself here.",
                code="user_registration_unavailable",
                hint="Ask an administrator of this box for an account.",
            )
        new = await self._users.prepared(body.username.strip(), body.name.strip(), body.email.strip(), body.password)

        def work(tx: Tx) -> wire.User:
            settings = platform.stored(tx)
            who = Subject(kind="user", user_id=new.id, username=new.username)
            row = self._users.add(tx, who, new)
            if settings["user:team:auto-create"]:
                self._team_life.own_team(tx, SYSTEM, row, settings["user:team:auto-create:teamType"] or "")
            return shown_user(existing(tx, new.id), self._context.base_url())

        return await self._context.store.write(work)

    def _issue(self, tx: Tx, subject: Subject, user_id: str) -> wire.Recovery:
        row = existing(tx, user_id)
        if row.suspended:
            raise Forbidden(
                f"{row.username} is suspended.", code="user_suspended", hint=f"First: weir user resume {row.username}"
            )
        now, secret = self._context.now_ms(), new_token("ffpr")
        until = now + LIFE // timedelta(milliseconds=1)
        personal_tokens.sweep(tx, Kind.RESET, now)
        personal_tokens.end(tx, Kind.RESET, user_id)
        new = TokenRow(
            id=new_id(),
            kind=Kind.RESET,
            hash=token_hash(secret),
            created_at=now,
            user_id=user_id,
            expires_at=until,
        )
        tokens.add(tx, new)
        self._record(tx, "account.forgot-password", subject, row)
        base_url = self._context.base_url()
        return wire.Recovery(
            user=user_summary(row, base_url), token=secret, expires_at=iso(until), url=f"{base_url}{PAGE}"
        )

    def _owner(self, tx: Tx, key: str) -> UserRow:
        token = tokens.get(tx, key)
        row = users.get(tx, token.user_id) if token is not None and token.user_id else None
        if (
            token is None
            or row is None
            or token.kind is not Kind.RESET
            or row.suspended
            or (token.expires_at or 0) <= self._context.now_ms()
        ):
            raise Invalid(
                "This code is unknown, was used, or is too old.",
                code="password_reset_failed",
                hint="Ask an administrator of this box for another.",
            )
        return row

    def _record(self, tx: Tx, event: str, subject: Subject, row: UserRow) -> None:
        body = {"user": as_body(row)}
        self._audit.record(tx, event, subject=subject, scope_type="user", scope_id=row.id, body=body)
