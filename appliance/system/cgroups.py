"""What of an instance's limits this kernel can enforce."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
# Raspberry Pi OS starts its kernel with `cgroup_disable=memory`; its file of kernel options is one line.
_PI_OPTIONS = (Path("/boot/firmware/cmdline.txt"), Path("/boot/cmdline.txt"))
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


def missing(root: Path = ROOT, proc: Path = PROC) -> list[str]:
    """What can't be enforced here, for people; empty when all can."""
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
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
