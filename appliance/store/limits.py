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
_LEASES = select(_d.path, _d.instance_id).order_by(_d.path)
_FORGET = delete(instance_limits).where(_l.instance_id == bindparam("key"))
_KEEP = insert(instance_limits).values(instance_id=bindparam("key"), limits=bindparam("found"))
_GIVE_BACK = delete(device_leases).where(_d.instance_id == bindparam("key"))
_LEASE = insert(device_leases).values(
    path=bindparam("device"), instance_id=bindparam("key"), created_at=bindparam("at")
)


class LimitsRow(Struct, frozen=True):
    """As stored. `of_type`: the properties of the instance's type; `own`: what was set for it alone."""

    id: str
    of_type: dict[str, Any]
    own: dict[str, Any]
    devices: tuple[str, ...]


def every(tx: Tx) -> dict[str, LimitsRow]:
    """Of all instances, by their ids."""
    leases = _leases(tx)
    return {row[0]: _row(row, leases.get(row[0], ())) for row in tx.all(_ALL)}


def get(tx: Tx, instance_id: str) -> LimitsRow | None:
    """Of one; None when there is no such instance."""
    row = tx.one(_ONE, key=instance_id)
    return _row(row, _leases(tx).get(instance_id, ())) if row else None


def holders(tx: Tx) -> dict[str, str]:
    """Whose each leased device is: the instance's id by the path."""
    return {row[0]: row[1] for row in tx.all(_LEASES)}


def put(tx: Tx, instance_id: str, own: dict[str, Any], devices: tuple[str, ...], at: int) -> None:
    """Replace what is set for one; a device that another one has is an integrity error."""
    tx.run(_FORGET, key=instance_id)
    if own:
        tx.run(_KEEP, key=instance_id, found=to_json(own))
    tx.run(_GIVE_BACK, key=instance_id)
    for device in devices:
        tx.run(_LEASE, device=device, key=instance_id, at=at)


def _leases(tx: Tx) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path, holder in holders(tx).items():
        found[holder].append(path)
    return {holder: tuple(paths) for holder, paths in found.items()}


def _row(row: Any, devices: tuple[str, ...]) -> LimitsRow:
    return LimitsRow(row[0], from_json(row[1]), from_json(row[2]) if row[2] else {}, devices)
