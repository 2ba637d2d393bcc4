"""The store's door: group commit, snapshots, faults of works and callers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary, Text, bindparam, func, insert, select, text, update
from sqlalchemy.sql.sqltypes import Integer, String

from appliance.errors import Conflict, Unavailable
from appliance.events import Bus, Event
from appliance.store import engine
from appliance.store.engine import Store, Tx
from appliance.store.tables import box, memberships, metadata, teams
from tests.stores import fresh_database
from tests.support import eventually

PUT = insert(box)
GET = select(box.c.value).where(box.c.key == bindparam("name"))
KEYS = select(box.c.key).order_by(box.c.key)
COUNT = select(func.count().label("count")).select_from(box)


@pytest.fixture
async def bus() -> Bus:
    return Bus()


@pytest.fixture
async def store(tmp_path: Path, bus: Bus) -> AsyncIterator[Store]:
    opened = await Store.open(fresh_database(tmp_path / "weir.db"), bus)
    yield opened
    await opened.close()


def put(name: str, value: str = "") -> engine.Work[int]:
    return lambda tx: tx.run(PUT, key=name, value=value)


async def keys(store: Store) -> list[str]:
    return [row["key"] for row in await store.read(lambda tx: tx.all(KEYS))]


async def test_what_is_written_is_read_by_name(store: Store) -> None:
    assert await store.write(put("a", "1")) == 1
    row = await store.read(lambda tx: tx.one(GET, name="a"))
    assert row is not None and row["value"] == "1"
    assert await store.read(lambda tx: tx.one(GET, name="b")) is None


async def test_works_asked_together_are_committed_together(store: Store) -> None:
    commits: list[str] = []
    await store._open[0].set_trace_callback(
        lambda sql: commits.append(sql) if sql in ("COMMIT", "BEGIN IMMEDIATE") else None
    )
    await asyncio.gather(*(store.write(put(f"k{n:02}")) for n in range(50)))
    assert commits == ["BEGIN IMMEDIATE", "COMMIT"]
    assert len(await keys(store)) == 50


async def test_one_failing_work_takes_nothing_from_the_others(store: Store, bus: Bus) -> None:
    heard: list[str] = []
    bus.listen(lambda event: heard.append(event.key))

    def work(name: str, fails: bool) -> engine.Work[str]:
        def run(tx: Tx) -> str:
            tx.run(PUT, key=name, value="")
            tx.after_commit(Event("test", name))
            if fails:
                raise RuntimeError(name)
            return name

        return run

    answers = await asyncio.gather(
        *(store.write(work(f"k{n}", fails=n % 3 == 0)) for n in range(9)), return_exceptions=True
    )
    good = ["k1", "k2", "k4", "k5", "k7", "k8"]
    assert [a for a in answers if isinstance(a, str)] == good
    assert [str(a) for a in answers if isinstance(a, RuntimeError)] == ["k0", "k3", "k6"]
    assert await keys(store) == good
    assert heard == good


async def test_a_single_failing_work_leaves_nothing(store: Store) -> None:
    def work(tx: Tx) -> None:
        tx.run(PUT, key="half", value="")
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.write(work)
    assert await keys(store) == []
    await store.write(put("after"))
    assert await keys(store) == ["after"]


async def test_events_come_before_the_answer_and_only_after_the_commit(store: Store, bus: Bus) -> None:
    order: list[str] = []
    bus.listen(lambda event: order.append(f"event {event.key}"))

    def work(tx: Tx) -> None:
        tx.run(PUT, key="a", value="")
        tx.after_commit(Event("test", "a"))
        order.append("work")

    await store.write(work)
    order.append("answer")
    assert order == ["work", "event a", "answer"]


async def test_a_failing_listener_does_not_fail_the_write(
    store: Store, bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Event) -> None:
        raise ValueError("broken listener")

    bus.listen(broken)

    def work(tx: Tx) -> str:
        tx.run(PUT, key="a", value="")
        tx.after_commit(Event("test", "a"))
        return "done"

    assert await store.write(work) == "done"
    assert "broken listener" in caplog.text


async def test_a_cancelled_caller_does_not_break_the_batch(store: Store) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        tx.run(PUT, key="slow", value="")
        began.set()
        assert go_on.wait(10)

    running = asyncio.create_task(store.write(slow))
    await eventually(began.is_set)
    waiting = [asyncio.create_task(store.write(put(f"k{n}"))) for n in range(4)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    running.cancel()
    go_on.set()
    done = await asyncio.gather(running, *waiting, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in done] == [True, False, True, False, False]
    # The one that ran is carried out; the one that had not begun is not.
    assert await keys(store) == ["k0", "k2", "k3", "slow"]


async def test_the_writer_makes_every_commit_durable(store: Store) -> None:
    """A kill can't tell this from less; only a cut of the power could."""
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    for name, wanted in pragmas.items():
        row = await store.write(lambda tx, name=name: tx.one(text(f"PRAGMA {name}")))  # type: ignore[misc]
        assert row is not None and row[0] == wanted, name


async def test_a_read_sees_one_snapshot(store: Store) -> None:
    began, go_on = threading.Event(), threading.Event()

    def twice(tx: Tx) -> tuple[int, int]:
        first = tx.one(COUNT)
        began.set()
        assert go_on.wait(10)
        second = tx.one(COUNT)
        assert first is not None and second is not None
        return first["count"], second["count"]

    reading = asyncio.create_task(store.read(twice))
    await eventually(began.is_set)
    await store.write(put("meanwhile"))
    assert await keys(store) == ["meanwhile"]  # the second reader is free
    go_on.set()
    assert await reading == (0, 0)


async def test_a_slow_read_keeps_nobody_waiting(store: Store) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(tx: Tx) -> str:
        began.set()
        assert go_on.wait(10)
        return "slow"

    quick = [asyncio.create_task(store.read(lambda tx: tx.one(COUNT))) for _ in range(3)]
    reading = asyncio.create_task(store.read(slow))
    quick += [asyncio.create_task(store.read(lambda tx: tx.one(COUNT))) for _ in range(3)]
    await eventually(began.is_set)
    # Also those that the same thread answered before it came to the slow one.
    assert len(await asyncio.wait_for(asyncio.gather(*quick), 5)) == 6
    go_on.set()
    assert await reading == "slow"


async def test_a_read_cannot_write(store: Store) -> None:
    with pytest.raises(Unavailable) as raised:
        await store.read(put("a"))
    assert raised.value.code == "store_read_only"
    assert await keys(store) == []


async def test_taken_names_and_missing_parents_are_conflicts(store: Store) -> None:
    await store.write(put("a"))
    with pytest.raises(Conflict, match=r"box\.key") as taken:
        await store.write(put("a"))
    assert taken.value.code == "duplicate"
    with pytest.raises(Conflict) as orphan:
        await store.write(lambda tx: tx.run(insert(memberships), user_id="nobody", team_id="none", role=5))
    assert orphan.value.code == "in_use"


async def test_the_queue_is_bounded(store: Store) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        began.set()
        assert go_on.wait(10)

    first = asyncio.create_task(store.write(slow))
    await eventually(began.is_set)
    waiting = [asyncio.create_task(store.write(put(f"k{n}"))) for n in range(engine.QUEUE_LIMIT)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await store.write(put("one too many"))
    assert refused.value.code == "store_busy"
    go_on.set()
    await asyncio.gather(first, *waiting)
    assert len(await keys(store)) == engine.QUEUE_LIMIT


async def test_close_finishes_what_was_asked(tmp_path: Path) -> None:
    store = await Store.open(fresh_database(tmp_path / "weir.db"), Bus())
    writes = [asyncio.create_task(store.write(put(f"k{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*writes) == [1] * 20
    with pytest.raises(Unavailable):
        await store.write(put("late"))
    await store.close()
    assert not (tmp_path / "weir.db-wal").exists()  # folded into the file
    again = await Store.open(tmp_path / "weir.db", Bus())
    assert len(await keys(again)) == 20
    await again.close()


@pytest.mark.parametrize("ending", ["await store.close()", "pass"])
def test_the_process_ends(tmp_path: Path, ending: str) -> None:
    """Also when something failed so badly that nobody closed the store."""
    script = f"""
import asyncio, pathlib, warnings
from appliance.events import Bus
from appliance.store.engine import Store
async def main():
    store = await Store.open(pathlib.Path({str(fresh_database(tmp_path / "weir.db"))!r}), Bus())
    {ending}
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], timeout=20, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def test_columns_get_their_defaults_and_lists_expand(store: Store) -> None:
    def work(tx: Tx) -> None:
        for name in ("a", "b", "c"):
            tx.run(insert(teams), id=name, name=name, slug=name, created_at=1, updated_at=1)
        tx.run(update(teams).where(teams.c.id == bindparam("team")), team="a", suspended=1)

    await store.write(work)
    chosen = select(teams.c.id, teams.c.suspended, teams.c.properties).where(
        teams.c.id.in_(bindparam("ids", expanding=True)), teams.c.slug != "z"
    )
    for wanted in (["a", "b"], ["c"], ["a", "b", "c", "d"], []):
        rows = await store.read(lambda tx, ids=wanted: tx.all(chosen, ids=ids))  # type: ignore[misc]
        assert sorted(row["id"] for row in rows) == [name for name in wanted if name != "d"]
    rows = await store.read(lambda tx: tx.all(select(teams).order_by(teams.c.id)))
    assert [(row["suspended"], row["properties"]) for row in rows] == [(1, "{}"), (0, "{}"), (0, "{}")]


@pytest.mark.parametrize(("params", "named"), [({}, "name"), ({"name": "a", "typo": 1}, "typo")])
async def test_wrong_parameters_are_named(store: Store, params: dict[str, Any], named: str) -> None:
    with pytest.raises(TypeError, match=named):
        await store.read(lambda tx: tx.one(GET, **params))


async def test_statements_built_anew_do_not_pile_up(store: Store) -> None:
    statements = store._writer._drain.__self__.statements  # type: ignore[attr-defined]
    statements._limit = 10
    for n in range(25):
        await store.write(lambda tx, n=n: tx.run(insert(box).values(key=f"k{n:02}", value="")))  # type: ignore[misc]
    assert len(statements._prepared) <= 10
    assert len(await keys(store)) == 25


def test_every_column_is_of_a_type_that_needs_no_conversion() -> None:
    """The door hands values to SQLite as they are; a type with a conversion would be skipped silently."""
    kinds = {type(column.type).__mro__ for table in metadata.tables.values() for column in table.columns}
    assert all({Integer, String, Text, LargeBinary} & set(kind) for kind in kinds)


def test_the_store_leaves_the_orm_out() -> None:
    script = "import sys, appliance.store.engine, appliance.store.migrate; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    loaded = set(done.stdout.split())
    assert not loaded & {"sqlalchemy.orm", "sqlalchemy.ext.asyncio", "alembic", "asyncpg", "greenlet"}
