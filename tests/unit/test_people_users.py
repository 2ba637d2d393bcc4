"""Accounts over the API: administrators' rows and one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.model import Role
from tests.people_box import People, people_box
from tests.web_box import PASSWORD

NEW = "quite another phrase 7"


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as made:
        yield made


async def test_an_account_is_made_shown_changed_and_deleted(people: People) -> None:
    body = {"name": "Ann Lee", "username": "ann", "password": NEW, "email": "Ann@Example.com", "isAdmin": False}
    made = await people.root.ok("POST", "/users", body)
    assert (made["username"], made["email"], made["admin"], made["suspended"]) == (
        "ann",
        "Ann@Example.com",
        False,
        False,
    )
    assert "password" not in str(made).replace("password_expired", "")
    for key in (made["id"], "ann", "ann@example.com"):
        assert (await people.root.ok("GET", f"/users/{key}"))["id"] == made["id"]
    changed = await people.root.ok("PUT", f"/users/{made['id']}", {"name": "Ann L.", "admin": True, "later": 1})
    assert (changed["name"], changed["admin"], changed["username"]) == ("Ann L.", True, "ann")
    assert await people.root.ok("DELETE", f"/users/{made['id']}") == {"status": "okay"}
    assert (await people.root("GET", f"/users/{made['id']}")).status == 404
    assert (await people.events())[:3] == ["user.deleted", "user.updated-user", "account.register"]


async def test_an_account_may_come_with_its_own_team(people: People) -> None:
    body = {"name": "Bo", "username": "bo", "password": NEW, "createDefaultTeam": True}
    made = await people.root.ok("POST", "/users", body)
    teams = (await people.root.ok("GET", f"/users/{made['id']}/teams"))["teams"]
    assert [(team["name"], team["slug"], team["role"], team["type"]["name"]) for team in teams] == [
        ("Team Bo", "bo", 50, "starter")
    ]
    assert made["defaultTeam"] == teams[0]["id"] and made["email"] == "bo@localhost"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"username": "admin"}, "invalid_username"),
        ({"username": "root"}, "invalid_username"),
        ({"username": "Ann"}, "invalid_username"),
        ({"username": "a b"}, "invalid_username"),
        ({"username": ""}, "invalid_username"),
        ({"username": "x" * 65}, "invalid_username"),
        ({"username": "../x"}, "invalid_username"),
        ({"username": "taken"}, "invalid_username"),
        ({"email": "TAKEN@example.com"}, "invalid_email"),
        ({"email": "nowhere"}, "invalid_request"),
        ({"name": "http://x"}, "invalid_name"),
        ({"name": "a\nb"}, "invalid_name"),
        ({"name": "\u202egnp.exe"}, "invalid_name"),
        ({"password": "short"}, "password_change_failed_too_weak"),
        ({"password": "password123"}, "password_change_failed_too_weak"),
        ({"password": "newcomer1!"}, "password_change_failed"),
        ({"isAdmin": "yes"}, "invalid_request"),
    ],
)
async def test_bad_accounts_are_refused_and_nothing_is_written(
    people: People, change: dict[str, object], code: str
) -> None:
    await people.add("taken")
    before = await people.events()
    body = {"name": "N", "username": "newcomer", "password": NEW, "email": "new@example.com", **change}
    answer = await people.root("POST", "/users", body)
    assert (answer.status, answer.code) == (400, code), answer.text
    assert (await people.root.ok("GET", "/users"))["count"] == 2
    assert await people.events() == before


async def test_lists_are_paged_searched_and_sorted(people: People) -> None:
    for name in ("cy", "ben", "al_1"):
        await people.add(name)
    names = ["admin", "cy", "ben", "al_1"]
    first = await people.root.ok("GET", "/users?limit=3")
    assert [user["username"] for user in first["users"]] == names[:3] and first["count"] == 3
    cursor = first["meta"]["next_cursor"]
    assert cursor == first["users"][-1]["id"]
    rest = await people.root.ok("GET", f"/users?limit=3&cursor={cursor}")
    assert [user["username"] for user in rest["users"]] == names[3:] and rest["meta"] == {}
    found = await people.root.ok("GET", "/users?query=L_")
    assert [user["username"] for user in found["users"]] == ["al_1"], "an underscore is an underscore"
    assert (await people.root.ok("GET", "/users?query=%25"))["count"] == 0
    page = await people.root.ok("GET", "/users?page=2&limit=3&sort=username&dir=desc")
    assert [user["username"] for user in page["users"]] == ["admin"]
    assert page["meta"] == {"page": 2, "pageSize": 3, "total": 4, "pageCount": 2}
    by_name = await people.root.ok("GET", "/users?sort=username&order=asc")
    assert [user["username"] for user in by_name["users"]] == sorted(names)


async def test_cursors_and_sorts_of_other_lists_are_refused(people: People) -> None:
    for query in (f"cursor={people.team}", "cursor=nowhere", "sort=password_hash", "page=0", "dir=up", "limit=x"):
        answer = await people.root("GET", f"/users?{query}")
        assert (answer.status, answer.code) == (400, "invalid_request"), query


async def test_people_change_their_own_account_but_not_their_rights(people: People) -> None:
    ann = await people.add("ann", Role.MEMBER)
    body = {"name": "Ann", "email": "ann@new.example", "admin": True, "suspended": True, "email_verified": False}
    changed = await ann.ok("PUT", "/user", body)
    assert (changed["name"], changed["email"]) == ("Ann", "ann@new.example")
    assert (changed["admin"], changed["suspended"], changed["email_verified"]) == (False, False, True)
    assert (await ann.ok("PUT", f"/users/{ann.id}", {"admin": True, "username": "annie"}))["admin"] is False
    assert (await ann.ok("GET", "/user"))["username"] == "annie", "a verified token shows the new name at once"
    assert (await ann.ok("PUT", "/user", {"defaultTeam": people.team, "tcs_accepted": True}))["tcs_accepted"]
    for team in ("nowhere", ""):
        assert (await ann("PUT", "/user", {"defaultTeam": team})).code == "invalid_team"
    other = await people.add("other")
    assert (await ann("PUT", f"/users/{other.id}", {"name": "x"})).status == 403
    assert (await ann("GET", f"/users/{other.id}")).status == 403
    assert (await ann("GET", "/users/nobody")).status == 403, "whether there is one is nobody's business"
    assert (await ann("PUT", "/user", {"username": "other"})).code == "invalid_username"


async def test_the_first_administrator_may_keep_his_name(people: People) -> None:
    changed = await people.root.ok("PUT", "/user", {"email": "boss@example.com", "username": "admin"})
    assert (changed["username"], changed["email"]) == ("admin", "boss@example.com")


async def test_whoever_is_suspended_is_out_at_once_and_in_again(people: People) -> None:
    ann = await people.add("ann", Role.OWNER)
    browser = people.box.browser()
    await browser.login("ann")
    assert (await browser.get("/")).status == 200
    await people.root.ok("PUT", f"/users/{ann.id}", {"suspended": True})
    assert (await ann("GET", "/user")).status == 401
    assert (await browser.get("/")).status == 303
    old, browser = browser, people.box.browser()
    assert "suspended" in (await browser.login("ann")).text
    await people.root.ok("PUT", f"/users/{ann.id}", {"suspended": False})
    assert (await ann("GET", "/user")).status == 200
    assert (await old.get("/")).status == 303, "the session that was ended stays so"


async def test_one_administrator_stays(people: People) -> None:
    me = (await people.root.ok("GET", "/user"))["id"]
    for body in ({"admin": False}, {"suspended": True}):
        answer = await people.root("PUT", f"/users/{me}", body)
        assert (answer.status, answer.code) == (400, "invalid_request")
    assert "last administrator" in (await people.root("DELETE", f"/users/{me}")).text
    second = await people.add("second", admin=True)
    assert "suspend himself" in (await second("PUT", f"/users/{second.id}", {"suspended": True})).text
    await second.ok("PUT", f"/users/{me}", {"suspended": True})
    assert (await second("PUT", f"/users/{second.id}", {"admin": False})).status == 400, (
        "a suspended one does not count"
    )


async def test_rights_that_were_taken_count_no_longer_at_once(people: People) -> None:
    second = await people.add("second", admin=True)
    await second.ok("GET", "/users")
    await people.root.ok("PUT", f"/users/{second.id}", {"admin": False})
    assert (await second("GET", "/users")).status == 403


async def test_the_only_owner_of_a_team_is_not_deleted(people: People) -> None:
    second = await people.add("second", admin=True)
    await second.ok("POST", "/teams", {"name": "Theirs"})
    answer = await people.root("DELETE", f"/users/{second.id}")
    assert answer.status == 400 and "Theirs" in answer.text
    assert (await second("DELETE", "/user")).status == 400


async def test_whoever_deletes_himself_is_gone(people: People) -> None:
    ann = await people.add("ann", Role.MEMBER)
    await ann.ok("DELETE", "/user")
    assert (await ann("GET", "/user")).status == 401
    members = (await people.root.ok("GET", f"/teams/{people.team}/members"))["members"]
    assert "ann" not in [member["username"] for member in members]


async def test_a_new_password_needs_the_old_one_and_ends_sessions(people: People) -> None:
    ann = await people.add("ann")
    browser = people.box.browser()
    await browser.login("ann")
    for old, new, code in (
        ("wrong", NEW, "password_change_failed"),
        (PASSWORD, PASSWORD, "password_change_failed"),
        (PASSWORD, "ann", "password_change_failed_too_weak"),
        (PASSWORD, "12345678", "password_change_failed_too_weak"),
        (PASSWORD, "ann@example.com", "password_change_failed"),
    ):
        answer = await ann("PUT", "/user/change_password", {"old_password": old, "password": new})
        assert (answer.status, answer.code) == (400, code), (old, new)
    await ann.ok("PUT", "/user/change_password", {"old_password": PASSWORD, "password": NEW})
    assert (await browser.get("/")).status == 303
    assert (await people.box.browser().login("ann", NEW)).status == 303
    assert "user.updated-password" in await people.events()


async def test_the_old_password_can_not_be_tried_out(people: People) -> None:
    ann = await people.add("ann")
    body = {"old_password": "no", "password": NEW}
    tries = [(await ann("PUT", "/user/change_password", body)).status for _ in range(6)]
    assert tries == [400] * 5 + [429]


async def test_an_expired_password_is_changed_at_the_login(people: People) -> None:
    ann = await people.add("ann")
    browser = people.box.browser()
    await browser.login("ann")
    await people.root.ok("PUT", f"/users/{ann.id}", {"password_expired": True})
    assert (await browser.get("/")).status == 303, "sessions end"
    page = await browser.login("ann")
    assert page.status == 200 and "Choose a new password" in page.text
    form = {**page.fields, "password": NEW, "again": NEW}
    assert (await browser.post("/account/reset_password", form)).location == "/account/login"
    assert (await browser.login("ann", NEW)).status == 303
    assert not (await people.root.ok("GET", f"/users/{ann.id}"))["password_expired"]
    wrong = await people.box.browser().login("ann", "wrong one")
    assert wrong.status == 401 and "ffpr_" not in wrong.text
