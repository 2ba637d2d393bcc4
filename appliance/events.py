"""In-process events, published after commit. Subscribers have bounded queues; a slow one loses
the oldest events and is told how many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct


class Event(Struct, frozen=True):
    """`kind` is a dotted word (`instance.state`, `instance.changed`, `token.revoked`, `audit`);
    `key` names what it is about (an id); `team_id` says who may see it; `body` is the wire struct or None."""

    kind: str
    key: str
    team_id: str | None = None
    body: Any = None


class Subscription:
    """Events matching a filter, newest kept when the reader is slow. Iterate it; `dropped` counts losses."""

    def __init__(self, wants: Callable[[Event], bool], limit: int) -> None:
        self.wants = wants
        self.dropped = 0
        self._queue: deque[Event] = deque(maxlen=limit)
        self._wake = asyncio.Event()
        self._closed = False

    def offer(self, event: Event) -> None:
        if len(self._queue) == self._queue.maxlen:
            self.dropped += 1
        self._queue.append(event)
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    async def get(self) -> Event | None:
        """The next event, or None once the bus was closed."""
        while not self._queue:
            if self._closed:
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self.get()) is not None:
            yield event


class Bus:
    """Delivers each event to all subscriptions and synchronous listeners, in order."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._listeners: list[Callable[[Event], None]] = []

    def publish(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)
        for subscription in self._subscriptions:
            if subscription.wants(event):
                subscription.offer(event)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` at once on every event; it must not raise or block (caches use this)."""
        self._listeners.append(listener)

    @contextmanager
    def subscribe(
        self, wants: Callable[[Event], bool] = lambda _: True, *, limit: int = 1000
    ) -> Iterator[Subscription]:
        subscription = Subscription(wants, limit)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every subscription, so that streams finish before the server stops."""
        for subscription in list(self._subscriptions):
            subscription.close()
