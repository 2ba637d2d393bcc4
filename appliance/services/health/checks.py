"""The checks that a running appliance does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from appliance.config import Home
from appliance.services.conditions import Conditions
from appliance.services.context import Context
from appliance.services.health.backups import BackupsCheck
from appliance.services.health.certificate import CertificateCheck
from appliance.services.health.database import DatabaseCheck
from appliance.services.health.disk import WriteProbe
from appliance.services.health.front_door import FrontDoorCheck
from appliance.services.health.health import Health
from appliance.services.health.instances import InstancesCheck
from appliance.services.health.machine import Machine, Readings, measure
from appliance.services.health.restarts import RestartsCheck
from appliance.services.health.stacks import BrokenStacks, MissingStacks
from appliance.services.health.system import SystemCheck
from appliance.services.health.system import measure as of_system
from appliance.services.health.taken_back import TakenBackCheck
from appliance.services.health.trouble import Check, Seconds
from appliance.services.instances import Instances
from appliance.services.stacks import Stacks
from appliance.system import stacks as built
from appliance.system import vitals


def health(
    context: Context,
    *,
    conditions: Conditions,
    instances: Instances,
    stacks: Stacks,
    uptime_s: Seconds = vitals.uptime_s,
    read: Callable[[Home], Readings] = measure,
    further: Sequence[Check] = (),
) -> Health:
    """All of them. `uptime_s` is the time that no setting of the clock changes; `read` asks the machine."""
    home, clock, store = context.home, context.clock, context.store
    return Health(
        conditions,
        (
            Machine(home, clock, uptime_s, read),
            WriteProbe(home.state),
            MissingStacks(store, stacks),
            InstancesCheck(instances.list, uptime_s),
            DatabaseCheck(store, context.bus, uptime_s),
            FrontDoorCheck(home, uptime_s),
            RestartsCheck(home, clock),
            CertificateCheck(home, clock, context.config),
            BackupsCheck(store, clock),
            TakenBackCheck(home.database.parent / "backups"),
            BrokenStacks(store, partial(built.wrong, home)),
            SystemCheck(uptime_s, partial(of_system, vitals.throttling, installed=home.installed)),
            *further,
        ),
        uptime_s,
    )
