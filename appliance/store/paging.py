"""Pages of a table: behind a cursor in the order of `seq`, or numbered and sorted."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Select, Table, bindparam, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from appliance.errors import Invalid
from appliance.store.engine import Row, Tx

NUMBERED_SIZE = 25  # of a numbered page whose size nobody named
LARGEST = 1000
LONGEST_WORDS = 256
NEWEST = 2**62  # larger than any seq
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class Want(Struct, frozen=True):
    """Which page. `number` None: behind the cursor `after`; else that page of `limit` rows, sorted by `sort`."""

    after: str | None = None
    limit: int = LARGEST
    words: str = ""
    number: int | None = None
    sort: str | None = None
    down: bool = False


class Found(Struct, frozen=True):
    """A page. `following`: the cursor of the next, when this one is full; `total` only of numbered pages."""

    rows: list[Row]
    following: str | None = None
    total: int | None = None


class Listing:
    """The statements that page through one table, built once. `rows` selects `seq` and `id` among others."""

    def __init__(
        self,
        rows: Select[Any],
        table: Table,
        *,
        text: Sequence[ColumnElement[Any]],
        sorts: Mapping[str, ColumnElement[Any]] | None = None,
        newest_first: bool = False,
    ) -> None:
        seq = table.c.seq
        matching = rows.where(_contains(text)) if text else rows
        self._newest_first = newest_first
        self._searched = bool(text)
        behind = seq < bindparam("after_seq") if newest_first else seq > bindparam("after_seq")
        order = seq.desc() if newest_first else seq
        self._behind = matching.where(behind).order_by(order).limit(bindparam("most"))
        self._seq = select(seq).where(table.c.id == bindparam("after"))
        self._count = select(func.count().label("count")).select_from(matching.order_by(None).subquery())
        by: list[tuple[str | None, ColumnElement[Any]]] = [(None, seq), *(sorts or {}).items()]
        self._numbered = {
            (name, down): matching.order_by(column.desc() if down else column, seq)
            .limit(bindparam("most"))
            .offset(bindparam("skipped"))
            for name, column in by
            for down in (False, True)
        }

    def read(self, tx: Tx, want: Want, **params: Any) -> Found:
        """The page; `params` are those of `rows`. Raises Invalid for a foreign cursor and an unknown sort."""
        most = min(max(want.limit, 1), LARGEST)
        if self._searched:
            params["words"] = want.words[:LONGEST_WORDS].translate(_ASCII_LOWER)
        if want.number is not None or want.sort is not None:
            return self._read_numbered(tx, want, most, params)
        rows = tx.all(self._behind, after_seq=self._start(tx, want.after), most=most, **params)
        return Found(rows, str(rows[-1]["id"]) if len(rows) == most else None)

    def _read_numbered(self, tx: Tx, want: Want, most: int, params: dict[str, Any]) -> Found:
        statement = self._numbered.get((want.sort, want.down))
        if statement is None:
            raise unknown_sort(str(want.sort), (name for name, _ in self._numbered if name))
        skipped = min(((want.number or 1) - 1) * most, NEWEST)
        rows = tx.all(statement, most=most, skipped=skipped, **params)
        counted = tx.one(self._count, **params)
        return Found(rows, total=int(counted["count"]) if counted else 0)

    def _start(self, tx: Tx, after: str | None) -> int:
        if not after:
            return NEWEST if self._newest_first else 0
        row = tx.one(self._seq, after=after)
        if row is None:
            raise foreign_cursor()
        return int(row["seq"])


def unknown_sort(wanted: str, known: Iterable[str]) -> Invalid:
    """The error for a field that a list can't be sorted by."""
    fields = ", ".join(sorted(set(known))) or "none"
    return Invalid(f"This list can't be sorted by '{wanted[:40]}'.", hint=f"Known: {fields}.")


def foreign_cursor() -> Invalid:
    """The error for a cursor that no row of the list has."""
    return Invalid("The cursor is not one of this list.", hint="Take 'next_cursor' of the page before, or none.")


def _contains(columns: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
    """Plain text, so that `%` and `_` mean themselves; a database has no word for that which all databases share."""
    words: ColumnElement[Any] = bindparam("words")
    found = [func.replace(func.lower(column), words, "") != func.lower(column) for column in columns]
    return or_(words == "", *found)
