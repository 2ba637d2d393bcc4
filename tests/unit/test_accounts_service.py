"""The first start, login, sessions, and what ends them."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from appliance.auth import passwords
from appliance.auth.passwords import Passwords
from appliance.config import Config, First
from appliance.errors import Invalid, TooMany, Unauthorized
from appliance.model import Role
from appliance.services.accounts import Accounts
from appliance.services.attempts import KEYS_LIMIT, Attempts
from appliance.services.context import Context
from appliance.services.first_run import FirstRun, slug
from appliance.store import catalogue
from tests.stores import Clock, Entries, fresh_context

PASSWORD = "correct horse battery"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def context(tmp_path: Path, clock: Clock) -> AsyncIterator[Context]:
    made = await fresh_context(tmp_path, clock=clock)
    yield made
    await made.store.close()


@pytest.fixture
def hasher() -> Iterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


@pytest.fixture
def entries() -> Entries:
    return Entries()


@pytest.fixture
def accounts(context: Context, entries: Entries, hasher: Passwords) -> Accounts:
    return Accounts(context, entries, hasher)


@pytest.fixture
async def first(accounts: Accounts) -> FirstRun:
    made = await accounts.bootstrap(PASSWORD)
    assert made is not None
    return made


# The first start


async def test_the_first_start_furnishes_the_box_once(context: Context, accounts: Accounts, entries: Entries) -> None:
    assert await accounts.is_new()
    made = await accounts.bootstrap()
    assert made is not None and made.generated and made.username == "admin"
    session_id, user = await accounts.login("admin", made.password, address="a")
    assert user.admin and user.defaultTeam == made.team_id and session_id.startswith("ffu_")
    (team,) = (await accounts.user_teams(user.id)).teams
    assert (team.name, team.slug, team.role, team.member_count) == ("Home", "home", int(Role.OWNER), 1)
    stack = await context.store.read(catalogue.newest_stack)
    assert stack is not None and (stack.name, stack.properties["nodered"]) == ("node-red-5", "5.0.7")
    (type_,) = await context.store.read(catalogue.types)
    (template,) = await context.store.read(catalogue.all_templates)
    assert type_.name == template.name == "Default" and type_.default_stack_id == stack.id
    assert template.settings["dashboardUI"] == "/ui"
    assert entries.names() == ["platform.team.created", "account.login"]
    assert not await accounts.is_new()
    assert await accounts.bootstrap() is None


async def test_two_first_starts_at_once_make_one_admin(accounts: Accounts) -> None:
    made = await asyncio.gather(accounts.bootstrap(), accounts.bootstrap())
    assert [run is None for run in made].count(True) == 1


async def test_a_given_password_is_used_and_a_bad_one_refused(accounts: Accounts) -> None:
    with pytest.raises(Invalid, match="at least 8"):
        await accounts.bootstrap("short")
    made = await accounts.bootstrap(PASSWORD)
    assert made is not None and not made.generated
    await accounts.login("ADMIN", PASSWORD, address="a")


async def test_the_first_instance_is_wanted_until_it_was_made(context: Context, hasher: Passwords) -> None:
    config = Config(first=First(instance="first"))
    accounts = Accounts(msgspec.structs.replace(context, config=config), Entries(), hasher)
    await accounts.bootstrap(PASSWORD)
    assert await accounts.first_instance() == "first"
    await accounts.first_instance_made("some-id")
    assert await accounts.first_instance() is None


async def test_a_box_born_without_an_instance_never_gets_one(context: Context, hasher: Passwords) -> None:
    def with_first(instance: str) -> Accounts:
        config = Config(first=First(instance=instance))
        return Accounts(msgspec.structs.replace(context, config=config), Entries(), hasher)

    await with_first("").bootstrap(PASSWORD)
    assert await with_first("late").first_instance() is None


@pytest.mark.parametrize(
    ("name", "wanted"), [("Home", "home"), ("Über Team!", "ber-team"), ("create", "team-create"), ("!!", "team")]
)
def test_slugs(name: str, wanted: str) -> None:
    assert slug(name) == wanted


# Login


async def test_a_wrong_password_and_an_unknown_name_are_the_same(accounts: Accounts, first: FirstRun) -> None:
    with pytest.raises(Unauthorized) as wrong:
        await accounts.login("admin", "not the password", address="a")
    with pytest.raises(Unauthorized) as unknown:
        await accounts.login("nobody", "not the password", address="b")
    assert (str(wrong.value), wrong.value.hint) == (str(unknown.value), unknown.value.hint)


async def test_an_unknown_name_takes_as_long(accounts: Accounts, first: FirstRun) -> None:
    async def seconds(name: str, n: int) -> float:
        started = time.perf_counter()
        with pytest.raises(Unauthorized):
            await accounts.login(name, "not the password", address=f"{name}{n}")
        return time.perf_counter() - started

    await seconds("warm-up", 0)
    known = statistics.median([await seconds("admin", n) for n in range(5)])
    unknown = statistics.median([await seconds(f"nobody{n}", n) for n in range(5)])
    assert 0.4 < unknown / known < 2.5


async def test_the_sixth_failure_has_to_wait(accounts: Accounts, first: FirstRun, clock: Clock) -> None:
    for n in range(5):
        with pytest.raises(Unauthorized):
            await accounts.login("admin", "wrong password", address=f"address {n}")
    clock.forward(seconds=10)
    with pytest.raises(TooMany) as refused:  # by name, though the password is right
        await accounts.login("Admin", PASSWORD, address="another")
    assert refused.value.retry_after_s == 20
    clock.forward(seconds=20)
    await accounts.login("admin", PASSWORD, address="another")


async def test_an_address_is_held_back_whatever_the_names(accounts: Accounts, first: FirstRun) -> None:
    for n in range(5):
        with pytest.raises(Unauthorized):
            await accounts.login(f"name{n}", "wrong password", address="one")
    with pytest.raises(TooMany):
        await accounts.login("admin", PASSWORD, address="one")
    await accounts.login("admin", PASSWORD, address="two")


async def test_many_at_once_are_counted_before_they_are_answered(accounts: Accounts, first: FirstRun) -> None:
    tries = (accounts.login("admin", f"guess number {n}", address=f"{n}") for n in range(20))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(answer) for answer in answers].count(Unauthorized) == 5
    assert [type(answer) for answer in answers].count(TooMany) == 15


async def test_logins_that_succeed_are_not_counted(accounts: Accounts, first: FirstRun) -> None:
    for _ in range(12):
        await accounts.login("admin", PASSWORD, address="a")


def test_attempts_are_bounded_in_memory() -> None:
    attempts = Attempts(5, 30)
    for n in range(KEYS_LIMIT + 500):
        attempts.begin([f"name:{n}" * 50], n)
    assert len(attempts._seen) == KEYS_LIMIT
    assert max(map(len, attempts._seen)) <= 64


async def test_a_flood_of_logins_is_turned_away(accounts: Accounts, first: FirstRun) -> None:
    tries = (accounts.login(f"n{n}", "guess", address=f"{n}") for n in range(passwords.WAITING_LIMIT + 10))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(answer) for answer in answers].count(TooMany) == 10


async def test_a_password_longer_than_any_is_just_wrong(accounts: Accounts, first: FirstRun) -> None:
    with pytest.raises(Unauthorized):
        await accounts.login("admin", "x" * 1_000_000, address="a")


# Sessions


async def test_a_session_lives_and_ends(accounts: Accounts, first: FirstRun, clock: Clock, entries: Entries) -> None:
    session_id, user = await accounts.login("admin", PASSWORD, address="a")
    info = await accounts.session(session_id)
    assert info is not None and info.user == user and len(info.csrf) == 64
    other_id, _ = await accounts.login("admin", PASSWORD, address="a")
    other = await accounts.session(other_id)
    assert other_id != session_id and other is not None and other.csrf != info.csrf
    await accounts.logout(session_id)
    assert await accounts.session(session_id) is None
    assert await accounts.session(other_id) is not None
    await accounts.logout(session_id)
    assert entries.names()[-1] == "account.logout"
    assert entries.names().count("account.logout") == 1


async def test_sessions_idle_out_and_have_a_hard_end(accounts: Accounts, first: FirstRun, clock: Clock) -> None:
    used, _ = await accounts.login("admin", PASSWORD, address="a")
    idle, _ = await accounts.login("admin", PASSWORD, address="a")
    for _ in range(5):
        clock.forward(hours=31)
        assert await accounts.session(used) is not None
    assert await accounts.session(idle) is None
    clock.forward(hours=7 * 24 - 5 * 31 - 0.01)
    assert await accounts.session(used) is not None
    clock.forward(hours=0.02)
    assert await accounts.session(used) is None


async def test_a_session_is_written_at_most_once_an_hour(
    context: Context, accounts: Accounts, first: FirstRun, clock: Clock
) -> None:
    session_id, _ = await accounts.login("admin", PASSWORD, address="a")
    raw = sqlite3.connect(context.home.database)
    seen = set()
    for _ in range(24):
        clock.forward(minutes=5)
        await accounts.session(session_id)
        seen.add(raw.execute("SELECT idle_at FROM sessions").fetchone()[0])
    raw.close()
    assert len(seen) == 3  # as made, and after one and two hours


async def test_nothing_at_rest_opens_a_session(context: Context, accounts: Accounts, first: FirstRun) -> None:
    session_id, _ = await accounts.login("admin", PASSWORD, address="a")
    info = await accounts.session(session_id)
    assert info is not None
    await context.store.close()
    stored = context.home.database.read_bytes()
    for secret in (session_id, session_id[4:], info.csrf, PASSWORD):
        assert secret.encode() not in stored


# Accounts


async def test_root_is_the_first_administrator(accounts: Accounts, first: FirstRun) -> None:
    root = await accounts.root()
    assert (root.kind, root.user_id, root.username, root.admin) == ("user", first.user_id, "root", True)
