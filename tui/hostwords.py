"""The machine and the appliance in words. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from appliance.schema.backups import Backups
from appliance.schema.box import BoxStatus, HostCertificate, HostDisk, Machine
from appliance.schema.broker import BrokerStatus
from appliance.schema.operations import WearReport
from tui.signs import Kind
from tui.text import age, duration, parse_time, percent, plural, size

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
        _units(machine),
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


def of_backups(found: Backups, now: datetime | None = None) -> list[Fact]:
    """The newest backup, whether it was proven, and when the next one comes by itself."""
    plan = found.schedule
    coming = "none by themselves" if plan.every == "off" else f"the next one {_minute(plan.next_at)}"
    if not found.backups:
        return [("backups", f"none yet; {coming}", Kind.CHANGING)]
    newest = max(found.backups, key=lambda each: each.made_at)
    proven = f"proven {_minute(newest.verified_at)}" if newest.verified_at else "never proven"
    made = f"the newest of {len(found.backups)} is {age(newest.made_at, now or datetime.now(UTC))} old"
    if newest.verify_error:
        return [("backups", f"{made}, and does not open: {newest.verify_error}", Kind.BAD)]
    return [("backups", f"{made}, {proven}; {coming}", "plain")]


def of_broker(status: BrokerStatus) -> list[Fact]:
    """The message broker: whether it runs, who may log in, and where it listens."""
    if not status.enabled:
        return [("broker", "switched off; [broker] enabled = true in config.toml", "dim")]
    connected = "" if status.connected is None else f", {plural(status.connected, 'connection')}"
    clients = f"{plural(status.clients, 'instance')} may log in{connected}"
    state = f"running, pid {status.pid}; {clients}" if status.running else f"does not run; {clients}"
    facts: list[Fact] = [("broker", state, "plain" if status.running else Kind.BAD)]
    if status.message:
        facts.append(("", status.message, Kind.BAD))
    facts += [("", each, "dim") for each in (status.url, *status.public_urls) if each]
    return facts


def _units(machine: Machine) -> Fact:
    if machine.units is None:
        return ("units", "none: systemd does not run this box", "dim")
    failed = [each.name for each in machine.units if each.active == "failed"]
    if failed:
        return ("units", f"failed: {', '.join(failed)}", Kind.BAD)
    running = [each for each in machine.units if each.sub == "running" and "@" not in each.name]
    launchers = sum(each.name.startswith("weir-launcher@") and each.sub == "running" for each in machine.units)
    timers = sum(each.name.endswith(".timer") and each.active == "active" for each in machine.units)
    names = ", ".join(each.name.removesuffix(".service") for each in running if each.name.endswith(".service"))
    text = f"{names} run, {plural(launchers, 'launcher')}, {plural(timers, 'timer')}; none failed"
    return ("units", text, "plain")


def _minute(text: str | None) -> str:
    found = parse_time(text)
    return f"{found.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if found else "at no time"


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
