"""A box that came up with another access mode: its instances are told, and the way that was is remembered."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from msgspec import Struct

from appliance.errors import Invalid
from appliance.events import Event
from appliance.model import SYSTEM, Desired
from appliance.services.context import Context, Recorder
from appliance.store import box, instances
from appliance.store.engine import Tx
from appliance.store.values import from_json, to_json
from appliance.system.access import HOST, PATH, PORT, Former, access_of
from appliance.system.tls import parse_name

log = logging.getLogger(__name__)

KEY = "access"  # in the table of the box


class _Kept(Struct, frozen=True):
    """What was in force at the last start, and what ever was while there were instances."""

    mode: str
    domain: str
    ports: bool = False
    paths: bool = False
    former_domain: str = ""


class Moves:
    """Compares the access mode with that of the start before."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit
        self._access = access_of(context.config)
        self._former = Former()

    async def load(self) -> None:
        """Once, before instances are looked at: those that run are restarted when they are reached in another way.

        The restarts are wished, the change recorded and remembered in one transaction.
        """
        kept = await self._context.store.write(self._load)
        self._former = Former(
            ports=kept.ports and self._access.mode != PORT,
            paths=kept.paths and self._access.mode != PATH,
            domain=parse_name(kept.former_domain) if kept.former_domain else None,
        )

    def former(self) -> Former:
        """How instances were reached before."""
        return self._former

    def _load(self, tx: Tx) -> _Kept:
        rows = instances.every(tx)
        before = _read(box.get(tx, KEY))
        if before is None:
            # Written by no version before this one, and those knew ports only.
            before = _Kept(PORT, "") if rows else None
        ingress = self._context.config.ingress
        domain = ingress.domain if ingress.mode == HOST else ""
        now = _after(before, ingress.mode, domain, lived=bool(rows))
        if before == now:
            return now
        if before is not None and (before.mode, before.domain) != (now.mode, now.domain):
            self._move(tx, rows, before, now)
        box.put(tx, KEY, to_json(now))
        return now

    def _move(self, tx: Tx, rows: list[instances.InstanceRow], before: _Kept, now: _Kept) -> None:
        at = self._context.now_ms()
        for row in rows:
            if row.desired is Desired.RUNNING:
                instances.wish(tx, row.id, row.desired, at=at, placed_anew=False, command=True)
                tx.after_commit(Event("instance.changed", row.id, row.team_id, {"id": row.id}))
        updates = [
            {"key": f"ingress.{name}", "old": getattr(before, name), "new": getattr(now, name), "dif": "updated"}
            for name in ("mode", "domain")
            if getattr(before, name) != getattr(now, name)
        ]
        body: dict[str, Any] = {"updates": updates}
        event = "platform.settings.updated"
        self._audit.record(tx, event, subject=SYSTEM, scope_type="platform", scope_id=None, body=body)
        log.info("instances are reached by %s now, not by %s: those that run are restarted", now.mode, before.mode)


def _after(before: _Kept | None, mode: str, domain: str, *, lived: bool) -> _Kept:
    if before is None:
        return _Kept(mode, domain)
    left = before.domain if before.domain and before.domain != domain else before.former_domain
    return _Kept(
        mode,
        domain,
        ports=before.ports or (lived and before.mode == PORT and mode != PORT),
        paths=before.paths or (lived and before.mode == PATH and mode != PATH),
        former_domain="" if left == domain else left,
    )


def _read(text: str | None) -> _Kept | None:
    """One that can't be read (of another version) must not keep the box from starting."""
    if text is None:
        return None
    try:
        kept = msgspec.convert(from_json(text), _Kept)
        for domain in filter(None, (kept.domain, kept.former_domain)):
            parse_name(domain)
    except (Invalid, ValueError) as error:
        log.warning("how instances were reached before can't be told: %s", error)
        return None
    return kept
