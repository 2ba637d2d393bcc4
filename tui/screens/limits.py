"""What an instance takes of the machine, and what it may."""

from __future__ import annotations

from typing import ClassVar

from appliance.schema.instances import Instance
from appliance.schema.resources import Figures
from tui import figures
from tui.render import FACT_COLUMNS, Column
from tui.screens.details import Fact, fact_rows
from tui.screens.lists import ListScreen
from tui.screens.page import Page
from tui.signs import Kind
from tui.text import percent, size
from tui.widgets.table import Rows

HIGH = 0.75  # of a limit


class LimitsScreen(Page, ListScreen):
    """Figures of now beside their limits, and where each limit comes from."""

    word = "limits"
    columns: ClassVar[tuple[Column, ...]] = FACT_COLUMNS

    def rows(self) -> Rows:
        return fact_rows(facts(self.instance), self.size.width - 18, ascii_only=self.profile.ascii)


def facts(each: Instance) -> list[Fact]:
    """Label, text and style, the limits also while it does not run."""
    told: list[Fact] = []
    if each.resources is None:
        told.append(("now", "it takes nothing: it does not run", "dim"))
    else:
        told += _of_now(each.resources)
    memory = each.stack.properties.get("memory")
    told.append(
        (
            "memory may be",
            f"{memory} MB, of the stack {each.stack.label or each.stack.name}" if memory else "what the box has",
        )
    )
    settings, launcher = each.settings, each.launcher_settings
    interval, install = launcher.get("healthCheckInterval"), launcher.get("installTimeout")
    told += [
        ("API takes", f"{settings.get('apiMaxLength') or '5mb'} in one request (apiMaxLength)"),
        ("debug shows", f"{settings.get('debugMaxLength') or 1000} characters of a message (debugMaxLength)"),
        ("looked at", f"every {interval / 1000:g} s (health-interval)" if interval else "by default (health-interval)"),
        ("installs take", f"at most {install:g} s (install-timeout)" if install else "by default (install-timeout)"),
    ]
    return told


def _of_now(found: Figures) -> list[Fact]:
    told: list[Fact] = [(label, text) for label, text in figures.facts(found)]
    for label, used, most in (
        ("memory", found.memory_bytes, found.memory_limit_bytes),
        ("heap", found.heap_bytes, found.heap_limit_bytes),
    ):
        if used and most and used >= HIGH * most:
            told.append(("", f"{label}: {percent(used, most)} of its limit of {size(most)}", Kind.CHANGING))
    return told
