"""Memory: hardly any left, or a machine that swaps all the time."""

from __future__ import annotations

from appliance.services.health.trouble import Seconds, Steady, Trouble
from appliance.system.vitals import Memory

MIB = 2**20
LOW_FRACTION = 0.05
WELL_FRACTION = 0.08
LOW_S = 20.0
PAGES_PER_S = 500.0  # 2 MB each second back from a card or disk: everything waits
SWAPPING_S = 90.0
SWAP_LOW_FRACTION = 0.1
SWAP_WELL_FRACTION = 0.2
SWAP_NEEDED_FRACTION = 0.2  # with more memory than that available, full swap is only what nobody needs
SWAP_LOW_S = 60.0


class MemoryCheck:
    """Weighs readings that come every few seconds; pure but for the clock it is given."""

    def __init__(self, uptime_s: Seconds) -> None:
        self._uptime_s = uptime_s
        self._low = Steady(LOW_S, uptime_s)
        self._swapping = Steady(SWAPPING_S, uptime_s)
        self._swap = Steady(SWAP_LOW_S, uptime_s)
        self._before: tuple[float, int] | None = None
        self._rate = 0.0

    def take(self, memory: Memory) -> list[Trouble]:
        """All troubles with memory after this reading."""
        share = memory.available_bytes / max(1, memory.total_bytes)
        low = self._low.take(bad=share < LOW_FRACTION, well=share >= WELL_FRACTION)
        self._measure(memory)
        swapping = self._swapping.take(bad=self._rate > PAGES_PER_S, well=self._rate < PAGES_PER_S / 2)
        swap = memory.swap_free_bytes / max(1, memory.swap_total_bytes)
        used_up = self._swap.take(
            bad=swap_used_up(memory), well=swap >= SWAP_WELL_FRACTION or share >= SWAP_NEEDED_FRACTION
        )
        return [
            *([low_memory(memory)] if low else []),
            *([self._swaps(memory)] if swapping else []),
            *([low_swap(memory)] if used_up and not low else []),
        ]

    def _measure(self, memory: Memory) -> None:
        now = self._uptime_s()
        if self._before is None:
            self._before = (now, memory.swapped_in_pages)
        elif now - self._before[0] >= 5:  # a shorter time says little
            pages = memory.swapped_in_pages - self._before[1]
            self._rate = pages / (now - self._before[0])
            self._before = (now, memory.swapped_in_pages)

    def _swaps(self, memory: Memory) -> Trouble:
        used = (memory.swap_total_bytes - memory.swap_free_bytes) // MIB
        return Trouble(
            "memory_swapping",
            "The box swaps all the time",
            "Its programs need more memory than it has, so they wait for the disk.",
            f"{self._rate:.0f} pages a second come back from {used} MiB of swap",
            "Suspend an instance that is not needed (weir instance list), or give the box more memory.",
        )


def swap_used_up(memory: Memory) -> bool:
    """Whether there is hardly any swap left, and memory is short as well."""
    free = memory.swap_free_bytes / max(1, memory.swap_total_bytes)
    share = memory.available_bytes / max(1, memory.total_bytes)
    return bool(memory.swap_total_bytes) and free < SWAP_LOW_FRACTION and share < SWAP_NEEDED_FRACTION


def low_memory(memory: Memory) -> Trouble:
    """The trouble of a machine whose memory is used up."""
    swap = f", swap: {memory.swap_free_bytes // MIB} of {memory.swap_total_bytes // MIB} MiB free"
    return Trouble(
        "memory_low",
        "The memory is nearly used up",
        "The programs of this box together need almost all of its memory; the kernel may end one of them.",
        f"{memory.available_bytes // MIB} MiB of {memory.total_bytes // MIB} MiB are available"
        + (swap if memory.swap_total_bytes else ", no swap"),
        "Suspend an instance that is not needed: weir instance list",
    )


def low_swap(memory: Memory) -> Trouble:
    """The trouble of a machine whose swap is used up while it needs it."""
    return Trouble(
        "swap_low",
        "The swap space is nearly used up",
        "What did not fit into memory fills the swap; when that is full the kernel ends programs.",
        f"{memory.swap_free_bytes // MIB} of {memory.swap_total_bytes // MIB} MiB of swap are free, "
        f"{memory.available_bytes // MIB} of {memory.total_bytes // MIB} MiB of memory are available",
        "Suspend an instance that is not needed (weir instance list), or give the box more memory.",
    )
