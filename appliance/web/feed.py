"""The last events about instances and problems, numbered, for streams that want to go on where they were cut."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Sequence

from appliance.events import Bus, Event

KEEP = 1000


class Feed:
    """One ring for all streams: each holds only its position. An id is good until it falls out of the ring
    or the appliance is started anew; then the stream must begin with everything."""

    def __init__(self, bus: Bus, *, keep: int = KEEP) -> None:
        self._epoch = secrets.token_hex(4)
        self._ring: deque[Event] = deque(maxlen=keep)
        self._next = 1  # number of the next event
        self._waiting: set[asyncio.Event] = set()
        self.revocations = 0  # how often rights were taken or changed
        self.closed = False
        bus.listen(self._seen)

    @property
    def position(self) -> int:
        """The number after the newest event."""
        return self._next

    def id_of(self, number: int) -> str:
        return f"{self._epoch}-{number}"

    def position_after(self, last_id: str | None) -> int | None:
        """Where a stream that has seen `last_id` goes on; None when it must begin anew."""
        epoch, _, number = (last_id or "").partition("-")
        if epoch != self._epoch or not (number.isascii() and number.isdigit()) or len(number) > 18:
            return None
        position = int(number) + 1
        return position if self._oldest <= position <= self._next else None

    def after(self, position: int) -> Sequence[tuple[int, Event]] | None:
        """Events from `position` on; None when some of them are already gone."""
        if position < self._oldest:
            return None
        skip = position - self._oldest
        return [(self._oldest + i, event) for i, event in enumerate(self._ring) if i >= skip]

    async def wait(self, position: int, timeout_s: float) -> bool:
        """True as soon as there is something at `position`, False after `timeout_s` or when a token died."""
        if self._next > position or self.closed:
            return True
        return await self._woken(timeout_s) and (self._next > position or self.closed)

    async def revoked(self, seen: int, timeout_s: float) -> None:
        """Returns once `revocations` is not `seen` any more, when all streams are to end, or after `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.revocations == seen and not self.closed:
                    await self._woken(timeout_s)

    async def _woken(self, timeout_s: float) -> bool:
        wake = asyncio.Event()
        self._waiting.add(wake)
        try:
            async with asyncio.timeout(timeout_s):
                await wake.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(wake)
        return True

    def close(self) -> None:
        """Let all streams end."""
        self.closed = True
        self._wake()

    @property
    def _oldest(self) -> int:
        return self._next - len(self._ring)

    def _seen(self, event: Event) -> None:
        if event.kind.startswith(("instance.", "problem.")):
            self._ring.append(event)
            self._next += 1
            self._wake()
        elif event.kind == "token.revoked":
            self.revocations += 1
            self._wake()  # streams then ask again whom they serve

    def _wake(self) -> None:
        for wake in self._waiting:
            wake.set()
