"""What all resources share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta as MsgMeta
from msgspec import Struct, field


class Wire(Struct, rename="camel", kw_only=True):
    """Base of every wire struct: snake_case here, camelCase on the wire."""


class Body(Wire, forbid_unknown_fields=False):
    """Base of request bodies. Unknown fields are ignored, as the reference's clients expect."""


class Links(Wire):
    self: str


class Meta(Wire, omit_defaults=True):
    """Paging (platform model §1). `next_cursor` only when the page came back full."""

    next_cursor: str | None = field(default=None, name="next_cursor")
    previous_cursor: str | None = field(default=None, name="previous_cursor")
    page: int | None = None
    page_size: int | None = None
    total: int | None = None
    page_count: int | None = None


class Status(Wire):
    """Success without payload."""

    status: str = "okay"


class ErrorBody(Wire, omit_defaults=True):
    """`{code, error}` of the reference, with the members of RFC 9457 beside them."""

    code: str
    error: str
    hint: str | None = None
    title: str | None = None
    status: int | None = None
    detail: str | None = None
    instance: str | None = None  # the request id, also in the log
    errors: list[Any] | None = None


class Page(Struct, kw_only=True):
    """Paging query of most lists: behind a cursor; some also by `page`, `sort` and `dir` (or `order`)."""

    cursor: str | None = None
    limit: int | None = None
    query: str | None = None
    page: Annotated[int, MsgMeta(ge=1, le=1_000_000)] | None = None
    sort: str | None = None
    dir: Literal["asc", "desc"] | None = None
    order: Literal["asc", "desc"] | None = None


class AuditQuery(Struct, kw_only=True):
    """Paging of audit logs: newest first, `cursor` means older than."""

    cursor: str | None = None
    limit: Annotated[int, MsgMeta(ge=1, le=1000)] | None = None
    event: list[str] = []
    username: str | None = None


class LogQuery(Struct, kw_only=True):
    """Paging of instance logs: the cursor is a time stamp of an entry; a leading `-` means backwards from it."""

    cursor: str | None = None
    limit: Annotated[int, MsgMeta(ge=1, le=500)] = 30


class LogStreamQuery(Struct, kw_only=True):
    """`cursor`: the stamp of the last entry the client has; without it the stream begins with what comes now."""

    cursor: str | None = None


def moment(text: str | None) -> datetime | None:
    """The aware time of an ISO text that another program wrote; None for what is none, has no zone, or lies beyond
    what UTC can hold (it would fail again wherever it is shown)."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo is not None and 1 < at.year < 9998 else None
