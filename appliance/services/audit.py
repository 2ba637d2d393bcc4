"""The audit log: what happened, who did it, and who says so."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from appliance.errors import Invalid, NotFound, TooMany
from appliance.events import Event
from appliance.model import Role, Subject
from appliance.schema.audit import AuditEntry, AuditPage, AuditScope, AuditTrigger
from appliance.schema.common import AuditQuery, Meta
from appliance.services import palette
from appliance.services.associations import associations
from appliance.services.context import Context
from appliance.services.meter import Meter
from appliance.services.notifications import tell
from appliance.store import audience, audit, instances
from appliance.store.engine import Tx
from appliance.store.values import iso

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000
MOST_EVENTS = 20
# What an instance says of itself is kept in full up to here: a flow must not fill the disk with one entry.
BODY_LIMIT_BYTES = 16 * 1024
# The last lines of a crash are kept with it, for the newest crashes of each instance.
CRASH_LOG_BYTES = 8 * 1024
CRASHES_KEPT = 20

# A flow can write as fast as the disk; the log of the others must not drown in it.
REPORTS_AT_ONCE = 300
REPORTS_PER_S = 5
# Nor may it fill the disk: of what each Node-RED reports the newest are kept. Nobody else's entries are ever removed.
REPORTS_KEPT = 10_000
TRIM_EVERY = 256
LONGEST_REQUEST_ID = 64
_NOT_OF_LAUNCHER = "~"

# Written by the platform alone; an instance that reports one of these is forging.
_OURS = frozenset(["platform", "account", "user", "team", "application", "project", "device", "billing", "weir"])
_EVENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,95}", re.ASCII)
_LEFT_OUT = ("event", "user", "path", "timestamp", "__launcherLog", "level", "username")
_NOT_A_NAME = "unknown"
# What people are told of, and as which notification.
TOLD = {"crashed": "instance-crashed", "safe-mode": "instance-safe-mode"}
# A published launcher shares its token with its flows: what "published" says may be what a flow says.
SOURCES = {"launcher": "launcher", "node_red": "node-red", "published": "published"}
# Whose word on a crash is kept with its log, and told to people: the only one there is.
_OF_CRASHES = ("launcher", "published")


class Audit:
    """Writes entries inside the caller's transaction and reads them back in pages."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._meter = Meter(lambda: context.clock().timestamp(), burst=REPORTS_AT_ONCE, per_s=REPORTS_PER_S)
        self._reports = 0

    def record(
        self,
        tx: Tx,
        event: str,
        *,
        subject: Subject,
        scope_type: str,
        scope_id: str | None,
        team_id: str | None = None,
        instance_id: str | None = None,
        body: dict[str, Any] | None = None,
    ) -> None:
        """Append an entry in the transaction `tx`; it is announced as event `audit` once that is durable."""
        is_user = subject.kind == "user"
        new = audit.NewEntry(
            at=self._context.now_ms(),
            event=event,
            scope_type=scope_type,
            scope_id=scope_id,
            team_id=team_id,
            instance_id=instance_id,
            user_id=subject.user_id if is_user else None,
            username=subject.username or None if is_user else None,
            trigger_type="user" if is_user else "system",
            source=subject.source or SOURCES.get(subject.kind),
            body=body or {},
        )
        self._write(tx, new)

    async def from_node(self, instance_id: str, document: bytes, kind: str, request_id: str | None = None) -> None:
        """Record what a launcher or a Node-RED (`kind` of its token) reports; installs and removals of nodes also
        change the instance's palette list. A report whose `request_id` is known was sent twice and is left out.

        Raises Invalid for what is no event, or one that only the platform may write; NotFound without the instance;
        TooMany when a Node-RED reports too much.
        """
        report = _report(document)
        event = _event_name(report)
        if event == "api.error" and report.get("error") == "version_mismatch":
            return
        if kind != "launcher" and not self._meter.take(instance_id):
            hint = "Look for a flow that installs or deploys in a loop."
            raise TooMany(f"At most {REPORTS_PER_S} events a second are recorded.", retry_after_s=1, hint=hint)
        self._reports += 1
        crowded = self._reports % TRIM_EVERY == 0

        known_by = _known_by(kind, request_id)

        def work(tx: Tx) -> None:
            if known_by is not None and audit.reported(tx, instance_id, known_by):
                return
            self._node_event(tx, instance_id, event, report, kind, known_by)
            if crowded:
                audit.trim(tx, instance_id, SOURCES["node_red" if kind == "launcher" else kind], REPORTS_KEPT)

        await self._context.store.write(work)

    async def page(self, scope: str, scope_id: str | None, query: AuditQuery) -> AuditPage:
        """Entries of a team, project, application, user or the platform, or of the `box` outside its teams; newest
        first, older than the cursor.

        A team's page covers its instances. Raises Invalid for a cursor, scope or filter that makes no sense.
        """
        wanted = _filter(scope, scope_id, query)
        before = _cursor(query.cursor)
        most = min(max(query.limit or DEFAULT_LIMIT, 1), LARGEST_LIMIT)
        rows = await self._context.store.read(lambda tx: audit.page(tx, wanted, before=before, limit=most))
        following = str(rows[-1].seq) if len(rows) == most else None
        log = [_entry(row) for row in rows]
        named = associations(log, self._context.base_url())
        return AuditPage(meta=Meta(next_cursor=following), count=len(log), log=log, associations=named)

    def _node_event(
        self, tx: Tx, instance_id: str, event: str, report: dict[str, Any], kind: str, request_id: str | None
    ) -> None:
        found = instances.named(tx, instance_id)
        if found is None:
            raise NotFound("There is no such instance.")
        (called, team_id), at = found, self._context.now_ms()
        if event in palette.EVENTS:
            _keep_palette(tx, instance_id, event, report, at)
        user_id = _user_id(report)
        name = audit.member_name(tx, user_id, team_id) if user_id else None
        new = audit.NewEntry(
            at=at,
            event="project.start-failed" if event == "start-failed" else event,
            scope_type="project",
            scope_id=instance_id,
            team_id=team_id,
            instance_id=instance_id,
            user_id=user_id if name else None,
            username=name,
            # A flow can send what it likes with this token, so nobody is named as the one who did it.
            trigger_type="system" if kind == "launcher" else "unknown",
            source=SOURCES.get(kind, kind),
            body={"project": {"id": instance_id, "name": called}, **_kept(report), **_last_lines(event, kind, report)},
        )
        self._write(tx, new, request_id)
        if kind in _OF_CRASHES and event in TOLD:
            _tell_members(tx, event, instance_id, at)
        if event == "crashed" and kind in _OF_CRASHES:
            audit.forget(tx, instance_id, event, new.source or "", "log", CRASHES_KEPT)

    def _write(self, tx: Tx, new: audit.NewEntry, request_id: str | None = None) -> None:
        audit.write(tx, new, request_id)
        tx.after_commit(Event("audit", new.scope_id or new.scope_type, new.team_id, {"event": new.event}))


def _keep_palette(tx: Tx, instance_id: str, event: str, report: dict[str, Any], at: int) -> None:
    """What the editor installed or removed belongs to the instance from now on."""
    row = instances.get(tx, instance_id)
    changed = palette.after(row.settings, event, report) if row is not None else None
    if changed is not None:
        instances.set_settings(tx, instance_id, changed, at=at)


def _tell_members(tx: Tx, event: str, instance_id: str, at: int) -> None:
    """Those who can do something about it. Only a launcher's word counts here: a flow could cry all day; one under a
    published launcher can, and it is one unread notice of its own instance."""
    row = instances.get(tx, instance_id)
    if row is None:
        return
    data = {"instance": {"id": row.id, "name": row.name}, "team": {"id": row.team_id, "name": row.team_name}}
    for user_id in audience.of_team(tx, row.team_id, least=Role.MEMBER):
        tell(tx, user_id, TOLD[event], f"{TOLD[event]}:{row.id}", data, at=at)


def _filter(scope: str, scope_id: str | None, query: AuditQuery) -> audit.Filter:
    if scope not in audit.SCOPES:
        raise Invalid(f"There is no audit log of a '{scope}'.", hint=f"There is one of: {', '.join(audit.SCOPES)}.")
    events = tuple(dict.fromkeys(event for event in query.event if event))
    if len(events) > MOST_EVENTS:
        raise Invalid(f"At most {MOST_EVENTS} different events can be asked for.", hint="Leave some out.")
    return audit.Filter(scope, scope_id, events, query.username or None)


def _report(document: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(document, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The audit entry is not a JSON object: {error}.", hint="Send {event, …}.") from error


def _event_name(report: dict[str, Any]) -> str:
    event = report.get("event")
    if not isinstance(event, str) or _EVENT.fullmatch(event) is None:
        raise Invalid("The audit entry has no 'event', or not one of letters, digits and '.'.", hint="Send {event, …}.")
    if event.partition(".")[0] in _OURS:
        raise Invalid(f"'{event[:96]}' is written by the platform only.", hint="Report what Node-RED itself did.")
    return event


def _user_id(report: dict[str, Any]) -> str | None:
    user = report.get("user")
    user = user.get("userId") if isinstance(user, dict) else user
    return user if isinstance(user, str) and 0 < len(user) <= 36 else None


def _kept(report: dict[str, Any]) -> dict[str, Any]:
    """The rest of a report as the entry's body, cut when it is too long; `project` is never the reporter's."""
    body = {key: value for key, value in report.items() if key not in _LEFT_OUT and key != "project"}
    encoded = msgspec.json.encode(body)
    if len(encoded) <= BODY_LIMIT_BYTES:
        return body
    start = encoded[: BODY_LIMIT_BYTES // 2].decode("utf-8", "ignore")
    return {"truncated": True, "bytes": len(encoded), "start": start}


def _known_by(kind: str, request_id: str | None) -> str | None:
    """By what a report is known again. The ids of the launcher's reports lie where a flow can read them while the
    appliance is away: it must not use one up."""
    known_by = request_id if not request_id or kind == "launcher" else _NOT_OF_LAUNCHER + request_id
    return known_by if known_by and len(known_by) <= LONGEST_REQUEST_ID else None


def _last_lines(event: str, kind: str, report: dict[str, Any]) -> dict[str, Any]:
    """The end of the log that a launcher sends with a crash: the newest lines that fit."""
    entries = report.get("__launcherLog")
    if event != "crashed" or kind not in _OF_CRASHES or not isinstance(entries, list):
        return {}
    kept: list[dict[str, Any]] = []
    room = CRASH_LOG_BYTES
    for entry in reversed(entries):
        if not isinstance(entry, dict):
            continue
        line = {key: entry[key] for key in ("ts", "level", "msg", "type", "name", "id") if key in entry}
        room -= len(msgspec.json.encode(line))
        if room < 0:
            break
        kept.append(line)
    return {"log": kept[::-1]} if kept else {}


def _cursor(cursor: str | None) -> int | None:
    if cursor is None or cursor == "":
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise Invalid("The cursor is not one of this log.", hint="Take 'next_cursor' of the page before, or none.")
    return int(cursor)


def _entry(row: audit.EntryRow) -> AuditEntry:
    name = row.username or ("weir" if row.trigger_type == "system" else _NOT_A_NAME)
    return AuditEntry(
        id=str(row.seq),
        created_at=iso(row.at),
        event=row.event,
        scope=AuditScope(id=row.scope_id, type=row.scope_type),
        trigger=AuditTrigger(id=row.user_id, type=row.trigger_type, name=name),
        body=row.body,
        username=row.username,
        source=row.source,
    )
