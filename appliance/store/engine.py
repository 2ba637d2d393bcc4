"""The store's door: whole transactions as plain functions, one hop into a database thread each.

Writers queue; whenever the writing connection is free it takes what is waiting, runs each work in a savepoint of one
transaction and commits once (group commit). Nothing waits for company: a lone work is committed at once. A caller
hears of success only after the commit is on the disk.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy.sql.base import Executable

from appliance.errors import Unavailable, WeirError
from appliance.events import Bus, Event
from appliance.store.connection import Connection, open_reader, open_writer
from appliance.store.faults import DISK_CODES, translate
from appliance.store.lanes import Job, Lane, Queue
from appliance.store.schema_version import check
from appliance.store.transactions import Runner

log = logging.getLogger(__name__)
T = TypeVar("T")

QUEUE_LIMIT = 1000
# Published when the database or its disk refused a work: the key is the error's code, the body the error.
FAILED = "store.failed"

Row = sqlite3.Row


class Tx(Protocol):
    """One open transaction; must not be kept after the work function returned."""

    def run(self, statement: Executable, **params: Any) -> int:
        """Carry out a change; how many rows it touched. Raises Conflict on a unique or foreign key."""

    def one(self, statement: Executable, **params: Any) -> Row | None:
        """The first row, or None."""

    def all(self, statement: Executable, **params: Any) -> list[Row]:
        """All rows, with columns by name (`row["id"]`)."""

    def after_commit(self, event: Event) -> None:
        """Publish `event` on the loop once the commit is durable; never if the work fails."""


Work = Callable[[Tx], T]


class Store:
    """The database of one box. All methods belong to the event loop it was opened on."""

    def __init__(self, path: Path, bus: Bus, writer: Connection, readers: list[Connection]) -> None:
        self.path = path
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._pending = 0
        self._drained = asyncio.Event()
        self._closing = False
        runner = Runner(path)
        self._writes: Queue = deque()
        self._reads: Queue = deque()
        self._open = [writer, *readers]
        self._writer = Lane(writer, self._writes, runner.write, self._deliver, early=False)
        self._readers = [Lane(reader, self._reads, runner.read, self._deliver, early=True) for reader in readers]

    @classmethod
    async def open(cls, path: Path, bus: Bus, *, readers: int = 2) -> Store:
        """Open an existing database whose schema is this program's (see `migrate.ensure_schema`).

        Raises Unavailable (absent, read-only, locked, newer or older schema) or Internal (damaged), naming cause
        and next step.
        """
        opened: list[Connection] = []
        try:
            opened.append(await open_writer(path))
            await opened[0].post(lambda raw: check(raw, path))
            for _ in range(readers):
                opened.append(await open_reader(path))
        except BaseException as error:
            for connection in opened:
                await connection.close()
            if isinstance(error, sqlite3.Error):
                raise translate(error, path) from error
            raise
        return cls(path, bus, opened[0], opened[1:])

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction and return its answer once that is durable.

        What `work` raises is raised here, and nothing of it is kept. It may be run a second time when the disk
        refused the first, so it must change nothing but the database. A caller cancelled before the work began
        has it dropped; later it is carried out. Raises Unavailable: full disk, read-only, locked, too many waiting.
        """
        return await self._enqueue(work, self._writes, [self._writer])

    async def read(self, work: Work[T]) -> T:
        """Run `work` on one snapshot of the database; it cannot write."""
        return await self._enqueue(work, self._reads, self._readers)

    async def close(self) -> None:
        """Finish what was asked, then close; later calls raise Unavailable. May be called twice."""
        self._closing = True
        if self._pending:
            await self._drained.wait()
        # The writer last: the last connection to close folds the log into the database file.
        while self._open:
            await self._open.pop().close()

    async def _enqueue(self, work: Work[T], queue: Queue, lanes: list[Lane]) -> T:
        if self._closing:
            raise Unavailable("Weir is stopping.", code="stopping", hint="Try again when it is back.")
        if len(queue) >= QUEUE_LIMIT:
            raise Unavailable(
                f"{QUEUE_LIMIT} requests already wait for the database.",
                code="store_busy",
                hint="Try again in a moment; if it stays so, the disk is too slow for this load.",
            )
        future: asyncio.Future[T] = self._loop.create_future()
        queue.append(Job(work, future))
        self._pending += 1
        # One lane more for each that asks: a slow read in one must not keep the next waiting.
        for lane in lanes:
            if lane.idle:
                lane.call()
                break
        return await future

    def _deliver(self, jobs: list[Job]) -> None:
        self._pending -= len(jobs)
        if self._closing and self._pending == 0:
            self._drained.set()
        # Events first: caches have dropped what changed before anyone hears that it did.
        for job in jobs:
            for event in job.events:
                self._publish(event)
        self._tell_failure(jobs)
        for job in jobs:
            if job.future.done():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)

    def _tell_failure(self, jobs: list[Job]) -> None:
        """One event for a batch that the disk refused, whatever the number of works in it."""
        errors = (job.error for job in jobs)
        failed = next((e for e in errors if isinstance(e, WeirError) and e.code in DISK_CODES), None)
        if failed is not None:
            self._publish(Event(FAILED, failed.code, None, failed))

    def _publish(self, event: Event) -> None:
        try:
            self._bus.publish(event)
        except Exception:  # noqa: BLE001 - an event subscriber is one of the four boundaries
            log.exception("a subscriber failed on %s %s", event.kind, event.key)
