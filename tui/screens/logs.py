"""The log of one instance, live."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual.widget import Widget

from appliance.schema.instances import Instance
from tui import keys
from tui.errors import BoxError, Refused
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
REFUSED_PAUSE_S = 15.0  # a refusal may be lifted: the instance is started again, the role given
ENTRY_LINES = 100  # an entry may hold thousands, and thousands of such entries would fill the memory
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
        self._older: str | None = None  # cursor of the page before the first line
        self._fetching = False
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
        """The end of the log first, then what comes; for ever, whatever is refused meanwhile."""
        feed = Feed(self.owner.client, f"{self._path}/stream", on_lost=self._on_lost, resume=self._resume)
        while True:
            try:
                if not self._last:
                    await self._begin()
                async for event in feed.events():
                    self._heard(event)
            except BoxError as error:
                self._on_lost(error)
                lasting = isinstance(error, Refused) and not error.passing
                await asyncio.sleep(REFUSED_PAUSE_S if lasting else 1)

    async def _begin(self) -> None:
        page = await self._page({})
        self._take(page)
        self._last = self._last or BEGINNING  # nothing was there: nothing that comes may be missed
        self._lost = ""
        self.say_again()

    async def _page(self, cursor: Mapping[str, str]) -> list[str]:
        page = await self.owner.client.get(self._path, Entries, {"limit": str(FIRST_LINES), **cursor})
        self._older = page.meta.previous if page.log else None
        return [bytes(raw).decode("utf-8", "replace") for raw in page.log]

    def _want_older(self) -> None:
        """At the first line there may be more before it."""
        if self._older and not self._fetching and self.view.at_start and self.view.ring.whole:
            self._fetching = True
            self.run_worker(self._fetch_older(self._older), exit_on_error=False, name="older log")

    async def _fetch_older(self, cursor: str) -> None:
        try:
            self.view.prepend(self._shown(await self._page({"cursor": cursor})))
        except BoxError as error:
            self.say(f"the older log cannot be read: {error.message}", Kind.BAD)
        finally:
            self._fetching = False

    def _resume(self, _: str) -> Mapping[str, str]:
        return {"cursor": self._last} if self._last else {}

    def _on_lost(self, error: BoxError) -> None:
        self._lost = f"{error.message.rstrip('.')} {error.hint}".strip()
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
        for data in entries:
            self._last = max(self._last, entry(data).ts)
        self.view.append(self._shown(entries))

    def _shown(self, entries: list[str]) -> list[str]:
        flat = self.profile.ascii
        return [line for data in entries for line in lines(entry(data), ascii_only=flat, most=ENTRY_LINES)]

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
        self._want_older()

    def do_down(self) -> None:
        self.view.scroll_lines(1)

    def do_page_up(self) -> None:
        self.view.scroll_lines(-self.view.page())
        self._want_older()

    def do_page_down(self) -> None:
        self.view.scroll_lines(self.view.page())

    def do_top(self) -> None:
        self.view.to_start()
        self._want_older()

    def do_bottom(self) -> None:
        self.view.to_end()
