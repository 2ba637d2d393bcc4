"""Pages of lists that are short enough to be read whole. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from appliance.schema.common import Meta, Page

T = TypeVar("T")
LARGEST_LIMIT = 1000


def page_of(
    rows: Sequence[T], page: Page | None, *, id_of: Callable[[T], str], text_of: Callable[[T], str]
) -> tuple[Meta, list[T]]:
    """The rows behind the cursor whose text contains the query, in any case.

    A cursor that is not in the list (its row was removed meanwhile) begins anew.
    """
    page = page or Page()
    part = (page.query or "").lower()
    ids = [id_of(row) for row in rows]
    start = ids.index(page.cursor) + 1 if page.cursor in ids else 0
    limit = min(max(page.limit or LARGEST_LIMIT, 1), LARGEST_LIMIT)
    found = [row for row in rows[start:] if part in text_of(row).lower()][:limit]
    return Meta(next_cursor=id_of(found[-1]) if len(found) == limit else None), found
