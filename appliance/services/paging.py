"""Pages of lists that are short enough to be read whole, in the shape of those that the database pages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from appliance.schema.common import Meta, Page
from appliance.services import listing
from appliance.store.paging import LARGEST, Want, foreign_cursor, unknown_sort

T = TypeVar("T")
LARGEST_LIMIT = LARGEST
Sorts = Mapping[str, Callable[[T], Any]]


def page_of(
    rows: Sequence[T],
    page: Page | None,
    *,
    id_of: Callable[[T], str],
    text_of: Callable[[T], str],
    sorts: Sorts[T] | None = None,
) -> tuple[Meta, list[T]]:
    """The rows behind the cursor, or of the numbered page, whose text contains the query, in any case.

    The same rules as `store.paging.Listing`: a query with `page` or `sort` is numbered and tells its totals. Raises
    Invalid for a cursor that is not of this list, and for a field it can't be sorted by.
    """
    asked = listing.want(page or Page())
    words = asked.words.lower()
    if asked.number is not None:
        return _numbered([row for row in rows if words in text_of(row).lower()], asked, sorts or {})
    left = rows[_behind(rows, asked.after, id_of) :]
    found = [row for row in left if words in text_of(row).lower()][: asked.limit]
    return Meta(next_cursor=id_of(found[-1]) if len(found) == asked.limit else None), found


def _numbered(rows: list[T], asked: Want, sorts: Sorts[T]) -> tuple[Meta, list[T]]:
    if asked.sort is not None:
        if (key := sorts.get(asked.sort)) is None:
            raise unknown_sort(asked.sort, sorts)
        rows = sorted(rows, key=key, reverse=asked.down)
    elif asked.down:
        rows = rows[::-1]
    start = ((asked.number or 1) - 1) * asked.limit
    pages = -(-len(rows) // asked.limit)
    meta = Meta(page=asked.number, page_size=asked.limit, total=len(rows), page_count=pages)
    return meta, rows[start : start + asked.limit]


def _behind(rows: Sequence[T], cursor: str | None, id_of: Callable[[T], str]) -> int:
    if not cursor:
        return 0
    for at, row in enumerate(rows):
        if id_of(row) == cursor:
            return at + 1
    raise foreign_cursor()
