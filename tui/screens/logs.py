"""The log of one instance, live."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual.widget import Widget

from appliance.schema.instances import Instance
from tui import keys
from tui.errors import BoxError
from tui.feed import Feed
from tui.loglines import BEGINNING, Entries, entry, lines
from tui.render import Piece
from tui.screens.frame import Frame
from tui.signs import Kind, kind, signed
from tui.text import visible
from tui.widgets.log_view import LogView
from tui.widgets.ring import Ring
from tui.wire import OPEN, SseEvent

if TYPE_CHECKING:
    from tui.app import WeirApp

FIRST_LINES = 500
BURST = 4000  # entries that may wait for the next paint; more than that nobody reads
BUSY = 400  # entries in one paint that make the next one wait a second


class LogsScreen(Frame):
    """Follows the log; keys scroll, pause, fold and filter."""

    word = "logs"
    scopes: ClassVar[tuple[str, ...]] = (keys.LOGS, keys.TABLE, keys.ANYWHERE)

    def __init__(self, owner: WeirApp, instance: Instance) -> None:
        super().__init__(owner)
        self.instance = instance
        self._path = f"/projects/{instance.id}/logs"
        self._last = ""
        self._waiting: deque[str] = deque(maxlen=BURST)
        self._came = 0
        self._lost = ""
        self._wake = asyncio.Event()

    @property
    def current(self) -> Instance | None:
        return self.known.instances.get(self.instance.id, self.instance)

    def body(self) -> Widget:
        self.view = LogView(self.looks, Ring(mark=self.profile.more))
        return self.view

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._follow(), exit_on_error=False, name="log feed")
        self.run_worker(self._paint_batches(), exit_on_error=False, name="log batches")

    def head(self) -> list[Piece]:
        each = self.known.instances.get(self.instance.id, self.instance)
        state = each.meta.state
        return [("log of ", "plain"), (self._who(), "title"), ("  ", "plain"), (signed(state), kind(state))]

    def subject(self) -> list[Piece]:
        view = self.view
        if self._lost:
            return [(f"{self._lost}; trying again", Kind.BAD)]
        held: list[Piece] = [] if view.follow else [(f"held, {view.new:_} new  ".replace("_", " "), Kind.CHANGING)]
        folded: list[Piece] = [("folded  ", "dim")] if view.wrap else []
        return [*held, *folded, (f"{len(view.ring)} lines", "dim")]

    def filtered(self, pattern: str) -> None:
        self.view.filter(pattern)

    def on_log_view_changed(self) -> None:
        self.say_again()

    def _who(self) -> str:
        return visible(self.instance.name, ascii_only=self.profile.ascii)

    # -- feed ---------------------------------------------------------------------------------------
    async def _follow(self) -> None:
        """The end of the log first, then what comes."""
        try:
            page = await self.owner.client.get(self._path, Entries, {"limit": str(FIRST_LINES)})
            self._take([bytes(raw).decode("utf-8", "replace") for raw in page.log])
            self._last = self._last or BEGINNING  # nothing was there: nothing that comes may be missed
        except BoxError as error:
            self.say(f"the log cannot be read: {error.message}", Kind.BAD)
        feed = Feed(self.owner.client, f"{self._path}/stream", on_lost=self._on_lost, resume=self._resume)
        try:
            async for event in feed.events():
                self._heard(event)
        except BoxError as error:
            self.say(f"{error.message} {error.hint}".strip(), Kind.BAD)

    def _resume(self, _: str) -> Mapping[str, str]:
        return {"cursor": self._last} if self._last else {}

    def _on_lost(self, error: BoxError) -> None:
        self._lost = error.message
        self.say_again()

    def _heard(self, event: SseEvent) -> None:
        if event.kind == OPEN and self._lost:
            self._lost = ""
            self.say_again()
        elif event.kind == "dropped":
            self.view.append([f"-- the box left out entries, the line was too slow: {visible(event.data)}"])
        elif event.kind == "log" and not (event.id and event.id <= self._last):
            self._last = event.id or self._last
            self._came += 1
            self._waiting.append(event.data)
            self._wake.set()

    def _take(self, entries: list[str]) -> None:
        shown: list[str] = []
        for data in entries:
            each = entry(data)
            self._last = max(self._last, each.ts)
            shown += lines(each, ascii_only=self.profile.ascii)
        self.view.append(shown)

    async def _paint_batches(self) -> None:
        """Show what came, many lines at a time; when too much came, its end and how much is missing."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, came = list(self._waiting), self._came
            self._waiting.clear()
            self._came = 0
            if came > len(batch):
                self.view.append([f"-- {came - len(batch)} entries skipped: they came faster than they can be shown"])
            self._take(batch)
            await asyncio.sleep(1.0 if len(batch) > BUSY else self.profile.repaint_s)

    # -- keys ---------------------------------------------------------------------------------------
    def do_follow(self) -> None:
        self.view.to_end()

    def do_pause(self) -> None:
        if self.view.follow:
            self.view.hold()
        else:
            self.view.to_end()

    def do_wrap(self) -> None:
        self.view.fold()

    def do_left(self) -> None:
        self.view.side(-1)

    def do_right(self) -> None:
        self.view.side(1)

    def do_up(self) -> None:
        self.view.scroll_lines(-1)

    def do_down(self) -> None:
        self.view.scroll_lines(1)

    def do_page_up(self) -> None:
        self.view.scroll_lines(-self.view.page())

    def do_page_down(self) -> None:
        self.view.scroll_lines(self.view.page())

    def do_top(self) -> None:
        self.view.to_start()

    def do_bottom(self) -> None:
        self.view.to_end()
