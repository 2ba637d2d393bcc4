"""Tokens for the HTTP endpoints of flows."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, update

from appliance.store.engine import Tx
from appliance.store.tables import tokens
from appliance.store.tokens import Kind, TokenRow, token_of

_t = tokens.c
_OF = (_t.instance_id == bindparam("instance"), _t.kind == Kind.HTTP.value)
_LIST = select(tokens).where(*_OF).order_by(_t.seq)
_ONE = select(tokens).where(*_OF, _t.id == bindparam("token_id"))
_CHANGE = (
    update(tokens).where(_t.id == bindparam("token_id")).values(name=bindparam("called"), expires_at=bindparam("until"))
)
_DELETE = delete(tokens).where(_t.id == bindparam("token_id"))


def of_instance(tx: Tx, instance_id: str) -> list[TokenRow]:
    """Those of an instance, oldest first; those that have ended too."""
    return [token_of(row) for row in tx.all(_LIST, instance=instance_id)]


def get(tx: Tx, instance_id: str, token_id: str) -> TokenRow | None:
    """One of an instance's."""
    row = tx.one(_ONE, instance=instance_id, token_id=token_id)
    return token_of(row) if row else None


def change(tx: Tx, row: TokenRow) -> None:
    """Write its name and when it ends."""
    tx.run(_CHANGE, token_id=row.id, called=row.name, until=row.expires_at)


def remove(tx: Tx, token_id: str) -> None:
    """End it."""
    tx.run(_DELETE, token_id=token_id)
