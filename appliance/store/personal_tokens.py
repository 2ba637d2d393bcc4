"""Tokens that people keep: personal access tokens, the one for statistics, and those that set a new password."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, update

from appliance.store.engine import Tx
from appliance.store.tables import tokens
from appliance.store.tokens import Kind, TokenRow, token_of
from appliance.store.values import to_json

_t = tokens.c
_OF_USER = select(tokens).where(_t.user_id == bindparam("user"), _t.kind == bindparam("of_kind")).order_by(_t.seq)
_ONE = select(tokens).where(
    _t.id == bindparam("token_id"), _t.user_id == bindparam("user"), _t.kind == Kind.PERSONAL.value
)
_CHANGE = update(tokens).where(_t.id == bindparam("token_id"))
_DELETE = delete(tokens).where(_t.id == bindparam("token_id"))
_OF_KIND = select(tokens).where(_t.kind == bindparam("of_kind"))
_END_OF_USER = delete(tokens).where(_t.user_id == bindparam("user"), _t.kind == bindparam("of_kind"))
_END_OF_KIND = delete(tokens).where(_t.kind == bindparam("of_kind"))
_SWEEP = delete(tokens).where(_t.kind == bindparam("of_kind"), _t.expires_at <= bindparam("now"))


def of_user(tx: Tx, user_id: str) -> list[TokenRow]:
    """Somebody's personal access tokens, oldest first; those that have ended too."""
    return [token_of(row) for row in tx.all(_OF_USER, user=user_id, of_kind=Kind.PERSONAL.value)]


def get(tx: Tx, user_id: str, token_id: str) -> TokenRow | None:
    """One of somebody's personal access tokens."""
    row = tx.one(_ONE, user=user_id, token_id=token_id)
    return token_of(row) if row else None


def change(tx: Tx, row: TokenRow) -> None:
    """Write what may change of a personal access token."""
    tx.run(
        _CHANGE,
        token_id=row.id,
        read_only=int(row.read_only),
        admin_opt_in=int(row.admin_opt_in),
        team_ids=None if row.team_ids is None else to_json(row.team_ids),
        expires_at=row.expires_at,
    )


def remove(tx: Tx, token_id: str) -> None:
    """End a token."""
    tx.run(_DELETE, token_id=token_id)


def of_kind(tx: Tx, kind: Kind) -> list[TokenRow]:
    """All tokens of a kind."""
    return [token_of(row) for row in tx.all(_OF_KIND, of_kind=kind.value)]


def end(tx: Tx, kind: Kind, user_id: str | None = None) -> None:
    """End all tokens of a kind, or somebody's."""
    if user_id is None:
        tx.run(_END_OF_KIND, of_kind=kind.value)
    else:
        tx.run(_END_OF_USER, of_kind=kind.value, user=user_id)


def sweep(tx: Tx, kind: Kind, now: int) -> None:
    """Drop those of a kind that have ended."""
    tx.run(_SWEEP, of_kind=kind.value, now=now)
