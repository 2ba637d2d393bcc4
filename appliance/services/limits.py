"""What instances may take of the box: set by administrators, leased devices among it."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from appliance.errors import Conflict, Invalid, NotFound
from appliance.events import Event
from appliance.model import Limits, Subject
from appliance.schema.limits import ChangeLimits, ShownLimits
from appliance.services import leases
from appliance.services.context import Context, Recorder, record_of_instance
from appliance.store import instances, limits
from appliance.store.engine import Tx
from appliance.store.limits import Lease, LimitsRow
from appliance.system import device_names, port_rules
from appliance.system.device_names import Names

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
    """`used_mb` tells what an instance takes of the disk, None where that is not known; `reserved` are the ports of all
    instances and of Weir, first and last of each range; `look` says which devices have which names now, and blocks."""

    def __init__(
        self,
        context: Context,
        audit: Recorder,
        *,
        adjust: Adjust,
        used_mb: Callable[[str], float | None],
        reserved: Sequence[port_rules.Range] = (),
        look: leases.Look = leases.LOOK,
    ) -> None:
        self._context = context
        self._audit = audit
        self._adjust = adjust
        self._used_mb = used_mb
        self._reserved = reserved
        self._look = look

    async def get(self, instance_id: str) -> ShownLimits:
        """Raises NotFound."""
        row, leased = await self._context.store.read(lambda tx: (limits.get(tx, instance_id), limits.leases(tx)))
        if row is None:
            raise _unknown()
        return await self._shown(row, leased, await self._adjust.lacks())

    async def change(self, subject: Subject, instance_id: str, body: ChangeLimits) -> ShownLimits:
        """What is named, at once where the instance runs. Raises NotFound, Invalid, Conflict `device_leased`."""
        wanted = _wanted(body, self._reserved)
        devices = None if body.devices is UNSET else _devices(body.devices)
        known = await asyncio.to_thread(self._look) if devices else {}

        def work(tx: Tx) -> tuple[LimitsRow, list[Lease]]:
            row, instance = limits.get(tx, instance_id), instances.get(tx, instance_id)
            if row is None or instance is None:
                raise _unknown()
            own = {key: value for key, value in {**row.own, **wanted}.items() if value not in (None, [])}
            leased = row.devices if devices is None else devices
            _check_free(limits.leases(tx), instance_id, set(leased).difference(row.devices), known)
            if own == row.own and leased == row.devices:
                return row, limits.leases(tx)
            limits.put(tx, instance_id, own, leased, self._context.now_ms())
            told = {"limits": own, "devices": list(leased)}
            before = {"limits": row.own, "devices": list(row.devices)}
            entry = {"updates": [{"key": key, "old": before[key], "new": told[key]} for key in told]}
            record_of_instance(self._audit, tx, "project.limits.updated", subject, instance, entry)
            tx.after_commit(Event("instance.changed", instance_id, instance.team_id, {"id": instance_id}))
            return msgspec.structs.replace(row, own=own, devices=leased), limits.leases(tx)

        row, leased = await self._context.store.write(work)
        return await self._shown(row, leased, await self._adjust(instance_id))

    async def _shown(self, row: LimitsRow, leased: Sequence[Lease], note: str) -> ShownLimits:
        found = effective(row, await leases.lost(leased, self._look))
        return ShownLimits(
            memory_mb=found.memory_mb,
            cpu_percent=found.cpu_percent,
            tasks=found.tasks,
            disk_mb=found.disk_mb,
            disk_used_mb=self._used_mb(row.id),
            networks=list(found.networks),
            ports=list(found.ports),
            devices=list(row.devices),
            note="; ".join(each for each in (note, *found.lost) if each),
        )


def effective(row: LimitsRow, lost: leases.Lost) -> Limits:
    """What holds: its own, else its type's; what makes no sense counts as not given. `lost`: leases that don't hold."""
    merged = {**{key: row.of_type.get(key) for key in NUMBERS.values()}, **row.own}
    numbers = {field: _number(merged.get(key)) for field, key in NUMBERS.items()}
    return Limits(
        **numbers,
        networks=tuple(row.own.get("networks", ())),
        ports=tuple(row.own.get("ports", ())),
        devices=tuple(each for each in row.devices if each not in lost),
        lost=tuple(leases.words(*lost[each]) for each in row.devices if each in lost),
    )


def _number(value: object) -> int | None:
    text = str(value or "")
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 1 << 40 else None


def _wanted(body: ChangeLimits, reserved: Sequence[port_rules.Range]) -> dict[str, Any]:
    given: Mapping[str, Any] = msgspec.structs.asdict(body)
    found = {key: given[field] for field, key in NUMBERS.items() if given[field] is not UNSET}
    if body.networks is not UNSET:
        found["networks"] = [_network(each) for each in body.networks]
    if body.ports is not UNSET:
        found["ports"] = _ports(body.ports, reserved)
    return found


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise Invalid(
            f"'{text[:80]}' is no address and no network.", hint="Write one such as 192.0.2.7 or 192.0.2.0/24."
        ) from error


def _ports(given: list[str], reserved: Sequence[port_rules.Range]) -> list[str]:
    """In one spelling and order; `own` says nothing beside others."""
    rules = {_port(each) for each in given if each.strip().lower() != port_rules.OWN}
    for rule in sorted(rules, key=str):
        for taken in reserved:
            if rule.meets(taken):
                ports = str(taken[0]) if taken[0] == taken[1] else f"{taken[0]}-{taken[1]}"
                raise Invalid(
                    f"{rule} can't be opened to an instance: {ports} belongs to Weir and to all instances.",
                    code="invalid_port",
                    hint="Name other ports. Its own two are always open to an instance.",
                )
    ordered = sorted(rules, key=lambda rule: (rule.first, rule.last, rule.protocol))
    return [str(each) for each in ordered] or ([port_rules.OWN] if given else [])


def _port(text: str) -> port_rules.PortRule:
    try:
        return port_rules.parse(text)
    except ValueError as error:
        raise Invalid(
            f"'{text[:80]}' is no port and no range of ports (1-{port_rules.LAST}).",
            code="invalid_port",
            hint="Write one such as tcp:1880, udp:5000-5010 or 1883; or 'own' for none but its own.",
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


def _check_free(leased: Sequence[Lease], instance_id: str, wanted: set[str], known: Names) -> None:
    others = [each for each in leased if each.instance_id != instance_id]
    for path in sorted(wanted):
        for other in others:
            if device_names.same(known, path, other.path):
                whose = f"leased to the instance '{other.name}'"
                raise Conflict(
                    f"{path} is {whose}."
                    if path == other.path
                    else f"{path} is the same device as {other.path}, which is {whose}.",
                    code="device_leased",
                    hint="A device is one instance's: take it away from that one first.",
                )


def _unknown() -> NotFound:
    return NotFound("There is no such instance.", hint="See: weir instance list")
