"""Settings of the platform, statistics, licence, audit logs as pages and sheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.model import Role
from appliance.schema.audit import AuditEntry, AuditPage, AuditScope, AuditTrigger
from appliance.schema.common import AuditQuery, Meta
from appliance.web.csv import sheet
from tests.people_box import Caller, People, people_box


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as made:
        yield made


# Settings


async def test_settings_are_changed_all_or_nothing(people: People) -> None:
    await people.root.ok("PUT", "/settings", {"team:create": True, "user:tcs-url": "https://example.com/t"})
    assert (await people.nobody.ok("GET", "/settings"))["user:tcs-url"] == "https://example.com/t"
    answer = await people.root("PUT", "/settings", {"team:create": False, "user:singup": True})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.json["hint"] == "Did you mean 'user:signup'?"
    assert (await people.root.ok("GET", "/settings"))["team:create"] is True
    page = await people.box.services.audit.page("box", None, AuditQuery())
    (entry,) = [entry for entry in page.log if entry.event == "platform.settings.updated"]
    assert {"key": "team:create", "old": False, "new": True, "dif": "updated"} in entry.body["updates"]


@pytest.mark.parametrize(
    "body",
    [
        {"team:create": "yes"},
        {"team:create": None},
        {"user:tcs-url": 5},
        {"user:tcs-url": "javascript:alert(1)"},
        {"branding:account:signUpTopBanner": "x" * 5000},
        {"user:reset-password": True},
        {"telemetry:enabled": True},
        {"platform:stats:token": True},
        {"": 1},
        {"x" * 10_000: 1},
        [],
        "text",
        None,
    ],
)
async def test_bad_settings(people: People, body: Any) -> None:
    before = await people.root.ok("GET", "/settings")
    answer = await people.root("PUT", "/settings", body if body is not None else [None])
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert await people.root.ok("GET", "/settings") == before


async def test_what_stands_still_may_be_sent_back(people: People) -> None:
    """Clients of the reference send what they were given."""
    fixed = {"user:reset-password": False, "telemetry:enabled": False, "team:user:invite:external": False}
    assert await people.root.ok("PUT", "/settings", fixed) == {"status": "okay"}
    assert "platform.settings.updated" not in await people.events(), "nothing changed"


async def test_terms_get_a_date_and_are_accepted(people: People) -> None:
    assert (await people.root.ok("GET", "/settings"))["user:tcs-date"] is None
    await people.root.ok("PUT", "/settings", {"user:tcs-updated": True})
    assert (await people.root.ok("GET", "/settings"))["user:tcs-date"].startswith("2026-11-23T")
    assert (await people.root.ok("PUT", "/user", {"tcs_accepted": True}))["tcs_accepted"].startswith("2026-11-23T")


# Admin


async def test_statistics_as_json_and_as_open_metrics(people: People) -> None:
    await people.add("ann", Role.MEMBER)
    plant = await people.box.instance("plant")
    await people.root.ok("POST", f"/projects/{plant.id}/actions/suspend")
    numbers = await people.root.ok("GET", "/admin/stats")
    assert (numbers["userCount"], numbers["adminCount"], numbers["teamCount"]) == (2, 1, 1)
    assert (numbers["teamsByType"], numbers["instancesByState"]) == ({"starter": 1}, {"suspended": 1})
    answer = await people.root("GET", "/admin/stats", Accept="application/openmetrics-text")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    lines = answer.text.splitlines()
    assert "flowforge_user_count 2" in lines and "flowforge_instances_by_state_suspended 1" in lines
    assert lines[-1] == "# EOF" and answer.text.endswith("\n")


async def test_metrics_are_well_formed_whatever_types_are_called(people: People) -> None:
    for name in ("a b", "ä{}", "1\\"):
        await people.root.ok("POST", "/team-types", {"name": name})
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    answer = await people.root("GET", "/admin/stats", Accept="application/openmetrics-text")
    assert len(list(text_string_to_metric_families(answer.text))) > 10


async def test_the_statistics_token_is_good_for_nothing_else(people: People) -> None:
    first = (await people.root.ok("POST", "/admin/stats-token"))["token"]
    second = (await people.root.ok("POST", "/admin/stats-token"))["token"]
    collector = Caller(people.box, second, "tcp")
    assert (await collector.ok("GET", "/admin/stats"))["userCount"] == 1
    assert (await Caller(people.box, first, "tcp")("GET", "/admin/stats")).status == 401
    for path in ("/user", "/users", "/teams", "/instances", "/admin/audit-log", "/admin/license"):
        assert (await collector("GET", path)).status == 403, path
    assert "team:create" not in await collector.ok("GET", "/settings")
    assert (await people.root.ok("GET", "/settings"))["platform:stats:token"] is True
    await people.root.ok("DELETE", "/admin/stats-token")
    assert (await collector("GET", "/admin/stats")).status == 401
    assert (await people.root.ok("GET", "/settings"))["platform:stats:token"] is False
    await people.root.ok("DELETE", "/admin/stats-token")


async def test_there_is_no_licence(people: People) -> None:
    assert await people.root.ok("GET", "/admin/license") == {}
    for action, code in (("apply", "invalid_license"), ("inspect", "invalid_license"), ("x", "invalid_license_action")):
        answer = await people.root("PUT", "/admin/license", {"license": "ey", "action": action})
        assert (answer.status, answer.code) == (400, code)


# Audit logs


async def test_the_platforms_log_holds_people_and_platform_but_no_team(people: People) -> None:
    await people.add("ann")
    await people.box.instance("plant")
    await people.root.ok("PUT", "/settings", {"team:create": True})
    log = (await people.root.ok("GET", "/admin/audit-log"))["log"]
    assert {entry["scope"]["type"] for entry in log} == {"platform", "user"}
    assert [entry["id"] for entry in log] == sorted((entry["id"] for entry in log), key=int, reverse=True)
    only = await people.root.ok(
        "GET", "/admin/audit-log?event=account.register&event=platform.settings.updated&limit=1"
    )
    assert [entry["event"] for entry in only["log"]] == ["platform.settings.updated"]
    rest = await people.root.ok("GET", f"/admin/audit-log?event=account.register&cursor={only['meta']['next_cursor']}")
    assert [entry["body"]["user"]["username"] for entry in rest["log"]] == ["ann"]
    by_name = await people.root.ok("GET", "/admin/audit-log?username=root")
    assert {entry["trigger"]["name"] for entry in by_name["log"]} == {"root"}
    for bad in ("cursor=x", "limit=0", f"cursor={people.team}"):
        assert (await people.root("GET", f"/admin/audit-log?{bad}")).status == 400


async def test_logs_as_sheets(people: People) -> None:
    owner = await people.add("owner", Role.OWNER)
    plant = await people.box.instance("plant")
    await owner.ok("PUT", f"/teams/{people.team}", {"name": '=cmd|"x", y'})
    for path in ("/admin", f"/teams/{people.team}", f"/projects/{plant.id}", f"/applications/{plant.application.id}"):
        answer = await people.root("GET", f"{path}/audit-log/export")
        assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/csv")
        rows = list(csv.reader(io.StringIO(answer.text)))
        assert rows[0] == ["id", "event", "body", "scope", "trigger", "createdAt"]
        page = await people.root.ok("GET", f"{path}/audit-log")
        assert [row[:2] for row in rows[1:]] == [[entry["id"], entry["event"]] for entry in page["log"]]
        assert [json.loads(row[2]) for row in rows[1:]] == [entry["body"] for entry in page["log"]]
        assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


@pytest.mark.parametrize("event", ["=1+1", "+1", "-1", "@x", "\tx", 'a"b,c', "a\nb"])
def test_no_cell_of_a_sheet_is_a_formula_or_breaks_out(event: str) -> None:
    scope, trigger = AuditScope(id=None, type="platform"), AuditTrigger(id=None, type="user", name="=x")
    entry = AuditEntry(id="1", created_at="now", event=event, scope=scope, trigger=trigger, body={})
    rows = list(csv.reader(io.StringIO(sheet(AuditPage(meta=Meta(), count=1, log=[entry])).body.decode(), newline="")))
    assert len(rows) == 2 and len(rows[1]) == 6
    assert rows[1][1] in (event, f"'{event}") and not rows[1][1].startswith(("=", "+", "-", "@", "\t"))


async def test_a_sheet_says_where_it_goes_on(people: People) -> None:
    for name in ("a", "b", "c"):
        await people.root.ok("POST", "/teams", {"name": name})
    answer = await people.root("GET", "/admin/audit-log/export?limit=2")
    assert len(answer.text.splitlines()) == 3
    following = await people.root("GET", f"/admin/audit-log/export?cursor={answer.headers['X-Next-Cursor']}")
    assert "X-Next-Cursor" not in following.headers and len(following.text.splitlines()) > 1
