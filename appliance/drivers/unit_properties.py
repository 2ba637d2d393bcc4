"""An instance's limits as properties of its unit (systemd.resource-control(5)). Pure.

All of them are always written, so that a limit that was taken back is gone: an empty value would be none at all, not
that of the unit file, so the defaults are here as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.model import InstanceSpec
from appliance.system import port_rules

MIB = 1024 * 1024
HIGH_PERCENT = 90  # of the limit: from there on the kernel takes back what it can and slows the instance down
# Beside Node-RED's heap: code, buffers, the launcher, an npm that installs.
OVERHEAD_MB = 160
# Of the machine's memory, where nothing was said: whatever one instance does, the others and the box have the rest.
MEMORY, MEMORY_HIGH = "50%", "45%"
TASKS = 512
Ports = tuple[int, int]


def properties(spec: InstanceSpec, reserved: Sequence[Ports]) -> list[str]:
    """`NAME=VALUE`, lists emptied before they are filled. `reserved`: first and last of the ranges of ports that
    instances have on loopback, of which this one may open its own two, whatever it may open else."""
    limits = spec.limits
    memory_mb = limits.memory_mb or (spec.memory_mb and spec.memory_mb + OVERHEAD_MB)
    cpu, tasks = limits.cpu_percent, limits.tasks
    return [
        f"MemoryMax={memory_mb * MIB if memory_mb else MEMORY}",
        f"MemoryHigh={memory_mb * MIB * HIGH_PERCENT // 100 if memory_mb else MEMORY_HIGH}",
        f"CPUQuota={f'{cpu}%' if cpu else ''}",
        f"TasksMax={tasks or TASKS}",
        "DeviceAllow=",
        *(f"DeviceAllow={path} rw" for path in limits.devices),
        "IPAddressAllow=",
        "IPAddressDeny=",
        *(["IPAddressDeny=any", "IPAddressAllow=localhost"] if limits.networks else []),
        *(f"IPAddressAllow={network}" for network in limits.networks),
        "SocketBindAllow=",
        "SocketBindDeny=",
        *(f"SocketBindAllow={kind}:{port}" for kind in ("tcp",) for port in (spec.node_red_port, spec.launcher_port)),
        *(f"SocketBindAllow={rule}" for rule in _allowed(limits.ports, reserved)),
        *(f"SocketBindDeny={first}-{last}" for first, last in reserved),
        *([f"SocketBindDeny={port_rules.EVERYTHING}"] if limits.ports else []),
    ]


def _allowed(ports: Sequence[str], reserved: Sequence[Ports]) -> list[port_rules.PortRule]:
    """What is allowed comes before what is denied, so what is spoken for must not be in it."""
    return port_rules.without((port_rules.parse(each) for each in ports if each != port_rules.OWN), reserved)
