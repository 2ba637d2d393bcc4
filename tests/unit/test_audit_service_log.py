"""The audit log: who is believed, what is kept, and how fast a page of a long log is."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from appliance.errors import Invalid, NotFound, TooMany
from appliance.model import SYSTEM, Role, Subject
from appliance.schema.audit import AuditEntry
from appliance.schema.common import AuditQuery
from appliance.services import audit as service
from appliance.services import palette
from appliance.store import audit, instances
from appliance.store.engine import Tx
from appliance.store.statements import Statements
from tests.service_rig import Rig, service_rig


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home) as rig:
        yield rig


@pytest.fixture
async def instance_id(rig: Rig) -> str:
    return (await rig.create()).id


async def _report(rig: Rig, instance_id: str, kind: str = "node_red", **document: object) -> AuditEntry:
    await rig.audit.from_node(instance_id, msgspec.json.encode(document), kind)
    return (await rig.entries(instance_id))[0]


async def test_who_did_it(rig: Rig) -> None:
    subjects = [rig.admin, SYSTEM, Subject(kind="user", user_id="u", username="pat", source="api")]

    def work(tx: Tx) -> None:
        for subject in subjects:
            rig.audit.record(tx, "platform.stack.created", subject=subject, scope_type="platform", scope_id=None)

    await rig.context.store.write(work)
    log = (await rig.audit.page("platform", None, AuditQuery())).log
    told = [(entry.trigger.type, entry.trigger.id, entry.trigger.name, entry.source) for entry in reversed(log)]
    assert told == [
        ("user", rig.made.user_id, "admin", None),
        ("system", None, "weir", None),
        ("user", "u", "pat", "api"),
    ]
    assert [event.kind for event in rig.events][-3:] == ["audit"] * 3


async def test_a_report_that_is_sent_twice_is_recorded_once(rig: Rig, instance_id: str) -> None:
    """The first answer was lost, with the appliance that gave it (instance protocol L12)."""
    crashed = msgspec.json.encode({"event": "crashed", "info": {"code": 1}})
    for request in ("a1", "a1", "a2", None, None, "x" * 65, "x" * 65):
        await rig.audit.from_node(instance_id, crashed, "launcher", request)
    found = [entry for entry in await rig.entries(instance_id) if entry.event == "crashed"]
    assert len(found) == 6
    other = await rig.create("line-2")
    await rig.audit.from_node(other.id, crashed, "launcher", "a1")
    assert (await rig.entries(other.id))[0].event == "crashed"


async def test_a_flow_cannot_have_a_report_of_the_launcher_left_out(rig: Rig, instance_id: str) -> None:
    """It can read the ids of reports that the launcher keeps on the disk while the appliance is away."""
    crashed = msgspec.json.encode({"event": "crashed", "info": {"code": 1}})
    await rig.audit.from_node(instance_id, msgspec.json.encode({"event": "flows.set"}), "node_red", "a1")
    for _ in range(2):
        await rig.audit.from_node(instance_id, crashed, "launcher", "a1")
    assert [entry.source for entry in await rig.entries(instance_id) if entry.event == "crashed"] == ["launcher"]


async def test_a_flow_cannot_have_last_words_forgotten(
    rig: Rig, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CRASHES_KEPT", 2)
    lines = [{"ts": "1", "level": "error", "msg": "its last words"}]
    await _report(rig, instance_id, "launcher", event="crashed", __launcherLog=lines)
    for _ in range(4):
        await _report(rig, instance_id, event="crashed")
    await _report(rig, instance_id, "launcher", event="crashed", __launcherLog=lines)

    async def kept() -> list[bool]:
        return ["log" in each.body for each in await rig.entries(instance_id) if each.source == "launcher"]

    assert await kept() == [True, True]
    await _report(rig, instance_id, "launcher", event="crashed", __launcherLog=lines)
    assert await kept() == [True, True, False]


async def test_an_entry_goes_with_its_transaction(rig: Rig) -> None:
    def work(tx: Tx) -> None:
        rig.audit.record(tx, "team.created", subject=rig.admin, scope_type="platform", scope_id=None)
        raise Invalid("no")

    with pytest.raises(Invalid):
        await rig.context.store.write(work)
    assert (await rig.audit.page("platform", None, AuditQuery())).count == 0
    assert [event for event in rig.events if event.kind == "audit"] == []


async def test_what_node_red_says_is_recorded_as_said_by_it(rig: Rig, instance_id: str) -> None:
    document = {"event": "flows.set", "type": "full", "user": rig.made.user_id, "timestamp": 1, "path": "/flows"}
    entry = await _report(rig, instance_id, level=98, **document)
    assert (entry.event, entry.source, entry.trigger.type) == ("flows.set", "node-red", "unknown")
    assert (entry.trigger.id, entry.username) == (rig.made.user_id, "admin")
    assert entry.body == {"project": {"id": instance_id, "name": "line-1"}, "type": "full"}
    team = await rig.audit.page("team", rig.made.team_id, AuditQuery(limit=1))
    assert team.log == [entry]


async def test_a_flow_cannot_name_a_stranger(rig: Rig, instance_id: str) -> None:
    other_team, _ = await rig.team("other")
    stranger = await rig.member("stella", Role.OWNER, other_team)
    entry = await _report(rig, instance_id, event="flows.set", user=stranger.user_id)
    assert (entry.trigger.id, entry.username, entry.trigger.name) == (None, None, "unknown")


async def test_a_launcher_is_the_system(rig: Rig, instance_id: str) -> None:
    entry = await _report(rig, instance_id, "launcher", event="start-failed", error={"code": "x", "error": "y"})
    assert (entry.event, entry.source, entry.trigger.type) == ("project.start-failed", "launcher", "system")
    assert entry.body["error"] == {"code": "x", "error": "y"}
    crashed = await _report(rig, instance_id, "launcher", event="crashed", info={"code": 1}, __launcherLog=["secret"])
    assert crashed.body == {"project": {"id": instance_id, "name": "line-1"}, "info": {"code": 1}}


@pytest.mark.parametrize("event", ["project.deleted", "account.login", "platform.settings.updated", "user.deleted"])
async def test_a_flow_cannot_forge_what_the_platform_writes(rig: Rig, instance_id: str, event: str) -> None:
    with pytest.raises(Invalid, match="only"):
        await _report(rig, instance_id, event=event)
    assert [entry.event for entry in await rig.entries(instance_id)] == ["project.created"]


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", b'{"event":5}', b'{"event":""}', b'{"event":"a b"}', b'{"event":"' + b"x" * 97 + b'"}',
     b'{"event":"a","x":NaN}', b'{"event":"a","x":"\xff"}', b'{"event":"a","x":' + b"[" * 9999 + b"]" * 9999 + b"}"],
    ids=lambda document: str(document)[:20],
)  # fmt: skip
async def test_what_is_no_event_is_refused(rig: Rig, instance_id: str, document: bytes) -> None:
    with pytest.raises(Invalid):
        await rig.audit.from_node(instance_id, document, "node_red")


async def test_unknown_instances_and_dropped_events(rig: Rig, instance_id: str) -> None:
    with pytest.raises(NotFound):
        await rig.audit.from_node("nobody", b'{"event":"a"}', "node_red")
    entry = await _report(rig, instance_id, event="api.error", error="version_mismatch")
    assert entry.event == "project.created", "of no interest to anyone"


async def test_numbers_beyond_64_bits_are_no_fault_of_ours(rig: Rig, instance_id: str) -> None:
    await rig.audit.from_node(instance_id, b'{"event":"a","n":1234567890123456789012345678901234567890}', "node_red")
    assert (await rig.entries(instance_id))[0].event == "a"


async def test_a_huge_report_is_cut(rig: Rig, instance_id: str) -> None:
    entry = await _report(rig, instance_id, event="api.error", message="ä" * 100_000, project={"id": "forged"})
    assert entry.body["truncated"] is True
    assert entry.body["project"]["id"] == instance_id
    assert len(msgspec.json.encode(entry.body)) < 20_000


async def test_a_flow_cannot_flood_the_log(rig: Rig, instance_id: str) -> None:
    other = (await rig.create("other")).id
    refused = 0
    for _ in range(320):
        try:
            await rig.audit.from_node(instance_id, b'{"event":"flood"}', "node_red")
        except TooMany:
            refused += 1
    assert refused == 20
    await rig.audit.from_node(instance_id, b'{"event":"crashed"}', "launcher")
    await rig.audit.from_node(other, b'{"event":"flows.set"}', "node_red")
    rig.clock.forward(seconds=1)
    await rig.audit.from_node(instance_id, b'{"event":"again"}', "node_red")


async def test_installed_nodes_are_remembered(rig: Rig, instance_id: str) -> None:
    await _report(rig, instance_id, event="nodes.install", module="@flowfuse/node-red-dashboard", version="1.2.3")
    await _report(rig, instance_id, event="modules.install", module="lodash")
    await _report(rig, instance_id, event="nodes.install", module="broken", version="1.0.0", error="E404")
    await _report(rig, instance_id, event="nodes.install", module="../../etc/passwd", version="1.0.0")
    await _report(rig, instance_id, event="nodes.install", module="evil", version="file:/etc")
    expected = {"@flowfuse/node-red-dashboard": "~1.2.3", "lodash": "*", "evil": "*"}
    assert await _modules(rig, instance_id) == expected
    await _report(rig, instance_id, event="nodes.remove", module="evil")
    await _report(rig, instance_id, event="nodes.remove", module="never-there")
    del expected["evil"]
    assert await _modules(rig, instance_id) == expected
    document = await rig.instances.settings_document(instance_id, "launcher")
    assert document["settings"]["palette"]["modules"] == expected


async def _modules(rig: Rig, instance_id: str) -> dict[str, str]:
    row = await rig.context.store.read(lambda tx: instances.get(tx, instance_id))
    assert row is not None
    return palette.modules(row.settings)


@pytest.mark.parametrize("name", ["-g", "--help", "A", "a b", "a/b", "@a", "http://x", "x" * 215, "", "@/a", ".."])
def test_names_that_npm_would_not_take(name: str) -> None:
    assert not palette.valid_name(name)


async def test_pages_newest_first_and_filters(rig: Rig, instance_id: str) -> None:
    for number in range(25):
        await _report(rig, instance_id, event="even" if number % 2 == 0 else "odd", n=number)

    def numbers(log: list[AuditEntry]) -> list[int]:
        return [entry.body["n"] for entry in log if "n" in entry.body]

    first = await rig.audit.page("project", instance_id, AuditQuery(limit=10))
    assert numbers(first.log) == list(range(24, 14, -1))
    second = await rig.audit.page("project", instance_id, AuditQuery(limit=10, cursor=first.meta.next_cursor))
    assert numbers(second.log) == list(range(14, 4, -1))
    third = await rig.audit.page("project", instance_id, AuditQuery(limit=10, cursor=second.meta.next_cursor))
    assert (numbers(third.log), third.count, third.meta.next_cursor) == ([4, 3, 2, 1, 0], 6, None)
    odd = await rig.audit.page("team", rig.made.team_id, AuditQuery(event=["odd"]))
    assert numbers(odd.log) == list(range(23, 0, -2))
    both = await rig.audit.page("project", instance_id, AuditQuery(event=["odd", "even"], limit=5))
    assert numbers(both.log) == [24, 23, 22, 21, 20]
    mine = await rig.audit.page("team", rig.made.team_id, AuditQuery(username="admin"))
    assert [entry.event for entry in mine.log] == ["project.created"]
    assert (await rig.audit.page("project", instance_id, AuditQuery(event=[""], username=""))).count == 26
    nobody = await rig.audit.page("project", instance_id, AuditQuery(username="admin", event=["odd"]))
    assert nobody.log == []


@pytest.mark.parametrize("others", [10, audit.FEW + 10])
async def test_one_person_and_one_event_however_many_others_there_are(rig: Rig, instance_id: str, others: int) -> None:
    """Two statements answer this: by the event where it is rare, else by the name."""
    by = ["pat", *["kim"] * others, "pat"]

    def work(tx: Tx) -> None:
        for number, name in enumerate(by):
            scope = {"scope_type": "project", "scope_id": instance_id, "instance_id": instance_id}
            about = {"team_id": rig.made.team_id, "user_id": None, "trigger_type": "user", "source": None}
            for event in ("seen", "other"):
                body = {"n": number}
                new = audit.NewEntry(at=1, event=event, username=name, body=body, **scope, **about)  # type: ignore[arg-type]
                audit.write(tx, new)

    await rig.context.store.write(work)
    for scope, key in (("team", rig.made.team_id), ("project", instance_id)):
        page = await rig.audit.page(scope, key, AuditQuery(username="pat", event=["seen"]))
        assert [(entry.event, entry.body["n"]) for entry in page.log] == [("seen", others + 1), ("seen", 0)]
        second = await rig.audit.page(scope, key, AuditQuery(username="pat", event=["seen"], cursor=page.log[0].id))
        assert [entry.body["n"] for entry in second.log] == [0]


async def test_questions_that_make_no_sense(rig: Rig) -> None:
    for scope, query in [
        ("moon", AuditQuery()),
        ("team", AuditQuery(cursor="abc")),
        ("team", AuditQuery(cursor="9" * 30)),
        ("team", AuditQuery(event=[f"e{n}" for n in range(21)])),
    ]:
        with pytest.raises(Invalid):
            await rig.audit.page(scope, "x", query)


async def test_other_teams_logs_are_apart(rig: Rig, instance_id: str) -> None:
    team_id, application_id = await rig.team("other")
    other = await rig.create("other", application_id=application_id)
    log = (await rig.audit.page("team", team_id, AuditQuery())).log
    assert [entry.scope.id for entry in log] == [other.id]
    assert [entry.scope.id for entry in (await rig.audit.page("team", rig.made.team_id, AuditQuery())).log] == [
        instance_id
    ]


PARAMS = {"of": "t", "before": audit.NEWEST, "most": 100, "named": "e", "by": "admin"}


@pytest.mark.parametrize("key", audit.STATEMENTS, ids=str)
async def test_every_page_walks_an_index(rig: Rig, key: tuple[str, bool, bool]) -> None:
    statement = audit.STATEMENTS[key]
    names = {"before", "most"} | (set() if key[0] == "box" else {"of"})
    names |= ({"named"} if key[1] else set()) | ({"by"} if key[2] else set())
    sql, values = Statements(SQLiteDialect(paramstyle="qmark")).bind(statement, {name: PARAMS[name] for name in names})
    connection = sqlite3.connect(rig.context.home.database)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    connection.close()
    assert len(plan) == 1, plan
    assert plan[0].startswith("SEARCH audit USING INDEX ix_audit_")
    assert "seq<?" in plan[0], "in the order of the index, so that no page is sorted"


async def test_a_page_of_a_long_log_is_quick(rig: Rig, instance_id: str) -> None:
    connection = sqlite3.connect(rig.context.home.database)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute(
        "INSERT INTO audit (created_at, event, scope_type, scope_id, team_id, instance_id, trigger_type, body)"
        " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
        " SELECT i, 'flows.set', 'project', ?1, ?2, ?1, 'unknown', '{\"project\":{}}' FROM n",
        (instance_id, rig.made.team_id),
    )
    connection.commit()
    connection.close()
    queries = [
        AuditQuery(limit=100),
        AuditQuery(limit=100, cursor="50000"),
        AuditQuery(event=["project.created", "crashed"]),
        AuditQuery(username="admin"),
    ]
    for query in queries:
        for scope, scope_id in (("team", rig.made.team_id), ("project", instance_id)):
            times = []
            for _ in range(5):
                begin = time.perf_counter()
                page = await rig.audit.page(scope, scope_id, query)
                times.append(time.perf_counter() - begin)
                assert page.count in (1, 100)
            assert min(times) < 0.03, (query, times)


async def test_what_a_node_red_reports_does_not_grow_for_ever(
    rig: Rig, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest of its own reports go; what people, the platform and other instances did stays."""
    monkeypatch.setattr(service, "REPORTS_KEPT", 20)
    monkeypatch.setattr(service, "TRIM_EVERY", 10)
    other = (await rig.create("other")).id
    await _report(rig, other, event="flows.set")
    await _report(rig, instance_id, "launcher", event="crashed")
    for number in range(58):
        await _report(rig, instance_id, event="flows.set", number=number)
    kept = await rig.entries(instance_id)
    reported = [entry.body["number"] for entry in kept if entry.source == "node-red"]
    assert reported == list(range(57, 37, -1))
    assert {entry.event for entry in kept} == {"flows.set", "crashed", "project.created"}
    assert "flows.set" in [entry.event for entry in await rig.entries(other)]


async def test_the_last_lines_stay_with_the_newest_crashes(
    rig: Rig, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CRASHES_KEPT", 3)
    lines = [{"ts": f"{number:017d}", "msg": f"line {number} " + "x" * 900, "src": "ab"} for number in range(20)]
    for number in range(5):
        await _report(rig, instance_id, "launcher", event="crashed", info={"code": number}, __launcherLog=lines)
        await _report(rig, instance_id, event="crashed", __launcherLog=lines)
    crashes = [entry for entry in await rig.entries(instance_id) if entry.event == "crashed"]
    seen = [entry.body.get("log") for entry in crashes if entry.source == "launcher"]
    assert [log is not None for log in seen] == [True, True, True, False, False], (
        "what a flow makes up counts for nothing"
    )
    assert seen[0] is not None
    assert [line["ts"] for line in seen[0]] == [f"{number:017d}" for number in range(12, 20)]
    assert len(msgspec.json.encode(seen[0])) <= service.CRASH_LOG_BYTES + 1000 and "src" not in seen[0][0]
    assert all("log" not in entry.body for entry in crashes if entry.source == "node-red"), "a flow can write those"
    assert [entry.body["info"]["code"] for entry in crashes if entry.source == "launcher"] == [4, 3, 2, 1, 0]
