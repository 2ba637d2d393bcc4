"""Logins over SSH: from the key that sshd saw to a session of the person it belongs to.

sshd asks which key may come (`web.key_door`); whoever holds the private one is then started as the account `weir` with
a ticket on his command line, which everybody on the machine can read there. So a ticket is good once, for a minute, and
only below the sshd process that asked for it: another login of the same account, or another account, can't use it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path

from msgspec import Struct

from appliance.auth.secrets import new_token, token_hash
from appliance.errors import NotFound, Unauthorized
from appliance.events import Event
from appliance.model import Subject
from appliance.schema.ssh import SshSession
from appliance.services.context import Context, Recorder
from appliance.services.people import shown_user
from appliance.services.ssh_keys import CHANGED
from appliance.services.subjects import user_of
from appliance.services.tokens import SSH_PREFIX
from appliance.store import ssh_keys, tokens, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.tokens import Kind, TokenRow
from appliance.store.values import iso
from appliance.system.ancestry import Parent
from appliance.system.files import write_atomic

log = logging.getLogger(__name__)

TICKET_LIFE_S = 60.0
TICKETS_KEPT = 1024  # of all keys: more than sshd lets come in within a minute (MaxStartups)
TICKETS_PER_KEY = 32  # public keys are no secret: offering somebody's a hundred times pushes out nobody else's tickets
LOGINS_PER_USER = 50
ADDRESS_LENGTH = 64


class Ticket(Struct, frozen=True):
    """Whose login it begins, under which process of sshd, and until when (monotonic seconds)."""

    user_id: str
    key_id: str
    under: Parent
    until: float


class SshLogins:
    """`known` answers from memory, so that strangers' keys cost no look into the database.

    `cache` is the file with the fingerprints of administrators' keys: with it the door stays open a crack, to
    `weir doctor` and nothing else, when this appliance does not run. It holds neither names nor keys.
    """

    def __init__(
        self, context: Context, audit: Recorder, cache: Path, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._context = context
        self._audit = audit
        self._cache = cache
        self._now = now
        self._known: frozenset[str] = frozenset()
        self._tickets: OrderedDict[str, Ticket] = OrderedDict()
        self._stale = asyncio.Event()
        self._stale.set()
        context.bus.listen(self._hear)

    async def run(self) -> None:
        """Keep what is known in memory, and the file for when nobody is here, in step with the database."""
        while True:
            await self._stale.wait()
            await self.refresh()

    async def refresh(self) -> None:
        """Look at all keys again. A file that can't be written is logged: it matters only when we are away."""
        self._stale.clear()
        keys = await self._context.store.read(ssh_keys.every)
        self._known = frozenset(each.key.fingerprint for each in keys if not each.suspended)
        admins = sorted(each.key.fingerprint for each in keys if each.admin and not each.suspended)
        try:
            await asyncio.to_thread(_keep, self._cache, admins)
        except OSError as error:
            log.warning("%s can't be written, so nobody comes in over SSH while Weir is down: %s", self._cache, error)

    async def ticket(self, fingerprint: str, type_: str, under: Parent) -> str | None:
        """A ticket for whoever logs in with this key under that process of sshd; None for a key that may not."""
        if self._stale.is_set():
            await self.refresh()
        if fingerprint not in self._known:
            return None
        owned = await self._context.store.read(lambda tx: ssh_keys.by_fingerprint(tx, fingerprint))
        if owned is None or owned.suspended or owned.key.type != type_:
            return None
        ticket = new_token("wst")
        self._sweep(owned.key.id)
        self._tickets[token_hash(ticket)] = Ticket(owned.key.user_id, owned.key.id, under, self._now() + TICKET_LIFE_S)
        return ticket

    async def begin(self, ticket: str, ancestors: Collection[Parent], address: str = "") -> SshSession:
        """A session for the person of the ticket, which is worth nothing afterwards.

        `ancestors` are the processes that whoever trades it descends from. Raises Unauthorized, the same for a ticket
        that is unknown, used, too old, or another login's; such a one stays good for the login it was made for.
        """
        key = token_hash(ticket)
        found = self._tickets.get(key)
        if found is not None and found.under not in ancestors:
            log.warning("a ticket of the SSH login under process %d was tried from elsewhere", found.under.pid)
            raise _worthless()
        self._tickets.pop(key, None)
        if found is None or found.until <= self._now():
            raise _worthless()
        return await self._context.store.write(lambda tx: self._begin(tx, found, address[:ADDRESS_LENGTH]))

    async def end(self, subject: Subject) -> None:
        """Log out: the session that asks ends. Raises NotFound for another kind of credential."""
        user_id = user_of(subject)

        def work(tx: Tx) -> None:
            if subject.token_id not in ssh_keys.logins(tx, user_id):
                raise NotFound("There is no such login over SSH.", hint="Only a login over SSH can end itself so.")
            tokens.remove(tx, str(subject.token_id))
            tx.after_commit(Event("token.revoked", str(subject.token_id)))
            self._audit.record(tx, "account.logout", subject=subject, scope_type="user", scope_id=user_id)

        await self._context.store.write(work)

    def _begin(self, tx: Tx, ticket: Ticket, address: str) -> SshSession:
        now = self._context.now_ms()
        key = ssh_keys.get(tx, ticket.user_id, ticket.key_id)
        user = users.get(tx, ticket.user_id)
        if key is None or user is None or user.suspended:
            raise _worthless()
        for old in ssh_keys.logins(tx, user.id)[: -LOGINS_PER_USER + 1]:
            tokens.remove(tx, old)
            tx.after_commit(Event("token.revoked", old))
        secret = new_token(SSH_PREFIX.rstrip("_"))
        ends = now + self._context.config.login.session_s * 1000
        row = TokenRow(new_id(), Kind.SSH, token_hash(secret), now, key.id, user.id, expires_at=ends)
        tokens.add(tx, row)
        ssh_keys.used(tx, key.id, now)
        person = Subject(kind="user", user_id=user.id, username=user.username, admin=user.admin)
        shown = address if address.isprintable() else "?"
        info = {"ssh": key.name, "fingerprint": key.fingerprint, "address": shown}
        self._audit.record(
            tx, "account.login", subject=person, scope_type="user", scope_id=user.id, body={"info": info}
        )
        return SshSession(token=secret, expires_at=iso(ends), user=shown_user(user, self._context.base_url()))

    def _sweep(self, key_id: str) -> None:
        """Drop what has ended, and of this key the oldest where it has too many."""
        now = self._now()
        own = [name for name, each in self._tickets.items() if each.key_id == key_id]
        gone = [name for name, each in self._tickets.items() if each.until <= now]
        for name in {*gone, *own[: len(own) - TICKETS_PER_KEY + 1]}:
            del self._tickets[name]
        while len(self._tickets) >= TICKETS_KEPT:
            self._tickets.popitem(last=False)

    def _hear(self, event: Event) -> None:
        # Whoever is kept out, made an administrator or deleted is told as a revocation of what he holds.
        if event.kind in (CHANGED, "token.revoked"):
            self._stale.set()


def _keep(file: Path, fingerprints: list[str]) -> None:
    text = "".join(f"{each}\n" for each in fingerprints).encode()
    before = file.read_bytes() if file.exists() else b""
    if text != before:
        file.parent.mkdir(mode=0o755, exist_ok=True)
        write_atomic(file, text, 0o644)


def _worthless() -> Unauthorized:
    return Unauthorized("This login over SSH is not known, or took too long.", hint="Log in again: ssh weir@BOX")
