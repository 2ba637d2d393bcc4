"""Launchers while the appliance is away: they start with what they had last, and make up for it (L4, L5, L12)."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.away_rig import Frozen, tab
from tests.launcher_rig import SECRETS, Rig, rig
from tests.support import built_stack, eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]
FRESH = {
    "token": "fft_launchers-second",
    "nodeRedToken": "fft_second-for-the-plugins",
    "clientID": "ffp_second",
    "clientSecret": "second-client-secret",
    "apiSecret": "second-api-secret",
    "spoolKey": "k" * 64,
}


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Rig]:
    """It ran once, with the flow `first`, and was stopped."""
    async with rig(tmp_path, built_stack()) as made:
        made.appliance.secrets["spoolKey"] = "k" * 64
        made.appliance.flows = [tab("first")]
        await made.start()
        await made.until("running")
        await eventually(lambda: made.appliance.words()[-1] == "running")
        yield made


async def serves(box: Rig) -> bool:
    """Whether the editor's page comes. Who may do more only the appliance knows: to ask for that would wait for it."""
    try:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{box.node_red_port}/"
            async with session.get(url, timeout=aiohttp.ClientTimeout(2)) as answer:
                return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def left_alone(box: Rig) -> None:
    """Its launcher is stopped, the appliance goes away, another launcher is started."""
    await box.stop()
    await box.appliance.close()
    box.appliance.tickets.add("ticket-2")
    box.appliance.secrets = {**SECRETS, **FRESH}
    box.appliance.states.clear()


async def fresh_api(box: Rig) -> None:
    await box.http.close()
    box._http = aiohttp.ClientSession(headers={"Authorization": f"Bearer {FRESH['apiSecret']}"})


async def test_it_starts_alone_and_reports_when_the_appliance_is_back(box: Rig) -> None:
    await left_alone(box)
    await box.start("ticket-2")
    await eventually(lambda: serves(box), 60, what=box.out()[-2000:])
    async with box.http.get(box.url + "/info") as answer:
        assert answer.status == 503, "there is no secret yet to be let in with"
    kept = b"".join(path.read_bytes() for path in box.directory.rglob("*") if path.is_file())
    for name in ("token", "apiSecret"):
        assert SECRETS[name].encode() not in kept
    assert b"ticket-2" not in kept and b"k" * 64 not in kept
    await box.appliance.open()
    await fresh_api(box)
    info = await box.until("running")
    await eventually(lambda: box.appliance.words()[-1:] == ["running"], 20)
    sequence = [report["seq"] for report in box.appliance.states]
    assert sequence == sorted(sequence) and box.appliance.words()[:2] == ["loading", "starting"]
    # Nothing changed meanwhile: what ran goes on, with the tokens of the new grant.
    await eventually(lambda: FRESH["nodeRedToken"] in box.appliance.storage_tokens, 20)
    assert (await box.info())["nodeRedPid"] == info["nodeRedPid"]
    assert box.appliance.seen("start-failed") == []
    grant = json.loads((box.directory / "launcher" / "away" / "grant.json").read_text())
    assert grant["nodeRedToken"] == FRESH["nodeRedToken"]


async def test_an_appliance_that_does_not_answer_is_away_too(box: Rig) -> None:
    await left_alone(box)
    frozen = Frozen(box.appliance.port)
    try:
        await box.start("ticket-2")
        await eventually(lambda: serves(box), 60, what=box.out()[-2000:])
    finally:
        frozen.close()


async def test_a_wish_that_it_missed_is_carried_out(box: Rig) -> None:
    await left_alone(box)
    await box.start("ticket-2")
    await eventually(lambda: serves(box), 60)
    box.appliance.settings["weir"] |= {"desired": "stopped", "commandGeneration": 1}
    await box.appliance.open()
    await eventually(lambda: box.appliance.words()[-1:] == ["stopped"], 30)
    assert box.appliance.states[-1]["commandGeneration"] == 1
    assert not await serves(box)


async def test_settings_that_were_changed_meanwhile_are_taken(box: Rig) -> None:
    await left_alone(box)
    await box.start("ticket-2")
    await eventually(lambda: serves(box), 60)
    box.appliance.settings["env"]["CHANGED"] = "yes"
    await box.appliance.open()
    await fresh_api(box)
    first = await box.until("running")

    async def renewed() -> bool:
        info = await box.info()
        return info.get("state") == "running" and info["nodeRedPid"] not in (None, first["nodeRedPid"])

    await eventually(renewed, 60, what=box.out()[-2000:])
    assert psutil.Process((await box.info())["nodeRedPid"]).environ()["CHANGED"] == "yes"


async def test_a_refused_ticket_does_not_end_what_serves(box: Rig) -> None:
    await left_alone(box)
    await box.start("ticket-2")
    await eventually(lambda: serves(box), 60)
    box.appliance.tickets.clear()
    box.appliance.spent.clear()
    await box.appliance.open()
    await eventually(lambda: "refused the boot ticket" in box.out(), 20)
    assert await serves(box) and box.process is not None and box.process.returncode is None


async def test_what_happened_meanwhile_outlasts_a_sudden_death_and_is_told_once(box: Rig) -> None:
    await box.appliance.close()
    info = await box.info()
    os.kill(info["nodeRedPid"], signal.SIGKILL)
    spool = box.directory / "launcher" / "away" / "reports.ndjson"
    await eventually(lambda: spool.exists() and b"crashed" in spool.read_bytes(), 20)
    assert box.process is not None
    box.process.kill()
    await box.process.wait()
    # The flow's user can write here: what it adds is passed on as the flow's word, and what it spoils is left out.
    forged = {"id": "f" * 32, "body": {"event": "safe-mode", "timestamp": 1}, "mark": "0" * 64}
    with spool.open("a") as stream:
        stream.write(json.dumps(forged) + '\n{"id":\nnonsense\n')
    box.appliance.tickets.add("ticket-2")
    box.appliance.secrets = {**SECRETS, **FRESH}
    await box.start("ticket-2")
    await box.appliance.open()
    await fresh_api(box)
    await box.until("running", timeout_s=60)
    await eventually(lambda: box.appliance.seen("safe-mode") and not spool.exists(), 20)
    heard = zip(box.appliance.audits, box.appliance.audit_requests, strict=True)
    told = [(event["event"], token) for event, (token, _) in heard]
    assert told.count(("crashed", FRESH["token"])) == 1
    assert ("safe-mode", FRESH["nodeRedToken"]) in told and ("safe-mode", FRESH["token"]) not in told
    requests = [request for _, request in box.appliance.audit_requests]
    assert len(set(requests)) == len(requests)


async def test_settings_that_a_flow_wrote_make_nobody_deaf_to_wishes(box: Rig) -> None:
    await left_alone(box)
    kept = box.directory / "launcher" / "settings.json"
    forged = json.loads(kept.read_bytes())
    forged["weir"]["commandGeneration"] = 10**15
    kept.write_text(json.dumps(forged))
    await box.start("ticket-2")
    await eventually(lambda: serves(box), 60)
    await box.appliance.open()
    await fresh_api(box)
    await eventually(lambda: box.appliance.states and box.appliance.states[-1]["commandGeneration"] < 10**15, 30)
    await box.command("stop", generation=7)
    assert (await box.until("stopped"))["commandGeneration"] == 7


async def test_an_appliance_that_leaves_after_the_ticket_is_made_up_for(box: Rig) -> None:
    await box.stop()
    box.appliance.tickets.add("ticket-2")
    box.appliance.keeps_settings = True
    await box.start("ticket-2")
    await box.until("running", timeout_s=60)
    box.appliance.settings["weir"] |= {"desired": "stopped", "commandGeneration": 9}
    box.appliance.keeps_settings = False
    assert (await box.until("stopped", timeout_s=30))["commandGeneration"] == 9


async def test_a_restart_takes_the_settings_of_last_time(box: Rig) -> None:
    await box.appliance.close()
    first = await box.info()
    assert await box.command("restart") == 200

    async def renewed() -> bool:
        info = await box.info()
        return info.get("state") == "running" and info["nodeRedPid"] != first["nodeRedPid"]

    await eventually(renewed, 60)
    assert await box.said("starting with the settings of last time")


async def test_normal_operation_writes_no_spool(box: Rig) -> None:
    spool = box.directory / "launcher" / "away" / "reports.ndjson"
    os.kill((await box.info())["nodeRedPid"], signal.SIGKILL)
    await eventually(lambda: box.appliance.seen("crashed"), 20)
    assert not spool.exists()
