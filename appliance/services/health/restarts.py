"""An appliance that is started again and again: it dies, or somebody kills it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from appliance.config import Home
from appliance.services.health.trouble import Trouble
from appliance.system.files import write_atomic

WINDOW = timedelta(minutes=10)
TOO_MANY = 3
_KEPT = 20


class Starts:
    """The file of starts: one line of it goes when the appliance ends in order, so what stays are the other ends."""

    def __init__(self, home: Home, clock: Callable[[], datetime]) -> None:
        self._file = home.state / "starts.json"
        self._clock = clock
        self._began: datetime | None = None

    def begin(self) -> None:
        """Note this start. Blocks. Raises OSError."""
        self._began = self._clock()
        self._write([*self.noted()[-_KEPT + 1 :], self._began])

    def end(self) -> None:
        """The appliance ends in order. Blocks. Raises OSError."""
        self._write([moment for moment in self.noted() if moment != self._began])

    def noted(self) -> list[datetime]:
        """Starts that were not followed by an end in order, this one among them. Blocks."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=list[datetime])
        except (OSError, msgspec.MsgspecError):
            return []

    def _write(self, moments: list[datetime]) -> None:
        write_atomic(self._file, msgspec.json.encode(moments), 0o600)


class RestartsCheck:
    """Reads the file of starts."""

    name = "restarts"
    every_s = 30.0
    quick = False

    def __init__(self, home: Home, clock: Callable[[], datetime]) -> None:
        self._starts = Starts(home, clock)
        self._clock = clock
        self._log = home.logs / "appliance.log"

    async def look(self) -> Sequence[Trouble]:
        return judge(await asyncio.to_thread(self._starts.noted), self._clock(), self._log)


def judge(starts: Sequence[datetime], now: datetime, log: Path) -> list[Trouble]:
    """The trouble of sudden ends in a row. The last start is the one that runs: it has not ended yet."""
    ended = [moment for moment in starts[:-1] if timedelta(0) <= now - moment <= WINDOW]
    if len(ended) < TOO_MANY:
        return []
    return [
        Trouble(
            "appliance_restarts",
            "Weir itself was ended and started again several times",
            "It fails, or something kills it: a lack of memory, a watchdog, somebody. Instances were not touched.",
            f"{len(ended)} sudden ends since {ended[0]:%H:%M:%S} UTC",
            f"Look at the end of {log} and at: dmesg | grep -i -e oom -e killed. This goes away ten minutes after the "
            "last one.",
        )
    ]
