"""Teams, roles and applications."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from appliance.errors import Invalid, NotFound, Unavailable
from appliance.events import Event
from appliance.model import SYSTEM, Role, Subject
from appliance.schema.common import Page
from appliance.schema.members import AddMember
from appliance.schema.users import CreateApplication
from appliance.services import teams as service
from appliance.services.context import Context
from appliance.services.first_run import FirstRun
from appliance.services.members import Members
from appliance.services.teams import Teams
from appliance.store import teams as rows
from appliance.store.engine import Tx
from tests.stores import Entries, add_user, fresh_context, furnished


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[Context]:
    made = await fresh_context(tmp_path)
    yield made
    await made.store.close()


@pytest.fixture
def entries() -> Entries:
    return Entries()


@pytest.fixture
def teams(context: Context, entries: Entries) -> Teams:
    return Teams(context, entries)


@pytest.fixture
async def home(context: Context) -> tuple[FirstRun, str]:
    return await furnished(context)


@pytest.fixture
def first(home: tuple[FirstRun, str]) -> FirstRun:
    return home[0]


async def _another_team(context: Context, team_id: str = "other") -> str:
    await context.store.write(lambda tx: rows.add(tx, team_id=team_id, name=team_id, slug=team_id, at=0))
    return team_id


async def test_a_team_shows_what_it_has(teams: Teams, first: FirstRun) -> None:
    team = await teams.team(first.team_id)
    assert (team.name, team.slug, team.instance_count, team.member_count) == ("Home", "home", 1, 1)
    assert team.links.self == f"https://localhost/api/v1/teams/{team.id}"
    assert await teams.by_slug("HOME") == team
    for missing in (teams.team("none"), teams.by_slug("none")):
        with pytest.raises(NotFound):
            await missing


async def test_links_follow_the_first_accepted_name(context: Context, first: FirstRun) -> None:
    named = msgspec.structs.replace(context, names=lambda: ("plant.example:8443", "localhost"))
    team = await Teams(named, Entries()).team(first.team_id)
    assert team.links.self.startswith("https://plant.example:8443/api/v1/teams/")


async def test_teams_are_paged_and_searched(context: Context, teams: Teams, first: FirstRun) -> None:
    for name in ("alpha", "beta", "gamma"):
        await _another_team(context, name)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await teams.teams(Page(cursor=cursor, limit=3))
        seen += [team.name for team in page.teams]
        cursor = page.meta.next_cursor
        if cursor is None:
            break
    assert seen == ["Home", "alpha", "beta", "gamma"]
    assert [team.name for team in (await teams.teams(Page(query="AM"))).teams] == ["gamma"]


async def test_roles(context: Context, teams: Teams, first: FirstRun) -> None:
    other = await _another_team(context)
    ada = await add_user(context, "ada", {first.team_id: Role.VIEWER})
    boss = await add_user(context, "boss", {first.team_id: Role.MEMBER}, admin=True)
    assert await teams.role(first.team_id, ada) is Role.VIEWER
    assert await teams.role(other, ada) is Role.NONE
    assert await teams.role(other, boss) is Role.ADMIN
    assert await teams.role(first.team_id, SYSTEM) is Role.ADMIN
    narrowed = msgspec.structs.replace(boss, team_ids=frozenset({other}))
    assert await teams.role(first.team_id, narrowed) is Role.NONE
    launcher = Subject(kind="launcher", instance_id="i", team_id=first.team_id)
    assert await teams.role(first.team_id, launcher) is Role.NONE


async def test_ones_own_role(context: Context, teams: Teams, first: FirstRun) -> None:
    other = await _another_team(context)
    ada = await add_user(context, "ada", {first.team_id: Role.VIEWER})
    boss = await add_user(context, "boss", {first.team_id: Role.MEMBER}, admin=True)
    assert (await teams.team_user(first.team_id, ada)).role == Role.VIEWER
    assert (await teams.team_user(first.team_id, boss)).role == Role.MEMBER
    assert (await teams.team_user(other, boss)).role == Role.ADMIN
    with pytest.raises(NotFound):
        await teams.team_user(other, ada)


async def test_a_changed_role_counts_at_once(context: Context, teams: Teams, first: FirstRun, entries: Entries) -> None:
    ada = await add_user(context, "ada", {first.team_id: Role.VIEWER})
    assert ada.user_id is not None
    assert await teams.role(first.team_id, ada) is Role.VIEWER
    members = Members(context, entries)
    await members.set_role(SYSTEM, first.team_id, ada.user_id, Role.MEMBER)
    assert await teams.role(first.team_id, ada) is Role.MEMBER
    other = await _another_team(context)
    assert await teams.role(other, ada) is Role.NONE
    await members.add(SYSTEM, other, AddMember(user="ada", role=50))
    assert await teams.role(other, ada) is Role.OWNER
    assert entries.names() == ["team.user.role-changed", "team.user.added"]


async def test_owners_of_things_are_cached_and_dropped(
    context: Context, teams: Teams, home: tuple[FirstRun, str]
) -> None:
    first, instance = home
    things = {("instance", instance), ("application", first.application_id), ("team", first.team_id)}
    for kind, thing in things:
        assert await teams.team_of(kind, thing) == first.team_id
        assert await teams.team_of(kind, "none") is None
    await context.store.close()
    for kind, thing in things:
        assert await teams.team_of(kind, thing) == first.team_id
    context.bus.publish(Event("instance.state", instance))  # happens all the time and changes no owner
    assert await teams.team_of("instance", instance) == first.team_id
    context.bus.publish(Event("instance.removed", instance))
    with pytest.raises(Unavailable):
        await teams.team_of("instance", instance)


async def test_what_was_read_before_a_change_is_not_kept_after_it(
    context: Context, teams: Teams, home: tuple[FirstRun, str]
) -> None:
    looking = asyncio.create_task(teams.team_of("instance", home[1]))
    await asyncio.sleep(0)
    context.bus.publish(Event("instance.removed", home[1]))
    await looking
    assert not teams._owners


async def test_the_caches_are_bounded(
    context: Context, teams: Teams, first: FirstRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CACHE_LIMIT", 3)
    for n in range(6):
        await teams.role(first.team_id, Subject(kind="user", user_id=f"u{n}"))
    assert len(teams._roles) == 3


async def test_applications(context: Context, teams: Teams, first: FirstRun, entries: Entries) -> None:
    made = await teams.create_application(SYSTEM, CreateApplication(name=" Line 2 ", team_id=first.team_id))
    assert made.name == "Line 2" and made.team == {"id": first.team_id, "name": "Home", "slug": "home"}
    assert await teams.application(made.id) == made
    assert [a.name for a in (await teams.applications(first.team_id)).applications] == ["First application", "Line 2"]
    assert entries.names() == ["application.created"]
    assert await teams.team_of("application", made.id) == first.team_id


@pytest.mark.parametrize("name", ["", "  ", "x" * 129])
async def test_bad_application_names_are_refused(teams: Teams, first: FirstRun, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        await teams.create_application(SYSTEM, CreateApplication(name=name, team_id=first.team_id))
    assert refused.value.code == "invalid_application_name"


async def test_an_application_needs_its_team(teams: Teams, first: FirstRun, entries: Entries) -> None:
    with pytest.raises(NotFound):
        await teams.create_application(SYSTEM, CreateApplication(name="x", team_id="none"))
    with pytest.raises(NotFound):
        await teams.application("none")
    assert entries.names() == []


async def test_the_default_application_is_the_oldest_that_one_owns(
    context: Context, teams: Teams, first: FirstRun
) -> None:
    other = await _another_team(context)
    mine = await teams.create_application(SYSTEM, CreateApplication(name="mine", team_id=other))
    ada = await add_user(context, "ada", {first.team_id: Role.MEMBER, other: Role.OWNER})
    assert await teams.default_application(ada) == mine.id
    assert await teams.default_application(SYSTEM) == first.application_id
    boss = await add_user(context, "boss", {}, admin=True)
    assert await teams.default_application(boss) == first.application_id
    eve = await add_user(context, "eve", {first.team_id: Role.MEMBER})
    for nobody in (eve, msgspec.structs.replace(ada, team_ids=frozenset({first.team_id}))):
        with pytest.raises(Invalid) as refused:
            await teams.default_application(nobody)
        assert refused.value.code == "invalid_application"


async def test_team_lookups_use_an_index(context: Context, teams: Teams, first: FirstRun) -> None:
    """Each is asked for nearly every request."""
    statements: list[str] = []
    await context.store._open[1].set_trace_callback(statements.append)
    await context.store._open[2].set_trace_callback(statements.append)
    ada = await add_user(context, "ada", {first.team_id: Role.VIEWER})
    await teams.role(first.team_id, ada)
    await teams.team_of("application", first.application_id)
    selects = [sql for sql in statements if sql.startswith("SELECT")]
    assert len(selects) == 2
    for sql in selects:
        plan = await _plan(context, sql)
        assert "USING" in plan and "SCAN" not in plan, plan


async def _plan(context: Context, sql: str) -> str:
    def work(tx: Tx) -> str:
        return " ".join(str(row["detail"]) for row in tx.all(text(f"EXPLAIN QUERY PLAN {sql}")))

    return await context.store.read(work)
