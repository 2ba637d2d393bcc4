"""Schema changes at start: new boxes, old databases, newer ones, and failures half-way."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import appliance
from appliance.auth.secrets import open_box
from appliance.errors import Internal, Unavailable
from appliance.events import Bus
from appliance.store import migrate, migrations, schema_version
from appliance.store.engine import Store
from appliance.store.migrate import ensure_schema
from appliance.store.tables import metadata
from tests.stores import fresh_database


def test_a_new_database_is_made_private_and_complete(tmp_path: Path) -> None:
    database = tmp_path / "state" / "weir.db"
    said: list[str] = []
    ensure_schema(database, report=said.append)
    assert said == [f"creating the database {database}"]
    assert database.stat().st_mode & 0o777 == 0o600
    assert database.parent.stat().st_mode & 0o777 == 0o700
    assert _version(database) == schema_version.HEAD
    assert not (database.parent / "backups").exists()


def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    """A change of store/tables/ needs a migration."""
    database = fresh_database(tmp_path / "weir.db")
    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_known_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == schema_version.HEAD


def test_an_up_to_date_database_costs_next_to_nothing(tmp_path: Path) -> None:
    database = fresh_database(tmp_path / "weir.db")
    before = database.stat().st_mtime_ns
    times: list[float] = []
    for _ in range(20):
        started = time.thread_time()  # what it costs, whatever else the machine does meanwhile
        ensure_schema(database)
        times.append(time.thread_time() - started)
    assert min(times) < 0.002
    assert database.stat().st_mtime_ns == before


def test_an_older_database_is_copied_and_brought_up_to_date(tmp_path: Path) -> None:
    database = _with_a_keepsake(tmp_path / "weir.db")
    later = _later_weir(tmp_path, 'op.add_column("box", sa.Column("since", sa.BigInteger()))')
    assert later(database) == f"bringing the database from schema {schema_version.HEAD} to 9998\n"
    assert _version(database) == "9998"
    assert _kept(database) == ("keepsake", "kept", None)
    (copy,) = (tmp_path / "backups").iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert _version(copy) == schema_version.HEAD and _kept(copy) == ("keepsake", "kept")
    assert later(database) == ""


def test_only_the_last_copies_are_kept(tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    for year in range(2001, 2006):
        (tmp_path / "backups" / f"weir-schema-0000-{year}0101T000000Z.db").touch()
    _later_weir(tmp_path, "pass")(_with_a_keepsake(tmp_path / "weir.db"))
    left = sorted(file.name for file in (tmp_path / "backups").iterdir())
    assert len(left) == migrate.COPIES_KEPT
    assert _version(tmp_path / "backups" / left[-1]) == schema_version.HEAD


def test_the_copy_of_now_is_kept_also_where_the_clock_was_set_back(tmp_path: Path) -> None:
    """It is the way back from this very upgrade."""
    (tmp_path / "backups").mkdir()
    for year in range(2101, 2105):
        (tmp_path / "backups" / f"weir-schema-9999-{year}0101T000000Z.db").touch()
    _later_weir(tmp_path, "pass")(_with_a_keepsake(tmp_path / "weir.db"))
    left = sorted(file.name for file in (tmp_path / "backups").iterdir())
    assert len(left) == migrate.COPIES_KEPT
    assert _version(tmp_path / "backups" / left[0]) == schema_version.HEAD


def test_a_failing_migration_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    database = _with_a_keepsake(tmp_path / "weir.db")
    changes = 'op.drop_table("library"); op.execute("DELETE FROM box"); op.execute("SELECT nonsense")'
    said = _later_weir(tmp_path, changes)(database)
    assert "migration_failed" in said and "it is unchanged" in said and "nonsense" in said
    assert _version(database) == schema_version.HEAD
    assert _kept(database) == ("keepsake", "kept")
    raw = sqlite3.connect(database)
    assert raw.execute("SELECT count(*) FROM library").fetchone() == (0,)
    raw.close()


def test_a_migration_that_breaks_references_is_undone(tmp_path: Path) -> None:
    database = _with_a_keepsake(tmp_path / "weir.db")
    changes = """op.execute("INSERT INTO memberships (user_id, team_id, role) VALUES ('none', 'none', 5)")"""
    assert "references would be broken" in _later_weir(tmp_path, changes)(database)
    assert _version(database) == schema_version.HEAD


async def test_a_newer_database_is_refused_untouched(tmp_path: Path) -> None:
    database = fresh_database(tmp_path / "weir.db")
    _set_version(database, "9999")
    before = database.read_bytes()
    with pytest.raises(Unavailable) as refused:
        ensure_schema(database)
    assert refused.value.code == "schema_newer" and "9999" in refused.value.message and refused.value.hint
    with pytest.raises(Unavailable) as unopened:
        await Store.open(database, Bus())
    assert unopened.value.code == "schema_newer"
    assert database.read_bytes() == before


async def test_a_database_that_lags_is_not_opened(tmp_path: Path) -> None:
    database = fresh_database(tmp_path / "weir.db")
    _set_version(database, "0000")
    with pytest.raises(Unavailable) as refused:
        await Store.open(database, Bus())
    assert refused.value.code == "schema_old"


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "weir.db").write_bytes(b"no database at all, but long enough to look like one " * 50)
    with pytest.raises(Internal) as refused:
        ensure_schema(tmp_path / "weir.db")
    assert refused.value.code == "store_corrupt"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable) as refused:
        ensure_schema(tmp_path / "file" / "weir.db")
    assert refused.value.code == "store_unopened"


def test_a_lost_key_beside_a_database_is_named(tmp_path: Path) -> None:
    database = tmp_path / "weir.db"
    first = open_box(tmp_path / "box.key", database=database)
    assert (tmp_path / "box.key").stat().st_mode & 0o777 == 0o600
    fresh_database(database)
    again = open_box(tmp_path / "box.key", database=database)
    assert again.derive("x") == first.derive("x")
    (tmp_path / "box.key").unlink()
    with pytest.raises(Unavailable) as lost:
        open_box(tmp_path / "box.key", database=database)
    assert lost.value.code == "box_key_lost"
    (tmp_path / "box.key").write_bytes(b"short")
    with pytest.raises(Unavailable) as damaged:
        open_box(tmp_path / "box.key", database=database)
    assert damaged.value.code == "box_key_damaged"


def _later_weir(tmp_path: Path, changes: str) -> Callable[[Path], str]:
    """`ensure_schema` of a Weir that has one migration more; answers what it said."""
    root = tmp_path / "later"
    shutil.copytree(Path(appliance.__file__).parent, root / "appliance", ignore=shutil.ignore_patterns("__pycache__"))
    versions = root / "appliance" / "store" / "migrations" / "versions"
    (versions / "v9998_later.py").write_text(LATER.format(down=schema_version.HEAD, changes=changes))
    known = root / "appliance" / "store" / "schema_version.py"
    known.write_text(known.read_text().replace(f'HEAD = "{schema_version.HEAD}"', 'HEAD = "9998"'))

    def ensure(database: Path) -> str:
        command = [sys.executable, "-c", ENSURE, str(database)]
        done = subprocess.run(command, cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True)
        return done.stdout + done.stderr

    return ensure


ENSURE = """
import pathlib, sys
from appliance.errors import WeirError
from appliance.store.migrate import ensure_schema
try:
    ensure_schema(pathlib.Path(sys.argv[1]), report=print)
except WeirError as error:
    print(error.code, error)
"""
LATER = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "9998", "{down}", None, None
def upgrade():
    {changes}
"""


def _with_a_keepsake(database: Path) -> Path:
    with closing(sqlite3.connect(fresh_database(database))) as raw, raw:
        raw.execute("INSERT INTO box VALUES ('keepsake', 'kept')")
    raw.close()
    return database


def _kept(database: Path) -> tuple[object, ...]:
    raw = sqlite3.connect(database)
    try:
        return tuple(raw.execute("SELECT * FROM box").fetchone())
    finally:
        raw.close()


def _version(database: Path) -> str | None:
    raw = sqlite3.connect(database)
    try:
        return schema_version.stored(raw)
    finally:
        raw.close()


def _set_version(database: Path, version: str) -> None:
    with closing(sqlite3.connect(database)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = ?", (version,))
    raw.close()
