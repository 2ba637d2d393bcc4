"""One SQLite connection with the thread that owns it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0
# Kept small: the page cache of each connection counts against a small box.
CACHE_KIB = 2048
# After a burst the log is cut back to this.
LOG_LIMIT_BYTES = 16 * 1024 * 1024


class Connection(aiosqlite.Connection):
    """aiosqlite's connection and thread, running whole functions instead of single statements.

    aiosqlite offers a hop into the thread per statement; a transaction of ten statements would pay for ten. `post`
    uses the same queue for one hop.
    """

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        # A crash that never reaches close() must still end the process.
        self._thread.daemon = True
        self.ended: asyncio.Future[Any] | None = None

    def stop(self) -> asyncio.Future[Any] | None:
        """End the thread after what is queued; kept, so that a failed opening can wait for it."""
        self.ended = super().stop()
        return self.ended

    def post(self, function: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run `function(connection)` in the thread, after what was posted before."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((future, lambda: function(self._conn)))
        return future


async def open_writer(path: Path) -> Connection:
    """The connection that writes: every commit is on the disk when it returns. Raises sqlite3.Error."""
    return await _opened(Connection(lambda: _connect(path, _writer_pragmas())))


async def open_reader(path: Path) -> Connection:
    """A connection that sees one snapshot per transaction and cannot write. Raises sqlite3.Error."""
    return await _opened(Connection(lambda: _connect(path, ["PRAGMA query_only=ON"])))


async def _opened(connection: Connection) -> Connection:
    try:
        await connection
    except BaseException:
        if connection.ended is not None:
            await connection.ended
        raise
    return connection


def _writer_pragmas() -> list[str]:
    # Whoever waits for the lock must know how long before the first statement that may need it.
    return [
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        f"PRAGMA journal_size_limit={LOG_LIMIT_BYTES}",
    ]


def _connect(path: Path, pragmas: list[str]) -> sqlite3.Connection:
    # mode=rw: a path that is not there must be an error, not an empty database.
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, cached_statements=256)
    try:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        for pragma in pragmas:
            connection.execute(pragma).fetchone()
    except BaseException:
        connection.close()
        raise
    connection.row_factory = sqlite3.Row
    return connection
