"""Works on their way through a database thread: how they wait, run and come back to the loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Any

from appliance.events import Event
from appliance.store.connection import Connection


class Job:
    """A queued work, who waits for it, and how it ended."""

    __slots__ = ("error", "events", "future", "result", "work")

    def __init__(self, work: Callable[[Any], Any], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None
        self.events: list[Event] = []

    def fail(self, error: BaseException) -> None:
        """It ended with `error`; nothing of it is kept."""
        self.reset()
        self.error = error

    def reset(self) -> None:
        """As before it ran."""
        self.error, self.result = None, None
        self.events.clear()


Queue = deque[Job]
Finish = Callable[[Job], None]
Drain = Callable[[sqlite3.Connection, Queue, Finish], None]


def take(queue: Queue) -> Job | None:
    """The next job, or None; from any thread."""
    try:
        return queue.popleft()
    except IndexError:
        return None


class Lane:
    """One connection working through a queue, which several lanes may share.

    `drain` runs in the connection's thread and hands each job that has ended to its `finish`; `deliver` gets them
    on the loop: with `early` as soon as they end, several at once when the loop was busy meanwhile; else when
    `drain` returns, which saves a turn of the loop where all end together.
    """

    def __init__(
        self,
        connection: Connection,
        queue: Queue,
        drain: Drain,
        deliver: Callable[[list[Job]], None],
        *,
        early: bool,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._queue = queue
        self._drain = drain
        self._deliver = deliver
        self._finished: Queue = deque()
        self._finish: Finish = self._hand_over if early else self._finished.append
        self._signalled = False
        self._called = False
        self.busy = False

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or about to be."""
        return not self.busy and not self._called

    def call(self) -> None:
        """Begin in the next turn of the loop, so that all that is asked in this one goes together."""
        if not self._called:
            self._called = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._called = False
        if self.busy or not self._queue:
            return
        self.busy = True
        self._connection.post(lambda raw: self._drain(raw, self._queue, self._finish)).add_done_callback(self._ended)

    def _hand_over(self, job: Job) -> None:
        """In the connection's thread. Appends before it looks at the flag, which the loop clears before it takes."""
        self._finished.append(job)
        if not self._signalled:
            self._signalled = True
            self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        self._signalled = False
        jobs: list[Job] = []
        while (job := take(self._finished)) is not None:
            jobs.append(job)
        self._deliver(jobs)

    def _ended(self, _: asyncio.Future[None]) -> None:
        self.busy = False
        self._collect()
        self.call()  # runs behind those just answered: what they ask next joins the same batch
