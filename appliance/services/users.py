"""Accounts as administrators keep them, and as people change their own."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from appliance.auth import passwords
from appliance.auth.passwords import Passwords
from appliance.errors import Invalid, NotFound, Unauthorized
from appliance.events import Event
from appliance.model import Role, Subject
from appliance.schema import users as wire
from appliance.schema.common import Page
from appliance.services import listing
from appliance.services.attempts import Attempts
from appliance.services.context import Context, Recorder
from appliance.services.people import as_body, check_account, check_name, shown_user, updates
from appliance.services.subjects import user_of
from appliance.services.team_life import TeamLife
from appliance.store import members, personal_tokens, sessions, teams, tokens, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.tokens import Kind
from appliance.store.users import NewUser, UserRow

# What only an administrator may change of an account.
_ADMINS_ONLY = frozenset({"email_verified", "admin", "password_expired", "suspended", "mfa_enabled"})


class Users:
    """Whoever is suspended, deleted or given another password is out at once, everywhere. One administrator stays."""

    def __init__(self, context: Context, audit: Recorder, hasher: Passwords, team_life: TeamLife) -> None:
        self._context = context
        self._audit = audit
        self._hasher = hasher
        self._team_life = team_life
        login = context.config.login
        self._attempts = Attempts(login.attempts, login.window_s)

    async def page(self, page: Page) -> wire.Users:
        """All accounts. Raises Invalid for a foreign cursor or an unknown sort."""
        asked = listing.want(page)
        found = await self._context.store.read(lambda tx: users.page(tx, asked))
        shown = [shown_user(users.of(row), self._context.base_url()) for row in found.rows]
        return wire.Users(meta=listing.meta(found, asked), count=len(shown), users=shown)

    async def named(self, name_or_id: str) -> wire.User:
        """By id, user name or e-mail address. Raises NotFound."""

        def work(tx: Tx) -> UserRow | None:
            return users.get(tx, name_or_id) or users.by_login(tx, name_or_id)

        row = await self._context.store.read(work)
        if row is None:
            raise NotFound(f"There is no user '{name_or_id[:80]}'.", hint="weir user list shows them.")
        return shown_user(row, self._context.base_url())

    async def create(self, subject: Subject, body: wire.CreateUser) -> wire.User:
        """A new account, with a team of its own where that was asked for.

        Raises Invalid: `invalid_username`, `invalid_email` (taken), a weak password, a bad name.
        """
        name, email = body.name.strip(), body.email.strip() or f"{body.username}@localhost"
        new = await self.prepared(body.username, name, email, body.password, admin=body.is_admin)

        def work(tx: Tx) -> wire.User:
            row = self.add(tx, subject, new)
            if body.create_default_team:
                self._team_life.own_team(tx, subject, row)
            return shown_user(existing(tx, row.id), self._context.base_url())

        return await self._context.store.write(work)

    async def prepared(self, username: str, name: str, email: str, password: str, *, admin: bool = False) -> NewUser:
        """An account that may be added: names and password are within the rules. Raises Invalid."""
        check_account(username, name, email)
        passwords.check_new(password, username=username, email=email)
        return NewUser(
            id=new_id(),
            username=username,
            name=name or username,
            email=email,
            password_hash=await self._hasher.hash(password),
            admin=admin,
            default_team_id=None,
            created_at=self._context.now_ms(),
        )

    def add(self, tx: Tx, subject: Subject, new: NewUser) -> UserRow:
        """Add it. Raises Invalid `invalid_username` or `invalid_email` when that is taken."""
        _demand_free(tx, new.username, new.email, but="")
        users.add(tx, new)
        row = existing(tx, new.id)
        self._record(tx, "account.register", subject, row)
        return row

    async def change(self, subject: Subject, user_id: str, body: wire.ChangeOwnUser) -> wire.User:
        """What is left out stays; what only administrators may change is ignored from others.

        Raises NotFound, Invalid: a name that is taken or against the rules, `invalid_team`, the last administrator,
        oneself suspended.
        """
        given = {key: value for key, value in msgspec.structs.asdict(body).items() if value is not UNSET}
        if not subject.admin or subject.team_ids is not None:
            given = {key: value for key, value in given.items() if key not in _ADMINS_ONLY}
        return await self._context.store.write(lambda tx: self._change(tx, subject, user_id, given))

    async def change_password(self, subject: Subject, body: wire.ChangePassword) -> None:
        """One's own, by whoever knows the old one; sessions and editors end.

        Raises Invalid: `password_change_failed` for a wrong or the same one, `password_change_failed_too_weak`;
        TooMany after five wrong ones in thirty seconds.
        """
        user_id = user_of(subject)
        keys = [f"password:{user_id}"]
        self._attempts.begin(keys, self._context.now_ms())
        row = await self._context.store.read(lambda tx: existing(tx, user_id))
        if not await self._hasher.matches(body.old_password, row.password_hash):
            raise Invalid("The old password is wrong.", code="password_change_failed", hint="Try again.")
        self._attempts.forgive(keys)
        if body.password == body.old_password:
            raise Invalid("This is the old password.", code="password_change_failed", hint="Choose another one.")
        await self.set_password(subject, row, body.password)

    async def set_password(self, subject: Subject, row: UserRow, password: str) -> None:
        """Set it; every session and editor of the user ends. Raises Invalid, NotFound."""
        passwords.check_new(password, username=row.username, email=row.email)
        hashed = await self._hasher.hash(password)

        def work(tx: Tx) -> None:
            current = existing(tx, row.id)
            if current.password_hash != row.password_hash:
                raise Unauthorized("The password was changed just now.", hint="Begin anew with the new one.")
            self.replace_password(tx, subject, current, hashed)

        await self._context.store.write(work)

    def replace_password(self, tx: Tx, subject: Subject, row: UserRow, hashed: str) -> None:
        """The same inside a transaction, with a password that was checked and hashed."""
        users.set_password(tx, row.id, hashed, self._context.now_ms())
        personal_tokens.end(tx, Kind.RESET, row.id)
        shut_out(tx, row.id)
        self._record(tx, "user.updated-password", subject, row)

    async def remove(self, subject: Subject, user_id: str) -> None:
        """Drop the account. Raises NotFound, Invalid for the last administrator and for the only owner of a team."""

        def work(tx: Tx) -> None:
            row = existing(tx, user_id)
            _demand_other_admin(tx, row, "deleted")
            if owned := members.owned_alone(tx, user_id):
                raise Invalid(
                    f"{row.username} is the only owner of: {', '.join(owned[:5])}.",
                    hint="Make somebody else an owner, or delete the team.",
                )
            users.remove(tx, user_id)
            tx.after_commit(Event("token.revoked", user_id))
            self._record(tx, "user.deleted", subject, row)

        await self._context.store.write(work)

    def _change(self, tx: Tx, subject: Subject, user_id: str, given: dict[str, Any]) -> wire.User:
        row = existing(tx, user_id)
        after = self._changed(tx, subject, row, given)
        _demand_free(tx, after.username, after.email, but=row.id)
        before, now = _fields(row), _fields(after)
        if changed := updates(before, now):
            users.change(tx, after, self._context.now_ms())
            if after.suspended != row.suspended or after.password_expired > row.password_expired:
                shut_out(tx, user_id)
            # Rights hang on the account: whoever remembers it looks again.
            tx.after_commit(Event("token.revoked", user_id))
            self._record(tx, "user.updated-user", subject, after, {"updates": changed})
        return shown_user(after, self._context.base_url())

    def _changed(self, tx: Tx, subject: Subject, row: UserRow, given: dict[str, Any]) -> UserRow:
        fields: dict[str, Any] = {key: given[key] for key in ("email_verified", "admin", "suspended") if key in given}
        for key in ("username", "email"):
            if given.get(key):  # an empty one is left out, as the reference's clients send it
                fields[key] = given[key].strip()
        if "name" in given:
            fields["name"] = given["name"].strip() or fields.get("username", row.username)
        if given.get("tcs_accepted"):
            fields["tcs_accepted_at"] = self._context.now_ms()
        if given.get("password_expired"):
            fields["password_expired"] = True
        if "defaultTeam" in given:
            fields["default_team_id"] = _team_of(tx, row.id, given["defaultTeam"])
        after = msgspec.structs.replace(row, **fields)
        _check_change(tx, subject, row, after)
        return after

    def _record(
        self, tx: Tx, event: str, subject: Subject, row: UserRow, more: dict[str, object] | None = None
    ) -> None:
        body = {"user": as_body(row), **(more or {})}
        self._audit.record(tx, event, subject=subject, scope_type="user", scope_id=row.id, body=body)


def existing(tx: Tx, user_id: str) -> UserRow:
    """Raises NotFound."""
    row = users.get(tx, user_id)
    if row is None:
        raise NotFound("There is no such user.")
    return row


def shut_out(tx: Tx, user_id: str) -> None:
    """End a user's sessions and what his editors hold; his other tokens are looked at again."""
    sessions.end_all(tx, user_id)
    tokens.end_editors(tx, user_id)
    tx.after_commit(Event("token.revoked", user_id))


def _check_change(tx: Tx, subject: Subject, row: UserRow, after: UserRow) -> None:
    if (after.username, after.email) != (row.username, row.email):
        # The first administrator is called admin; he may keep that name, nobody may take it.
        check_account(after.username if after.username != row.username else "kept", after.name, after.email)
    check_name(after.name)
    if after.suspended and not row.suspended:
        if subject.user_id == row.id:
            raise Invalid("Nobody can suspend himself.", hint="Ask another administrator.")
        _demand_other_admin(tx, row, "suspended")
    if row.admin and not after.admin:
        _demand_other_admin(tx, row, "made a plain user")


def _demand_other_admin(tx: Tx, row: UserRow, what: str) -> None:
    if row.admin and not row.suspended and users.admin_count(tx) == 1:
        raise Invalid(f"The last administrator can't be {what}.", hint="Make another administrator first.")


def _demand_free(tx: Tx, username: str, email: str, *, but: str) -> None:
    for code, login in (("invalid_username", username), ("invalid_email", email)):
        other = users.by_login(tx, login)
        if other is not None and other.id != but:
            what = "user name" if code == "invalid_username" else "e-mail address"
            raise Invalid(f"This {what} is taken: '{login[:80]}'.", code=code, hint="Take another.")


def _team_of(tx: Tx, user_id: str, team_id: str) -> str:
    if teams.role(tx, team_id, user_id) is Role.NONE:
        raise Invalid("The default team is one that the user belongs to.", code="invalid_team", hint="Name another.")
    return team_id


def _fields(row: UserRow) -> dict[str, object]:
    names = ("username", "name", "email", "email_verified", "admin", "suspended", "password_expired")
    return {name: getattr(row, name) for name in (*names, "default_team_id", "tcs_accepted_at")}
