"""Maintenance: every instance is paused, and comes back as it was wanted when it is over.

What is wanted of instances is not touched: a paused one is told apart in what the reconciler is given. So nothing has
to be put back, whatever happens meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from appliance.config import Home
from appliance.errors import Conflict
from appliance.events import Event
from appliance.model import Desired, InstanceSpec, Subject
from appliance.schema.operations import Maintenance as Wire
from appliance.services.conditions import Conditions
from appliance.services.context import Context, Recorder
from appliance.store import box
from appliance.store.engine import Tx
from appliance.store.values import iso, to_json
from appliance.system.files import write_atomic

log = logging.getLogger(__name__)

KEY = "maintenance"
CHANGED = "box.maintenance"  # the event; its body is the wire struct
OFF = Wire(on=False)
PAUSED = (Desired.RUNNING, Desired.STOPPED)


class Specs(Protocol):
    """What is wanted of instances, from the database."""

    async def specs(self) -> Sequence[InstanceSpec]: ...
    async def spec(self, instance_id: str) -> InstanceSpec | None: ...
    async def removed(self, instance_id: str) -> None: ...


class Maintenance:
    """On or off, kept over restarts. `instances` is what the reconciler asked before; it asks this instead."""

    def __init__(
        self,
        context: Context,
        audit: Recorder,
        conditions: Conditions,
        instances: Specs,
        poke: Callable[[str], None],
    ) -> None:
        self._context = context
        self._audit = audit
        self._conditions = conditions
        self._instances = instances
        self._poke = poke
        self._now = OFF
        context.bus.listen(self._hear)

    async def load(self) -> None:
        """Read what was set. Once, before the reconciler starts."""
        self._now = await self._context.store.read(_stored)
        self._tell()
        await asyncio.to_thread(_mark, self._context.home, self._now)

    def shown(self) -> Wire:
        return self._now

    async def set(self, subject: Subject, *, on: bool, reason: str = "") -> Wire:
        """Pause all instances, or resume them as they are wanted. The same again changes nothing but the reason."""
        wanted = Wire(on=on, since=iso(self._context.now_ms()), by=subject.username, reason=reason) if on else OFF

        def work(tx: Tx) -> None:
            before = _stored(tx)
            if (before.on, before.reason) == (wanted.on, wanted.reason):
                return
            kept = replace(wanted, since=before.since) if before.on and on else wanted
            box.put(tx, KEY, to_json(kept))
            changed = [{"key": "maintenance", "old": before.on, "new": on, "dif": "updated"}]
            body = {"updates": changed, **({"info": {"reason": reason}} if reason else {})}
            event = "platform.settings.updated"
            self._audit.record(tx, event, subject=subject, scope_type="platform", scope_id=None, body=body)
            tx.after_commit(Event(CHANGED, "box", body=kept))

        await self._context.store.write(work)
        await asyncio.to_thread(_mark, self._context.home, self._now)
        for spec in await self._instances.specs():
            self._poke(spec.id)
        return self._now

    def check_start(self) -> None:
        """Raises Conflict `maintenance` while nothing can be started."""
        if self._now.on:
            raise Conflict(
                "The box is in maintenance: all instances are paused.",
                code="maintenance",
                hint="They come back as they are wanted with: weir maintenance off",
            )

    async def specs(self) -> list[InstanceSpec]:
        """What the reconciler is to make real."""
        return [self._paused(spec) for spec in await self._instances.specs()]

    async def spec(self, instance_id: str) -> InstanceSpec | None:
        spec = await self._instances.spec(instance_id)
        return spec and self._paused(spec)

    async def removed(self, instance_id: str) -> None:
        await self._instances.removed(instance_id)

    def _paused(self, spec: InstanceSpec) -> InstanceSpec:
        if not self._now.on or spec.desired not in PAUSED:
            return spec
        return replace(spec, desired=Desired.SUSPENDED, paused=self._why())

    def _why(self) -> str:
        reason = f": {self._now.reason}" if self._now.reason else ""
        return f"The box is in maintenance{reason}. It comes back when that is over."

    def _hear(self, event: Event) -> None:
        if event.kind == CHANGED:
            self._now = event.body
            self._tell()

    def _tell(self) -> None:
        if not self._now.on:
            self._conditions.clear(KEY)
            return
        reason = f": {self._now.reason}" if self._now.reason else ""
        self._conditions.raise_(
            KEY,
            title="Maintenance: all instances are paused",
            cause=f"{self._now.by or 'Somebody'} switched maintenance on{reason}.",
            evidence=f"since {self._now.since}",
            next_step="When it is over, type: weir maintenance off. Each instance comes back as it was.",
        )


def _stored(tx: Tx) -> Wire:
    kept = box.get(tx, KEY)
    return msgspec.json.decode(kept, type=Wire) if kept else OFF


def flag(home: Home) -> Path:
    """There while maintenance is on: what starts instances at boot without the database leaves them alone."""
    return home.state / "maintenance"


def _mark(home: Home, now: Wire) -> None:
    """A full disk costs only the flag; the database knows."""
    with contextlib.suppress(OSError):
        if now.on:
            write_atomic(flag(home), f"{now.since}\n", 0o600)
        else:
            flag(home).unlink(missing_ok=True)
