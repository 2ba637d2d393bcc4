"""What the box is made of, in numbers: for people and for programs that collect them."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import msgspec

from appliance.auth.secrets import new_token, token_hash
from appliance.events import Event
from appliance.model import Desired, Subject
from appliance.schema.platform import Statistics as Wire
from appliance.schema.platform import StatsToken
from appliance.services.context import Context, Recorder
from appliance.services.subjects import user_of
from appliance.store import instances, invitations, personal_tokens, team_types, teams, tokens, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.tokens import Kind, TokenRow

OPEN_METRICS = "application/openmetrics-text"
PREFIX = "flowforge"  # what dashboards made for the reference look for
SCOPES = ["platform:stats"]


class Statistics:
    """Numbers, and the token that is good for nothing else."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit

    async def now(self) -> Wire:
        """Counted in one snapshot of the database. States are the wanted ones, as in the reference."""
        return await self._context.store.read(self._count)

    async def new_token(self, subject: Subject) -> StatsToken:
        """A token for the statistics, shown this once; the one before ends."""
        secret = new_token("ffu")
        row = TokenRow(
            id=new_id(),
            kind=Kind.STATS,
            hash=token_hash(secret),
            created_at=self._context.now_ms(),
            name="statistics",
            user_id=user_of(subject),
            scopes=SCOPES,
        )

        def work(tx: Tx) -> None:
            self._end(tx)
            tokens.add(tx, row)
            self._record(tx, subject, True)

        await self._context.store.write(work)
        return StatsToken(token=secret)

    async def end_token(self, subject: Subject) -> None:
        """Nothing happens where there is none."""

        def work(tx: Tx) -> None:
            if self._end(tx):
                self._record(tx, subject, False)

        await self._context.store.write(work)

    def _count(self, tx: Tx) -> Wire:
        people, admins = users.counts(tx)
        states = Counter(row.desired.value for row in instances.every(tx) if row.desired is not Desired.DELETING)
        return Wire(
            user_count=people,
            admin_count=admins,
            invite_count=invitations.count(tx, self._context.now_ms()),
            team_count=teams.count(tx),
            teams_by_type={row.name: row.team_count for row in team_types.every(tx)},
            instance_count=states.total(),
            instances_by_state=dict(states),
        )

    def _end(self, tx: Tx) -> bool:
        old = personal_tokens.of_kind(tx, Kind.STATS)
        personal_tokens.end(tx, Kind.STATS)
        for row in old:
            tx.after_commit(Event("token.revoked", row.id))
        return bool(old)

    def _record(self, tx: Tx, subject: Subject, there: bool) -> None:
        changed = [{"key": "platform:stats:token", "old": not there, "new": there, "dif": "updated"}]
        event, body = "platform.settings.updated", {"updates": changed}
        self._audit.record(tx, event, subject=subject, scope_type="platform", scope_id=None, body=body)


def open_metrics(numbers: Wire) -> bytes:
    """The same as OpenMetrics text: one gauge per number, nested names joined by `_`."""
    lines = []
    for name, value in _flat(PREFIX, msgspec.to_builtins(numbers)):
        lines += [f"# TYPE {name} gauge", f"{name} {value}"]
    return "\n".join([*lines, "# EOF", ""]).encode()


def _flat(name: str, value: Any) -> list[tuple[str, int]]:
    if not isinstance(value, dict):
        return [(name, int(value))]
    return [pair for key, inner in value.items() for pair in _flat(f"{name}_{_snake(key)}", inner)]


def _snake(key: str) -> str:
    """Also for names of team types, which may be anything: a metric's name is ASCII letters, digits and `_`."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", key))
