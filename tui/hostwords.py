"""The machine and the appliance in words. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from appliance.schema.box import BoxStatus, HostCertificate, HostDisk, Machine
from appliance.schema.operations import WearReport
from tui.signs import Kind
from tui.text import age, duration, percent, size

Fact = tuple[str, str, str]  # label, text, style
NEARLY_FULL = 0.9
SOON_DAYS = 14
SHORT_YEARS = 2.0
MOST_WRITERS = 5


def of_machine(machine: Machine) -> list[Fact]:
    """What people want to know of a machine, the most urgent first."""
    used = machine.memory_total_bytes - machine.memory_available_bytes
    swapped = machine.swap_total_bytes - machine.swap_free_bytes
    busy = machine.load[:1] and machine.load[0] > machine.cpus
    return [
        ("system", f"{machine.system}, up {duration(machine.uptime_s)}", "plain"),
        (
            "processors",
            f"{machine.cpus}, load {' '.join(f'{each:.2f}' for each in machine.load)}",
            Kind.CHANGING if busy else "plain",
        ),
        (
            "memory",
            f"{percent(used, machine.memory_total_bytes)} of {size(machine.memory_total_bytes)} used",
            _full(used, machine.memory_total_bytes),
        ),
        (
            "swap",
            f"{size(swapped)} of {size(machine.swap_total_bytes)} used" if machine.swap_total_bytes else "none",
            "plain",
        ),
        *(_disk(each) for each in machine.disks),
        _heat(machine),
        _throttling(machine),
        _clock(machine),
        *(_certificate(each) for each in machine.certificates),
    ]


def of_appliance(status: BoxStatus, now: datetime | None = None) -> list[Fact]:
    """The appliance itself."""
    told = status.appliance
    started = age(told.started_at, now or datetime.now(UTC))
    return [
        ("weir", f"{told.version}, pid {told.pid}, up {started}{'' if told.ready else ', still starting'}", "plain"),
        ("address", told.url, "name"),
        ("directory", told.home, "plain"),
        ("CA", told.ca_url, "plain"),
        ("fingerprint", told.ca_fingerprint or "there is no authority yet", "dim"),
    ]


def of_operations(status: BoxStatus, wear: WearReport) -> list[Fact]:
    """Maintenance, room for more, and what is written to the disk."""
    facts: list[Fact] = []
    if status.maintenance is not None and status.maintenance.on:
        reason = f": {status.maintenance.reason}" if status.maintenance.reason else ""
        facts.append(("maintenance", f"all instances are paused{reason}", Kind.CHANGING))
    facts += [
        (
            "room",
            f"{each.more} more of type {each.type}, {size(each.need_bytes)} each",
            "plain" if each.more else Kind.BAD,
        )
        for each in status.room
    ]
    if wear.disk is not None:
        lasts = f", lasts about {wear.disk.years:g} years" if wear.disk.years is not None else ""
        low = wear.disk.card and wear.disk.years is not None and wear.disk.years < SHORT_YEARS
        text = f"{size(wear.disk.per_day_bytes)} a day to {wear.disk.device}{lasts}"
        facts.append(("written", text, Kind.BAD if low else "plain"))
    facts += [("", f"{each.name}: {size(each.per_day_bytes)} a day", "dim") for each in wear.instances[:MOST_WRITERS]]
    return facts


def _disk(disk: HostDisk) -> Fact:
    used = disk.total_bytes - disk.free_bytes
    text = f"{disk.path}: {percent(used, disk.total_bytes)} of {size(disk.total_bytes)} used"
    if disk.read_only:
        return ("disk", f"{text}, read-only", Kind.BAD)
    return ("disk", text, _full(used, disk.total_bytes))


def _heat(machine: Machine) -> Fact:
    if machine.temperature_c is None:
        return ("temperature", "no sensor that can be read", "dim")
    limit = machine.temperature_limit_c
    text = f"{machine.temperature_c:g} C at {machine.sensor}{f', too hot from {limit:g} C' if limit else ''}"
    return ("temperature", text, Kind.BAD if limit and machine.temperature_c >= limit else "plain")


def _throttling(machine: Machine) -> Fact:
    if machine.throttled:
        return ("slowed down", f"now: {', '.join(machine.throttled)}", Kind.BAD)
    if machine.was_throttled:
        return ("slowed down", f"since the start: {', '.join(machine.was_throttled)}", Kind.CHANGING)
    return ("slowed down", "not that this machine tells", "plain")


def _clock(machine: Machine) -> Fact:
    if machine.clock_synced is None:
        return ("clock", "the kernel does not tell who sets it", "dim")
    if machine.clock_synced:
        return ("clock", "set by a time server", "plain")
    return ("clock", "not set by a time server", Kind.CHANGING)


def _certificate(each: HostCertificate) -> Fact:
    names = f"; {', '.join(each.names)}" if each.names else ""
    text = f"good until {each.until[:10]}, {each.days_left} days{names}"
    return (each.what, text, Kind.BAD if each.days_left < SOON_DAYS else "plain")


def _full(used: float, total: float) -> str:
    return Kind.BAD if total and used / total >= NEARLY_FULL else "plain"
