"""OAuth clients of instances and the logins that are under way."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import bindparam, delete, insert, select, update

from appliance.store.engine import Row, Tx
from appliance.store.tables import oauth_clients, oauth_requests


class ClientRow(Struct, frozen=True):
    """The one client of an instance."""

    id: str
    secret_hash: str
    instance_id: str


class RequestRow(Struct, frozen=True):
    """A login under way: asked for, then (with `code_hash` and `user_id`) granted. Milliseconds."""

    id: str
    client_id: str
    redirect_uri: str
    scope: str
    state: str
    challenge: str
    created_at: int
    expires_at: int
    code_hash: str | None = None
    user_id: str | None = None


_ADD_CLIENT = insert(oauth_clients)
_CLIENT = select(oauth_clients).where(oauth_clients.c.id == bindparam("client"))
_DROP_CLIENTS = delete(oauth_clients).where(oauth_clients.c.instance_id == bindparam("instance"))

_r = oauth_requests.c
_ADD = insert(oauth_requests)
# Anybody who can reach an editor can begin logins: only the newest are kept.
PENDING_LIMIT = 1000
_TRIM = delete(oauth_requests).where(
    _r.client_id == bindparam("client"),
    _r.seq
    <= select(_r.seq)
    .where(_r.client_id == bindparam("client"))
    .order_by(_r.seq.desc())
    .offset(bindparam("most"))
    .limit(1)
    .scalar_subquery(),
)
_GET = select(oauth_requests).where(_r.id == bindparam("request"))
_BY_CODE = select(oauth_requests).where(_r.code_hash == bindparam("code"), _r.client_id == bindparam("client"))
_GRANT = (
    update(oauth_requests)
    .where(_r.id == bindparam("request"), _r.code_hash.is_(None))
    .values(code_hash=bindparam("code"), user_id=bindparam("user"), expires_at=bindparam("until"))
)
_REMOVE = delete(oauth_requests).where(_r.id == bindparam("request"))
_SWEEP = delete(oauth_requests).where(_r.expires_at <= bindparam("now"))


def add_client(tx: Tx, *, client_id: str, secret_hash: str, instance_id: str, at: int) -> None:
    """Make this the only client of the instance; logins under way of older ones end."""
    tx.run(_DROP_CLIENTS, instance=instance_id)
    tx.run(_ADD_CLIENT, id=client_id, secret_hash=secret_hash, instance_id=instance_id, created_at=at)


def client(tx: Tx, client_id: str) -> ClientRow | None:
    """By id."""
    row = tx.one(_CLIENT, client=client_id)
    return ClientRow(id=row["id"], secret_hash=row["secret_hash"], instance_id=row["instance_id"]) if row else None


def add(tx: Tx, new: RequestRow) -> None:
    """Keep a login under way; with too many of a client its oldest ones end."""
    tx.run(_TRIM, client=new.client_id, most=PENDING_LIMIT - 1)
    tx.run(
        _ADD,
        id=new.id,
        client_id=new.client_id,
        redirect_uri=new.redirect_uri,
        scope=new.scope,
        state=new.state,
        challenge=new.challenge,
        created_at=new.created_at,
        expires_at=new.expires_at,
    )


def get(tx: Tx, request_id: str) -> RequestRow | None:
    """By id, whether it has ended or not."""
    return _request(tx.one(_GET, request=request_id))


def by_code(tx: Tx, code_hash: str, client_id: str) -> RequestRow | None:
    """The login that was granted with this code to this client."""
    return _request(tx.one(_BY_CODE, code=code_hash, client=client_id))


def grant(tx: Tx, request_id: str, *, code_hash: str, user_id: str, until: int) -> bool:
    """Give a login its code, once; False when it has one."""
    return tx.run(_GRANT, request=request_id, code=code_hash, user=user_id, until=until) == 1


def remove(tx: Tx, request_id: str) -> None:
    """End a login under way."""
    tx.run(_REMOVE, request=request_id)


def sweep(tx: Tx, now: int) -> None:
    """Drop those whose time is over."""
    tx.run(_SWEEP, now=now)


def _request(row: Row | None) -> RequestRow | None:
    if row is None:
        return None
    return RequestRow(
        id=row["id"],
        client_id=row["client_id"],
        redirect_uri=row["redirect_uri"],
        scope=row["scope"],
        state=row["state"],
        challenge=row["challenge"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        code_hash=row["code_hash"],
        user_id=row["user_id"],
    )
