"""What the box has to tell people: told once while it is unread, counted when it happens again."""

from __future__ import annotations

from typing import Any

from appliance.errors import Invalid, NotFound
from appliance.model import Role, Subject
from appliance.schema import members as wire
from appliance.schema.common import Page
from appliance.services import listing
from appliance.services.context import Context, Recorder
from appliance.services.people import check_name
from appliance.services.subjects import user_of
from appliance.store import audience, notifications
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.notifications import NotificationRow
from appliance.store.values import iso

# Bounds the table: whoever does not read is told the newest.
KEPT_PER_USER = 500
PAGE = 100
MARKED_AT_ONCE = 500
MESSAGE_LENGTH = 4096
URL_LENGTH = 1024
_ROLES = frozenset(int(role) for role in (Role.DASHBOARD, Role.VIEWER, Role.MEMBER, Role.OWNER, Role.ADMIN))


class Notifications:
    """Each person's own; nobody sees another's."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit

    async def page(self, subject: Subject, page: Page) -> wire.Notifications:
        """The caller's, newest first. Raises Invalid for a cursor that is not one of his."""
        user_id, asked = user_of(subject), listing.want(page, limit=PAGE)
        found = await self._context.store.read(lambda tx: notifications.page(tx, user_id, asked))
        shown = [_shown(notifications.notification_of(row)) for row in found.rows]
        return wire.Notifications(meta=listing.meta(found, asked), count=len(shown), notifications=shown)

    async def mark(self, subject: Subject, body: wire.MarkNotifications) -> wire.Notifications:
        """Mark those of these that are the caller's; his first page afterwards."""
        user_id, ids = user_of(subject), list(dict.fromkeys(body.ids))
        if len(ids) > MARKED_AT_ONCE:
            raise Invalid(f"At most {MARKED_AT_ONCE} can be marked at once.", hint="Send fewer ids.")

        def work(tx: Tx) -> None:
            for notification_id in ids:
                notifications.mark(tx, user_id, notification_id, body.read)

        await self._context.store.write(work)
        return await self.page(subject, Page())

    async def mark_one(self, subject: Subject, notification_id: str, read: bool) -> None:
        """Raises NotFound."""
        user_id = user_of(subject)
        if not await self._context.store.write(lambda tx: notifications.mark(tx, user_id, notification_id, read)):
            raise _absent()

    async def remove(self, subject: Subject, notification_id: str) -> None:
        """Raises NotFound."""
        user_id = user_of(subject)
        if not await self._context.store.write(lambda tx: notifications.remove(tx, user_id, notification_id)):
            raise _absent()

    async def announce(self, subject: Subject, body: wire.Announce) -> wire.Announced:
        """Tell everybody, or those with one of the roles in some team. Raises Invalid `bad_request`."""
        roles = _recipients(body)
        _check_text(body)
        data = {"title": body.title, "message": body.message, **({"url": body.url} if body.url else {})}
        now = self._context.now_ms()

        def work(tx: Tx) -> int:
            people = audience.with_roles(tx, roles)
            for user_id in people:
                tell(tx, user_id, "announcement", f"announcement:{now}", data, at=now)
            return len(people)

        if body.mock:
            count = len(await self._context.store.read(lambda tx: audience.with_roles(tx, roles)))
        else:
            count = await self._context.store.write(work)
        return wire.Announced(recipient_count=count, mock=body.mock)


def tell(tx: Tx, user_id: str, kind: str, reference: str, data: dict[str, Any], *, at: int) -> None:
    """Tell somebody in the transaction of what happened. While he has not read of `reference`, it is counted there."""
    known = notifications.unread(tx, user_id, reference)
    if known is not None:
        counter = int(known.data.get("meta", {}).get("counter", 1)) + 1
        notifications.again(tx, known.id, {**data, "meta": {"counter": counter}}, at)
        return
    new = NotificationRow(
        id=new_id(), user_id=user_id, type=kind, reference=reference, read=False, data=data, created_at=at
    )
    notifications.add(tx, new, most=KEPT_PER_USER)


def _recipients(body: wire.Announce) -> frozenset[int] | None:
    """The roles asked for; None means everybody."""
    roles = body.recipient_roles if body.recipient_roles is not None else body.filter.get("roles")
    if roles is None:
        return None
    if not isinstance(roles, list) or not roles or not all(type(role) is int and role in _ROLES for role in roles):
        known = ", ".join(map(str, sorted(_ROLES)))
        raise Invalid("The roles are not a list of roles.", code="bad_request", hint=f"Roles are: {known}.")
    return frozenset(roles)


def _check_text(body: wire.Announce) -> None:
    if not body.title.strip() or not body.message.strip() or len(body.message) > MESSAGE_LENGTH:
        raise Invalid(
            f"An announcement has a title and a message of at most {MESSAGE_LENGTH} characters.",
            code="bad_request",
            hint="Send {title, message}.",
        )
    check_name(body.title)
    if body.url and (not body.url.startswith(("https://", "http://", "/")) or len(body.url) > URL_LENGTH):
        raise Invalid("The url is not an address of the web.", code="bad_request", hint="Begin it with https://.")


def _shown(row: NotificationRow) -> wire.Notification:
    return wire.Notification(id=row.id, type=row.type, created_at=iso(row.created_at), read=row.read, data=row.data)


def _absent() -> NotFound:
    return NotFound("There is no such notification of yours.")
