"""The machine that the box runs on, for people who look after it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from cryptography import x509

from appliance.config import Home
from appliance.schema.box import HostCertificate, HostDisk, HostUnit, Machine
from appliance.system import kernel, vitals


def read(home: Home, now: datetime) -> Machine:
    """How the machine is at `now`. Blocks for a few reads of /proc and /sys, and asks the file systems."""
    memory, heat, throttling = vitals.memory(), vitals.heat(), vitals.throttling()
    seen = os.uname()
    return Machine(
        system=f"{seen.sysname} {seen.release} {seen.machine}",
        cpus=os.cpu_count() or 1,
        load=[round(each, 2) for each in os.getloadavg()],
        memory_total_bytes=memory.total_bytes,
        memory_available_bytes=memory.available_bytes,
        swap_total_bytes=memory.swap_total_bytes,
        swap_free_bytes=memory.swap_free_bytes,
        disks=[
            HostDisk(path=each.path, total_bytes=each.total_bytes, free_bytes=each.free_bytes, read_only=each.read_only)
            for each in vitals.disks((home.root, home.state, home.instances, Path("/"), Path("/tmp")))  # noqa: S108
        ],
        certificates=[
            told
            for file, what in ((home.tls / "box.crt", "certificate"), (home.tls / "ca.crt", "authority"))
            if (told := _certificate(file, what, now)) is not None
        ],
        uptime_s=vitals.uptime_s(),
        throttled=list(throttling.now),
        was_throttled=list(throttling.since_start),
        sensor=heat.sensor if heat else "",
        temperature_c=round(heat.now_c, 1) if heat else None,
        temperature_limit_c=round(heat.limit_c, 1) if heat else None,
        clock_synced=vitals.clock_state().synced,
        units=_units() if home.installed else None,
    )


def _units() -> list[HostUnit] | None:
    try:
        return [HostUnit(name, active, sub) for name, active, sub in kernel.units()]
    except OSError:
        return None


def _certificate(file: Path, what: str, now: datetime) -> HostCertificate | None:
    """None while there is none, or a broken one that is about to be made anew."""
    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError):
        return None
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    until = found.not_valid_after_utc
    return HostCertificate(
        what=what,
        until=until.isoformat(timespec="seconds"),
        days_left=(until - now).days,
        names=[str(each.value) for each in names],
    )
