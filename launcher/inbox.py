"""What waits for the worker: commands in order, each wish once, and what the processes did."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import Struct

from launcher.prepare import Launch
from launcher.schema import Command

MOST = 100


class Prepared(Struct, frozen=True):
    """A start is prepared, or has failed to be."""

    task: asyncio.Task[Launch | None]


class RetryDue(Struct, frozen=True):
    """A pause after a crash is over. `launch` None: read the settings first."""

    launch: Launch | None


class Busy(Exception):
    """Too many commands wait; the sender may try again."""


class Inbox:
    """A queue; `accepted` is the newest wish taken in. What Supervision tells is bounded by itself."""

    def __init__(self) -> None:
        self.accepted = -1
        self._queue: asyncio.Queue[Any] = asyncio.Queue()

    def submit(self, command: Command) -> None:
        """Queue a command; one whose generation was already taken in is passed over. Raises Busy."""
        if command.generation is not None and command.generation <= self.accepted:
            return
        if self._queue.qsize() >= MOST:
            raise Busy("too many commands wait")
        if command.generation is not None:
            self.accepted = command.generation
        self.tell(command)

    def tell(self, event: Any) -> None:
        """Queue an event, or None to wake the worker."""
        self._queue.put_nowait(event)

    async def next(self) -> Any:
        return await self._queue.get()
