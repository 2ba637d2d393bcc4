"""A database as after years: many suspended instances, a million audit entries, and a token for each instance."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from appliance.auth.secrets import new_token, token_hash
from appliance.store.ids import new_id

EVENTS = ("flows.set", "nodes.install", "auth.log-in", "project.settings.updated", "started", "crashed")
RARE = "project.deleted"
NAMES = 40
YEAR_MS = 365 * 86400 * 1000


class Furnished(Struct, frozen=True):
    """What is there now: the team, instances with a bearer token of their Node-RED each, and the last entry."""

    team_id: str
    instances: list[tuple[str, str]]
    username: str


def furnish(database: Path, *, instances: int, entries: int) -> Furnished:
    """Copy the first instance of a box that does not run until there are so many, and write entries.

    Suspended instances cost no process. May be called again for more.
    """
    with closing(sqlite3.connect(database)) as db:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA synchronous=OFF")
        there = [dict(row) for row in db.execute("SELECT * FROM instances ORDER BY seq")]
        model = there[0]
        made = [_instance(db, model, number) for number in range(len(there), instances)]
        ids = [*(str(row["id"]) for row in there), *made]
        db.execute("UPDATE instances SET desired='suspended'")
        tokens = [(instance_id, _token(db, instance_id)) for instance_id in ids[:64]]
        db.executemany(
            "INSERT INTO audit (created_at, event, scope_type, scope_id, team_id, instance_id, user_id, username,"
            " trigger_type, source, body) VALUES (?, ?, 'project', ?, ?, ?, NULL, ?, 'user', 'node-red', ?)",
            _entries(str(model["team_id"]), ids, entries),
        )
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Furnished(str(model["team_id"]), tokens, "person-7")


def _instance(db: sqlite3.Connection, model: dict[str, object], number: int) -> str:
    instance_id = f"{number:08x}-0000-4000-8000-{number:012x}"
    name = f"line-{number}"
    row = {**model, "id": instance_id, "name": name, "safe_name": name, "number": number, "seq": None}
    db.execute(f"INSERT INTO instances ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))  # noqa: S608 - column names of our own table
    return instance_id


def _token(db: sqlite3.Connection, instance_id: str) -> str:
    token = new_token("fft")
    db.execute(
        "INSERT INTO tokens (id, kind, hash, instance_id, generation, created_at, name, read_only, admin_opt_in)"
        " VALUES (?, 'node_red', ?, ?, 1, ?, '', 0, 0)",
        (new_id(), token_hash(token), instance_id, int(time.time() * 1000)),
    )
    return token


def _entries(team_id: str, ids: list[str], count: int) -> Iterator[tuple[object, ...]]:
    chance = random.Random(4)  # noqa: S311 - the same log each time
    since = int(time.time() * 1000) - YEAR_MS
    for number in range(count):
        event = RARE if number % 100_000 == 0 else chance.choice(EVENTS)
        instance_id = chance.choice(ids)
        username = f"person-{chance.randrange(NAMES)}"
        body = f'{{"type":"full","nodes":{number}}}'
        yield since + number * YEAR_MS // count, event, instance_id, team_id, instance_id, username, body
