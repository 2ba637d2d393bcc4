"""Instances as they are shown: remembered while nothing about them changes, and never older than what is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.schema.instances import InstanceMeta
from appliance.services.addresses import Addresses
from appliance.services.views import Views
from appliance.store import instances
from appliance.store.instances import InstanceRow
from tests.service_rig import Rig, service_rig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with service_rig(tmp_path) as rig:
        yield rig


async def stored(rig: Rig, instance_id: str) -> InstanceRow:
    row = await rig.context.store.read(lambda tx: instances.get(tx, instance_id))
    assert row is not None
    return row


def live(state: str) -> InstanceMeta:
    return InstanceMeta(state=state)


async def test_only_the_live_state_of_what_did_not_change_is_new(rig: Rig) -> None:
    row = await stored(rig, (await rig.create()).id)
    shown = Views(Addresses(rig.context))
    (first,) = shown.all([row], lambda _: (live("starting"), None))
    (again,) = shown.all([await stored(rig, row.id)], lambda _: (live("running"), None))
    assert (first.meta.state, again.meta.state) == ("starting", "running")
    assert again.settings is first.settings and replace(again, meta=first.meta) == first


@pytest.mark.parametrize("field", [name for name in InstanceRow.__struct_fields__ if name != "id"])
async def test_a_change_of_anything_is_seen(rig: Rig, field: str) -> None:
    row = await stored(rig, (await rig.create()).id)
    shown = Views(Addresses(rig.context))
    (first,) = shown.all([row], lambda _: (live("running"), None))
    old = getattr(row, field)
    changed = replace(row, **{field: {"new": "1"} if isinstance(old, dict) else 1 if old is None else None})
    try:
        (second,) = shown.all([changed], lambda _: (live("running"), None))
    except (AttributeError, TypeError):
        return  # made anew: no such row is ever stored
    assert second.settings is not first.settings


async def test_another_name_of_the_box_changes_every_address(rig: Rig) -> None:
    row = await stored(rig, (await rig.create()).id)
    names = ["box.test:8443"]
    shown = Views(Addresses(replace(rig.context, names=lambda: names)))
    (first,) = shown.all([row], lambda _: (live("running"), None))
    names[0] = "other.test:8443"
    (second,) = shown.all([row], lambda _: (live("running"), None))
    assert "//box.test" in first.url and "//other.test" in second.url
    assert "//other.test:8443/" in second.links.self and second.hostname == "other.test"


async def test_versions_of_last_time_stand_while_nothing_runs(rig: Rig) -> None:
    row = replace(await stored(rig, (await rig.create()).id), versions={"node-red": "5.0.7"})
    shown = Views(Addresses(rig.context))
    (down,) = shown.all([row], lambda _: (live("stopped"), None))
    (up,) = shown.all([row], lambda _: (replace(live("running"), versions={"node-red": "5.1.0"}), None))
    assert (down.meta.versions, up.meta.versions) == ({"node-red": "5.0.7"}, {"node-red": "5.1.0"})
