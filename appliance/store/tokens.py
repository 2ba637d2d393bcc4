"""Bearer tokens and boot tickets: only hashes are kept."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from sqlalchemy import and_, bindparam, delete, insert, or_, select, update

from appliance.store.engine import Row, Tx
from appliance.store.tables import instances, tokens, users
from appliance.store.values import from_json, to_json


class Kind(StrEnum):
    """What a token is good for."""

    PERSONAL = "personal"
    LAUNCHER = "launcher"
    NODE_RED = "node_red"
    PUBLISHED = "published"  # of a launcher that shares one token with its Node-RED
    EDITOR = "editor"
    EDITOR_REFRESH = "editor_refresh"
    TICKET = "ticket"
    STATS = "stats"  # the statistics of the box, for a program that collects them
    RESET = "reset"  # sets a new password, once
    SSH = "ssh"  # somebody's login over SSH, on the box's own socket; `name` is the id of the key
    HTTP = "http"  # opens the HTTP endpoints of an instance's flows, and nothing else


OF_A_RUN = (Kind.LAUNCHER, Kind.NODE_RED, Kind.PUBLISHED, Kind.EDITOR, Kind.EDITOR_REFRESH)
OF_EDITORS = (Kind.EDITOR, Kind.EDITOR_REFRESH)


class TokenRow(Struct, frozen=True):
    """A token without its secret. `scopes` and `team_ids`: None means not narrowed. Milliseconds."""

    id: str
    kind: Kind
    hash: str
    created_at: int
    name: str = ""
    user_id: str | None = None
    instance_id: str | None = None
    generation: int | None = None
    scopes: list[str] | None = None
    read_only: bool = False
    admin_opt_in: bool = False
    team_ids: list[str] | None = None
    expires_at: int | None = None
    spent_at: int | None = None
    spent_by: str | None = None  # hash of what only the launcher that traded the ticket knows


class Run(Struct, frozen=True):
    """An instance whose launcher holds a token, and the generation that it was given for."""

    instance_id: str
    team_id: str
    generation: int


class Holder(Struct, frozen=True):
    """Whose token it is: what a request's rights hang on."""

    token: TokenRow
    username: str | None
    admin: bool
    suspended: bool
    team_id: str | None  # of the instance


_t = tokens.c
_INSERT = insert(tokens)
_BY_HASH = select(tokens).where(_t.hash == bindparam("token"))
_HOLDER = (
    select(tokens, users.c.username, users.c.admin, users.c.suspended, instances.c.team_id)
    .outerjoin(users, users.c.id == _t.user_id)
    .outerjoin(instances, instances.c.id == _t.instance_id)
    .where(_t.hash == bindparam("token"))
)
_RUNS = (
    select(_t.instance_id, instances.c.team_id, _t.generation)
    .join(instances, instances.c.id == _t.instance_id)
    .where(_t.kind.in_((Kind.LAUNCHER, Kind.PUBLISHED)))
)
_SPEND = (
    update(tokens)
    .where(_t.id == bindparam("token_id"), _t.spent_at.is_(None))
    .values(spent_at=bindparam("now"), spent_by=bindparam("trader"))
)
_CLOSE_TICKETS = (
    update(tokens).where(_t.instance_id == bindparam("instance"), _t.kind == Kind.TICKET).values(spent_by=None)
)
_DELETE = delete(tokens).where(_t.id == bindparam("token_id"))
_END_RUN = delete(tokens).where(_t.instance_id == bindparam("instance"), _t.kind.in_(OF_A_RUN))
_END_EDITORS = delete(tokens).where(_t.user_id == bindparam("user"), _t.kind.in_(OF_EDITORS))
_END_GRANT = delete(tokens).where(_t.name == bindparam("grant_id"), _t.kind.in_(OF_EDITORS))
_DROP_TICKETS = delete(tokens).where(
    _t.instance_id == bindparam("instance"), _t.kind == Kind.TICKET, _t.spent_at.is_(None)
)
# Spent tickets are kept for a while, so that a second use is recognised as one.
_SWEEP = delete(tokens).where(
    or_(
        and_(_t.kind == Kind.TICKET, _t.created_at < bindparam("long_ago")),
        and_(_t.kind.in_((*OF_EDITORS, Kind.SSH)), _t.expires_at <= bindparam("now")),
    )
)


def add(tx: Tx, new: TokenRow) -> None:
    """Keep a new token."""
    tx.run(
        _INSERT,
        id=new.id,
        kind=new.kind,
        hash=new.hash,
        name=new.name,
        user_id=new.user_id,
        instance_id=new.instance_id,
        generation=new.generation,
        scopes=None if new.scopes is None else to_json(new.scopes),
        read_only=int(new.read_only),
        admin_opt_in=int(new.admin_opt_in),
        team_ids=None if new.team_ids is None else to_json(new.team_ids),
        expires_at=new.expires_at,
        created_at=new.created_at,
    )


def get(tx: Tx, token_hash: str) -> TokenRow | None:
    """By hash, whether it has ended or not."""
    row = tx.one(_BY_HASH, token=token_hash)
    return token_of(row) if row else None


def holder(tx: Tx, token_hash: str) -> Holder | None:
    """By hash, with what is known of its user and its instance."""
    row = tx.one(_HOLDER, token=token_hash)
    if row is None:
        return None
    return Holder(
        token=token_of(row),
        username=row["username"],
        admin=bool(row["admin"]),
        suspended=bool(row["suspended"]),
        team_id=row["team_id"],
    )


def runs(tx: Tx) -> list[Run]:
    """The instances that were started at some time and not deleted since."""
    return [Run(row["instance_id"], row["team_id"], row["generation"] or 0) for row in tx.all(_RUNS)]


def spend(tx: Tx, token_id: str, now: int, by: str | None = None) -> bool:
    """Use up a ticket; False when it had been used before. `by`: what its user can prove a second time, hashed."""
    return tx.run(_SPEND, token_id=token_id, now=now, trader=by) == 1


def remove(tx: Tx, token_id: str) -> None:
    """End one token."""
    tx.run(_DELETE, token_id=token_id)


def end_run(tx: Tx, instance_id: str) -> None:
    """End all that a launcher, its Node-RED and the editor's users hold of an instance."""
    tx.run(_END_RUN, instance=instance_id)


def end_editors(tx: Tx, user_id: str) -> None:
    """End what a user's editors hold, on every instance."""
    tx.run(_END_EDITORS, user=user_id)


def end_grant(tx: Tx, grant_id: str) -> None:
    """End the access and the refresh token of one editor login."""
    tx.run(_END_GRANT, grant_id=grant_id)


def drop_tickets(tx: Tx, instance_id: str) -> None:
    """Tickets that nobody has used yet are worth nothing any more, and those that were used are used for good."""
    tx.run(_DROP_TICKETS, instance=instance_id)
    tx.run(_CLOSE_TICKETS, instance=instance_id)


def sweep(tx: Tx, *, now: int, long_ago: int) -> None:
    """Drop ended tokens of editors and of logins over SSH, and tickets from before `long_ago`."""
    tx.run(_SWEEP, now=now, long_ago=long_ago)


def token_of(row: Row) -> TokenRow:
    """A row of the table as a struct."""
    return TokenRow(
        id=row["id"],
        kind=Kind(row["kind"]),
        hash=row["hash"],
        created_at=row["created_at"],
        name=row["name"],
        user_id=row["user_id"],
        instance_id=row["instance_id"],
        generation=row["generation"],
        scopes=None if row["scopes"] is None else from_json(row["scopes"]),
        read_only=bool(row["read_only"]),
        admin_opt_in=bool(row["admin_opt_in"]),
        team_ids=None if row["team_ids"] is None else from_json(row["team_ids"]),
        expires_at=row["expires_at"],
        spent_at=row["spent_at"],
        spent_by=row["spent_by"],
    )
