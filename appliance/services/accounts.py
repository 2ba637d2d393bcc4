"""People: the first administrator, login and logout, sessions of browsers, passwords."""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct

from appliance.auth import passwords
from appliance.auth.passwords import Passwords
from appliance.auth.secrets import new_token, token_hash
from appliance.errors import Forbidden, NotFound, Unauthorized
from appliance.events import Event
from appliance.model import SYSTEM, Subject
from appliance.schema.common import Links, Meta
from appliance.schema.users import User, UserTeam, UserTeams, UserTeamType
from appliance.services.attempts import Attempts
from appliance.services.context import Context, Recorder
from appliance.services.first_run import ADMIN_NAME, FirstRun, furnish
from appliance.services.people import avatar, shown_user
from appliance.store import box, sessions, team_types, teams, tokens, users
from appliance.store.engine import Tx
from appliance.store.sessions import SessionRow
from appliance.store.users import UserRow

# The idle end of a session is moved at most this often, so that reading pages does not write.
TOUCH_AFTER = timedelta(hours=1)
_FIRST_INSTANCE = "first_instance"
PASSWORD_EXPIRED = "password_expired"  # noqa: S105 - a code of refusal


class SessionInfo(Struct, frozen=True):
    """A browser's session that is alive: whose it is, and the token that its forms must carry."""

    user: User
    csrf: str


class Accounts:
    """Accounts of people. Every change takes effect at once: sessions and tokens it ends are refused from then on."""

    def __init__(self, context: Context, audit: Recorder, hasher: Passwords) -> None:
        self._context = context
        self._audit = audit
        self._hasher = hasher
        login = context.config.login
        self._attempts = Attempts(login.attempts, login.window_s)

    # The first start

    async def is_new(self) -> bool:
        """Whether the box has no account yet, so that `bootstrap` would make the first."""
        return not await self._context.store.read(users.exist)

    async def bootstrap(self, password: str | None = None) -> FirstRun | None:
        """Furnish an empty database: administrator, team, application, instance type, stack, template; or nothing.

        Without `password` one is made. None when the box was furnished before, in which case nothing changes.
        """
        if not await self.is_new():
            return None
        chosen = password or passwords.new_password()
        if password is not None:
            passwords.check_new(password, username=ADMIN_NAME, email="")
        hashed = await self._hasher.hash(chosen)

        def work(tx: Tx) -> FirstRun | None:
            if users.exist(tx):
                return None
            made = furnish(tx, self._context.config.first, hashed, self._context.now_ms())
            if not self._context.config.first.instance:
                box.put(tx, _FIRST_INSTANCE, "none")
            team = {"id": made.team_id, "name": self._context.config.first.team}
            self._audit.record(
                tx,
                "platform.team.created",
                subject=SYSTEM,
                scope_type="platform",
                scope_id=None,
                body={"team": team},
            )
            return made

        made = await self._context.store.write(work)
        return None if made is None else made.with_password(chosen, generated=password is None)

    async def first_instance(self) -> str | None:
        """The name of the instance that a new box should get and has not got yet."""
        done = await self._context.store.read(lambda tx: box.get(tx, _FIRST_INSTANCE))
        return None if done is not None else self._context.config.first.instance or None

    async def first_instance_made(self, instance_id: str) -> None:
        """Remember that the first instance was made, so that deleting it does not bring another."""
        await self._context.store.write(lambda tx: box.put(tx, _FIRST_INSTANCE, instance_id))

    # Login and sessions

    async def login(self, username: str, password: str, *, address: str) -> tuple[str, User]:
        """A new session for whoever knows the password: its id, to be kept by the browser only, and the user.

        Takes a user name or an e-mail address. Raises Unauthorized (the same for an unknown user and a wrong
        password, in the same time), TooMany after five failures in thirty seconds of the name or the address,
        Forbidden `user_suspended` and `password_expired`.
        """
        keys = [f"name:{username.lower()}", f"address:{address}"]
        self._attempts.begin(keys, self._context.now_ms())
        row = await self._context.store.read(lambda tx: users.by_login(tx, username))
        if not await self._hasher.matches(password, row.password_hash if row else None) or row is None:
            raise Unauthorized(
                "The user name or the password is wrong.", hint="Try again; an administrator can set a new password."
            )
        self._attempts.forgive(keys)
        session_id = new_token("ffu")
        user = await self._context.store.write(lambda tx: self._begin_session(tx, row, session_id, address))
        return session_id, user

    async def session(self, session_id: str) -> SessionInfo | None:
        """The session with this id, or None when there is none, it has ended, or its user is kept out."""
        key = token_hash(session_id)
        now = self._context.now_ms()
        found = await self._context.store.read(lambda tx: _alive(tx, key, now))
        if found is None:
            return None
        session, row = found
        idle_at = min(now + self._context.config.login.idle_s * 1000, session.expires_at)
        if idle_at - session.idle_at >= TOUCH_AFTER // timedelta(milliseconds=1):
            await self._context.store.write(lambda tx: sessions.touch(tx, key, idle_at))
        return SessionInfo(shown_user(row, self._context.base_url()), self._csrf(key))

    async def logout(self, session_id: str) -> None:
        """End a session and what the same user's editors hold; nothing happens when it has ended before."""
        key = token_hash(session_id)
        await self._context.store.write(lambda tx: self._end_session(tx, key))

    # Accounts

    async def root(self) -> Subject:
        """Whom a local process of this box's own account, or of root, stands for: the first administrator."""
        row = await self._context.store.read(users.first_admin)
        return Subject(kind="user", user_id=row.id if row else None, username="root", admin=True)

    async def user(self, user_id: str) -> User:
        """Raises NotFound."""
        row = await self._context.store.read(lambda tx: users.get(tx, user_id))
        if row is None:
            raise NotFound("There is no such user.")
        return shown_user(row, self._context.base_url())

    async def user_teams(self, user_id: str, within: frozenset[str] | None = None) -> UserTeams:
        """The teams that somebody belongs to, with his role in each; of these only, where his token is narrowed."""
        rows, types = await self._context.store.read(lambda tx: (teams.of_user(tx, user_id), _types(tx)))
        rows = [row for row in rows if within is None or row.id in within]
        base_url = self._context.base_url()
        shown = [
            UserTeam(
                id=row.id,
                name=row.name,
                slug=row.slug,
                avatar=avatar(row.name, base_url),
                suspended=row.suspended,
                links=Links(self=f"{base_url}/api/v1/teams/{row.id}"),
                role=int(row.role),
                instance_count=row.instance_count,
                member_count=row.member_count,
                type=types.get(row.type_id or ""),
            )
            for row in rows
        ]
        return UserTeams(meta=Meta(), count=len(shown), teams=shown)

    # Inside a transaction

    def _begin_session(self, tx: Tx, row: UserRow, session_id: str, address: str) -> User:
        now = self._context.now_ms()
        current = users.get(tx, row.id)
        if current is None or current.password_hash != row.password_hash:
            raise Unauthorized("The password was changed just now.", hint="Log in with the new one.")
        if current.suspended:
            raise Forbidden(
                "This account is suspended.", code="user_suspended", hint="Ask an administrator of this box."
            )
        if current.password_expired:
            raise Forbidden(
                "This password must be changed first.",
                code=PASSWORD_EXPIRED,
                hint="Log in on the page of this box: it asks for a new one.",
            )
        login = self._context.config.login
        key = token_hash(session_id)
        sessions.sweep(tx, now)
        sessions.add(
            tx,
            SessionRow(
                hash=key,
                user_id=row.id,
                csrf_hash=token_hash(self._csrf(key)),
                created_at=now,
                expires_at=now + login.session_s * 1000,
                idle_at=now + min(login.idle_s, login.session_s) * 1000,
            ),
        )
        asking = Subject(kind="user", user_id=row.id, username=row.username, admin=row.admin)
        self._record(tx, "account.login", asking, row.id, {"info": {"address": address}})
        return shown_user(current, self._context.base_url())

    def _end_session(self, tx: Tx, key: str) -> None:
        session = sessions.get(tx, key)
        row = users.get(tx, session.user_id) if session else None
        if session is None or row is None:
            return
        sessions.end(tx, key)
        tokens.end_editors(tx, row.id)
        tx.after_commit(Event("token.revoked", row.id))
        asking = Subject(kind="user", user_id=row.id, username=row.username, admin=row.admin)
        self._record(tx, "account.logout", asking, row.id)

    def _record(
        self, tx: Tx, event: str, subject: Subject, user_id: str, body: dict[str, object] | None = None
    ) -> None:
        self._audit.record(tx, event, subject=subject, scope_type="user", scope_id=user_id, body=body)

    def _csrf(self, session_hash: str) -> str:
        return self._context.box.derive("csrf", session_hash)


def _types(tx: Tx) -> dict[str, UserTeamType]:
    return {row.id: UserTeamType(id=row.id, name=row.name, active=row.active) for row in team_types.every(tx)}


def _alive(tx: Tx, key: str, now: int) -> tuple[SessionRow, UserRow] | None:
    session = sessions.get(tx, key)
    if session is None or now >= session.expires_at or now >= session.idle_at:
        return None
    row = users.get(tx, session.user_id)
    if row is None or row.suspended or row.password_expired:
        return None
    return session, row
