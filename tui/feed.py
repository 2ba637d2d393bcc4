"""A stream that heals itself: it connects again with growing pauses and resumes after the last event seen."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

from tui.client import Client
from tui.errors import BoxError, Refused
from tui.wire import OPEN, SseEvent

FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 15.0
WELL_AFTER_S = 5.0  # a connection that held so long was a good one, though nothing happened on the box


class Feed:
    """Follows one event stream of the box for as long as it is iterated.

    `on_lost(error)` is called each time the stream breaks. A refusal that asking again cannot mend (not found, not
    allowed) is raised. `resume` returns the query to connect with, given the id of the last event ("" at first);
    without it the id travels as Last-Event-ID.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        *,
        on_lost: Callable[[BoxError], None] = lambda _: None,
        resume: Callable[[str], Mapping[str, str]] | None = None,
    ) -> None:
        self._client = client
        self._path = path
        self._on_lost = on_lost
        self._resume = resume
        self._last_id = ""
        self._pause_s = FIRST_PAUSE_S
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """Somebody asks: connect now instead of after the pause, if there is one."""
        self._pause_s = FIRST_PAUSE_S
        self._hurry.set()

    async def events(self) -> AsyncGenerator[SseEvent, None]:
        """All events, for ever; each (re)connection announces itself by an event of kind `open`."""
        while True:
            began = time.monotonic()
            try:
                async for event in self._once():
                    if event.kind != OPEN:  # a server that takes the call and hangs up is not well yet
                        self._pause_s = FIRST_PAUSE_S
                    self._last_id = event.id or self._last_id
                    yield event
            except Refused as error:
                if not error.passing:
                    raise
                self._on_lost(error)
            except BoxError as error:
                self._on_lost(error)
            if time.monotonic() - began > WELL_AFTER_S:
                self._pause_s = FIRST_PAUSE_S
            await self._rest()

    def _once(self) -> AsyncIterator[SseEvent]:
        if self._resume is not None:
            return self._client.stream(self._path, self._resume(self._last_id))
        return self._client.stream(self._path, last_id=self._last_id)

    async def _rest(self) -> None:
        # Full jitter keeps many terminals from coming back in step after a restart of the box.
        pause_s = random.uniform(self._pause_s / 2, self._pause_s)  # noqa: S311 - no secret
        self._pause_s = min(LAST_PAUSE_S, self._pause_s * 2)
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._hurry.wait()
