"""What instances may take of the box: set by administrators, leased devices among it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from appliance.errors import Conflict, Invalid, NotFound
from appliance.events import Event
from appliance.model import Limits, Subject
from appliance.schema.limits import ChangeLimits, ShownLimits
from appliance.services.context import Context, Recorder, record_of_instance
from appliance.store import instances, limits
from appliance.store.engine import Tx
from appliance.store.limits import LimitsRow

NUMBERS = {"memory_mb": "memory", "cpu_percent": "cpu", "tasks": "tasks", "disk_mb": "disk"}
# A plain device node: systemd takes this as the name of one, never as an option or a pattern.
_DEVICE = re.compile(r"/dev/[A-Za-z0-9][A-Za-z0-9._+:-]*(/[A-Za-z0-9][A-Za-z0-9._+:-]*){0,4}")
# Whoever may open these owns the machine, or other people's terminals and memory.
_NEVER = re.compile(
    r"/dev/(mem|kmem|port|kmsg|sd\w+|nvme.*|mmcblk.*|vd\w+|xvd\w+|hd\w+|dm-.*|md\d.*|loop.*|sr\d+|disk|mapper|block|mtd.*"
    r"|char|root|cdrom|dvd|watchdog\d*|ptmx|pts|tty\d*|console|vcs.*|uinput|fuse|kvm|vhost.*|net|cpu.*|shm|mqueue|hugepages|fd|stdin|stdout|stderr|initctl"
    r"|log|snapshot|vfio|bus/pci.*)(/.*)?"
)


class Adjust(Protocol):
    """Has the limits of an instance take effect now; both answer what this box can't enforce, for people."""

    async def __call__(self, instance_id: str) -> str: ...
    async def lacks(self) -> str: ...


class InstanceLimits:
    """`used_mb` tells what an instance takes of the disk, None where that is not known."""

    def __init__(
        self, context: Context, audit: Recorder, *, adjust: Adjust, used_mb: Callable[[str], float | None]
    ) -> None:
        self._context = context
        self._audit = audit
        self._adjust = adjust
        self._used_mb = used_mb

    async def get(self, instance_id: str) -> ShownLimits:
        """Raises NotFound."""
        row = await self._context.store.read(lambda tx: limits.get(tx, instance_id))
        if row is None:
            raise _unknown()
        return self._shown(row, await self._adjust.lacks())

    async def change(self, subject: Subject, instance_id: str, body: ChangeLimits) -> ShownLimits:
        """What is named, at once where the instance runs. Raises NotFound, Invalid, Conflict `device_leased`."""
        wanted = _wanted(body)
        devices = None if body.devices is UNSET else _devices(body.devices)

        def work(tx: Tx) -> LimitsRow:
            row, instance = limits.get(tx, instance_id), instances.get(tx, instance_id)
            if row is None or instance is None:
                raise _unknown()
            own = {key: value for key, value in {**row.own, **wanted}.items() if value not in (None, [])}
            leased = row.devices if devices is None else devices
            _check_free(tx, instance_id, leased)
            if own == row.own and leased == row.devices:
                return row
            limits.put(tx, instance_id, own, leased, self._context.now_ms())
            told = {"limits": own, "devices": list(leased)}
            before = {"limits": row.own, "devices": list(row.devices)}
            entry = {"updates": [{"key": key, "old": before[key], "new": told[key]} for key in told]}
            record_of_instance(self._audit, tx, "project.limits.updated", subject, instance, entry)
            tx.after_commit(Event("instance.changed", instance_id, instance.team_id, {"id": instance_id}))
            return msgspec.structs.replace(row, own=own, devices=leased)

        row = await self._context.store.write(work)
        return self._shown(row, await self._adjust(instance_id))

    def _shown(self, row: LimitsRow, note: str) -> ShownLimits:
        found = effective(row)
        return ShownLimits(
            memory_mb=found.memory_mb,
            cpu_percent=found.cpu_percent,
            tasks=found.tasks,
            disk_mb=found.disk_mb,
            disk_used_mb=self._used_mb(row.id),
            networks=list(found.networks),
            devices=list(found.devices),
            note=note,
        )


def effective(row: LimitsRow) -> Limits:
    """What holds: its own, else its type's; what makes no sense there counts as not given."""
    merged = {**{key: row.of_type.get(key) for key in NUMBERS.values()}, **row.own}
    numbers = {field: _number(merged.get(key)) for field, key in NUMBERS.items()}
    return Limits(**numbers, networks=tuple(row.own.get("networks", ())), devices=row.devices)


def _number(value: object) -> int | None:
    text = str(value or "")
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 1 << 40 else None


def _wanted(body: ChangeLimits) -> dict[str, Any]:
    given: Mapping[str, Any] = msgspec.structs.asdict(body)
    found = {key: given[field] for field, key in NUMBERS.items() if given[field] is not UNSET}
    if body.networks is not UNSET:
        found["networks"] = [_network(each) for each in body.networks]
    return found


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise Invalid(
            f"'{text[:80]}' is no address and no network.", hint="Write one such as 192.0.2.7 or 192.0.2.0/24."
        ) from error


def _devices(given: list[str]) -> tuple[str, ...]:
    for path in given:
        if _DEVICE.fullmatch(path) is None or ".." in path or _NEVER.fullmatch(path):
            raise Invalid(
                f"'{path[:80]}' can't be leased to an instance.",
                code="invalid_device",
                hint="Name one device of the field, such as /dev/ttyUSB0, /dev/serial0, /dev/gpiochip0 or /dev/i2c-1.",
            )
    return tuple(sorted(set(given)))


def _check_free(tx: Tx, instance_id: str, wanted: tuple[str, ...]) -> None:
    holders = limits.holders(tx)
    for path in wanted:
        if holders.get(path, instance_id) != instance_id:
            other = instances.get(tx, holders[path])
            raise Conflict(
                f"{path} is leased to the instance '{other.name if other else holders[path]}'.",
                code="device_leased",
                hint="A device is one instance's: take it away from that one first.",
            )


def _unknown() -> NotFound:
    return NotFound("There is no such instance.", hint="See: weir instance list")
