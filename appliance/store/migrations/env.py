"""What Alembic runs: connects, opens one transaction for all migrations, runs them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from appliance.store.tables import metadata


def connect(database: Path) -> sqlite3.Connection:
    """Autocommit, so that the BEGIN below, and not the driver, holds schema changes together."""
    return sqlite3.connect(database, isolation_level=None, timeout=30)


def main() -> None:
    database: Path = context.config.attributes["database"]
    engine = create_engine("sqlite://", creator=lambda: connect(database), poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        # Tables are rebuilt under their old names; references are checked at the end instead.
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        context.run_migrations()
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise RuntimeError(f"references would be broken: {broken[:5]}")
        connection.exec_driver_sql("COMMIT")
    engine.dispose()


main()
