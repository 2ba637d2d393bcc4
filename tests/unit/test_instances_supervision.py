"""How an instance is supervised: what may be set, who is told of it, and what the launcher reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import Conflict, Invalid
from appliance.schema.instances import ChangeInstance
from appliance.services import supervision
from launcher.schema import Settings, Weir
from tests.service_rig import Rig, service_rig
from tui.cli import supervision as spoken
from tui.errors import Usage


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home) as rig:
        yield rig


async def change(rig: Rig, instance_id: str, **launcher_settings: object) -> Any:
    body = ChangeInstance(launcher_settings=launcher_settings)
    return await rig.instances.change(rig.admin, instance_id, body)


async def test_a_change_is_kept_shown_served_and_recorded(rig: Rig) -> None:
    made = await rig.create()
    assert made.launcher_settings == supervision.DEFAULTS
    answer = await change(rig, made.id, crashPolicy="retry", hotSpare=True, healthCheckInterval=9000)
    assert answer.launcher_settings == {**supervision.DEFAULTS, **answer.launcher_settings}
    assert answer.launcher_settings["crashPolicy"] == "retry" and "next start" in answer.note
    assert (await rig.instances.get(made.id)).launcher_settings == answer.launcher_settings

    document = await rig.instances.settings_document(made.id, "launcher")
    assert (document["weir"]["crashPolicy"], document["weir"]["hotSpare"]) == ("retry", True)
    assert document["healthCheckInterval"] == 9000
    assert "disableAutoSafeMode" not in document  # it was never said
    assert "weir" not in await rig.instances.settings_document(made.id, "node_red")

    entry = (await rig.entries(made.id))[0]
    assert (entry.event, entry.trigger.name) == ("project.settings.updated", "admin")
    assert {each["key"]: (each["old"], each["new"]) for each in entry.body["updates"]} == {
        "launcherSettings.crashPolicy": ("safe", "retry"),
        "launcherSettings.hotSpare": (False, True),
        "launcherSettings.healthCheckInterval": (7500, 9000),
    }


async def test_what_is_not_named_stays_and_null_is_the_default(rig: Rig) -> None:
    made = await rig.create()
    await change(rig, made.id, crashPolicy="stop", disableAutoSafeMode=True)
    after = await change(rig, made.id, crashPolicy=None)
    assert after.launcher_settings == {**supervision.DEFAULTS, "disableAutoSafeMode": True}
    await change(rig, made.id, disableAutoSafeMode=None)
    # The published launcher would stay without safe mode if it heard nothing.
    assert (await rig.instances.settings_document(made.id, "launcher"))["disableAutoSafeMode"] is False


async def test_what_changes_nothing_is_not_recorded(rig: Rig) -> None:
    made = await rig.create()
    before = len(await rig.entries(made.id))
    await change(rig, made.id, crashPolicy="safe", hotSpare=False)
    assert len(await rig.entries(made.id)) == before


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("crashPolicy", "again", "retry"),
        ("crashPolicy", ["safe"], "retry"),
        ("healthCheckInterval", 4999, "5000"),
        ("healthCheckInterval", 1e9, "3600000"),
        ("healthCheckInterval", float("nan"), "5000"),
        ("healthCheckInterval", True, "5000"),
        ("hotSpare", "yes", "true or false"),
        ("disableAutoSafeMode", 1, "true or false"),
        ("crashpolicy", "safe", "crashPolicy"),
    ],
)
async def test_what_is_not_allowed_changes_nothing(rig: Rig, key: str, value: object, allowed: str) -> None:
    made = await rig.create()
    with pytest.raises(Invalid) as refused:
        await change(rig, made.id, **{"hotSpare": True, key: value})
    assert key in refused.value.message and allowed in refused.value.hint
    assert (await rig.instances.get(made.id)).launcher_settings == supervision.DEFAULTS


async def test_what_this_version_cannot_change_is_refused(rig: Rig) -> None:
    made = await rig.create()
    with pytest.raises(Invalid, match="host name"):
        await rig.instances.change(rig.admin, made.id, ChangeInstance(name="other", hostname="x.example"))
    assert (await rig.instances.get(made.id)).name == "line-1"


async def test_a_new_name(rig: Rig) -> None:
    made, other = await rig.create(), await rig.create("line-2")
    answer = await rig.instances.change(rig.admin, made.id, ChangeInstance(name="Line-1"))
    assert (answer.name, answer.safe_name, answer.note) == ("Line-1", "line-1", "")
    for taken in ("LINE-2", "status", "1st"):
        with pytest.raises(Conflict):
            await rig.instances.change(rig.admin, made.id, ChangeInstance(name=taken))
    assert await rig.instances.find("line-2", rig.admin) == other.id
    await rig.instances.delete(rig.admin, made.id)
    with pytest.raises(Conflict, match="being deleted"):
        await change(rig, made.id, hotSpare=True)


def test_the_launcher_understands_what_it_is_told() -> None:
    assert Weir(**supervision.of_weir({})) == Weir(), "both sides have the same defaults"
    assert Settings(weir=Weir(**supervision.of_weir({"crashPolicy": "stop"}))).weir.crashPolicy == "stop"
    assert supervision.effective({"crashPolicy": "nonsense"})["crashPolicy"] == "safe"


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["crash-policy=stop", "hot-spare=on"], {"crashPolicy": "stop", "hotSpare": True}),
        (["safe-mode=off"], {"disableAutoSafeMode": True}),
        (["safe-mode=on", "health-interval=7.5"], {"disableAutoSafeMode": False, "healthCheckInterval": 7500}),
        (["health-interval=10s", "crash-policy=default"], {"healthCheckInterval": 10000, "crashPolicy": None}),
        (["install-timeout=60"], {"installTimeout": 60}),
        (["start-after=one, broker"], {"startAfter": ["one", "broker"]}),
        (["start-after=default"], {"startAfter": None}),
    ],
)
def test_typed_words_are_the_apis(words: list[str], settings: dict[str, Any]) -> None:
    assert spoken.wanted(words) == {"launcherSettings": settings}
    if None not in settings.values():
        supervision.changed({}, settings)


def test_typed_nonsense_names_what_is_allowed() -> None:
    for word, allowed in (
        ("crash-policy=often", "retry, safe, stop"),
        ("hot-spare=yes", "on, off"),
        ("health-interval=2", "5 to 3600"),
        ("health-interval=nan", "5 to 3600"),
        ("colour=red", "crash-policy"),
        ("hot-spare", "KEY=VALUE"),
    ):
        with pytest.raises(Usage) as refused:
            spoken.wanted([word])
        assert allowed in refused.value.hint


def test_settings_in_a_line() -> None:
    assert (
        spoken.spoken(supervision.DEFAULTS) == "opens in safe mode after five crashes in a row, looked at every 7.5 s"
    )
    assert spoken.spoken({"crashPolicy": "retry", "hotSpare": True}) == "tries again for ever, hot spare"
    assert spoken.spoken({"disableAutoSafeMode": True}) == "safe mode is off"
