"""Public keys for SSH: kept by the person they belong to, or for him by an administrator."""

from __future__ import annotations

from appliance.auth.ssh_key import PublicKey, read_public_key
from appliance.errors import Conflict, Invalid, NotFound
from appliance.events import Event
from appliance.model import Subject
from appliance.schema.ssh import SshKey, SshKeys
from appliance.services.context import Context, Recorder
from appliance.services.subjects import refuse_tokens, user_of
from appliance.store import ssh_keys, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.ssh_keys import KeyRow
from appliance.store.values import iso

NAME_LENGTH = 128
KEPT_PER_USER = 50
CHANGED = "ssh_key.changed"  # the event's key is the person


class SshKeysOfPeople:
    """A key opens the screens as its person, from the next login on; a login made with it ends with it."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit

    async def create(self, subject: Subject, text: str, name: str = "", *, for_user: str | None = None) -> SshKey:
        """Keep a key of the asking user, or of `for_user`.

        Raises Forbidden to a token, which would outlive itself so; Invalid for what is no good key, saying why, for a
        bad name and for too many; Conflict for a key that is kept already; NotFound for an unknown user.
        """
        refuse_tokens(subject)
        user_id = for_user or user_of(subject)
        key = read_public_key(text)
        new = KeyRow(
            id=new_id(),
            user_id=user_id,
            name=_named(name, key),
            type=key.type,
            body=key.body,
            fingerprint=key.fingerprint,
            created_at=self._context.now_ms(),
        )
        await self._context.store.write(lambda tx: self._add(tx, subject, new))
        return _shown(new)

    async def of_user(self, subject: Subject, user_id: str | None = None) -> SshKeys:
        """Keys of the asking user, or of another one; oldest first. Raises NotFound."""
        wanted = user_id or user_of(subject)

        def work(tx: Tx) -> list[KeyRow]:
            _existing(tx, wanted)
            return ssh_keys.of_user(tx, wanted)

        rows = await self._context.store.read(work)
        return SshKeys(count=len(rows), keys=[_shown(row) for row in rows])

    async def remove(self, subject: Subject, key_id: str, *, of_user: str | None = None) -> None:
        """Drop a key of the asking user, or of another one, and end the logins made with it. Raises NotFound."""
        user_id = of_user or user_of(subject)

        def work(tx: Tx) -> None:
            _existing(tx, user_id)
            row = ssh_keys.get(tx, user_id, key_id)
            if row is None:
                raise NotFound("There is no such key of this user.", hint="weir user key list shows them.")
            ssh_keys.remove(tx, row.id)
            tx.after_commit(Event("token.revoked", user_id))
            self._record(tx, "user.ssh-key.deleted", subject, row)

        await self._context.store.write(work)

    def _add(self, tx: Tx, subject: Subject, new: KeyRow) -> None:
        _existing(tx, new.user_id)
        kept = ssh_keys.of_user(tx, new.user_id)
        if len(kept) >= KEPT_PER_USER:
            raise Invalid(f"A user has at most {KEPT_PER_USER} keys.", hint="Remove some that are no longer used.")
        if any(each.fingerprint == new.fingerprint for each in kept):
            raise Conflict("This key is kept already.", code="duplicate_ssh_key", hint="weir user key list shows it.")
        if ssh_keys.by_fingerprint(tx, new.fingerprint) is not None:
            raise Conflict(
                "This key is another user's: a key says who comes.",
                code="duplicate_ssh_key",
                hint="Make a key of your own with: ssh-keygen -t ed25519",
            )
        ssh_keys.add(tx, new)
        self._record(tx, "user.ssh-key.created", subject, new)

    def _record(self, tx: Tx, event: str, subject: Subject, row: KeyRow) -> None:
        tx.after_commit(Event(CHANGED, row.user_id))
        body = {"info": {"id": row.id, "name": row.name, "fingerprint": row.fingerprint}}
        self._audit.record(tx, event, subject=subject, scope_type="user", scope_id=row.user_id, body=body)


def _existing(tx: Tx, user_id: str) -> None:
    if users.get(tx, user_id) is None:
        raise NotFound("There is no such user.")


def _named(name: str, key: PublicKey) -> str:
    """The name given, else what the key's own comment says as far as it is one, else what kind of key it is."""
    given = name.strip()
    if given:
        if len(given) > NAME_LENGTH or not given.isprintable():
            raise Invalid(
                f"The name of a key has at most {NAME_LENGTH} characters, all of them visible.", hint="Give another."
            )
        return given
    comment = key.comment[:NAME_LENGTH].strip()
    return comment if comment and comment.isprintable() else key.type.partition("@")[0]


def _shown(row: KeyRow) -> SshKey:
    return SshKey(
        id=row.id,
        name=row.name,
        type=row.type,
        fingerprint=row.fingerprint,
        created_at=iso(row.created_at),
        used_at=None if row.used_at is None else iso(row.used_at),
    )
