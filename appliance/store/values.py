"""How values look in the database: times are milliseconds, JSON is text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch of an aware time, cut, not rounded."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(stored: int) -> datetime:
    """The aware UTC time of stored milliseconds."""
    return _EPOCH + timedelta(milliseconds=stored)


def iso(stored: int) -> str:
    """Stored milliseconds as the platform API writes times: `2026-01-31T12:00:00.000Z`."""
    return from_ms(stored).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(value: object) -> str:
    """JSON text for a TEXT column."""
    return msgspec.json.encode(value).decode()


def from_json(text: str) -> Any:
    """What `to_json` was given, as plain lists, dicts and scalars."""
    return msgspec.json.decode(text)
