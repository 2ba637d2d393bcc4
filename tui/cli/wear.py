"""`weir wear`: what is written to the disk, and by whom."""

from __future__ import annotations

from appliance.schema.operations import DiskWear, WearReport
from tui.cli.session import Session, print_json, print_table
from tui.text import size, visible
from tui.wire import decode


def show(session: Session, *, as_json: bool) -> None:
    """Print the disk's and each instance's writes a day. Raises BoxError."""
    with session.box() as box:
        answer = box.get("/box/wear")
    if as_json:
        print_json(answer)
        return
    report = decode(answer, WearReport)
    print(said(report.disk))
    if report.instances:
        rows = [
            [each.name, size(each.per_day_bytes), size(each.today_bytes), f"{each.days:g}"] for each in report.instances
        ]
        print_table(["INSTANCE", "A DAY", "TODAY", "DAYS"], rows, right=frozenset({1, 2, 3}))


def said(disk: DiskWear | None) -> str:
    """One line about the disk."""
    if disk is None:
        return "The disk of this box does not tell what is written to it."
    what = "card" if disk.card else "disk"
    lasts = f"; at this rate it bears about {disk.years:g} years" if disk.years is not None and disk.years < 100 else ""
    measured = f"measured over {disk.days:g} days"
    return (
        f"{what} {visible(disk.device)} ({size(disk.size_bytes)}): {size(disk.per_day_bytes)} a day{lasts}, {measured}"
    )
