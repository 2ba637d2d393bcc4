"""Deploys while the appliance is away: acknowledged on the box, stored when it is back, never lost (L26)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.away_rig import Away, Frozen, away, tab
from tests.support import built_stack, eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(150)]

MAIL = {"id": "mail", "z": "tab", "type": "http request", "authType": "basic", "wires": [[]]}


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Away]:
    async with away(home, built_stack()) as rig:
        await rig.up()
        assert (await rig.deploy(tab("first")))[0] == 200
        yield rig


async def test_a_deploy_is_acknowledged_at_once_and_stored_when_the_appliance_is_back(rig: Away) -> None:
    await rig.box.go_away()
    with_password = {**MAIL, "credentials": {"user": "u", "password": "secret of the flow"}}
    async with asyncio.timeout(10):
        status, _ = await rig.deploy(tab("second"), with_password)
    assert status == 200 and rig.unsent
    assert rig.node_red.said("Weir is away: the deploy is kept on this box")
    content = (rig.files / "deploy.json").read_text()
    assert "secret of the flow" not in content and (rig.files / "deploy.json").stat().st_mode & 0o777 == 0o600
    assert (await rig.deploy(tab("third"), MAIL))[0] == 200
    assert await rig.stored() == [tab("first")]
    await rig.box.come_back()
    await rig.until_stored(tab("third"), MAIL)
    assert list(await rig.stored("credentials")) == ["$"], "those of the deploy before went with it"
    assert (await rig.running())["flows"] == [tab("third"), MAIL]
    assert await rig.kept() == []
    # And the next one is an ordinary one again.
    assert (await rig.deploy(tab("fourth")))[0] == 200
    assert await rig.stored() == [tab("fourth")] and not rig.unsent


async def test_an_appliance_that_does_not_answer_holds_nobody_up(rig: Away) -> None:
    await rig.box.go_away()
    frozen = Frozen(rig.box.port)
    try:
        async with asyncio.timeout(10):
            assert (await rig.deploy(tab("second")))[0] == 200
        assert rig.unsent
    finally:
        frozen.close()
    await rig.box.come_back()
    await rig.until_stored(tab("second"))


async def test_what_the_platform_has_by_then_stands_and_the_deploy_is_kept(rig: Away) -> None:
    await rig.box.go_away()
    assert (await rig.deploy(tab("mine")))[0] == 200
    await rig.put([tab("rolled back")])
    await rig.box.come_back()
    await rig.until_running(tab("rolled back"))
    assert await rig.stored() == [tab("rolled back")] and not rig.unsent
    (kept,) = await rig.kept()
    assert kept.reason == "flows_changed"
    flows = await rig.box.services.deploys.flows(rig.id, kept.id)
    assert json.loads(bytes(flows.flows)) == [tab("mine")]
    assert rig.node_red.said(f"Weir keeps the deploy as '{kept.name}'")


async def test_a_kill_after_the_acknowledgement_loses_nothing(rig: Away) -> None:
    await rig.box.go_away()
    assert (await rig.deploy(tab("second")))[0] == 200
    await rig.node_red.kill()
    await rig.node_red.up(60)
    assert (await rig.running())["flows"] == [tab("second")], "while the appliance is still away"
    await rig.box.come_back()
    await rig.until_stored(tab("second"))


async def test_a_deploy_left_by_a_dead_process_is_sent_before_the_flows_are_read(rig: Away) -> None:
    await rig.box.go_away()
    assert (await rig.deploy(tab("second")))[0] == 200
    await rig.node_red.kill()
    await rig.box.come_back()
    await rig.up()
    assert (await rig.running())["flows"] == [tab("second")] == await rig.stored()
    await rig.box.go_away()
    assert (await rig.deploy(tab("third")))[0] == 200
    await rig.node_red.kill()
    await rig.put([tab("imported")])
    await rig.box.come_back()
    await rig.up()
    assert (await rig.running())["flows"] == [tab("imported")]
    assert len(await rig.kept()) == 1 and not rig.unsent


async def test_it_starts_with_what_it_was_given_last_and_loads_what_was_changed_since(rig: Away) -> None:
    await rig.node_red.kill()
    await rig.box.go_away()
    await rig.node_red.up(60)
    assert (await rig.running())["flows"] == [tab("first")]
    await rig.put([tab("rolled back")])
    await rig.box.come_back()
    await rig.until_running(tab("rolled back"))
    assert await rig.kept() == []


async def test_a_token_that_ends_with_a_new_boot_loses_no_deploy(rig: Away) -> None:
    """A launcher that started alone trades its ticket when the appliance is back: for a moment ours is unknown."""
    fresh = await rig.box.boot(await rig.box.services.instances.get(rig.id))
    assert (await rig.deploy(tab("second")))[0] == 200
    assert rig.unsent and await rig.stored() == [tab("first")]
    credentials = {
        "nodeRedToken": fresh.node_red_token,
        "clientID": fresh.client_id,
        "clientSecret": fresh.client_secret,
        "credentialSecret": "not to be replaced",
    }
    rig.node_red.tell({"credentials": credentials})
    await rig.until_stored(tab("second"))


async def test_the_editors_own_conflict_is_still_found(rig: Away) -> None:
    rev = (await rig.running())["rev"]
    assert (await rig.deploy(tab("by somebody else"), rev=rev))[0] == 200
    for _ in range(2):
        status, answer = await rig.deploy(tab("on what was there before"), rev=rev)
        assert (status, answer["code"]) == (409, "version_mismatch")
        await rig.box.go_away()
    assert not rig.unsent


async def test_an_editor_that_deploys_over_a_rollback_is_told_and_its_deploy_is_kept(rig: Away) -> None:
    await rig.put([tab("rolled back")])
    status, answer = await rig.deploy(tab("mine"))
    assert (status, answer["code"]) == (400, "flows_changed")
    (kept,) = await rig.kept()
    assert kept.name in answer["message"]
    await rig.until_running(tab("rolled back"))
    assert await rig.stored() == [tab("rolled back")] and not rig.unsent


async def test_a_disk_that_takes_nothing_is_told_in_the_editor(rig: Away) -> None:
    await rig.box.go_away()
    assert (await rig.deploy(tab("second")))[0] == 200
    before = (rig.files / "deploy.json").read_bytes()
    # Nobody, not even root, makes a file in a directory that is none any more.
    hidden = rig.files.with_name("hidden")
    rig.files.rename(hidden)
    rig.files.write_text("")
    status, answer = await rig.deploy(tab("third"), {**MAIL, "credentials": {"user": "u", "password": "p"}})
    assert status == 503 and "can't be kept on this box" in answer["message"]
    assert "Your changes are still in this editor" in answer["message"]
    rig.files.unlink()
    hidden.rename(rig.files)
    assert (rig.files / "deploy.json").read_bytes() == before
    assert sorted(path.name for path in rig.files.glob("*.tmp")) == []
    assert (await rig.deploy(tab("third"), MAIL))[0] == 200
    await rig.box.come_back()
    await rig.until_stored(tab("third"), MAIL)
    assert list(await rig.stored("credentials")) == ["$"], "Node-RED saved them once: they were not dropped"


async def test_a_disk_that_still_takes_nothing_stops_no_deploy_once_the_appliance_is_back(rig: Away) -> None:
    await rig.box.go_away()
    hidden = rig.files.with_name("hidden")
    rig.files.rename(hidden)
    rig.files.write_text("")
    mail = {**MAIL, "credentials": {"user": "u", "password": "p"}}
    assert (await rig.deploy(tab("second"), mail))[0] == 503
    await rig.box.come_back()
    assert (await rig.deploy(tab("third"), MAIL))[0] == 200
    assert await rig.stored() == [tab("third"), MAIL]
    assert list(await rig.stored("credentials")) == ["$"]


async def test_settings_of_node_red_outlast_a_kill_while_the_appliance_is_away(rig: Away) -> None:
    await rig.box.go_away()
    url = f"{rig.node_red.url}/settings/user"
    async with asyncio.timeout(10), rig._http.post(url, json={"view": {"grid": 1}}) as answer:
        assert answer.status in (200, 204)
    await eventually(lambda: (rig.files / "unsent-settings.json").exists())
    await rig.node_red.kill()
    await rig.node_red.up(60)
    await rig.box.come_back()

    async def there() -> bool:
        return "_" in (await rig.stored("settings")).get("users", {})

    await eventually(there, 20)
    await eventually(lambda: not (rig.files / "unsent-settings.json").exists())


async def test_no_flows_and_nothing_kept_is_still_no_empty_editor(rig: Away) -> None:
    await rig.node_red.kill()
    for path in rig.files.iterdir():
        path.unlink()
    await rig.boot()
    rig.node_red.extra_boot["nodeRedToken"] = "fft_unknown"
    await rig.node_red.start()
    await eventually(rig.node_red.ended, 30)
    assert rig.node_red.returncode == 75
