"""What instances may take of the box, and which devices are leased to them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, delete, insert, select

from appliance.store.engine import Tx
from appliance.store.tables import device_leases, instance_limits, instance_types, instances
from appliance.store.values import from_json, to_json

_l, _d, _i = instance_limits.c, device_leases.c, instances.c
_ALL = (
    select(_i.id, instance_types.c.properties, _l.limits)
    .join_from(instances, instance_types, _i.type_id == instance_types.c.id)
    .outerjoin(instance_limits, _l.instance_id == _i.id)
)
_ONE = _ALL.where(_i.id == bindparam("key"))
_LEASES = (
    select(_d.path, _d.instance_id, _i.name, _i.team_id, _d.created_at)
    .join_from(device_leases, instances, _d.instance_id == _i.id)
    .order_by(_d.path)
)
_FORGET = delete(instance_limits).where(_l.instance_id == bindparam("key"))
_KEEP = insert(instance_limits).values(instance_id=bindparam("key"), limits=bindparam("found"))
_GIVE_BACK = delete(device_leases).where(_d.path == bindparam("device"), _d.instance_id == bindparam("key"))
_LEASE = insert(device_leases).values(
    path=bindparam("device"), instance_id=bindparam("key"), created_at=bindparam("at")
)


class LimitsRow(Struct, frozen=True):
    """As stored. `of_type`: the properties of the instance's type; `own`: what was set for it alone."""

    id: str
    of_type: dict[str, Any]
    own: dict[str, Any]
    devices: tuple[str, ...]


class Lease(Struct, frozen=True):
    """A device that is one instance's. `name`, `team_id`: of the instance; `at`: since when, in ms."""

    path: str
    instance_id: str
    name: str
    team_id: str
    at: int


def every(tx: Tx) -> dict[str, LimitsRow]:
    """Of all instances, by their ids."""
    devices = _devices(leases(tx))
    return {row[0]: _row(row, devices.get(row[0], ())) for row in tx.all(_ALL)}


def get(tx: Tx, instance_id: str) -> LimitsRow | None:
    """Of one; None when there is no such instance."""
    row = tx.one(_ONE, key=instance_id)
    return _row(row, _devices(leases(tx)).get(instance_id, ())) if row else None


def leases(tx: Tx) -> list[Lease]:
    """Of all instances, by path."""
    return [Lease(*row) for row in tx.all(_LEASES)]


def put(tx: Tx, instance_id: str, own: dict[str, Any], devices: tuple[str, ...], at: int) -> None:
    """Replace what is set for one; a device that another one has is an integrity error. A lease that stays keeps its
    time."""
    tx.run(_FORGET, key=instance_id)
    if own:
        tx.run(_KEEP, key=instance_id, found=to_json(own))
    known = leases(tx)
    held = {each.path for each in known if each.instance_id == instance_id}
    at = max(at, *(each.at + 1 for each in known)) if known else at  # in order, also when the clock went back
    for device in sorted(held.difference(devices)):
        tx.run(_GIVE_BACK, device=device, key=instance_id)
    for device in sorted(set(devices) - held):
        tx.run(_LEASE, device=device, key=instance_id, at=at)


def _devices(found_leases: list[Lease]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for each in found_leases:
        found[each.instance_id].append(each.path)
    return {holder: tuple(paths) for holder, paths in found.items()}


def _row(row: Any, devices: tuple[str, ...]) -> LimitsRow:
    return LimitsRow(row[0], from_json(row[1]), from_json(row[2]) if row[2] else {}, devices)
