"""How works run in a connection's thread: reads in snapshots, writes in groups that share one commit."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import deque
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.sql.base import Executable

from appliance.errors import Unavailable, WeirError
from appliance.events import Event
from appliance.store.faults import translate
from appliance.store.lanes import Finish, Job, Queue, take
from appliance.store.statements import Statements

log = logging.getLogger(__name__)

BATCH_LIMIT = 256
# A batch takes in what arrives while it runs, but not for longer than this: somebody waits for its commit.
WRITE_SLICE_S = 0.05


class SqliteTx:
    """`engine.Tx` over a sqlite3 connection; lives in that connection's thread."""

    __slots__ = ("_connection", "_events", "_path", "_statements")

    def __init__(self, connection: sqlite3.Connection, statements: Statements, path: Path, events: list[Event]) -> None:
        self._connection = connection
        self._statements = statements
        self._path = path
        self._events = events

    def run(self, statement: Executable, **params: Any) -> int:
        return self._execute(statement, params).rowcount

    def one(self, statement: Executable, **params: Any) -> sqlite3.Row | None:
        try:
            row: sqlite3.Row | None = self._execute(statement, params).fetchone()
        except sqlite3.Error as error:
            raise translate(error, self._path) from error
        return row

    def all(self, statement: Executable, **params: Any) -> list[sqlite3.Row]:
        try:
            return self._execute(statement, params).fetchall()
        except sqlite3.Error as error:
            raise translate(error, self._path) from error

    def after_commit(self, event: Event) -> None:
        self._events.append(event)

    def _execute(self, statement: Executable, params: dict[str, Any]) -> sqlite3.Cursor:
        if not self._connection.in_transaction:
            # A work that goes on after SQLite gave up its transaction would write outside of any.
            raise _given_up(self._path)
        sql, values = self._statements.bind(statement, params)
        try:
            return self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise translate(error, self._path) from error


class Runner:
    """Drains queues for the lanes of one database; every job that is taken is finished, whatever happens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.statements = Statements(SQLiteDialect(paramstyle="qmark"))

    def write(self, connection: sqlite3.Connection, queue: Queue, finish: Finish) -> None:
        """Take what waits, and what comes meanwhile, into one transaction; finish it after the commit."""
        taken: list[Job] = []
        try:
            if self._begin(connection, queue, taken):
                self._fill(connection, queue, taken)
                self._commit(connection, taken)
        except BaseException as error:  # noqa: BLE001 - a fault of this file must not leave callers waiting
            _roll_back(connection)
            reason = self._translated(error) if isinstance(error, sqlite3.Error) else error
            for job in taken:
                job.fail(reason)
        for job in taken:
            finish(job)

    def read(self, connection: sqlite3.Connection, queue: Queue, finish: Finish) -> None:
        """Run what waits, each in its own snapshot."""
        while (job := take(queue)) is not None:
            self._read_one(connection, job)
            finish(job)

    def _read_one(self, connection: sqlite3.Connection, job: Job) -> None:
        try:
            connection.execute("BEGIN")
            self._work(connection, job)
        except sqlite3.Error as error:
            job.fail(self._translated(error))
        finally:
            _roll_back(connection)

    def _begin(self, connection: sqlite3.Connection, queue: Queue, taken: list[Job]) -> bool:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            # Waited its time in vain; so would all who queue behind the same lock.
            while (job := take(queue)) is not None:
                job.fail(self._translated(error))
                taken.append(job)
            return False
        return True

    def _fill(self, connection: sqlite3.Connection, queue: Queue, taken: list[Job]) -> None:
        until = time.monotonic() + WRITE_SLICE_S
        while len(taken) < BATCH_LIMIT and (job := take(queue)) is not None:
            taken.append(job)
            connection.execute("SAVEPOINT work")
            self._work(connection, job)
            if not connection.in_transaction:
                return  # SQLite gave up the whole transaction (disk full, I/O error)
            if job.error is not None:
                connection.execute("ROLLBACK TO work")
            connection.execute("RELEASE work")
            if time.monotonic() > until:
                return

    def _commit(self, connection: sqlite3.Connection, taken: list[Job]) -> None:
        try:
            if connection.in_transaction:
                connection.execute("COMMIT")
                return
            lost = _given_up(self._path)
        except sqlite3.Error as error:
            lost = self._translated(error)
        _roll_back(connection)
        if len(taken) > 1:
            self._commit_each(connection, taken)
        elif taken[0].error is None:
            taken[0].fail(lost)

    def _commit_each(self, connection: sqlite3.Connection, jobs: list[Job]) -> None:
        """One work too large for the disk must not sink the others: each for itself."""
        for job in jobs:
            job.reset()
            alone = deque([job])
            if self._begin(connection, alone, []):
                self._fill(connection, alone, [])
                self._commit(connection, [job])

    def _work(self, connection: sqlite3.Connection, job: Job) -> None:
        if job.future.cancelled():
            return  # nobody waits for it, and nothing of it is done
        try:
            job.result = job.work(SqliteTx(connection, self.statements, self._path, job.events))
        except StopIteration as error:  # a future refuses to carry it
            job.fail(RuntimeError(f"a work function raised {error!r}"))
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the caller who waits
            job.fail(error)

    def _translated(self, error: sqlite3.Error) -> WeirError:
        translated = translate(error, self._path)
        translated.__cause__ = error
        return translated


def _given_up(path: Path) -> WeirError:
    return Unavailable(
        f"The database {path} gave up a transaction that failed before; nothing was changed.",
        code="store_io",
        hint="Try again; look for a full or failing disk: 'df', 'dmesg'.",
    )


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            log.exception("rolling back failed")
