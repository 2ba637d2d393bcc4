"""The system below Weir: throttling, file descriptors, name servers, failed units, and limits that nobody enforces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from appliance.services.health.trouble import Seconds, Steady, Trouble
from appliance.system import kernel
from appliance.system.kernel import Descriptors
from appliance.system.vitals import Throttling

SLOWED_S = 60.0
DESCRIPTORS_LOW = 0.85
DESCRIPTORS_WELL = 0.75
SILENT_S = 180.0


class SystemReadings(Struct, frozen=True):
    """What was read at one moment. `names`: whether a name server answers, None where none is expected to."""

    throttling: Throttling
    descriptors: Descriptors | None
    names: bool | None
    servers: tuple[str, ...]
    failed: tuple[str, ...]
    unlimited: bool
    command_line: Path | None


class SystemCheck:
    """Looked at once a minute, in a thread: name servers may be slow."""

    name = "system"
    every_s = 60.0
    quick = False

    def __init__(self, uptime_s: Seconds, read: Callable[[], SystemReadings]) -> None:
        self._read = read
        self._slowed = Steady(SLOWED_S, uptime_s)
        self._short = Steady(0.0, uptime_s)
        self._silent = Steady(SILENT_S, uptime_s)

    async def look(self) -> Sequence[Trouble]:
        return self.judge(await asyncio.to_thread(self._read))

    def judge(self, seen: SystemReadings) -> list[Trouble]:
        """All troubles after this reading."""
        slow, well = bool(seen.throttling.now), not seen.throttling.now
        found = [slowed(seen.throttling.now)] if self._slowed.take(bad=slow, well=well) else []
        if seen.descriptors is not None:
            share = _share(seen.descriptors)
            short = self._short.take(bad=share >= DESCRIPTORS_LOW, well=share < DESCRIPTORS_WELL)
            found += [few_descriptors(seen.descriptors)] if short else []
        silent = self._silent.take(bad=seen.names is False, well=seen.names is not False)
        found += [no_names(seen.servers)] if silent else []
        found += [failed_unit(name) for name in seen.failed]
        return [*found, *([unlimited(seen.command_line)] if seen.unlimited else [])]


def measure(throttling: Callable[[], Throttling], *, installed: bool) -> SystemReadings:
    """Ask the kernel, systemd and the name servers. Blocks for seconds at worst. What can't be read is no trouble."""
    try:
        descriptors = kernel.descriptors()
    except (OSError, ValueError):
        descriptors = None
    try:
        failed = tuple(kernel.failed_units()) if installed else ()
    except OSError:
        failed = ()
    # A box that somebody tries out on his desk asks nobody anything.
    servers = tuple(kernel.name_servers()) if installed and kernel.has_route() else ()
    return SystemReadings(
        throttling=throttling(),
        descriptors=descriptors,
        names=kernel.answers(servers) if servers else None,
        servers=servers,
        failed=failed,
        unlimited=installed and not kernel.limits_memory(),
        command_line=kernel.command_line_file(),
    )


def at_once(seen: SystemReadings) -> list[Trouble]:
    """What is a trouble by one reading alone, for a look that nobody repeats."""
    found = [slowed(seen.throttling.now)] if seen.throttling.now else []
    if seen.descriptors is not None and _share(seen.descriptors) >= DESCRIPTORS_LOW:
        found.append(few_descriptors(seen.descriptors))
    found += [no_names(seen.servers)] if seen.names is False else []
    found += [failed_unit(name) for name in seen.failed]
    return [*found, *([unlimited(seen.command_line)] if seen.unlimited else [])]


def slowed(why: Sequence[str]) -> Trouble:
    """The trouble of a board that slows itself down."""
    voltage = "too little voltage" in why
    step = "Use the board's own power supply and a short, thick cable; devices on USB may draw too much."
    return Trouble(
        "throttled",
        "The board gets too little voltage" if voltage else "The processor is slowed down",
        "The board protects itself by going slower; with too little voltage it may also damage its card."
        if voltage
        else "The board protects itself from heat by going slower, so flows react late.",
        f"the firmware says: {', '.join(why)}",
        step if voltage else "Give it air, a heat sink or a fan; look for a busy flow: weir instance list",
    )


def few_descriptors(seen: Descriptors) -> Trouble:
    """The trouble of a machine, or an appliance, that can hardly open another file."""
    own = seen.own / max(1, seen.own_most) >= seen.open / max(1, seen.most)
    return Trouble(
        "descriptors_low",
        "Hardly any more files can be opened",
        "Connections and files need descriptors; when there are none left, browsers are refused and starts fail.",
        f"Weir has {seen.own} of {seen.own_most} open, the machine {seen.open} of {seen.most}",
        "Restart the appliance (systemctl restart weir); instances go on. If it comes back, report it with: "
        "ls -l /proc/$(pidof -s weir)/fd"
        if own
        else "Look for the program that holds them: lsof -n | awk '{print $1}' | sort | uniq -c | sort -n | tail",
    )


def no_names(servers: Sequence[str]) -> Trouble:
    """The trouble of a box whose name servers are silent."""
    return Trouble(
        "dns_silent",
        "The name servers of this box do not answer",
        "Names such as those of brokers, mail servers or npm's registry are not found, so flows and installs fail.",
        f"asked for minutes in vain: {', '.join(servers)}",
        "Check the network and /etc/resolv.conf (resolvectl status): a server is down, or a firewall in between.",
    )


def failed_unit(name: str) -> Trouble:
    """The trouble of a unit that systemd has given up."""
    return Trouble(
        f"unit_failed:{name}",
        f"The unit {name} has failed",
        "systemd does not start it again by itself.",
        "systemctl list-units --state=failed 'weir*'",
        f"Why: journalctl -u {name} -n 50; then: systemctl reset-failed {name} && systemctl start {name}",
    )


def unlimited(command_line: Path | None) -> Trouble:
    """The trouble of a kernel that limits nobody's memory."""
    if command_line is not None:
        step = f"Add to the one line of {command_line}: cgroup_enable=memory cgroup_memory=1; then: reboot"
    else:
        step = (
            "Add cgroup_enable=memory to GRUB_CMDLINE_LINUX in /etc/default/grub (and take cgroup_disable=memory "
            "out); then: update-grub && reboot"
        )
    return Trouble(
        "memory_unlimited",
        "This kernel does not limit the memory of instances",
        "One flow that eats memory takes it from all others, and the kernel may end any of them. "
        "The memory controller is switched off, as Raspberry Pi OS does.",
        "no memory controller in /sys/fs/cgroup/cgroup.controllers or /proc/cgroups",
        step,
    )


def _share(seen: Descriptors) -> float:
    return max(seen.own / max(1, seen.own_most), seen.open / max(1, seen.most))
