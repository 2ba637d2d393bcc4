"""Invitations and notices on the landing page: answered by its own forms, and by nobody else's."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from appliance.model import Role
from appliance.schema.members import Announce, Invite
from appliance.schema.users import CreateTeam
from tests.web_box import PASSWORD, WebBox

EVIL = "https://box.test:10003"  # an instance on the same host name


class Asked(Struct):
    """Somebody who was invited, and whereto."""

    team: str
    invitation: str


async def _invited(box: WebBox) -> Asked:
    admin = await box.services.accounts.root()
    person = await box.person("ann", Role.NONE)
    team = await box.services.directory.teams.create(admin, CreateTeam(name="<Pumps>"))
    await box.services.directory.invitations.invite(admin, team, Invite(user="ann", role=10))
    (open_one,) = (await box.services.directory.invitations.of_team(team)).invitations
    assert open_one.invitee.id == person.id
    return Asked(team, open_one.id)


async def _role(box: WebBox, team: str) -> list[str]:
    return [each.username for each in (await box.services.directory.members.of_team(team)).members]


async def test_an_invitation_is_accepted_on_the_page(box: WebBox) -> None:
    asked = await _invited(box)
    browser = box.browser()
    await browser.login("ann", PASSWORD)
    page = await browser.get("/")
    assert "invites you into the team <strong>&lt;Pumps&gt;</strong>, as viewer" in page.text
    done = await browser.post(f"/account/invitations/{asked.invitation}/accept", {"csrf": page.fields["csrf"]})
    assert (done.status, done.location) == (303, "/")
    assert "ann" in await _role(box, asked.team)
    assert "invites you" not in (await browser.get("/")).text
    again = await browser.post(f"/account/invitations/{asked.invitation}/accept", {"csrf": page.fields["csrf"]})
    assert again.status == 404 and "no such invitation" in again.text


async def test_declining_leaves_the_team_alone(box: WebBox) -> None:
    asked = await _invited(box)
    browser = box.browser()
    await browser.login("ann", PASSWORD)
    token = (await browser.get("/")).fields["csrf"]
    assert (await browser.post(f"/account/invitations/{asked.invitation}/reject", {"csrf": token})).status == 303
    assert "ann" not in await _role(box, asked.team)
    assert "invites you" not in (await browser.get("/")).text


@pytest.mark.parametrize("word", ["accept", "reject"])
async def test_no_other_page_and_no_other_person_answers(box: WebBox, word: str) -> None:
    asked = await _invited(box)
    await box.person("bob", Role.MEMBER)
    path = f"/account/invitations/{asked.invitation}/{word}"
    ann, bob = box.browser(), box.browser()
    assert (await ann.post(path, (await ann.get("/account/login")).fields)).location == "/account/login"
    await ann.login("ann", PASSWORD)
    await bob.login("bob", PASSWORD)
    token = (await ann.get("/")).fields["csrf"]
    assert (await ann.post(path, {"csrf": token}, origin=EVIL)).status == 403
    assert (await ann.post(path, {"csrf": "x" * 43})).status == 403
    assert (await bob.post(path, {"csrf": (await bob.get("/")).fields["csrf"]})).status == 404
    assert "ann" not in await _role(box, asked.team) and "invites you" in (await ann.get("/")).text


async def test_notices_are_shown_until_they_are_read(box: WebBox) -> None:
    admin = await box.services.accounts.root()
    await box.person("ann", Role.MEMBER)
    announce = box.services.directory.notifications.announce
    await announce(admin, Announce(title="Power", message="off at <noon>"))
    browser = box.browser()
    await browser.login("ann", PASSWORD)
    page = await browser.get("/")
    assert "Power: off at &lt;noon&gt;" in page.text
    clock: Any = box.context.clock
    clock.forward(seconds=1)
    await announce(admin, Announce(title="Later", message="than the page"))
    fields = {"csrf": page.fields["csrf"], "ids": page.fields["ids"]}
    assert (await browser.post("/account/notifications/read", fields)).location == "/"
    left = (await browser.get("/")).text
    assert "off at" not in left and "than the page" in left
