"""Bearer tokens: who a token stands for, and how launchers come by theirs."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

import msgspec
from msgspec import Struct

from appliance.auth.secrets import SEALED_FOR_CREDENTIALS, new_token, token_hash
from appliance.errors import Conflict, NotFound, Unauthorized
from appliance.events import Event
from appliance.model import RunGrant, Subject
from appliance.schema.instances import BootGrant
from appliance.services import broker
from appliance.services.context import Context, Recorder
from appliance.store import instances, oauth, teams, tokens
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.tokens import Holder, Kind, TokenRow

# The launcher that a ticket was made for may have to wait for an appliance that is away; the next placement ends it.
TICKET_LIFE = timedelta(days=7)
# A spent ticket is remembered this long, so that a second use is seen as what it is.
TICKET_MEMORY = timedelta(days=8)
CACHE_LIMIT = 10_000
SHORTEST_PROOF = 32
# What the editor of an instance may ask the platform on behalf of the person in front of it.
EDITOR_SCOPES = frozenset({"user:read", "team:user"})
# The same for somebody who uses the pages of its flows.
USE = "project:flows:http"
HTTP_SCOPES = frozenset({"user:read", "team:user", USE})
SSH_PREFIX = "ffssh_"  # such a token counts on the box's own socket only
_PREFIXES = ("ffpat_", "fft_", "ffu_", "ffhttp_", SSH_PREFIX)
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

    async def mint_ticket(self, instance_id: str, generation: int) -> str:
        """A ticket for one boot of the launcher placed at `generation`, good for a week or until the next one.

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

    async def mint_run(self, instance_id: str, generation: int) -> RunGrant:
        """What a launcher needs that can't trade a ticket: one token for it and its Node-RED, good until the next one
        is minted. What earlier launchers of the instance held ends now. Raises NotFound."""
        now = self._context.now_ms()

        def work(tx: Tx) -> RunGrant:
            tokens.drop_tickets(tx, instance_id)
            return self._begin_run(tx, Kind.PUBLISHED, instance_id, generation, now)

        return await self._context.store.write(work)

    async def boot(self, ticket: str, instance: str, pid: int, proof: str = "") -> BootGrant:
        """Trade a ticket for all that a launcher needs; what earlier launchers of the instance held ends now.

        `proof` is a random word that the launcher shows to nobody else: with the same one it may trade the same ticket
        again, for new tokens, because the first answer may have been lost. Raises Unauthorized for an unknown,
        foreign or old ticket, Conflict `ticket_spent` for one that somebody else used before.
        """
        shown = token_hash(proof) if len(proof) >= SHORTEST_PROOF else None
        try:
            return await self._context.store.write(lambda tx: self._trade(tx, token_hash(ticket), instance, shown))
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

    def _trade(self, tx: Tx, ticket_hash: str, instance_id: str, shown: str | None) -> BootGrant:
        now = self._context.now_ms()
        ticket = tokens.get(tx, ticket_hash)
        if ticket is None or ticket.kind is not Kind.TICKET or ticket.instance_id != instance_id:
            raise _unknown()
        again = shown is not None and ticket.spent_by == shown
        if ticket.spent_at is not None and not again:
            raise Conflict(
                "This boot ticket was used before.",
                code="ticket_spent",
                hint="Restart the instance; if nobody restarted it, somebody else read the ticket.",
            )
        if ticket.expires_at is None or ticket.expires_at <= now:
            raise _unknown()
        tokens.spend(tx, ticket.id, now, shown)
        return self._grant(tx, instance_id, ticket.generation or 0, now)

    def _begin_run(self, tx: Tx, kind: Kind, instance_id: str, generation: int, now: int) -> RunGrant:
        """A new token of this kind and a new client; what earlier launchers of the instance held ends."""
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
        login = broker.access(self._context, team_id, instance_id, generation)
        return RunGrant(
            token=self._add_run_token(tx, kind, instance_id, generation, now),
            client_id=client_id,
            client_secret=client_secret,
            credential_secret=self._context.box.unseal(SEALED_FOR_CREDENTIALS, instance_id, sealed),
            team_id=team_id,
            broker_url=login.url if login else "",
            broker_username=login.username if login else "",
            broker_password=login.password if login else "",
        )

    def _grant(self, tx: Tx, instance_id: str, generation: int, now: int) -> BootGrant:
        run = self._begin_run(tx, Kind.LAUNCHER, instance_id, generation, now)
        return BootGrant(
            token=run.token,
            node_red_token=self._add_run_token(tx, Kind.NODE_RED, instance_id, generation, now),
            client_id=run.client_id,
            client_secret=run.client_secret,
            credential_secret=run.credential_secret,
            api_secret=self.api_secret(instance_id, generation),
            spool_key=self._context.box.derive("launcher-spool", instance_id),
            team_id=run.team_id,
            broker_url=run.broker_url,
            broker_username=run.broker_username,
            broker_password=run.broker_password,
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
    if token.kind in (Kind.LAUNCHER, Kind.NODE_RED, Kind.PUBLISHED, Kind.HTTP):
        return Subject(kind=token.kind.value, instance_id=token.instance_id, team_id=holder.team_id, token_id=token.id)
    if holder.suspended or holder.username is None:
        return None
    person = Subject(kind="user", user_id=token.user_id, username=holder.username, token_id=token.id)
    if token.kind is Kind.PERSONAL:
        return _narrowed(person, holder)
    if token.kind is Kind.EDITOR:
        return _in_editor(person, holder)
    if token.kind is Kind.SSH:  # the person himself, with all his rights
        return msgspec.structs.replace(person, admin=holder.admin)
    if token.kind is Kind.STATS:
        return msgspec.structs.replace(person, admin=holder.admin, scopes=frozenset(token.scopes or ()))
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


def _unknown() -> Unauthorized:
    return Unauthorized("The token is unknown or has ended.", hint="Log in again, or make a new token.")


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
