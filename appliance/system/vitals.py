"""How the machine is: disks, memory, clock, heat, and who listens where. Asks the kernel, never a service."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from msgspec import Struct

PROC = Path("/proc")
SYS = Path("/sys")
RUN = Path("/run")
_STA_UNSYNC = 0x40  # adjtimex(2)
_HOST_CLOCKS = frozenset({"kvm-clock", "hyperv_clocksource_tsc_page", "hyperv_clocksource_msr", "xen", "arch_sys_xen"})
_TIME_SERVICES = ("systemd/timesync", "chrony", "ntpd.pid", "openntpd.pid", "ntpsec")  # below /run
_HEADROOM_C = 10.0  # below the temperature at which the board slows down or switches off
_HOT_C = 80.0
_LISTEN = "0A"


class Disk(Struct, frozen=True):
    """One file system. `files` is 0 where it doesn't count its inodes; `free_bytes` is what this account may use."""

    path: str
    total_bytes: int
    free_bytes: int
    files: int
    files_free: int
    read_only: bool


class Memory(Struct, frozen=True):
    """`swapped_in_pages` counts since the machine was started."""

    total_bytes: int
    available_bytes: int
    swap_total_bytes: int
    swap_free_bytes: int
    swapped_in_pages: int


class ClockState(Struct, frozen=True):
    """`synced`: a time service has set the clock; None where the kernel doesn't say. `kept`: something else keeps it
    (a battery clock, or the host of a virtual machine). `service`: a program that should set it runs."""

    synced: bool | None
    kept: bool
    service: bool


class Heat(Struct, frozen=True):
    """The hottest sensor, and where it becomes too hot, in degrees Celsius."""

    sensor: str
    now_c: float
    limit_c: float


class Throttling(Struct, frozen=True):
    """Why the processor is slower than it could be: now, and at some time since the machine was started."""

    now: tuple[str, ...] = ()
    since_start: tuple[str, ...] = ()


class Listener(Struct, frozen=True):
    """Who listens on a port. `pid` None: a process that this account may not look at."""

    port: int
    pid: int | None
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.pid is not None else "a program of another account"


def disk(path: Path) -> Disk:
    """The file system that holds `path`. Raises OSError."""
    seen = os.statvfs(path)
    free = seen.f_bfree if os.geteuid() == 0 else seen.f_bavail
    files_free = seen.f_ffree if os.geteuid() == 0 else seen.f_favail
    return Disk(
        path=str(path),
        total_bytes=seen.f_blocks * seen.f_frsize,
        free_bytes=free * seen.f_frsize,
        files=seen.f_files,
        files_free=files_free,
        read_only=bool(seen.f_flag & os.ST_RDONLY),
    )


def disks(paths: Iterable[Path]) -> list[Disk]:
    """The file systems that hold these paths, each once, named by the first of them; what isn't there is left out."""
    found: dict[int, Disk] = {}
    for path in paths:
        try:
            device = path.stat().st_dev
            if device not in found:
                found[device] = disk(path)
        except FileNotFoundError:
            continue
    return list(found.values())


def memory() -> Memory:
    """Raises OSError where there is no /proc."""
    values = _numbers(PROC / "meminfo")
    return Memory(
        total_bytes=values["MemTotal:"] * 1024,
        available_bytes=values.get("MemAvailable:", values["MemFree:"]) * 1024,
        swap_total_bytes=values.get("SwapTotal:", 0) * 1024,
        swap_free_bytes=values.get("SwapFree:", 0) * 1024,
        swapped_in_pages=_numbers(PROC / "vmstat").get("pswpin", 0),
    )


def _numbers(file: Path) -> dict[str, int]:
    rows = (line.split() for line in file.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def clock_state() -> ClockState:
    """What keeps this machine's clock."""
    return ClockState(
        synced=_synced(), kept=_has_clock(), service=any((RUN / each).exists() for each in _TIME_SERVICES)
    )


def uptime_s() -> float:
    """Seconds since the machine was started; goes on while it sleeps and when the clock is set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class _Timex(ctypes.Structure):
    # struct timex (adjtimex(2)); only `modes` (0: ask) and `status` are used, the rest is room for the kernel.
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_byte * 256),
    )


def _synced() -> bool | None:
    asked = _Timex()
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(asked))
    except (AttributeError, OSError):
        return None
    return None if answer < 0 else not asked.status & _STA_UNSYNC


@cache
def _has_clock() -> bool:
    """Does not change while the machine runs, and /proc/cpuinfo is dear on some."""
    if any((SYS / "class/rtc").glob("rtc*")):
        return True
    source = SYS / "devices/system/clocksource/clocksource0/current_clocksource"
    try:
        if source.read_text().strip() in _HOST_CLOCKS:
            return True
        return "hypervisor" in (PROC / "cpuinfo").read_text()
    except OSError:
        return False


def heat() -> Heat | None:
    """The hottest thermal zone; None where the machine has no sensor that can be read."""
    found = [reading for zone in sorted((SYS / "class/thermal").glob("thermal_zone*")) if (reading := _zone(zone))]
    return max(found, key=lambda each: each.now_c - each.limit_c, default=None)


def _zone(zone: Path) -> Heat | None:
    try:
        now_c = int((zone / "temp").read_text()) / 1000
        name = (zone / "type").read_text().strip()
    except (OSError, ValueError):
        return None
    if not 0 < now_c < 150:  # sensors that are not connected say -273 or thousands
        return None
    trips = [limit for number in range(8) if (limit := _trip(zone, number)) is not None]
    return Heat(name, now_c, min([_HOT_C, *(limit - _HEADROOM_C for limit in trips)]))


def _trip(zone: Path, number: int) -> float | None:
    try:
        kind = (zone / f"trip_point_{number}_type").read_text().strip()
        limit = int((zone / f"trip_point_{number}_temp").read_text()) / 1000
    except (OSError, ValueError):
        return None
    return limit if kind in ("hot", "critical") and 40 < limit < 150 else None


# Bits of the Raspberry Pi's firmware; the same 16 bits higher are those since the start
# (https://www.raspberrypi.com/documentation/computers/os.html#get_throttled).
_THROTTLED = ("too little voltage", "frequency capped", "throttled", "soft temperature limit")


def throttling() -> Throttling:
    """As the firmware of a Raspberry Pi, or else the kernel for other processors, tells it."""
    bits = _number(SYS / "devices/platform/soc/soc:firmware/get_throttled", 16)
    if bits is not None:
        named = [(1 << at, word) for at, word in enumerate(_THROTTLED)]
        return Throttling(
            tuple(word for bit, word in named if bits & bit), tuple(word for bit, word in named if bits & bit << 16)
        )
    counts = (SYS / "devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/package_throttle_count")
    return Throttling(since_start=("too hot",) if any(_number(each, 10) for each in counts) else ())


def _number(file: Path, base: int) -> int | None:
    try:
        return int(file.read_text().strip(), base)
    except (OSError, ValueError):
        return None


def listeners(ports: Iterable[int]) -> list[Listener]:
    """Who listens on these ports, on any address; ports that nobody listens on are left out."""
    wanted = set(ports)
    sockets = {inode: port for name in ("tcp", "tcp6") for port, inode in _listening(PROC / "net" / name, wanted)}
    holders = _holders(set(sockets)) if sockets else {}
    found: dict[int, Listener] = {}
    for inode, port in sockets.items():
        pid = holders.get(inode)
        if port not in found or found[port].pid is None:
            found[port] = Listener(port, pid, _name(pid) if pid is not None else "")
    return [found[port] for port in sorted(found)]


def _listening(table: Path, wanted: set[int]) -> Iterable[tuple[int, int]]:
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:  # no IPv6 in this kernel
        return []
    ports = ((int(row[1].rpartition(":")[2], 16), int(row[9])) for row in rows if row[3] == _LISTEN)
    return [(port, inode) for port, inode in ports if port in wanted]


def _holders(inodes: set[int]) -> dict[int, int]:
    """The process of each socket; of several (nginx's workers) the one with the lowest number."""
    named = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, int] = {}
    for folder in sorted((each for each in PROC.iterdir() if each.name.isdigit()), key=lambda each: int(each.name)):
        for target in _open_files(folder):
            if target in named:
                found.setdefault(named[target], int(folder.name))
    return found


def _open_files(process: Path) -> list[str]:
    try:
        return [_link(entry) for entry in (process / "fd").iterdir()]
    except OSError:  # gone, or of another account
        return []


def _link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:  # closed by now
        return ""


def _name(pid: int) -> str:
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return "a process"
