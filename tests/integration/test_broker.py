"""Who may say what to whom at a real Mosquitto, and how it is kept as it is wanted."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from appliance.broker import controller, render
from appliance.broker.model import Right, Rule
from appliance.system import rounds
from tests.broker_box import ELSEWHERE, ONE, TEAM, TWO, BrokerBox, instance, needs_mosquitto
from tests.proxy_box import quiet_port
from tests.support import eventually

pytestmark = [pytest.mark.real, needs_mosquitto]


@pytest.fixture
async def box(home: Path) -> AsyncIterator[BrokerBox]:
    box = BrokerBox(home)
    try:
        await box.start()
        yield box
    finally:
        await box.close()


async def test_only_loopback_listens(box: BrokerBox) -> None:
    """Mosquitto 2.0 opens a websocket to the whole network although it was told an address (device protocol §6.2)."""
    pid = box.broker._mosquitto.pid
    assert pid is not None
    ports = {box.config.broker.port, box.config.broker.websocket_port}
    listening = {each.laddr for each in psutil.Process(pid).net_connections("inet") if each.status == "LISTEN"}
    assert listening == {("127.0.0.1", port) for port in ports}


@pytest.mark.parametrize(
    ("topic", "granted"),
    [
        (f"ff/v1/{TEAM}/p/+/out/#", True),
        (f"ff/v1/{TEAM}/p/{TWO}/out/alarms", True),
        (f"ff/v1/{TEAM}/p/{ONE}/in/#", True),
        (f"ff/v1/{TEAM}/p/{ONE}/res/calls", True),
        (f"ff/v1/{TEAM}/c/#", True),
        (f"ff/v1/{TEAM}/l/{ONE}/command", True),
        (f"$share/{ONE}/ff/v1/{TEAM}/p/{ONE}/in/#", True),
        (f"$share/{TWO}/ff/v1/{TEAM}/p/{ONE}/in/#", False),
        (f"ff/v1/{TEAM}/p/{TWO}/in/#", False),
        (f"ff/v1/{TEAM}/p/+/in/#", False),
        (f"ff/v1/{TEAM}/p/{TWO}/res/calls", False),
        (f"ff/v1/{TEAM}/l/{TWO}/command", False),
        ("ff/v1/z9/p/+/out/#", False),
        ("ff/v1/+/p/+/out/#", False),
        ("ff/v1/z9/c/#", False),
        ("#", False),
        ("$SYS/#", False),
        ("$CONTROL/dynamic-security/v1/response", False),
    ],
)
async def test_what_an_instance_may_hear(box: BrokerBox, topic: str, granted: bool) -> None:
    def ask() -> str:
        one = box.paho()
        try:
            return one.subscribe(topic)
        finally:
            one.close()

    assert (await asyncio.to_thread(ask) == "Granted QoS 1") is granted


async def test_what_an_instance_may_say(box: BrokerBox) -> None:
    """And that it arrives where it may be heard, and nowhere else."""
    listens = f"ff/v1/{TEAM}/p/{TWO}/in/#"

    def talk() -> tuple[list[str], list[str], list[tuple[str, bytes]]]:
        one, two = box.paho(), box.paho(TWO, "secret-2")
        assert two.subscribe(listens) == "Granted QoS 1"
        well = [f"p/{TWO}/in/a", f"p/{ONE}/out/a", f"p/{TWO}/res/a", "c/a", f"l/{ONE}/status"]
        ill = [f"p/{TWO}/out/a", f"l/{TWO}/status", f"l/{ONE}/command", "t/updated", f"d/{ONE}/command"]
        said = [one.publish(f"ff/v1/{TEAM}/{topic}", b"hello") for topic in well]
        refused = [one.publish(f"ff/v1/{TEAM}/{topic}") for topic in ill]
        refused += [one.publish(topic) for topic in ("ff/v1/z9/c/a", "a", "$CONTROL/dynamic-security/v1")]
        two.until(lambda: two.received)
        one.close()
        two.close()
        return said, refused, two.received

    said, refused, received = await asyncio.to_thread(talk)
    assert set(said) <= {"Success", "No matching subscribers"}
    assert set(refused) == {"Not authorized"}
    assert received == [(f"ff/v1/{TEAM}/p/{TWO}/in/a", b"hello")]


async def test_nobody_comes_in_without_the_right_password(box: BrokerBox) -> None:
    def refusals() -> list[str]:
        return [
            box.paho(password="wrong").refused,
            box.paho(password="").refused,
            box.paho(TWO, "secret-1").refused,
            box.paho(ONE, "secret-1", "z9").refused,
            box.paho("", "").refused,
        ]

    assert await asyncio.to_thread(refusals) == ["Not authorized"] * 5


async def test_changes_reach_the_running_broker(box: BrokerBox) -> None:
    """A new instance comes in, changed rights hold at once; a new password and a deletion throw out whoever is there;
    all others stay connected."""
    pid = box.broker._mosquitto.pid
    stays, leaves = await asyncio.to_thread(lambda: (box.paho(), box.paho(TWO, "secret-2")))
    new = "44444444-1111-4111-8111-111111111111"
    one, _, elsewhere = box.clients
    elsewhere = replace(elsewhere, rules=(Rule(Right.PUBLISH, "only/this"),))
    box.clients = [one, instance(TWO, "another", mark="2"), elsewhere, instance(new, "secret-4")]
    box.broker.poke()
    assert await asyncio.to_thread(leaves.until, lambda: leaves.ended)
    assert await asyncio.to_thread(lambda: box.paho(TWO, "secret-2").refused) == "Not authorized"

    def look() -> list[str]:
        two, fresh, other = box.paho(TWO, "another"), box.paho(new, "secret-4"), box.paho(ELSEWHERE, "secret-3", "z9")
        said = [each.publish(topic) for each, topic in ((other, "only/this"), (other, "ff/v1/z9/c/a"))]
        answers = [two.refused, fresh.refused, *said, stays.publish(f"ff/v1/{TEAM}/c/a")]
        for each in (two, fresh, other):
            each.close()
        return answers

    assert await asyncio.to_thread(look) == [
        "",
        "",
        "No matching subscribers",
        "Not authorized",
        "No matching subscribers",
    ]
    box.clients = box.clients[1:]
    box.broker.poke()
    assert await asyncio.to_thread(stays.until, lambda: stays.ended)
    await eventually(lambda: box.broker._count == 3)
    assert await asyncio.to_thread(lambda: box.paho().refused) == "Not authorized"
    assert box.broker._mosquitto.pid == pid
    log = (box.home.logs / "mosquitto.log").read_text()
    assert "another" not in log and "secret-4" not in log, "passwords must not be in the broker's log"


async def test_many_changes_come_with_a_new_start(box: BrokerBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "LIVE_CHANGES", 3)
    pid = box.broker._mosquitto.pid
    box.clients = [instance(f"{n}4444444-1111-4111-8111-111111111111", f"p{n}") for n in range(5)]
    box.broker.poke()
    await eventually(lambda: box.broker._count == 5)
    assert box.broker._mosquitto.pid != pid
    assert await asyncio.to_thread(lambda: box.paho("44444444-1111-4111-8111-111111111111", "p4").refused) == ""


async def test_an_appliance_that_ends_leaves_the_broker_and_the_next_one_adopts_it(box: BrokerBox) -> None:
    pid = box.broker._mosquitto.pid
    client = await asyncio.to_thread(box.paho)
    await box.forget()
    (box.home.run / "mosquitto.json").unlink()  # found by its command line all the same
    assert await asyncio.to_thread(client.publish, f"ff/v1/{TEAM}/c/a") == "No matching subscribers"
    box.broker = box.make()
    await box.start()
    assert box.broker._mosquitto.pid == pid
    assert await asyncio.to_thread(client.publish, f"ff/v1/{TEAM}/c/a") == "No matching subscribers"
    client.close()


@pytest.mark.parametrize("damage", ["", "{}", '{"clients": ['])
async def test_a_killed_broker_comes_back_whole(box: BrokerBox, damage: str) -> None:
    """Also when the kill cut the file that it was just writing: that one is never read again."""
    pid = box.broker._mosquitto.pid
    assert pid is not None
    (box.home.mosquitto_run / "dynamic-security.json").write_text(damage)
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: box.broker.up and box.broker._mosquitto.pid != pid)
    assert await asyncio.to_thread(lambda: box.paho().refused) == ""
    assert box.conditions.open == {}


async def test_a_broker_that_knows_nobody_is_started_anew(box: BrokerBox) -> None:
    """Somebody else started it with another list of clients."""
    pid = box.broker._mosquitto.pid
    await box.forget()
    await box.broker.stop()
    (box.home.mosquitto / "dynamic-security.json").write_text("{}")
    await box.broker._mosquitto.start()
    box.broker.poke()
    box.broker = box.make()
    await box.start()
    assert box.broker._mosquitto.pid != pid
    assert await asyncio.to_thread(lambda: box.paho().refused) == ""


async def test_a_frozen_broker_is_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "PROBE_S", 0.1)
    monkeypatch.setattr(rounds, "PROBE_AGAIN_S", 0.1)
    monkeypatch.setattr("appliance.broker.control.DEADLINE_S", 0.3)
    box = BrokerBox(home)
    try:
        await box.start()
        pid = box.broker._mosquitto.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await eventually(lambda: box.broker.up and box.broker._mosquitto.pid != pid, timeout_s=20)
        assert await asyncio.to_thread(lambda: box.paho().refused) == ""
    finally:
        await box.close()


async def test_a_refused_configuration_leaves_what_worked(box: BrokerBox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker on trial refuses it, so that the one that serves is not even touched; the problem says why."""
    pid, config = box.broker._mosquitto.pid, box.broker._mosquitto.config.read_text()
    client = await asyncio.to_thread(box.paho)
    text = (Path(__file__).parents[2] / "mosquitto" / "mosquitto.conf.j2").read_text()
    broken = render._template().environment.from_string(f"{text}\nno_such_option 1\n")
    monkeypatch.setattr(render, "_template", lambda: broken)
    box.broker.poke()
    problem = await eventually(lambda: box.conditions.open.get("broker_down"))
    assert "no_such_option" in problem["cause"]
    assert problem["title"] == "The message broker does not take its configuration"
    assert box.broker._mosquitto.pid == pid and box.broker._mosquitto.config.read_text() == config
    assert await asyncio.to_thread(client.publish, f"ff/v1/{TEAM}/c/a") == "No matching subscribers"
    monkeypatch.undo()
    box.broker.poke()
    await eventually(lambda: box.conditions.open == {})
    client.close()


async def test_a_taken_port_is_a_problem_until_it_is_free(home: Path) -> None:
    box = BrokerBox(home)
    holder = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", box.config.broker.websocket_port)
    task = asyncio.create_task(box.broker.run())
    try:
        problem = await eventually(lambda: box.conditions.open.get("broker_port_taken"))
        assert str(box.config.broker.websocket_port) in problem["cause"] and str(os.getpid()) in problem["evidence"]
        holder.close()
        await holder.wait_closed()
        box.broker.poke()
        await eventually(lambda: box.broker.up and not box.conditions.open)
    finally:
        holder.close()
        task.cancel()
        await asyncio.wait([task])
        await box.broker.stop()


async def test_other_ports_are_taken_up_and_given_back_when_they_can_not_be_had(box: BrokerBox) -> None:
    await box.forget()
    taken = quiet_port()
    other = replace(box.config, broker=replace(box.config.broker, port=taken))
    holder = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", taken)
    box.broker = box.make(other)
    assert not await box.broker.apply()
    assert "broker_port_taken" in box.conditions.open
    assert await asyncio.to_thread(lambda: box.paho().refused) == "", "the configuration of before goes on"
    holder.close()
    await holder.wait_closed()
    assert await box.broker.apply()
    box.config = other
    assert await asyncio.to_thread(lambda: box.paho().refused) == ""


async def test_without_the_program_the_problem_says_what_to_type(home: Path) -> None:
    box = BrokerBox(home)
    box.broker = box.make(replace(box.config, broker=replace(box.config.broker, mosquitto="no-such-mosquitto")))
    assert not await box.broker.apply()
    problem = box.conditions.open["broker_missing"]
    assert "apt-get install --no-install-recommends mosquitto" in problem["next_step"]
    assert shutil.which("no-such-mosquitto") is None
