"""What of a database is good for nothing once it lies on another box, or on the same one later."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, select

from appliance.store.engine import Tx
from appliance.store.tables import instances, oauth_requests, sessions, tokens
from appliance.store.tokens import OF_A_RUN, Kind

_i = instances.c
# Launchers are placed anew and trade new tickets; people log in again: what they ended since must not come back.
_OF_A_MOMENT = (
    delete(sessions),
    delete(oauth_requests),
    delete(tokens).where(tokens.c.kind.in_((*OF_A_RUN, Kind.TICKET, Kind.RESET, Kind.SSH))),
)
_PERSONAL = select(func.count().label("found")).where(tokens.c.kind == bindparam("of"))
_NAMES = select(_i.name, _i.flow_updated_at).order_by(_i.seq)


def begin(tx: Tx) -> int:
    """End every login, and what launchers and editors hold. The answer: how many tokens that people keep are in force
    again, also those that were deleted since."""
    for statement in _OF_A_MOMENT:
        tx.run(statement)
    row = tx.one(_PERSONAL, of=Kind.PERSONAL.value)
    return int(row["found"]) if row else 0


def worth_keeping(tx: Tx) -> list[str]:
    """Names of the instances somebody would miss: all, but for a single one that never had flows, as boxes are born."""
    rows = tx.all(_NAMES)
    if len(rows) == 1 and rows[0]["flow_updated_at"] is None:
        return []
    return [str(row["name"]) for row in rows]
