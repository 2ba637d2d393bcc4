"""`weir instance logs`: the end of a log, and what follows."""

from __future__ import annotations

import asyncio
import sys

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


def show_logs(session: Session, name: str, *, count: int, follow: bool, as_json: bool) -> None:
    """Print the last `count` entries, oldest first; with `follow` go on until interrupted."""
    with session.box() as box:
        found = resolve(box, name)
        path = f"/projects/{found.id}/logs"
        if as_json and not follow:
            print_json(box.get(path, {"limit": str(count)}))
            return
        last = _print_tail(box, path, count, as_json)
    if follow:
        asyncio.run(_follow(session.address, f"{path}/stream", last, as_json))


def _print_tail(box: Box, path: str, count: int, as_json: bool) -> str:
    """Print the end of the log; answers the cursor after which to go on, "" for from now on."""
    tail: list[bytes] = []
    params = {"limit": str(min(count, PAGE))}
    while len(tail) < count:
        page = decode(box.get(path, params), Entries)
        tail = [bytes(raw) for raw in page.log] + tail
        if not page.log or not page.meta.previous:
            break
        params = {"limit": str(min(count - len(tail), PAGE)), "cursor": page.meta.previous}
    tail = tail[-count:] if count else []
    for raw in tail:
        _print_entry(raw, as_json)
    if tail:
        return entry(tail[-1]).ts
    return BEGINNING if count else ""


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
