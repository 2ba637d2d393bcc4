"""A new password by a code from the console, and signing up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.model import Role
from appliance.store.values import to_ms
from tests.people_box import People, people_box
from tests.stores import Clock
from tests.web_box import ORIGIN, PASSWORD

NEW = "quite another phrase 7"


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as made:
        yield made


async def code(people: People, user_id: str) -> str:
    return str((await people.root.ok("POST", f"/users/{user_id}/reset-password"))["token"])


async def test_a_code_sets_a_password_once_and_ends_sessions(people: People) -> None:
    ann = await people.add("ann")
    browser = people.box.browser()
    await browser.login("ann")
    issued = await people.root.ok("POST", f"/users/{ann.id}/reset-password")
    assert issued["token"].startswith("ffpr_") and issued["url"] == f"{ORIGIN}/account/reset_password"
    assert issued["user"]["username"] == "ann" and issued["token"] not in issued["url"]
    path = f"/account/reset_password/{issued['token']}"
    weak = await people.nobody("POST", path, {"password": "password"})
    assert (weak.status, weak.code) == (400, "password_change_failed_too_weak")
    same = await people.nobody("POST", path, {"password": PASSWORD})
    assert same.code == "password_change_failed"
    assert (await browser.get("/")).status == 200, "nothing has happened so far"
    await people.nobody.ok("POST", path, {"password": NEW})
    assert (await browser.get("/")).status == 303
    assert (await people.box.browser().login("ann", NEW)).status == 303
    again = await people.nobody("POST", path, {"password": NEW + "!"})
    assert (again.status, again.code) == (400, "password_reset_failed")
    events = await people.events()
    assert {"account.forgot-password", "account.reset-password", "user.updated-password"} <= set(events)


async def test_codes_end_by_time_by_another_and_by_any_new_password(people: People) -> None:
    clock = people.box.context.clock
    assert isinstance(clock, Clock)
    ann = await people.add("ann")
    first = await code(people, ann.id)
    second = await code(people, ann.id)
    lasting = await people.again(ann.user, expires_at=to_ms(clock.now) + 3_600_000)
    for bad in (first, "ffpr_" + "x" * 43, lasting.token or ""):
        answer = await people.nobody("POST", f"/account/reset_password/{bad}", {"password": NEW})
        assert answer.code == "password_reset_failed"
        clock.forward(minutes=2)
    clock.forward(minutes=30)
    late = await people.nobody("POST", f"/account/reset_password/{second}", {"password": NEW})
    assert late.code == "password_reset_failed"
    third = await code(people, ann.id)
    await ann.ok("PUT", "/user/change_password", {"old_password": PASSWORD, "password": NEW})
    gone = await people.nobody("POST", f"/account/reset_password/{third}", {"password": NEW + "8"})
    assert gone.code == "password_reset_failed"


async def test_codes_can_not_be_tried_out(people: People) -> None:
    path = "/account/reset_password/ffpr_" + "y" * 43
    tries = [(await people.nobody("POST", path, {"password": NEW})).status for _ in range(6)]
    assert tries == [400] * 5 + [429]


async def test_a_code_is_no_token_and_a_suspended_user_gets_none(people: People) -> None:
    ann = await people.add("ann")
    token = await code(people, ann.id)
    async with people.box.client("tcp", token).get("/api/v1/user") as answer:
        assert answer.status == 401
    await people.root.ok("PUT", f"/users/{ann.id}", {"suspended": True})
    refused = await people.nobody("POST", f"/account/reset_password/{token}", {"password": NEW})
    assert refused.code == "password_reset_failed"
    assert (await people.root("POST", f"/users/{ann.id}/reset-password")).code == "user_suspended"
    assert (await people.root("POST", "/users/nobody/reset-password")).status == 404


async def test_no_token_gets_codes_for_others(people: People) -> None:
    second, me = await people.add("second", admin=True), (await people.root.ok("GET", "/user"))["id"]
    assert (await second("POST", f"/users/{me}/reset-password")).status == 403


async def test_the_page_takes_the_code_and_hides_it(people: People) -> None:
    ann = await people.add("ann")
    token = await code(people, ann.id)
    browser = people.box.browser()
    page = await browser.get("/account/reset_password")
    assert page.status == 200 and 'name="code"' in page.text
    form = {**page.fields, "code": f" {token} ", "password": NEW, "again": "something else"}
    differs = await browser.post("/account/reset_password", form)
    assert differs.status == 400 and "differ" in differs.text
    weak = await browser.post("/account/reset_password", {**form, "password": "password", "again": "password"})
    assert weak.status == 400 and f'value="{token}"' in weak.text, "the code stays good"
    done = await browser.post("/account/reset_password", {**form, "again": NEW})
    assert (done.status, done.location) == (303, "/account/login")
    used = await browser.post("/account/reset_password", {**form, "again": NEW})
    assert used.status == 400 and "too old" in used.text


async def test_the_page_needs_its_own_form(people: People) -> None:
    token = await code(people, (await people.add("ann")).id)
    browser = people.box.browser()
    form = {"code": token, "password": NEW, "again": NEW}
    assert (await browser.post("/account/reset_password", form)).status == 403
    page = await browser.get("/account/reset_password")
    stolen = await browser.post("/account/reset_password", {**page.fields, **form}, Origin="https://box.test:10001")
    assert stolen.status == 403


async def test_there_is_no_recovery_by_mail(people: People) -> None:
    for address in ("admin@localhost", "nobody@example.com"):
        answer = await people.nobody("POST", "/account/forgot_password", {"email": address})
        assert (answer.status, answer.code) == (400, "password_reset_unavailable")


# Signing up

JOIN = {"username": "new", "password": NEW, "name": "New One", "email": "new@example.com"}


async def test_nobody_signs_up_unless_it_is_allowed(people: People) -> None:
    answer = await people.nobody("POST", "/account/register", JOIN)
    assert (answer.status, answer.code) == (400, "user_registration_unavailable")
    assert (await people.root.ok("GET", "/users"))["count"] == 1


async def test_signing_up_makes_a_plain_account(people: People) -> None:
    await people.root.ok("PUT", "/settings", {"user:signup": True})
    made = await people.nobody.ok("POST", "/account/register", {**JOIN, "isAdmin": True, "admin": True})
    assert (made["username"], made["admin"], made["defaultTeam"]) == ("new", False, None)
    assert (await people.box.browser().login("new", NEW)).status == 303
    taken = await people.nobody("POST", "/account/register", JOIN)
    assert (taken.status, taken.code) == (400, "invalid_username")


async def test_signing_up_may_come_with_a_team(people: People) -> None:
    await people.root.ok("PUT", "/settings", {"user:signup": True, "user:team:auto-create": True})
    made = await people.nobody.ok("POST", "/account/register", JOIN)
    teams = (await people.root.ok("GET", f"/users/{made['id']}/teams"))["teams"]
    assert [(team["name"], team["role"]) for team in teams] == [("Team New One", int(Role.OWNER))]


async def test_accounts_are_not_made_by_the_hundred(people: People) -> None:
    await people.root.ok("PUT", "/settings", {"user:signup": True})
    tries = [
        (await people.nobody("POST", "/account/register", {**JOIN, "username": f"n{n}", "email": f"n{n}@x.y"})).status
        for n in range(6)
    ]
    assert tries == [200] * 5 + [429]
