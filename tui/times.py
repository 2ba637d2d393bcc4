"""Times as people type them. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

AGO = re.compile(r"-?(\d{1,6})\s*([smhd])", re.ASCII)
CLOCK = re.compile(r"(?:(\d{4}-\d{2}-\d{2})[ T])?(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment(typed: str, now: datetime) -> datetime | None:
    """`14:05`, `14:05:30` (the last time it was so), `2026-11-23 14:05`, `-15m`; None when it is not understood."""
    typed = typed.strip()
    if ago := AGO.fullmatch(typed):
        return now - timedelta(seconds=int(ago[1]) * UNITS[ago[2]])
    clock = CLOCK.fullmatch(typed)
    if clock is None:
        return None
    day, hour, minute, second = clock.groups()
    try:
        found = now.replace(hour=int(hour), minute=int(minute), second=int(second or 0), microsecond=0)
        if day:
            date = datetime.fromisoformat(day)
            return found.replace(year=date.year, month=date.month, day=date.day)
    except ValueError:
        return None
    return found if found <= now else found - timedelta(days=1)
