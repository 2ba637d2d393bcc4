"""From the paging query of a request to a page of a table, and back to `meta`. Pure."""

from __future__ import annotations

from appliance.schema.common import Meta, Page
from appliance.store.paging import LARGEST, NUMBERED_SIZE, Found, Want


def want(page: Page, *, limit: int = LARGEST) -> Want:
    """What the query asks for; `limit` is the size of a page that nobody sized."""
    numbered = page.page is not None or page.sort is not None
    size = page.limit if page.limit is not None else (NUMBERED_SIZE if page.page is not None else limit)
    return Want(
        after=page.cursor,
        limit=min(max(size, 1), limit),
        words=page.query or "",
        number=(page.page or 1) if numbered else None,
        sort=page.sort,
        down=(page.dir or page.order) == "desc",
    )


def meta(found: Found, asked: Want) -> Meta:
    """`meta` of the answer."""
    if found.total is None:
        return Meta(next_cursor=found.following)
    pages = -(-found.total // asked.limit)
    return Meta(page=asked.number, page_size=asked.limit, total=found.total, page_count=pages)
