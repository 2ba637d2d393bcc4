"""What was done and seen, in order, with times: enough to do the same again."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path


class Journal:
    """Lines with seconds since the start. Written to `file` as they come, so that a run that dies tells as much."""

    def __init__(self, file: Path) -> None:
        self._began = time.monotonic()
        self._lines: list[str] = []
        self._broken: list[str] = []
        self._lock = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("w", buffering=1)
        self.say(f"started {datetime.now(UTC).isoformat(timespec='seconds')}")

    @property
    def now_s(self) -> float:
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        with self._lock:
            line = f"{self.now_s:8.2f}  {text}"
            self._lines.append(line)
            self._file.write(line + "\n")

    def broken(self, text: str) -> None:
        """An invariant does not hold."""
        self._broken.append(text)
        self.say(f"BROKEN: {text}")

    @property
    def breaches(self) -> list[str]:
        return list(self._broken)

    @property
    def text(self) -> str:
        return "\n".join(self._lines)

    def close(self) -> None:
        self._file.close()
