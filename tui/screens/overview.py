"""The first tab of an instance: why it is as it is, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from appliance.schema.instances import Instance
from appliance.schema.resources import ResourceHistory
from tui import figures
from tui.cli.supervision import spoken
from tui.render import FACT_COLUMNS, Column
from tui.screens.details import Fact, fact_rows
from tui.screens.lists import FetchedScreen
from tui.screens.page import Page
from tui.signs import Kind, kind, signed
from tui.text import age, duration, parse_time
from tui.widgets.table import Rows

PICTURE_CELLS = 24
SUMMARY_CELLS = 52  # what else the line of a picture says, where numbers are long
SAMPLES = 360  # an hour


class OverviewScreen(Page, FetchedScreen):
    """Facts, live; below them pictures of the last hour."""

    word = "show"
    columns: ClassVar[tuple[Column, ...]] = FACT_COLUMNS

    def label(self) -> str:
        return self.instance.name

    async def fetch(self) -> None:
        path = f"/projects/{self.instance.id}/resources"
        found = await self.owner.client.get(path, ResourceHistory, {"limit": str(SAMPLES)})
        self._series = figures.series(found.resources)

    def rows(self) -> Rows:
        told = facts(self.instance, datetime.now(UTC), gone=self.gone)
        cells = self.size.width - 18
        wide = max(8, min(PICTURE_CELLS, cells - SUMMARY_CELLS))
        pictures = (figures.summary(each, wide, ascii_only=self.profile.ascii) for each in self._series)
        told += [("last hour" if at == 0 else "", each) for at, each in enumerate(filter(None, pictures))]
        return fact_rows(told, cells, ascii_only=self.profile.ascii)

    _series: Sequence[figures.Series] = ()


def facts(each: Instance, now: datetime, *, gone: bool = False) -> list[Fact]:
    """State, cause, what the reconciler does next, where it is and what it is made of."""
    meta = each.meta
    since = f", for {age(meta.since, now)}" if meta.since else ""
    what = kind(meta.state)
    told: list[Fact] = [
        ("state", "deleted" if gone else f"{signed(meta.state)}{since}; wanted: {each.desired}", what),
        ("why", meta.message or meta.reason, what if what in (Kind.BAD, Kind.ODD) else "plain"),
        ("next", "" if gone else what_next(each, now)),
        ("after crashes", spoken(each.launcher_settings)),
        ("restarts", str(meta.restarts)),
        ("address", each.url, "name"),
        ("team", f"{each.team.get('name', '')} / {each.application.name}"),
        ("made of", f"{each.stack.label or each.stack.name}, {each.project_type.name}, template {each.template.name}"),
        ("versions", "  ".join(f"{name} {version}" for name, version in sorted(meta.versions.items()))),
        (
            "flows",
            f"deployed {age(each.flow_last_updated_at, now)} ago" if each.flow_last_updated_at else "never deployed",
        ),
        ("created", f"{age(each.created_at, now)} ago, {each.created_at}"),
        ("processes", _processes(each)),
        ("id", each.id, "dim"),
    ]
    return [fact for fact in told if fact[1]]


def what_next(each: Instance, now: datetime) -> str:
    """What the reconciler does next, and when."""
    state, again = each.meta.state, parse_time(each.meta.next_try_at)
    if again is not None:
        left = (again - now).total_seconds()
        return f"it is started again in {duration(left)}" if left > 0 else "it is started again now"
    if state == "crashed":
        return "nothing by itself: start it (S) once the cause is mended"
    if state == "safe":
        return "nothing by itself: mend the flows in the editor, then restart (r)"
    if state in ("stopped", "suspended"):
        return "nothing by itself: S starts it" if each.desired != "running" else "it is started soon"
    if state in ("running",):
        return "nothing: it is looked at, and started again when it ends unasked"
    return "it goes on by itself"


def _processes(each: Instance) -> str:
    pids = (("launcher", each.meta.launcher_pid), ("Node-RED", each.meta.node_red_pid))
    return "  ".join(f"{name} {pid}" for name, pid in pids if pid)
