"""Log cursors: the platform's are the stamp of an entry and leave that entry out, the launcher's include it
(instance protocol §2.3). A stamp is 17 digits: 13 of milliseconds, 4 of a counter; `-` in front means backwards.
Pure."""

from __future__ import annotations

from typing import Any

from appliance.errors import Invalid
from appliance.schema.instances import LogPage, LogPageMeta

DIGITS = 17


def inclusive(cursor: str | None) -> str | None:
    """The launcher's cursor for one of ours. Raises Invalid for what is no cursor."""
    if not cursor:
        return None
    backwards, stamp = cursor.startswith("-"), cursor.removeprefix("-")
    if len(stamp) != DIGITS or not (stamp.isascii() and stamp.isdigit()):
        raise Invalid(
            f"'{cursor[:40]}' is not a cursor of this log",
            hint="Take one from 'meta' of a page: 17 digits, with '-' in front to go back.",
        )
    return f"-{max(int(stamp) - 1, 0):017d}" if backwards else f"{int(stamp) + 1:017d}"


def page_of(meta: dict[str, Any], entries: list[Any], asked: str | None) -> LogPage:
    """A page from the launcher's answer. `previous_cursor` is absent at the beginning of the log; an empty page keeps
    the cursor that was asked with, so that a client that polls goes on with it."""
    if not entries:
        return LogPage(meta=LogPageMeta(next_cursor=asked if asked and not asked.startswith("-") else None), log=[])
    first, last = str(entries[0]["ts"]), str(entries[-1]["ts"])
    begin = str(meta.get("first_entry") or first)
    return LogPage(
        meta=LogPageMeta(
            next_cursor=last,
            previous_cursor=f"-{first}" if meta.get("previous_cursor") and first > begin else None,
            first_entry=begin,
            last_entry=str(meta.get("last_entry") or last),
        ),
        log=entries,
    )
