"""Teams, members, invitations, users and tokens on the screens, against a real appliance: what its API says after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.model import Role
from tests.people_box import Caller, People, people_box
from tests.support import eventually
from tests.tui.platform_rig import NASTY, at, fills, goes, page, reads, typed
from tests.tui.rig import FAST
from tui.profile import Profile
from tui.screens.secret import SecretScreen


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as found:
        yield found


async def test_a_team_is_made_changed_stopped_and_deleted(people: People) -> None:
    async with at(people) as (app, pilot):
        await goes(pilot, "teams")
        await reads(app, "SLUG", "YOU ARE")
        await pilot.press("c")
        await reads(app, "Name", "[ do it ]")
        await fills(pilot, {"name": NASTY, "slug": "plant-two"})
        await reads(app, "is made; its slug", "YOU ARE", "[red]x[/] 計計")
        team = (await people.root.ok("GET", "/teams/slug/plant-two"))["id"]

        app.frame.table.move_to(app.frame.table.keys.index(team))
        await pilot.press("E")
        await reads(app, "Type")
        await fills(pilot, {"name": "Line two"})
        await reads(app, "Line two is changed")
        assert (await people.root.ok("GET", f"/teams/{team}"))["name"] == "Line two"

        app.frame.table.move_to(app.frame.table.keys.index(team))
        await pilot.press("u")
        await typed(pilot, "plant-two")
        await reads(app, "suspended")
        assert (await people.root.ok("GET", f"/teams/{team}"))["suspended"] is True
        await pilot.press("u")
        await reads(app, "goes on")
        assert (await people.root.ok("GET", f"/teams/{team}"))["suspended"] is False

        await pilot.press("x")
        await typed(pilot, "plant")
        await reads(app, "nothing was done")
        assert (await people.root("GET", f"/teams/{team}")).status == 200
        await pilot.press("x")
        await typed(pilot, "plant-two")
        await eventually(lambda: "plant-two" not in "\n".join(page(app)[2:-2]))
        assert (await people.root("GET", f"/teams/{team}")).status == 404


async def test_a_member_gets_another_role_and_is_removed(people: People) -> None:
    await people.add("alice", Role.MEMBER)
    bob = await people.add("bob")
    async with at(people) as (app, pilot):
        await goes(pilot, "members")
        await reads(app, "alice", "member")
        app.frame.table.move_to(app.frame.table.keys.index((await _member(people, "alice"))["id"]))
        await pilot.press("r")
        await typed(pilot, "boss")
        await reads(app, "'boss' is no role")
        assert (await _member(people, "alice"))["role"] == Role.MEMBER
        await pilot.press("r")
        await typed(pilot, "viewer")
        await reads(app, "alice is viewer")
        assert (await _member(people, "alice"))["role"] == Role.VIEWER

        await pilot.press("a")
        await typed(pilot, "bob owner")
        await reads(app, "bob is owner")
        assert (await _member(people, "bob"))["role"] == Role.OWNER

        app.frame.table.move_to(app.frame.table.keys.index(bob.id))
        await pilot.press("x")
        await typed(pilot, "bob")
        await reads(app, "belongs to", without="bob                     ")
        assert (await people.root("GET", f"/teams/{people.team}/members")).text.count('"bob"') == 0


async def _member(people: People, name: str) -> dict[str, object]:
    listed = await people.root.ok("GET", f"/teams/{people.team}/members")
    return next(each for each in listed["members"] if each["username"] == name)


async def test_whoever_may_not_does_not_see_it_and_a_lost_right_is_told(people: People) -> None:
    olga = await people.add("olga", Role.OWNER)
    viewer = await people.add("vera", Role.VIEWER)
    async with at(people, viewer) as (app, pilot):
        await goes(pilot, "members")
        await reads(app, "olga", "vera")
        assert "r role" not in page(app)[-1]
        await pilot.press("r")
        await reads(app, "your role does not let you role")
        await goes(pilot, "users")
        await reads(app, "'users' is no command")
        await goes(pilot, "audit")
        await reads(app, "you may see no team's audit log")
    async with at(people, olga) as (app, pilot):
        await goes(pilot, "members")
        await reads(app, "r role")
        app.frame.table.move_to(app.frame.table.keys.index(viewer.id))
        await people.root.ok("PUT", f"/teams/{people.team}/members/{olga.id}", {"role": 10})
        await pilot.press("r")
        await typed(pilot, "owner")
        await reads(app, "needs the role owner")
        await reads(app, "needs the role", without="r role")
        assert (await _member(people, "vera"))["role"] == Role.VIEWER


async def test_an_invitation_goes_out_and_is_accepted_declined_or_withdrawn(people: People) -> None:
    olga = await people.add("olga", Role.OWNER)
    alice, bob = await people.add("alice"), await people.add("bob")
    async with at(people, olga) as (app, pilot):
        await goes(pilot, "invitations")
        await reads(app, "no open invitations")
        await pilot.press("i")
        await typed(pilot, "alice, bob nobody viewer")
        await reads(app, "nobody: ", "alice", "bob", "viewer")
        listed = (await olga.ok("GET", f"/teams/{people.team}/invitations"))["invitations"]
        assert sorted(each["invitee"]["username"] for each in listed) == ["alice", "bob"]
        assert {each["role"] for each in listed} == {Role.VIEWER}
    async with at(people, alice) as (app, pilot):
        await goes(pilot, "invitations")
        await reads(app, "you ", "olga")
        await pilot.press("A")
        await reads(app, "you are viewer", "no open invitations")
        assert (await _member(people, "alice"))["role"] == Role.VIEWER
    async with at(people, bob) as (app, pilot):
        await goes(pilot, "invitations")
        await reads(app, "you ", "olga")
        await pilot.press("R")
        await reads(app, "is declined", "no open invitations")
    assert (await olga.ok("GET", f"/teams/{people.team}/invitations"))["invitations"] == []
    await olga.ok("POST", f"/teams/{people.team}/invitations", {"user": "bob"})
    async with at(people, olga) as (app, pilot):
        await goes(pilot, "teams")
        await reads(app, "owner")
        await pilot.press("i")
        await reads(app, "bob")
        await pilot.press("r")
        await reads(app, "bob is told once more")
        await pilot.press("x")
        await reads(app, "is withdrawn", "no open invitations")
    assert (await bob.ok("GET", "/user/invitations"))["invitations"] == []


async def test_a_user_is_made_changed_kept_out_and_deleted(people: People) -> None:
    async with at(people) as (app, pilot):
        await goes(pilot, "users")
        await reads(app, "administrator")
        await pilot.press("c")
        await reads(app, "User name")
        await fills(pilot, {"username": "Not A Name", "team": people.team, "role": "10"})
        await reads(app, "[ do it ]")  # refused: what was typed is still there
        await fills(pilot, {"username": "carla", "name": NASTY, "email": "carla@plant.example"})
        await reads(app, "shown this once", "typed at", "/account/reset_password")
        user = await people.root.ok("GET", "/users/carla")
        code = next(text for label, text, *_ in app.frame._facts if label == "code")  # type: ignore[attr-defined]
        answer = await people.nobody("POST", f"/account/reset_password/{code}", {"password": "a long password 77"})
        assert answer.status == 200
        assert (await _member(people, "carla"))["role"] == Role.VIEWER

        await pilot.press("escape")
        await reads(app, "carla", "[red]x[/] 計計")
        app.frame.table.move_to(app.frame.table.keys.index(user["id"]))
        await pilot.press("enter")
        await reads(app, "teams", "(viewer)", "carla@plant.example")
        await pilot.press("escape", "E")
        await fills(pilot, {"name": "Carla", "expired": "on"})
        await reads(app, "carla is changed")
        changed = await people.root.ok("GET", "/users/carla")
        assert (changed["name"], changed["password_expired"]) == ("Carla", True)

        await pilot.press("u")
        await typed(pilot, "carla")
        await reads(app, "carla is kept out")
        assert (await people.root.ok("GET", "/users/carla"))["suspended"] is True
        await eventually(lambda: app.frame.chosen.suspended)  # type: ignore[attr-defined]
        await pilot.press("u")
        await reads(app, "may log in again")
        await pilot.press("A")
        await typed(pilot, "carla")
        await reads(app, "carla is an administrator")
        changed = await people.root.ok("GET", "/users/carla")
        assert (changed["suspended"], changed["admin"]) == (False, True)

        await pilot.press("p")
        await typed(pilot, "carla")
        await reads(app, "a new password")
        assert isinstance(app.frame, SecretScreen)
        await pilot.press("escape", "x")
        await typed(pilot, "carla")
        await reads(app, "carla is deleted")
        assert (await people.root("GET", "/users/carla")).status == 404


async def test_a_token_is_shown_once_narrowed_and_revoked(people: People) -> None:
    async with at(people) as (app, pilot):
        await goes(pilot, "tokens")
        await reads(app, "no tokens; c makes one")
        await pilot.press("c")
        await reads(app, "Only look")
        await fills(pilot, {"name": NASTY, "expires": "yesterday"})
        await reads(app, "is no time")
        await fills(pilot, {"expires": "12h", "read": "on", "team": people.team})
        await reads(app, "shown this once", "ffpat_")
        secret = next(text for label, text, *_ in app.frame._facts if label == "token")  # type: ignore[attr-defined]
        holder = Caller(people.box, secret, "tcp")
        assert (await holder("GET", f"/teams/{people.team}")).status == 200
        assert (await holder("PUT", f"/teams/{people.team}", {"name": "no"})).status == 403

        await pilot.press("escape")
        await reads(app, "[red]x[/] 計計", "look  ", without="ffpat_")
        assert "ffpat_" not in "\n".join(page(app))
        await pilot.press("E")
        await reads(app, "Only look")
        await fills(pilot, {"read": "off"})
        await reads(app, "in force at once", "look and change")
        listed = (await people.root.ok("GET", "/user/tokens"))["tokens"]
        assert [(each["readOnly"], [team["id"] for team in each["teams"]]) for each in listed] == [
            (False, [people.team])
        ]
        await pilot.press("x")
        await typed(pilot, NASTY)
        await reads(app, "no tokens; c makes one")
        assert (await holder("GET", "/user")).status == 401


async def test_it_reads_in_ascii_without_colour_and_at_forty_columns(people: People) -> None:
    await people.add("alice", Role.MEMBER)
    low = Profile(low=True, colour=False, ascii=True, repaint_s=0.01, status_s=FAST.status_s)
    async with at(people, profile=low, size=(40, 12)) as (app, pilot):
        for word in ("teams", "members", "invitations", "users", "tokens"):
            await goes(pilot, word)
            await eventually(lambda: app.frame.fetched)  # type: ignore[attr-defined]
            assert "\n".join(page(app)).isascii()


async def test_a_box_that_goes_away_leaves_what_was_there_and_heals(people: People) -> None:
    async with at(people) as (app, pilot):
        await goes(pilot, "teams")
        await reads(app, "home", "owner")
        await people.box.go_away()
        await pilot.press("ctrl+r")
        await reads(app, "what you see is old", "home", "owner")
        await pilot.press("c")
        await reads(app, "home")  # no form without the types of teams; the reason is told
        await people.box.come_back()
        await people.root.ok("POST", "/teams", {"name": "Late", "slug": "late"})
        await reads(app, "late", without="what you see is old")


async def test_what_is_typed_into_a_form_is_sent_once(people: People) -> None:
    async with at(people) as (app, pilot):
        await goes(pilot, "teams")
        await reads(app, "home")
        await pilot.press("c")
        await fills(pilot, {"name": "Once"})
        await pilot.press("S", "S")
        await reads(app, "Once", "YOU ARE")
        teams = (await people.root.ok("GET", "/teams"))["teams"]
        assert [each["name"] for each in teams].count("Once") == 1
