"""Wear: a card that is written to so much that it does not last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from appliance.schema.operations import DiskWear, Wear, WearReport
from appliance.services.health.trouble import Trouble

SHORT_YEARS = 2.0
MUCH_BYTES = 2 * 2**30  # a day by one instance: more than any log or context needs
MEASURED_DAYS = 0.25


class WearCheck:
    """Only cards wear out so soon that people have to be told."""

    name = "wear"
    every_s = 900.0
    quick = False

    def __init__(self, report: Callable[[], Awaitable[WearReport]]) -> None:
        self._report = report

    async def look(self) -> Sequence[Trouble]:
        return judge(await self._report())


def judge(report: WearReport) -> list[Trouble]:
    """Pure."""
    disk = report.disk
    if disk is None or not disk.card:
        return []
    found = []
    if disk.years is not None and disk.years < SHORT_YEARS:
        found.append(_short(disk, report.instances[:1]))
    loud = [each for each in report.instances if each.per_day_bytes >= MUCH_BYTES and each.days >= MEASURED_DAYS]
    return [*found, *(_much(each, disk) for each in loud)]


def _short(disk: DiskWear, most: Sequence[Wear]) -> Trouble:
    who = f"; most by {most[0].name}: {_size(most[0].per_day_bytes)}" if most else ""
    return Trouble(
        "wear_high",
        "The card of this box wears out quickly",
        f"At this rate it bears about {disk.years:g} years: each cell can be written some hundred times only.",
        f"{_size(disk.per_day_bytes)} a day on {disk.device} ({_size(disk.size_bytes)}){who}",
        "See who writes: weir wear. Use a larger card or a disk, or write less: longer intervals, memory context.",
    )


def _much(wear: Wear, disk: DiskWear) -> Trouble:
    return Trouble(
        f"wear_instance:{wear.id}",
        f"{wear.name} writes very much to the card",
        "A card bears so many writes; this instance uses them up.",
        f"{_size(wear.per_day_bytes)} a day on average of {wear.days:g} days, on {disk.device}",
        "Look for file nodes, context stores on disk and debug output with short intervals.",
        about=wear.id,
    )


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
