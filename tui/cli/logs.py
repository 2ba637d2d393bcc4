"""`weir instance logs`: the end of a log, and what follows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tui.address import Address
from tui.cli.box import Box
from tui.cli.instances import resolve
from tui.cli.session import Session, print_json, say
from tui.client import Client
from tui.errors import BoxError
from tui.feed import Feed
from tui.loglines import BEGINNING, Entries, entry, lines
from tui.text import json_visible
from tui.wire import SseEvent, decode

PAGE = 500
FORM = "%Y-%m-%d %H:%M:%S"
COUNT = 50
_AGO_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment(text: str) -> datetime:
    """A time of the command line: 90s, 15m, 2h, 3d ago, or 2026-11-23T15:04[:05], local unless it names its zone.

    Raises ValueError.
    """
    number, unit = text[:-1], text[-1:]
    if number.isdecimal() and unit in _AGO_S:
        return datetime.now(UTC) - timedelta(seconds=min(int(number[:12]) * _AGO_S[unit], 10**10))
    return datetime.fromisoformat(text).astimezone(UTC)


def show_logs(
    session: Session,
    name: str,
    *,
    count: int | None,
    follow: bool,
    as_json: bool,
    since: datetime | None = None,
    until: datetime | None = None,
) -> None:
    """Print the last `count` entries, oldest first; with `follow` go on until interrupted.

    `since` and `until` bound them in time; with `since` and without `count` all from then on are printed.
    """
    with session.box() as box:
        found = resolve(box, name)
        path = f"/projects/{found.id}/logs"
        if since is not None and count is None:
            last = _print_from(box, path, since, until, as_json)
        elif as_json and not follow and since is None and until is None:
            print_json(box.get(path, {"limit": str(COUNT if count is None else count)}))
            return
        else:
            last = _print_tail(box, path, COUNT if count is None else count, as_json, since, until)
    if follow:
        asyncio.run(_follow(session.address, f"{path}/stream", last, as_json))


def _print_from(box: Box, path: str, since: datetime, until: datetime | None, as_json: bool) -> str:
    """Print all from a time on, page by page; answers the cursor after which to go on."""
    last = f"{max(_stamp(since) - 1, 0):017d}"
    end = _stamp(until) if until is not None else None
    for raw in _forward(box, path, last):
        ts = entry(raw).ts
        if end is not None and ts > f"{end:017d}":
            break
        _print_entry(raw, as_json)
        last = ts
    return last


def _forward(box: Box, path: str, cursor: str) -> Iterator[bytes]:
    while True:
        page = decode(box.get(path, {"limit": str(PAGE), "cursor": cursor}), Entries)
        yield from (bytes(raw) for raw in page.log)
        if not page.log or not page.meta.next or page.meta.next <= cursor:
            return
        cursor = page.meta.next


def _print_tail(
    box: Box, path: str, count: int, as_json: bool, since: datetime | None = None, until: datetime | None = None
) -> str:
    """Print the end of the log; answers the cursor after which to go on, "" for from now on."""
    tail: list[bytes] = []
    params = {"limit": str(min(count, PAGE))}
    if until is not None:
        params["cursor"] = f"-{_stamp(until) + 1:017d}"
    while len(tail) < count:
        page = decode(box.get(path, params), Entries)
        tail = [bytes(raw) for raw in page.log] + tail
        if not page.log or not page.meta.previous:
            break
        params = {"limit": str(min(count - len(tail), PAGE)), "cursor": page.meta.previous}
    tail = tail[-count:] if count else []
    if since is not None:
        tail = [raw for raw in tail if entry(raw).ts >= f"{_stamp(since):017d}"]
    for raw in tail:
        _print_entry(raw, as_json)
    if tail:
        return entry(tail[-1]).ts
    return BEGINNING if count and since is None and until is None else ""


def _stamp(at: datetime) -> int:
    """The cursor of a time: its first entry would have it."""
    return int(at.timestamp() * 1000) * 10_000


def _print_entry(raw: bytes, as_json: bool) -> None:
    if as_json:
        print(json_visible(raw.decode("utf-8", "replace")))
        return
    for line in lines(entry(raw), form=FORM):
        print(line)


async def _follow(address: Address, path: str, last: str, as_json: bool) -> None:
    client, printer = Client(address), Printer(last, as_json)
    feed = Feed(
        client, path, on_lost=printer.lost, resume=lambda seen: {"cursor": seen or last} if seen or last else {}
    )
    sys.stdout.flush()
    try:
        async for event in feed.events():
            printer.heard(event)
    finally:
        await client.close()


class Printer:
    """Prints each entry once, also when a resumed stream repeats some."""

    def __init__(self, last: str, as_json: bool) -> None:
        self._last = last
        self._as_json = as_json
        self._lost = False

    def heard(self, event: SseEvent) -> None:
        if self._lost:
            self._lost = False
            say("connected again")
        if event.kind == "dropped":
            say(f"the log was faster than the line: {event.data} entries are not shown here")
        elif event.kind == "reset":
            say("what came in between is no longer in the log")
        elif event.kind == "log":
            self._print(event)

    def _print(self, event: SseEvent) -> None:
        ts = event.id or entry(event.data).ts
        if ts and ts <= self._last:
            return
        self._last = ts or self._last
        _print_entry(event.data.encode(), self._as_json)
        sys.stdout.flush()

    def lost(self, error: BoxError) -> None:
        if not self._lost:
            self._lost = True
            say(f"{error.message}; trying again")
