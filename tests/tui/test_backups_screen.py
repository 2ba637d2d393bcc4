"""Backups on the screens, against a real appliance that makes real ones."""

# ruff: noqa: ASYNC240 - a file of a test, small and local

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.people_box import People, people_box
from tests.tui.platform_rig import at, fills, goes, reads, typed

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as found:
        yield found


async def test_a_backup_is_made_shown_scheduled_and_deleted(people: People) -> None:
    async with at(people, size=(120, 30)) as (app, pilot):
        await goes(pilot, "backups")
        await reads(app, "no backups yet; c makes one")
        await pilot.press("c")
        await reads(app, "Passphrase")
        await fills(pilot, {"target": "relative"})
        await reads(app, "There is no key for backups yet.")
        await fills(pilot, {"passphrase": "correct horse battery"})
        await reads(app, "is no whole path")
        await fills(pilot, {"target": str(people.box.context.home.root.parent)})
        await reads(app, "the backup is made", "passphrase", "never")
        (made,) = (await people.root.ok("GET", "/backups"))["backups"]
        assert Path(made["file"]).exists() and made["lacks"] == []
        await pilot.press("enter")
        await reads(app, "its passphrase", "weir backup restore", "nothing is missing")
        await pilot.press("escape", "v")
        await fills(pilot, {"passphrase": "wrong horse battery"})
        await reads(app, "does not open this backup")
        await pilot.press("E")
        await fills(pilot, {"every": "day", "keep": "none"})
        await reads(app, "a number from 1 to 1000")
        await fills(pilot, {"keep": "3"})
        await reads(app, "need a key")
        await pilot.press("escape", "x")
        await typed(pilot, made["id"])
        await reads(app, "no backups yet")
        assert not Path(made["file"]).exists()
