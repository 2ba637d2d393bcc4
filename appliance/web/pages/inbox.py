"""What the landing page says to a person beside his instances: invitations to answer, and what happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from appliance.model import Role
from appliance.schema.common import Page
from appliance.schema.members import Invitation, MarkNotifications, Notification
from appliance.web.pages.visitor import BrowserAsk, browser_of
from appliance.web.route import Reply, redirect
from appliance.web.services import Services

MOST = 20
# An invitation is shown as one, so that it can be answered.
_INVITATION = "team-invite"


class Offer(Struct, frozen=True):
    """An open invitation; `by` asks for `team`, with `role`."""

    id: str
    team: str
    role: str
    by: str


class Notice(Struct, frozen=True):
    """Something that happened; `text` is a sentence, `at` a day and a time."""

    id: str
    text: str
    at: str


class Inbox(Struct, frozen=True):
    """`more`: there are further notices than are shown."""

    offers: list[Offer]
    notices: list[Notice]
    more: bool


async def inbox(services: Services, ask: BrowserAsk) -> Inbox:
    """The unread of the person whose session it is."""
    offers = (await services.directory.invitations.of_user(ask.subject)).invitations
    found = (await services.directory.notifications.page(ask.subject, Page())).notifications
    unread = [each for each in found if not each.read and each.type != _INVITATION]
    return Inbox([_offer(each) for each in offers], [_notice(each) for each in unread[:MOST]], len(unread) > MOST)


async def accept(services: Services, ask: BrowserAsk) -> Reply:
    """By the form of the landing page."""
    if browser_of(ask).session is None:
        return redirect("/account/login")
    await services.directory.invitations.accept(ask.subject, ask.params["invitation"])
    return redirect("/")


async def reject(services: Services, ask: BrowserAsk) -> Reply:
    """By the form of the landing page."""
    if browser_of(ask).session is None:
        return redirect("/account/login")
    await services.directory.invitations.reject(ask.subject, ask.params["invitation"])
    return redirect("/")


async def read(services: Services, ask: BrowserAsk) -> Reply:
    """Mark the notices that the page showed: not those that came after it was made."""
    if browser_of(ask).session is None:
        return redirect("/account/login")
    ids = [each for each in ask.body.get("ids", "").split(",") if each]
    if ids:
        await services.directory.notifications.mark(ask.subject, MarkNotifications(ids=ids, read=True))
    return redirect("/")


def _offer(each: Invitation) -> Offer:
    role = next((known.name.lower() for known in Role if known == each.role), "member")
    return Offer(each.id, each.team.name, role, each.invitor.name or each.invitor.username)


def _notice(each: Notification) -> Notice:
    return Notice(each.id, _sentence(each.type, each.data), f"{each.created_at[:16].replace('T', ' ')} UTC")


def _sentence(kind: str, data: Mapping[str, Any]) -> str:
    instance, team = _name(data, "instance", "project"), _name(data, "team")
    said = {
        "instance-crashed": f"{instance} crashed.",
        "instance-safe-mode": f"{instance} runs in safe mode: its flows are stopped.",
        "instance-resource-cpu": f"{instance} uses much processor time.",
        "instance-resource-memory": f"{instance} uses much memory.",
        "team-invite-accepted-invitor": f"{_name(data, 'invitee')} has joined {team}.",
        "announcement": ": ".join(str(data[part]) for part in ("title", "message") if data.get(part)),
    }.get(kind, kind)
    counter = data.get("meta", {}).get("counter", 1) if isinstance(data.get("meta"), dict) else 1
    return f"{said} ({counter} times)" if isinstance(counter, int) and counter > 1 else said


def _name(data: Mapping[str, Any], *keys: str) -> str:
    for key in keys:
        if isinstance(thing := data.get(key), dict):
            return str(thing.get("name") or thing.get("username") or "Something")
    return "Something"
