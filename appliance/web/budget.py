"""How many bytes of bodies are in memory at once: of all requests together, and of each who asks.

Ten megabytes a deploy are little; a flow that posts a hundred of them at once, slowly, would take the box's memory.
"""

from __future__ import annotations

from collections import Counter
from types import TracebackType

from appliance.errors import TooLarge, Unavailable

# Every body may have so much without being counted: logins and commands go on while large ones are refused.
UNCOUNTED_BYTES = 64 * 1024


class Budget:
    """`share_bytes` is what one subject may have of `total_bytes`. For the event loop only."""

    def __init__(self, total_bytes: int, share_bytes: int) -> None:
        self._total_bytes = total_bytes
        self.share_bytes = share_bytes
        self._held: Counter[str] = Counter()

    def hold(self) -> Hold:
        """What one request has; given back when the `with` block ends."""
        return Hold(self)

    @property
    def held_bytes(self) -> int:
        return self._held.total()

    def take(self, who: str, size: int) -> None:
        """Raises Unavailable when there is no room; then nothing was taken."""
        if self._held[who] + size > self.share_bytes:
            raise _busy("too much is being sent with this credential at once")
        if self._held.total() + size > self._total_bytes:
            raise _busy("too much is being sent to this box at once")
        self._held[who] += size

    def give(self, who: str, size: int) -> None:
        self._held[who] -= size
        if self._held[who] <= 0:
            del self._held[who]


class Hold:
    """The bytes of one request, counted as they arrive."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._who = ""
        self._arrived = 0
        self._taken = 0

    def of(self, who: str) -> Hold:
        """The same, on the account of `who`; said before the first byte."""
        self._who = who
        return self

    def arrived(self, size: int) -> None:
        """Count `size` more bytes. Raises Unavailable, or TooLarge when there will never be room for this one."""
        self._arrived += size
        if self._arrived - UNCOUNTED_BYTES > self._budget.share_bytes:
            raise TooLarge("the body is larger than one credential may send", hint="Send less, or split it.")
        wanted = max(0, self._arrived - UNCOUNTED_BYTES) - self._taken
        if wanted > 0:
            self._budget.take(self._who, wanted)
            self._taken += wanted

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._taken:
            self._budget.give(self._who, self._taken)
            self._taken = 0


def _busy(why: str) -> Unavailable:
    return Unavailable(why, code="busy", hint="Send it again in a moment; send large bodies one after the other.")
