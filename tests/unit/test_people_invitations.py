"""Invitations and notifications over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.model import Role
from appliance.services.notifications import KEPT_PER_USER, tell
from appliance.store.engine import Tx
from tests.people_box import Caller, People, people_box
from tests.stores import Clock


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as made:
        yield made


async def invited(people: People, owner: Caller, name: str, role: int = 30) -> str:
    """Invite somebody; the id of the invitation."""
    path = f"/teams/{people.team}/invitations"
    assert await owner.ok("POST", path, {"user": name, "role": role}) == {"status": "okay"}
    return str((await owner.ok("GET", path))["invitations"][-1]["id"])


async def test_an_invitation_is_accepted(people: People) -> None:
    owner, ann = await people.add("owner", Role.OWNER), await people.add("ann")
    invitation = await invited(people, owner, "ann", 10)
    (told,) = (await ann.ok("GET", "/user/notifications"))["notifications"]
    assert (told["type"], told["read"], told["data"]["team"]["id"]) == ("team-invite", False, people.team)
    (mine,) = (await ann.ok("GET", "/user/invitations"))["invitations"]
    assert (mine["id"], mine["role"], mine["invitor"]["username"]) == (invitation, 10, "owner")
    assert mine["team"]["slug"] == "home" and "email" not in mine["invitee"]
    assert (await people.root.ok("GET", "/admin/invitations"))["count"] == 1
    assert await ann.ok("PATCH", f"/user/invitations/{invitation}") == {"status": "okay"}
    assert (await ann.ok("GET", f"/teams/{people.team}/user"))["role"] == 10
    assert (await ann.ok("GET", "/user/notifications"))["count"] == 0, "what it was about is settled"
    (said,) = (await owner.ok("GET", "/user/notifications"))["notifications"]
    assert (said["type"], said["data"]["invitee"]["username"]) == ("team-invite-accepted-invitor", "ann")
    events = ["team.user.invite.accepted", "team.user.added", "team.user.invited"]
    assert (await people.of_team())[:3] == events
    assert "user.invitation.accepted" in await people.events()
    assert (await ann("PATCH", f"/user/invitations/{invitation}")).status == 404, "once"


async def test_an_invitation_is_rejected_withdrawn_and_resent(people: People) -> None:
    owner, ann = await people.add("owner", Role.OWNER), await people.add("ann")
    first = await invited(people, owner, "ann")
    await ann.ok("DELETE", f"/user/invitations/{first}")
    second = await invited(people, owner, "ann@example.com")
    path = f"/teams/{people.team}/invitations/{second}"
    _clock(people).forward(days=6)
    again = await owner.ok("POST", path)
    assert again["id"] == second and again["sentAt"] > again["createdAt"]
    _clock(people).forward(days=6)
    assert (await ann.ok("GET", "/user/invitations"))["count"] == 1, "it began anew"
    (told,) = (await ann.ok("GET", "/user/notifications"))["notifications"]
    assert told["data"]["meta"]["counter"] == 2
    await owner.ok("DELETE", path)
    assert (await ann.ok("GET", "/user/invitations"))["count"] == 0
    assert (await ann.ok("GET", "/user/notifications"))["count"] == 0
    assert (await people.of_team())[:4] == [
        "team.user.uninvited",
        "team.user.invite-resent",
        "team.user.invited",
        "team.user.invite.rejected",
    ]
    assert (await ann("GET", f"/teams/{people.team}")).status == 404


async def test_an_invitation_ends_by_itself(people: People) -> None:
    owner, ann = await people.add("owner", Role.OWNER), await people.add("ann")
    invitation = await invited(people, owner, "ann")
    _clock(people).forward(days=7)
    assert (await ann("PATCH", f"/user/invitations/{invitation}")).status == 404
    assert (await owner.ok("GET", f"/teams/{people.team}/invitations"))["count"] == 0
    await invited(people, owner, "ann")


async def test_who_is_not_invited_is_told_why_and_the_others_are(people: People) -> None:
    owner = await people.add("owner", Role.OWNER)
    await people.add("ann")
    path = f"/teams/{people.team}/invitations"
    answer = await owner.ok("POST", path, {"user": "ann, nobody , OWNER,,ANN", "role": 30})
    assert answer["code"] == "invitation_failed" and set(answer["error"]) == {"nobody", "OWNER"}
    assert "Is invited already." in (await owner.ok("POST", path, {"user": "ann"}))["error"]["ann"]
    assert (await owner.ok("GET", path))["count"] == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"user": "a,b,c,d,e,f"}, 429, "too_many_invites"),
        ({"user": " , "}, 400, "invitation_failed"),
        ({"user": "ann", "role": 99}, 400, "invalid_team_role"),
        ({"user": ["ann"]}, 400, "invalid_request"),
        ({"role": 30}, 400, "invalid_request"),
    ],
)
async def test_bad_invitations(people: People, body: dict[str, object], status: int, code: str) -> None:
    owner = await people.add("owner", Role.OWNER)
    answer = await owner("POST", f"/teams/{people.team}/invitations", body)
    assert (answer.status, answer.code) == (status, code)


async def test_invitations_of_others_are_not_to_be_had(people: People) -> None:
    owner, ann, eve = await people.add("owner", Role.OWNER), await people.add("ann"), await people.add("eve")
    invitation = await invited(people, owner, "ann")
    for method in ("PATCH", "DELETE"):
        assert (await eve(method, f"/user/invitations/{invitation}")).status == 404
    await people.root.ok("PUT", "/settings", {"team:create": True})
    other = await eve.ok("POST", "/teams", {"name": "Eve's"})
    for method in ("POST", "DELETE"):
        assert (await eve(method, f"/teams/{other['id']}/invitations/{invitation}")).status == 404
    assert (await ann.ok("GET", "/user/invitations"))["count"] == 1


async def test_nobody_joins_a_suspended_team(people: People) -> None:
    owner, ann = await people.add("owner", Role.OWNER), await people.add("ann")
    invitation = await invited(people, owner, "ann")
    await people.root.ok("PUT", f"/teams/{people.team}", {"suspended": True})
    assert (await ann("PATCH", f"/user/invitations/{invitation}")).code == "forbidden"


# Notifications


async def test_notifications_are_marked_paged_and_dropped(people: People) -> None:
    ann, eve = await people.add("ann"), await people.add("eve")

    def work(tx: Tx) -> None:
        for number in range(5):
            tell(tx, ann.id, "announcement", f"a:{number}", {"n": number}, at=number)

    await people.box.context.store.write(work)
    first = await ann.ok("GET", "/user/notifications?limit=2")
    assert [each["data"]["n"] for each in first["notifications"]] == [4, 3]
    cursor = first["meta"]["next_cursor"]
    rest = await ann.ok("GET", f"/user/notifications?cursor={cursor}")
    assert [each["data"]["n"] for each in rest["notifications"]] == [2, 1, 0]
    one, two = (each["id"] for each in first["notifications"])
    marked = await ann.ok("PUT", "/user/notifications", {"ids": [one, two, "nowhere"], "read": True})
    assert [each["read"] for each in marked["notifications"]] == [True, True, False, False, False]
    await ann.ok("PUT", f"/user/notifications/{one}", {"read": False})
    await ann.ok("DELETE", f"/user/notifications/{two}")
    for method in ("PUT", "DELETE"):
        assert (await eve(method, f"/user/notifications/{one}", {} if method == "PUT" else None)).status == 404
    await eve.ok("PUT", "/user/notifications", {"ids": [one], "read": True})
    kept = (await ann.ok("GET", "/user/notifications"))["notifications"]
    assert [each["read"] for each in kept] == [False] * 4
    assert (await ann("GET", f"/user/notifications?cursor={people.team}")).status == 400


async def test_only_the_newest_notifications_are_kept(people: People) -> None:
    ann = await people.add("ann")

    def work(tx: Tx) -> None:
        for number in range(KEPT_PER_USER + 5):
            tell(tx, ann.id, "announcement", f"a:{number}", {"n": number}, at=number)

    await people.box.context.store.write(work)
    rows = await people.box.context.store.read(lambda tx: _count(tx, ann.id))
    assert rows == KEPT_PER_USER


async def test_announcements_reach_those_they_are_for(people: People) -> None:
    owner, viewer, none = (
        await people.add("owner", Role.OWNER),
        await people.add("viewer", Role.VIEWER),
        await people.add("none"),
    )
    body = {"title": "Tonight", "message": "The box restarts.", "url": "https://example.com/why"}
    assert await people.root.ok("POST", "/admin/announcements", {**body, "mock": True}) == {
        "recipientCount": 4,
        "mock": True,
    }
    sent = await people.root.ok("POST", "/admin/announcements", {**body, "filter": {"roles": [10]}})
    assert sent["recipientCount"] == 1
    (told,) = (await viewer.ok("GET", "/user/notifications"))["notifications"]
    assert told["type"] == "announcement" and told["data"] == body
    for other in (owner, none):
        assert (await other.ok("GET", "/user/notifications"))["count"] == 0
    admins = await people.root.ok("POST", "/admin/announcements", {**body, "recipientRoles": [99]})
    assert admins["recipientCount"] == 1
    for bad in (
        {**body, "filter": {"roles": [11]}},
        {**body, "filter": {"roles": "all"}},
        {**body, "title": " "},
        {**body, "message": "x" * 5000},
        {**body, "url": "javascript:alert(1)"},
    ):
        answer = await people.root("POST", "/admin/announcements", bad)
        assert (answer.status, answer.code) == (400, "bad_request"), bad


def _clock(people: People) -> Clock:
    clock = people.box.context.clock
    assert isinstance(clock, Clock)
    return clock


def _count(tx: Tx, user_id: str) -> int:
    from sqlalchemy import bindparam, func, select

    from appliance.store.tables import notifications

    counted = select(func.count().label("n")).where(notifications.c.user_id == bindparam("user"))
    row = tx.one(counted, user=user_id)
    return int(row["n"]) if row else 0
