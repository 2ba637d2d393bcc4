"""Looking after the box: maintenance, alerts, metrics, room, wear, the authority's certificate. One bundle, so that the
composition root names them once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import Struct

from appliance.alerts import sender
from appliance.alerts.alerts import Alerts
from appliance.errors import Invalid
from appliance.model import Subject
from appliance.schema.operations import AlertsTested, WearReport
from appliance.services.acme import AcmeKeeper
from appliance.services.conditions import Conditions
from appliance.services.context import Context, Recorder
from appliance.services.instances import Instances
from appliance.services.maintenance import Maintenance
from appliance.services.room import RoomMeter
from appliance.services.wear import WearMeter
from appliance.store.engine import Tx
from appliance.system import resources
from appliance.system.blockdev import device_of
from appliance.tasks import Tasks


class Operations(Struct, frozen=True):
    """`acme` is None where no domain is configured, `alerts` tells nobody where nobody is."""

    maintenance: Maintenance
    alerts: Alerts
    room: RoomMeter
    wear: WearMeter
    instances: Instances
    context: Context
    audit: Recorder

    def start(self, tasks: Tasks, acme: AcmeKeeper | None) -> None:
        """Run what goes on by itself."""
        tasks.keep("wear", self.wear.run)
        if self.alerts.status().channels:
            tasks.keep("alerts", self.alerts.run)
        if acme is not None:
            tasks.keep("certificate by ACME", acme.run)

    async def worn(self, subject: Subject) -> WearReport:
        """Who writes how much, of the instances that the subject may see."""
        listed = (await self.instances.list(subject)).instances
        return self.wear.report([(each.id, each.name) for each in listed])

    async def test_alerts(self, subject: Subject) -> AlertsTested:
        """Tell every receiver that this is a test; who did so is recorded. Raises Invalid where there is none."""
        if not self.alerts.status().channels:
            hint = "Set [[alerts.webhook]], [alerts.mail] or [alerts.mqtt] in config.toml and start the box again."
            raise Invalid("Nobody is told of problems: no receiver is configured.", code="no_alerts", hint=hint)
        await self.context.store.write(lambda tx: self._record(tx, subject))
        return await self.alerts.test()

    def _record(self, tx: Tx, subject: Subject) -> None:
        event = "platform.alerts.tested"
        self.audit.record(tx, event, subject=subject, scope_type="platform", scope_id=None, body={})


def operations(
    context: Context,
    audit: Recorder,
    *,
    conditions: Conditions,
    instances: Instances,
    peak_bytes: Callable[[str], int | None],
    up: Callable[[str], bool],
    poke: Callable[[str], None],
) -> Operations:
    """All of them, not yet running. Raises Invalid for alerts that can't be sent as they are configured."""
    home, config = context.home, context.config
    return Operations(
        maintenance=Maintenance(context, audit, conditions, instances, poke),
        alerts=Alerts(
            sender.ways(config.alerts),
            file=home.state / "alerts.json",
            bus=context.bus,
            clock=context.clock,
            box=context.base_url,
            raise_condition=conditions.raise_,
            clear_condition=conditions.clear,
            settle_s=config.alerts.settle_s,
            every_s=config.alerts.every_s,
        ),
        room=RoomMeter(context.store, peak_bytes=peak_bytes, available_bytes=resources.memory_available_bytes, up=up),
        wear=WearMeter(
            home.state / "wear.json", clock=context.clock, device=partial(device_of, home.root), bus=context.bus
        ),
        instances=instances,
        context=context,
        audit=audit,
    )


def acme_keeper(context: Context, conditions: Conditions, changed: Callable[[], None]) -> AcmeKeeper | None:
    """Where domains are configured."""
    wanted = context.config.tls.acme
    return AcmeKeeper(context.home, wanted, conditions, changed) if wanted.domains else None
