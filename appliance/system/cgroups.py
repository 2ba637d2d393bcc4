"""What of an instance's limits this kernel can enforce."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from appliance.system.units import Systemctl, UnitsUnavailable

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
# Raspberry Pi OS starts its kernel with `cgroup_disable=memory`; its file of kernel options is one line.
_PI_OPTIONS = (Path("/boot/firmware/cmdline.txt"), Path("/boot/cmdline.txt"))
# systemd loads it when it first needs it.
LIBRARIES = Path("/usr")
_LIBBPF = ("lib/*/libbpf.so.?", "lib64/libbpf.so.?", "lib/libbpf.so.?")
TURN_ON = "cgroup_enable=memory cgroup_memory=1"


def unified(root: Path = ROOT) -> bool:
    """Whether the machine runs cgroups of version 2 alone."""
    return (root / "cgroup.controllers").exists()


def controllers(root: Path = ROOT, proc: Path = PROC) -> frozenset[str]:
    """The controllers that are on: of version 2 those of the root, of version 1 those that the kernel says so of."""
    if unified(root):
        return frozenset(_read(root / "cgroup.controllers").split())
    rows = (line.split() for line in _read(proc / "cgroups").splitlines() if not line.startswith("#"))
    return frozenset(row[0] for row in rows if len(row) == 4 and row[3] == "1")


def memory_off(root: Path = ROOT, proc: Path = PROC) -> bool:
    """Whether the kernel counts no memory, so that no limit of it holds."""
    return "memory" not in controllers(root, proc)


def memory_hint() -> str:
    """What to do about that, to the letter."""
    file = next((each for each in _PI_OPTIONS if each.exists()), None)
    if file is not None:
        return f"Add to the end of the one line in {file}: {TURN_ON} - then restart the machine."
    return f"Add {TURN_ON} to GRUB_CMDLINE_LINUX in /etc/default/grub, run update-grub, and restart the machine."


def features() -> str:
    """What the systemd that runs was built with (`+BPF_FRAMEWORK …`); empty where it can't be asked. Blocks."""
    try:
        return "".join(found.get("Features", "") for found in Systemctl().show(properties="Features"))
    except UnitsUnavailable:
        return ""


def missing(
    root: Path = ROOT,
    proc: Path = PROC,
    *,
    features: Callable[[], str] = features,
    libraries: Path = LIBRARIES,
) -> list[str]:
    """What can't be enforced here, for people; empty when all can. Blocks for a moment."""
    found = [f"no limit of memory holds: the kernel counts none. {memory_hint()}"] if memory_off(root, proc) else []
    have = controllers(root, proc)
    for controller, what in (("cpu", "processor time"), ("pids", "processes")):
        if controller not in have:
            found.append(f"no limit of {what} holds: this kernel has no cgroup controller '{controller}'")
    if not unified(root):
        found.append(
            "lists of networks and of ports do not hold: they need cgroups of version 2; start the kernel with "
            "systemd.unified_cgroup_hierarchy=1"
        )
    if no_ports := _no_ports(features().split(), libraries):
        found.append(f"lists of ports do not hold: {no_ports}")
    return found


def _no_ports(built_with: Sequence[str], libraries: Path) -> str:
    """Why systemd can't keep units from opening ports; lists of networks need neither."""
    if "-BPF_FRAMEWORK" in built_with:
        return "the systemd of this system was built without what they need (BPF_FRAMEWORK), as that of Debian 12 was"
    if "+BPF_FRAMEWORK" in built_with and not any(any(libraries.glob(each)) for each in _LIBBPF):
        return "systemd needs a library for them; install it (apt install libbpf1), and start the machine anew"
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
