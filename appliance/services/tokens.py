"""Bearer tokens: who a token stands for, and how launchers come by theirs."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from msgspec import Struct

from appliance.auth.secrets import SEALED_FOR_CREDENTIALS, new_token, token_hash
from appliance.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized
from appliance.events import Event
from appliance.model import Subject
from appliance.schema.instances import BootGrant
from appliance.schema.users import TokenCreated, TokenTeam
from appliance.services.context import Context, Recorder
from appliance.store import instances, oauth, teams, tokens
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.tokens import Holder, Kind, TokenRow
from appliance.store.values import iso

TICKET_LIFE = timedelta(minutes=10)
# A spent ticket is remembered this long, so that a second use is seen as what it is.
TICKET_MEMORY = timedelta(days=1)
CACHE_LIMIT = 10_000
NAME_LENGTH = 128
# What the editor of an instance may ask the platform on behalf of the person in front of it.
EDITOR_SCOPES = frozenset({"user:read", "team:user"})
_PREFIXES = ("ffpat_", "fft_", "ffu_")
_LENGTH_LIMIT = 128


class _Cached(Struct, frozen=True):
    subject: Subject
    expires_at: int | None
    keys: tuple[str | None, ...]  # what a `token.revoked` event may name


class Tokens:
    """All tokens of the box.

    A verified token is kept in memory until a `token.revoked` event names it, its user or its instance.
    `on_spent(instance_id, pid)` is told when a ticket is tried a second time.
    """

    def __init__(
        self, context: Context, audit: Recorder, *, on_spent: Callable[[str, int], None] = lambda _id, _pid: None
    ) -> None:
        self._context = context
        self._audit = audit
        self._on_spent = on_spent
        self._cache: OrderedDict[str, _Cached] = OrderedDict()
        self._revocations = 0
        context.bus.listen(self._hear)

    async def verify(self, bearer: str) -> Subject:
        """Whom the token stands for. Raises Unauthorized: unknown, ended, suspended, or not a token for requests."""
        if len(bearer) > _LENGTH_LIMIT or not bearer.startswith(_PREFIXES):
            raise _unknown()
        key = token_hash(bearer)
        found = self._cache.get(key) or await self._look_up(key)
        if found.expires_at is not None and found.expires_at <= self._context.now_ms():
            self._cache.pop(key, None)
            raise _unknown()
        return found.subject

    async def create_personal(
        self,
        subject: Subject,
        name: str,
        *,
        expires_at: int | None = None,
        read_only: bool = False,
        admin_opt_in: bool = False,
        team_ids: list[str] | None = None,
    ) -> TokenCreated:
        """A personal access token of the asking user, shown this once. `expires_at`: milliseconds since the epoch.

        Raises Forbidden to a token that asks for another token, Invalid for a bad name, time or team.
        """
        if subject.source == "api" or subject.scopes is not None:
            raise Forbidden(
                "A token may not make tokens.", code="pat_cannot_create_pat", hint="Log in and make it there."
            )
        user_id = _user_of(subject)
        self._check_personal(name, expires_at)
        secret = new_token("ffpat")
        new = TokenRow(
            id=new_id(),
            kind=Kind.PERSONAL,
            hash=token_hash(secret),
            created_at=self._context.now_ms(),
            name=name.strip(),
            user_id=user_id,
            read_only=read_only,
            admin_opt_in=admin_opt_in and subject.admin,
            team_ids=team_ids or None,
            expires_at=expires_at,
        )
        narrowed_to = await self._context.store.write(lambda tx: self._add_personal(tx, subject, new))
        return TokenCreated(
            id=new.id,
            name=new.name,
            token=secret,
            expires_at=None if expires_at is None else iso(expires_at),
            read_only=new.read_only,
            admin_opt_in=new.admin_opt_in,
            teams=narrowed_to,
        )

    async def mint_ticket(self, instance_id: str, generation: int) -> str:
        """A ticket for one boot of the launcher placed at `generation`, good for ten minutes.

        Older unused tickets of the instance end; the tokens of its living launcher do not.
        """
        ticket = new_token("ffbt")
        now = self._context.now_ms()
        new = TokenRow(
            id=new_id(),
            kind=Kind.TICKET,
            hash=token_hash(ticket),
            created_at=now,
            instance_id=instance_id,
            generation=generation,
            expires_at=now + _ms(TICKET_LIFE),
        )

        def work(tx: Tx) -> None:
            tokens.sweep(tx, now=now, long_ago=now - _ms(TICKET_MEMORY))
            tokens.drop_tickets(tx, instance_id)
            tokens.add(tx, new)

        await self._context.store.write(work)
        return ticket

    async def boot(self, ticket: str, instance: str, pid: int) -> BootGrant:
        """Trade a ticket for all that a launcher needs; what earlier launchers of the instance held ends now.

        Raises Unauthorized for an unknown, foreign or old ticket, Conflict `ticket_spent` for one used before.
        """
        try:
            return await self._context.store.write(lambda tx: self._trade(tx, token_hash(ticket), instance))
        except Conflict as error:
            if error.code == "ticket_spent":
                self._on_spent(instance, pid)
            raise

    def api_secret(self, instance_id: str, generation: int) -> str:
        """The bearer of the launcher's own API; the same again after a restart of the appliance."""
        return self._context.box.derive("launcher-api", instance_id, str(generation))

    async def _look_up(self, key: str) -> _Cached:
        before = self._revocations
        holder = await self._context.store.read(lambda tx: tokens.holder(tx, key))
        subject = _subject(holder) if holder is not None else None
        if holder is None or subject is None:
            raise _unknown()
        token = holder.token
        found = _Cached(subject, token.expires_at, (token.id, token.user_id, token.instance_id))
        # What was read before a revocation must not be remembered after it.
        if before == self._revocations:
            self._cache[key] = found
            while len(self._cache) > CACHE_LIMIT:
                self._cache.popitem(last=False)
        return found

    def _hear(self, event: Event) -> None:
        if event.kind != "token.revoked":
            return
        self._revocations += 1
        for key in [key for key, cached in self._cache.items() if event.key in cached.keys]:
            del self._cache[key]

    def _check_personal(self, name: str, expires_at: int | None) -> None:
        if not name.strip() or len(name.strip()) > NAME_LENGTH:
            raise Invalid(f"A token needs a name of at most {NAME_LENGTH} characters.", hint="Give it one.")
        if expires_at is not None and expires_at <= self._context.now_ms():
            raise Invalid("The token would end in the past.", hint="Give a later time, or none.")

    def _add_personal(self, tx: Tx, subject: Subject, new: TokenRow) -> list[TokenTeam]:
        user_id = _user_of(subject)
        narrowed_to = []
        for team_id in new.team_ids or ():
            team = teams.get(tx, team_id)
            if team is None or (not subject.admin and not teams.role(tx, team_id, user_id)):
                raise Invalid(
                    f"You belong to no team '{team_id[:80]}'.", code="invalid_team", hint="Name one of yours."
                )
            narrowed_to.append(TokenTeam(id=team.id, name=team.name))
        tokens.add(tx, new)
        self._audit.record(
            tx,
            "user.pat.created",
            subject=subject,
            scope_type="user",
            scope_id=user_id,
            body={"token": {"id": new.id, "name": new.name}},
        )
        return narrowed_to

    def _trade(self, tx: Tx, ticket_hash: str, instance_id: str) -> BootGrant:
        now = self._context.now_ms()
        ticket = tokens.get(tx, ticket_hash)
        if ticket is None or ticket.kind is not Kind.TICKET or ticket.instance_id != instance_id:
            raise _unknown()
        if ticket.spent_at is not None or not tokens.spend(tx, ticket.id, now):
            raise Conflict(
                "This boot ticket was used before.",
                code="ticket_spent",
                hint="Restart the instance; if nobody restarted it, somebody else read the ticket.",
            )
        if ticket.expires_at is None or ticket.expires_at <= now:
            raise _unknown()
        return self._grant(tx, instance_id, ticket.generation or 0, now)

    def _grant(self, tx: Tx, instance_id: str, generation: int, now: int) -> BootGrant:
        team_id = teams.team_of(tx, "instance", instance_id)
        sealed = instances.sealed_secret(tx, instance_id)
        if team_id is None or sealed is None:
            raise NotFound("This instance is no longer there.")
        tokens.end_run(tx, instance_id)
        tx.after_commit(Event("token.revoked", instance_id, team_id))
        client_id, client_secret = new_token("ffp"), secrets.token_urlsafe(48)
        oauth.add_client(
            tx, client_id=client_id, secret_hash=token_hash(client_secret), instance_id=instance_id, at=now
        )
        return BootGrant(
            token=self._add_run_token(tx, Kind.LAUNCHER, instance_id, generation, now),
            node_red_token=self._add_run_token(tx, Kind.NODE_RED, instance_id, generation, now),
            client_id=client_id,
            client_secret=client_secret,
            credential_secret=self._context.box.unseal(SEALED_FOR_CREDENTIALS, instance_id, sealed),
            api_secret=self.api_secret(instance_id, generation),
            team_id=team_id,
        )

    def _add_run_token(self, tx: Tx, kind: Kind, instance_id: str, generation: int, now: int) -> str:
        secret = new_token("fft")
        tokens.add(
            tx,
            TokenRow(
                id=new_id(),
                kind=kind,
                hash=token_hash(secret),
                created_at=now,
                instance_id=instance_id,
                generation=generation,
            ),
        )
        return secret


def _subject(holder: Holder) -> Subject | None:
    """Whom a token stands for; None when it is not for requests or its user is kept out."""
    token = holder.token
    if token.kind in (Kind.LAUNCHER, Kind.NODE_RED):
        return Subject(kind=token.kind.value, instance_id=token.instance_id, team_id=holder.team_id, token_id=token.id)
    if holder.suspended or holder.username is None:
        return None
    person = Subject(kind="user", user_id=token.user_id, username=holder.username, token_id=token.id)
    if token.kind is Kind.PERSONAL:
        return _narrowed(person, holder)
    if token.kind is Kind.EDITOR:
        return _in_editor(person, holder)
    return None


def _narrowed(person: Subject, holder: Holder) -> Subject:
    token = holder.token
    return Subject(
        kind=person.kind,
        user_id=person.user_id,
        username=person.username,
        token_id=token.id,
        admin=holder.admin and token.admin_opt_in,
        team_ids=None if token.team_ids is None else frozenset(token.team_ids),
        read_only=token.read_only,
        source="api",
    )


def _in_editor(person: Subject, holder: Holder) -> Subject:
    token = holder.token
    return Subject(
        kind=person.kind,
        user_id=person.user_id,
        username=person.username,
        token_id=token.id,
        admin=holder.admin,
        instance_id=token.instance_id,
        team_id=holder.team_id,
        scopes=frozenset(token.scopes or ()),
    )


def _user_of(subject: Subject) -> str:
    if subject.kind != "user" or subject.user_id is None:
        raise Forbidden("Only people have personal tokens.", hint="Ask as a user.")
    return subject.user_id


def _unknown() -> Unauthorized:
    return Unauthorized("The token is unknown or has ended.", hint="Log in again, or make a new token.")


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
