"""The log of one instance: its end, older pages, and what comes, without gaps over lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import quote

from tui.client import Client
from tui.errors import BoxError, Refused
from tui.feed import Feed
from tui.loglines import BEGINNING, Entries, entry
from tui.wire import OPEN, SseEvent

FIRST_ENTRIES = 500
GAP = "-- what came in between is no longer in the log"
REFUSED_PAUSE_S = 15.0  # a refusal may be lifted: the instance is started again, the role given


class LogFeed:
    """`came(data)` gets each entry of the stream once, `left_out(text)` what the box says it dropped; `lost(why)` why
    nothing comes now, empty when it comes again. The first page goes to `began(entries)`, once."""

    def __init__(
        self,
        client: Client,
        ident: str,
        *,
        began: Callable[[list[str]], None],
        came: Callable[[str], None],
        left_out: Callable[[str], None],
        lost: Callable[[str], None],
    ) -> None:
        self._client = client
        self._path = f"/projects/{quote(ident, safe='')}/logs"
        self._began = began
        self._came = came
        self._left_out = left_out
        self._told_lost = lost
        self._last = ""
        self._older: str | None = None  # cursor of the page before the first entry

    @property
    def has_older(self) -> bool:
        """Whether the box has entries before the oldest that was asked for."""
        return bool(self._older)

    async def run(self) -> None:
        """The end of the log first, then what comes; for ever, whatever is refused meanwhile."""
        feed = Feed(self._client, f"{self._path}/stream", on_lost=self._lost, resume=self._resume)
        while True:
            try:
                if not self._last:
                    await self._begin()
                async for event in feed.events():
                    self._heard(event)
            except BoxError as error:
                self._lost(error)
                lasting = isinstance(error, Refused) and not error.passing
                await asyncio.sleep(REFUSED_PAUSE_S if lasting else 1)

    async def older(self) -> list[str]:
        """The entries before the oldest that was asked for, oldest first. Raises BoxError."""
        return await self._page({"cursor": self._older}) if self._older else []

    async def _begin(self) -> None:
        page = await self._page({})
        # Nothing was there: nothing that comes may be missed.
        self._last = max((entry(data).ts for data in page), default="") or BEGINNING
        self._told_lost("")
        self._began(page)

    async def _page(self, cursor: Mapping[str, str]) -> list[str]:
        page = await self._client.get(self._path, Entries, {"limit": str(FIRST_ENTRIES), **cursor})
        self._older = page.meta.previous if page.log else None
        return [bytes(raw).decode("utf-8", "replace") for raw in page.log]

    def _resume(self, _: str) -> Mapping[str, str]:
        return {"cursor": self._last} if self._last else {}

    def _lost(self, error: BoxError) -> None:
        self._told_lost(f"{error.message.rstrip('.')} {error.hint}".strip())

    def _heard(self, event: SseEvent) -> None:
        if event.kind == OPEN:
            self._told_lost("")
        elif event.kind == "dropped":
            self._left_out(event.data)
        elif event.kind == "reset":
            self._came(GAP)
        elif event.kind == "log" and not (event.id and event.id <= self._last):
            self._last = event.id or self._last
            self._came(event.data)
