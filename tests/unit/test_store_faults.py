"""Full and read-only disks, locks, damage, and the machine going away in the middle."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, select

from appliance.errors import Internal, Unavailable, WeirError
from appliance.events import Bus
from appliance.store import connection
from appliance.store.engine import Store
from appliance.store.tables import box
from tests.stores import fresh_database
from tests.support import eventually

PUT = insert(box)
KEYS = select(box.c.key)
GET = select(box.c.value).where(box.c.key == bindparam("name"))

WRITER = """
import asyncio, pathlib, sys
from appliance.events import Bus
from appliance.store.engine import Store
from sqlalchemy import insert
from appliance.store.tables import box
PUT = insert(box)
async def writer(store, who):
    n = 0
    while True:
        key = f"{who}-{n}"
        await store.write(lambda tx: tx.run(PUT, key=key, value="x" * 5000))
        sys.stdout.write(key + "\\n")
        sys.stdout.flush()
        n += 1
async def main():
    store = await Store.open(pathlib.Path(sys.argv[1]), Bus())
    await asyncio.gather(*(writer(store, who) for who in range(8)))
asyncio.run(main())
"""


def test_every_acknowledged_write_survives_a_kill(tmp_path: Path) -> None:
    database = fresh_database(tmp_path / "weir.db")
    acknowledged = tmp_path / "acknowledged"
    for round_ in range(3):
        with acknowledged.open("w") as stream:
            child = subprocess.Popen([sys.executable, "-c", WRITER, str(database)], stdout=stream)
        try:
            _wait_for_lines(acknowledged, 100 + 37 * round_)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(10)
        lines = acknowledged.read_text().split("\n")[:-1]  # the last may be half a line
        with closing(sqlite3.connect(database)) as raw, raw:
            kept = {key for (key,) in raw.execute("SELECT key FROM box WHERE length(value) = 5000")}
            assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            raw.execute("DELETE FROM box")
        raw.close()
        assert len(lines) >= 100
        assert set(lines) <= kept


def _wait_for_lines(file: Path, wanted: int) -> None:
    async def enough() -> None:
        await eventually(lambda: file.read_text().count("\n") >= wanted, timeout_s=30, what=f"{wanted} lines")

    asyncio.run(enough())


async def test_a_full_disk_is_named_and_gets_better(small_disk: Path) -> None:
    store = await Store.open(fresh_database(small_disk / "weir.db"), Bus())
    await store.write(lambda tx: tx.run(PUT, key="before", value=""))
    ballast = small_disk / "ballast"
    _fill(ballast)
    large = "x" * 600_000
    with pytest.raises(Unavailable) as refused:
        await store.write(lambda tx: tx.run(PUT, key="large", value=large))
    assert refused.value.code == "disk_full"
    assert str(small_disk) in refused.value.message and refused.value.hint
    # Reads are served all the time, and the store goes on without a restart.
    assert [row["key"] for row in await store.read(lambda tx: tx.all(KEYS))] == ["before"]
    ballast.unlink()
    await store.write(lambda tx: tx.run(PUT, key="after", value=large))
    assert {row["key"] for row in await store.read(lambda tx: tx.all(KEYS))} == {"before", "after"}
    await store.close()


async def test_one_work_too_large_does_not_sink_the_others(small_disk: Path) -> None:
    store = await Store.open(fresh_database(small_disk / "weir.db"), Bus())
    _fill(small_disk / "ballast", spare=400_000)
    sizes = {"a": 10, "b": 3_000_000, "c": 10, "d": 20}
    answers = await asyncio.gather(
        *(store.write(lambda tx, k=key, n=n: tx.run(PUT, key=k, value="x" * n)) for key, n in sizes.items()),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [int, Unavailable, int, int]
    assert [row["key"] for row in await store.read(lambda tx: tx.all(KEYS))] == ["a", "c", "d"]
    await store.close()


def _fill(ballast: Path, spare: int = 0) -> None:
    with ballast.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"\0" * 4096)
        except OSError:
            stream.truncate(max(0, stream.tell() - spare))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Two megabytes of file system; needs root."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(where)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


async def test_a_limit_on_file_sizes_is_named_and_gets_better(tmp_path: Path) -> None:
    store = await Store.open(fresh_database(tmp_path / "weir.db"), Bus())
    await store.write(lambda tx: tx.run(PUT, key="before", value=""))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(Unavailable) as refused:
            await store.write(lambda tx: tx.run(PUT, key="large", value="x" * 3_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.code in ("disk_full", "store_io")
    await store.write(lambda tx: tx.run(PUT, key="large", value="x" * 3_000_000))
    await store.close()


async def test_a_foreign_lock_is_waited_for_then_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.3)
    store = await Store.open(fresh_database(tmp_path / "weir.db"), Bus())
    other = sqlite3.connect(tmp_path / "weir.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as refused:
        await store.write(lambda tx: tx.run(PUT, key="a", value=""))
    assert refused.value.code == "store_locked"
    waiting = asyncio.create_task(store.write(lambda tx: tx.run(PUT, key="b", value="")))
    await eventually(lambda: store._writer.busy)
    other.execute("ROLLBACK")
    other.close()
    assert await waiting == 1
    await store.close()


@pytest.mark.parametrize(("file", "directory"), [(0o444, 0o777), (0o444, 0o555), (0o666, 0o555)])
def test_a_read_only_database_is_named(file: int, directory: int) -> None:
    # Not under tmp_path, which other accounts can't enter.
    with tempfile.TemporaryDirectory() as root:
        database = fresh_database(Path(root) / "weir.db")
        database.chmod(file)
        Path(root).chmod(directory)
        said = _open_as_nobody(database)
        Path(root).chmod(0o755)
    assert said == "store_read_only"


def _open_as_nobody(database: Path) -> str:
    """Root may write anything, so another account has to try; not root: we ourselves."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            os.write(writer, asyncio.run(_code_of_opening(database)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


async def _code_of_opening(database: Path) -> str:
    try:
        store = await Store.open(database, Bus())
        await store.write(lambda tx: tx.run(PUT, key="a", value=""))
    except WeirError as error:
        return error.code
    return "written"


async def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    database = tmp_path / "weir.db"
    database.write_bytes(b"this is not a database, it only looks like a file" * 100)
    with pytest.raises(Internal) as refused:
        await Store.open(database, Bus())
    assert refused.value.code == "store_corrupt"
    assert str(database) in refused.value.message and "backup" in refused.value.hint


async def test_damage_found_later_is_named(tmp_path: Path) -> None:
    database = fresh_database(tmp_path / "weir.db")
    store = await Store.open(database, Bus())
    await store.write(lambda tx: tx.run(PUT, key="a", value="x" * 100_000))
    await store.close()
    with database.open("r+b") as stream:
        stream.seek(database.stat().st_size - 90_000)
        stream.write(b"\xff" * 90_000)
    store = await Store.open(database, Bus())
    with pytest.raises(Internal) as refused:
        await store.read(lambda tx: tx.all(select(box)))
    assert refused.value.code == "store_corrupt"
    await store.close()


async def test_an_absent_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as refused:
        await Store.open(tmp_path / "none.db", Bus())
    assert refused.value.code == "store_unopened"
    assert os.listdir(tmp_path) == []
