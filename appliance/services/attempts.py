"""How often somebody may fail to log in."""

from __future__ import annotations

from collections import OrderedDict

from appliance.errors import TooMany

# Bounds memory: whoever spreads over more keys than this is held by the limit of his address first.
KEYS_LIMIT = 10_000
KEY_LENGTH = 64


class Attempts:
    """Counts attempts per key in a sliding window; those that succeed are taken back."""

    def __init__(self, limit: int, window_s: int) -> None:
        self._limit = limit
        self._window_ms = window_s * 1000
        self._seen: OrderedDict[str, list[int]] = OrderedDict()

    def begin(self, keys: list[str], now_ms: int) -> None:
        """Count an attempt under each key before its outcome is known: a hundred at once are a hundred.

        Raises TooMany, with the seconds to wait, when one of the keys has had its share; then nothing is counted.
        """
        recent = {key[:KEY_LENGTH]: self._recent(key[:KEY_LENGTH], now_ms) for key in keys}
        for times in recent.values():
            if len(times) >= self._limit:
                raise self._refused(times, now_ms)
        for key, times in recent.items():
            times.append(now_ms)
            self._seen[key] = times
            self._seen.move_to_end(key)
        while len(self._seen) > KEYS_LIMIT:
            self._seen.popitem(last=False)

    def forgive(self, keys: list[str]) -> None:
        """It succeeded: take back the last attempt of each key."""
        for key in keys:
            times = self._seen.get(key[:KEY_LENGTH])
            if times:
                times.pop()

    def _recent(self, key: str, now_ms: int) -> list[int]:
        # A clock that was set back must not lock anybody out for longer than a window.
        return [at for at in self._seen.get(key, []) if abs(now_ms - at) < self._window_ms]

    def _refused(self, times: list[int], now_ms: int) -> TooMany:
        wait_s = max(1, -(-(times[-self._limit] + self._window_ms - now_ms) // 1000))
        return TooMany(
            "Too many logins failed.", retry_after_s=wait_s, hint=f"Wait {wait_s} s, then try again with care."
        )
