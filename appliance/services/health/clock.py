"""Time: a clock that nobody sets, one that jumped, one that can't be right."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from appliance.services.health.trouble import Seconds, Steady, Trouble
from appliance.system.vitals import ClockState

# No clock of a box that runs this version is right when it is before this day. Set with each release.
BUILT = datetime(2026, 11, 1, tzinfo=UTC)
UNSYNCED_S = 900.0  # a time service needs some minutes after the start, and the network may come late
STEP_S = 30.0  # smaller ones are what time services do every now and then
TOLD_S = 3600.0


class ClockCheck:
    """Compares the clock with the time that passed since the last look."""

    def __init__(self, clock: Callable[[], datetime], uptime_s: Seconds) -> None:
        self._clock = clock
        self._uptime_s = uptime_s
        self._unsynced = Steady(UNSYNCED_S, uptime_s)
        self._before: tuple[datetime, float, bool | None] | None = None
        self._step: tuple[datetime, float, timedelta] | None = None

    def take(self, state: ClockState) -> list[Trouble]:
        """All troubles with the clock now; call it every few seconds or minutes."""
        now, uptime = self._clock(), self._uptime_s()
        if wrong := before_built(now):
            self._before = None  # being set right from here is no jump
            return [wrong]
        self._compare(now, uptime, state)
        bad = unkept(state)
        unsynced = self._unsynced.take(bad=bad, well=not bad)
        return [*([nobody_sets(now)] if unsynced else []), *self._jumped(uptime)]

    def _compare(self, now: datetime, uptime: float, state: ClockState) -> None:
        before, self._before = self._before, (now, uptime, state.synced)
        if before is None:
            return
        step = (now - before[0]) - timedelta(seconds=uptime - before[1])
        set_right = before[2] is False and state.synced is True
        if abs(step.total_seconds()) > STEP_S and not set_right:
            self._step = (now, uptime, step)

    def _jumped(self, uptime: float) -> list[Trouble]:
        if self._step is None or uptime - self._step[1] > TOLD_S:
            self._step = None
            return []
        at, _, step = self._step
        way = "forward" if step > timedelta(0) else "back"
        return [
            Trouble(
                "time_jumped",
                "The clock of this box was set while it ran",
                f"It went {way} by {_spoken(abs(step))}. Times in logs and the audit log do not fit together, and "
                "sessions may have ended early or last longer.",
                f"seen at {at:%Y-%m-%d %H:%M:%S} UTC by the new clock",
                "If nobody set it on purpose: look at the time service (timedatectl) and the clock's battery. "
                "This goes away an hour after the last jump.",
            )
        ]


def before_built(now: datetime) -> Trouble | None:
    """The trouble of a clock that is before the day this version was made."""
    if now >= BUILT:
        return None
    return Trouble(
        "time_wrong",
        "The clock of this box is wrong",
        f"It says {now:%Y-%m-%d %H:%M} UTC, which is before this version of Weir was made. Certificates of other "
        "machines look as if they were not valid yet, so flows that use TLS fail.",
        f"this version is of {BUILT:%Y-%m-%d}",
        "Connect the box to a network with a time server, or set the clock: timedatectl set-time 'YYYY-MM-DD HH:MM'",
    )


def unkept(state: ClockState) -> bool:
    """Whether nobody keeps this clock right: a time service that runs in vain, or neither service nor battery."""
    return state.synced is False and (state.service or not state.kept)


def nobody_sets(now: datetime) -> Trouble:
    """The trouble of a clock that is not set by anybody."""
    return Trouble(
        "time_unsynced",
        "The clock of this box is not set by a time server",
        "No time server was reached, so the clock drifts; after a power cut it may be wrong by hours.",
        f"the kernel says that the clock is not synchronised; it shows {now:%Y-%m-%d %H:%M} UTC",
        "Let the box reach a time server (UDP port 123), or name one in /etc/systemd/timesyncd.conf; see: timedatectl",
    )


def _spoken(step: timedelta) -> str:
    seconds = step.total_seconds()
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
