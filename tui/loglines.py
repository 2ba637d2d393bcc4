"""Log entries of the wire as lines of text. Pure: one entry in, one or more harmless lines out."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Struct, field

from tui.text import fit, visible

LEVEL_CELLS = 7
LEVEL_AT = len("00:00:00 ")
HEAD_CELLS = LEVEL_AT + LEVEL_CELLS  # time and level, with a blank each
BEGINNING = "0" * 17  # the cursor before every entry
WRONG = frozenset({"error", "fatal"})


class Entry(Struct, frozen=True):
    """What a launcher logs. `ts` is a stamp of 17 digits: milliseconds since 1970 and a counter of four."""

    ts: str = ""
    level: str = ""
    msg: Any = ""
    type: str = ""
    name: str = ""
    id: str = ""


class Entries(Struct, frozen=True):
    """A page of the log; cursors are absent where the log ends."""

    log: list[msgspec.Raw]
    meta: Cursors


class Cursors(Struct, frozen=True):
    next: str | None = field(default=None, name="next_cursor")
    previous: str | None = field(default=None, name="previous_cursor")


def entry(data: bytes | str) -> Entry:
    """One entry; what is not understood becomes an entry with the text as its message."""
    try:
        return msgspec.json.decode(data, type=Entry, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Entry(msg=data if isinstance(data, str) else data.decode("utf-8", "replace"))


def time_ms(ts: str) -> int:
    """Milliseconds since 1970 of a stamp; 0 when it is none."""
    return int(ts[:13]) if ts[:13].isascii() and ts[:13].isdigit() else 0


def stamp(ts: str, zone: tzinfo | None, form: str) -> str:
    """The stamp as local time; blanks of the same length when it is none."""
    try:
        moment = datetime.fromtimestamp(int(ts[:13]) / 1000, UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return " " * len(datetime(2000, 1, 1, tzinfo=UTC).strftime(form))
    return moment.strftime(form)


def lines(
    each: Entry,
    *,
    zone: tzinfo | None = None,
    form: str = "%H:%M:%S",
    ascii_only: bool = False,
    most: int | None = None,
    prefix: str = "",
) -> list[str]:
    """Time, level and message; further lines of a message (a stack trace) are indented under it, up to `most`.

    `prefix` stands before the message of each line.
    """
    said = each.msg if isinstance(each.msg, str) else msgspec.json.encode(each.msg).decode()
    first, *rest = said.strip("\r\n").split("\n")
    if most is not None and len(rest) > most:
        rest[most:] = [f"({len(rest) - most} more lines)"]
    who = ":".join(part for part in (each.type, each.name or each.id) if part)
    level = fit(visible(each.level or "out", ascii_only=True), LEVEL_CELLS - 1, mark="~")
    head = f"{stamp(each.ts, zone, form)} {level} "
    source = f"[{who}] " if who else ""
    shown = [head + prefix + visible(source + first.rstrip("\r"), ascii_only=ascii_only)]
    shown += [
        " " * len(head) + prefix + visible(line.rstrip("\r"), ascii_only=ascii_only) for line in rest if line.strip()
    ]
    return shown
