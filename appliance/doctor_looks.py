"""What `weir doctor` looks at beside the box itself: the system below it, versions, the name in the local network."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from msgspec.structs import replace

from appliance.config import Home
from appliance.schema.box import Finding
from appliance.services.health import memory, system
from appliance.services.health.trouble import Trouble
from appliance.system import mdns, vitals
from appliance.system.kernel import Descriptors

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
VERSION_S = 5.0
WATCHDOG = Path("/dev/watchdog")


def system_(home: Home) -> Iterator[Finding]:
    """Throttling, descriptors, swap, name servers, failed units, limits that nobody enforces."""
    seen = system.measure(vitals.throttling, installed=home.installed)
    # A process that has just started has few files open; the appliance's own are its own check's.
    machine = seen.descriptors
    if machine is not None and machine.open < system.DESCRIPTORS_LOW * machine.most:
        seen = _without_own(seen, machine)
    troubles = system.at_once(seen)
    now = vitals.memory()
    if memory.swap_used_up(now):
        troubles.append(memory.low_swap(now))
    yield from (_found(trouble) for trouble in troubles)
    if not troubles:
        names = {True: "name servers answer", False: "", None: "name servers were not asked"}[seen.names]
        yield Finding("system", True, f"not slowed down, files can be opened, {names}, no unit of Weir has failed")


def versions(home: Home) -> Iterator[Finding]:
    """What runs here, for whoever asks for help."""
    known = {"Weir": _weir(), "Python": platform.python_version(), "kernel": platform.release(), "system": _system()}
    for name, words in (("nginx", ["nginx", "-v"]), ("mosquitto", ["mosquitto", "-h"])):
        known[name] = _said(words)
    yield Finding("versions", True, ", ".join(f"{name} {what}" for name, what in known.items() if what))
    if home.installed and WATCHDOG.exists():
        wanted = Path("/etc/systemd/system.conf.d/50-weir-watchdog.conf").exists()
        kept = "systemd keeps the hardware's watchdog alive" if wanted else "there is one that nobody uses"
        yield Finding("watchdog", True, kept)


def local_name() -> Iterator[Finding]:
    """Whether `<host>.local` leads here."""
    seen = mdns.announced()
    wanted = f"{socket.gethostname().split('.')[0]}.local"
    if seen is None:
        how = "apt-get install --no-install-recommends avahi-daemon"
        yield Finding("local name", True, f"nobody announces {wanted}; where that name is wanted: {how}")
    elif seen != wanted:
        step = "Give one of the two another host name: hostnamectl set-hostname NAME"
        said = f"another machine of this network is called {wanted}; this one is announced as {seen}"
        yield Finding("local name", False, said, step, "local_name_taken")
    else:
        yield Finding("local name", True, f"{seen} is announced to the local network")


def _without_own(seen: system.SystemReadings, machine: Descriptors) -> system.SystemReadings:
    return replace(seen, descriptors=replace(machine, own=0))


def _found(trouble: Trouble) -> Finding:
    detail = f"{trouble.title}. {trouble.cause}" + (f" ({trouble.evidence})" if trouble.evidence else "")
    return Finding("system", False, detail, trouble.next_step, trouble.key)


def _weir() -> str:
    try:
        return metadata.version("weir")
    except metadata.PackageNotFoundError:
        return "of a checkout"


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _said(command: list[str]) -> str:
    """The version in the first line of what a program says of itself; empty where it is not installed."""
    program = shutil.which(command[0], path=PATH)
    if program is None:
        return ""
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=VERSION_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "does not answer"
    words = (done.stderr or done.stdout).replace("/", " ").split()
    return next((word for word in words if word[:1].isdigit()), "")
