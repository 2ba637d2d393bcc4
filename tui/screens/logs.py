"""The log of an instance, or of several together, live."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.widget import Widget

from appliance.schema.instances import Instance
from tui import keytable
from tui.errors import BoxError
from tui.logfeed import LogFeed
from tui.loglines import WRONG, entry, lines, time_ms
from tui.render import Piece
from tui.savefile import new_file
from tui.screens.page import Page
from tui.screens.prompt import Question
from tui.signs import Kind
from tui.text import fit, visible
from tui.times import moment
from tui.widgets.log_view import LogView
from tui.widgets.ring import ALL, Ring

if TYPE_CHECKING:
    from tui.app import WeirApp

BURST = 4000  # entries that may wait for the next paint; more than that nobody reads
ENTRY_LINES = 100  # an entry may hold thousands, and thousands of such entries would fill the memory
BUSY = 400  # entries in one paint that make the next one wait a second
PREFIX_CELLS = 12
TOGETHER_S = 3.0  # how long the first pages of several logs wait for each other
JUMP_PAGES = 40
LEVELS = (("all levels", ALL), ("warnings and errors", WRONG | {"warn"}), ("errors", WRONG))


class LogsScreen(Page):
    """Follows the log; keys scroll, pause, fold, filter, jump and save."""

    word = "logs"
    scopes: ClassVar[tuple[str, ...]] = (
        keytable.LOGS,
        keytable.INSTANCE,
        keytable.TABLE,
        keytable.ANYWHERE,
    )

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self._level = 0
        self._fetching = False
        self._waiting: deque[tuple[int, str]] = deque(maxlen=BURST)
        self._came = 0
        self._lost: dict[int, str] = {}
        self._first: dict[int, list[str]] = {}
        self._begun = asyncio.Event()
        self._wake = asyncio.Event()
        self._feeds = [self._feed(at, each) for at, each in enumerate(about)]

    def _feed(self, at: int, each: Instance) -> LogFeed:
        return LogFeed(
            self.owner.client,
            each.id,
            began=partial(self._on_began, at),
            came=partial(self._on_came, at),
            left_out=self._on_left_out,
            lost=partial(self._on_lost, at),
        )

    def body(self) -> Widget:
        self.view = LogView(self.looks, Ring(mark=self.profile.more))
        if len(self.about) > 1:
            self.view.prefix_cells = PREFIX_CELLS
            self.view.prefixes = {self._prefix(at).strip(): f"prefix{at % 6}" for at in range(len(self.about))}
        return self.view

    def on_mount(self) -> None:
        super().on_mount()
        for feed in self._feeds:
            self.run_worker(feed.run(), exit_on_error=False, name="log feed")
        self.run_worker(self._paint_batches(), exit_on_error=False, name="log batches")

    def head(self) -> list[Piece]:
        if len(self.about) == 1:
            return [("log of ", "plain"), *super().head()[1:]]
        names = ", ".join(visible(each.name, ascii_only=self.profile.ascii) for each in self.about)
        return [(f"logs of {len(self.about)}: ", "plain"), (names, "title")]

    def subject(self) -> list[Piece]:
        view = self.view
        lost = next((why for why in self._lost.values() if why), "")
        if lost:
            return [(f"{lost}; trying again", Kind.BAD)]
        held: list[Piece] = [] if view.follow else [(f"held, {view.new:_} new  ".replace("_", " "), Kind.CHANGING)]
        folded: list[Piece] = [("folded  ", "dim")] if view.wrap else []
        level: list[Piece] = [(f"{LEVELS[self._level][0]}  ", "key")] if self._level else []
        return [*held, *level, *folded, (f"{len(view.ring)} lines", "dim")]

    def filtered(self, pattern: str) -> None:
        self.view.filter(pattern, LEVELS[self._level][1])

    def on_log_view_changed(self) -> None:
        self.say_again()

    # -- feed ---------------------------------------------------------------------------------------
    def _on_began(self, at: int, entries: list[str]) -> None:
        self._first[at] = entries
        if len(self._first) == len(self.about):
            self._begun.set()
        self._wake.set()

    def _on_came(self, at: int, data: str) -> None:
        self._came += 1
        self._waiting.append((at, data))
        self._wake.set()

    def _on_left_out(self, text: str) -> None:
        self.view.append([f"-- the box left out entries, the line was too slow: {visible(text)}"])

    def _on_lost(self, at: int, why: str) -> None:
        if why != self._lost.get(at, ""):
            self._lost[at] = why
            self.say_again()

    async def _paint_batches(self) -> None:
        """Show what came, many lines at a time; when too much came, its end and how much is missing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOGETHER_S):
                await self._begun.wait()
        while True:
            await self._wake.wait()
            self._wake.clear()
            for at in list(self._first):
                batch = [(at, data) for data in self._first.pop(at)]
                self._waiting.extendleft(reversed(batch[-BURST:]))
                self._came += len(batch[-BURST:])
            batch, came = list(self._waiting), self._came
            self._waiting.clear()
            self._came = 0
            if came > len(batch):
                self.view.append([f"-- {came - len(batch)} entries skipped: they came faster than they can be shown"])
            self.view.append(*self._shown(batch))
            self.say_again()
            await asyncio.sleep(1.0 if len(batch) > BUSY else self.profile.repaint_s)

    def _shown(self, entries: list[tuple[int, str]]) -> tuple[list[str], list[int]]:
        """Lines and their times; entries of several instances in the order of their times."""
        flat = self.profile.ascii
        known = [(at, entry(data)) for at, data in entries]
        several = len(self.about) > 1
        if several:
            known.sort(key=lambda each: each[1].ts)
        shown: list[str] = []
        times: list[int] = []
        for at, each in known:
            found = lines(each, ascii_only=flat, most=ENTRY_LINES, prefix=self._prefix(at) if several else "")
            shown += found
            times += [time_ms(each.ts)] * len(found)
        return shown, times

    def _prefix(self, at: int) -> str:
        name = visible(self.about[at].name, ascii_only=self.profile.ascii)
        return fit(name, PREFIX_CELLS - 1, mark=self.profile.more) + " "

    def _want_older(self) -> None:
        """At the first line there may be more before it."""
        if not self._fetching and self.view.at_start and self._may_fetch():
            self.run_worker(self._fetch_older(), exit_on_error=False, name="older log")

    def _may_fetch(self) -> bool:
        return self.view.ring.whole and any(feed.has_older for feed in self._feeds)

    async def _fetch_older(self) -> bool:
        """Put a page of each log in front; False when it was refused."""
        self._fetching = True
        try:
            found = [(at, data) for at, feed in enumerate(self._feeds) for data in await feed.older()]
            self.view.prepend(*self._shown(found))
        except BoxError as error:
            self.say(f"the older log cannot be read: {error.message}", Kind.BAD)
            return False
        finally:
            self._fetching = False
        return True

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

    def do_level(self) -> None:
        self._level = (self._level + 1) % len(LEVELS)
        self.filtered(self.pattern)

    def do_clear(self) -> None:
        self.view.clear()

    def do_jump(self) -> None:
        self.ask(Question("go to (14:05, 14:05:30, -15m): ", self._jump))

    def _jump(self, typed: str) -> None:
        found = moment(typed, datetime.now(UTC).astimezone())
        if found is None:
            self.say(f"'{typed}' is no time: 14:05, 14:05:30, 2026-11-23 14:05, -15m", Kind.BAD)
        elif not self._fetching:
            self.run_worker(self._go_to(int(found.timestamp() * 1000)), exit_on_error=False, name="jump")

    async def _go_to(self, target_ms: int) -> None:
        """Fetch back to that time, and hold there."""
        for _ in range(JUMP_PAGES):
            if self.view.ring.oldest <= target_ms or not self._may_fetch() or not await self._fetch_older():
                break
        if not self.view.to_time(target_ms):
            self.say("nothing was logged since then")
        elif self.view.ring.oldest > target_ms:
            self.say("the log begins here, later than that")

    def do_save(self) -> None:
        if not self.profile.files:
            self.say("files are not written here; use: ssh BOX weir instance logs NAME > FILE", Kind.BAD)
            return
        name = "".join(char if char.isalnum() or char in "-_" else "_" for char in self.about[0].name)
        self.ask(Question("write to: ", self._save), str(Path.home() / f"{name}.log"))

    def _save(self, typed: str) -> None:
        ring = self.view.ring
        text = "".join(f"{ring.line(number)}\n" for number in ring.shown(0, len(ring)))
        path = Path(os.path.expanduser(typed))  # noqa: PTH111 - Path's raises where there is no home
        self.attempt(new_file(path, text), done=f"{len(ring)} lines are in {path}")

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
