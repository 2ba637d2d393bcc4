"""The audit log: written once, read newest first."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import Select, bindparam, delete, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from appliance.store.engine import Row, Tx
from appliance.store.tables import audit, memberships, users
from appliance.store.values import from_json, to_json

_a = audit.c


class NewEntry(Struct, frozen=True):
    """One thing that happened. `trigger_type`: user, system, device or unknown."""

    at: int
    event: str
    scope_type: str
    scope_id: str | None
    team_id: str | None
    instance_id: str | None
    user_id: str | None
    username: str | None
    trigger_type: str
    source: str | None
    body: dict[str, Any]


class EntryRow(NewEntry, frozen=True):
    """A stored entry; `seq` is its id and its cursor."""

    seq: int


class Filter(Struct, frozen=True):
    """Which entries: those of a team, of an instance, or of any other scope; then by event and by name."""

    scope: str
    id: str | None
    events: tuple[str, ...] = ()
    username: str | None = None


_INSERT = insert(audit)
_REPORT = select(_a.seq).where(_a.instance_id == bindparam("instance"), _a.request_id == bindparam("request"))
_REPORTED = (_a.instance_id == bindparam("instance"), _a.source == bindparam("reporter"))
_TRIM = delete(audit).where(
    *_REPORTED,
    _a.seq
    <= select(_a.seq).where(*_REPORTED).order_by(_a.seq.desc()).offset(bindparam("most")).limit(1).scalar_subquery(),
)
_OLDER = (
    select(_a.seq, _a.body)
    .where(*_REPORTED, _a.event == bindparam("named"))
    .order_by(_a.seq.desc())
    .offset(bindparam("most"))
    .limit(1)
)
_SET_BODY = update(audit).where(_a.seq == bindparam("entry")).values(body=bindparam("document"))
_MEMBER = (
    select(users.c.username)
    .join_from(users, memberships, memberships.c.user_id == users.c.id)
    .where(users.c.id == bindparam("user"), memberships.c.team_id == bindparam("team"))
)


def _scoped(scope: str, *, name: bool) -> tuple[ColumnElement[bool], ...]:
    if scope in ("team", "project"):
        column: ColumnElement[Any] = _a.team_id if scope == "team" else _a.instance_id
        # One person's entries are few beside a team's: with a name the index of names is the one to walk.
        return ((func.coalesce(column, "") if name else column) == bindparam("of"),)
    if scope == "platform":
        return (_a.scope_type == bindparam("of"), _a.scope_id.is_(None))
    if scope == "box":
        # Whatever belongs to no team: what happened to the platform and to people.
        return (func.coalesce(_a.team_id, "") == "",) if name else (_a.team_id.is_(None),)
    return (_a.scope_type == scope, _a.scope_id == bindparam("of"))


def _statement(scope: str, *, event: bool, name: bool) -> Select[Any]:
    statement = select(audit).where(*_scoped(scope, name=name), _a.seq < bindparam("before"))
    if event:
        statement = statement.where(_a.event == bindparam("named"))
    if name:
        statement = statement.where(_a.username == bindparam("by"))
    return statement.order_by(_a.seq.desc()).limit(bindparam("most"))


# An event of which a scope has no more entries than these is rare: they are looked at one by one for a name. The index
# of names would lead through all that this person ever did.
FEW = 2000


def _common(scope: str) -> Select[Any]:
    """A row when the scope has more than FEW entries of an event. Walks an index, reads no entry."""
    return select(_a.seq).where(*_scoped(scope, name=False), _a.event == bindparam("named")).offset(FEW).limit(1)


def _of_rare(scope: str) -> Select[Any]:
    """Entries of a rare event and a name."""
    statement = select(audit).where(*_scoped(scope, name=False), _a.seq < bindparam("before"))
    # coalesce: so that the index of names is none for this statement.
    statement = statement.where(_a.event == bindparam("named"), func.coalesce(_a.username, "") == bindparam("by"))
    return statement.order_by(_a.seq.desc()).limit(bindparam("most"))


SCOPES = ("team", "project", "platform", "application", "user", "box")
# Every statement there is, so that each is compiled once.
STATEMENTS = {
    (scope, event, name): _statement(scope, event=event, name=name)
    for scope in SCOPES
    for event in (False, True)
    for name in (False, True)
}
_INDEXED = ("team", "project")  # by event
_RARE = {scope: (_common(scope), _of_rare(scope)) for scope in _INDEXED}
NEWEST = 2**62  # larger than any seq


def reported(tx: Tx, instance_id: str, request_id: str) -> bool:
    """Whether the instance's report with this id is here already."""
    return tx.one(_REPORT, instance=instance_id, request=request_id) is not None


def write(tx: Tx, new: NewEntry, request_id: str | None = None) -> None:
    """Append an entry; `request_id` is that of the report it was made from."""
    tx.run(
        _INSERT,
        created_at=new.at,
        event=new.event,
        scope_type=new.scope_type,
        scope_id=new.scope_id,
        team_id=new.team_id,
        instance_id=new.instance_id,
        user_id=new.user_id,
        username=new.username,
        trigger_type=new.trigger_type,
        source=new.source,
        body=to_json(new.body),
        request_id=request_id,
    )


def trim(tx: Tx, instance_id: str, source: str, most: int) -> int:
    """Keep only the newest `most` entries that this reporter of an instance made; how many went."""
    return tx.run(_TRIM, instance=instance_id, reporter=source, most=most)


def forget(tx: Tx, instance_id: str, event: str, source: str, key: str, most: int) -> None:
    """Take `key` out of the entry of an instance that has just become older than the newest `most` that `source` made
    of `event`."""
    row = tx.one(_OLDER, instance=instance_id, reporter=source, named=event, most=most)
    if row is not None and key in (body := from_json(row["body"])):
        del body[key]
        tx.run(_SET_BODY, entry=row["seq"], document=to_json(body))


def page(tx: Tx, wanted: Filter, *, before: int | None, limit: int) -> list[EntryRow]:
    """The newest entries older than `before`, newest first.

    Several events are read one after another and merged: each reads at most `limit` rows in the order of the index,
    where an `IN` would sort all there are.
    """
    key = (wanted.scope, bool(wanted.events), wanted.username is not None)
    params: dict[str, Any] = {}
    if wanted.scope != "box":
        params["of"] = wanted.id if wanted.scope != "platform" else "platform"
    params |= {"before": before if before is not None else NEWEST, "most": limit}
    if wanted.username is not None:
        params["by"] = wanted.username
    rows: list[Row] = []
    for event in wanted.events or (None,):
        statement = STATEMENTS[key]
        if event and wanted.username is not None and wanted.scope in _INDEXED:
            common, of_rare = _RARE[wanted.scope]
            statement = statement if tx.one(common, of=wanted.id, named=event) else of_rare
        rows += tx.all(statement, **params, **({"named": event} if event else {}))
    rows.sort(key=lambda row: -int(row["seq"]))
    return [_entry(row) for row in rows[:limit]]


def member_name(tx: Tx, user_id: str, team_id: str) -> str | None:
    """The user's name if he belongs to the team."""
    row = tx.one(_MEMBER, user=user_id, team=team_id)
    return row["username"] if row else None


def _entry(row: Row) -> EntryRow:
    return EntryRow(
        seq=row["seq"],
        at=row["created_at"],
        event=row["event"],
        scope_type=row["scope_type"],
        scope_id=row["scope_id"],
        team_id=row["team_id"],
        instance_id=row["instance_id"],
        user_id=row["user_id"],
        username=row["username"],
        trigger_type=row["trigger_type"],
        source=row["source"],
        body=from_json(row["body"]),
    )
